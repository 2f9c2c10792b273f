"""Many items over many workers: processes of this machine or actors of a Ray cluster."""

from auteur.engines.dispatch import Engine, Outcome, Task
from auteur.engines.make import ENGINES, make_engine

__all__ = ["ENGINES", "Engine", "Outcome", "Task", "make_engine"]
