"""`auteur generate --batch JOBS.jsonl -o FOLDER`: many videos."""

import json
import time
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auteur.cli.arguments import check_readable, parse_pairs
from auteur.cli.console import counted, note, progress
from auteur.cli.generate_arguments import GenerateArguments
from auteur.errors import PartialError, UsageError

if TYPE_CHECKING:  # it takes torch
    from auteur.batch.run import PlannedBatch

_FILES = ("head_track", "gaze_track")
_RUN = ("preset", "device", "sign", "key")
"""Options of the whole run; all others are defaults for lines that do not set them."""

_MOST_SHOWN = 20


def check_alone(arguments: GenerateArguments) -> tuple[Path, Path | None]:
    """Returns portrait and speech of a single video; None for speech that a track or an actor replaces.

    Raises:
        UsageError: One is missing, or an option of a batch is there.
    """
    for name in given(arguments.batch):
        raise UsageError(f"{_option(name)} has no effect without --batch; leave it out")
    performance = arguments.performance
    is_performed = performance.track is not None or performance.drive is not None
    is_said = arguments.voice.say is not None
    if is_said and arguments.speech is not None:
        raise UsageError("give either SPEECH or --say, not both")
    if not is_said and (useless := given(arguments.voice)):
        raise UsageError(f"{_option(next(iter(useless)))} has no effect without --say; leave it out")
    if arguments.portrait is None or (arguments.speech is None and not (is_performed or is_said)):
        missing = "PORTRAIT and SPEECH" if arguments.portrait is None else "SPEECH"
        raise UsageError(f"{missing} missing: auteur generate PORTRAIT SPEECH, or --batch JOBS.jsonl")
    return arguments.portrait, arguments.speech


def generate_batch(arguments: GenerateArguments) -> int:
    """Makes the videos of a jobs file; returns 0, or 4 where some could not be made."""
    started_sec = time.monotonic()
    run = arguments.batch
    for name in _of_one_video(arguments):
        raise UsageError(f"{_option(name)} has no effect with --batch; leave it out")
    if run.batch is None or arguments.out.suffix.lower() in (".mp4", ".mov", ".webm", ".gif"):
        raise UsageError(
            f"--batch writes many videos, and {str(arguments.out)!r} is one file; give -o FOLDER"
        )
    check_readable(run.batch)
    defaults = _defaults(arguments)

    from auteur.batch.run import Batch, JobsError
    from auteur.engines import make_engine

    rendering = arguments.rendering
    gpus = 1 if (rendering.device or "").startswith("cuda") else 0
    engine = make_engine(run.engine, run.workers, address=run.ray_address, gpus_per_worker=gpus)
    batch = Batch(
        run.batch,
        arguments.out,
        preset=rendering.preset,
        device=rendering.device,
        defaults=defaults,
        overwrite=arguments.overwrite,
        signing=arguments.record.signing(),
    )
    try:
        with batch.planned() as plan:
            _note_plan(plan)
            with progress("generating", plan.todo, unit="video") as advance:
                report = plan.run(engine, on_job=advance)
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
        "engine": run.engine,
        "workers": engine.workers,
    }
    if arguments.json:
        print(json.dumps(result))
    else:
        print(f"{arguments.out}: {report.made} made, {report.skipped} there already")
    if report.failed:
        raise PartialError(
            f"{len(report.failed)} of {counted(plan.skipped + plan.todo, 'video')} could not be made; "
            "mend their lines and run the same command again"
        )
    return 0


def _note_plan(plan: "PlannedBatch") -> None:
    """Notes what is there already, and for how many videos no consent is stated."""
    from auteur.provenance import consent_notes

    if plan.skipped:
        every = plan.skipped + plan.todo
        be = "is" if every == 1 else "are"
        note(f"{plan.skipped} of {counted(every, 'video')} {be} there already")
    if plan.without_consent:
        note(f"{counted(plan.without_consent, 'video')}: {consent_notes(None)[0]}")


def _of_one_video(arguments: GenerateArguments) -> list[str]:
    """Names of the options that are given and hold for a single video alone."""
    files = {name: getattr(arguments, name) for name in ("portrait", "speech")}
    options = files | given(arguments.extras) | given(arguments.voice)
    return [name for name, value in options.items() if value is not None]


def given(group: Any) -> dict[str, Any]:
    """Returns the options of a group that differ from their defaults."""
    values = {field.name: getattr(group, field.name) for field in fields(group)}
    return {field.name: values[field.name] for field in fields(group) if values[field.name] != field.default}


def _defaults(arguments: GenerateArguments) -> dict[str, Any]:
    """Returns the options of the command line under the keys of a jobs line.

    Raises:
        UsageError: A value is outside its range or unknown.
    """
    groups = (arguments.performance, arguments.motion, arguments.rendering, arguments.record)
    of_lines = {name: value for group in groups for name, value in given(group).items()}
    defaults: dict[str, Any] = {}
    for name, value in of_lines.items():
        if name in _RUN:
            continue
        if name in ("au", "au_scale"):
            defaults[name] = parse_pairs(value, _option(name))
        elif isinstance(value, Path) or (name in _FILES and value not in ("track", "none")):
            defaults[name] = str(Path(value).resolve())
        else:
            defaults[name] = list(value) if isinstance(value, tuple) else value

    from auteur.batch.jobs import check_keys

    check_keys(defaults)
    return defaults


def _option(name: str) -> str:
    return name.upper() if name in ("portrait", "speech") else f"--{name.replace('_', '-')}"


def _list(lines: list[str]) -> None:
    for line in lines[:_MOST_SHOWN]:
        note(line)
    if len(lines) > _MOST_SHOWN:
        note(f"… and {len(lines) - _MOST_SHOWN} more")
