"""Small real tasks that workers can import."""

import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from auteur.errors import FaceError, WeightsError


@dataclass(frozen=True)
class Square:
    """Squares numbers; counts its starts in a folder; some numbers are trouble."""

    folder: Path

    def start(self) -> Callable[[int], tuple[int, int]]:
        (self.folder / f"started-{os.getpid()}-{time.monotonic_ns()}").touch()
        return self._square

    def _square(self, number: int) -> tuple[int, int]:
        (self.folder / f"item-{number}-{time.monotonic_ns()}").touch()
        if number == 13:
            raise FaceError("13 holds no usable face; use another")
        if number == 14:
            raise ZeroDivisionError("on\ntwo lines")
        if number == 15:
            os.kill(os.getpid(), signal.SIGKILL)
        if number == 16 and len(list(self.folder.glob("item-16-*"))) == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        if number == 17:
            return threading.Lock()  # pyright: ignore[reportReturnType]
        if number == 18:
            wait_for(self.folder, "item-*", count=7)
        if number >= 1000:
            time.sleep(number / 1000)
        return number * number, os.getpid()


def wait_for(folder: Path, pattern: str, *, count: int) -> None:
    deadline = time.monotonic() + 60
    while len(list(folder.glob(pattern))) < count:
        assert time.monotonic() < deadline, f"{folder} never held {count} of {pattern}"
        time.sleep(0.02)


@dataclass(frozen=True)
class ThreadCount:
    """Answers with what a worker lets libraries use."""

    def start(self) -> Callable[[str], str | None]:
        return os.environ.get


@dataclass(frozen=True)
class NeverStarts:
    """Misses its weights."""

    def start(self) -> Callable[[int], int]:
        raise WeightsError("the weights 'face' are missing; run x")


@dataclass(frozen=True)
class DiesAtStart:
    """As if memory were too little for the models."""

    def start(self) -> Callable[[int], int]:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError
