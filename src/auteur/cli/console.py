"""What every verb shows while it works: notes and progress on standard error, results on standard output."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


def note(text: str) -> None:
    """Prints one line about how the input was understood."""
    print(f"auteur: {text}", file=sys.stderr)


@contextmanager
def progress(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Shows a bar with frames per second and the time left; yields what to call with the number done."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    # In a file or a pipe a bar is noise, and even an empty one leaves a blank line.
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total, speed="")

        def update(done: int) -> None:
            speed = bar.tasks[0].speed
            bar.update(task, completed=done, speed=f"{speed:.0f}/s" if speed else "")

        yield update


def one_thread() -> None:
    """Gives torch one thread: its pieces of work are too small to share; sharing stalls on busy machines."""
    import torch

    torch.set_num_threads(1)
