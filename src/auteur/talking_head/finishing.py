"""From rendered frames to those that are written: background, crop, size."""

from collections.abc import Callable, Generator, Iterable
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from auteur.signals import LandmarkTrack
from auteur.talking_head.backdrop import Backdrop
from auteur.talking_head.framing import View

Frames = NDArray[np.uint8]
TrackOf = Callable[[int, int], LandmarkTrack]
"""(first frame, frame after the last) → their landmarks in pixels of the rendered frames."""

_AT_ONCE = 16
"""Frames whose mattes are made together."""


class Finishing:
    """Background, crop and size of every rendered frame.

    Args:
        view: Part of the frame that is written, and its size.
        backdrop: Replacement of the portrait's background; None: it stays.
    """

    def __init__(self, view: View, backdrop: Backdrop | None = None) -> None:
        self.view, self._backdrop = view, backdrop

    @property
    def keeps_background(self) -> bool:
        """Whether the portrait's own background is shown."""
        return self._backdrop is None

    @property
    def is_transparent(self) -> bool:
        """Whether frames come out as RGBA."""
        return self._backdrop is not None and self._backdrop.is_transparent

    def frames(self, rendered: Iterable[Frames], landmarks: TrackOf) -> Generator[Frames]:
        """Yields uint8 [h, w, 3], with transparency [h, w, 4], for rendered frames from the first on.

        Args:
            rendered: uint8 [H, W, 3] in order.
            landmarks: Of the rendered frames; only called where there is a backdrop.
        """
        frames, first = iter(rendered), 0
        if self._backdrop is None:
            for frame in frames:
                yield self.view.scaled(self.view.cut(frame))
            return
        while block := list(islice(frames, _AT_ONCE)):
            track = landmarks(first, first + len(block))
            for frame, alpha in zip(block, self._backdrop.alpha(track), strict=True):
                yield self._laid(frame, alpha)
            first += len(block)

    def one(self, frame: Frames, landmarks: Callable[[], LandmarkTrack]) -> Frames:
        """Returns one finished frame; `landmarks` gives its track of one frame."""
        if self._backdrop is None:
            return self.view.scaled(self.view.cut(frame))
        return self._laid(frame, next(iter(self._backdrop.alpha(landmarks()))))

    def _laid(self, frame: Frames, alpha: NDArray[np.float32]) -> Frames:
        assert self._backdrop is not None  # noqa: S101 - for the type checker
        laid = self._backdrop.behind(self.view.cut(frame), self.view.cut(alpha))
        return self.view.scaled(laid)
