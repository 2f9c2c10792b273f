"""The warp of one frame as a map of origins: the source in the portrait of each pixel of the skin."""

import torch
import torch.nn.functional as functional
from torch import Tensor

from auteur.synthesis.warp.raster import Grid, draw_displacement
from auteur.synthesis.warp.sampling import Box, Picture, blur
from auteur.synthesis.warp.still_background import StillBackground


def grid_over(area: Box, step_px: int) -> Grid:
    """Returns the grid of the given step that covers all pixels of `area`."""
    return Grid(
        left_px=area.left,
        top_px=area.top,
        step_px=step_px,
        columns=-(-(area.width - 1) // step_px) + 1,
        rows=-(-(area.height - 1) // step_px) + 1,
    )


class SkinField:
    """Evaluates warps over one part of the portrait, at every pixel inside `details`.

    Args:
        area: The pixels to evaluate.
        step_px: Distance of the grid points; between them the warp is interpolated.
        hold: Share of the motion that each pixel takes, [h, w].
        background: Where the portrait's background is, which stays still; None: all moves.
    """

    def __init__(
        self, area: Box, step_px: int, hold: Tensor, background: StillBackground | None = None
    ) -> None:
        self._area = area
        self._grid = grid_over(area, step_px)
        self._pixels = area.pixels(hold.device)
        self._hold = hold[..., None]
        self._background = background
        if background is not None:
            self._points = self._grid.points(torch.float32, hold.device)
            self._own_share = background.share(self._points)

    def origins(
        self, source: Tensor, target: Tensor, corners: Tensor, details: list[Box]
    ) -> tuple[Tensor, Tensor]:
        """Returns the source of each pixel, [h, w, 2], and the shrinking of the portrait there.

        Args:
            source: Vertices in the portrait, pixels, [V, 3].
            target: The same vertices in the frame, [V, 3].
            corners: Triangles in the order to paint, [T, 3].
            details: Boxes inside the area to evaluate at every pixel: there skin slides over skin.

        Returns:
            The origins, and on the coarse grid [rows, columns] how many pixels of the portrait meet in one.
        """
        coarse = draw_displacement(source, target, corners, self._grid)
        if self._background is not None:
            stays = self._own_share * self._background.share(self._points + coarse)
            coarse = coarse * (1 - stays)[..., None]
        offset = _upsample(coarse, self._grid, self._area).contiguous()
        if self._grid.step_px > 1:
            for box in details:
                grid = grid_over(box, 1)
                within = box.within(self._area)
                offset[within] = draw_displacement(source, target, corners, grid)
        return self._pixels + self._hold * offset, self._shrinking(coarse)

    def soften(self, frame: Tensor, skin: Picture, origins: Tensor, shrinking: Tensor) -> None:
        """Averages colours where the warp shrinks the portrait, in place: fine detail must not flicker.

        Args:
            frame: The warped skin, values 0 to 255, [3, h, w].
            skin: Its source.
            origins: Where each pixel was read, [h, w, 2].
            shrinking: As from `origins`.
        """
        softness = (shrinking - 1.2).clamp(0, 1)
        where = [torch.nonzero(softness.amax(axis))[:, 0] for axis in (1, 0)]
        if len(where[0]) == 0:
            return
        step = self._grid.step_px
        rows, columns = (slice(max(0, int(at[0]) - 1) * step, (int(at[-1]) + 1) * step + 1) for at in where)
        softness = _upsample(softness[..., None], self._grid, self._area)[rows, columns, 0]
        part = torch.lerp(frame[:, rows, columns], skin.soft(origins[rows, columns]), softness)
        # Where one part of the face hides another, shrinking has no bound and the edge itself needs
        # smoothing.
        edge = (softness - 0.8).clamp(min=0) / 0.2
        frame[:, rows, columns] = torch.lerp(part, blur(part), edge)

    def _shrinking(self, coarse: Tensor) -> Tensor:
        """The larger stretch of the two directions, [rows, columns]; the last row and column have one."""
        moved = coarse.permute(2, 0, 1) / self._grid.step_px
        across, down = moved.diff(dim=2), moved.diff(dim=1)
        across[0] += 1
        down[1] += 1
        largest = coarse.new_ones(coarse.shape[:2])
        largest[:, :-1] = across.square_().sum(0)
        largest[:-1] = torch.maximum(largest[:-1], down.square_().sum(0))
        return largest.sqrt_()


def _upsample(values: Tensor, grid: Grid, area: Box) -> Tensor:
    """Returns grid values [rows, columns, C] at the pixels of `area`, [h, w, C]."""
    if grid.step_px == 1:
        return values
    size = ((grid.rows - 1) * grid.step_px + 1, (grid.columns - 1) * grid.step_px + 1)
    fine = functional.interpolate(
        values.permute(2, 0, 1)[None], size=size, mode="bilinear", align_corners=True
    )
    return fine[0, :, : area.height, : area.width].permute(1, 2, 0)
