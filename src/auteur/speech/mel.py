"""Log-mel frames of speech, and the levelling that removes loudness and microphone from them."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from auteur.signals import Sound


@dataclass(frozen=True, kw_only=True)
class MelConfig:
    """The analysis; saved with the encoder, because weights only fit the analysis they were trained on."""

    rate_hz: int = 16_000
    hop_samples: int = 160
    window_samples: int = 400
    fft_size: int = 512
    bands: int = 80
    low_hz: float = 40.0
    high_hz: float = 7_600.0

    @property
    def frames_per_sec(self) -> int:
        """Frames per second: 100 by default."""
        return self.rate_hz // self.hop_samples


@dataclass(frozen=True)
class Level:
    """Average level of a recording's speech."""

    reference: Tensor
    """Power of its loud frames, [..., 1]; infinity if none of it is speech."""
    band_mean: Tensor
    """Mean levelled log power of each band over the frames with speech, [..., bands]."""


PIECE_FRAMES = 3_000
"""Frames that are analysed at once by default: 30 s."""
SILENT_POWER = 1e-9
"""Recordings whose loud frames stay below this (about -65 dBFS) are silence, not quiet speech."""
_HISS_POWER = 2e-7
"""Steady hiss with loud frames below this (about -50 dBFS) is silence, too: speech as quiet as that
still has syllables."""
_STEADY_RATIO = 2.5
"""Hiss and hum have less than this between loud frames and the lower quartile: white noise 1.3, speech over
music 2.7, speech in a quiet room far more."""
_FLOOR = 1e-5
_ACTIVE = 1e-3
_PRIOR_FRAMES = 200.0
_PRIOR_MEAN_LOW_BAND = -2.5
_PRIOR_MEAN_HIGH_BAND = -8.5


def mel_filters(config: MelConfig) -> Tensor:
    """Returns triangular filters, evenly spaced in mel (2595 log10(1 + f/700)), [bins, bands]."""

    def mel(hertz: float) -> float:
        return 2595 * math.log10(1 + hertz / 700)

    edges_mel = torch.linspace(mel(config.low_hz), mel(config.high_hz), config.bands + 2, dtype=torch.float64)
    edges = 700 * (10 ** (edges_mel / 2595) - 1)
    bins = torch.arange(config.fft_size // 2 + 1, dtype=torch.float64) * config.rate_hz / config.fft_size
    rising = (bins[:, None] - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins[:, None]) / (edges[2:] - edges[1:-1])
    return torch.minimum(rising, falling).clamp(min=0).float()


def frame_count(samples: int, config: MelConfig) -> int:
    """Returns how many frames begin within `samples`: frame `i` is centred on sample `i * hop_samples`."""
    return -(-samples // config.hop_samples)


def mel_power(samples: Tensor, config: MelConfig) -> Tensor:
    """Returns the mel power of every 10-ms instant; zeros are assumed around the samples.

    Args:
        samples: float [..., S].
        config: The analysis.

    Returns:
        [..., ceil(S / hop_samples), bands]; a full-scale sine has about 0.25 in its band.
    """
    half = config.window_samples // 2
    frames = frame_count(samples.shape[-1], config)
    missing = (frames - 1) * config.hop_samples + half - samples.shape[-1]
    padded = torch.nn.functional.pad(samples, (half, max(missing, 0)))
    return mel_power_of_padded(padded, config)[..., :frames, :]


def mel_power_of_padded(samples: Tensor, config: MelConfig) -> Tensor:
    """Returns the mel power of every whole window of `samples`, [..., frames, bands], without any padding."""
    window = torch.hann_window(config.window_samples, dtype=samples.dtype, device=samples.device)
    pieces = samples.unfold(-1, config.window_samples, config.hop_samples)
    spectrum = torch.fft.rfft(pieces * (window / window.sum()), n=config.fft_size)
    return spectrum.abs().square() @ mel_filters(config).to(samples)


def mel_pieces(
    sound: Sound, step: int, config: MelConfig, *, past: int = 0, future: int = 0
) -> Iterator[tuple[int, Tensor]]:
    """Yields the mel power of a sound `step` frames at a time, so that memory does not grow with its length.

    Each piece comes with up to `past` frames before and `future` after it, as far as there are any; zeros are
    assumed around the sound, as in `mel_power`.

    Yields:
        Number of its first frame, and [frames, bands].
    """
    hop, half = config.hop_samples, config.window_samples // 2
    total = frame_count(sound.sample_count, config)
    pieces = sound.pieces(step * hop, before=past * hop + half, after=future * hop + half)
    for number, (begin, samples) in enumerate(pieces):
        first = max(number * step - past, 0)
        frames = min((number + 1) * step + future, total) - first
        length = (frames - 1) * hop + 2 * half
        before = begin - (first * hop - half)
        inside = torch.from_numpy(np.array(samples[: length - before]))
        after = length - before - len(inside)
        yield first, mel_power_of_padded(torch.nn.functional.pad(inside, (before, after)), config)


def frame_power_of(sound: Sound, config: MelConfig, *, step: int = PIECE_FRAMES) -> Tensor:
    """Returns the mean mel power of each 10-ms instant of a sound, [T]; goes through it in pieces."""
    # Filled in place: small results kept between large pieces would keep the memory of those in use.
    result = torch.empty(frame_count(sound.sample_count, config))
    for first, power in mel_pieces(sound, step, config):
        result[first : first + len(power)] = power.mean(-1)
    return result


def level_of(sound: Sound, config: MelConfig, *, step: int = PIECE_FRAMES) -> Level:
    """Returns the level of a sound, going through it twice in pieces: `measure_level` for any length."""
    reference = reference_power(frame_power_of(sound, config, step=step))
    return level_of_pieces((power for _, power in mel_pieces(sound, step, config)), reference)


def measure_level(power: Tensor) -> Level:
    """Returns the level of recordings whose mel power is at hand, [..., T, bands]."""
    reference = reference_power(power.mean(-1))
    total, count = active_sum(power, reference)
    return finish_level(reference, total, count)


def reference_power(frame_power: Tensor) -> Tensor:
    """Returns the 95th percentile of the frame powers [..., T], at least `SILENT_POWER`, as [..., 1].

    Infinity where nothing but a faint steady hiss sounds, which is then as far below it as digital silence.
    """
    shares = torch.tensor([0.25, 0.95], dtype=frame_power.dtype, device=frame_power.device)
    quartile, loud = torch.quantile(frame_power, shares, dim=-1, keepdim=True)
    is_hiss = (loud > SILENT_POWER) & (loud < _HISS_POWER) & (loud < _STEADY_RATIO * quartile)
    return torch.where(is_hiss, torch.inf, loud.clamp(min=SILENT_POWER))


def active_sum(power: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the sum of log power over frames with speech, [..., bands], and their number, [..., 1]."""
    is_active = (power.mean(-1) > _ACTIVE * reference).to(power.dtype)
    log_power = torch.log(power / reference[..., None] + _FLOOR)
    return (log_power * is_active[..., None]).sum(-2), is_active.sum(-1, keepdim=True)


def finish_level(reference: Tensor, total: Tensor, count: Tensor) -> Level:
    """Returns the level from the sums of `active_sum`; two seconds of prior keep short recordings sane."""
    bands = total.shape[-1]
    usual = torch.linspace(_PRIOR_MEAN_LOW_BAND, _PRIOR_MEAN_HIGH_BAND, bands).to(total)
    mean = (total + _PRIOR_FRAMES * usual) / (count + _PRIOR_FRAMES)
    return Level(reference, mean.to(reference.dtype))


def level_of_pieces(pieces: Iterable[Tensor], reference: Tensor) -> Level:
    """Returns the level of one recording whose mel power [T, bands] comes in pieces; sums in float64."""
    total, count = torch.zeros((), dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    for piece in pieces:
        piece_total, piece_count = active_sum(piece, reference)
        total, count = total + piece_total, count + piece_count
    return finish_level(reference, total, count)


def levelled(power: Tensor, level: Level) -> Tensor:
    """Returns log power without the recording's own level and band means, [..., T, bands]: -11 to 9."""
    log_power = torch.log(power / level.reference[..., None] + _FLOOR)
    return log_power - level.band_mean[..., None, :]


def loudness(power: Tensor, level: Level) -> Tensor:
    """Returns loudness per frame, [..., T]: 1 at the power of the loud frames, 0 at 50 dB below.

    A recording in which nothing is louder than `SILENT_POWER` has loudness 0 throughout.
    """
    return loudness_of_frames(power.mean(-1), level.reference)


def loudness_of_frames(frame_power: Tensor, reference: Tensor) -> Tensor:
    """Returns `loudness` from the mean power of each frame [..., T] and the loud frames' power [..., 1]."""
    decades = torch.log10(frame_power / reference + _FLOOR)
    return (1 + decades / 5) * (reference > SILENT_POWER)
