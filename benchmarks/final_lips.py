"""Lips and face of the motion and of the final video against the real person, as in weights/face_flow.md.

    python benchmarks/final_lips.py --data DATA --teacher face_landmarker.task --out final_lips.json

Each held-out clip with speech is made again by `auteur generate` from its first frame and its sound. The
motion is read from the landmarks that are to be rendered, the final video by MediaPipe, which shares nothing
with the tracker that ships and also reads the real video; the two rows differ by what rendering and reading
lose. Pose-free, up to six seconds a clip; scores and measures are those of `auteur.evaluate.mouth_motion`,
a loud frame is one above the median level of the clip.
"""

import csv
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from numpy.typing import NDArray

from auteur.errors import AuteurError
from auteur.evaluate.mouth_motion import CLOSED, FaceMotion, mouth_scores
from auteur.face.mediapipe_backend import MediaPipeBackend
from auteur.face.pose import without_pose
from auteur.lab.data.splits import is_held_out
from auteur.media import VideoReader, read_speech
from auteur.motion.grid import MOTION_RATE
from auteur.speech.prosody import energy_db
from auteur.talking_head.talking_head import Settings, TalkingHead

Floats = NDArray[np.floating[Any]]

LARGEST_PX = 1000
"""Wider videos are left out."""
LEVELS_PER_FRAME = 4


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


@dataclass(frozen=True, eq=False)
class Talk:
    """A clip and its video, as pose-free faces [T, 478, 3]."""

    name: str
    person: str
    real: Floats
    motion: Floats
    final: Floats
    is_loud: NDArray[np.bool_]
    """[T]."""


def read(teacher: MediaPipeBackend, frames: list[NDArray[np.uint8]]) -> Floats:
    """Returns pose-free faces [T, 478, 3]; of frames without a face those of the one before."""
    found = [teacher.find(frame) for frame in frames]
    seen = [index for index, faces in enumerate(found) if faces]
    nearest = np.maximum(np.searchsorted(seen, np.arange(len(frames)), side="right") - 1, 0)
    return without_pose(np.stack([found[seen[index]][0].landmarks for index in nearest]))


def frames_of(video: Path, seconds: float) -> list[NDArray[np.uint8]]:
    """Returns the first frames of a video at 25 per second, by time."""
    frames: list[NDArray[np.uint8]] = []
    for frame in VideoReader(video):
        while frame.time_sec >= len(frames) / MOTION_RATE and len(frames) < seconds * MOTION_RATE:
            frames.append(frame.image)
    return frames


def talk_of(run: Benchmark, head: TalkingHead, teacher: MediaPipeBackend, row: dict[str, str]) -> Talk:
    """Returns a clip of the manifest and the video that is made of its first frame and sound."""
    video = run.data / row["file"]
    sound = run.data / row["wav"] if row["wav"] else video
    truth = frames_of(video, run.seconds)
    made = head(truth[0], sound, settings=Settings(seconds=len(truth) / float(MOTION_RATE)))
    frames = list(made)
    count = min(len(truth), len(frames))
    level = energy_db(read_speech(sound))[::LEVELS_PER_FRAME][:count]
    return Talk(
        name=video.stem,
        person=row["identity"],
        real=read(teacher, truth[:count]),
        motion=without_pose(made.landmarks_in_view(0, count).values),
        final=read(teacher, frames[:count]),
        is_loud=np.pad(level > np.median(level), (0, count - len(level))),
    )


def closed_while_loud(faces: Floats, is_loud: NDArray[np.bool_]) -> float:
    """Returns the share of loud frames with closed lips."""
    return float((FaceMotion.of(faces).gap[is_loud] < CLOSED).mean())


def range_of(talks: list[Talk], name: str) -> dict[str, float]:
    """Returns medians over clips of what moves how far, in eye distances or hundredths of them."""
    faces = [getattr(talk, name) for talk in talks]
    found = [FaceMotion.of(face) for face in faces]
    spread = {key: float(np.median([one.spread[key] for one in found])) for key in found[0].spread}
    loud = [closed_while_loud(face, talk.is_loud) for face, talk in zip(faces, talks, strict=True)]
    return spread | {
        "rounded": float(np.mean([one.rounded for one in found])),
        "closed": float(np.mean([one.closed for one in found])),
        "closed while loud": float(np.mean(loud)),
    }


def main(run: Benchmark) -> None:
    torch.set_num_threads(1)
    head, teacher = TalkingHead.from_pretrained(run.preset), MediaPipeBackend(run.teacher, max_faces=1)
    with (run.data / "clips" / "manifest.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    talks: list[Talk] = []
    for row in rows:
        if is_held_out(row["identity"]) and row["speech"] == "yes" and int(row["width"]) <= LARGEST_PX:
            try:
                talks.append(talk_of(run, head, teacher, row))
            except AuteurError as error:
                print(f"{row['file']}: {error}")
                continue
            print(row["file"], flush=True)
    real = [talk.real for talk in talks]
    report = {
        "preset": run.preset,
        "clips": [talk.name for talk in talks],
        "people": len({talk.person for talk in talks}),
        "scores": {
            name: asdict(mouth_scores([getattr(talk, name) for talk in talks], real))
            for name in ("motion", "final")
        },
        "range": {name: range_of(talks, name) for name in ("real", "motion", "final")},
    }
    run.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main(tyro.cli(Benchmark))
