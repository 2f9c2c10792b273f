"""Which part of the frames goes into the video, and at what size."""

import re
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from auteur.errors import UsageError
from auteur.media import resized
from auteur.signals import LandmarkTrack

_RATIO = re.compile(r"([1-9]\d?):([1-9]\d?)")
_SIZE = re.compile(r"(\d{1,5})(?:x(\d{1,5}))?")
_SIDE_RANGE_PX = (64, 4096)
_FACE_HEIGHT = 0.42
"""Where the middle of the face lies in a cropped frame, from its top, if the portrait has room."""

Frames = NDArray[np.uint8]
Pixel = TypeVar("Pixel", bound=np.generic)


@dataclass(frozen=True)
class View:
    """A rectangle of the rendered frames, and the size at which it is written."""

    left: int
    top: int
    width: int
    height: int
    """Of the rectangle, in pixels of the rendered frame."""
    size_px: tuple[int, int]
    """Width and height that are written."""

    def cut(self, frames: NDArray[Pixel]) -> NDArray[Pixel]:
        """Returns the rectangle of an array [H, W, …], at the rendered size."""
        return frames[self.top : self.top + self.height, self.left : self.left + self.width]

    def scaled(self, frame: Frames) -> Frames:
        """Returns a cut frame [h, w, 3 or 4] at the written size."""
        if (self.width, self.height) == self.size_px:
            return np.ascontiguousarray(frame)
        colour = resized(np.ascontiguousarray(frame[..., :3]), *self.size_px)
        if frame.shape[2] == 3:
            return colour
        alpha = resized(np.ascontiguousarray(frame[..., [3, 3, 3]]), *self.size_px)
        return np.dstack([colour, alpha[..., :1]])

    def landmarks(self, track: LandmarkTrack) -> LandmarkTrack:
        """Returns landmarks of rendered frames in pixels of what is written."""
        scale = self.size_px[0] / self.width
        values = np.array(track.values)
        values[..., 0] = (values[..., 0] - self.left + 0.5) * scale - 0.5
        values[..., 1] = (values[..., 1] - self.top + 0.5) * scale - 0.5
        values[..., 2:] *= scale
        return track.replace(values=values, image_size_px=self.size_px)


@dataclass(frozen=True)
class Framing:
    """Crop and size that are requested, for a portrait of any size."""

    ratio: tuple[int, int] | None = None
    """Width to height; None: the portrait's own."""
    size_px: tuple[int, int] | None = None
    """Width and height; None with `longest_px` None: as large as the part is in the portrait."""
    longest_px: int | None = None
    """The longer side."""

    @classmethod
    def parse(cls, crop: str | None, size: str | None) -> "Framing":
        """Returns the framing of a crop such as "9:16" and a size such as "720" (longer side) or "720x1280".

        Raises:
            UsageError: One is malformed or outside its range, or they contradict each other.
        """
        ratio = None if crop is None else _ratio(crop)
        if size is None:
            return cls(ratio)
        found = _SIZE.fullmatch(size.lower().replace(" ", ""))
        low, high = _SIDE_RANGE_PX
        sides = [] if found is None else [int(side) for side in found.groups() if side]
        if not sides or not all(low <= side <= high for side in sides):
            raise UsageError(
                f"size is {size!r}; give the longer side such as 720, or width and height such as 720x1280, "
                f"{low} to {high} pixels each"
            )
        if len(sides) == 1:
            return cls(ratio, None, sides[0])
        width, height = sides
        if ratio is not None and abs(width * ratio[1] - height * ratio[0]) > max(ratio):
            raise UsageError(
                f"size {size!r} is not of the shape {crop}; give one of them, or a size of that shape"
            )
        return cls((width, height), (width, height))

    def view(self, width: int, height: int, face_px: tuple[float, float]) -> View:
        """Returns the largest part of that shape of a picture, the face in its middle where there is room.

        Args:
            width: Of the picture, in pixels.
            height: Of the picture.
            face_px: Middle of the face, x and y in its pixels.
        """
        wide, high = width, height
        if self.ratio is not None:
            wide = min(width, max(1, round(height * self.ratio[0] / self.ratio[1])))
            high = min(height, max(1, round(width * self.ratio[1] / self.ratio[0])))
        if self.ratio is not None and self.size_px is None and self.longest_px is None:
            wide, high = max(2, wide - wide % 2), max(2, high - high % 2)  # else the shape would be padded
        left = round(min(max(face_px[0] - wide / 2, 0), width - wide))
        top = round(min(max(face_px[1] - _FACE_HEIGHT * high, 0), height - high))
        size = self.size_px or (wide, high)
        if self.longest_px is not None:
            scale = self.longest_px / max(wide, high)
            size = (_even(wide * scale), _even(high * scale))
        return View(left, top, wide, high, size)


def _ratio(crop: str) -> tuple[int, int]:
    found = _RATIO.fullmatch(crop.replace(" ", ""))
    if found is None:
        raise UsageError(f"crop is {crop!r}; give width to height such as 9:16, 1:1 or 16:9, each 1 to 99")
    return int(found[1]), int(found[2])


def _even(side: float) -> int:
    return max(2, 2 * round(side / 2))
