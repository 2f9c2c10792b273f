"""Nodes of Auteur: a portrait, a speech and a performance become a video."""

from .nodes import comfy_entrypoint

__all__ = ["comfy_entrypoint"]
