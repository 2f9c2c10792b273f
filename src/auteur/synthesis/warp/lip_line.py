"""The dark line where lips meet: part of a closed mouth, which must not be stretched when it opens."""

import torch
import torch.nn.functional as functional
from torch import Tensor

from auteur.synthesis.warp.mesh import MOUTH_LOWER, MOUTH_UPPER
from auteur.synthesis.warp.openings import Opening
from auteur.synthesis.warp.sampling import Box, Picture, box_around, smooth_step

_MOUTH_CORNERS = (61, 291)
_LINE_WIDTH = 0.07
"""Eye distances; darker marks that are narrower are taken for the line."""
_REACH = 0.1
"""Distance from the line within which it is searched."""
_BEYOND_CORNERS = 0.06
_OPENS_OVER = 0.07
"""Gap beyond the portrait's own at which the line has gone."""
_SEAM_WIDTH = 0.012
_SEAM_DARKNESS = 0.5
_SEAM_UNTIL = 0.035
"""Gap at which lips that are closed by motion stop showing a line between them."""


class LipLine:
    """Takes the line out where a mouth opens, and draws one where motion closes a mouth that was open.

    Args:
        skin: The portrait without what shows through its openings, values 0 to 255.
        landmarks: Its landmarks, [478, 3].
        own: The opening between its lips.
        eye_distance_px: Distance between the irises.
    """

    def __init__(self, skin: Picture, landmarks: Tensor, own: Opening, eye_distance_px: float) -> None:
        self._unit_px = eye_distance_px
        self._own_gap = own.gap_px / eye_distance_px
        self._is_drawn = smooth_step(self._own_gap / 0.05 - 0.4)
        line = self._line(landmarks)
        whole = Box(left=0, top=0, right=skin.colour.shape[2], bottom=skin.colour.shape[1])
        self._home = box_around(line, 1.5 * _REACH * eye_distance_px, whole)
        colour = skin.colour[(slice(None), *self._home.within(whole))]
        distance = _distance_to(line, self._home.pixels(colour.device)) / eye_distance_px
        weight = (1 - smooth_step(distance / _REACH)) * self._at_corners(landmarks, distance)
        # A grey closing (largest, then smallest neighbour) leaves no dark mark narrower than its window.
        side = 2 * max(1, round(0.5 * _LINE_WIDTH * eye_distance_px)) + 1
        largest = functional.max_pool2d(colour[None], side, 1, side // 2)
        without = -functional.max_pool2d(-largest, side, 1, side // 2)[0]
        self._lighter = Picture(torch.cat([without, weight[None]]), self._home.left, self._home.top)
        self._colour = skin.soft(line[None])[:, 0].mean(-1) * _SEAM_DARKNESS

    def erase(self, frame: Tensor, origins: Tensor, opening: Opening, box: Box, area: Box) -> None:
        """Takes the line out of the skin as far as the mouth is open, in place.

        Args:
            frame: The warped skin over `area`, values 0 to 255, [3, h, w].
            origins: Where in the portrait the skin at each pixel comes from, [h, w, 2].
            opening: Between the lips of the frame.
            box: What the opening can touch.
            area: The part of the portrait that `frame` covers.
        """
        amount = smooth_step((opening.gap_px / self._unit_px - self._own_gap) / _OPENS_OVER)
        if amount <= 0:
            return
        margin = int(2 * _REACH * self._unit_px)
        wider = Box(
            left=max(box.left - margin, area.left),
            top=max(box.top - margin, area.top),
            right=min(box.right + margin, area.right),
            bottom=min(box.bottom + margin, area.bottom),
        )
        within = wider.within(area)
        read = self._lighter.soft(origins[within])
        part = frame[(slice(None), *within)]
        frame[(slice(None), *within)] = torch.lerp(part, read[:3], read[3:].clamp(0, 1) * amount)

    def draw(self, frame: Tensor, opening: Opening, positions: Tensor) -> Tensor:
        """Returns part of the frame [3, h, w] with a line where motion closed the lips, at [h, w, 2]."""
        shut = 1 - smooth_step(opening.gap_px / self._unit_px / _SEAM_UNTIL)
        if shut * self._is_drawn <= 0:
            return frame
        place, _ = opening.place(positions)
        below_upper, above_lower = opening.edge_distances(positions)
        width = max(0.8, _SEAM_WIDTH * self._unit_px)
        from_seam = 0.5 * (below_upper - above_lower) / width
        ends = smooth_step(torch.minimum(place, 1 - place) / 0.1 + 0.3) * ((place > -0.03) & (place < 1.03))
        strength = 0.85 * self._is_drawn * shut * ends * torch.exp(-from_seam.square())
        return torch.lerp(frame, torch.minimum(frame, self._colour[:, None, None]), strength)

    def _at_corners(self, landmarks: Tensor, distance: Tensor) -> Tensor:
        """1 in the corners of the mouth and outside, falling to a little between the lips, [h, w]."""
        positions = self._home.pixels(distance.device)
        away = [(positions - landmarks[corner, :2]).norm(dim=-1) for corner in _MOUTH_CORNERS]
        nearest = torch.minimum(*away) / self._unit_px
        return 1 - 0.75 * smooth_step((nearest - 0.12) / 0.12)

    def _line(self, landmarks: Tensor) -> Tensor:
        """Points [P, 2] from corner to corner and a little beyond."""
        middle = (landmarks[list(MOUTH_UPPER), :2] + landmarks[list(MOUTH_LOWER), :2]) / 2
        first, last = landmarks[_MOUTH_CORNERS[0], :2], landmarks[_MOUTH_CORNERS[1], :2]
        out = functional.normalize(last - first, dim=0) * _BEYOND_CORNERS * self._unit_px
        return torch.cat([(first - out)[None], first[None], middle, last[None], (last + out)[None]])


def _distance_to(line: Tensor, positions: Tensor) -> Tensor:
    """Pixels from positions [h, w, 2] to the nearest of the line's segments [P, 2]."""
    start, step = line[:-1], line.diff(dim=0)
    away = positions[..., None, :] - start
    along = (away * step).sum(-1) / step.square().sum(-1).clamp(min=1e-6)
    return (away - along.clamp(0, 1)[..., None] * step).norm(dim=-1).amin(-1)
