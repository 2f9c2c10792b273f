"""Small look-alikes of what the expression recipes read: motion tracks, photographs, FLAME vectors. Nobody's
face."""

from pathlib import Path

import numpy as np

from auteur.expression.space import CompactExpressionSpace
from auteur.face.pose import canonical_face
from auteur.facs import CONTROLS, EMOTIONS

PEOPLE = ("ann", "bob", "eve", "joe", "kim", "lea")


def face() -> np.ndarray:
    points = np.zeros((478, 3), np.float32)
    points[:468] = canonical_face()
    return points


def write_tracks(folder: Path, *, frames: int = 60) -> tuple[Path, Path]:
    """Writes a clip per person and emotion, and one without a label; returns the tracks and the manifest."""
    random, space = np.random.default_rng(0), CompactExpressionSpace.shipped()
    tracks = folder / "tracks"
    tracks.mkdir()
    rows = ["file,wav,identity,emotion,speech,fps"]
    for person in PEOPLE:
        for emotion in (*EMOTIONS, ""):
            name = f"{person}_level3_{emotion or 'talk'}"
            rows.append(f"clips/{name}.mp4,,{person},{emotion},yes,25")
            vectors = 0.2 * random.normal(size=(frames, 50)).cumsum(axis=0) / 5
            vectors[:, 1 + EMOTIONS.index(emotion or "neutral")] += 1.5
            blink = np.zeros(frames)
            blink[20:24] = 0.9
            np.savez(
                tracks / f"{name}.npz",
                displacement=space.decode(vectors).astype(np.float16),
                neutral=face(),
                units=random.uniform(0, 0.4, (frames, len(CONTROLS))).astype(np.float16),
                blink=blink,
                loudness=random.uniform(0, 1, frames),
                identity=np.array(person),
            )
    manifest = folder / "clips.csv"
    manifest.write_text("\n".join(rows), encoding="utf-8")
    return tracks, manifest


def write_photographs(folder: Path, *, people: int = 80) -> tuple[Path, Path]:
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


def write_deca(folder: Path, *, frames: int = 60) -> tuple[Path, Path]:
    """Writes DECA vectors of clips named as MEAD's and HDTF's; returns the folder and the manifest."""
    random = np.random.default_rng(2)
    deca = folder / "deca"
    deca.mkdir()
    rows = ["file,identity,emotion,fps"]
    for person in ("M003", "M005", "W009", "W011", "W015", "W016"):
        for emotion in EMOTIONS:
            name = f"{person}_level_2_{emotion}_001"
            rows.append(f"{name}.mp4,{person},{emotion},30")
            np.savez(deca / f"{name}.npz", exp=random.normal(size=(frames, 50)), pose=np.zeros((frames, 6)))
    for number in range(4):
        rows.append(f"WDA_Speaker{number}_000.mp4,WDA_Speaker{number},,25")
        np.savez(deca / f"WDA_Speaker{number}_000.npz", expcode=random.normal(size=(frames, 50)))
    manifest = folder / "corpora.csv"
    manifest.write_text("\n".join(rows), encoding="utf-8")
    return deca, manifest


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
