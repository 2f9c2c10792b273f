"""State of a training run on disk: checkpoints that appear whole or not at all, tensors only, no pickle.

A checkpoint is a folder with one safetensors file per group of tensors (weights, their average, what the
optimiser remembers) and `state.json` (how far the run is, and the settings that it was started with). There
is no state of a random generator in it: all chance follows from the seed and the step.
"""

import dataclasses
import json
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from auteur.errors import InputError, PartialError, WeightsError

KEPT = 2
"""Checkpoints of a run that stay on disk."""

FREE_SETTINGS = ("out", "threads", "tracker", "save_every_steps", "log_every_steps")
"""Settings that may differ when a run is taken up again: results do not depend on them."""


class DivergedError(PartialError, FloatingPointError):
    """The loss or a gradient became NaN or infinite. Exit code 4: what was learnt before is on disk."""


@dataclass(frozen=True)
class Checkpoint:
    """One whole checkpoint."""

    path: Path
    step: int
    """Steps done."""
    facts: dict[str, Any]
    """What else the run told: best score, running loss, seconds spent."""
    settings: dict[str, Any]

    def tensors(self, group: str) -> dict[str, Tensor]:
        """Returns a group of tensors.

        Raises:
            WeightsError: The file is missing or damaged.
        """
        try:
            return load_file(self.path / f"{group}.safetensors")
        except (OSError, SafetensorError) as error:
            raise WeightsError(_damaged(self.path, error)) from error

    def check(self, settings: Mapping[str, Any]) -> None:
        """Refuses to go on with other settings.

        Raises:
            InputError: They differ; the message names every difference.
        """
        names = sorted(self.settings.keys() | settings.keys())
        absent = "not set"
        changed = [
            f"{name} was {self.settings.get(name, absent)} and is {settings.get(name, absent)}"
            for name in names
            if self.settings.get(name, absent) != settings.get(name, absent)
        ]
        if changed:
            raise InputError(
                f"{str(self.path.parent)!r} holds a run with other settings: {'; '.join(changed)}; "
                "give the same settings to go on, or another --out to begin anew"
            )


def save_checkpoint(
    folder: Path,
    step: int,
    groups: Mapping[str, Mapping[str, Tensor]],
    *,
    facts: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> Path:
    """Writes a checkpoint, whole or not at all, then removes all but the last two.

    Args:
        folder: Of the run; created if missing.
        step: Steps done.
        groups: Tensors by group and name.
        facts: Anything JSON can hold.
        settings: From `settings_of`.

    Returns:
        The new folder, `checkpoint-00001000` in `folder`.

    Raises:
        InputError: It cannot be written (a full disk, say); earlier checkpoints are as they were.
    """
    final = folder / f"checkpoint-{step:08d}"
    temporary = folder / f".{secrets.token_hex(6)}.part"
    try:
        temporary.mkdir(parents=True)
        for name, tensors in groups.items():
            held = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
            save_file(held, temporary / f"{name}.safetensors")
        state = {"step": step, "facts": dict(facts), "settings": dict(settings)}
        (temporary / "state.json").write_text(json.dumps(state, indent=1), encoding="utf-8")
        for path in (*temporary.iterdir(), temporary):
            _flush(path)
        if final.exists():  # the same step again, after a run was taken up: the same numbers
            shutil.rmtree(final)
        temporary.replace(final)
        _flush(folder)
    except (OSError, SafetensorError) as error:
        last = checkpoints(folder)
        left = f"the run is kept up to {last[-1].name}" if last else "there is no earlier checkpoint"
        why = getattr(error, "strerror", None) or error
        raise InputError(
            f"cannot write the checkpoint {str(final)!r}: {why}; {left}; "
            "make room and run the same command again"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    for old in checkpoints(folder)[:-KEPT]:
        shutil.rmtree(old)
    return final


def _flush(path: Path) -> None:
    """Waits until a file or folder is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def checkpoints(folder: Path) -> list[Path]:
    """Returns the whole checkpoints of a run, oldest first."""
    return sorted(folder.glob("checkpoint-*"))


def last_checkpoint(folder: Path) -> Checkpoint | None:
    """Returns the newest checkpoint of a run, or None.

    Raises:
        WeightsError: It is damaged.
    """
    found = checkpoints(folder)
    if not found:
        return None
    try:
        state = json.loads((found[-1] / "state.json").read_text(encoding="utf-8"))
        return Checkpoint(found[-1], int(state["step"]), dict(state["facts"]), dict(state["settings"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(_damaged(found[-1], error)) from error


def _damaged(path: Path, error: Exception) -> str:
    return (
        f"the checkpoint {str(path)!r} is damaged: {error}; "
        "delete this folder, and the run goes on from the one before"
    )


@torch.no_grad()
def fill(target: Mapping[str, Tensor], source: Mapping[str, Tensor], path: Path) -> None:
    """Copies tensors into others of the same names and shapes, in place.

    Raises:
        WeightsError: Names or shapes differ.
    """
    differ = [
        name
        for name in target.keys() | source.keys()
        if name not in source or name not in target or source[name].shape != target[name].shape
    ]
    if differ:
        raise WeightsError(f"the checkpoint {str(path)!r} does not fit in {', '.join(sorted(differ)[:5])}")
    for name, value in source.items():
        target[name].copy_(value)


def learning_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Returns what training changes of a model, by name: parameters that learn, and buffers."""
    learned = {name: value for name, value in model.named_parameters() if value.requires_grad}
    return learned | dict(model.named_buffers())


def optimizer_memory(
    optimizer: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter]
) -> dict[str, Tensor]:
    """Returns what an optimiser remembers of each parameter, by "name|slot"."""
    return {
        f"{name}|{slot}": torch.as_tensor(value)
        for name, parameter in parameters.items()
        for slot, value in optimizer.state.get(parameter, {}).items()
    }


def fill_optimizer(
    optimizer: torch.optim.Optimizer,
    parameters: Mapping[str, nn.Parameter],
    memory: Mapping[str, Tensor],
    path: Path,
) -> None:
    """Gives an optimiser back what `optimizer_memory` returned.

    Raises:
        WeightsError: It remembers a parameter that does not learn.
    """
    for key, value in memory.items():
        name, slot = key.rsplit("|", 1)
        if name not in parameters:
            raise WeightsError(f"the checkpoint {str(path)!r} remembers {name!r}, which does not learn")
        parameter = parameters[name]
        # Torch keeps step counts on the CPU, and moments as the parameter lies in memory.
        kept = value if slot == "step" else torch.empty_like(parameter).copy_(value)
        optimizer.state[parameter][slot] = kept


class Average:
    """Moving average of what learns in a model; whole numbers (counts) are the model's own."""

    def __init__(self, tensors: Mapping[str, Tensor], decay: float, *, warm_up: bool = True) -> None:
        self.values = {name: value.detach().clone() for name, value in tensors.items()}
        self._decay, self._warm_up = decay, warm_up

    @torch.no_grad()
    def update(self, tensors: Mapping[str, Tensor], count: int) -> None:
        """Moves towards the tensors after `count` updates.

        With warm-up early ones count more, (1 + n) / (10 + n); the first takes the tensors as they are.
        """
        decay = min(self._decay, (1 + count) / (10 + count)) if self._warm_up else self._decay
        decay = decay if count else 0.0
        for name, value in tensors.items():
            if value.is_floating_point():
                self.values[name].lerp_(value.detach().to(self.values[name]), 1 - decay)
            else:
                self.values[name].copy_(value)


def settings_of(recipe: Any, prefix: str = "") -> dict[str, Any]:
    """Returns the settings of a recipe by dotted name, as JSON holds them, but for `FREE_SETTINGS`."""
    found: dict[str, Any] = {}
    for field in dataclasses.fields(recipe):
        name, value = f"{prefix}{field.name}", getattr(recipe, field.name)
        if field.name in FREE_SETTINGS:
            continue
        if dataclasses.is_dataclass(value):
            found |= settings_of(value, f"{name}.")
        else:
            found[name] = _plain(value)
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_plain(one) for one in value]
    return value
