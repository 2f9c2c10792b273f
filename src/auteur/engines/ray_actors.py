"""The engine "ray": one Ray actor per worker, on whatever cluster `ray.init` reaches.

Actors rather than Ray Data: Ray Data's unit of failure is a block, which it either repeats for ever or drops
without naming its items, and it needs the list of items beforehand. Here one bad item costs one item,
and items are taken as workers get free.
"""

import os
import secrets
import sys
from collections.abc import Generator, Iterable
from concurrent.futures import Future
from importlib import import_module
from typing import Any

from auteur.engines.dispatch import Outcome, dispatch
from auteur.engines.hosting import Host, ItemResult, describe
from auteur.errors import AuteurError, UsageError


class RayEngine:
    """Applies tasks in actors of a Ray cluster; see `auteur.engines.Engine`.

    The cluster's machines need this package in the same version, and the files that items name under the same
    paths. A Ray that is already connected is used and left as it is.
    """

    def __init__(self, workers: int, *, address: str | None = None, gpus_per_worker: float = 0.0) -> None:
        self.workers = workers
        self._address = address or os.environ.get("RAY_ADDRESS") or "local"
        self._gpus_per_worker = gpus_per_worker
        os.environ.setdefault("RAY_TQDM_PATCH_PRINT", "0")  # it replaces the built-in print otherwise
        if self._address == "local" and "ray" not in sys.modules:
            _keep_to_ourselves()
        try:
            self._ray: Any = import_module("ray")
        except ImportError as error:
            raise UsageError(
                "the engine ray needs Ray, which is not installed; run: pip install 'auteur-face[scale]'"
            ) from error

    def map(self, task: Any, items: Iterable[Any]) -> Generator[Outcome[Any, Any], None, None]:
        """Yields one outcome per item, in order of completion; see `auteur.engines.Engine.map`."""
        ours = not self._ray.is_initialized()
        if ours:
            self._connect()
        try:
            actor = self._ray.remote(Host).options(
                num_cpus=1,  # Ray then gives its libraries one thread
                num_gpus=self._gpus_per_worker,
                max_restarts=0,  # `dispatch` makes a new one, and starts the task in it
            )
            yield from dispatch(lambda: _RayWorker(self._ray, actor.remote()), self.workers, task, items)
        finally:
            if ours:
                self._ray.shutdown()

    def _connect(self) -> None:
        quiet = {"logging_level": "error", "log_to_driver": False}
        if self._address != "local":
            try:
                self._ray.init(address=self._address, **quiet)
            except (ConnectionError, OSError, RuntimeError, ValueError) as error:
                raise UsageError(
                    f"no Ray cluster answers at {self._address!r}: {describe(error)}; start one with "
                    "`ray start --head`, or leave the address out"
                ) from error
            return
        self._ray.init(
            address="local",
            num_cpus=self.workers,
            num_gpus=self._gpus_per_worker * self.workers or None,
            include_dashboard=False,
            **quiet,
        )


def _keep_to_ourselves() -> None:
    """Closes a Ray of our own to other users; Ray reads these variables once, when it is imported."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it reports to its makers otherwise
    if "RAY_AUTH_MODE" not in os.environ:  # its ports listen on every network; only this run has the token
        os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}


class _RayWorker:
    def __init__(self, ray: Any, actor: Any) -> None:
        self._ray, self._actor = ray, actor

    def start(self, task: Any) -> "Future[AuteurError | None]":
        return _submit(self._actor.start, task)

    def work(self, item: Any) -> "Future[ItemResult]":
        return _submit(self._actor.work, item)

    def cause_of_failure(self, error: BaseException) -> str | None:
        errors = self._ray.exceptions
        if isinstance(error, errors.RayTaskError) or not isinstance(error, errors.RayError):
            return None
        return f"with Ray's {type(error).__name__} (too little memory, or its machine is gone?)"

    def end(self) -> None:
        self._ray.kill(self._actor)


def _submit(method: Any, argument: Any) -> "Future[Any]":
    try:
        return method.remote(argument).future()
    except TypeError as error:  # it cannot be pickled
        failed: Future[Any] = Future()
        failed.set_exception(error)
        return failed
