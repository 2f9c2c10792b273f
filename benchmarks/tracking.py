"""Measures the shipped face tracker on people it never saw: the figures of its weight cards.

    python benchmarks/tracking.py --data DATA --labels LABELS --out tracking.json

DATA holds clips/manifest.csv, portraits/ and images (unpacked into LABELS' scenes); LABELS is what
`python -m auteur.lab.data.face_teacher` wrote. Everything runs as a user would run it: the whole tracker,
from pixels, with its own detector and smoothing; the reference is the teacher's reading of the same frame.
"""

import csv
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
import tyro
from skimage import data as pictures_without_faces

from auteur.face import crops
from auteur.face.auteur_backend import AuteurBackend
from auteur.face.backend import Picture
from auteur.face.crops import CropFrame
from auteur.face.smoothing import smooth_readings
from auteur.face.tracker import FaceTracker
from auteur.facs import MEDIAPIPE_BLENDSHAPES
from auteur.lab.data.face_scenes import LabelledScene, read_scenes
from auteur.lab.data.splits import is_held_out
from auteur.lab.train.tracking_errors import KEY_CHANNELS, channel_correlations, landmark_error
from auteur.media import VideoReader, read_image
from auteur.prefetch import prefetched

FACE_FREE = (
    *(
        "coffee",
        "brick",
        "grass",
        "gravel",
        "page",
        "text",
        "clock",
        "moon",
        "rocket",
        "cell",
        "horse",
        "logo",
    ),
    *("immunohistochemistry", "hubble_deep_field", "retina"),
)
"""Pictures of scikit-image without a face (its coins show emperors, its cat has one)."""

CUTS_PER_PICTURE = 8


@dataclass(frozen=True)
class Benchmark:
    """Where the footage and the teacher's labels are."""

    data: Path
    labels: Path
    out: Path
    threads: int = 2
    only: tuple[Literal["clips", "photos", "small_faces", "portraits", "face_free", "speed"], ...] = ()
    """Parts to run; all unless given."""


def clips(run: Benchmark, backend: AuteurBackend) -> dict[str, object]:
    """Tracks every held-out clip and compares each frame with the teacher's reading of it."""
    with (run.data / "clips" / "manifest.csv").open(encoding="utf-8") as table:
        held_out = [row for row in csv.DictReader(table) if is_held_out(row["identity"])]
    errors: dict[str, float] = {}
    missed = frames = 0
    predicted, reference, within = [], [], []
    for row in held_out:
        labels = run.labels / f"{Path(row['file']).stem}.npz"
        if not labels.exists():
            continue
        with np.load(labels) as table:
            index, landmarks, blendshapes = table["index"], table["landmarks"], table["blend"]
        with VideoReader(run.data / row["file"]) as video:
            readings = list(smooth_readings(FaceTracker(backend).track(frame.image for frame in video)))
        seen = [i for i, frame in enumerate(index) if readings[frame] is not None]
        missed += len(index) - len(seen)
        frames += len(index)
        points = np.stack([readings[index[i]].landmarks for i in seen])
        values = np.stack([readings[index[i]].blendshapes for i in seen])
        errors[labels.stem] = float(landmark_error(points, landmarks[seen]).mean())
        predicted.append(values)
        reference.append(blendshapes[seen])
        within.append(channel_correlations(values, blendshapes[seen]))
    pooled = channel_correlations(np.concatenate(predicted), np.concatenate(reference))
    return {
        "clips": len(errors),
        "frames": frames,
        "frames_missed": missed,
        "landmark_percent": float(np.mean(list(errors.values()))),
        "landmark_percent_by_clip": {k: round(v, 2) for k, v in errors.items()},
        "blendshape_error": float(np.abs(np.concatenate(predicted) - np.concatenate(reference)).mean()),
        "varying_channels": int(np.isfinite(pooled).sum()),
        "median_correlation": float(np.nanmedian(pooled)),
        "median_correlation_within_clips": float(np.nanmedian(np.stack(within))),
        "key_correlations": {n: float(pooled[MEDIAPIPE_BLENDSHAPES.index(n)]) for n in KEY_CHANNELS},
        "correlations": {
            n: round(float(c), 3)
            for n, c in zip(MEDIAPIPE_BLENDSHAPES, pooled, strict=True)
            if np.isfinite(c)
        },
    }


def photos(run: Benchmark, backend: AuteurBackend) -> dict[str, object]:
    """Reads held-out photographs from scratch and compares with the teacher."""
    errors: list[float] = []
    found = total = 0
    for path in sorted(run.labels.glob("photos_*.npz")):
        names = path.with_suffix(".txt").read_text(encoding="utf-8").split("\n")
        with np.load(path) as table:
            rows = [
                (names[i], p, a)
                for i, p, a in zip(table["index"], table["landmarks"], table["affine"], strict=True)
            ]
        stored = np.load(path.with_suffix(".crops.npy"), mmap_mode="r")
        for (name, landmarks, affine), crop in zip(rows, stored, strict=True):
            if not is_held_out(name.rsplit("_", 1)[0]):
                continue
            total += 1
            wanted = crops.apply(affine, landmarks)
            nearest = _nearest(backend, np.asarray(crop), wanted)
            if nearest is not None:
                found += 1
                errors.append(float(landmark_error(nearest, wanted)))
    return {"photos": total, "found": found / total, "landmark_percent": float(np.mean(errors))}


def _nearest(backend: AuteurBackend, picture: Picture, wanted: np.ndarray) -> np.ndarray | None:
    face = crops.frame_of_landmarks(wanted, crop_to_face=1.0)
    for reading in backend.find(picture):
        if _covers(crops.frame_of_landmarks(reading.landmarks, crop_to_face=1.0), face):
            return reading.landmarks
    return None


def _covers(found: CropFrame, face: CropFrame) -> bool:
    distance = np.hypot(*np.subtract(found.center_px, face.center_px))
    return bool(distance < 0.3 * face.side_px and 0.6 < found.side_px / face.side_px < 1.6)


def small_faces(scenes: list[LabelledScene], backend: AuteurBackend) -> dict[str, object]:
    """Half-body pictures: held-out scenes scaled until the face has 60 px, in a picture of 900 px."""
    random = np.random.default_rng(0)
    found = total = 0
    for scene in scenes[::4]:
        if len(scene.faces) != 1:
            continue
        picture = read_image(scene.path)
        scale = 60 / scene.faces[0].side_px
        size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
        if max(size) > 900:
            continue
        canvas = np.full((900, 900, 3), random.integers(0, 256, 3), np.uint8)
        x, y = int(random.integers(901 - size[0])), int(random.integers(901 - size[1]))
        canvas[y : y + size[1], x : x + size[0]] = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        center = (scene.faces[0].center_px[0] * scale + x, scene.faces[0].center_px[1] * scale + y)
        face = CropFrame(center, 60.0)
        readings = backend.find(canvas)
        total += 1
        found += any(_covers(crops.frame_of_landmarks(r.landmarks, crop_to_face=1.0), face) for r in readings)
    return {"pictures": total, "found": found / total}


def portraits(run: Benchmark, backend: AuteurBackend) -> dict[str, object]:
    """Portraits, paintings and a statue, at their own size and with a face of 60 px."""
    result: dict[str, object] = {}
    for path in sorted((run.data / "portraits").glob("*.jpg")):
        picture = read_image(path)
        readings = backend.find(picture)
        small = False
        if readings:
            scale = 60 / readings[0].size_px
            size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
            canvas = np.full((900, 900, 3), 128, np.uint8)
            canvas[: size[1], : size[0]] = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
            small = bool(backend.find(canvas))
        result[path.stem] = {"found": len(readings), "found_at_60_px": small}
    return result


def face_free(run: Benchmark, scenes: list[LabelledScene], backend: AuteurBackend) -> dict[str, object]:
    """Pictures without a face: how many the tracker sees one in."""
    false: list[str] = []
    total = 0
    for name, picture in _face_free_pictures(run, scenes):
        total += 1
        if backend.find(picture):
            false.append(name)
    return {"pictures": total, "false": len(false) / total, "false_in": false[:40]}


def _face_free_pictures(run: Benchmark, scenes: list[LabelledScene]) -> Iterator[tuple[str, Picture]]:
    random = np.random.default_rng(0)
    for name in FACE_FREE:
        picture = _rgb(getattr(pictures_without_faces, name)())
        yield name, picture
        for _ in range(CUTS_PER_PICTURE):
            side = int(random.uniform(0.25, 0.8) * min(picture.shape[:2]))
            x, y = (
                int(random.integers(picture.shape[1] - side)),
                int(random.integers(picture.shape[0] - side)),
            )
            yield name, np.ascontiguousarray(picture[y : y + side, x : x + side])
    with VideoReader(run.data / "clips" / "pyfeat_no_face.mp4") as video:
        yield from ((f"no_face {frame.index}", frame.image) for frame in video if frame.index % 3 == 0)
    for scene in scenes:
        picture = read_image(scene.path)
        for cut in _beside(picture, scene.faces, random):
            yield f"beside {scene.path.name}", cut


def _rgb(picture: np.ndarray) -> Picture:
    picture = picture.astype(np.uint8) * 255 if picture.dtype == bool else picture
    colour = np.repeat(picture[..., None], 3, 2) if picture.ndim == 2 else picture[..., :3]
    scale = min(1.0, 900 / max(colour.shape))
    size = (round(colour.shape[1] * scale), round(colour.shape[0] * scale))
    return cv2.resize(np.ascontiguousarray(colour), size, interpolation=cv2.INTER_AREA)


def _beside(picture: Picture, faces: tuple[CropFrame, ...], random: np.random.Generator) -> Iterator[Picture]:
    """Yields a patch of at least 96 px that keeps clear of every face, where there is one."""
    height, width = picture.shape[:2]
    for _ in range(6):
        side = int(random.uniform(0.25, 0.5) * min(height, width))
        x, y = int(random.integers(width - side)), int(random.integers(height - side))
        clear = all(
            max(abs(f.center_px[0] - x - side / 2), abs(f.center_px[1] - y - side / 2))
            > side / 2 + 0.7 * f.side_px
            for f in faces
        )
        if side >= 96 and clear:
            yield np.ascontiguousarray(picture[y : y + side, x : x + side])
            return


def speed(run: Benchmark, backend: AuteurBackend) -> dict[str, object]:
    """Frames per second over a 512² clip, decoding included, and seconds from cold start to first result."""
    path = run.data / "clips" / "hdtf_02.mp4"
    with VideoReader(path) as video:
        started = time.perf_counter()
        count = sum(
            1 for _ in smooth_readings(FaceTracker(backend).track(frame.image for frame in prefetched(video)))
        )
        per_second = count / (time.perf_counter() - started)
    starts: list[float] = []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as folder:
            picture = run.data / "portraits" / "generated_woman_0035.jpg"
            command = [sys.executable, "-m", "auteur.cli", "track", str(picture), "-o", f"{folder}/track.csv"]
            started = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)  # noqa: S603
            starts.append(time.perf_counter() - started)
    return {"frames_per_second": per_second, "start_to_first_result_sec": float(np.median(starts))}


def main(run: Benchmark) -> None:
    """Runs the chosen parts and keeps their figures in one JSON file, beside those of earlier runs."""
    torch.set_num_threads(run.threads)
    backend = AuteurBackend()
    _, held_out = read_scenes(run.labels)
    parts = {
        "clips": lambda: clips(run, backend),
        "photos": lambda: photos(run, backend),
        "small_faces": lambda: small_faces(held_out, backend),
        "portraits": lambda: portraits(run, backend),
        "face_free": lambda: face_free(run, held_out, backend),
        "speed": lambda: speed(run, backend),
    }
    report = json.loads(run.out.read_text(encoding="utf-8")) if run.out.exists() else {}
    for name in run.only or parts:
        report[name] = parts[name]()
        print(json.dumps({name: report[name]}, indent=2), flush=True)
        run.out.write_text(json.dumps(report, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main(tyro.cli(Benchmark))
