"""What the compact models hear: log-mel bands, pitch and voicing, 50 times a second.

Loudness is relative to the recording's own loud frames, so a quiet recording says the same as a loud one.
Unlike the speech encoder's input, band means stay in: spectral tilt is how effort and anger sound.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from auteur.signals import Waveform
from auteur.speech.mel import SILENT_POWER, MelConfig, mel_power, reference_power
from auteur.speech.prosody import pitch

HEARING_RATE = Fraction(50)
"""Rows per second: row `k` describes the instant `k / 50` s."""

BANDS = 80
CHANNELS = BANDS + 2
"""Bands, then log2(f0 / 150 Hz) where the voice sounds (else 0), then voicing in [0, 1]."""

_MIDDLE_HZ = 150.0
_FLOOR = 1e-5
_VOICED_FROM = 0.65
_PIECE_SAMPLES = 16_000 * 60


@dataclass(frozen=True, kw_only=True, eq=False)
class Hearing:
    """A recording as the compact models hear it."""

    rows: NDArray[np.float32]
    """[N, CHANNELS] at `HEARING_RATE`; bands are (log power + 6) / 3, about -1.8 to 2."""
    peak_power: float
    """Mel power of the loud frames; `SILENT_POWER` or less is silence."""
    voiced_share: float
    """Share of the 20-ms instants in which something periodic sounds."""

    @property
    def is_silent(self) -> bool:
        """Whether nothing is loud enough to be speech."""
        return self.peak_power <= SILENT_POWER


def hear(waveform: Waveform) -> Hearing:
    """Returns the rows of a recording: ceil(seconds × 50) of them.

    A minute is analysed at a time; memory beyond the result does not grow with the length.
    """
    config = MelConfig()
    samples = torch.from_numpy(np.array(waveform.resample(config.rate_hz).samples))
    power = torch.cat([_power(samples, start, config) for start in range(0, len(samples), _PIECE_SAMPLES)])
    reference = reference_power(power.mean(-1))
    voice = pitch(waveform)
    count = len(power)
    f0_hz, voicing = voice.f0_hz[:count], voice.voicing[:count]
    sounds = f0_hz > 0
    octave = np.where(sounds, np.log2(np.maximum(f0_hz, 1) / _MIDDLE_HZ), 0)
    bands = (torch.log(_in_pairs(power) / reference + _FLOOR) + 6) / 3
    rows = np.concatenate(
        [bands.numpy(), octave[::2, None], voicing[::2, None]], axis=1, dtype=np.float32, casting="same_kind"
    )
    return Hearing(
        rows=rows,
        peak_power=float(reference),
        voiced_share=float(np.mean(sounds & (voicing > _VOICED_FROM))),
    )


def _power(samples: Tensor, start: int, config: MelConfig) -> Tensor:
    """Mel power of one piece with the sound around it, [frames, bands] at 100 Hz."""
    margin = config.hop_samples * 2
    first = max(start - margin, 0)
    piece = mel_power(samples[first : start + _PIECE_SAMPLES + margin], config)
    skipped = (start - first) // config.hop_samples
    return piece[skipped : skipped + _PIECE_SAMPLES // config.hop_samples]


def _in_pairs(power: Tensor) -> Tensor:
    """Mean of each 10-ms frame and the next, [ceil(N / 2), bands]."""
    if len(power) % 2:
        power = torch.cat([power, power[-1:]])
    return power.unflatten(0, (-1, 2)).mean(1)
