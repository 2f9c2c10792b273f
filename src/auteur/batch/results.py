"""The record of a batch between runs: one line per job begun, made or failed, in its folder."""

import json
import os
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any, Self

from auteur.errors import InputError
from auteur.files import check_name, held, is_unfinished

RESULTS = "results.jsonl"
_LOCK = "results.lock"
_BINARY = getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)  # the one is of Windows, the other is not

_CLOSED = -1
_STATES = ("begun", "made", "failed")


class Results:
    """The file `results.jsonl` of a folder, held by one run at a time; lines are only ever added.

    A line is {"state": "begun" | "made" | "failed", "output": …, "job": …} and more for people. The last
    line may be torn by a crash; it counts for nothing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / RESULTS
        self._file, self._lock = _CLOSED, ExitStack()
        self._made: list[Path] = []
        self._last: dict[str, tuple[str, str]] = {}

    def __enter__(self) -> Self:
        """Opens and reads the file.

        Raises:
            InputError: Another run holds it, it is damaged, or it cannot be written.
        """
        check_name(self.folder)
        try:
            self._made = [one for one in (self.folder, *self.folder.parents) if not one.exists()]
            self.folder.mkdir(parents=True, exist_ok=True)
            busy = f"another run is writing into {str(self.folder)!r}; wait for it, or name another folder"
            self._lock.enter_context(held(self.folder / _LOCK, busy))
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | _BINARY, 0o666)
            self._read()
        except OSError as error:
            self._close()
            raise InputError(f"cannot write {str(self.path)!r}: {error.strerror}") from error
        except InputError:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        unused = os.fstat(self._file).st_size == 0
        self._close()
        if unused:  # such as for a jobs file with bad lines: what this run made goes, and nothing else
            with suppress(OSError):
                self.path.unlink()
                (self.folder / _LOCK).unlink(missing_ok=True)
                for folder in self._made:
                    folder.rmdir()

    def is_made(self, output: PurePosixPath, job: str) -> bool:
        """Returns whether the existing file was made by the same job."""
        return self._last.get(str(output)) == ("made", job) and (self.folder / output).is_file()

    def is_ours(self, output: PurePosixPath, job: str) -> bool:
        """Returns whether a file at `output` can only come from a killed run of the same job."""
        return self._last.get(str(output)) == ("begun", job)

    def add(self, state: str, output: PurePosixPath, job: str, **more: Any) -> None:
        """Adds one line, on disk when this returns.

        Raises:
            InputError: It cannot be written, such as for want of space.
        """
        line = json.dumps({"state": state, "output": str(output), "job": job, **more}, ensure_ascii=False)
        try:
            content = f"{line}\n".encode()
            if os.write(self._file, content) < len(content):
                raise InputError(f"cannot write {str(self.path)!r}: no space left")
            os.fsync(self._file)
        except OSError as error:
            raise InputError(f"cannot write {str(self.path)!r}: {error.strerror}") from error
        self._last[str(output)] = (state, job)

    def _read(self) -> None:
        content = self.path.read_bytes()
        whole, _, torn = content.rpartition(b"\n")
        for number, line in enumerate(whole.split(b"\n"), start=1):
            if not line:
                continue
            try:
                said = json.loads(line)
                state, output, job = said["state"], said["output"], said["job"]
                if state not in _STATES or not isinstance(output, str) or not isinstance(job, str):
                    raise ValueError
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise InputError(
                    f"line {number} of {str(self.path)!r} is damaged; remove it, and its video is made again "
                    "with --overwrite"
                ) from error
            self._last[output] = (state, job)
        if torn:
            os.ftruncate(self._file, len(content) - len(torn))

    def _close(self) -> None:
        if self._file != _CLOSED:
            os.close(self._file)
            self._file = _CLOSED
        self._lock.close()


def remove_parts(folders: Iterable[Path]) -> None:
    """Removes half-written files that killed workers left in these folders."""
    for folder in folders:
        for path in folder.glob(".*.part*"):
            if is_unfinished(path.name):
                with suppress(OSError):
                    path.unlink()
