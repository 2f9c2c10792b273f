"""Training data of the expression recipes: labelled and unlabelled trajectories, and faces of photographs.

Trajectories come from the tracks of `python -m auteur.lab.data.motion_tracks`. A clip's own rest is not a
person's neutral, since a clip that is angry throughout has an angry resting face: where a clip of the person
is labelled neutral, movement is measured from it, and elsewhere the rest of the clip keeps the part that is
more likely expression than anatomy. Blinks are bridged; lids belong to the blink model.
"""

import csv
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from auteur.errors import InputError
from auteur.expression.space import CompactExpressionSpace
from auteur.face.pose import without_pose
from auteur.facs import EMOTION_ALIASES, EMOTIONS
from auteur.formats.flame import read_flame_parameters
from auteur.lab.data.motion_tracks import RATE, part_of
from auteur.lab.data.splits import is_held_out, person_of_photo
from auteur.signals.timebase import local_linear_smooth

Floats = NDArray[np.floating]

PHOTO_LABELS = {
    "anger": "angry",
    "contempt": "contempt",
    "disgust": "disgusted",
    "fear": "fear",
    "happiness": "happy",
    "neutral": "neutral",
    "sadness": "sad",
    "surprise": "surprised",
}
FEWEST_PHOTOS = 25
"""Emotions with fewer labelled photographs of training people leave all of them to the classifier."""
SMOOTH_FRAMES = 1.2
_BLINK_RISE = 0.2
_BLINK_MARGIN = 3
_LEVEL = re.compile(r"level[_-]?(\d)")
_STRONGEST_LEVEL = 3


@dataclass(frozen=True, eq=False)
class FaceMotion:
    """Displacement of one clip from the person's neutral, before any space is chosen."""

    name: str
    person: str
    part: Literal["train", "validation", "test"]
    emotion: str | None
    """One of `EMOTIONS`; None for unlabelled footage."""
    intensity: float
    """MEAD's levels 1 to 3 are thirds; 1 elsewhere; 0 for neutral."""
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
    """Whether the data set states its strength."""


@dataclass(frozen=True, eq=False)
class Photographs:
    """Faces of single pictures."""

    emotions: tuple[str, ...]
    people: tuple[str, ...]
    faces_mm: Floats
    """[N, 478, 3], pose-free."""
    blendshapes: Floats
    """[N, 52], the teacher's."""

    def chosen(self, keep: Iterable[bool]) -> "Photographs":
        """Returns those of a mask [N]."""
        rows = np.flatnonzero(list(keep))
        return Photographs(
            tuple(self.emotions[i] for i in rows),
            tuple(self.people[i] for i in rows),
            self.faces_mm[rows],
            self.blendshapes[rows],
        )


def emotion_of(label: str) -> str | None:
    """Returns the emotion of a label, or None for no label.

    Raises:
        InputError: It is none of ours and no word for one.
    """
    key = label.strip().lower()
    if not key:
        return None
    emotion = EMOTION_ALIASES.get(key, key)
    if emotion not in EMOTIONS:
        raise InputError(
            f"unknown emotion label {label!r}; use one of {', '.join(EMOTIONS)} or leave it empty"
        )
    return emotion


def intensity_of(name: str, emotion: str | None) -> float:
    """Returns the acted strength of a clip's emotion: MEAD writes the level into the name."""
    if emotion == "neutral":
        return 0.0
    level = _LEVEL.search(name.lower())
    return 1.0 if level is None else min(int(level[1]) / _STRONGEST_LEVEL, 1.0)


def is_graded(name: str) -> bool:
    """Returns whether a clip's name states a level, as MEAD's do."""
    return _LEVEL.search(name.lower()) is not None


def read_motions(tracks: Path, clips: Path) -> list[FaceMotion]:
    """Returns every clip of a folder of motion tracks.

    Args:
        tracks: What `python -m auteur.lab.data.motion_tracks` wrote.
        clips: CSV with the columns file, identity, emotion.
    """
    with clips.open(encoding="utf-8", newline="") as table:
        labels = {Path(row["file"]).stem: emotion_of(row["emotion"]) for row in csv.DictReader(table)}
    arrays = {path.stem: dict(np.load(path)) for path in sorted(tracks.glob("*.npz"))}
    neutrals: dict[str, Floats] = {}
    for name, values in arrays.items():
        if labels.get(name) == "neutral":
            neutrals.setdefault(str(values["identity"]), values["neutral"])
    found: list[FaceMotion] = []
    for name, values in arrays.items():
        person, emotion = str(values["identity"]), labels.get(name)
        found.append(
            FaceMotion(
                name=name,
                person=person,
                part=part_of(person),
                emotion=emotion,
                intensity=intensity_of(name, emotion),
                displacement_mm=without_blinks(values["displacement"].astype(np.float32), values["blink"]),
                rest_mm=values["neutral"],
                neutral_mm=neutrals.get(person),
                loudness=values["loudness"].astype(np.float32) if "loudness" in values else None,
                units=without_blinks(values["units"].astype(np.float32), values["blink"]),
            )
        )
    return found


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
        is_graded=is_graded(motion.name),
    )


def read_photographs(labels: Path, photos: Path) -> Photographs:
    """Returns the labelled photographs of a folder of teacher labels.

    Args:
        labels: What `python -m auteur.lab.data.face_teacher` wrote (`photos_*.npz` and their lists of names).
        photos: CSV with the columns file, label.

    Raises:
        InputError: There are no labelled photographs.
    """
    with photos.open(encoding="utf-8", newline="") as table:
        label = {row["file"]: PHOTO_LABELS.get(row["label"]) for row in csv.DictReader(table)}
    emotions: list[str] = []
    people: list[str] = []
    faces: list[Floats] = []
    blends: list[Floats] = []
    for path in sorted(labels.glob("photos_*.npz")):
        names = path.with_suffix(".txt").read_text(encoding="utf-8").split("\n")
        with np.load(path) as stored:
            rows = [(i, names[n]) for i, n in enumerate(stored["index"]) if label.get(names[n])]
            chosen = [i for i, _ in rows]
            faces.append(without_pose(stored["landmarks"][chosen]))
            blends.append(stored["blend"][chosen])
        emotions += [str(label[name]) for _, name in rows]
        people += [person_of_photo(name) for _, name in rows]
    if not emotions:
        raise InputError(
            f"there are no labelled photographs in {str(labels)!r}; run auteur.lab.data.face_teacher"
        )
    return Photographs(
        tuple(emotions), tuple(people), np.concatenate(faces).astype(np.float32), np.concatenate(blends)
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


def read_flame_clips(folder: Path, clips: Path) -> list[ExpressionClip]:
    """Returns trajectories of FLAME expression vectors, such as DECA's on MEAD and HDTF.

    Args:
        folder: One file per clip, named as the clip: anything `auteur.formats.flame` reads.
        clips: CSV with the columns file, identity, emotion (empty for HDTF) and, if known, fps (25 unless
            given).

    Raises:
        InputError: No clip has a file, or a label is unknown.
        FormatError: A file cannot be read.
    """
    found: list[ExpressionClip] = []
    with clips.open(encoding="utf-8", newline="") as table:
        for row in csv.DictReader(table):
            path = _parameters_of(folder, Path(row["file"]).stem)
            if path is None:
                continue
            track = read_flame_parameters(path, rate=row.get("fps") or None).expression.resample(RATE)
            emotion = emotion_of(row["emotion"])
            found.append(
                ExpressionClip(
                    name=path.stem,
                    person=row["identity"],
                    part=part_of(row["identity"]),
                    emotion=emotion,
                    intensity=intensity_of(row["file"], emotion),
                    vectors=local_linear_smooth(track.values, sigma_frames=SMOOTH_FRAMES),
                    loudness=None,
                    is_graded=is_graded(row["file"]),
                )
            )
    if not found:
        raise InputError(f"no clip of {str(clips)!r} has a file in {str(folder)!r}; name them as the clips")
    return found


def _parameters_of(folder: Path, stem: str) -> Path | None:
    paths = [folder / f"{stem}{suffix}" for suffix in (".npz", ".pkl", "")]
    return next((path for path in paths if path.exists() and (path.suffix or path.is_dir())), None)
