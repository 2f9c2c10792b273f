"""Speech features without any network: levelled log-mel bands and loudness."""

from fractions import Fraction

import torch
from torch import Tensor

from auteur.signals import Sound
from auteur.speech.mel import (
    PIECE_FRAMES,
    Level,
    MelConfig,
    frame_count,
    level_of,
    levelled,
    loudness,
    measure_level,
    mel_pieces,
)

BANDS = 40
"""Bands per frame; the analysis' 80 are averaged in pairs."""


class LogMelFeatures:
    """Levelled log-mel bands of the 40 ms around each frame, in two halves, then loudness.

    Args:
        step: How many 10-ms frames are analysed at once. It changes memory, not the features.
    """

    dim = 2 * BANDS + 1

    def __init__(self, *, step: int = PIECE_FRAMES) -> None:
        self._step = step

    def encode(self, waveform: Sound, rate: Fraction, *, level: Level | None = None) -> Tensor:
        """Returns features [T, 81]; frame `k` describes the instant `k / rate` s after the start.

        Args:
            waveform: Sound at any sample rate.
            rate: Frames per second.
            level: Of the recording, where it was measured before (`auteur.speech.mel.level_of`).
        """
        config = MelConfig()
        sound = waveform.resample(config.rate_hz)
        level = level_of(sound, config, step=self._step) if level is None else level
        bands = torch.empty(frame_count(sound.sample_count, config), BANDS + 1)
        for first, power in mel_pieces(sound, self._step, config):
            bands[first : first + len(power)] = _bands(power, level)
        return _at_frames(bands, rate, round(waveform.duration_sec * rate))


def log_mel_of_power(power: Tensor, rate: Fraction, frames: int) -> Tensor:
    """Returns features [frames, 81] of one recording's mel power [F, 2 * BANDS], analysed in one piece."""
    return _at_frames(_bands(power, measure_level(power)), rate, frames)


def _at_frames(bands: Tensor, rate: Fraction, frames: int) -> Tensor:
    centre = torch.arange(frames, dtype=torch.float64) * (MelConfig().frames_per_sec / float(rate))
    halves = [_mean_around(bands[:, :BANDS], centre + offset) for offset in (-1.0, 1.0)]
    return torch.cat([*halves, _mean_around(bands[:, BANDS:], centre)], dim=-1)


def _bands(power: Tensor, level: Level) -> Tensor:
    """Bands and loudness of mel power [N, 2 * BANDS], as [N, BANDS + 1]."""
    pairs = levelled(power, level).unflatten(-1, (BANDS, 2)).mean(-1)
    return torch.cat([pairs, loudness(power, level)[:, None]], dim=-1)


def _mean_around(values: Tensor, position: Tensor) -> Tensor:
    """Mean of the three rows around each position, [T, D]; the ends are held."""
    rows = position.round().long()[:, None] + torch.tensor([-1, 0, 1])
    return values[rows.clamp(0, values.shape[0] - 1)].mean(1)
