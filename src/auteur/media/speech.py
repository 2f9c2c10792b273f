"""Speech in: any recording as mono at the rate the models listen at, with notes about its quality."""

import math
import os
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import soxr  # pyright: ignore[reportMissingTypeStubs]

from auteur.errors import MediaError
from auteur.media.audio import AudioBlocks, open_audio
from auteur.media.budget import DEFAULT_BUDGET, Budget
from auteur.media.source import Source, open_source
from auteur.signals import Waveform
from auteur.signals.sound import Pieces, Samples, overlapping

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

    @property
    def is_silent(self) -> bool:
        """Whether no sample is loud enough to be heard."""
        return self.peak < _SILENT_PEAK

    def lines(self) -> tuple[str, ...]:
        """One sentence per oddity; empty for a clean recording."""
        found: list[str] = []
        if self.is_silent:
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


@dataclass(frozen=True, kw_only=True)
class SpeechFile:
    """Speech that stays in its file: decoded anew each time it is gone through, so that memory holds a piece.

    It is a `Sound`. Made by `open_speech`, which has read all of the file once.
    """

    path: Path
    rate_hz: int
    """Samples per second of what it gives."""
    source_rate_hz: int
    """Samples per second in the file."""
    source_samples: int
    """Samples per channel in the file."""
    stamp: tuple[int, int]
    """Size in bytes and time of change in nanoseconds, by which another file under the same name is told."""
    budget: Budget = DEFAULT_BUDGET

    @property
    def start_sec(self) -> Fraction:
        """0."""
        return Fraction(0)

    @property
    def sample_count(self) -> int:
        """Number of samples: round(seconds × rate_hz)."""
        return round(Fraction(self.source_samples, self.source_rate_hz) * self.rate_hz)

    @property
    def duration_sec(self) -> Fraction:
        """Exact length in seconds, as `Waveform` has it."""
        return Fraction(self.sample_count, self.rate_hz)

    @property
    def samples(self) -> Samples:
        """All samples [S], read anew and not kept."""
        samples = _gathered(self._blocks(), expected=self.sample_count)
        samples.setflags(write=False)
        return samples

    def pieces(self, step: int, *, before: int = 0, after: int = 0) -> Pieces:
        """Yields the sound `step` samples at a time with what lies around; see `auteur.signals.Sound.pieces`.

        Raises:
            UsageError: `step` is below 1, or `before` or `after` below 0.
            MediaError: The file has gone or is another one by now.
        """
        return overlapping(self._blocks(), self.sample_count, step, before=before, after=after)

    def resample(self, rate_hz: int) -> "SpeechFile":
        """Returns the same speech at another sample rate (soxr "HQ"), always from the file's own."""
        return replace(self, rate_hz=rate_hz)

    def _blocks(self) -> Generator[Samples]:
        """Exactly `sample_count` samples: what the resampler gives is cut, or filled up with zeros."""
        left = self.sample_count
        with open_source(self.path, self.budget) as source, open_audio(source, self.budget) as audio:
            if _stamp(source) != self.stamp:
                raise MediaError(f"{source.name} changed while it was in use; start again")
            for block in _resampled(_mono(audio), audio.rate_hz, self.rate_hz):
                yield block[:left]
                left -= min(left, block.size)
                if not left:
                    return
        yield np.zeros(left, np.float32)


def open_speech(
    path: Path | str, *, rate_hz: int | None = SPEECH_RATE_HZ, budget: Budget = DEFAULT_BUDGET
) -> tuple[SpeechFile, SpeechNotes]:
    """The sound of a recording or video as mono speech that stays in its file, and notes about its quality.

    All of it is read once, so that damage shows here; samples and errors are those of `examine_speech`.
    """
    with open_source(path, budget) as source, open_audio(source, budget) as audio:
        meter = _Meter(source, audio)
        for _ in meter.blocks():
            pass
        notes = meter.notes()
        speech = SpeechFile(
            path=Path(path),
            rate_hz=rate_hz or audio.rate_hz,
            source_rate_hz=audio.rate_hz,
            source_samples=meter.samples,
            stamp=_stamp(source),
            budget=budget,
        )
    return speech, notes


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
            another number of channels, or holds NaN or infinity.
    """
    with open_source(path, budget) as source, open_audio(source, budget) as audio:
        meter, rate = _Meter(source, audio), rate_hz or audio.rate_hz
        blocks = _resampled(meter.blocks(), audio.rate_hz, rate)
        samples = _gathered(blocks, expected=math.ceil((audio.duration_sec or 0) * rate) + rate)
        notes = meter.notes()
        count = round(Fraction(meter.samples, audio.rate_hz) * rate)
    samples.resize(count, refcheck=False)  # in place: cut, or filled with zeros
    samples.setflags(write=False)
    return Waveform(samples=samples, rate_hz=rate), notes


def _gathered(parts: Iterator[Samples], *, expected: int) -> Samples:
    """All parts in one row. Memory holds the sound once if no more come than expected, twice otherwise."""
    row = np.zeros(expected, np.float32)
    filled = 0
    for part in parts:
        if filled + part.size > row.size:
            row.resize(2 * (filled + part.size), refcheck=False)
        row[filled : filled + part.size] = part
        filled += part.size
    row.resize(filled, refcheck=False)
    return row


def _stamp(source: Source) -> tuple[int, int]:
    status = os.fstat(source.file.fileno())
    return status.st_size, status.st_mtime_ns


def _mono(audio: AudioBlocks) -> Iterator[Samples]:
    weights = _MIX_WEIGHTS[audio.channels].astype(np.float32)
    return (block @ weights for block in audio.blocks if block.size)


def _resampled(blocks: Iterator[Samples], from_hz: int, to_hz: int) -> Iterator[Samples]:
    if from_hz == to_hz:
        yield from blocks
        return
    stream = soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32", quality="HQ")
    for block in blocks:
        yield stream.resample_chunk(block)
    yield stream.resample_chunk(np.zeros(0, np.float32), last=True)


class _Meter:
    """Measures speech while it is read for the first time."""

    def __init__(self, source: Source, audio: AudioBlocks) -> None:
        if audio.channels not in _MIX_WEIGHTS:
            raise MediaError(f"{source.name} has {audio.channels} channels; give mono, stereo or 5.1")
        self.samples = 0
        self._name, self._audio = source.name, audio
        self._peak = 0.0
        self._clipped = 0
        self._sum = 0.0

    def blocks(self) -> Iterator[Samples]:
        """Yields the mono mix."""
        for block in _mono(self._audio):
            level = np.abs(block)
            self.samples += block.size
            self._peak = max(self._peak, float(level.max()))
            self._clipped += int((level >= _CLIP_LEVEL).sum())
            self._sum += float(block.sum(dtype=np.float64))
            yield block

    def notes(self) -> SpeechNotes:
        """Returns what was found, once all blocks are through.

        Raises:
            MediaError: They were too few.
        """
        duration_sec = Fraction(self.samples, self._audio.rate_hz)
        if duration_sec < MIN_SPEECH_SEC:
            raise MediaError(
                f"{self._name} lasts {float(duration_sec):.3f} s; speech of at least "
                f"{float(MIN_SPEECH_SEC)} s is needed; choose a longer recording"
            )
        return SpeechNotes(
            source_rate_hz=self._audio.rate_hz,
            peak=self._peak,
            clipped_share=self._clipped / self.samples,
            offset=self._sum / self.samples,
        )
