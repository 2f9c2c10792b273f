r"""Measures how far emotional videos still show the same person, beside people who act.

    pip install dlib-bin face-recognition-models
    python benchmarks/identity.py --portraits face1.jpg face2.jpg --speech talk.wav --photos PHOTOS \
        --clips clips/manifest.csv --teacher face_landmarker.task --out identity.json

The judge is dlib's recognition network (King, 2017; public domain), trained elsewhere and with its own face
detector: it shares nothing with the product. Its descriptors are centred on the mean of photographs of
training people; the similarity of two faces is the cosine. *Kept* is the mean similarity of the frames of an
emotional video to those of the neutral one, as a part of the similarity of the neutral video's frames to
each other; people who were filmed in several emotions are measured alike. *Verified* is the share of pairs
of frames above the similarity that one pair of strangers in a thousand reaches.

`PHOTOS` holds photographs named `Person_Name_0001.jpg`; pairs of held-out people measure the judge itself.
"""

import csv
import importlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from numpy.typing import NDArray

from auteur.errors import InputError, UsageError
from auteur.lab.data.splits import is_held_out, person_of_photo
from auteur.media import VideoReader, read_image
from emotion_rules import SHOWN_EMOTIONS, Benchmark, Picture, Videos

Floats = NDArray[np.floating[Any]]

FRAMES = 4
"""Of each video that are compared, spread over it."""
STRANGERS_PASS = 1e-3
_CLIP_RATE = Fraction(2)
_TRAINING_PHOTOS_STEP = 12
_PAIRS_OF_STRANGERS = 20_000


class Recogniser:
    """Descriptors of faces by dlib's network.

    Raises:
        UsageError: dlib or its models are not installed.
    """

    def __init__(self) -> None:
        try:
            dlib = importlib.import_module("dlib")
            models = importlib.import_module("face_recognition_models")
        except ImportError as error:
            raise UsageError("run: pip install dlib-bin face-recognition-models") from error
        self._find = dlib.get_frontal_face_detector()
        self._points = dlib.shape_predictor(models.pose_predictor_five_point_model_location())
        self._describe = dlib.face_recognition_model_v1(models.face_recognition_model_location())
        self._centre = np.zeros(128)

    def centre_on(self, pictures: Iterable[Picture]) -> None:
        """Sets the mean that is taken off every descriptor."""
        self._centre = np.mean([one for one in map(self._raw, pictures) if one is not None], axis=0)

    def __call__(self, picture: Picture) -> Floats | None:
        """Returns the descriptor of the largest face as unit vector [128]; None where none is found."""
        found = self._raw(picture)
        if found is None:
            return None
        return (found - self._centre) / np.linalg.norm(found - self._centre)

    def of_video(self, frames: Sequence[Picture]) -> Floats:
        """Returns the descriptors [N, 128] of up to `FRAMES` frames."""
        chosen = np.unique(np.linspace(0, len(frames) - 1, FRAMES + 2)[1:-1].round().astype(int))
        found = [one for one in (self(frames[i]) for i in chosen) if one is not None]
        return np.stack(found) if found else np.zeros((0, 128))

    def _raw(self, picture: Picture) -> Floats | None:
        picture = np.ascontiguousarray(picture)
        faces = self._find(picture, 0) or self._find(picture, 1)
        if not faces:
            return None
        largest = max(faces, key=lambda face: face.area())
        return np.array(self._describe.compute_face_descriptor(picture, self._points(picture, largest)))


@dataclass(frozen=True)
class Run:
    """Where things are."""

    portraits: tuple[Path, ...]
    speech: Path
    photos: Path
    clips: Path
    """CSV with the columns file (relative to the CSV's parent folder), identity and emotion."""
    teacher: Path
    """MediaPipe's `face_landmarker.task`, which the videos' benchmark needs."""
    out: Path
    strengths: tuple[float, ...] = (1.0, 0.5)
    routes: tuple[str, ...] = ("auto",)


def verification(judge: Recogniser, photos: Path) -> dict[str, float]:
    """Centres the judge, and returns how well it tells held-out people apart in pairs of photographs.

    Raises:
        InputError: Fewer than two held-out people have two photographs.
    """
    names = sorted(path.name for path in photos.glob("*.jpg"))
    several = Counter(map(person_of_photo, names))
    training = [name for name in names if not is_held_out(person_of_photo(name))]
    judge.centre_on(read_image(photos / name) for name in training[::_TRAINING_PHOTOS_STEP])
    held = [n for n in names if is_held_out(person_of_photo(n)) and several[person_of_photo(n)] > 1]
    found = {name: judge(read_image(photos / name)) for name in held}
    rows = [(person_of_photo(name), vector) for name, vector in found.items() if vector is not None]
    if len({person for person, _ in rows}) < 2:
        raise InputError(f"{str(photos)!r} needs two photographs each of two held-out people or more")
    people, vectors = np.array([person for person, _ in rows]), np.stack([vector for _, vector in rows])
    upper = np.triu_indices(len(rows), 1)
    alike, is_same = (vectors @ vectors.T)[upper], (people[:, None] == people)[upper]
    same, other = alike[is_same], alike[~is_same]
    other = np.random.default_rng(0).choice(other, min(len(other), _PAIRS_OF_STRANGERS), replace=False)
    return {
        "pairs of one person": len(same),
        "area under the curve": float((same[:, None] > other[None]).mean()),
        "same": float(same.mean()),
        "strangers": float(other.mean()),
        "threshold": float(np.quantile(other, 1 - STRANGERS_PASS)),
    }


def compared(shown: Floats, neutral: Floats, threshold: float) -> dict[str, float] | None:
    """Returns what is kept and the share that is verified, of descriptors [N, 128] of two videos."""
    if not len(shown) or len(neutral) < 2:
        return None
    at_rest = (neutral @ neutral.T)[np.triu_indices(len(neutral), 1)].mean()
    between = shown @ neutral.T
    return {"kept": float(between.mean() / at_rest), "verified": float((between > threshold).mean())}


def of_portraits(judge: Recogniser, run: Run, route: str, threshold: float) -> dict[str, Any]:
    """Returns the comparisons by strength, then by "portrait emotion"."""
    videos = Videos(Benchmark(teacher=run.teacher, out=run.out, speech=run.speech, route=route))
    found: dict[str, dict[str, Any]] = {f"{strength:g}": {} for strength in run.strengths}
    for portrait in run.portraits:
        neutral = judge.of_video(videos.frames(portrait, "neutral", 1.0))
        for strength in run.strengths:
            for emotion in SHOWN_EMOTIONS:
                shown = judge.of_video(videos.frames(portrait, emotion, strength))
                found[f"{strength:g}"][f"{portrait.stem} {emotion}"] = compared(shown, neutral, threshold)
    return found


def of_people(judge: Recogniser, manifest: Path, threshold: float) -> dict[str, Any]:
    """Returns the same of clips of people who have a neutral clip."""
    with manifest.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["emotion"] and row["identity"]]
    neutral = {row["identity"]: row for row in rows if row["emotion"] == "neutral"}
    acted = [row for row in rows if row["emotion"] != "neutral" and row["identity"] in neutral]
    read = {
        row["file"]: judge.of_video(list(_frames(manifest.parent.parent / row["file"])))
        for row in (*acted, *(neutral[person] for person in {row["identity"] for row in acted}))
    }
    return {
        f"{row['identity']} {row['emotion']}": compared(
            read[row["file"]], read[neutral[row["identity"]]["file"]], threshold
        )
        for row in acted
    }


def _frames(path: Path) -> Iterator[Picture]:
    with VideoReader(path) as video:
        yield from (frame.image for frame in video.frames_at(_CLIP_RATE))


def summary(found: Mapping[str, Mapping[str, float] | None]) -> dict[str, Any]:
    """Returns means over videos, the least, means by emotion, and by who is shown."""
    rows = [(*name.rsplit(" ", 1), one) for name, one in found.items() if one is not None]
    kept = {(who, emotion): one["kept"] for who, emotion, one in rows}

    def means(place: int) -> dict[str, float]:
        names = sorted({key[place] for key in kept})
        return {name: float(np.mean([v for key, v in kept.items() if key[place] == name])) for name in names}

    return {
        "kept": float(np.mean(list(kept.values()))),
        "least": min(kept.values()),
        "verified": float(np.mean([one["verified"] for _, _, one in rows])),
        "by emotion": means(1),
        "by face": means(0),
    }


def main() -> None:
    run = tyro.cli(Run)
    torch.set_num_threads(1)
    judge = Recogniser()
    results: dict[str, Any] = {"judge": verification(judge, run.photos)}
    threshold = results["judge"]["threshold"]
    results["people who act"] = summary(of_people(judge, run.clips, threshold))
    for route in run.routes:
        for strength, found in of_portraits(judge, run, route, threshold).items():
            results[f"{route}, strength {strength}"] = summary(found)
    run.out.write_text(json.dumps(results, indent=1), encoding="utf-8")
    print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
