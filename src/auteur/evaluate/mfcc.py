"""Mel-frequency cepstra as SyncNet was trained on them: python_speech_features' definition, at 16 kHz.

S samples, N frames.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

RATE_HZ = 16_000
WINDOW, STEP, POINTS = 400, 160, 512
"""25 ms windows every 10 ms, padded to 512 points."""
FILTERS, COEFFICIENTS, LIFTER, PRE_EMPHASIS = 26, 13, 22, 0.97


def mfcc(samples: Floats) -> Floats:
    """Returns 13 cepstra [N, 13] of sound [S] at 16 kHz in 16-bit units (full scale 32768).

    Pre-emphasis, square windows, power spectrum, 26 triangular filters from 0 to 8 kHz, logarithm,
    orthonormal cosine transform, sinusoidal lifter; the first coefficient is replaced by the log energy.
    """
    samples = np.asarray(samples, dtype=np.float64)
    signal = np.append(samples[0], samples[1:] - PRE_EMPHASIS * samples[:-1])
    count = 1 if len(signal) <= WINDOW else 1 + int(np.ceil((len(signal) - WINDOW) / STEP))
    padded = np.pad(signal, (0, max(0, (count - 1) * STEP + WINDOW - len(signal))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::STEP][:count]
    power = np.abs(np.fft.rfft(frames, POINTS)) ** 2 / POINTS
    smallest = np.finfo(float).eps
    energy = power.sum(axis=1)
    bands = power @ filter_bank().T
    logs = np.log(np.where(bands == 0, smallest, bands))
    cepstra = logs @ _cosine().T[:, :COEFFICIENTS]
    cepstra *= 1 + LIFTER / 2 * np.sin(np.pi * np.arange(COEFFICIENTS) / LIFTER)
    cepstra[:, 0] = np.log(np.where(energy == 0, smallest, energy))
    return cepstra


def filter_bank() -> Floats:
    """Returns the triangular mel filters [26, 257]."""
    highest = 2595 * np.log10(1 + RATE_HZ / 2 / 700)
    hertz = 700 * (10 ** (np.linspace(0, highest, FILTERS + 2) / 2595) - 1)
    bins = np.floor((POINTS + 1) * hertz / RATE_HZ)
    points = np.arange(POINTS // 2 + 1)
    left, middle, right = bins[:-2, None], bins[1:-1, None], bins[2:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        rising, falling = (points - left) / (middle - left), (right - points) / (right - middle)
    rises = (points >= np.floor(left)) & (points < middle)
    falls = (points >= middle) & (points < right)
    return np.where(rises, rising, np.where(falls, falling, 0.0))


def _cosine() -> Floats:
    """The orthonormal type-2 cosine transform [26, 26]."""
    order, place = np.arange(FILTERS)[:, None], np.arange(FILTERS)[None]
    matrix = np.cos(np.pi * order * (2 * place + 1) / (2 * FILTERS)) * np.sqrt(2 / FILTERS)
    matrix[0] /= np.sqrt(2)
    return matrix
