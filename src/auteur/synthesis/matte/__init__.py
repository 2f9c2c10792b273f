"""The matte of the person in a portrait: a segmentation network and its refinement along hair."""

from auteur.synthesis.matte.portrait import PortraitMatte

__all__ = ["PortraitMatte"]
