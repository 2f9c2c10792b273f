"""Training data of the expression recipes: labelled and unlabelled trajectories, and faces of photographs.

Trajectories come from shards (`auteur.lab.data.motion_tracks`). A clip's own rest is not a
person's neutral, since a clip that is angry throughout has an angry resting face: where a clip of the person
is labelled neutral, movement is measured from it, and elsewhere the rest of the clip keeps the part that is
more likely expression than anatomy. Blinks are bridged; lids belong to the blink model.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from auteur.errors import InputError
from auteur.expression.space import CompactExpressionSpace
from auteur.face.pose import without_pose
from auteur.facs import EMOTIONS
from auteur.lab.data.flame_shards import with_flame
from auteur.lab.data.motion_tracks import RATE, no_training_person, read_tracks, training_tracks
from auteur.lab.data.shards import Corpora, PartName
from auteur.lab.data.splits import is_held_out, part_of
from auteur.signals import ExpressionTrack, without_holes
from auteur.signals.timebase import local_linear_smooth

Floats = NDArray[np.floating]

FEWEST_PHOTOS = 25
"""Emotions with fewer labelled photographs of training people leave all of them to the classifier."""
SMOOTH_FRAMES = 1.2
_BLINK_RISE = 0.2
_BLINK_MARGIN = 3


@dataclass(frozen=True, eq=False)
class FaceMotion:
    """Displacement of one clip from the person's neutral, before any space is chosen."""

    name: str
    person: str
    part: Literal["train", "validation", "test"]
    emotion: str | None
    """One of `EMOTIONS`; None for unlabelled footage."""
    intensity: float
    """As the corpus states it (MEAD's levels are thirds); 1 where it does not; 0 for neutral."""
    displacement_mm: Floats
    """[T, 478, 3] from the clip's own rest."""
    rest_mm: Floats
    """[478, 3]: the clip's rest, pose-free."""
    neutral_mm: Floats | None
    """[478, 3]: the person's neutral from a clip that is labelled neutral, if there is one."""
    loudness: Floats | None
    """[T]; None without sound."""
    units: Floats
    """Intensities that the tracker measured from the clip's own rest, convention "facs", [T, C]."""
    is_graded: bool = False
    """Whether the corpus states its strength."""
    corpus: str = ""


@dataclass(frozen=True, eq=False)
class ExpressionClip:
    """One training clip of the generator, at 25 frames per second."""

    name: str
    person: str
    part: Literal["train", "validation", "test"]
    emotion: str | None
    intensity: float
    vectors: Floats
    """[T, E]."""
    loudness: Floats | None
    is_graded: bool = False
    """Whether the corpus states its strength."""
    corpus: str = ""


@dataclass(frozen=True, eq=False)
class Photographs:
    """Faces of single pictures."""

    emotions: tuple[str, ...]
    people: tuple[str, ...]
    faces_mm: Floats
    """[N, 478, 3], pose-free."""
    blendshapes: Floats
    """[N, 52]."""

    def chosen(self, keep: Iterable[bool]) -> "Photographs":
        """Returns those of a mask [N]."""
        rows = np.flatnonzero(list(keep))
        return Photographs(
            tuple(self.emotions[i] for i in rows),
            tuple(self.people[i] for i in rows),
            self.faces_mm[rows],
            self.blendshapes[rows],
        )


def intensity_of(emotion: str | None, stated: float | None) -> float:
    """Returns the strength of a clip's emotion: 0 for neutral, else as the corpus states it, or 1."""
    if emotion == "neutral":
        return 0.0
    return 1.0 if stated is None or emotion is None else stated


def read_motions(corpora: Corpora, *, part: PartName | None = "train") -> list[FaceMotion]:
    """Returns every clip of people who train or choose checkpoints, or of those who test.

    Args:
        corpora: With the features "motion" and "speech".
        part: As in `read_tracks`.

    Raises:
        InputError: A feature is missing, or there is no clip of a person who trains.
    """
    read = read_tracks(corpora, part=part, beside=("picture",))
    tracks = list(read) if part == "held_out" else training_tracks(read, corpora)
    neutrals: dict[str, Floats] = {}
    for track in tracks:
        if track.emotion == "neutral":
            neutrals.setdefault(track.person, track.neutral)
    return [
        FaceMotion(
            name=track.name,
            person=track.person,
            part=track.part,
            emotion=track.emotion,
            intensity=intensity_of(track.emotion, track.intensity),
            displacement_mm=without_blinks(track.displacement.astype(np.float32), track.blink),
            rest_mm=track.neutral,
            neutral_mm=neutrals.get(track.person),
            loudness=track.loudness,
            units=without_blinks(track.units.astype(np.float32), track.blink),
            is_graded=track.emotion is not None and track.intensity is not None,
            corpus=track.corpus,
        )
        for track in tracks
    ]


def without_blinks(values: Floats, blink: Floats) -> Floats:
    """Returns values [T, ...] with the frames around blinks bridged by straight lines.

    Args:
        values: Any track.
        blink: Closure of the eyes, [T] 0 to 1.
    """
    closed = blink > np.median(blink) + _BLINK_RISE
    near = np.convolve(closed, np.ones(2 * _BLINK_MARGIN + 1), mode="same") > 0
    kept = np.flatnonzero(~near)
    if len(kept) < 2 or not near.any():
        return values
    rows = np.arange(len(values))
    above = np.clip(np.searchsorted(kept, rows), 1, len(kept) - 1)
    low, high = kept[above - 1], kept[above]
    weight = np.clip((rows - low) / (high - low), 0, 1).reshape(-1, *[1] * (values.ndim - 1))
    return (values[low] * (1 - weight) + values[high] * weight).astype(values.dtype)


def encoded(motion: FaceMotion, space: CompactExpressionSpace) -> ExpressionClip:
    """Returns a clip's trajectory in a space, smoothed over about a tenth of a second."""
    if motion.neutral_mm is None:
        offset = space.of_unknown_people(motion.rest_mm[None])
    else:
        offset = space.encode((motion.rest_mm - motion.neutral_mm)[None])
    offset[:, 0] = 0  # the rest of a clip has closed lips by choice
    vectors = (space.encode(motion.displacement_mm) + offset).astype(np.float32)
    return ExpressionClip(
        name=motion.name,
        person=motion.person,
        part=motion.part,
        emotion=motion.emotion,
        intensity=motion.intensity,
        vectors=local_linear_smooth(vectors, sigma_frames=SMOOTH_FRAMES),
        loudness=motion.loudness,
        is_graded=motion.is_graded,
        corpus=motion.corpus,
    )


def read_photographs(corpora: Corpora, *, part: PartName | None = "train") -> Photographs:
    """Returns the labelled photographs of prepared corpora; folders of videos among them are passed over.

    Args:
        corpora: At least one folder of photographs.
        part: As in `ShardReader`.

    Raises:
        UsageError: There is no folder of photographs.
        InputError: None of them has an emotion.
    """
    samples = [
        sample
        for reader in corpora.readers((), part=part, media=("picture",), beside=("video",))
        for sample in reader
        if sample.record["emotion"] in EMOTIONS
    ]
    if not samples:
        raise InputError("no photograph has an emotion; state them in the recordings.csv of the photographs")
    landmarks = np.stack([sample.array("landmarks")[0] for sample in samples])
    return Photographs(
        tuple(sample.record["emotion"] for sample in samples),
        tuple(sample.record["person"].removeprefix("photos:") for sample in samples),
        without_pose(landmarks).astype(np.float32),
        np.stack([sample.array("blendshapes")[0] for sample in samples]),
    )


def for_classifier(photos: Photographs) -> NDArray[np.bool_]:
    """Returns the mask [N] of the classifier's photographs: half of the people, and rare emotions whole.

    The emotion classifier is trained on these and the generator on the others, so that no person is in
    both. Held-out people are in neither.
    """
    trained = np.array([not is_held_out(person) for person in photos.people])
    counts = {
        e: sum(t and e == own for t, own in zip(trained, photos.emotions, strict=True)) for e in EMOTIONS
    }
    half = np.array([_half(person) for person in photos.people])
    rare = np.array([counts[emotion] < FEWEST_PHOTOS for emotion in photos.emotions])
    rare_people = {p for p, is_rare in zip(photos.people, rare, strict=True) if is_rare}
    return trained & (half | np.array([person in rare_people for person in photos.people]))


def for_generator(photos: Photographs) -> NDArray[np.bool_]:
    """Returns the mask [N] of training photographs for the generator."""
    trained = np.array([not is_held_out(person) for person in photos.people])
    return trained & ~for_classifier(photos)


def _half(person: str) -> bool:
    return hashlib.sha256(f"emotion-classifier:{person}".encode()).digest()[0] % 2 == 0


def read_flame_clips(corpora: Corpora) -> list[ExpressionClip]:
    """Returns trajectories of FLAME's 50 expression numbers, such as DECA's on MEAD and HDTF.

    Corpora prepared with `--measured` hold them in the common record, others in the feature "flame".

    Raises:
        InputError: A feature is missing, or there is no clip of a person who trains.
    """
    found: list[ExpressionClip] = []
    for reader in corpora.readers(()):
        for sample in with_flame(reader, "train"):
            name = "flame.expression" if sample.has("flame.expression") else "expression.flame50"
            if not sample.has(name):
                continue
            track = ExpressionTrack(values=sample.array(name), rate=RATE, convention="flame50")
            if np.isnan(track.values).all(axis=0).any():
                continue
            record = sample.record
            found.append(
                ExpressionClip(
                    name=sample.key,
                    person=record["person"],
                    part=part_of(record["person"], record["held_out"]),
                    emotion=record["emotion"],
                    intensity=intensity_of(record["emotion"], record["intensity"]),
                    vectors=local_linear_smooth(without_holes(track).values, sigma_frames=SMOOTH_FRAMES),
                    loudness=None,
                    is_graded=record["emotion"] is not None and record["intensity"] is not None,
                    corpus=reader.corpus,
                )
            )
    if not any(clip.part == "train" for clip in found):
        raise InputError(no_training_person(corpora, "sample with FLAME expression"))
    return found
