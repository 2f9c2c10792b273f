"""Our own measures where the truth is known: one person against two, own speech against another's.

A similarity of 0.96 means little without the score of two people. These anchors are measured on real
videos with the weights at hand, so they stay true when the weights change.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations_with_replacement
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from auteur.evaluate.audio_lips import agreement_of, expected_lips, lip_measures_mm
from auteur.evaluate.face_features import FaceFeatureNet, aligned_crop
from auteur.evaluate.pairing import sound_of
from auteur.evaluate.views import observation_of
from auteur.face.backend import FaceBackend, FaceReading
from auteur.face.tracker import FaceTracker
from auteur.media import VideoReader, read_speech
from auteur.speech.features import CompactSpeechFeatures

Floats = NDArray[np.floating]

RATE = Fraction(25)
LOOK_EVERY = 25
"""Frames between two looks at a face."""


@dataclass(frozen=True)
class Anchor:
    """A measure where it should be high and where it should be low."""

    title: str
    same: float
    """Median where it should be high."""
    different: float
    """Median where it should be low."""
    separated: float
    """Chance that one of the first is above one of the second (area under the ROC curve)."""
    pairs: tuple[int, int]


def anchors(
    videos: Mapping[Path, str],
    backend: FaceBackend,
    *,
    longest_sec: int = 6,
    on_video: Callable[[], None] | None = None,
) -> list[Anchor]:
    """Returns the anchors of appearance similarity and of audio-lip agreement on real speaking videos.

    Args:
        videos: Video → whom it shows.
        backend: What reads faces.
        longest_sec: How much of each is looked at.
        on_video: Called after each video.
    """
    net, encoder = FaceFeatureNet(), CompactSpeechFeatures.shipped()
    looks: list[Floats] = []
    lips: list[Floats] = []
    expected: list[Floats] = []
    for video in videos:
        appearance, measures = _read(video, backend, net, longest_sec)
        looks.append(appearance)
        lips.append(measures)
        expected.append(expected_lips(encoder.analyse(read_speech(sound_of(video)), RATE)))
        if on_video:
            on_video()
    people = list(videos.values())
    return [_appearance(looks, people), *_agreement(lips, expected, people)]


def _read(video: Path, backend: FaceBackend, net: FaceFeatureNet, longest_sec: int) -> tuple[Floats, Floats]:
    """Appearances [looks, D] and lip measures [T, 3] of a video."""
    tracker = FaceTracker(backend)
    readings: list[FaceReading | None] = []
    looks: list[Floats] = []
    with VideoReader(video) as reader:
        for frame in reader.frames_at(RATE):
            if frame.index >= longest_sec * RATE:
                break
            reading = tracker.step(frame.image)
            readings.append(reading)
            if reading is not None and frame.index % LOOK_EVERY == 0:
                looks.append(net.describe(aligned_crop(frame.image, reading.landmarks)[None]).appearance[0])
    return np.array(looks), lip_measures_mm(observation_of(readings, RATE).landmarks)


def _appearance(looks: list[Floats], people: list[str]) -> Anchor:
    same: list[float] = []
    different: list[float] = []
    for i, j in combinations_with_replacement(range(len(looks)), 2):
        if min(len(looks[i]), len(looks[j])) < 2:
            continue
        values = looks[i] @ looks[j].T
        if i == j:
            values = values[~np.eye(len(values), dtype=bool)]
        (same if people[i] == people[j] else different).append(float(np.median(values)))
    return _anchor("auteur appearance similarity: one person, two people", same, different)


def _agreement(lips: list[Floats], expected: list[Floats], people: list[str]) -> list[Anchor]:
    own = [agreement_of(measures, wanted) for measures, wanted in zip(lips, expected, strict=True)]
    others = [
        agreement_of(measures, wanted)
        for measures, person in zip(lips, people, strict=True)
        for wanted, speaker in zip(expected, people, strict=True)
        if person != speaker
    ]
    return [
        _anchor(
            f"auteur audio-lip {name}: own speech, another's",
            [getattr(found, name) for found in own],
            [getattr(found, name) for found in others],
        )
        for name in ("correlation", "confidence")
    ]


def _anchor(title: str, same: list[float], different: list[float]) -> Anchor:
    high, low = (np.array([v for v in values if np.isfinite(v)]) for values in (same, different))
    if not len(high) or not len(low):
        return Anchor(title, np.nan, np.nan, np.nan, (len(high), len(low)))
    above = (high[:, None] > low).mean() + 0.5 * (high[:, None] == low).mean()
    return Anchor(title, float(np.median(high)), float(np.median(low)), float(above), (len(high), len(low)))
