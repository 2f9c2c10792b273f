r"""What one item costs here, and from that what a corpus or a service needs: docs/scale.md.

    python benchmarks/scale.py --portrait me.jpg --speech talk.wav --corpus MEAD --kind mead --out scale.json
    python benchmarks/scale.py --read scale.json

Costs are CPU seconds, which other programs disturb little, of workers with one thread each; the speed-up is
of the clock on the wall, so it is only worth something on an idle machine. `needs` is the arithmetic, and
pure.
"""

import itertools
import json
import math
import os
import platform
import resource
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path, PurePosixPath

import numpy as np
import torch
import tyro

from auteur.batch.results import Results
from auteur.batch.run import Batch
from auteur.engines import make_engine
from auteur.lab.prepare import PrepareOptions, prepare
from auteur.media import probe, read_speech, write_audio
from auteur.painting.warp_renderer import FRAMES_AT_ONCE
from auteur.provenance import Mark
from auteur.signals import Waveform
from auteur.talking_head.request import PerformanceRequest
from auteur.talking_head.talking_head import Settings, TalkingHead


@dataclass(frozen=True)
class Cost:
    """What one kind of item costs on one core.

    Stages are CPU seconds: `per_second` for each second of video, `per_item` once for each item.
    """

    per_second: dict[str, float]
    per_item: dict[str, float]
    bytes_in_per_second: float
    bytes_out_per_second: float
    memory_bytes: int
    """Of one worker at its largest."""


@dataclass(frozen=True)
class Machine:
    """What is rented, and for how much; the price is an assumption to be replaced."""

    cores: int = 16
    memory_bytes: int = 64 * 2**30
    price_per_core_hour: float = 0.04
    utilisation: float = 0.8
    """Share of the time in which cores do work that counts; the rest is stragglers, starts and deaths."""


@dataclass(frozen=True)
class Workload:
    """So many items of such a length in so many hours; `peak` is the busiest hour over the mean one."""

    name: str
    items: int
    item_sec: float
    hours: float
    peak: float = 1.0


WORKLOADS = {
    "prepare": (
        Workload("MEAD, 281,400 clips of 4 s, in a day", 281_400, 4.0, 24.0),
        Workload("MEAD, front view only (1 in 7), in a day", 40_200, 4.0, 24.0),
    ),
    "generate": (Workload("1 M videos of 10 s a day", 1_000_000, 10.0, 24.0, peak=2.0),),
}


@dataclass(frozen=True)
class Need:
    """What a workload needs; money in the unit of the price."""

    workload: str
    cpu_sec_per_item: float
    bottleneck: str
    bottleneck_share: float
    core_hours: float
    """Paid for, idle share included."""
    cores: int
    machines: int
    money: float
    money_per_item: float
    read_bytes: float
    written_bytes: float
    written_bytes_per_sec: float
    items_per_sec: float


def needs(cost: Cost, workload: Workload, machine: Machine) -> Need:
    """Returns what a workload needs, by multiplication alone.

    Machines are enough for the busiest hour; money counts the hours of the mean, as with machines that are
    given back when they are idle. With fewer workers than cores where memory is what runs out.
    """
    stages = {name: value * workload.item_sec for name, value in cost.per_second.items()}
    for name, value in cost.per_item.items():
        stages[name] = stages.get(name, 0.0) + value
    per_item = sum(stages.values())
    bottleneck = max(stages, key=lambda name: stages[name])
    core_hours = workload.items * per_item / 3600 / machine.utilisation
    cores = core_hours / workload.hours * workload.peak
    workers_per_machine = min(machine.cores, int(machine.memory_bytes // cost.memory_bytes))
    content_sec = workload.items * workload.item_sec
    written = content_sec * cost.bytes_out_per_second
    money = core_hours * machine.price_per_core_hour * machine.cores / workers_per_machine
    return Need(
        workload=workload.name,
        cpu_sec_per_item=per_item,
        bottleneck=bottleneck,
        bottleneck_share=stages[bottleneck] / per_item,
        core_hours=core_hours,
        cores=math.ceil(cores),
        machines=math.ceil(cores / workers_per_machine),
        money=money,
        money_per_item=money / workload.items,
        read_bytes=content_sec * cost.bytes_in_per_second,
        written_bytes=written,
        written_bytes_per_sec=written / workload.hours / 3600 * workload.peak,
        items_per_sec=workload.items / workload.hours / 3600 * workload.peak,
    )


def cpu_sec(work: Callable[[], object], *, repeat: int = 1) -> float:
    """Returns the CPU seconds of this process, all threads, that one call takes."""
    started = time.process_time()
    for _ in range(repeat):
        work()
    return (time.process_time() - started) / repeat


def generation_cost(portrait: Path, speech: Path, preset: str) -> tuple[Cost, float]:
    """Returns the cost of generating a video, and the CPU seconds of loading the models."""
    torch.set_num_threads(1)
    loading = cpu_sec(lambda: TalkingHead.from_pretrained(preset))
    head = TalkingHead.from_pretrained(preset)
    request, settings = PerformanceRequest(emotion="happy", intensity=0.6), Settings(seed=1)
    video = head.perform(portrait, speech, request, settings)  # also warms up
    seconds = float(Fraction(video.frame_count) / settings.fps)
    with tempfile.TemporaryDirectory() as folder:
        short = cut(speech, Path(folder) / "short.wav", 0.5)
        once = cpu_sec(lambda: head.perform(portrait, short, request, settings), repeat=3)
        listening = cpu_sec(lambda: head.perform(portrait, speech, request, settings)) - once
        starts = range(0, video.frame_count, FRAMES_AT_ONCE)
        moving = cpu_sec(lambda: [video.landmarks(first, first + FRAMES_AT_ONCE) for first in starts])
        frames = cpu_sec(lambda: [None for _ in video.frames()])
        out = Path(folder) / "out.mp4"
        saving = cpu_sec(lambda: video.save(out))
        size = out.stat().st_size
    per_second = {
        "speech and motion": listening / (seconds - 0.5),
        "landmarks": moving / seconds,
        "warp and paint": (frames - moving) / seconds,
        "encode and write": (saving - frames) / seconds,
    }
    read = (portrait.stat().st_size + speech.stat().st_size) / seconds
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Cost(per_second, {"portrait": once}, read, size / seconds, memory), loading


def cut(speech: Path, to: Path, seconds: float) -> Path:
    """Writes the first seconds of a recording; returns `to`."""
    whole = read_speech(speech)
    samples = np.ascontiguousarray(whole.samples[: int(seconds * whole.rate_hz)])
    write_audio(to, Waveform(samples=samples, rate_hz=whole.rate_hz), mark=Mark())
    return to


def preparation_cost(corpus: Path, kind: str) -> Cost:
    """Returns the cost of preparing the recordings of a corpus, from a run with one worker.

    Shares of stages are of the wall clock of that worker, their sum its CPU seconds.
    """
    videos = [path for path in corpus.rglob("*") if path.suffix.lower() in (".mp4", ".flv", ".mov", ".avi")]
    seconds = sum(float(probe(path).duration_sec or 0) for path in videos)
    with tempfile.TemporaryDirectory() as folder:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        summary = prepare(corpus, Path(folder) / "shards", PrepareOptions(kind=kind), make_engine("local", 1))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        written = sum(path.stat().st_size for path in (Path(folder) / "shards").rglob("*.tar"))
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    whole = sum(summary.seconds.values())
    stages = {name: value / whole * spent / seconds for name, value in summary.seconds.items()}
    read = sum(path.stat().st_size for path in videos) / seconds
    return Cost(stages, {}, read, written / seconds, after.ru_maxrss * 1024)


def videos_per_minute(portrait: Path, speech: Path, *, preset: str, workers: int, jobs: int) -> float:
    """Returns how many videos a minute come out of a batch, once every worker has made its first."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        short = cut(speech, folder / "short.wav", 4.0)
        line = {"portrait": str(portrait.resolve()), "speech": str(short), "emotion": "happy"}
        lines = [json.dumps(line | {"seed": seed}) for seed in range(jobs)]
        (folder / "jobs.jsonl").write_text("\n".join(lines), encoding="utf-8")
        ended: list[float] = []
        with Batch(folder / "jobs.jsonl", folder / "out", preset=preset).planned() as plan:
            report = plan.run(
                make_engine("local", workers), on_job=lambda _: ended.append(time.perf_counter())
            )
    if report.failed:
        raise SystemExit(f"a job failed: {report.failed[0].reason}")
    return 60 * (jobs - workers) / (ended[-1] - ended[workers - 1])


@dataclass(frozen=True)
class Nothing:
    """A task that costs nothing."""

    def start(self) -> Callable[[int], int]:
        """Returns the identity."""
        return int


def dispatches_per_second(*, items: int = 2000) -> float:
    """Returns how many items a second one parent hands out and takes back, noting both on disk."""
    with tempfile.TemporaryDirectory() as folder, Results(Path(folder)) as results:
        outcomes = make_engine("local", 1).map(Nothing(), itertools.islice(itertools.count(), items))
        with closing(outcomes):
            next(outcomes)
            started = time.perf_counter()
            for outcome in outcomes:
                for state in ("begun", "made"):
                    results.add(state, PurePosixPath(f"{outcome.index:06d}.mp4"), "0" * 64)
        return (items - 1) / (time.perf_counter() - started)


@dataclass
class Measured:
    """All that was measured, as it is stored."""

    machine: str
    load_average: float
    """Of the last minute, before measuring; over 0.5 the machine was not idle, and rates mean nothing."""
    costs: dict[str, Cost] = field(default_factory=dict[str, Cost])
    loading_cpu_sec: float = 0.0
    videos_per_minute: dict[int, float] = field(default_factory=dict[int, float])
    dispatches_per_second: float = 0.0


def measure(options: "ScaleOptions") -> Measured:
    """Measures everything there is input for; what is measured is stored at once."""
    portrait, speech = options.portrait, options.speech
    if portrait is None or speech is None:
        raise SystemExit("--portrait and --speech are needed to measure; --read FILE needs neither")
    machine = f"{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}"
    measured = Measured(machine, round(os.getloadavg()[0], 1))
    if options.corpus is not None:  # first: the largest child so far is then its worker
        measured.costs["prepare"] = preparation_cost(options.corpus, options.kind)
        store(measured, options.out)
    measured.costs["generate"], measured.loading_cpu_sec = generation_cost(portrait, speech, options.preset)
    store(measured, options.out)
    measured.dispatches_per_second = dispatches_per_second()
    for workers in options.workers:
        rate = videos_per_minute(portrait, speech, preset=options.preset, workers=workers, jobs=options.jobs)
        measured.videos_per_minute[workers] = rate
        store(measured, options.out)
    return measured


def store(measured: Measured, path: Path | None) -> None:
    """Writes the measurements as JSON, if there is a place for them."""
    if path is not None:
        path.write_text(json.dumps(asdict(measured), indent=1) + "\n", encoding="utf-8")


def page(measured: Measured, machine: Machine) -> str:
    """Returns the tables of docs/scale.md."""
    lines = [f"Machine: {measured.machine}; load average before measuring {measured.load_average:g}.", ""]
    for kind, cost in measured.costs.items():
        lines += [f"| {kind}: stage | CPU s per s of video | CPU s per item |", "|---|---|---|"]
        for name in dict.fromkeys([*cost.per_second, *cost.per_item]):
            values = [part.get(name) for part in (cost.per_second, cost.per_item)]
            lines.append(f"| {name} | {' | '.join('' if v is None else f'{v:.3f}' for v in values)} |")
        totals = [sum(part.values()) for part in (cost.per_second, cost.per_item)]
        lines += [f"| **all** | **{totals[0]:.3f}** | **{totals[1]:.3f}** |", ""]
        lines += [
            f"Per second of video {cost.bytes_in_per_second / 1e6:.2f} MB are read and "
            f"{cost.bytes_out_per_second / 1e6:.2f} MB written; a worker needs {cost.memory_bytes >> 20} MiB",
            "",
        ]
    lines += [f"Loading the models: {measured.loading_cpu_sec:.1f} CPU s per worker, once.", ""]
    rates = measured.videos_per_minute
    lines += [f"{workers} workers: {rate:.1f} videos of 4 s a minute." for workers, rate in rates.items()]
    if {1, 2} <= rates.keys():
        lines += [f"Speed-up from 1 to 2 workers: {rates[2] / rates[1]:.2f}."]
    lines += [f"One parent hands out and notes {measured.dispatches_per_second:.0f} items a second.", ""]
    rows = [
        needs(cost, workload, machine)
        for kind, cost in measured.costs.items()
        for workload in WORKLOADS[kind]
    ]
    lines += ["| | " + " | ".join(row.workload for row in rows) + " |", "|---" * (len(rows) + 1) + "|"]
    for name, show in _ROWS.items():
        lines.append(f"| {name} | " + " | ".join(show(row) for row in rows) + " |")
    return "\n".join(lines) + "\n"


_ROWS: dict[str, Callable[[Need], str]] = {
    "CPU s per item": lambda need: f"{need.cpu_sec_per_item:.2f}",
    "slowest stage": lambda need: f"{need.bottleneck}, {need.bottleneck_share:.0%}",
    "core-hours": lambda need: f"{need.core_hours:,.0f}",
    "cores at the peak": lambda need: f"{need.cores:,}",
    "machines": lambda need: f"{need.machines:,}",
    "money": lambda need: f"{need.money:,.0f}",
    "money per 1,000 items": lambda need: f"{1000 * need.money_per_item:.2f}",
    "items a second": lambda need: f"{need.items_per_sec:.1f}",
    "read": lambda need: f"{need.read_bytes / 1e9:,.0f} GB",
    "written": lambda need: f"{need.written_bytes / 1e9:,.0f} GB",
    "written at the peak": lambda need: f"{need.written_bytes_per_sec / 1e6:,.1f} MB/s",
}


@dataclass(frozen=True)
class ScaleOptions:
    """What to measure, and what to assume."""

    portrait: Path | None = None
    speech: Path | None = None
    corpus: Path | None = None
    """A corpus as `auteur prepare` takes it; without one, preparation is left out."""
    kind: str = "folder"
    preset: str = "warp"
    """Of the videos."""
    workers: tuple[int, ...] = (1, 2)
    jobs: int = 24
    """Of the runs that measure the speed-up."""
    out: Path | None = None
    """Where the measurements go, as JSON."""
    read: Path | None = None
    """Measurements to compute from instead."""
    machine: Machine = Machine()


def main(options: ScaleOptions) -> None:
    """Prints the tables."""
    measured = measure(options) if options.read is None else read_measured(options.read)
    print(page(measured, options.machine))


def read_measured(path: Path) -> Measured:
    """Returns what an earlier run has measured."""
    stored = json.loads(path.read_text(encoding="utf-8"))
    stored["costs"] = {kind: Cost(**cost) for kind, cost in stored["costs"].items()}
    stored["videos_per_minute"] = {int(n): rate for n, rate in stored["videos_per_minute"].items()}
    return Measured(**stored)


if __name__ == "__main__":
    main(tyro.cli(ScaleOptions))
