"""Stage 3, rendering: models that turn a portrait and landmarks into frames."""
