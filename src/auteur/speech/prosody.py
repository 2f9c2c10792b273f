"""Loudness and pitch of speech: simple, robust, NumPy only."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from auteur.signals import Sound

_RATE_HZ = 16_000
_HOP_SAMPLES = 160
_WINDOW_SAMPLES = 1024
_BLOCK_FRAMES = 100
LOWEST_HZ, HIGHEST_HZ = 60.0, 500.0
_SHORTEST_LAG, _LONGEST_LAG = int(_RATE_HZ / HIGHEST_HZ), int(_RATE_HZ / LOWEST_HZ)
_DIP = 0.15
_VOICED = 0.35
_FAINTEST = 1e-6
FRAME_RATE = Fraction(_RATE_HZ, _HOP_SAMPLES)
"""Frames per second of everything here: frame `k` is centred on `k / 100` s."""

Frames = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Pitch:
    """Fundamental frequency at 100 frames per second."""

    f0_hz: Frames
    """[T] in Hz, 60 to 500; 0 where the voice does not sound."""
    voicing: Frames
    """[T] in [0, 1]: how periodic the sound is."""


def energy_db(waveform: Sound) -> Frames:
    """Returns the level of every 10 ms (RMS over 64 ms) in dB of full scale, [T], at least -120."""
    blocks = [np.mean(np.square(frames), axis=1) for frames in _frame_blocks(waveform)]
    return (10 * np.log10(np.maximum(np.concatenate(blocks), 1e-12))).astype(np.float32)


def pitch(waveform: Sound) -> Pitch:
    """Returns f0 and voicing every 10 ms.

    The first dip of the cumulative mean normalised difference function under 0.15, else its lowest point,
    with the lag refined by a parabola (de Cheveigné and Kawahara 2002, steps 1 to 5); a median over five
    frames removes single octave errors. Memory does not grow with the length of the speech beyond its
    result.
    """
    parts = [_pitch_of(frames) for frames in _frame_blocks(waveform)]
    f0_hz, voicing = (np.concatenate(each) for each in zip(*parts, strict=True))
    is_voiced = _median_of_five(voicing) > 1 - _VOICED
    smooth = np.where(is_voiced, _median_of_five(f0_hz), 0)
    return Pitch(smooth.astype(np.float32), voicing.astype(np.float32))


def _frame_blocks(waveform: Sound) -> Iterator[Frames]:
    """Views of the sound, at most 1 s each: [frames, window]; zeros are assumed around it."""
    sound, half = waveform.resample(_RATE_HZ), _WINDOW_SAMPLES // 2
    step = _BLOCK_FRAMES * _HOP_SAMPLES
    for number, (begin, samples) in enumerate(sound.pieces(step, before=half, after=half)):
        start = number * step
        frames = -(-(min(start + step, sound.sample_count) - start) // _HOP_SAMPLES)
        needed = (frames - 1) * _HOP_SAMPLES + _WINDOW_SAMPLES
        before = begin - (start - half)
        inside = samples[: needed - before]
        padded = np.pad(inside, (before, needed - before - inside.size))
        yield np.lib.stride_tricks.sliding_window_view(padded, _WINDOW_SAMPLES)[::_HOP_SAMPLES]


def _pitch_of(frames: Frames) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    normalised = _normalised_difference(frames - frames.mean(1, keepdims=True))
    searched = normalised[:, _SHORTEST_LAG:_LONGEST_LAG]
    below = searched < _DIP
    rising = np.diff(searched, axis=1, append=np.inf) >= 0
    is_dip = below & rising
    first = np.where(is_dip.any(1), is_dip.argmax(1), searched.argmin(1)) + _SHORTEST_LAG
    row = np.arange(len(frames))
    before, here, after = (normalised[row, first + step] for step in (-1, 0, 1))
    bend = before - 2 * here + after
    shift = np.where(bend > 1e-9, 0.5 * (before - after) / np.maximum(bend, 1e-9), 0).clip(-0.5, 0.5)
    is_loud = np.mean(np.square(frames), axis=1) > _FAINTEST
    return _RATE_HZ / (first + shift), np.where(is_loud, (1 - here).clip(0, 1), 0)


def _normalised_difference(frames: Frames) -> NDArray[np.float64]:
    """d'(lag) of every frame, [frames, longest lag + 2]; equation 8 of the paper."""
    lags = _LONGEST_LAG + 2
    span = _WINDOW_SAMPLES - lags
    size = 2 * _WINDOW_SAMPLES
    head = np.fft.rfft(frames[:, :span], size)
    product = np.fft.irfft(np.conj(head) * np.fft.rfft(frames, size), size)[:, :lags]
    square = np.cumsum(np.pad(np.square(frames, dtype=np.float64), ((0, 0), (1, 0))), axis=1)
    energy = square[:, span : span + lags] - square[:, :lags]
    difference = np.maximum(energy[:, :1] + energy - 2 * product, 0)
    running = np.cumsum(difference[:, 1:], axis=1) / np.arange(1, lags)
    quiet = np.ones_like(difference)
    np.divide(difference[:, 1:], running, out=quiet[:, 1:], where=running > 1e-12)
    return quiet


def _median_of_five(values: NDArray[np.float64]) -> NDArray[np.float64]:
    padded = np.pad(values, 2, mode="edge")
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, 5), axis=1)
