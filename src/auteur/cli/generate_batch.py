"""`auteur generate --batch JOBS.jsonl -o FOLDER`: many videos."""

import json
import time
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from auteur.cli.arguments import parse_pairs
from auteur.cli.console import note
from auteur.errors import PartialError, UsageError

if TYPE_CHECKING:
    from auteur.cli.generate import GenerateArguments

_ALONE = ("portrait", "speech", "plot", "sheet", "save_tracks")
"""Options of a single video."""

_RUN = ("batch", "engine", "workers", "ray_address", "out", "preset", "device", "overwrite", "json")
"""Options of the whole run; all others hold for lines that do not say otherwise."""

_TOGETHER = ("engine", "workers", "ray_address")
"""Options of nothing but a batch."""

_MOST_SHOWN = 20
_DAY_SEC = 86400


def check_alone(arguments: "GenerateArguments") -> tuple[Path, Path]:
    """Returns the portrait and the speech of a single video.

    Raises:
        UsageError: One is missing, or an option of a batch is there.
    """
    for name in _TOGETHER:
        if getattr(arguments, name) != _default(arguments, name):
            raise UsageError(f"{_option(name)} has no effect without --batch; leave it out")
    if arguments.portrait is None or arguments.speech is None:
        missing = "PORTRAIT and SPEECH" if arguments.portrait is None else "SPEECH"
        raise UsageError(f"{missing} missing: auteur generate PORTRAIT SPEECH, or --batch JOBS.jsonl")
    return arguments.portrait, arguments.speech


def generate_batch(arguments: "GenerateArguments") -> int:
    """Makes the videos of a jobs file; returns 0, or 4 where some could not be made."""
    started_sec = time.monotonic()
    for name in _ALONE:
        if getattr(arguments, name) != _default(arguments, name):
            raise UsageError(f"{_option(name)} has no effect with --batch; leave it out")
    if arguments.batch is None or arguments.out.suffix.lower() == ".mp4":
        raise UsageError(f"--batch writes many videos, and {str(arguments.out)!r} is one file; say -o FOLDER")
    defaults = _defaults(arguments)

    from auteur.engines import make_engine
    from auteur.pipelines.batch import Batch, JobsError

    gpus = 1 if (arguments.device or "").startswith("cuda") else 0
    engine = make_engine(
        arguments.engine, arguments.workers, address=arguments.ray_address, gpus_per_worker=gpus
    )
    batch = Batch(
        arguments.batch,
        arguments.out,
        preset=arguments.preset,
        device=arguments.device,
        defaults=defaults,
        overwrite=arguments.overwrite,
    )
    try:
        with batch.planned() as plan:
            if plan.skipped:
                note(f"{plan.skipped} of {plan.skipped + plan.todo} videos are there already")
            with _bar(plan.todo) as bar:
                task = bar.add_task("generating", total=plan.todo)
                report = plan.run(engine, on_job=lambda ended: bar.update(task, completed=ended))
    except JobsError as error:
        if len(error.lines) > 1:
            _list([f"line {bad.line}: {bad.reason}" for bad in error.lines])
        raise
    _list([f"line {one.line} ({one.output}): {one.reason}" for one in report.failed])
    result: dict[str, Any] = {
        "output": str(arguments.out),
        "made": report.made,
        "skipped": report.skipped,
        "failed": [asdict(one) for one in report.failed],
        "seconds": round(time.monotonic() - started_sec, 3),
        "engine": arguments.engine,
        "workers": engine.workers,
    }
    if arguments.json:
        print(json.dumps(result))
    else:
        print(f"{arguments.out}: {report.made} made, {report.skipped} there already")
    if report.failed:
        raise PartialError(
            f"{len(report.failed)} of {plan.skipped + plan.todo} videos could not be made; "
            "mend their lines and run the same command again"
        )
    return 0


def _defaults(arguments: "GenerateArguments") -> dict[str, Any]:
    """Returns what the command line says for all lines, as a line would say it.

    Raises:
        UsageError: A value is outside its range or unknown.
    """
    given: dict[str, Any] = {}
    for field in fields(arguments):
        value = getattr(arguments, field.name)
        if field.name in _ALONE + _RUN or value == field.default:
            continue
        if field.name in ("au", "au_scale"):
            value = parse_pairs(value, _option(field.name))
        elif isinstance(value, Path):
            value = str(value.resolve())
        given[field.name] = list(value) if isinstance(value, tuple) else value

    from auteur.pipelines.batch_jobs import check_keys

    check_keys(given)
    return given


def _option(name: str) -> str:
    return name.upper() if name in ("portrait", "speech") else f"--{name.replace('_', '-')}"


def _default(arguments: "GenerateArguments", name: str) -> Any:
    return next(field.default for field in fields(arguments) if field.name == name)


def _bar(total: int) -> Progress:
    """Returns a bar with the time left, judged by the whole run: single jobs take long."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    hidden = total == 0 or not console.is_terminal
    return Progress(*columns, console=console, transient=True, disable=hidden, speed_estimate_period=_DAY_SEC)


def _list(lines: list[str]) -> None:
    for line in lines[:_MOST_SHOWN]:
        note(line)
    if len(lines) > _MOST_SHOWN:
        note(f"… and {len(lines) - _MOST_SHOWN} more")
