"""The structured 2-D face of paper A: landmarks drawn as lines (LMK) or as a shaded mesh (RoM)."""

from auteur.synthesis.drawing.lines import draw_lines
from auteur.synthesis.drawing.shading import draw_mesh

__all__ = ["draw_lines", "draw_mesh"]
