"""Many videos from a file of jobs: over several workers, resumable, one bad job never stopping the rest."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, fields, is_dataclass, replace
from fractions import Fraction
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from auteur import __version__, provenance, weights
from auteur.batch.jobs import BadLine, Job, read_jobs
from auteur.batch.results import Results, remove_parts
from auteur.engines import Engine, Outcome
from auteur.errors import InputError, UsageError
from auteur.files import is_disk_full, make_folders
from auteur.painting.registry import denoiser_path
from auteur.signals import Track
from auteur.talking_head.routes import find_route

if TYPE_CHECKING:  # the workers load it; the parent need not
    from auteur.talking_head.talking_head import TalkingHead


class JobsError(InputError):
    """A jobs file has lines that are no jobs; nothing was made.

    Attributes:
        lines: All of them.
    """

    def __init__(self, path: Path, lines: list[BadLine]) -> None:
        first, others = lines[0], len(lines) - 1
        more = f" (and {others} more bad line{'s' if others > 1 else ''})" if others else ""
        super().__init__(f"{path.name} line {first.line}: {first.reason}{more}; nothing was made")
        self.lines = lines


@dataclass(frozen=True)
class FailedJob:
    """A job that gave no video."""

    line: int
    output: str
    reason: str


@dataclass(frozen=True)
class BatchReport:
    """Result of a run; `made` + `skipped` + `failed` are all jobs of the file."""

    made: int
    skipped: int
    """Made by an earlier run."""
    failed: tuple[FailedJob, ...]
    """In the order of their lines."""


@dataclass(frozen=True)
class Batch:
    """A jobs file, its output folder, and the settings common to all of its jobs."""

    jobs: Path
    folder: Path
    preset: str = "compact"
    device: str | None = None
    defaults: Mapping[str, Any] | None = None
    """Values for lines that do not set them, under the names of `auteur generate`."""
    overwrite: bool = False
    """Whether files of other jobs or programs may be replaced. Files of the same job are kept."""
    signing: provenance.Signing | None = None
    """Certificate and key for signed videos; the workers read them."""

    @contextmanager
    def planned(self) -> "Iterator[PlannedBatch]":
        """Yields the plan, with every line checked; the folder is locked until the block ends.

        Raises:
            JobsError: A line is no job, two lines write one file, or a file is in the way.
            InputError: The folder or the jobs file cannot be used.
            UsageError: The preset or the device cannot.
        """
        paints = denoiser_path(self.preset, self.device) is not None
        if not self.jobs.is_file():
            raise InputError(f"the jobs {str(self.jobs)!r} do not exist; name a JSONL file")
        if self.signing is not None:
            self.signing.check(Path("video.mp4"))
        with Results(self.folder.resolve()) as results:
            digests, todo = self._plan(results, paints=paints)
            yield PlannedBatch(self, results, digests, todo, paints=paints)

    def _plan(self, results: Results, *, paints: bool) -> tuple[dict[int, str], dict[PurePosixPath, Job]]:
        """Returns the digest of every job by line, and the jobs that are still to be done, by output."""
        bad: list[BadLine] = []
        line_of: dict[PurePosixPath, int] = {}
        digests: dict[int, str] = {}
        todo: dict[PurePosixPath, Job] = {}
        digest_of = _Digests(self.preset)
        for job in self.read(paints=paints):
            if isinstance(job, BadLine):
                bad.append(job)
                continue
            try:
                if self.signing is not None:
                    self.signing.check(Path(job.output))
                digests[job.line] = digest = digest_of(job)
            except (InputError, UsageError) as error:
                bad.append(BadLine(job.line, str(error)))
                continue
            reason = None
            if job.output in line_of:
                reason = f"line {line_of[job.output]} writes {str(job.output)!r} too; name another output"
            elif not results.is_made(job.output, digest):
                reason = self._obstacle(results, job.output, digest)
                todo[job.output] = job
            if reason is not None:
                bad.append(BadLine(job.line, reason))
            line_of.setdefault(job.output, job.line)
        if bad:
            raise JobsError(self.jobs, bad)
        if not digests:
            raise InputError(f"the jobs {str(self.jobs)!r} hold no line; write one JSON object per video")
        return digests, todo

    def _obstacle(self, results: Results, output: PurePosixPath, digest: str) -> str | None:
        path = results.folder / output
        if not path.resolve().is_relative_to(results.folder):
            return f"{str(path)!r} leads out of the folder of the run; name another output"
        above = next((one for one in path.parents if os.path.lexists(one)), results.folder)
        if not above.is_dir():
            return f"{str(above)!r} is a file, not a folder; name another output"
        if self.overwrite or not path.exists() or results.is_ours(output, digest):
            return f"{str(path)!r} is a folder; name a file" if path.is_dir() else None
        return (
            f"{str(path)!r} exists and is not what this job makes (another job, input, model or version); "
            "choose another folder or pass --overwrite"
        )

    def read(self, *, paints: bool) -> Iterator[Job | BadLine]:
        """Yields the lines of the jobs file; `paints` is whether the preset has a denoiser."""
        for job in read_jobs(self.jobs.resolve(), defaults=self.defaults or {}, paints=paints):
            if isinstance(job, Job) and self.signing is not None:
                job = replace(job, settings=replace(job.settings, signing=self.signing))
            yield job


class PlannedBatch:
    """A batch whose lines are all good.

    Attributes:
        skipped: How many videos an earlier run has made.
        todo: How many are to be made.
        without_consent: How many of these state no consent.
    """

    def __init__(
        self,
        batch: Batch,
        results: Results,
        digests: dict[int, str],
        jobs: dict[PurePosixPath, Job],
        *,
        paints: bool,
    ) -> None:
        self._batch, self._results, self._paints = batch, results, paints
        self._digests, self._outputs = digests, jobs.keys()
        self.todo, self.skipped = len(jobs), len(digests) - len(jobs)
        self.without_consent = sum(job.settings.consent is None for job in jobs.values())

    def run(
        self, engine: "Engine[Work, Made | NoRoom]", *, on_job: Callable[[int], None] | None = None
    ) -> BatchReport:
        """Makes every video that is not there yet.

        Killed at any moment and run again, it resumes; at most one job per worker is done twice.

        Args:
            engine: Workers.
            on_job: Called with the number of jobs that have ended.

        Raises:
            AuteurError: The models could not be loaded.
            InputError: The disk is full. Nothing more is tried; what was made is kept.
        """
        folders = {self._results.folder / output.parent for output in self._outputs}
        for folder in folders:
            make_folders(folder)
        remove_parts(folders)
        task = Generation(self._batch.preset, self._batch.device)
        failed: list[FailedJob] = []
        try:
            with closing(engine.map(task, self._work())) as outcomes:
                for ended, outcome in enumerate(outcomes, start=1):
                    failure = self._note(outcome)
                    failed += [failure] if failure else []
                    if on_job:
                        on_job(ended)
        finally:
            remove_parts(folders)
        failed.sort(key=lambda one: one.line)
        return BatchReport(self.todo - len(failed), self.skipped, tuple(failed))

    def _work(self) -> "Iterator[Work]":
        for job in self._batch.read(paints=self._paints):
            if isinstance(job, BadLine) or job.output not in self._outputs:
                continue
            digest = self._digests[job.line]
            self._results.add("begun", job.output, digest, line=job.line)
            yield Work(job, str(self._results.folder / job.output), digest)

    def _note(self, outcome: "Outcome[Work, Made | NoRoom]") -> FailedJob | None:
        job, digest = outcome.item.job, outcome.item.digest
        if isinstance(outcome.result, NoRoom):  # every further job would meet the same
            raise InputError(f"{outcome.result.reason}; make room and run the same command again")
        if outcome.result is not None:
            self._results.add("made", job.output, digest, line=job.line, **asdict(outcome.result))
            return None
        reason = outcome.failure or "for an unknown reason"
        self._results.add("failed", job.output, digest, line=job.line, reason=reason)
        return FailedJob(job.line, str(job.output), reason)


class _Digests:
    """Hashes everything that a video depends on: contents of its inputs, settings, models, version."""

    def __init__(self, preset: str) -> None:
        self._hash = cache(provenance.hash_file)
        self._preset = self._of_preset(preset)

    def __call__(self, job: Job) -> str:
        requested = job.requested
        files = {"portrait": job.portrait, "speech": job.speech, **requested.files()}
        stated = {field.name: getattr(requested, field.name) for field in fields(requested)}
        identity = {
            "inputs": {role: self._hash(path) for role, path in files.items() if path is not None},
            "asked": {name: value for name, value in stated.items() if name not in requested.files()},
            "settings": vars(job.settings),
            "face": job.face,
            "models": {name: weights.version(name) for name in _models(job)},
            "preset": self._preset,
            "version": __version__,
        }
        text = json.dumps(identity, sort_keys=True, default=_plain)
        return hashlib.sha256(text.encode()).hexdigest()

    def _of_preset(self, preset: str) -> Any:
        path = denoiser_path(preset, None)
        if path is None:
            return preset
        if path.is_file():
            return [preset, self._hash(path)]
        if path.is_dir():  # of the papers' size: gigabytes
            return sorted((str(one.relative_to(path)), one.stat().st_size) for one in path.rglob("*.*"))
        return preset


@dataclass(frozen=True)
class Work:
    """A job on its way to a worker."""

    job: Job
    output: str
    digest: str


@dataclass(frozen=True)
class Made:
    """A worker's result for one video."""

    frames: int
    seconds: float
    """Of work."""
    notes: tuple[str, ...]


@dataclass(frozen=True)
class NoRoom:
    """A worker's result where the disk is full."""

    reason: str


@dataclass(frozen=True)
class Generation:
    """The task (`auteur.engines.Task`) of a worker: the models loaded once, then video after video."""

    preset: str
    device: str | None

    def start(self) -> Callable[[Work], Made | NoRoom]:
        """Loads the models; returns what makes a video.

        Raises:
            UsageError: There is no such preset or device, or something must be installed.
            WeightsError: The weights are missing, damaged or do not fit.
        """
        import torch

        from auteur.talking_head.talking_head import TalkingHead

        torch.set_num_threads(1)  # workers share the cores, and frames must not depend on their number
        head = TalkingHead.from_pretrained(self.preset, device=self.device)
        return lambda work: _generate(head, work)


def _generate(head: "TalkingHead", work: Work) -> Made | NoRoom:
    started_sec, job = time.monotonic(), work.job
    video = head.perform(job.portrait, job.speech, job.requested, job.settings, face=job.face)
    try:
        # The plan has excluded files of other jobs.
        video.save(work.output, overwrite=True)
    except InputError as error:
        if is_disk_full(error):
            return NoRoom(str(error))
        raise
    return Made(video.frame_count, round(time.monotonic() - started_sec, 3), video.notes)


def _models(job: Job) -> tuple[str, ...]:
    from auteur.talking_head.talking_head import MODELS

    return (*MODELS, *find_route(job.settings.route, without_request=job.requested.is_empty).weights)


def _plain(value: Any) -> Any:
    if isinstance(value, Fraction):
        return str(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Track):  # of keyframes
        return [hashlib.sha256(value.values.tobytes()).hexdigest(), str(value.rate), str(value.start_sec)]
    if is_dataclass(value):  # a curve of emotions
        return vars(value)
    raise TypeError(f"{type(value).__name__} has no place in a job")
