"""The portrait warped to the landmarks, and nothing painted."""

from collections.abc import Collection, Generator, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch

from auteur import malloc
from auteur.errors import UsageError
from auteur.painting.renderer import Frames, RenderInput
from auteur.prefetch import prefetched
from auteur.speech.features import SpeechFeatures

FRAMES_AT_ONCE = 16
"""Frames rendered together; memory does not grow with the video, and frames do not depend on it."""


class WarpRenderer:
    """A `Renderer` without weights."""

    is_sequential = False

    @property
    def models(self) -> dict[str, str]:
        """None."""
        return {}

    def resolve(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the options; AU guidance is accepted because motion takes it, too.

        Raises:
            UsageError: Another option is set.
        """
        if useless := [name for name in options if name != "au_guidance"]:
            raise UsageError(
                f"{', '.join(useless)}: no effect with the preset warp, which paints nothing; leave it out, "
                "or choose the preset compact"
            )
        return dict(options)

    def frames(
        self,
        given: RenderInput,
        *,
        first: int = 0,
        stop: int | None = None,
        only: Collection[int] | None = None,
    ) -> Generator[Frames]:
        """Yields the frames, uint8 [H, W, 3]; a second thread makes the next ones meanwhile."""
        malloc.keep_freed_memory()
        with closing(prefetched(_pieces(given, first, stop, only), ahead=1)) as pieces:
            for piece in pieces:
                yield from piece


def load(path: Path | None, speech: SpeechFeatures, device: str | None) -> WarpRenderer:
    """Returns the renderer; its parameters are not used."""
    return WarpRenderer()


def _pieces(
    given: RenderInput, first: int, stop: int | None, only: Collection[int] | None
) -> Iterator[Frames]:
    torch.get_num_threads()  # a new thread uses the number that was set only after it has been read
    if only is not None:
        for number in sorted(only):
            yield _rendered(given, number, number + 1)
        return
    stop = given.frame_count if stop is None else stop
    for start in range(first, stop, FRAMES_AT_ONCE):
        yield _rendered(given, start, min(start + FRAMES_AT_ONCE, stop))


def _rendered(given: RenderInput, first: int, stop: int) -> Frames:
    """Frames [stop - first, H, W, 3], or as many as there are."""
    track = given.landmarks(first, stop)
    units = None if given.shading is None else given.shading(track)
    rendered = given.warper.render(torch.from_numpy(np.array(track.values)), units)
    return rendered.permute(0, 2, 3, 1).contiguous().numpy()
