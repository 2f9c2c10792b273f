"""Stage 3, what the face looks like: a portrait and a landmark track become frames."""
