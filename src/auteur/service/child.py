"""What runs inside a process of models: requests in, one answer each out, as JSON over a pipe."""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any

from auteur.engines.local import enter_worker
from auteur.service.problems import problem_of

Message = dict[str, Any]


class StoppedError(Exception):
    """The call that is worked on was cancelled."""


class Context:
    """What a task has besides its request: options, and the way back to its caller.

    Attributes:
        options: Preset, device and folder of the service.
    """

    def __init__(self, pipe: Connection, options: Message) -> None:
        self._pipe, self.options = pipe, options
        self.models: dict[Any, Any] = {}
        """Loaded models by name, kept between calls."""

    def tell(self, **event: Any) -> None:
        """Sends an event, and ends the task if it was cancelled.

        Raises:
            StoppedError: It was.
        """
        self._pipe.send_bytes(json.dumps({"kind": "event", **event}).encode())
        self.check()

    def check(self) -> None:
        """Ends the task if it was cancelled.

        Raises:
            StoppedError: It was.
        """
        if self._pipe.poll(0):
            self._pipe.recv_bytes()
            raise StoppedError

    def kept(self, key: Any, make: Callable[[], Any], *, most: int = 2) -> Any:
        """Returns the model of a key, loaded the first time; the oldest of over `most` go."""
        if key not in self.models:
            for old in list(self.models)[: max(0, len(self.models) - most + 1)]:
                del self.models[old]
            self.models[key] = make()
        return self.models[key]


def child_main(pipe: Connection, options: str) -> None:
    """Answers requests until the pipe closes; the process ends with its parent."""
    enter_worker()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    context = Context(pipe, json.loads(options))
    os.chdir(context.options["calm"])
    with suppress(EOFError, OSError):
        while True:
            request = json.loads(pipe.recv_bytes())
            if request.get("task") != "cancel":  # of a call that has ended meanwhile
                _answer(pipe, request, context)


def _answer(pipe: Connection, request: Message, context: Context) -> None:
    from auteur.service.tasks import TASKS

    try:
        result, payload = TASKS[request["task"]](request, context)
    except StoppedError:
        pipe.send_bytes(b'{"kind": "cancelled"}')
        return
    except Exception as error:
        if isinstance(error.__cause__ or error.__context__, StoppedError):
            pipe.send_bytes(b'{"kind": "cancelled"}')
            return
        problem = problem_of(error)
        names = {**request.get("names", {}), **context.options.get("names", {})}
        message = _without_paths(str(problem), names)
        answer = {"kind": "failed", "code": problem.code, "message": message, "field": problem.field}
        pipe.send_bytes(json.dumps(answer).encode())
        return
    pipe.send_bytes(json.dumps({"kind": "done", **result, "has_payload": payload is not None}).encode())
    if payload is not None:
        pipe.send_bytes(payload)


def _without_paths(text: str, names: dict[str, str]) -> str:
    """A message with the client's names of files in place of ours."""
    for path, name in names.items():
        text = text.replace(path, name).replace(f"'{path.rpartition('/')[2]}'", f"'{name}'")
    return text
