"""Sound out."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import soundfile  # pyright: ignore[reportMissingTypeStubs]
from numpy.typing import NDArray

from auteur.errors import UsageError
from auteur.media.output import marked_file
from auteur.provenance.mark import Mark
from auteur.signals import Waveform

_FORMAT_OF_SUFFIX = {".wav": "WAV", ".flac": "FLAC"}


def write_audio(path: Path | str, waveform: Waveform, *, mark: Mark, overwrite: bool = False) -> None:
    """Writes marked mono sound as 16-bit WAV or FLAC (by suffix) and its sidecar.

    Values beyond [-1, 1] are clipped.

    Args:
        path: Where to write; `<path>.json` is written beside it.
        waveform: The sound.
        mark: How it was made; it is recorded as without watermark, as sound carries none.
        overwrite: Whether a file of that name may be replaced.

    Raises:
        UsageError: The suffix names no kind that is written.
        InputError: The file cannot be written.
    """
    path = Path(path)
    kind = _FORMAT_OF_SUFFIX.get(path.suffix.lower())
    if kind is None:
        raise UsageError(
            f"{path.name!r} does not end in one of {', '.join(_FORMAT_OF_SUFFIX)}; choose one of them"
        )
    mark = replace(mark, watermark=False)
    with marked_file(path, mark=mark, overwrite=overwrite) as temporary:
        write_sound(
            temporary,
            iter([waveform.samples[:, None]]),
            rate_hz=waveform.rate_hz,
            channels=1,
            mark=mark,
            kind=kind,
        )


def write_sound(
    path: Path,
    blocks: Iterator[NDArray[np.float32]],
    *,
    rate_hz: int,
    channels: int,
    mark: Mark,
    kind: str = "WAV",
) -> None:
    """Writes marked sound as 16 bits without a sidecar of its own, clipped to [-1, 1].

    For a temporary name, or for a folder that has the sidecar.

    Args:
        path: Where to write.
        blocks: The sound in order, [S, channels] at a time.
        rate_hz: Samples per second.
        channels: 1 or 2.
        mark: How it was made.
        kind: "WAV" or "FLAC".
    """
    # libsndfile's Python wrapper carries no types.
    open_sound = cast("Any", soundfile).SoundFile
    with (
        path.open("w+b") as plain,
        open_sound(plain, "w", samplerate=rate_hz, channels=channels, format=kind, subtype="PCM_16") as file,
    ):
        file.comment = replace(mark, watermark=False).container_text()
        file.software = f"{mark.tool} {mark.version}"
        for block in blocks:
            file.write(np.clip(block, -1.0, 1.0))
