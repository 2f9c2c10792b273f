"""What kind of voice a recording holds: song or music, and one speaker or several.

Song and music hold notes; a song without held notes passes as speech. Speakers differ in the mean and the
spread of their cepstra and in pitch, on directions that separate speakers more than moods
(`voice_directions.csv`: linear discriminant analysis over the training speakers of RAVDESS and EMO-DB,
`python -m auteur.lab.data.voice_directions`).
"""

import csv
from functools import cache
from importlib import resources
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from auteur.expression.acoustic_features import BANDS
from auteur.expression.voice_statistics import ACTIVE_POWER, CEPSTRA, cepstra, power_of

Floats = NDArray[np.floating]

SUNG_FROM = 0.6
"""Share of held notes from which a recording is song or music; of 1,608 recordings of speech none has more
than 0.59, and one in a thousand more than 0.54."""
_NOTE_ROWS = 15
"""Shortest held note: 0.3 s at 50 rows per second."""
_NOTE_OCTAVES = 0.04
"""Half a semitone, within which a held note stays after a mean over a period of vibrato."""
_VIBRATO_ROWS = 9


def held_note_share(rows: Floats) -> float:
    """Returns the share of the voiced rows [N, CHANNELS] in which a note is held, in [0, 1]."""
    voiced = (rows[:, BANDS] != 0) & (power_of(rows) > ACTIVE_POWER)
    held = np.zeros(len(rows), dtype=bool)
    edges = np.flatnonzero(np.diff(voiced.astype(int), prepend=0, append=0))
    for first, stop in zip(edges[::2], edges[1::2], strict=True):
        if stop - first < _NOTE_ROWS:
            continue
        padded = np.pad(rows[first:stop, BANDS], _VIBRATO_ROWS // 2, mode="edge")
        level = np.convolve(padded, np.full(_VIBRATO_ROWS, 1 / _VIBRATO_ROWS), mode="valid")
        spans = np.ptp(np.lib.stride_tricks.sliding_window_view(level, _NOTE_ROWS), axis=1)
        for start in first + np.flatnonzero(spans <= _NOTE_OCTAVES):
            held[start : start + _NOTE_ROWS] = True
    return float(held.sum() / max(voiced.sum(), 1))


SEVERAL_FROM = 5.5
"""Distance of the two groups of voices from which a recording has several speakers. Of made-up dialogues of
two unseen speakers (4 to 8 recordings of each corpus) 60 % are farther apart, of as many recordings of one
speaker in one mood or several at most 3 %."""
_PAUSE_ROWS = 15
_LONGEST_ROWS = 150
_LEAST_VOICED_ROWS = 30
_LEAST_GROUP_ROWS = 75
"""Voiced rows of a group below which its mean says little: 1.5 s."""
_LEAST_STRETCHES = 4


def has_several_speakers(rows: Floats) -> bool:
    """Returns whether a recording, rows [N, CHANNELS], sounds like more than one speaker.

    With fewer than four stretches of speech, or less than 1.5 s of either voice, it is one speaker's.
    """
    return speaker_distance(rows) >= SEVERAL_FROM


def speaker_distance(rows: Floats) -> float:
    """Returns how far apart the two most different groups of stretches are, at least 0.

    The unit is the deviation within speakers; groups of different size count less, since few stretches lie
    far off by chance.
    """
    voices, sizes = voices_of(rows)
    if len(sizes) < _LEAST_STRETCHES:
        return 0.0
    voices = voices @ _directions()
    middle = sizes @ voices / sizes.sum()
    spread = (voices - middle) * np.sqrt(sizes)[:, None]
    order = np.argsort(voices @ np.linalg.svd(spread, full_matrices=False)[2][0])
    voices, sizes = voices[order], sizes[order]
    largest = 0.0
    for count in range(1, len(sizes)):
        first, second = sizes[:count].sum(), sizes[count:].sum()
        if min(first, second) >= _LEAST_GROUP_ROWS:
            apart = sizes[:count] @ voices[:count] / first - sizes[count:] @ voices[count:] / second
            balance = 2 * np.sqrt(first * second) / (first + second)
            largest = max(largest, float(np.linalg.norm(apart) * balance))
    return largest


def voices_of(rows: Floats) -> tuple[Floats, Floats]:
    """Returns the voice of every stretch of speech with 0.6 s of voice, [S, 39], and its voiced rows, [S].

    A voice is the means and deviations of the cepstra but the first, and the median pitch.
    """
    is_active = power_of(rows) > ACTIVE_POWER
    is_voiced = is_active & (rows[:, BANDS] != 0)
    parts = [part for part in _stretches(is_active) if is_voiced[part].sum() >= _LEAST_VOICED_ROWS]
    voices = [_voice(rows[part][is_voiced[part]]) for part in parts]
    sizes = np.array([float(is_voiced[part].sum()) for part in parts])
    return np.array(voices).reshape(len(parts), 2 * CEPSTRA - 1), sizes


def _stretches(is_active: NDArray[np.bool_]) -> list[slice]:
    """Rows between pauses of 0.3 s and more, long ones cut to about 3 s."""
    places = np.flatnonzero(is_active)
    if not len(places):
        return []
    cuts = np.flatnonzero(np.diff(places) > _PAUSE_ROWS)
    starts, stops = [places[0], *places[cuts + 1]], [*places[cuts] + 1, places[-1] + 1]
    found: list[slice] = []
    for start, stop in zip(starts, stops, strict=True):
        edges = np.linspace(start, stop, max(1, round((stop - start) / _LONGEST_ROWS)) + 1).astype(int)
        found += [slice(a, b) for a, b in pairwise(edges.tolist())]
    return found


def _voice(voiced: Floats) -> Floats:
    found = cepstra(voiced[:, :BANDS])[:, 1:]
    return np.concatenate([found.mean(0), found.std(0), [np.median(voiced[:, BANDS])]])


@cache
def _directions() -> Floats:
    """Directions in which speakers differ, in deviations within speakers, [39, 8]."""
    text = resources.files("auteur.expression").joinpath("voice_directions.csv").read_text(encoding="utf-8")
    return np.array(list(csv.reader(text.splitlines())), dtype=np.float64)
