"""Acoustic features of the compact models: log-mel bands, pitch and voicing, 50 per second.

Loudness is relative to the recording's own loud frames, so a quiet recording has the features of a loud one.
Unlike the speech encoder's input, band means stay in: spectral tilt carries effort and anger.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from auteur.signals import Sound
from auteur.speech.mel import SILENT_POWER, MelConfig, frame_count, mel_pieces, reference_power
from auteur.speech.prosody import pitch

BANDS = 80
CHANNELS = BANDS + 2
"""Bands, then log2(f0 / 150 Hz) where the voice sounds (else 0), then voicing in [0, 1]."""

_MIDDLE_HZ = 150.0
_FLOOR = 1e-5
_VOICED_FROM = 0.65
_PIECE_FRAMES = 100 * 5


@dataclass(frozen=True, kw_only=True, eq=False)
class AcousticFeatures:
    """Acoustic features of a recording."""

    rows: NDArray[np.float32]
    """[N, CHANNELS], 50 a second, row `k` at `k / 50` s; bands are (log power + 6) / 3, about -1.8 to 2."""
    peak_power: float
    """Mel power of the loud frames; `SILENT_POWER` or less is silence, infinity a faint hiss."""
    voiced_share: float
    """Share of the 20-ms instants in which something periodic sounds."""

    @property
    def is_silent(self) -> bool:
        """Whether nothing is loud enough to be speech."""
        return not SILENT_POWER < self.peak_power < np.inf


def acoustic_features(waveform: Sound) -> AcousticFeatures:
    """Returns the rows of a recording: ceil(seconds × 50) of them.

    Five seconds are analysed at a time; memory beyond the result does not grow with the length.
    """
    config = MelConfig()
    sound = waveform.resample(config.rate_hz)
    count = frame_count(sound.sample_count, config)
    rows = np.empty((-(-count // 2), CHANNELS), np.float32)
    frame_power = torch.empty(count)
    for first, power in mel_pieces(sound, _PIECE_FRAMES, config):
        frame_power[first : first + len(power)] = power.mean(-1)
        pairs = _in_pairs(power)
        rows[first // 2 :][: len(pairs), :BANDS] = pairs
    reference = reference_power(frame_power)
    for part in np.split(rows, range(_PIECE_FRAMES, len(rows), _PIECE_FRAMES)):
        part[:, :BANDS] = (torch.log(torch.from_numpy(part[:, :BANDS]) / reference + _FLOOR) + 6) / 3
    voice = pitch(sound)
    sounds = voice.f0_hz > 0
    octave = np.where(sounds, np.log2(np.maximum(voice.f0_hz, 1) / _MIDDLE_HZ), 0)
    rows[:, BANDS], rows[:, BANDS + 1] = octave[::2], voice.voicing[::2]
    return AcousticFeatures(
        rows=rows,
        peak_power=float(reference),
        voiced_share=float(np.mean(sounds & (voice.voicing > _VOICED_FROM))),
    )


def _in_pairs(power: Tensor) -> Tensor:
    """Mean of each 10-ms frame and the next, [ceil(N / 2), bands]."""
    if len(power) % 2:
        power = torch.cat([power, power[-1:]])
    return power.unflatten(0, (-1, 2)).mean(1)
