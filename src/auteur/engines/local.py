"""The engine "local": one process per worker, each behind an executor of its own.

An executor of many processes breaks as a whole when one of them dies, without naming the item. With
one process each, a death concerns one item. One worker alone is a process too: a crash of FFmpeg, or the
kernel's answer to too little memory, must cost an item and not the run.
"""

import multiprocessing
import os
import signal
import threading
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

from auteur.engines.dispatch import Outcome, dispatch
from auteur.engines.hosting import Host, ItemResult
from auteur.errors import AuteurError

_EXIT_WAIT_SEC = 2.0

_host = Host()


class LocalEngine:
    """Applies tasks in processes of this machine; see `auteur.engines.Engine`.

    Processes are spawned, so a program that uses it keeps its own work under `if __name__ == "__main__":`.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def map(self, task: Any, items: Iterable[Any]) -> Generator[Outcome[Any, Any], None, None]:
        """Yields one outcome per item, in order of completion; see `auteur.engines.Engine.map`."""
        return dispatch(_LocalWorker, self.workers, task, items)


class _LocalWorker:
    def __init__(self) -> None:
        # As many workers as cores, one thread each; libraries read this when they are imported, so before.
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        self._executor = ProcessPoolExecutor(
            max_workers=1, mp_context=multiprocessing.get_context("spawn"), initializer=enter_worker
        )
        self._process: BaseProcess | None = None

    def start(self, task: Any) -> "Future[AuteurError | None]":
        with _deaf_to_interrupts():
            before = set(multiprocessing.active_children())
            future = self._executor.submit(_start, task)  # the first submission makes the process
            self._process = next(iter(set(multiprocessing.active_children()) - before), None)
        return future

    def work(self, item: Any) -> "Future[ItemResult]":
        try:
            return self._executor.submit(_work, item)
        except BrokenExecutor as error:  # it died while it had nothing to do
            failed: Future[ItemResult] = Future()
            failed.set_exception(error)
            return failed

    def cause_of_failure(self, error: BaseException) -> str | None:
        if not isinstance(error, BrokenExecutor):
            return None
        if self._process is None:
            return "for an unknown reason"
        self._process.join(_EXIT_WAIT_SEC)
        code = self._process.exitcode
        if code is None or code >= 0:
            return f"with exit code {code}"
        lack = " (too little memory?)" if -code == signal.SIGKILL else ""
        return f"by {signal.Signals(-code).name}{lack}"

    def end(self) -> None:
        if self._process is not None and self._process.is_alive():
            self._process.kill()
        self._executor.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _deaf_to_interrupts() -> Iterator[None]:
    """Processes made meanwhile ignore Ctrl-C, also while they start; the caller gets it afterwards."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # the first process starts it, which unblocks interrupts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def enter_worker() -> None:
    """Makes the process a worker: it ignores Ctrl-C and ends with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent gets it too, and ends the worker
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent.sentinel,), daemon=True).start()


def _follow(parent: int) -> None:
    wait([parent])
    os._exit(1)


def _start(task: Any) -> AuteurError | None:
    return _host.start(task)


def _work(item: Any) -> ItemResult:
    return _host.work(item)
