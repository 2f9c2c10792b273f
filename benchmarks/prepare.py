"""Measures `auteur prepare`: frames a second that one core does of each stage, and what a second worker
brings.

    python benchmarks/prepare.py --out prepare.json

Run it on a machine that does nothing else. The corpus is a look-alike made for the occasion, of our own
portrait or of `--clips`; `--dataset` and `--kind` take a real one. Stage times are wall-clock seconds of one
process with one thread, those of features too; the speed-up compares whole commands, start-up included, and
the time between the first and the last recording.
"""

import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tyro

from auteur.engines import make_engine
from auteur.lab.prepare import PrepareOptions, Progress, ShardReader, prepare
from auteur.lab.prepare.features import FeatureInputs, add_features
from auteur.lab.prepare.options import RATE

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from support.lookalike import build_lookalike

FEATURES = ("motion", "speech", "views", "drawings")
"""Features that need no published network."""


@dataclass(frozen=True)
class Benchmark:
    """What to measure."""

    out: Path
    """JSON to write."""
    dataset: Path | None = None
    """A real corpus in place of the look-alike."""
    kind: Literal["mead", "hdtf", "cremad", "ravdess", "folder"] = "mead"
    clips: Path | None = None
    """Clips for the look-alike in place of our own portrait."""
    people: int = 8
    """Of the look-alike; each has three recordings."""
    seconds: float = 4.0
    """Length of each."""
    limit: int | None = None
    """Recordings of a real corpus."""
    workers: tuple[int, ...] = (1, 2)


def main(benchmark: Benchmark) -> None:
    """Measures, prints and writes."""
    with tempfile.TemporaryDirectory() as place:
        folder = benchmark.dataset or Path(place, "corpus")
        if benchmark.dataset is None:
            build_lookalike(
                benchmark.kind,
                folder,
                people=benchmark.people,
                clips=benchmark.clips,
                seconds=benchmark.seconds,
            )
        options = PrepareOptions(kind=benchmark.kind, limit=benchmark.limit)
        runs = [
            measured(folder, Path(place, f"shards-{count}"), options, count) for count in benchmark.workers
        ]
        inputs, engine = FeatureInputs(copies=1), make_engine("local", 1)
        added = add_features(Path(place, f"shards-{benchmark.workers[0]}"), FEATURES, inputs, engine)
        hashes = {json.dumps([shard["sha256"] for shard in run.pop("shards")]) for run in runs}
    first, last = runs[0], runs[-1]
    result: dict[str, Any] = {
        "machine": machine(),
        "runs": runs,
        "feature_sec": {one.name: round(one.seconds, 4) for one in added},
        "same_shards": len(hashes) == 1,
        "speed_up": round(first["steady_sec"] / last["steady_sec"], 3),
        "speed_up_with_start": round(first["whole_sec"] / last["whole_sec"], 3),
    }
    benchmark.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(table(first))
    for name, seconds in result["feature_sec"].items():
        print(f"feature {name}: {1000 * seconds / first['frames']:.2f} ms per frame")
    print(
        f"{last['workers']} workers against {first['workers']}: {result['speed_up']:.2f} times as fast "
        f"({result['speed_up_with_start']:.2f} with start-up); same shards: {result['same_shards']}"
    )


def measured(folder: Path, out: Path, options: PrepareOptions, workers: int) -> dict[str, Any]:
    """Returns what one run took."""
    seen: list[tuple[float, int]] = []

    def note(progress: Progress) -> None:
        if progress.done:
            seen.append((time.perf_counter(), progress.done))

    begun = time.perf_counter()
    summary = prepare(folder, out, options, make_engine("local", workers), on_progress=note)
    whole_sec = time.perf_counter() - begun
    reader = ShardReader(out)
    # The first round of recordings waits for workers to start, so it is left out.
    counted = seen[-1][1] - seen[workers - 1][1]
    return {
        "workers": workers,
        "recordings": summary.totals["recordings"],
        "frames": summary.totals["frames"],
        "whole_sec": round(whole_sec, 3),
        "steady_sec": round((seen[-1][0] - seen[workers - 1][0]) / counted * seen[-1][1], 3),
        "stage_sec": {name: round(value, 4) for name, value in sorted(summary.seconds.items())},
        "bytes": sum(path.stat().st_size for path in reader.paths),
        "shards": reader.index["shards"],
    }


def table(run: dict[str, Any]) -> str:
    """Returns the stages as Markdown, the slowest first."""
    frames, total = run["frames"], sum(run["stage_sec"].values())
    lines = ["| stage | ms per frame | frames/s per core | share |", "|---|---|---|---|"]
    for name, seconds in sorted(run["stage_sec"].items(), key=lambda each: -each[1]):
        rate = f"{frames / seconds:.0f}" if seconds else "–"
        lines.append(f"| {name} | {1000 * seconds / frames:.2f} | {rate} | {seconds / total:.0%} |")
    times = frames / float(RATE) / total
    lines.append(f"| all | {1000 * total / frames:.2f} | {frames / total:.0f} | {times:.2f} x real time |")
    return "\n".join(lines)


def machine() -> str:
    """Returns processor and number of cores."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "?")
    return f"{model}, {len(os.sched_getaffinity(0))} cores, Python {sys.version.split()[0]}"


if __name__ == "__main__":
    main(tyro.cli(Benchmark))
