"""A renderer as short as one can be: the example of docs/adding_a_renderer.md."""

from collections.abc import Collection, Generator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from auteur.errors import UsageError
from auteur.painting.renderer import Frames, RenderInput
from auteur.speech.features import SpeechFeatures


class DotRenderer:
    """The portrait with a white dot at every landmark."""

    models: Mapping[str, str] = {}
    is_sequential = False

    def resolve(self, options: Mapping[str, Any]) -> dict[str, Any]:
        if options:
            raise UsageError(f"{', '.join(options)}: no effect on dots; leave it out")
        return {}

    def frames(
        self,
        given: RenderInput,
        *,
        first: int = 0,
        stop: int | None = None,
        only: Collection[int] | None = None,
    ) -> Generator[Frames]:
        portrait = given.portrait.permute(1, 2, 0).numpy()
        for number in range(first, stop or given.frame_count) if only is None else sorted(only):
            frame = portrait.copy()
            columns, rows, _ = given.landmarks(number, number + 1).values[0].round().astype(int).T
            rows, columns = (
                np.clip(at, 0, side - 1) for at, side in zip((rows, columns), frame.shape, strict=False)
            )
            frame[rows, columns] = 255
            yield frame


def load(path: Path | None, speech: SpeechFeatures, device: str | None) -> DotRenderer:
    return DotRenderer()
