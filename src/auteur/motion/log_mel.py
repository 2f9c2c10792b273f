"""Speech features without any network: levelled log-mel bands and loudness, for models trained on them."""

from fractions import Fraction

import numpy as np
import torch
from torch import Tensor

from auteur.signals import Sound
from auteur.speech.mel import MelConfig, levelled, loudness, measure_level, mel_power

BANDS = 40
"""Bands per frame; the analysis' 80 are averaged in pairs."""


class LogMelFeatures:
    """Levelled log-mel bands of the 40 ms around each frame, in two halves, then loudness."""

    dim = 2 * BANDS + 1

    def encode(self, waveform: Sound, rate: Fraction) -> Tensor:
        """Returns features [T, 81]; frame `k` describes the instant `k / rate` s after the start."""
        config = MelConfig()
        samples = torch.from_numpy(np.array(waveform.resample(config.rate_hz).samples))
        power = mel_power(samples, config)
        level = measure_level(power)
        bands = levelled(power, level).unflatten(-1, (BANDS, 2)).mean(-1)
        loud = loudness(power, level)[:, None]
        frames = round(waveform.duration_sec * rate)
        centre = torch.arange(frames, dtype=torch.float64) * (config.frames_per_sec / float(rate))
        halves = [_mean_around(bands, centre + offset) for offset in (-1.0, 1.0)]
        return torch.cat([*halves, _mean_around(loud, centre)], dim=-1)


def _mean_around(values: Tensor, position: Tensor) -> Tensor:
    """Mean of the three rows around each position, [T, D]; the ends are held."""
    rows = position.round().long()[:, None] + torch.tensor([-1, 0, 1])
    return values[rows.clamp(0, values.shape[0] - 1)].mean(1)
