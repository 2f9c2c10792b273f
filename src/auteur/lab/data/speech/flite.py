"""CMU Flite: recorded human voices said in new orders, with the time of every phone."""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from auteur.errors import UsageError
from auteur.lab.data.speech.corpus import SAMPLE_RATE_HZ, PhoneSpan
from auteur.speech.phones import phones_of_arpabet

FLITE_VOICES: tuple[str, ...] = ("slt", "rms", "awb", "kal16")
"""Voices at 16 kHz that come with Flite."""
_SEGMENT = re.compile(r"([a-z]+):([0-9.]+)")


def speak_with_flite(text: str, voice: str) -> tuple[NDArray[np.int16], tuple[PhoneSpan, ...]]:
    """Returns an English text at 16 kHz, int16 [S], and its phone spans.

    Raises:
        UsageError: Flite is not installed or has no such voice.
    """
    program = shutil.which("flite")
    if program is None:
        raise UsageError("Flite is not installed; install it, for example: apt-get install flite")
    import soundfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        command = [program, "-voice", voice, "-t", text, "-psdur", "-o", str(path)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if result.returncode != 0 or not path.is_file():
            raise UsageError(f"Flite could not speak with voice {voice!r}; known: {', '.join(FLITE_VOICES)}")
        samples, rate_hz = soundfile.read(path, dtype="int16")
    if rate_hz != SAMPLE_RATE_HZ:
        raise UsageError(
            f"Flite voice {voice!r} speaks at {rate_hz} Hz; a voice at {SAMPLE_RATE_HZ} Hz is needed"
        )
    return np.asarray(samples, np.int16), _spans(result.stdout)


def _spans(listing: str) -> tuple[PhoneSpan, ...]:
    start, spans = 0.0, []
    for name, stop in _SEGMENT.findall(listing):
        if float(stop) < start:  # the listing starts again at zero with each sentence
            raise UsageError(
                "Flite phone times are only kept for one sentence; give one without . ! ? inside"
            )
        spans.append(PhoneSpan(start_sec=start, stop_sec=float(stop), phones=phones_of_arpabet(name)))
        start = float(stop)
    return tuple(spans)
