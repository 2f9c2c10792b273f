"""Speech in: any recording as mono at the rate the models listen at, with notes about its quality."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import soxr  # pyright: ignore[reportMissingTypeStubs]
from numpy.typing import NDArray

from auteur.errors import MediaError
from auteur.media.audio import AudioBlocks, open_audio
from auteur.media.budget import DEFAULT_BUDGET, Budget
from auteur.media.source import open_source
from auteur.signals import Waveform

SPEECH_RATE_HZ = 16_000
"""Sample rate of speech inside Auteur."""

MIN_SPEECH_SEC = Fraction(1, 10)
"""Shorter recordings are refused: they hold less than one syllable."""

_SURROUND_WEIGHTS = np.array([0.5, 0.5, math.sqrt(0.5), 0.0, math.sqrt(0.125), math.sqrt(0.125)])
_MIX_WEIGHTS = {
    1: np.ones(1),
    2: np.full(2, 0.5),
    6: _SURROUND_WEIGHTS / _SURROUND_WEIGHTS.sum(),
}
"""Mono from mono, stereo (mean) and 5.1 (ITU-R BS.775 to stereo, then the mean, without the low channel)."""

_SILENT_PEAK = 1e-3
_CLIP_LEVEL, _CLIP_SHARE = 0.999, 1e-3
_OFFSET = 0.02


@dataclass(frozen=True, kw_only=True)
class SpeechNotes:
    """What is odd about a recording that is used all the same. Levels are of the mono mix, full scale 1."""

    source_rate_hz: int
    peak: float
    """Largest absolute sample."""
    clipped_share: float
    """Share of samples at full scale, 0 to 1."""
    offset: float
    """Mean of all samples."""

    def lines(self) -> tuple[str, ...]:
        """One sentence per oddity; empty for a clean recording."""
        found: list[str] = []
        if self.peak < _SILENT_PEAK:
            found.append(f"the speech is silent (peak {self.peak:.1e} of full scale)")
        if self.clipped_share > _CLIP_SHARE:
            found.append(f"{self.clipped_share:.1%} of the speech is clipped; record it at a lower level")
        if abs(self.offset) > _OFFSET:
            found.append(
                f"the speech has a constant offset of {self.offset:+.2f}; remove it with a high-pass filter"
            )
        if self.source_rate_hz < SPEECH_RATE_HZ:
            found.append(
                f"the speech was recorded at {self.source_rate_hz} Hz: sounds above "
                f"{self.source_rate_hz // 2} Hz, such as s and f, are missing"
            )
        return tuple(found)


def read_speech(
    path: Path | str, *, rate_hz: int | None = SPEECH_RATE_HZ, budget: Budget = DEFAULT_BUDGET
) -> Waveform:
    """The sound of a recording or video as mono speech; as `examine_speech`, without the notes."""
    return examine_speech(path, rate_hz=rate_hz, budget=budget)[0]


def examine_speech(
    path: Path | str, *, rate_hz: int | None = SPEECH_RATE_HZ, budget: Budget = DEFAULT_BUDGET
) -> tuple[Waveform, SpeechNotes]:
    """The sound of a recording or video as mono speech, and notes about its quality.

    Stereo is averaged; 5.1 is mixed as 0.5 left + 0.5 right + 0.71 centre + 0.35 of each surround, divided by
    the sum of the weights, without the low-frequency channel. The length is `round(seconds * rate_hz)`
    samples.

    Args:
        path: WAV, FLAC, OGG, MP3, M4A, AAC or a video with sound; 8 to 192 kHz; mono, stereo or 5.1.
        rate_hz: Sample rate of the result (soxr, "HQ"); None keeps the recording's own.
        budget: Limits.

    Raises:
        MediaError: The file is missing, damaged, without sound, shorter than 0.1 s, over the budget, of
            another
            number of channels, or holds NaN or infinity.
    """
    with open_source(path, budget) as source, open_audio(source, budget) as audio:
        if audio.channels not in _MIX_WEIGHTS:
            raise MediaError(f"{source.name} has {audio.channels} channels; give mono, stereo or 5.1")
        meter = _Meter(audio, rate_hz or audio.rate_hz)
        samples = _gathered(meter.resampled(), expected=audio.duration_sec, rate_hz=meter.rate_hz)
        duration_sec = Fraction(meter.samples, audio.rate_hz)
        if duration_sec < MIN_SPEECH_SEC:
            raise MediaError(
                f"{source.name} lasts {float(duration_sec):.3f} s; speech of at least "
                f"{float(MIN_SPEECH_SEC)} s is needed; choose a longer recording"
            )
    samples.resize(round(duration_sec * meter.rate_hz), refcheck=False)  # in place: cut, or filled with zeros
    samples.setflags(write=False)
    return Waveform(samples=samples, rate_hz=meter.rate_hz), meter.notes()


def _gathered(
    parts: Iterator[NDArray[np.float32]], *, expected: Fraction | None, rate_hz: int
) -> NDArray[np.float32]:
    """All parts in one row. Memory holds the sound once if the file says how long it is, twice otherwise."""
    row = np.zeros(math.ceil((expected or 0) * rate_hz) + rate_hz, np.float32)
    filled = 0
    for part in parts:
        if filled + part.size > row.size:
            row.resize(2 * (filled + part.size), refcheck=False)
        row[filled : filled + part.size] = part
        filled += part.size
    row.resize(filled, refcheck=False)
    return row


class _Meter:
    """Mixes, measures and resamples in one pass, so that memory holds only the result."""

    def __init__(self, audio: AudioBlocks, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        self.samples = 0
        self._audio = audio
        self._peak = 0.0
        self._clipped = 0
        self._sum = 0.0

    def resampled(self) -> Iterator[NDArray[np.float32]]:
        if self.rate_hz == self._audio.rate_hz:
            yield from self._mono()
            return
        stream = soxr.ResampleStream(self._audio.rate_hz, self.rate_hz, 1, dtype="float32", quality="HQ")
        for block in self._mono():
            yield stream.resample_chunk(block)
        yield stream.resample_chunk(np.zeros(0, np.float32), last=True)

    def notes(self) -> SpeechNotes:
        return SpeechNotes(
            source_rate_hz=self._audio.rate_hz,
            peak=self._peak,
            clipped_share=self._clipped / self.samples,
            offset=self._sum / self.samples,
        )

    def _mono(self) -> Iterator[NDArray[np.float32]]:
        weights = _MIX_WEIGHTS[self._audio.channels].astype(np.float32)
        for block in self._audio.blocks:
            if not block.size:
                continue
            mono = block @ weights
            level = np.abs(mono)
            self.samples += mono.size
            self._peak = max(self._peak, float(level.max()))
            self._clipped += int((level >= _CLIP_LEVEL).sum())
            self._sum += float(mono.sum(dtype=np.float64))
            yield mono
