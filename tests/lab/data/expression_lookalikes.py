"""Small look-alikes of what the expression recipes read: shards, photographs, FLAME vectors. No real face."""

from pathlib import Path

import numpy as np

from auteur.expression.space import CompactExpressionSpace
from auteur.face.pose import canonical_face
from auteur.facs import CONTROLS, EMOTIONS
from auteur.lab.data.made_shards import MadeSample, write_shards
from auteur.lab.data.shards import Corpora
from auteur.lab.train.smoke import expression

PEOPLE = ("ann", "bob", "eve", "joe", "kim", "lea")
MADE_UP = {"made for": "a test"}


def face() -> np.ndarray:
    points = np.zeros((478, 3), np.float32)
    points[:468] = canonical_face()
    return points


def write_tracks(folder: Path, *, frames: int = 60) -> Corpora:
    """Writes shards with a clip per person and emotion, and one without a label; returns the corpora."""
    random, space = np.random.default_rng(0), CompactExpressionSpace.shipped()
    samples: list[MadeSample] = []
    for person in PEOPLE:
        for emotion in (*EMOTIONS, None):
            vectors = 0.2 * random.normal(size=(frames, 50)).cumsum(axis=0) / 5
            vectors[:, 1 + EMOTIONS.index(emotion or "neutral")] += 1.5
            blink = np.zeros(frames)
            blink[20:24] = 0.9
            motion = {
                "displacement": space.decode(vectors).astype(np.float16),
                "neutral": face(),
                "units": random.uniform(0, 0.4, (frames, len(CONTROLS))).astype(np.float16),
                "blink": blink,
            }
            speech = {"values": np.zeros((frames, 6)), "loudness": random.uniform(0, 1, frames)}
            samples.append(
                MadeSample(
                    key=f"{person}-{emotion or 'talk'}", person=person, frames=frames, emotion=emotion,
                    intensity=None if emotion is None else 1.0,
                    arrays={"pose": np.zeros((frames, 6)), "gaze": np.zeros((frames, 2))},
                    features={"motion": motion, "speech": speech},
                )
            )  # fmt: skip
    return Corpora(shards=(write_shards(folder / "shards", samples, settings=MADE_UP),))


def write_photographs(folder: Path, *, people: int = 80) -> Corpora:
    """Writes shards of photographs in every emotion; returns the corpora."""
    return Corpora(shards=(expression.write_photographs(folder, number=people),))


def with_photographs(folder: Path, *, people: int = 20) -> Corpora:
    """Writes clips and photographs; returns both."""
    return Corpora(shards=(*write_tracks(folder).shards, *write_photographs(folder, people=people).shards))


def write_photograph_labels(folder: Path, *, people: int = 80) -> tuple[Path, Path]:
    """Writes teacher labels of photographs in every emotion; returns the labels and the manifest."""
    random, space = np.random.default_rng(1), CompactExpressionSpace.shipped()
    words = ("neutral", "happiness", "sadness", "anger", "fear", "disgust", "surprise", "contempt")
    names, landmarks, rows = [], [], ["file,label"]
    blend = random.uniform(0, 0.3, (people * len(words), 52)).astype(np.float32)
    for number in range(people):
        for index, word in enumerate(words):
            name = f"Person{number:03d}_Test_{index:04d}.jpg"
            vector = 0.3 * random.normal(size=(1, 50))
            vector[0, 1 + index] += 1.5
            blend[len(names), [1 + index, 2 + index, 3 + index]] += 0.5
            names.append(name)
            landmarks.append(face() + space.decode(vector)[0] + random.normal(0, 0.2, (478, 3)))
            rows.append(f"{name},{word}")
    labels = folder / "labels"
    labels.mkdir()
    (labels / "photos_00000.txt").write_text("\n".join(names), encoding="utf-8")
    np.savez(
        labels / "photos_00000.npz",
        index=np.arange(len(names)),
        landmarks=np.stack(landmarks).astype(np.float32),
        blend=blend,
    )
    manifest = folder / "photos.csv"
    manifest.write_text("\n".join(rows), encoding="utf-8")
    return labels, manifest


def write_deca(folder: Path, *, frames: int = 60) -> Corpora:
    """Writes shards of MEAD and of HDTF with FLAME's numbers, MEAD's with labels; returns the corpora."""
    random = np.random.default_rng(2)
    names = {
        "mead": ["M003", "M005", "W009", "W011", "W015", "W016"],
        "hdtf": [f"Speaker{n}" for n in range(6)],
    }
    folders: list[Path] = []
    for kind, people in names.items():
        samples = [
            MadeSample(
                key=f"{person}-{emotion or 'talk'}", person=f"{kind}:{person}", frames=frames,
                emotion=emotion,
                intensity=None if emotion is None else 2 / 3,
                features={"flame": {"expression": random.normal(size=(frames, 50)).astype(np.float32)}},
            )
            for person in people
            for emotion in (EMOTIONS if kind == "mead" else (None,))
        ]  # fmt: skip
        folders.append(write_shards(folder / kind, samples, kind=kind, settings=MADE_UP))
    return Corpora(shards=tuple(folders))


def write_people(folder: Path, *, people: int = 60, pictures: int = 3) -> Path:
    """Writes teacher labels with crops in which everybody is a texture of their own, seen a little worse."""
    random, labels = np.random.default_rng(5), folder / "people"
    labels.mkdir()
    names, crops = [], []
    for number in range(people):
        texture = random.integers(0, 255, (12, 12)).astype(np.float64)
        for take in range(pictures):
            seen = np.kron(texture + random.normal(0, 30, texture.shape), np.ones((10, 10)))
            crops.append(np.repeat(np.clip(seen, 0, 255).astype(np.uint8)[..., None], 3, axis=2))
            names.append(f"Person{number:03d}_Test_{take:04d}.jpg")
    landmarks = np.tile(face() * 0.5 + [60, 60, 0], (len(names), 1, 1)).astype(np.float32)
    (labels / "photos_00000.txt").write_text("\n".join(names), encoding="utf-8")
    np.save(labels / "photos_00000.crops.npy", np.stack(crops))
    np.savez(
        labels / "photos_00000.npz",
        index=np.arange(len(names)),
        landmarks=landmarks,
        affine=np.tile(np.eye(2, 3), (len(names), 1, 1)),
    )
    return labels
