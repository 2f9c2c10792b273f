"""A smoke run: settings of a recipe on generated data, and the reading of its loss."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from auteur.errors import InputError


@dataclass(frozen=True)
class Trial:
    """A recipe ready to run on look-alike data."""

    recipe: Any
    """Its settings."""
    fitted: Callable[[], tuple[float, float]] | None = None
    """For fits that have no steps: error without and with what was fitted."""
    term: str = "loss"
    """Name of the loss in the log."""
    log: Path | None = None
    """JSON lines; beside `out` unless given."""
    train: Callable[[], Any] | None = None
    """Trains; the function of the recipe unless given."""

    def losses(self) -> tuple[float, float]:
        """Returns the loss at the start and at the end of the run: means of a quarter of its lines.

        Raises:
            InputError: The run logged no loss.
        """
        if self.fitted is not None:
            return self.fitted()
        out: Path = self.recipe.out
        place = self.log or out.with_suffix(".jsonl")
        lines = [json.loads(line) for line in place.read_text().splitlines()] if place.is_file() else []
        found = [line[self.term] for line in lines if self.term in line]
        if not found:
            raise InputError(f"the smoke run of {str(out)!r} logged no {self.term!r}")
        part = max(1, len(found) // 4)
        return float(np.mean(found[:part])), float(np.mean(found[-part:]))


def people(wanted: Callable[[str], bool], number: int) -> list[str]:
    """Returns made-up names of the first people who fulfil a condition, such as being held out."""
    found: list[str] = []
    for index in count():
        name = f"person{index}"
        if wanted(name):
            found.append(name)
        if len(found) == number:
            return found
    raise AssertionError
