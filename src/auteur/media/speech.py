"""Speech in: any recording as mono at the sample rate of the models, with notes about its quality."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from auteur.errors import MediaError
from auteur.media.audio import AudioBlocks, open_audio
from auteur.media.budget import DEFAULT_BUDGET, Budget
from auteur.media.channels import to_stereo
from auteur.media.soundtrack import Soundtrack, check_stamp, played_rate_hz, resampled, stamp_of
from auteur.media.source import open_source
from auteur.signals import Waveform
from auteur.signals.sound import Pieces, Samples, overlapping

SPEECH_RATE_HZ = 16_000
"""Sample rate of speech inside Auteur."""

MIN_SPEECH_SEC = Fraction(1, 10)
"""Shorter recordings are refused: they hold less than one syllable."""

_SILENT_PEAK = 1e-3
_CLIP_LEVEL, _CLIP_SHARE = 0.999, 1e-3
_OFFSET = 0.02
_CANCELLED = 0.05
"""Part of the louder channel's power that the mean of both has at most where they cancel each other out."""
_CHANNELS = ("both channels", "the left channel", "the right channel")


@dataclass(frozen=True, kw_only=True)
class SpeechNotes:
    """Oddities of a recording that is used all the same. Levels are of the speech, full scale 1."""

    source_rate_hz: int
    peak: float
    """Largest absolute sample."""
    clipped_share: float
    """Share of samples at full scale, 0 to 1."""
    offset: float
    """Mean of all samples."""
    cancelled: str | None = None
    """The channel that is the speech where the two cancel each other out, in words."""

    @property
    def is_silent(self) -> bool:
        """Whether no sample is audible."""
        return self.peak < _SILENT_PEAK

    def lines(self) -> tuple[str, ...]:
        """One sentence per oddity; empty for a clean recording."""
        found: list[str] = []
        if self.cancelled is not None:
            found.append(
                f"the channels of the recording cancel each other out: {self.cancelled} is taken as "
                "the speech; "
                "the video's sound stays as it was recorded"
            )
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
    """Mono speech that stays in its file: decoded anew each time it is gone through; memory holds a piece.

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
    """(size in bytes, modification time in ns), to detect that the file was replaced."""
    mix: tuple[float, ...] = (1.0,)
    """Weight of each channel of the file in the speech."""
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
            MediaError: The file is gone or has been replaced.
        """
        return overlapping(self._blocks(), self.sample_count, step, before=before, after=after)

    def resample(self, rate_hz: int) -> "SpeechFile":
        """Returns the same speech at another sample rate (soxr "HQ"), always from the file's own."""
        return replace(self, rate_hz=rate_hz)

    def soundtrack(self) -> Soundtrack:
        """Returns the recording's sound as a video keeps it: its channels, its level, 44.1 kHz or more."""
        return Soundtrack(
            path=self.path,
            rate_hz=played_rate_hz(self.source_rate_hz),
            source_rate_hz=self.source_rate_hz,
            source_samples=self.source_samples,
            channels=min(len(self.mix), 2),
            stamp=self.stamp,
            budget=self.budget,
        )

    def _blocks(self) -> Generator[Samples]:
        """Exactly `sample_count` samples: what the resampler gives is cut, or filled up with zeros."""
        left = self.sample_count
        with open_source(self.path, self.budget) as source, open_audio(source, self.budget) as audio:
            check_stamp(source, self.stamp)
            weights = np.array(self.mix, dtype=np.float32)
            mono = (block @ weights for block in audio.blocks if block.size)
            for block in resampled(mono, audio.rate_hz, self.rate_hz):
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
        meter = _Meter(source.name, audio)
        for block in audio.blocks:
            meter.add(block)
        notes = meter.notes()
        speech = SpeechFile(
            path=Path(path),
            rate_hz=rate_hz or audio.rate_hz,
            source_rate_hz=audio.rate_hz,
            source_samples=meter.samples,
            stamp=stamp_of(source),
            mix=meter.mix(),
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

    The speech is the mean of left and right, more channels mixed down to these first
    (`auteur.media.channels`). Where the mean is far below both, because they are in opposite phase, the
    louder one alone is the speech. The length is `round(seconds * rate_hz)` samples.

    Args:
        path: WAV, FLAC, OGG, MP3, M4A, AAC, AIFF, CAF, AU, WMA, AMR, AC3 or a video with sound; 8 to 192 kHz;
            one to eight channels.
        rate_hz: Sample rate of the result (soxr, "HQ"); None keeps the recording's own.
        budget: Limits.

    Raises:
        MediaError: The file is missing, damaged, without sound, shorter than 0.1 s, over the budget, of an
            unknown layout of channels, or holds NaN or infinity.
    """
    speech, notes = open_speech(path, rate_hz=rate_hz, budget=budget)
    return Waveform(samples=speech.samples, rate_hz=speech.rate_hz), notes


def examine_blocks(audio: AudioBlocks, name: str) -> tuple[Waveform, SpeechNotes]:
    """As `examine_speech`, of open sound at its own rate; `name` is its name in messages."""
    meter, blocks = _Meter(name, audio), list[Samples]()
    for block in audio.blocks:
        meter.add(block)
        blocks.append(block)
    notes = meter.notes()
    mix = np.array(meter.mix(), np.float32)
    return Waveform(samples=np.concatenate([block @ mix for block in blocks]), rate_hz=audio.rate_hz), notes


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


class _Meter:
    """Measures speech while it is read for the first time."""

    def __init__(self, name: str, audio: AudioBlocks) -> None:
        self.samples = 0
        self._name, self._rate_hz = name, audio.rate_hz
        stereo = to_stereo(audio.layout, audio.channels, name)
        # Candidates for the speech: the mean of both sides, or one of them.
        sides = stereo if stereo.shape[1] > 1 else stereo[:, :0]
        self._mixes = np.concatenate([stereo.mean(axis=1, keepdims=True), sides], axis=1)
        count = self._mixes.shape[1]
        self._peak, self._sum, self._power = np.zeros((3, count))
        self._clipped = np.zeros(count, np.int64)

    def add(self, block: Samples) -> None:
        """Measures the next samples [S, C]."""
        if not block.size:
            return
        mixed = block @ self._mixes
        level = np.abs(mixed)
        self.samples += len(block)
        self._peak = np.maximum(self._peak, level.max(axis=0))
        self._clipped += (level >= _CLIP_LEVEL).sum(axis=0)
        self._sum += mixed.sum(axis=0, dtype=np.float64)
        self._power += np.square(mixed, dtype=np.float64).sum(axis=0)

    def _chosen(self) -> int:
        is_cancelled = self._power.size > 1 and self._power[0] < _CANCELLED * self._power[1:].max()
        return int(self._power.argmax()) if is_cancelled else 0

    def mix(self) -> tuple[float, ...]:
        """Returns the weight of each channel in the speech, once all blocks are through."""
        return tuple(self._mixes[:, self._chosen()].tolist())

    def notes(self) -> SpeechNotes:
        """Returns what was found, once all blocks are through.

        Raises:
            MediaError: They were too few.
        """
        duration_sec = Fraction(self.samples, self._rate_hz)
        if duration_sec < MIN_SPEECH_SEC:
            raise MediaError(
                f"{self._name} lasts {float(duration_sec):.3f} s; speech of at least "
                f"{float(MIN_SPEECH_SEC)} s is needed; choose a longer recording"
            )
        chosen = self._chosen()
        return SpeechNotes(
            source_rate_hz=self._rate_hz,
            peak=float(self._peak[chosen]),
            clipped_share=float(self._clipped[chosen]) / self.samples,
            offset=float(self._sum[chosen]) / self.samples,
            cancelled=_CHANNELS[chosen] if chosen else None,
        )
