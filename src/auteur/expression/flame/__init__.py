"""FLAME, from the user's licensed model file: vertices from parameters, and its expression space."""
