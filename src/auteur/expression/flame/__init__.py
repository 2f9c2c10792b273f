"""FLAME for whoever has the licensed model file: vertices from parameters, and its expression space."""
