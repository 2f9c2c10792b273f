"""Shading of the skin by Action Units: furrows, folds and bulges, which a warp cannot make.

A face that moves changes its light: a frown has a furrow, a smile a fold beside it. The ratio of a person's
pixels in motion and at rest is that change without the person's own colours, so it can be laid on another
face (Liu, Shan and Zhang, "Expressive expression mapping with ratio images", 2001). Here the logarithm of the
ratio is linear in the Action Units: log r = sum over units i of u_i R_i, one picture R_i per unit, on the
frontal view of the mean face.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from auteur.facs import ACTION_UNITS
from auteur.synthesis.warp.field import grid_over
from auteur.synthesis.warp.mesh import MESH_VERTICES, face_triangles, generic_face
from auteur.synthesis.warp.raster import Grid, back_to_front, draw_displacement
from auteur.synthesis.warp.sampling import Box

SHADED_UNITS = (1, 2, 4, 6, 7, 9, 10, 12, 14, 15, 16, 17, 18, 20, 23, 24, 26)
SHADING_CONTROLS = tuple(name for number in SHADED_UNITS for name in ACTION_UNITS[number].controls)
"""Channels of the convention "facs" that shade the skin, in the order in which they are given."""

ROWS, COLUMNS = 160, 128
"""Pixels of the pictures; a pixel is about 1.2 mm."""
DARKEST = 12.0
"""Added to values 0 to 255 before the logarithm: dark pixels have noise and no ratio."""
_SIDE_BLEND = 0.06
"""Scale of the transition between the sides of the face, in eye distances."""
_FAR = 10_000.0


def texture_vertices() -> Tensor:
    """Returns the vertices of the mean face in pixels of the pictures, and their depth, [468, 3]."""
    mesh = generic_face()[:MESH_VERTICES]
    low, high = mesh[:, :2].amin(0), mesh[:, :2].amax(0)
    last = mesh.new_tensor([COLUMNS - 1, ROWS - 1])
    return torch.cat([(mesh[:, :2] - low) / (high - low) * last, mesh[:, 2:]], dim=1)


def unwrap(landmarks: Tensor) -> Tensor:
    """Returns where each pixel of the pictures lies in a frame, px, [160, 128, 2]; NaN beside the face.

    Args:
        landmarks: Of the frame, [478, 3] px.
    """
    grid = Grid(left_px=0, top_px=0, step_px=1, columns=COLUMNS, rows=ROWS)
    target = texture_vertices()
    source = landmarks[:MESH_VERTICES].float() + _FAR  # pixels that no triangle covers have an offset of 0
    places = grid.points(torch.float32, source.device) + draw_displacement(
        source, target, _order(target), grid
    )
    return torch.where(places > _FAR / 2, places - _FAR, torch.nan)


def _order(vertices: Tensor) -> Tensor:
    triangles = face_triangles()
    return triangles[back_to_front(vertices, triangles, torch.zeros(len(triangles), dtype=torch.int64))]


class SkinShading(nn.Module):
    """Logarithms of the ratio pictures, per unit at intensity 1."""

    ratios: Tensor
    """[units, 160, 64]: the left half in the picture; the other one is its mirror image."""
    colour: Tensor
    """[3]: share of the logarithm in red, green and blue."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("ratios", torch.zeros(len(SHADED_UNITS), ROWS, COLUMNS // 2))
        self.register_buffer("colour", torch.ones(3))

    def pictures(self) -> Tensor:
        """Returns the logarithm of the ratio per control, [controls, 160, 128]."""
        whole = torch.cat([self.ratios, self.ratios.flip(-1)], dim=-1).float()
        across = (torch.arange(COLUMNS) - (COLUMNS - 1) / 2) / COLUMNS * 2.45  # eye distances
        left = torch.sigmoid(across / _SIDE_BLEND)
        parts: list[Tensor] = []
        for number, picture in zip(SHADED_UNITS, whole, strict=True):
            sides = len(ACTION_UNITS[number].controls)
            parts += [picture] if sides == 1 else [picture * left, picture * (1 - left)]
        return torch.stack(parts)


class PortraitShading:
    """Shades one portrait.

    Args:
        shading: The ratio pictures.
        landmarks: The portrait's, [478, 3] px.
        area: Pixels of the portrait that frames show in it.
        step_px: Distance of the points at which the ratio is computed.
    """

    def __init__(self, shading: SkinShading, landmarks: Tensor, area: Box, step_px: int) -> None:
        grid = grid_over(area, step_px)
        self._colour = shading.colour.float()
        vertices = landmarks[:MESH_VERTICES].float()
        source = texture_vertices() + _FAR
        places = grid.points(torch.float32, vertices.device) - _FAR
        places = places + draw_displacement(source, vertices, _order(vertices), grid)
        size = places.new_tensor([COLUMNS, ROWS])
        pictures = functional.grid_sample(
            shading.pictures()[None], ((2 * places + 1) / size - 1)[None], align_corners=False
        )[0]
        # Beside the face they are 0: only the part around it is kept, with a rim of zeros.
        rows, columns = (_shaded(pictures.abs().amax((0, axis))) for axis in (2, 1))
        self._pictures = pictures[:, rows, columns].contiguous()
        self._grid = Grid(
            left_px=grid.left_px + step_px * columns.start,
            top_px=grid.top_px + step_px * rows.start,
            step_px=step_px,
            columns=columns.stop - columns.start,
            rows=rows.stop - rows.start,
        )

    def apply(self, frame: Tensor, origins: Tensor, intensities: Tensor) -> None:
        """Shades warped skin, in place; nothing changes where all intensities are 0.

        Args:
            frame: Values 0 to 255, [3, h, w].
            origins: Where in the portrait each pixel comes from, [h, w, 2] px.
            intensities: Of `SHADING_CONTROLS`, relative to the portrait, [C] in [-1, 1].
        """
        if not bool(intensities.any()):
            return
        logarithm = torch.einsum("c,chw->hw", intensities.clamp(-1, 1).float(), self._pictures)
        grid = self._grid
        corner = origins.new_tensor([grid.left_px, grid.top_px])
        last = origins.new_tensor([grid.columns - 1, grid.rows - 1]).clamp(min=1)
        places = 2 * (origins - corner) / grid.step_px / last - 1
        here = functional.grid_sample(
            logarithm[None, None], places[None], align_corners=True, padding_mode="border"
        )[0]
        frame += torch.expm1(self._colour[:, None, None] * here).mul_(frame + DARKEST)


def _shaded(most: Tensor) -> slice:
    """The numbers from the first to the last value [N] that is not 0, and one more on either side."""
    where = torch.nonzero(most)[:, 0]
    if not len(where):
        return slice(0, len(most))
    return slice(max(0, int(where[0]) - 1), min(len(most), int(where[-1]) + 2))
