"""Landmark-driven warping of a portrait at its own resolution."""

from auteur.synthesis.warp.warper import PortraitWarper

__all__ = ["PortraitWarper"]
