"""Auteur: direct a face. One portrait, one speech recording, a performance down to the single Action Unit."""

__version__ = "0.1.0"
