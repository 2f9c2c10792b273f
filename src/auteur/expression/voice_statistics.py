"""Statistics of a whole recording that carry emotion: timbre, pitch contour, voice quality and rhythm.

Everything is computed from the rows of `auteur.expression.acoustic_features`, which are relative to the
recording's own loudness. F stands for the statistics, C for contours, N for rows.
"""

import numpy as np
from numpy.typing import NDArray

from auteur.expression.acoustic_features import BANDS

Floats = NDArray[np.floating]

ACTIVE_POWER = 1e-3
"""Mean power of a row, relative to the loud ones, from which something sounds."""

CEPSTRA = 20
"""Cepstral coefficients of a row."""
_COSINES = np.sqrt(2 / BANDS) * np.cos(np.pi / BANDS * np.outer(np.arange(BANDS) + 0.5, np.arange(CEPSTRA)))
_COSINES[:, 0] /= np.sqrt(2)
"""Orthonormal discrete cosine transform, bands to cepstra."""
_PERCENTILES = (5, 25, 50, 75, 95)
_LOW, _HIGH = 36, 68
"""First bands above about 1 kHz and 4 kHz."""
_PARTS = 5
_LEAST_VOICED = 8
"""Voiced rows below which pitch has no statistics."""


def power_of(rows: Floats) -> Floats:
    """Returns the mean power of rows [N, CHANNELS], relative to the recording's loud ones, [N]."""
    return np.exp(rows[:, :BANDS] * 3 - 6).mean(1)


def voice_statistics(rows: Floats) -> Floats:
    """Returns the statistics of a recording, [F] float32; those of what does not occur in it are 0.

    Args:
        rows: [N, CHANNELS] from the first sound to the last, N at least 1.
    """
    is_active = power_of(rows) > ACTIVE_POWER
    is_voiced = is_active & (rows[:, BANDS] != 0)
    contours = _timbre(rows[:, :BANDS])
    change = np.abs(contours[2:] - contours[:-2]) / 2
    voicing = np.clip(rows[:, BANDS + 1], 0.01, 0.995)
    harmonics = np.log(voicing / (1 - voicing))  # harmonics to noise
    parts = (
        _distribution(contours[is_voiced]),
        _distribution(contours[is_active])[:3],
        _distribution(change[is_active[1:-1]])[[0, 1, 7]],
        _distribution(contours[is_active & ~is_voiced])[:2],
        _distribution(harmonics[is_voiced, None]),
        _pitch(rows[:, BANDS], is_voiced),
        _rhythm(is_voiced, is_active),
        _course(np.stack([contours[:, 0], rows[:, BANDS], contours[:, 1], harmonics], 1), is_voiced),
    )
    return np.concatenate([part.ravel() for part in parts]).astype(np.float32)


def _timbre(bands: Floats) -> Floats:
    """Level, tilts, centre, spread, entropy and change of the spectrum, and its cepstrum, [N, 28]."""
    power = np.exp(bands * 3 - 6)
    level = np.log(power.mean(1) + 1e-6)
    low, high = bands[:, :_LOW].mean(1), bands[:, _LOW:_HIGH].mean(1)
    top = bands[:, _HIGH:].mean(1)
    share, place = power / power.sum(1, keepdims=True), np.arange(BANDS) / BANDS
    centre = share @ place
    spread = np.sqrt((share * np.square(place - centre[:, None])).sum(1))
    entropy = -(share * np.log(share + 1e-9)).sum(1)
    flux = np.abs(np.diff(bands, axis=0, prepend=bands[:1])).mean(1)
    shape = np.stack([level, low - high, high - top, low - top, centre, spread, entropy, flux], 1)
    return np.concatenate([shape, cepstra(bands)], 1)


def cepstra(bands: Floats) -> Floats:
    """Returns the first cepstral coefficients [N, CEPSTRA] of bands [N, BANDS]."""
    return bands @ _COSINES


def _distribution(values: Floats) -> Floats:
    """Mean, deviation, skewness, percentiles and their span of contours [N, C], [9, C]."""
    if len(values) < 3:
        return np.zeros((len(_PERCENTILES) + 4, values.shape[1]))
    mean, deviation = values.mean(0), values.std(0) + 1e-4
    skewness = (((values - mean) / deviation) ** 3).mean(0)
    percentiles = np.percentile(values, _PERCENTILES, axis=0)
    return np.stack([mean, deviation, skewness, *percentiles, percentiles[-1] - percentiles[0]])


def _runs(is_voiced: NDArray[np.bool_]) -> list[slice]:
    edges = np.flatnonzero(np.diff(is_voiced.astype(int), prepend=0, append=0))
    return [slice(first, stop) for first, stop in zip(edges[::2], edges[1::2], strict=True)]


def _pitch(octave: Floats, is_voiced: NDArray[np.bool_]) -> Floats:
    """Distribution, trend, steps and runs of the pitch in octaves, [27]."""
    voiced = octave[is_voiced]
    if len(voiced) < _LEAST_VOICED:
        return np.zeros(27)
    steps = np.diff(octave)[is_voiced[1:] & is_voiced[:-1]]
    steps = steps if len(steps) else np.zeros(1)
    runs = [octave[run] for run in _runs(is_voiced)]
    height, span = np.array([run.mean() for run in runs]), np.array([np.ptp(run) for run in runs])
    slope = np.array([run[-1] - run[0] for run in runs])
    trend = np.polyfit(np.linspace(-1, 1, len(octave))[is_voiced], voiced, 3)[:3]
    moves = [voiced.max(), voiced.min(), np.abs(steps).mean(), steps.std(), (steps > 0).mean()]
    moves += [np.clip(steps, 0, None).mean(), height[0], height[-1], height.std(), span.mean(), span.max()]
    moves += [slope.mean(), slope[-1], slope[0], np.median(np.abs(voiced - np.median(voiced)))]
    return np.concatenate([_distribution(voiced[:, None])[:, 0], trend, moves])


def _rhythm(is_voiced: NDArray[np.bool_], is_active: NDArray[np.bool_]) -> Floats:
    """Voiced runs per second and their lengths, shares of voice and sound, length of the recording, [7]."""
    lengths = np.array([run.stop - run.start for run in _runs(is_voiced)])
    if is_voiced.sum() < _LEAST_VOICED:
        return np.array([0, 0, 0, 0, 0, 0, np.log(len(is_voiced))])
    runs = [len(lengths) / len(is_voiced) * 50, lengths.mean(), lengths.std(), lengths.max()]
    return np.array([*runs, is_voiced.mean(), is_active.mean(), np.log(len(is_voiced))])


def _course(contours: Floats, is_voiced: NDArray[np.bool_]) -> Floats:
    """Means of contours [N, C] over fifths of the recording, less the mean over all of it, [5, C]."""
    whole = contours[is_voiced].mean(0) if is_voiced.any() else 0
    parts = zip(np.array_split(contours, _PARTS), np.array_split(is_voiced, _PARTS), strict=True)
    none = np.zeros(contours.shape[1])
    return np.stack([part[voiced].mean(0) - whole if voiced.any() else none for part, voiced in parts])


STATISTICS = len(voice_statistics(np.zeros((9, BANDS + 2), np.float32)))
"""F."""
