"""The code inside a worker, the same for every engine: start a task once, then apply it to items."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from auteur.errors import AuteurError

_MOST_CHARACTERS = 300


@dataclass(frozen=True)
class ItemResult:
    """A worker's result for one item, or the reason why there is none."""

    result: Any = None
    failure: str | None = None


class Host:
    """Holds a started task in a worker."""

    def __init__(self) -> None:
        self._function: Callable[[Any], Any] | None = None

    def start(self, task: Any) -> AuteurError | None:
        """Starts the task; returns the error in one line, None for none."""
        try:
            self._function = task.start()
        except AuteurError as error:
            return error
        except Exception as error:
            return AuteurError(f"a worker could not start: {describe(error)}")
        return None

    def work(self, item: Any) -> ItemResult:
        """Applies the started task to one item; an error becomes a failure, and the worker goes on."""
        if self._function is None:
            return ItemResult(failure="the worker was never started")
        try:
            return ItemResult(result=self._function(item))
        except Exception as error:
            return ItemResult(failure=describe(error))


def describe(error: BaseException) -> str:
    """Returns an error as one line: ours as they are, others by name and not at any length."""
    text = " ".join(str(error).split())
    if isinstance(error, AuteurError):
        return text
    if len(text) > _MOST_CHARACTERS:  # the end of a traceback names the cause
        text = f"… {text[-_MOST_CHARACTERS:]}"
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
