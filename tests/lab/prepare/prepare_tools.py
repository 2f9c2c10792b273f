"""What several test files of this folder share."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from auteur.engines import Outcome
from auteur.lab.prepare import PrepareOptions
from auteur.lab.prepare.features import FeatureInputs

OPTIONS = PrepareOptions(kind="mead", size_px=96, least_seconds=0.4)
SMALL = FeatureInputs(copies=1, feature_px=64, view_px=32, device="cpu")
AS_ARGUMENTS = ("--kind", "mead", "--size", "96", "--least-seconds", "0.4")


class SerialEngine:
    """Does everything in this process."""

    workers = 1

    def map(self, task: Any, items: Iterable[Any]) -> Iterator[Outcome[Any, Any]]:
        function = task.start()
        for index, item in enumerate(items):
            yield Outcome(index, item, function(item), None)


class LazyEngine(SerialEngine):
    """Refuses to work: for what must be done without a worker."""

    def map(self, task: Any, items: Iterable[Any]) -> Iterator[Outcome[Any, Any]]:
        raise AssertionError(f"{task} was started for {list(items)}")


def contents(folder: Path) -> dict[str, bytes]:
    """Every file that a preparation leaves."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()}
