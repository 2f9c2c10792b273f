"""The background of a warped portrait: what no person covers, before and after the motion, stays still.

The warp's rings carry everything around the head along and fade outwards, so straight lines beside the head
would bend. Where the matte shows background both at a point and at the origin that the warp reads there, the
point keeps its place. Where the person uncovers background, nothing is known of it, and the warp's own
continuation remains.
"""

import torch
import torch.nn.functional as functional
from torch import Tensor

from auteur.synthesis.warp.sampling import smooth_step

_RIM = 0.1
"""Width of the seam around the person that moves along, in eye distances: the matte errs by stray hair."""
_SOFT = 0.08
"""Width of the transition behind it."""
_LEAST_OF_FACE = 0.9
"""Share of the face that a matte must cover to be believed."""


class StillBackground:
    """Where a portrait shows background.

    Args:
        matte: Share of each pixel that is the person, [H, W] in [0, 1].
        eye_distance_px: Distance between the irises.
    """

    def __init__(self, matte: Tensor, eye_distance_px: float) -> None:
        self._share = _away_from(matte.float(), eye_distance_px)
        height, width = matte.shape
        self._scale = torch.tensor([2 / max(1, width - 1), 2 / max(1, height - 1)], device=matte.device)

    def share(self, positions: Tensor) -> Tensor:
        """Returns how much of the background is at positions [h, w, 2] px, [h, w] in [0, 1]."""
        return functional.grid_sample(
            self._share[None], (positions * self._scale - 1)[None], padding_mode="border", align_corners=True
        )[0, 0]


def covers_face(matte: Tensor, landmarks: Tensor) -> bool:
    """Returns whether a matte [H, W] holds the face of landmarks [478, 3]; on drawings it may not."""
    size = torch.tensor([matte.shape[1] - 1, matte.shape[0] - 1], device=landmarks.device)
    columns, rows = torch.minimum(landmarks[:, :2].round().clamp(min=0), size).long().unbind(-1)
    return bool(matte[rows, columns].mean() >= _LEAST_OF_FACE)


def _away_from(matte: Tensor, eye_distance_px: float) -> Tensor:
    """0 at the person and its rim, rising to 1 outside, [1, H, W]."""
    reach, soft = (max(1, round(width * eye_distance_px)) for width in (_RIM, _SOFT))
    grown = _largest_around(matte[None, None], reach + soft)
    edged = functional.pad(grown, (soft,) * 4, mode="replicate")
    near = functional.avg_pool2d(edged, 2 * soft + 1, stride=1)[0]
    return smooth_step(1 - 1.25 * near)


def _largest_around(values: Tensor, reach: int) -> Tensor:
    """The largest value [1, 1, H, W] within so many pixels, rows and columns one after the other."""
    wide = functional.max_pool2d(values, (1, 2 * reach + 1), stride=1, padding=(0, reach))
    return functional.max_pool2d(wide, (2 * reach + 1, 1), stride=1, padding=(reach, 0))
