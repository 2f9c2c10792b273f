"""Emotion of a face by any classifier, and one of our own without weights."""

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from auteur.evaluate.control import UNITS, unit_intensities
from auteur.evaluate.views import Observation
from auteur.facs import ACTION_UNITS, EMOTION_ALIASES, EMOTIONS, PROTOTYPES, SHOWN_TABLE, resolve

Floats = NDArray[np.floating]

UNDECIDED = 0.12
"""Mean intensity of the strongest three units under which a face counts as neutral."""


class EmotionClassifier(Protocol):
    """Protocol of emotion classifiers of faces; a reported accuracy names its classifier."""

    name: str
    """Name with version or hash: two classifiers differ by 40 percentage points on the same videos."""

    def __call__(self, pictures: NDArray[np.uint8]) -> Sequence[str]:
        """Returns one label per picture, uint8 [T, H, W, 3]."""
        ...


class PrototypeClassifier:
    """A classifier: the emotion whose published Action Units are nearest to those that the tracker measures.

    It uses our tracker and the table of `auteur generate --emotion`, so for our own
    videos it measures whether the requested units arrive, not whether people recognise the emotion. Units of
    a talking mouth (AU25, AU26) do not count.
    """

    name = f"auteur prototypes ({SHOWN_TABLE})"

    def __init__(self) -> None:
        self._units = [i for i, unit in enumerate(UNITS) if unit not in (25, 26, 45)]
        self._labels = [emotion for emotion in EMOTIONS if emotion != "neutral"]
        rows = [prototype_intensities(emotion)[self._units] for emotion in self._labels]
        self._prototypes = np.stack([row / np.linalg.norm(row) for row in rows])

    def of_intensities(self, shown: Floats) -> str:
        """Returns the label of mean intensities [17] in the order of `UNITS`."""
        values = np.clip(shown[self._units], 0, 1)
        if np.sort(values)[-3:].mean() < UNDECIDED:
            return "neutral"
        return self._labels[int((self._prototypes @ values).argmax())]

    def __call__(self, pictures: NDArray[np.uint8]) -> Sequence[str]:
        """Returns one label per picture, measured from the calmest of them."""
        from auteur.evaluate.views import observe

        seen = observe(pictures, Fraction(25))
        return [self.of_intensities(row) for row in intensities_of(seen)]


def intensities_of(seen: Observation) -> Floats:
    """Returns intensities [T, 17] of an observation, measured from its own calmest frames; NaN becomes 0."""
    return np.nan_to_num(unit_intensities(seen.action_units(seen.neutral())))


def prototype_intensities(emotion: str) -> Floats:
    """Returns the intensity of every one of `UNITS` in an emotion's prototype, [17] in [0, 1]."""
    values = np.zeros(len(UNITS))
    for code, apex in PROTOTYPES[SHOWN_TABLE][emotion].items():
        channels = set(resolve(code).channels)
        for i, unit in enumerate(UNITS):
            controls = ACTION_UNITS[unit].controls
            values[i] = max(values[i], apex * len(channels & set(controls)) / len(controls))
    return values


def majority(labels: Sequence[str]) -> str:
    """Returns the most frequent label; the first of equals."""
    return Counter(labels).most_common(1)[0][0]


def emotion_in_name(name: str) -> str | None:
    """Returns the emotion in a file's name ("M003_level_3_happy_001.mp4"), or None."""
    words = "".join(c if c.isalpha() else " " for c in name.lower()).split()
    found = [EMOTION_ALIASES.get(word, word) for word in words]
    return next((word for word in found if word in EMOTIONS), None)
