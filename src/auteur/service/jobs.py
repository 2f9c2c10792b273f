"""The queue of videos: state in files, one process per worker, a crash costs one job."""

import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from auteur.batch.results import remove_parts
from auteur.provenance import consent_notes
from auteur.service.context import Message
from auteur.service.limits import Limits
from auteur.service.problems import CallError, problem_of
from auteur.service.processes import CancelledError, ModelProcess
from auteur.service.store import Store, new_id, stamp

ENDED = ("done", "failed", "cancelled")
MOST_ATTEMPTS = 2
"""How often a job is begun that the end of the service interrupted."""


@dataclass
class Job:
    """One video, requested and perhaps made."""

    id: str
    body: Message
    """As the client sent it."""
    request: Message
    """As the process of models gets it."""
    uploads: list[str]
    """Ids of its inputs."""
    created_sec: float
    status: str = "queued"
    attempts: int = 0
    done: int = 0
    total: int | None = None
    error: Message | None = None
    notes: list[str] = field(default_factory=list[str])
    result: Message | None = None
    ended_sec: float | None = None
    key: str | None = None
    """What makes a repeated request the same."""
    version: int = 1
    """Raised with every change of state."""
    began_sec: float | None = None
    cancel: threading.Event = field(default_factory=threading.Event, repr=False)

    def record(self) -> Message:
        """What is written into its file."""
        kept = {name: getattr(self, name) for name in _RECORDED}
        return kept | {"version": self.version}

    def to_json(self, *, position: int | None, keep_sec: float, with_request: bool = True) -> Message:
        """What a client sees."""
        left = None
        if self.status == "running" and self.began_sec is not None and self.done and self.total:
            passed = time.monotonic() - self.began_sec
            left = round(passed / self.done * (self.total - self.done), 1)
        expires = None if self.ended_sec is None else self.ended_sec + keep_sec
        seen: Message = {
            "id": self.id,
            "status": self.status,
            "position": position,
            "created": stamp(self.created_sec),
            "expires": stamp(expires),
            "done": self.done,
            "total": self.total,
            "seconds_left": left,
            "error": self.error,
            "notes": self.notes,
            "result": self.result,
        }
        return seen | ({"request": self.body} if with_request else {})


_RECORDED = (
    *("id", "body", "request", "uploads", "created_sec", "status", "attempts", "done", "total", "error"),
    *("notes", "result", "ended_sec", "key"),
)


class JobQueue:
    """Jobs in order, and the processes that make their videos.

    Args:
        store: Where jobs lie.
        limits: Budgets.
        processes: One per worker.
    """

    def __init__(self, store: Store, limits: Limits, processes: list[ModelProcess]) -> None:
        self._store, self._limits, self._processes = store, limits, processes
        self._jobs: dict[str, Job] = {}
        self._waiting: deque[str] = deque()
        self._change = threading.Condition()
        self._stopped = False
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Finds the jobs of an earlier run and begins to work."""
        self._restore()
        for process in self._processes:
            thread = threading.Thread(target=self._work, args=(process,), daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Ends the processes; what is running begins again with the next start."""
        with self._change:
            self._stopped = True
            self._change.notify_all()
        for process in self._processes:
            process.kill()
        for thread in self._threads:
            thread.join(10)

    def check_room(self) -> None:
        """Refuses a job more than may wait.

        Raises:
            CallError: The queue is full.
        """
        if len(self._waiting) >= self._limits.queued_jobs:
            raise CallError("queue_full", f"{len(self._waiting)} jobs are waiting already; try again later")

    def submit(self, body: Message, request: Message, uploads: list[str], key: str | None) -> Job:
        """Adds a job and returns it, or the one that was added with the same key.

        Raises:
            CallError: The queue is full.
        """
        with self._change:
            known = self.with_key(key)
            if known is not None:
                return known
            self.check_room()
            notes = list(consent_notes(body.get("consent")))
            job = Job(new_id(), body, request, uploads, time.time(), notes=notes, key=key)
            folder = self._store.jobs.make(job.id)
            job.request = {**request, "task": "video", "folder": str(folder)}
            self._jobs[job.id] = job
            self._save(job)
            self._waiting.append(job.id)
            self._change.notify()
        return job

    def with_key(self, key: str | None) -> Job | None:
        """Returns the job that was added with a key, if there is one."""
        if key is None:
            return None
        return next((job for job in self._jobs.values() if job.key == key), None)

    def get(self, identity: str) -> Job:
        """Returns a job.

        Raises:
            CallError: There is none.
        """
        job = self._jobs.get(identity)
        if job is None:
            raise CallError("not_found", "there is no such job, or it has expired")
        return job

    def seen(self, job: Job, *, with_request: bool = True) -> Message:
        """Returns what a client sees of a job."""
        position = None
        if job.status == "queued":
            with suppress(ValueError):
                position = self._waiting.index(job.id)
        return job.to_json(position=position, keep_sec=self._limits.keep_sec, with_request=with_request)

    def cancel(self, job: Job) -> bool:
        """Cancels a job that has not ended; returns whether it had not."""
        with self._change:
            if job.status in ENDED:
                return False
            job.cancel.set()
            if job.status == "queued" and job.id in self._waiting:
                self._waiting.remove(job.id)
                self._end(job, "cancelled")
        return True

    def remove(self, job: Job) -> None:
        """Removes everything of a job that has ended."""
        with self._change:
            self._jobs.pop(job.id, None)
        self._store.jobs.remove(job.id)

    def inputs_in_use(self) -> set[str]:
        """Returns the ids of uploads that jobs still need."""
        return {one for job in list(self._jobs.values()) if job.status not in ENDED for one in job.uploads}

    def remove_expired(self) -> None:
        """Removes results that are older than they are kept."""
        now = time.time()
        for job in list(self._jobs.values()):
            if job.ended_sec is not None and now - job.ended_sec > self._limits.keep_sec:
                self.remove(job)

    @property
    def counts(self) -> dict[str, int]:
        """How many jobs are in each state."""
        states = [job.status for job in list(self._jobs.values())]
        return {state: states.count(state) for state in ("queued", "running", *ENDED)}

    def _restore(self) -> None:
        found: list[Job] = []
        for identity in list(self._store.jobs.ids()):
            try:
                record = self._store.jobs.read(identity)
                job = Job(**record)
            except (CallError, TypeError):
                self._store.jobs.remove(identity)  # its first record was never written
                continue
            found.append(job)
        for job in sorted(found, key=lambda one: one.created_sec):
            self._jobs[job.id] = job
            if job.status in ENDED:
                continue
            remove_parts([self._store.jobs.path(job.id)])
            if job.status == "running" and job.attempts >= MOST_ATTEMPTS:
                message = f"the service ended {job.attempts} times while it worked on this job"
                self._end(job, "failed", error={"code": "worker_died", "message": message})
                continue
            job.status, job.done, job.total = "queued", 0, None
            self._save(job)
            self._waiting.append(job.id)

    def _work(self, process: ModelProcess) -> None:
        while True:
            with self._change:
                while not self._waiting and not self._stopped:
                    self._change.wait()
                if self._stopped:
                    return
                job = self._jobs[self._waiting.popleft()]
                job.status, job.attempts, job.version = "running", job.attempts + 1, job.version + 1
                with suppress(Exception):  # a full disk is met by the job itself
                    self._save(job)
            self._make(process, job)

    def _make(self, process: ModelProcess, job: Job) -> None:
        def on_event(event: Message) -> None:
            if "total" in event:
                if not event["done"]:
                    job.began_sec = time.monotonic()
                job.done, job.total = event["done"], event["total"]
                job.version += 1

        try:
            answer = process.call(
                job.request, on_event=on_event, cancel=job.cancel, most_sec=self._limits.job_sec
            )
        except CancelledError:
            self._ended(job, "cancelled")
        except Exception as error:
            if self._stopped:
                return  # the next start begins it again
            problem = problem_of(error)
            self._ended(job, "failed", error={"code": problem.code, "message": str(problem)})
        else:
            notes = answer.result.pop("notes", [])
            self._ended(job, "done", result=answer.result, notes=notes)

    def _ended(self, job: Job, status: str, **changes: Any) -> None:
        folder = self._store.jobs.path(job.id)
        remove_parts([folder])
        if status != "done":
            for path in folder.iterdir():
                if path.name != "record.json":
                    with suppress(OSError):
                        path.unlink()
        with self._change:
            self._end(job, status, **changes)

    def _end(self, job: Job, status: str, **changes: Any) -> None:
        for name, value in changes.items():
            setattr(job, name, value)
        job.ended_sec, job.status = time.time(), status
        job.version += 1
        with suppress(Exception):  # a full disk: the state is known as long as the service runs
            self._save(job)

    def _save(self, job: Job) -> None:
        self._store.jobs.write(job.id, job.record())
