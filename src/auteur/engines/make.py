"""The one place that turns the name of an engine into an engine."""

import os
from typing import TYPE_CHECKING, Any

from auteur.errors import UsageError

if TYPE_CHECKING:
    from auteur.engines.dispatch import Engine

ENGINES = ("local", "ray")

MOST_WORKERS = 100_000
"""More is a mistake: Ray's own limit is about 40,000 actors a cluster."""


def make_engine(
    name: str, workers: int | None = None, *, address: str | None = None, gpus_per_worker: float = 0.0
) -> "Engine[Any, Any]":
    """Returns the engine of that name; nothing is started before `map`.

    Args:
        name: "local": processes of this machine. "ray": actors of a Ray cluster (extra "scale").
        workers: How many work at the same time, each on one item; None: one per core of this machine.
        address: Of a running Ray cluster, such as "auto" or "head:6379"; None: the value of the variable
            RAY_ADDRESS, else a Ray of our own on this machine, which ends with the run.
        gpus_per_worker: GPUs that Ray reserves for each worker. Without effect on local processes.

    Raises:
        UsageError: There is no such engine, `workers` is not at least 1, an address is given to local
            processes, or Ray is not installed.
    """
    workers = _cores() if workers is None else workers
    if not 1 <= workers <= MOST_WORKERS:
        raise UsageError(f"workers is {workers}; it must be between 1 and {MOST_WORKERS}")
    if gpus_per_worker < 0:
        raise UsageError(f"gpus_per_worker is {gpus_per_worker}; it must be at least 0")
    if name == "local":
        if address is not None:
            raise UsageError(f"the address {address!r} has no effect with the engine local; use ray")
        from auteur.engines.local import LocalEngine

        return LocalEngine(workers)
    if name == "ray":
        from auteur.engines.ray_actors import RayEngine

        return RayEngine(workers, address=address, gpus_per_worker=gpus_per_worker)
    raise UsageError(f"there is no engine {name!r}; choose one of {', '.join(ENGINES)}")


def _cores() -> int:
    """Returns how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
