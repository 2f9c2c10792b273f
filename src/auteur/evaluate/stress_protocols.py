"""Stress protocols: long audio, noise and silence."""

import tempfile
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from auteur import provenance
from auteur.evaluate.behaviour import lip_gap_mm
from auteur.evaluate.evaluation import Table
from auteur.evaluate.protocol_run import Run
from auteur.evaluate.views import observe
from auteur.face.pose import without_pose
from auteur.media import VideoReader, read_speech, write_audio
from auteur.signals import Waveform
from auteur.talking_head.request import PerformanceRequest
from auteur.talking_head.talking_head import Settings

Floats = NDArray[np.floating]
Picture = NDArray[np.uint8]

ENDS_SEC = 10
NOISE_SEC = 5


def long_audio(run: Run, portraits: Sequence[Path], speech: Path) -> Iterator[Table]:
    """Yields the table of one long video per portrait: its last ten seconds against its first."""
    voice = read_speech(speech)
    seconds = run.protocol.longest_sec
    samples = np.resize(voice.samples, seconds * voice.rate_hz)
    rows: list[tuple[object, ...]] = []
    for portrait in portraits:
        path = run.videos / f"{portrait.stem}.long.mp4"
        _speak(run, portrait, Waveform(samples=samples, rate_hz=voice.rate_hz), path)
        rows.append((portrait.stem, float(seconds), *ends_compared(path, run)))
    yield Table(
        title="Long audio",
        columns=("portrait", "seconds", "drift, mm", "largest step", "usual step", "lip gap, last / first"),
        rows=tuple(rows),
        about=f"Drift: mean distance of the pose-free median face of the last {ENDS_SEC} s from that of the "
        "first. Steps: change between frames in grey levels, largest and median; a seam would stand out. "
        "Lip gap: mean of the last seconds over that of the first.",
    )


def ends_compared(video: Path, run: Run) -> tuple[float, float, float, float]:
    """Returns drift in mm, largest and median change between frames, and the ratio of lip gaps."""
    rate = run.protocol.fps
    steps: list[float] = []
    first: list[Picture] = []
    last: list[Picture] = []
    count = ENDS_SEC * int(rate)
    with VideoReader(video) as reader:
        before: Floats | None = None
        for frame in reader.frames_at(rate):
            small = frame.image[::4, ::4].astype(np.float32)
            if before is not None:
                steps.append(float(np.abs(small - before).mean()))
            before = small
            if frame.index < count:
                first.append(frame.image)
            last = [*last[-count + 1 :], frame.image]
            run.step()
    faces = [observe(pictures, rate, run.backend) for pictures in (first, last)]
    middle = [np.median(without_pose(seen.landmarks[seen.seen]), axis=0) for seen in faces]
    gaps = [float(np.nanmean(np.maximum(lip_gap_mm(seen.landmarks), 0))) for seen in faces]
    drift = float(np.linalg.norm(middle[1] - middle[0], axis=-1).mean())
    return drift, max(steps), float(np.median(steps)), gaps[1] / max(gaps[0], 1e-6)


def noise_and_silence(run: Run, portraits: Sequence[Path], speech: Path) -> Iterator[Table]:
    """Yields the table of lip motion under silence, noise and speech."""
    rate_hz = 16_000
    count = NOISE_SEC * rate_hz
    random = np.random.default_rng(0)
    sounds = {
        "silence": np.zeros(count),
        "quiet noise, −60 dB": random.normal(0, 1e-3, count),
        "white noise, −26 dB": random.normal(0, 0.05, count),
        "speech": np.resize(read_speech(speech, rate_hz=rate_hz).samples, count),
    }
    rows: list[tuple[object, ...]] = []
    for portrait in portraits:
        for name, samples in sounds.items():
            path = run.videos / f"{portrait.stem}.{name.split(',')[0].replace(' ', '_')}.mp4"
            _speak(run, portrait, Waveform(samples=samples.astype(np.float32), rate_hz=rate_hz), path)
            with VideoReader(path) as reader:
                seen = observe(
                    (f.image for f in reader.frames_at(run.protocol.fps)), run.protocol.fps, run.backend
                )
            rows.append((portrait.stem, name, *_lip_motion(lip_gap_mm(seen.landmarks), run.protocol.fps)))
    yield Table(
        title="Noise and silence",
        columns=("portrait", "sound", "lip speed, mm/s", "widest gap, mm"),
        rows=tuple(rows),
        about="Mean speed of the inner-lip gap, and its 98th percentile less its second. Only speech should "
        "move the lips; the tracker's own noise is in all rows.",
    )


def _lip_motion(gap: Floats, rate: Fraction) -> tuple[float, float]:
    speed = float(np.nanmean(np.abs(np.diff(gap)))) * float(rate)
    low, high = np.nanquantile(gap, [0.02, 0.98])
    return speed, float(high - low)


def _speak(run: Run, portrait: Path, sound: Waveform, path: Path) -> None:
    with tempfile.TemporaryDirectory() as folder:
        speech = Path(folder) / "speech.wav"
        write_audio(speech, sound, mark=provenance.Mark(watermark=False))
        video = run.head.perform(portrait, speech, PerformanceRequest(), Settings())
        video.save(path, overwrite=run.overwrite, on_frame=run.step)
