"""Sound over time."""

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

from auteur.errors import UsageError
from auteur.signals.sound import Pieces, Sound
from auteur.signals.spans import spans
from auteur.signals.timebase import Seconds, exact_seconds

MAX_RATE_HZ = 384_000
"""Highest sample rate of a `Waveform`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Waveform:
    """Mono sound. Sample `s` happens at `start_sec + s / rate_hz`. Speech in Auteur is at 16 kHz."""

    samples: NDArray[np.float32]
    """float32 [S], S >= 1, full scale is [-1, 1] (not enforced), finite, read-only."""
    rate_hz: int
    """Samples per second, 1 to 384,000."""
    start_sec: Fraction = Fraction(0)
    """Time of the first sample in seconds."""

    def __post_init__(self) -> None:
        samples = _own(self.samples)
        if samples.ndim != 1 or samples.size == 0:
            raise UsageError(
                f"samples have shape {samples.shape}; a waveform is one non-empty row of mono samples"
            )
        if not np.isfinite(samples).all():
            raise UsageError("samples hold NaN or infinity; every sample must be a finite number")
        _check_rate_hz(self.rate_hz)
        samples.setflags(write=False)
        object.__setattr__(self, "samples", samples)
        object.__setattr__(self, "start_sec", exact_seconds(self.start_sec, "start_sec"))

    @classmethod
    def of(cls, sound: Sound) -> "Waveform":
        """Returns a sound with all its samples in memory."""
        if isinstance(sound, cls):
            return sound
        return cls(samples=sound.samples, rate_hz=sound.rate_hz, start_sec=sound.start_sec)

    @property
    def sample_count(self) -> int:
        """Number of samples S."""
        return self.samples.size

    @property
    def duration_sec(self) -> Fraction:
        """Exact length in seconds."""
        return Fraction(self.samples.size, self.rate_hz)

    def pieces(self, step: int, *, before: int = 0, after: int = 0) -> Pieces:
        """Yields the sound `step` samples at a time with what lies around; see `Sound.pieces`.

        Raises:
            UsageError: `step` is below 1, or `before` or `after` below 0.
        """
        for _, around in spans(self.samples.size, step, before=before, after=after):
            yield around.start, self.samples[around]

    def slice(self, start_sec: Seconds, stop_sec: Seconds) -> "Waveform":
        """The samples whose time `t` satisfies `start_sec <= t < stop_sec`; they keep their times.

        Raises:
            UsageError: No sample lies in the interval.
        """
        first = math.ceil((exact_seconds(start_sec, "start_sec") - self.start_sec) * self.rate_hz)
        last = math.ceil((exact_seconds(stop_sec, "stop_sec") - self.start_sec) * self.rate_hz)
        first, last = max(first, 0), min(last, self.samples.size)
        if first >= last:
            stop = float(self.start_sec + self.duration_sec)
            raise UsageError(
                f"no sample between {float(start_sec):g} s and {float(stop_sec):g} s; "
                f"this sound covers {float(self.start_sec):g} s to {stop:g} s"
            )
        start = self.start_sec + Fraction(first, self.rate_hz)
        return Waveform(samples=self.samples[first:last], rate_hz=self.rate_hz, start_sec=start)

    def resample(self, rate_hz: int) -> "Waveform":
        """The sound at another sample rate (soxr "HQ"): `round(duration_sec * rate_hz)` samples, at least 1.

        Raises:
            UsageError: `rate_hz` is outside its range.
        """
        _check_rate_hz(rate_hz)
        if rate_hz == self.rate_hz:
            return self
        import soxr  # pyright: ignore[reportMissingTypeStubs]

        count = max(1, round(self.duration_sec * rate_hz))
        resampled: NDArray[np.float32] = soxr.resample(self.samples, self.rate_hz, rate_hz)
        samples = resampled[:count]
        samples = np.pad(samples, (0, count - samples.size))
        return Waveform(samples=samples, rate_hz=rate_hz, start_sec=self.start_sec)


def _own(samples: ArrayLike) -> NDArray[np.float32]:
    """The samples, read-only: copied, unless they are read-only already."""
    own = np.asarray(samples, dtype=np.float32)
    is_safe = own is samples and own.flags.owndata and not own.flags.writeable
    return own if is_safe else np.array(own)


def _check_rate_hz(rate_hz: int) -> None:
    if not 1 <= rate_hz <= MAX_RATE_HZ:
        raise UsageError(f"rate_hz is {rate_hz}; it must be between 1 and {MAX_RATE_HZ} samples per second")
