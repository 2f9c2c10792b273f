"""A process with loaded models, with JSON over a pipe in both directions; nothing of its output is executed.

Whatever decodes a client's file or runs a model runs there. A crash ends one call; the next call starts a new
process.
"""

import json
import multiprocessing
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from auteur.service.child import child_main
from auteur.service.context import Message
from auteur.service.problems import CallError

_LOOK_SEC = 0.1
_GRACE_SEC = 4.0
"""How long a process may go on after a call was cancelled before it is killed."""
_EXIT_WAIT_SEC = 5.0


class CancelledError(Exception):
    """A call was cancelled."""


@dataclass(frozen=True)
class ProcessAnswer:
    """What a process made of a call."""

    result: Message
    payload: bytes | None
    """Bytes that came with it, such as a JPEG."""


class ModelProcess:
    """One process, started with the first call and again after it died; it does one call at a time.

    Args:
        name: What it is for, in messages.
        options: What every call needs: preset, device and folder.
    """

    def __init__(self, name: str, options: Message) -> None:
        self.name, self._options = name, options
        self._lock = threading.Lock()
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None
        self._last_used_sec = time.monotonic()

    @property
    def pid(self) -> int | None:
        """Number of the running process; None while there is none."""
        process = self._process
        return None if process is None or not process.is_alive() else process.pid

    def call(
        self,
        request: Message,
        *,
        on_event: Callable[[Message], None] | None = None,
        cancel: threading.Event | None = None,
        most_sec: float = 600.0,
    ) -> ProcessAnswer:
        """Returns the process's answer to a request; waits for other calls first.

        Args:
            request: JSON values; "task" names what to do.
            on_event: Called with each event that the process sends meanwhile.
            cancel: Set to end the call.
            most_sec: How long it may take.

        Raises:
            CallError: The task failed, the process died, or it took too long.
            CancelledError: `cancel` was set.
        """
        with self._lock:
            self._start()
            try:
                return self._converse(request, on_event, cancel, most_sec)
            finally:
                self._last_used_sec = time.monotonic()

    def end_if_idle(self, idle_sec: float) -> None:
        """Ends the process if no call used it for that long."""
        if self._lock.acquire(blocking=False):
            try:
                if self._process is not None and time.monotonic() - self._last_used_sec > idle_sec:
                    self._end()
            finally:
                self._lock.release()

    def kill(self) -> None:
        """Ends the process at once, whatever it does."""
        process = self._process
        if process is not None and process.is_alive():
            process.kill()
            process.join(_EXIT_WAIT_SEC)

    def _start(self) -> None:
        if self._process is not None and self._process.is_alive():
            return
        self._end()
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(
            target=child_main,
            args=(theirs, json.dumps(self._options)),
            daemon=True,
            name=f"auteur-{self.name}",
        )
        process.start()
        theirs.close()
        self._process, self._pipe = process, ours

    def _end(self) -> None:
        self.kill()
        if self._pipe is not None:
            self._pipe.close()
        self._process = self._pipe = None

    def _converse(
        self,
        request: Message,
        on_event: Callable[[Message], None] | None,
        cancel: threading.Event | None,
        most_sec: float,
    ) -> ProcessAnswer:
        pipe = self._pipe
        assert pipe is not None  # noqa: S101 - `_start` made it
        deadline = time.monotonic() + most_sec
        killed_at: float | None = None
        try:
            pipe.send_bytes(json.dumps(request).encode())
            while True:
                if pipe.poll(_LOOK_SEC):
                    message: Message = json.loads(pipe.recv_bytes())
                    kind = message.pop("kind")
                    if kind == "event":
                        if on_event is not None:
                            on_event(message)
                        continue
                    return self._answered(kind, message, pipe)
                now = time.monotonic()
                if cancel is not None and cancel.is_set() and killed_at is None:
                    pipe.send_bytes(b'{"task": "cancel"}')
                    killed_at = now + _GRACE_SEC
                if killed_at is not None and now > killed_at:
                    self._end()
                    raise CancelledError
                if now > deadline:
                    self._end()
                    raise CallError("busy", f"it took longer than {most_sec:g} s and was stopped")
        except (EOFError, OSError, ValueError) as error:
            how = self._cause_of_death()
            self._end()
            if cancel is not None and cancel.is_set():
                raise CancelledError from error
            raise CallError("worker_died", f"the process that worked on it ended {how}; try again") from error

    def _answered(self, kind: str, message: Message, pipe: Connection) -> ProcessAnswer:
        if kind == "cancelled":
            raise CancelledError
        if kind == "failed":
            raise CallError(message["code"], message["message"], field=message.get("field"))
        payload = pipe.recv_bytes() if message.pop("has_payload") else None
        return ProcessAnswer(message, payload)

    def _cause_of_death(self) -> str:
        process = self._process
        if process is None:
            return "for an unknown reason"
        process.join(_EXIT_WAIT_SEC)
        code = process.exitcode
        if code is None or code >= 0:
            return f"with exit code {code}"
        lack = " (too little memory?)" if -code == signal.SIGKILL else ""
        with suppress(ValueError):
            return f"by {signal.Signals(-code).name}{lack}"
        return f"by signal {-code}"
