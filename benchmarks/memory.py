"""Measures the peak memory of `auteur generate`: a long recording against a minute of the same speech.

    python benchmarks/memory.py --portrait face.jpg --speech talk.wav --out memory.json

The speech is repeated with half a second of pause between. Each run is a process of its own; its peak is what
the operating system counted as resident (ru_maxrss).
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tyro
from PIL import Image

from auteur.media import read_audio, write_audio
from auteur.provenance import Mark
from auteur.signals import Waveform

MOST_GROWTH = 1.10
MOST_MB = 2500
PAUSE_SEC = 0.5


@dataclass(frozen=True)
class Benchmark:
    """What is generated, and where the figures go."""

    speech: Path
    """Speech of some seconds."""
    out: Path
    portrait: Path | None = None
    """A picture with a face; scikit-image's astronaut unless given."""
    side_px: int = 256
    """Side of the square that the portrait is made: small, since length is what is measured."""
    routes: tuple[str, ...] = ("auto", "landmark")
    minutes: tuple[int, ...] = (1, 10)
    """Lengths; the first is what the others are compared with."""
    arguments: tuple[str, ...] = field(default=())
    """More for `auteur generate`."""


def portrait_of(run: Benchmark, folder: Path) -> Path:
    if run.portrait is None:
        from skimage import data

        picture = Image.fromarray(data.astronaut()[0:256, 96:352])
    else:
        picture = Image.open(run.portrait).convert("RGB")
    path = folder / "portrait.png"
    picture.resize((run.side_px, run.side_px), Image.Resampling.LANCZOS).save(path)
    return path


def repeated(speech: Path, folder: Path, minutes: int) -> Path:
    """Writes the first channel of the speech over and over, at its own rate."""
    samples, rate_hz = read_audio(speech)
    once = np.append(samples[:, 0], np.zeros(round(PAUSE_SEC * rate_hz), np.float32))
    path = folder / f"{minutes}.wav"
    whole = Waveform(samples=np.resize(once, minutes * 60 * rate_hz), rate_hz=rate_hz)
    write_audio(path, whole, mark=Mark(), overwrite=True)
    return path


def generated(portrait: Path, speech: Path, route: str, arguments: tuple[str, ...]) -> dict[str, float]:
    """Returns peak megabytes and wall seconds of one `auteur generate`."""
    out = speech.with_suffix(".mp4")
    options = ["--route", route, "--overwrite", *arguments]
    command = [sys.executable, "-m", "auteur.cli", "generate", str(portrait), str(speech), "-o", str(out)]
    started = time.perf_counter()
    process = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL)  # noqa: S603
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{' '.join([*command, *options])} failed with status {status}")
    # Linux counts in KiB, macOS in bytes.
    peak_bytes = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {"peak_mb": peak_bytes / 2**20, "seconds": time.perf_counter() - started}


def main(run: Benchmark) -> int:
    """Prints the peaks and their ratio by route; 1 if a limit is passed."""
    report: dict[str, dict[str, object]] = {}
    is_within = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        portrait = portrait_of(run, folder)
        for route in run.routes:
            runs = {
                minutes: generated(portrait, repeated(run.speech, folder, minutes), route, run.arguments)
                for minutes in run.minutes
            }
            peaks = [figures["peak_mb"] for figures in runs.values()]
            ratio = max(peaks) / peaks[0]
            is_within &= ratio <= MOST_GROWTH and max(peaks) < MOST_MB
            report[route] = {"minutes": runs, "ratio": ratio}
            print(f"{route}: {', '.join(f'{peak:.0f}' for peak in peaks)} MB, ratio {ratio:.3f}", flush=True)
            run.out.write_text(json.dumps(report, indent=2), encoding="utf-8")
    return 0 if is_within else 1


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Benchmark)))
