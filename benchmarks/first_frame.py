"""Times from a fresh Python to the first frame, imports included: "where the time goes" of docs/denoiser.md.

    python benchmarks/first_frame.py PORTRAIT SPEECH [--preset compact] [--runs 5] [--source OTHER/src]

Every run is a process of its own, with compiled bytecode. `--source` measures another checkout, run by run in
turns with this one, because times of a machine drift.
"""

import compileall
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

OWN_SOURCE = Path(__file__).parents[1] / "src"

CHILD = """
import resource, sys, time
begun = time.perf_counter()
import auteur
video = auteur.TalkingHead.from_pretrained(sys.argv[3])(sys.argv[1], sys.argv[2])
frames = iter(video) if hasattr(video, "__iter__") else video.frames()
next(frames)
wall = time.perf_counter() - begun
used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(sum(one.ru_utime + one.ru_stime for one in used), wall, flush=True)
import os
os._exit(0)  # the frames that are prepared ahead are not waited for
"""


@dataclass(frozen=True)
class Benchmark:
    """What to measure."""

    portrait: Annotated[Path, tyro.conf.Positional]
    speech: Annotated[Path, tyro.conf.Positional]
    preset: str = "compact"
    runs: int = 5
    source: Path | None = None
    """The folder src of another checkout."""


def seconds(source: Path, run: Benchmark) -> tuple[float, float]:
    """Returns processor and wall seconds of one process."""
    command = [sys.executable, "-c", CHILD, str(run.portrait), str(run.speech), run.preset]
    environment = os.environ | {"PYTHONPATH": str(source)}
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)  # noqa: S603
    processor, wall = done.stdout.split()[-2:]
    return float(processor), float(wall)


def main(run: Benchmark) -> None:
    sources = [OWN_SOURCE] if run.source is None else [run.source, OWN_SOURCE]
    for source in sources:
        compileall.compile_dir(str(source), quiet=1)
    found: dict[Path, list[tuple[float, float]]] = {source: [] for source in sources}
    for _ in range(run.runs):
        for source in sources:
            found[source].append(seconds(source.resolve(), run))
    for source, times in found.items():
        for what, values in zip(("processor", "wall"), zip(*times, strict=True), strict=True):
            listed = ", ".join(f"{value:.2f}" for value in sorted(values))
            print(f"{source}: {what} s, median {statistics.median(values):.2f} of {listed}")


if __name__ == "__main__":
    main(tyro.cli(Benchmark))
