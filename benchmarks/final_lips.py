"""Lips of the motion and of the final video, both against the real person: a table of weights/face_flow.md.

    python benchmarks/final_lips.py --data DATA --teacher face_landmarker.task --out final_lips.json

Each held-out clip with speech is made again by `auteur generate` from its first frame and its sound. The
motion is read from the landmarks that are to be rendered, the final video by MediaPipe, which shares nothing
with the tracker that ships and also reads the real video. Gap and width of the lips in eye distances, in the
plane of the picture, up to six seconds a clip; the two columns differ by what rendering and reading lose.
"""

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from numpy.typing import NDArray

from auteur.errors import AuteurError
from auteur.evaluate.lags import best_correlation, correlation
from auteur.face.mediapipe_backend import MediaPipeBackend
from auteur.lab.data.splits import is_held_out
from auteur.media import VideoReader
from auteur.motion.grid import MOTION_RATE
from auteur.talking_head.talking_head import Settings, TalkingHead

Floats = NDArray[np.floating[Any]]

LARGEST_PX = 1000
"""Wider videos are left out."""
LARGEST_LAG = 6
MEASURES, WHERE = ("gap", "width"), ("motion", "final video")
_FOREHEAD, _CHIN, _EYES, _LIPS, _CORNERS = 10, 152, (33, 263), (13, 14), (61, 291)


@dataclass(frozen=True)
class Benchmark:
    """Where things are."""

    data: Path
    """Holds clips/manifest.csv."""
    teacher: Path
    """MediaPipe's `face_landmarker.task`."""
    out: Path
    preset: str = "compact"
    seconds: float = 6.0


def lips_of(landmarks: Floats) -> Floats:
    """Returns gap and width of the lips in eye distances, [..., 2], of landmarks [..., 478, 3] in pixels."""
    points = np.asarray(landmarks)[..., :2]
    eyes = np.linalg.norm(points[..., _EYES[0], :] - points[..., _EYES[1], :], axis=-1)
    down = points[..., _CHIN, :] - points[..., _FOREHEAD, :]
    down = down / np.linalg.norm(down, axis=-1, keepdims=True)
    gap = ((points[..., _LIPS[1], :] - points[..., _LIPS[0], :]) * down).sum(axis=-1)
    width = np.linalg.norm(points[..., _CORNERS[0], :] - points[..., _CORNERS[1], :], axis=-1)
    return np.stack([gap / eyes, width / eyes], axis=-1)


def read(teacher: MediaPipeBackend, frames: list[NDArray[np.uint8]]) -> Floats:
    """Returns `lips_of` frames as the teacher reads them, [T, 2]; frames without a face are interpolated."""
    found = [teacher.find(frame) for frame in frames]
    seen = np.flatnonzero([bool(faces) for faces in found])
    values = np.stack([lips_of(found[index][0].landmarks) for index in seen])
    return np.stack([np.interp(np.arange(len(frames)), seen, column) for column in values.T], axis=-1)


def frames_of(video: Path, seconds: float) -> list[NDArray[np.uint8]]:
    """Returns the first frames of a video at 25 per second, by time."""
    reader, frames = VideoReader(video), []
    for frame in reader:
        while frame.time_sec >= len(frames) / MOTION_RATE and len(frames) < seconds * MOTION_RATE:
            frames.append(frame.image)
    return frames


def compared(real: Floats, made: Floats) -> dict[str, float]:
    """Returns correlations of curves [T] with the real ones, and the ratio of their deviations."""
    return {
        "r": correlation(real, made),
        "r at the best lag": best_correlation(real, made, LARGEST_LAG),
        "deviation": float(made.std() / real.std()),
    }


def scores_of(run: Benchmark, head: TalkingHead, teacher: MediaPipeBackend, video: Path, sound: Path) -> Any:
    """Returns by measure what the motion and the final video have of the real lips."""
    truth = frames_of(video, run.seconds)
    made = head(truth[0], sound, settings=Settings(seconds=len(truth) / float(MOTION_RATE)))
    frames = list(made)
    curves = lips_of(made.landmarks_in_view(0, len(frames)).values), read(teacher, frames)
    real = read(teacher, truth)
    count = min(len(real), len(frames))
    return {
        measure: {
            name: compared(real[:count, column], curve[:count, column])
            for name, curve in zip(WHERE, curves, strict=True)
        }
        for column, measure in enumerate(MEASURES)
    }


def averages(clips: list[dict[str, float]]) -> dict[str, dict[str, float]]:
    """Returns median and mean over clips of every score."""
    columns = {name: [clip[name] for clip in clips] for name in clips[0]}
    return {
        name: {"median": float(np.median(column)), "mean": float(np.mean(column))}
        for name, column in columns.items()
    }


def main(run: Benchmark) -> None:
    torch.set_num_threads(1)
    head, teacher = TalkingHead.from_pretrained(run.preset), MediaPipeBackend(run.teacher, max_faces=1)
    clips: dict[str, Any] = {}
    people: set[str] = set()
    with (run.data / "clips" / "manifest.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        if not is_held_out(row["identity"]) or row["speech"] != "yes" or int(row["width"]) > LARGEST_PX:
            continue
        video = run.data / row["file"]
        try:
            clips[video.stem] = scores_of(
                run, head, teacher, video, run.data / row["wav"] if row["wav"] else video
            )
        except AuteurError as error:
            print(f"{video.stem}: {error}")
            continue
        people.add(row["identity"])
        print(video.stem, json.dumps(clips[video.stem]), flush=True)
    summary = {
        measure: {where: averages([clip[measure][where] for clip in clips.values()]) for where in WHERE}
        for measure in MEASURES
    }
    report = {"clips": len(clips), "people": len(people), "preset": run.preset, **summary, "by clip": clips}
    run.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(summary, indent=1))


if __name__ == "__main__":
    main(tyro.cli(Benchmark))
