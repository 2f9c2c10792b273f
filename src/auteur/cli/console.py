"""Output of every verb: notes and progress on standard error, results on standard output.

On a terminal a spinner and a bar show that work goes on. In a file or a pipe they would be noise: there,
plain lines come now and then, and none at all for work that is quickly done.
"""

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from auteur.errors import one_line

SAY_EVERY_SEC = 10.0
"""Seconds between plain lines of progress."""
SAY_PART = 0.1
"""Share of the work after which a plain line comes sooner."""
SAY_WORKING_SEC = 60.0
"""Seconds between plain lines about work of unknown length."""
LEAST_BETWEEN_SEC = 2.0
"""Least seconds between two plain lines."""


def note(text: str) -> None:
    """Prints one line about how the input was understood, or about an error."""
    with suppress(OSError):  # standard error is full or its reader is gone
        print(one_line(f"auteur: {text}"), file=sys.stderr, flush=True)


def counted(number: int, noun: str, plural: str = "") -> str:
    """Returns "1 clip", "2 clips"."""
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def span(seconds: float) -> str:
    """Returns a length of time for people: "8 s", "3 min", "2 h 5 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


@contextmanager
def working(what: str) -> Iterator[None]:
    """Shows progress of work of unknown length: a spinner, or a plain line a minute."""
    if not sys.stderr.isatty():
        with _plain_clock(what):
            yield
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as spinner:
        spinner.add_task(what, total=None)
        yield


@contextmanager
def progress(what: str, total: int | None, *, unit: str = "frame") -> Iterator[Callable[[int], None]]:
    """Shows progress and the time left; yields a function that takes the number of units done.

    Args:
        what: Name of the work, such as "rendering".
        total: Number of units; None: unknown.
        unit: One of them, in the singular.
    """
    if not sys.stderr.isatty():
        yield PlainProgress(what, total, unit=unit)
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    # Single videos of a batch take long: the time left is estimated from all of them.
    period_sec = 30 if unit == "frame" else 86_400
    bar = Progress(*columns, console=Console(stderr=True), transient=True, speed_estimate_period=period_sec)
    with bar:
        task = bar.add_task(what, total=total, speed="")

        def update(done: int) -> None:
            speed = bar.tasks[0].speed
            bar.update(task, completed=done, speed=f"{speed:.0f}/s" if speed and unit == "frame" else "")

        yield update


class PlainProgress:
    """Prints progress in lines such as "auteur: rendering: 120 of 250 frames, 8 s left".

    A line comes every ten seconds, or sooner where another tenth is done, two seconds apart at least.
    """

    def __init__(
        self,
        what: str,
        total: int | None,
        *,
        unit: str = "frame",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what, self._total, self._unit, self._clock = what, total, unit, clock
        self._begun_sec = self._said_sec = clock()
        self._said = 0

    def __call__(self, done: int) -> None:
        """Takes the number done and prints a line where one is due."""
        now = self._clock()
        if now - self._said_sec < LEAST_BETWEEN_SEC or (self._total is not None and done >= self._total):
            return
        is_tenth = self._total is not None and done - self._said >= SAY_PART * self._total
        if now - self._said_sec < SAY_EVERY_SEC and not is_tenth:
            return
        self._said_sec, self._said = now, done
        passed = now - self._begun_sec
        if self._total is None:
            note(f"{self._what}: {counted(done, self._unit)} in {span(passed)}")
            return
        left = f", {span(passed / done * (self._total - done))} left" if done else ""
        note(f"{self._what}: {done} of {counted(self._total, self._unit)}{left}")


@contextmanager
def _plain_clock(what: str) -> Iterator[None]:
    """Prints a line a minute from a second thread, since one call may take long."""
    ended, begun_sec = threading.Event(), time.monotonic()

    def say() -> None:
        while not ended.wait(SAY_WORKING_SEC):
            note(f"{what}: {span(time.monotonic() - begun_sec)}")

    thread = threading.Thread(target=say, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def one_thread() -> None:
    """Gives torch one thread: its pieces of work are too small to share; sharing stalls on busy machines."""
    import torch

    torch.set_num_threads(1)
