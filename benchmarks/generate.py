"""Measures `auteur generate` in its own final frames: requested against measured.

    python benchmarks/generate.py --portraits face1.jpg face2.jpg --speech talk.wav --out generate.json

Action Units are read by the shipped tracker, calibrated on the same portrait with nothing requested.
How a sweep is read: `auteur.evaluate.sweeps`.
"""

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
import wave
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import tyro
from PIL import Image

from auteur.evaluate.control import UNITS, unit_intensities
from auteur.evaluate.sweeps import (
    FRAMES_PER_LEVEL,
    LEVELS,
    Response,
    shown_intensities,
    unit_response,
    unit_responses,
    unit_staircase,
)
from auteur.face.action_units import Neutral, action_units, neutral_of
from auteur.face.auteur_backend import AuteurBackend
from auteur.face.tracker import FaceTracker
from auteur.facs import EMOTIONS
from auteur.motion.mouth import lip_gap
from auteur.painting import warp_renderer
from auteur.talking_head.request import PerformanceRequest
from auteur.talking_head.talking_head import Settings, TalkingHead, TalkingVideo

DURING_SPEECH = (1, 2, 4, 5, 6, 7, 12)
LEAST_RANK_CORRELATION = 0.95
MOST_IN_OTHER_REGIONS = 0.15
STILL = Settings(head=0.0, blinks=False, gaze=False)
RATE = Fraction(25)

Floats = np.ndarray


@dataclass(frozen=True)
class Benchmark:
    """What to generate from, and where the figures go."""

    portraits: tuple[Path, ...]
    speech: Path
    """Speech of some seconds; longer runs repeat it."""
    out: Path
    sheets: Path | None = None
    """Folder for one picture per unit: every portrait at 0 and at 1."""
    memory_minutes: int = 10
    """Length of the long run, compared with one minute."""
    only: tuple[Literal["sweep", "speech_sweep", "same_frames", "emotion", "speed", "memory"], ...] = ()
    """Parts to run; all unless given."""


def write_sound(path: Path, samples: Floats, rate_hz: int = 16000) -> Path:
    with wave.open(str(path), "wb") as sound:
        sound.setparams((1, 2, rate_hz, 0, "NONE", ""))
        sound.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return path


def read(frames: list[Floats]) -> tuple[Floats, Floats]:
    """Returns landmarks [T, 478, 3] and blendshapes [T, 52] of frames that all show the face."""
    readings = [reading for reading in FaceTracker(AuteurBackend()).track(frames) if reading is not None]
    if len(readings) != len(frames):
        raise SystemExit(f"the face was lost in {len(frames) - len(readings)} of {len(frames)} frames")
    return np.stack([r.landmarks for r in readings]), np.stack([r.blendshapes for r in readings])


def measured(landmarks: Floats, blendshapes: Floats, neutral: Neutral) -> Floats:
    """Returns the intensity of every unit [T, 17], the mean of its sides."""
    return unit_intensities(action_units(landmarks, blendshapes, rate=RATE, neutral=neutral))


def summary(by_portrait: dict[str, dict[int, Response]]) -> dict[str, object]:
    """Returns the means over portraits, the units that fall short, and the portraits' own figures."""
    portraits = {
        name: {u: dataclasses.asdict(r) for u, r in units.items()} for name, units in by_portrait.items()
    }
    means = {
        unit: {
            key: float(np.mean([figures[unit][key] for figures in portraits.values()]))
            for key in ("rank_correlation", "is_monotonic", "own_change", "cross_talk")
        }
        for unit in next(iter(portraits.values()))
    }
    short = [
        unit
        for unit, mean in means.items()
        if mean["rank_correlation"] < LEAST_RANK_CORRELATION or mean["cross_talk"] > MOST_IN_OTHER_REGIONS
    ]
    return {"mean": means, "fall_short": short, "portraits": portraits}


def sweep(run: Benchmark, head: TalkingHead, folder: Path) -> dict[str, object]:
    """Generates one unit at a time on a silent, still portrait (`auteur.evaluate.sweeps`)."""
    track = unit_staircase()
    silence = write_sound(folder / "silence.wav", np.zeros(track.frames * 640))
    result: dict[str, dict[int, Response]] = {}
    shown: list[list[Floats]] = []
    for path in run.portraits:
        kept: list[Floats] = []
        frames = head.perform(path, silence, PerformanceRequest(track=track), STILL).frames()
        result[path.stem] = unit_responses(
            shown_intensities(_kept_full(frames, kept), AuteurBackend(), name=path.name)
        )
        shown.append(kept)
    if run.sheets is not None:
        draw(run.sheets, shown)
    return summary(result)


def _kept_full(frames: Iterable[Floats], kept: list[Floats]) -> Iterator[Floats]:
    """Yields all frames of a staircase; adds a small one of rest and of each unit at 1 to `kept`."""
    steps = len(LEVELS) - 1
    for number, frame in enumerate(frames):
        step, place = divmod(number, FRAMES_PER_LEVEL)
        if place == FRAMES_PER_LEVEL // 2 and step % steps == 0:
            kept.append(np.asarray(Image.fromarray(frame).resize((320, 320))))
        yield frame


def draw(folder: Path, shown: list[list[Floats]]) -> None:
    """Writes one picture per unit: every portrait at 0 (above) and at 1 (below)."""
    for i, unit in enumerate(UNITS, start=1):
        rows = [np.hstack([frames[j] for frames in shown]) for j in (0, i)]
        Image.fromarray(np.vstack(rows)).save(folder / f"AU{unit:02d}.png")


def speech_sweep(run: Benchmark, head: TalkingHead, folder: Path) -> dict[str, object]:
    """Generates upper-face units and AU12 on a speaking portrait; means over the clip, 5 frames a second."""
    silence = write_sound(folder / "silence.wav", np.zeros(9600))
    settings = dataclasses.replace(STILL, fps=Fraction(5))
    result: dict[str, dict[int, Response]] = {}
    for path in run.portraits:
        neutral = neutral_of(
            *read(list(head.perform(path, silence, PerformanceRequest(), settings).frames()))
        )

        def seen(requested: dict[str, float], path: Path = path, neutral: Neutral = neutral) -> Floats:
            video = head.perform(path, run.speech, PerformanceRequest(action_units=requested), settings)
            return measured(*read(list(video.frames())), neutral).mean(axis=0)

        rest = seen({})
        result[path.stem] = {
            unit: unit_response(unit, np.stack([rest, *(seen({f"AU{unit}": level}) for level in LEVELS[1:])]))
            for unit in DURING_SPEECH
        }
    return summary(result)


def same_frames(run: Benchmark, head: TalkingHead, folder: Path) -> dict[str, object]:
    """Whether the frames stay the same, bit by bit, in pieces of 16, 5 and 1."""
    portrait = _smaller(run.portraits[0], folder)
    hashes: set[str] = set()
    usual = warp_renderer.FRAMES_AT_ONCE
    for size in (usual, 5, 1):
        warp_renderer.FRAMES_AT_ONCE = size
        digest = hashlib.sha256()
        for frame in head.perform(
            portrait, run.speech, PerformanceRequest("happy"), Settings(seed=3)
        ).frames():
            digest.update(frame.tobytes())
        hashes.add(digest.hexdigest())
    warp_renderer.FRAMES_AT_ONCE = usual
    return {"same": len(hashes) == 1, "sizes": [usual, 5, 1]}


def emotion(run: Benchmark, head: TalkingHead, folder: Path) -> dict[str, object]:
    """Correlation of the inner-lip gap with and without each emotion at full intensity."""

    def gap(requested: PerformanceRequest) -> Floats:
        video: TalkingVideo = head.perform(run.portraits[0], run.speech, requested, STILL)
        return lip_gap(video.landmarks().values)

    plain = gap(PerformanceRequest())
    return {name: float(np.corrcoef(plain, gap(PerformanceRequest(name)))[0, 1]) for name in EMOTIONS}


def speed(run: Benchmark, head: TalkingHead, folder: Path) -> dict[str, object]:
    """Seconds per second of speech by preset, for 10 s at 512 × 512, from cold start to the finished file.

    "times_real_time" is by the clock; "processor" counts all threads, which a busy machine changes less.
    """
    portrait, speech = _smaller(run.portraits[0], folder, side_px=512), _repeated(run.speech, folder, 10)
    figures: dict[str, object] = {}
    for preset in ("compact", "fast", "warp"):
        spent = _generate(portrait, speech, folder, "--preset", preset)
        figures[preset] = {"times_real_time": spent.seconds / 10, "processor": spent.processor_sec / 10}
    return figures


def memory(run: Benchmark, head: TalkingHead, folder: Path) -> dict[str, object]:
    """Peak memory of a long run against that of a minute."""
    portrait = _smaller(run.portraits[0], folder)
    peaks = {
        minutes: _generate(portrait, _repeated(run.speech, folder, 60 * minutes), folder).peak_mb
        for minutes in (1, run.memory_minutes)
    }
    return {"peak_mb": peaks, "ratio": peaks[run.memory_minutes] / peaks[1]}


def _smaller(portrait: Path, folder: Path, side_px: int = 256) -> Path:
    path = folder / f"{portrait.stem}_{side_px}.png"
    Image.open(portrait).convert("RGB").resize((side_px, side_px), Image.Resampling.LANCZOS).save(path)
    return path


def _repeated(speech: Path, folder: Path, seconds: int) -> Path:
    from auteur.media import read_speech

    samples = read_speech(speech).samples
    return write_sound(folder / f"{seconds}.wav", np.resize(samples, seconds * 16000))


@dataclass(frozen=True)
class Spent:
    """What one `auteur generate` took."""

    seconds: float
    processor_sec: float
    peak_mb: float


def _generate(portrait: Path, speech: Path, folder: Path, *options: str) -> Spent:
    """Runs `auteur generate` in a process of its own."""
    out = folder / f"{speech.stem}.mp4"
    command = [sys.executable, "-m", "auteur.cli", "generate", str(portrait), str(speech), "-o", str(out)]
    command += ["--overwrite", *options]
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join(command)} failed with status {status}")
    processor_sec = usage.ru_utime + usage.ru_stime
    return Spent(time.perf_counter() - started, processor_sec, usage.ru_maxrss / 1024)


PARTS: dict[str, Callable[[Benchmark, TalkingHead, Path], dict[str, object]]] = {
    "sweep": sweep,
    "speech_sweep": speech_sweep,
    "same_frames": same_frames,
    "emotion": emotion,
    "speed": speed,
    "memory": memory,
}


def main(run: Benchmark) -> None:
    """Runs the chosen parts and keeps their figures in one JSON file, beside those of earlier runs."""
    torch.set_num_threads(1)
    head = TalkingHead.from_pretrained()
    report = json.loads(run.out.read_text(encoding="utf-8")) if run.out.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        for name in run.only or PARTS:
            report[name] = PARTS[name](run, head, Path(folder))
            print(json.dumps({name: report[name]}, indent=2), flush=True)
            run.out.write_text(json.dumps(report, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main(tyro.cli(Benchmark))
