"""Distributes items to workers, one at a time each, and replaces workers that die."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from auteur.engines.hosting import ItemResult, describe
from auteur.errors import AuteurError

Item = TypeVar("Item")
Result = TypeVar("Result")
ItemIn = TypeVar("ItemIn", contravariant=True)
ResultOut = TypeVar("ResultOut", covariant=True)

MOST_FAILURES = 2
"""Deaths of workers over one item, or while starting, after which it is given up."""


class Task(Protocol[ItemIn, ResultOut]):
    """The work per item; picklable, and of a class that workers can import."""

    def start(self) -> Callable[[ItemIn], ResultOut]:
        """Loads the models, once per worker; returns the function item → result."""
        ...


@dataclass(frozen=True)
class Outcome(Generic[Item, Result]):
    """Outcome of one item: `result` if `failure` is None."""

    index: int
    """Place of the item among the items, from 0."""
    item: Item
    result: Result | None
    failure: str | None
    """One line with the reason why there is no result; None: there is one."""


class Engine(Protocol[Item, Result]):
    """Applies a task to items with several workers."""

    workers: int

    def map(
        self, task: Task[Item, Result], items: Iterable[Item]
    ) -> Generator[Outcome[Item, Result], None, None]:
        """Yields one outcome per item, in order of completion.

        Items are taken from `items` only as workers get free, so it may be endless; not more than twice as
        many are taken as there are workers. An error of the task is the failure of its item. A worker
        that dies is replaced and its item tried once more. Workers are killed in the end, also when the
        iterator is closed or left by an error: they keep nothing that has to be saved.

        Raises:
            AuteurError: The task could not be started: its own error, or that workers died over it.
        """
        ...


class Worker(Protocol):
    """One process or actor, running from when it is made."""

    def start(self, task: Any) -> "Future[AuteurError | None]":
        """Starts the task there."""
        ...

    def work(self, item: Any) -> "Future[ItemResult]":
        """Applies the started task to one item."""
        ...

    def cause_of_failure(self, error: BaseException) -> str | None:
        """Returns the cause of death of the worker if the error is one; else None."""
        ...

    def end(self) -> None:
        """Ends it at once, whatever it does; harmless if it is dead."""
        ...


@dataclass
class _Job:
    index: int
    item: Any
    failures: int = 0


class _Pool:
    """The workers of one run, each with its job, or None while it starts."""

    def __init__(self, spawn: Callable[[], Worker], task: Any) -> None:
        self._spawn, self._task = spawn, task
        self._failures_at_start = 0
        self.at: dict[Future[Any], tuple[Worker, _Job | None]] = {}
        self.idle: deque[Worker] = deque()
        self._spawned: list[Worker] = []
        """All that live, also while an interrupt finds them between the two above."""

    @property
    def size(self) -> int:
        return len(self.at) + len(self.idle)

    @property
    def working(self) -> bool:
        return any(job is not None for _, job in self.at.values())

    def grow(self) -> None:
        worker = self._spawn()
        self._spawned.append(worker)
        self.at[worker.start(self._task)] = (worker, None)

    def give(self, job: _Job) -> None:
        worker = self.idle.popleft()
        self.at[worker.work(job.item)] = (worker, job)

    def settle(self, future: "Future[Any]") -> tuple[_Job | None, ItemResult | None]:
        """Returns the job of a finished future and its result; None where its worker died.

        Raises:
            AuteurError: The task could not be started, or workers died while starting.
        """
        worker, job = self.at.pop(future)
        error = future.exception()
        failure = None if error is None else worker.cause_of_failure(error)
        if failure is None:
            self.idle.append(worker)
            if job is None:
                _raise_start(error or future.result())
                self._failures_at_start = 0
                return None, None
            return job, future.result() if error is None else ItemResult(failure=describe(error))
        worker.end()
        self._spawned.remove(worker)
        if job is None:
            self._failures_at_start += 1
            if self._failures_at_start >= MOST_FAILURES:
                raise AuteurError(f"{MOST_FAILURES} workers died while they started, the last one {failure}")
            return None, None
        job.failures += 1
        failed = ItemResult(failure=f"{job.failures} workers died of it, the last one {failure}")
        return job, failed if job.failures >= MOST_FAILURES else None

    def end(self) -> None:
        for worker in self._spawned:
            worker.end()


def dispatch(
    spawn: Callable[[], Worker], workers: int, task: Any, items: Iterable[Any]
) -> Generator[Outcome[Any, Any], None, None]:
    """Implements `Engine.map` with workers made by `spawn`.

    Raises:
        AuteurError: As `Engine.map`.
    """
    source = enumerate(items)
    waiting: deque[_Job] = deque()
    with ExitStack() as stack:
        pool = _Pool(spawn, task)
        stack.callback(pool.end)
        while True:
            while len(waiting) < workers and (taken := next(source, None)) is not None:
                waiting.append(_Job(*taken))
            while waiting and pool.idle:
                pool.give(waiting.popleft())
            for _ in range(min(len(waiting), workers - pool.size)):
                pool.grow()
            if not waiting and not pool.working:
                return
            for future in wait(pool.at, return_when=FIRST_COMPLETED).done:
                job, answer = pool.settle(future)
                if job is not None and answer is None:
                    waiting.appendleft(job)
                elif job is not None and answer is not None:
                    yield Outcome(job.index, job.item, answer.result, answer.failure)


def _raise_start(trouble: BaseException | None) -> None:
    if isinstance(trouble, AuteurError):
        raise trouble
    if trouble is not None:
        raise AuteurError(f"the task could not be sent to a worker: {describe(trouble)}") from trouble
