"""The matte of one portrait."""

import torch
import torch.nn.functional as functional
from torch import Tensor

from auteur import weights
from auteur.synthesis.matte.network import SIDE_PX, SelfieSegmenter, blank_segmenter
from auteur.synthesis.matte.refinement import guided_filter, person_colours

_HEAD_SIDE = 2.4
"""Side of the square around the head that is segmented a second time, in face heights."""
_RADIUS = 0.055
"""Half side of the refinement's windows, in face heights."""
_LOW, _HIGH = 0.12, 0.88
"""Matte values that count as 0 and 1."""


class PortraitMatte:
    """Separates the person in a portrait from the background.

    Args:
        network: The segmentation.
    """

    def __init__(self, network: SelfieSegmenter) -> None:
        self._network = network

    @classmethod
    def shipped(cls) -> "PortraitMatte":
        """Returns it with the weights that ship with the package."""
        return cls(weights.load_shipped(blank_segmenter(), "matte"))

    def cut_out(self, portrait: Tensor, landmarks: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the person's colours, uint8 [3, H, W], and the matte, float32 [H, W] in [0, 1].

        Args:
            portrait: uint8 RGB [3, H, W].
            landmarks: Of its face, pixels, [478, 3].
        """
        with torch.inference_mode():
            picture = portrait.float() / 255
            face_px = _face_height_px(landmarks)
            coarse = self._segmented(picture, landmarks, face_px)
            radius = max(2, round(_RADIUS * face_px))
            fine = guided_filter(picture, coarse, radius)
            matte = ((fine - _LOW) / (_HIGH - _LOW)).clamp(0, 1)
            person = person_colours(picture, matte)
        return (255 * person).round().byte().clone(), matte[0].clone()

    def person(self, portrait: Tensor, landmarks: Tensor) -> Tensor:
        """Returns where the person is, float32 [H, W] in [0, 1], without the refinement along hair.

        Args:
            portrait: uint8 RGB [3, H, W].
            landmarks: Of its face, pixels, [478, 3].
        """
        with torch.inference_mode():
            coarse = self._segmented(portrait.float() / 255, landmarks, _face_height_px(landmarks))
        return coarse[0].clone()

    def _segmented(self, picture: Tensor, landmarks: Tensor, face_px: float) -> Tensor:
        """The whole picture, and the head again at its own size: [1, H, W]."""
        whole = self._run(picture)
        height, width = picture.shape[1:]
        middle = landmarks[:, :2].mean(0)
        half = _HEAD_SIDE * face_px / 2
        left, top = (int(max(0, float(middle[axis]) - half)) for axis in (0, 1))
        right = int(min(width, float(middle[0]) + half))
        bottom = int(min(height, float(middle[1]) + half))
        if (right - left) * (bottom - top) > 0.8 * width * height:
            return whole
        head = self._run(picture[:, top:bottom, left:right])
        share = _inner(bottom - top, right - left)
        whole[:, top:bottom, left:right] = torch.lerp(whole[:, top:bottom, left:right], head, share)
        return whole

    def _run(self, picture: Tensor) -> Tensor:
        small = functional.interpolate(
            picture[None], (SIDE_PX, SIDE_PX), mode="bilinear", antialias=True, align_corners=False
        )
        found = self._network(small)
        size = (picture.shape[1], picture.shape[2])
        return functional.interpolate(found, size, mode="bilinear", align_corners=False)[0]


def _face_height_px(landmarks: Tensor) -> float:
    return float(landmarks[:, 1].max() - landmarks[:, 1].min())


def _inner(height: int, width: int) -> Tensor:
    """1 inside, falling to 0 over the outer fifth, [1, height, width]."""
    sides = [
        (torch.minimum(torch.arange(n), torch.arange(n).flip(0)) / (0.2 * n)).clamp(max=1)
        for n in (height, width)
    ]
    return (sides[0][:, None] * sides[1][None])[None]
