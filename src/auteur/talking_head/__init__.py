"""From a portrait, speech and a requested performance to a talking video."""
