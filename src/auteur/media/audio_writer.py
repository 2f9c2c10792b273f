"""Sound out."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import soundfile  # pyright: ignore[reportMissingTypeStubs]

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
        mark: How it was made.
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
    # libsndfile's Python wrapper carries no types.
    open_sound = cast("Any", soundfile).SoundFile
    with (
        marked_file(path, mark=mark, overwrite=overwrite) as temporary,
        temporary.open("w+b") as plain,
        open_sound(
            plain, "w", samplerate=waveform.rate_hz, channels=1, format=kind, subtype="PCM_16"
        ) as file,
    ):
        file.comment = mark.container_text()
        file.software = f"{mark.tool} {mark.version}"
        file.write(np.clip(waveform.samples, -1.0, 1.0))
