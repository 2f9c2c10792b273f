"""What runs inside a process of models: requests in, one answer each out, as JSON over a pipe."""

import json
import os
from contextlib import suppress
from multiprocessing.connection import Connection

from auteur.engines.local import enter_worker
from auteur.service.context import Context, Message, StoppedError
from auteur.service.problems import problem_of
from auteur.service.tasks import TASKS


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
