"""A training run on disk: its checkpoints, from which it resumes, and its log."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from auteur.errors import InputError
from auteur.files import check_writable, write_text
from auteur.lab.train.checkpoints import (
    Checkpoint,
    DivergedError,
    TrainState,
    last_checkpoint,
    save_checkpoint,
)
from auteur.lab.train.devices import Devices


class RunFolder:
    """Checkpoints in `OUT.run`, one JSON line per log entry in `OUT.jsonl` (without the ending of OUT).

    Args:
        out: File that the recipe will write.
        settings: From `settings_of`; they must be equal when the run is resumed.
        devices: Only the main process writes.

    Attributes:
        resumed: The checkpoint that the run resumes from, if there is one.

    Raises:
        InputError: `out` cannot be written, or the folder holds a run with other settings.
        WeightsError: The last checkpoint is damaged.
    """

    def __init__(self, out: Path, settings: Mapping[str, Any], devices: Devices) -> None:
        if not out.is_dir():
            check_writable(out, overwrite=True)
        self.folder, self._log = out.with_suffix(".run"), out.with_suffix(".jsonl")
        self._settings = {**settings, "processes": devices.count}
        self._devices = devices
        self.resumed: Checkpoint | None = last_checkpoint(self.folder)
        if self.resumed is not None:
            self.resumed.check(self._settings)
        devices.wait()
        if devices.index == 0:
            self._cut_log(0 if self.resumed is None else self.resumed.state.steps)

    def save(self, groups: Mapping[str, Mapping[str, Tensor]], state: TrainState) -> None:
        """Writes a checkpoint.

        Raises:
            InputError: It cannot be written; the disk is full, say.
        """
        if self._devices.index == 0:
            save_checkpoint(self.folder, groups, state=state, settings=self._settings)
        self._devices.wait()

    def log(self, step: int, **values: Any) -> None:
        """Adds a line to the log, and sends the numbers in it to the tracker.

        Raises:
            InputError: The disk is full, say.
        """
        if self._devices.index:
            return
        try:
            with self._log.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"step": step, **values}) + "\n")
        except OSError as error:
            raise InputError(
                f"cannot write {str(self._log)!r}: {error.strerror}; make room and run the same command "
                "again: the run resumes from its last checkpoint"
            ) from error
        self._devices.track(_numbers(values), step)

    def check_losses(self, losses: Tensor, tensors: Mapping[str, Tensor], key: str, step: int) -> None:
        """Stops a run whose loss [processes] is NaN or infinite, and writes its batch to a file.

        Raises:
            DivergedError: It names the batches.
        """
        wrong = (~torch.isfinite(losses)).nonzero().flatten().tolist()
        if not wrong:
            return
        named = ", ".join(f"{key.rsplit(':', 1)[0]}:{process}" for process in wrong)
        kept = self.folder / f"diverged-{step:08d}-{self._devices.index}.safetensors"
        if self._devices.index in wrong:
            self.folder.mkdir(parents=True, exist_ok=True)
            # A clone each: tensors that share memory cannot be written.
            held = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
            save_file(held, kept)
        raise DivergedError(
            f"loss is {losses[wrong[0]].item()} at step {step}, batch {named} ({kept.name} keeps it"
            f"{_not_finite(tensors)}); lower the learning rate and choose another --out; "
            "the checkpoints hold nothing of this step"
        )

    def check_norm(self, norm: float, key: str, step: int) -> None:
        """Stops a run whose gradient is NaN or infinite.

        Raises:
            DivergedError: It names the batch.
        """
        if not math.isfinite(norm):
            raise DivergedError(
                f"the norm of the gradient is {norm} at step {step}, batch {key}; lower the learning rate "
                "and choose another --out; the checkpoints hold nothing of this step"
            )

    def _cut_log(self, step: int) -> None:
        """Removes the lines that a killed run logged after its last checkpoint."""
        if not self._log.is_file():
            return
        lines = self._log.read_text(encoding="utf-8").splitlines()
        kept = [line for line in lines if _step_of(line) <= step]
        write_text(self._log, "".join(f"{line}\n" for line in kept), overwrite=True)


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")  # half a line


def _not_finite(batch: Mapping[str, Tensor]) -> str:
    """Names the inputs of a batch that are not finite, if any."""
    found = [
        f"{name} in rows {', '.join(map(str, rows[:5]))}"
        for name, value in batch.items()
        if value.is_floating_point() and value.ndim
        if (rows := sorted(set((~torch.isfinite(value)).nonzero()[:, 0].tolist())))
    ]
    return f"; not finite: {'; '.join(found)}" if found else ""


def _numbers(values: Mapping[str, Any], prefix: str = "") -> dict[str, float]:
    """Returns the numbers of a nested report by "outer/inner"."""
    found: dict[str, float] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            found |= _numbers(value, f"{prefix}{name}/")
        elif isinstance(value, int | float):
            found[f"{prefix}{name}"] = float(value)
    return found
