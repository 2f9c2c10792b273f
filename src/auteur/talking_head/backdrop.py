"""Background replacement: the matte moves with the head, and a colour, a picture or nothing goes behind."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from auteur.errors import UsageError
from auteur.media import parse_colour, read_image, resized
from auteur.signals import LandmarkTrack
from auteur.synthesis.warp import PortraitWarper

NONE = "none"

Frames = NDArray[np.uint8]
Alpha = NDArray[np.float32]


@dataclass(frozen=True)
class Backdrop:
    """A background and the matte of the person before it.

    Attributes:
        matte: Share of each pixel of the portrait that is the person, float32 [H, W] in [0, 1].
        warper: Of the portrait that the matte belongs to.
        colours: uint8 [h, w, 3] of the size of the cut frames; None: transparent.
    """

    matte: torch.Tensor
    warper: PortraitWarper
    colours: Frames | None

    @property
    def is_transparent(self) -> bool:
        """Whether nothing is behind the person."""
        return self.colours is None

    def alpha(self, track: LandmarkTrack) -> Iterator[Alpha]:
        """Yields the matte of each frame, float32 [H, W]."""
        for points in torch.from_numpy(np.array(track.values)):
            yield self.warper.warp_layer(self.matte[None], points)[0].clamp(0, 1).numpy()

    def behind(self, frame: Frames, alpha: Alpha) -> Frames:
        """Returns a cut frame [h, w, 3] on the backdrop, or with its alpha [h, w, 4]."""
        if self.colours is None:
            return np.dstack([frame, np.rint(255 * alpha).astype(np.uint8)])
        share = alpha[..., None]
        return np.rint(share * frame + (1 - share) * self.colours).astype(np.uint8)


def check_background(background: str | None) -> None:
    """Refuses a value that names no background.

    Raises:
        UsageError: It is neither "none" nor a colour nor a file that is there.
    """
    if background is None or background == NONE or Path(background).is_file():
        return
    try:
        parse_colour(background)
    except UsageError as error:
        raise UsageError(
            f"background is {background!r}; give none, a colour such as white or #20c040, or a picture file"
        ) from error


def backdrop_colours(background: str, width: int, height: int) -> Frames | None:
    """Returns uint8 [height, width, 3] of a colour or of a picture that covers that size; None for "none".

    Raises:
        MediaError: The picture cannot be read.
    """
    if background == NONE:
        return None
    if not Path(background).is_file():
        return np.full((height, width, 3), parse_colour(background), np.uint8)
    picture = read_image(background)
    scale = max(width / picture.shape[1], height / picture.shape[0])
    wide, high = max(width, round(picture.shape[1] * scale)), max(height, round(picture.shape[0] * scale))
    large = resized(picture, wide, high)
    left, top = (wide - width) // 2, (high - height) // 2
    return np.ascontiguousarray(large[top : top + height, left : left + width])
