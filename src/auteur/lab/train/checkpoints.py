"""Checkpoints of a training run: they appear whole or not at all, and hold tensors only, no pickle.

A checkpoint is a folder with one safetensors file per group of tensors (weights, their average, the memory of
the optimizer) and `state.json` (how far the run is, and the settings that it was started with). There is no
state of a random generator in it: all random numbers follow from the seed and the step.
"""

import dataclasses
import json
import math
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

FORMAT = 2
"""Version of the format of checkpoints; version 1 had no number."""

FREE_SETTINGS = ("out", "threads", "tracker", "save_every_steps", "log_every_steps")
"""Settings that may differ when a run is resumed: results do not depend on them."""


class DivergedError(PartialError, FloatingPointError):
    """The loss or a gradient became NaN or infinite. Exit code 4: the checkpoints before it are on disk."""


@dataclass
class TrainState:
    """Progress of a run; kept in its checkpoints beside the tensors."""

    phase: int = 0
    """Number of the phase that is under way."""
    step: int = 0
    """Steps done in it."""
    steps_before: int = 0
    """Steps done in earlier phases."""
    is_phase_over: bool = False
    running_loss: float = math.nan
    """Exponential moving average of the loss."""
    seconds: float = 0.0
    """Minutes of work, over all resumptions."""
    phase_seconds: float = 0.0
    """The same, in this phase."""
    validated_minutes: float = 0.0
    """Minutes of work in this phase at the last validation."""
    best: dict[str, Any] | None = None
    """The best evaluation."""
    best_score: float = math.inf

    @property
    def steps(self) -> int:
        """Steps done in all phases."""
        return self.steps_before + self.step


@dataclass(frozen=True)
class Checkpoint:
    """One whole checkpoint."""

    path: Path
    state: TrainState
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
        """Refuses to resume with other settings.

        Raises:
            InputError: They differ; the message names every difference.
        """
        names = sorted(self.settings.keys() | settings.keys())
        absent = "not set"
        changed = [
            f"{name} was {self.settings.get(name, absent)} and is {settings.get(name, absent)}"
            for name in names
            # A setting that is newer than the run and has no value changes nothing.
            if self.settings.get(name) != settings.get(name)
        ]
        if changed:
            raise InputError(
                f"{str(self.path.parent)!r} holds a run with other settings: {'; '.join(changed)}; "
                "give the same settings to go on, or another --out to begin anew"
            )


def save_checkpoint(
    folder: Path,
    groups: Mapping[str, Mapping[str, Tensor]],
    *,
    state: TrainState,
    settings: Mapping[str, Any],
) -> Path:
    """Writes a checkpoint, whole or not at all, then removes all but the last two.

    Args:
        folder: Of the run; created if missing.
        groups: Tensors by group and name.
        state: Progress; its number of steps names the folder.
        settings: From `settings_of`.

    Returns:
        The new folder, `checkpoint-00001000` in `folder`.

    Raises:
        InputError: It cannot be written (a full disk, say); earlier checkpoints are as they were.
    """
    final = folder / f"checkpoint-{state.steps:08d}"
    temporary = folder / f".{secrets.token_hex(6)}.part"
    try:
        temporary.mkdir(parents=True)
        for name, tensors in groups.items():
            held = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
            save_file(held, temporary / f"{name}.safetensors")
        text = {"format": FORMAT, "state": dataclasses.asdict(state), "settings": dict(settings)}
        (temporary / "state.json").write_text(json.dumps(text, indent=1), encoding="utf-8")
        for path in (*temporary.iterdir(), temporary):
            _flush(path)
        if final.exists():  # the same step again, after a run was resumed: the same numbers
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
        InputError: Another version of Auteur wrote it and this one cannot resume it.
    """
    found = checkpoints(folder)
    if not found:
        return None
    path = found[-1]
    try:
        text = json.loads((path / "state.json").read_text(encoding="utf-8"))
        settings, version = dict(text["settings"]), int(text.get("format", 1))
        if version == 1 and {file.stem for file in path.glob("*.safetensors")} >= _GROUPS_OF_1:
            return Checkpoint(path, _state_of_1(int(text["step"]), text["facts"]), settings)
        if version == FORMAT:
            return Checkpoint(path, TrainState(**text["state"]), settings)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(_damaged(path, error)) from error
    raise InputError(unresumable(path))


_GROUPS_OF_1 = {"model", "average", "optimizer", "best"}
"""Files of a checkpoint in format 1 that this version resumes: those of one model with a validation."""


def _state_of_1(step: int, facts: Mapping[str, Any]) -> TrainState:
    return TrainState(
        step=step,
        running_loss=facts["running_loss"],
        seconds=facts["seconds"],
        phase_seconds=facts["seconds"],
        validated_minutes=facts["looked"],
        best=facts["best"],
        best_score=facts["best_score"],
    )


def unresumable(path: Path) -> str:
    """Returns the message about a checkpoint that another version wrote and this one cannot resume."""
    return (
        f"the checkpoint {str(path)!r} was written by another version of Auteur, which can resume it; with "
        "this one choose another --out, and start from its weights where the recipe has a setting `start`"
    )


def _damaged(path: Path, error: Exception) -> str:
    return (
        f"the checkpoint {str(path)!r} is damaged: {error}; "
        "delete this folder, and the run resumes from the one before"
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
    """Returns the tensors that training changes, by name: parameters that learn, and buffers."""
    learned = {name: value for name, value in model.named_parameters() if value.requires_grad}
    return learned | dict(model.named_buffers())


def optimizer_memory(
    optimizer: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter]
) -> dict[str, Tensor]:
    """Returns the state of an optimiser per parameter, by "name|slot"."""
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
    """Restores the state of an optimiser from `optimizer_memory`.

    Raises:
        WeightsError: It holds a parameter that does not learn.
    """
    for key, value in memory.items():
        name, slot = key.rsplit("|", 1)
        if name not in parameters:
            raise WeightsError(
                f"the checkpoint {str(path)!r} holds optimizer state of {name!r}, which does not learn"
            )
        parameter = parameters[name]
        # Torch keeps step counts on the CPU, and moments as the parameter lies in memory.
        kept = value if slot == "step" else torch.empty_like(parameter).copy_(value)
        optimizer.state[parameter][slot] = kept


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
