"""State of a training run on disk: whole folders that appear at once, tensors only, no pickle."""

import json
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from auteur.errors import InputError, WeightsError

_KEPT = 2
_SLOTS = ("exp_avg", "exp_avg_sq", "step")
"""What AdamW remembers of a parameter."""


@dataclass(frozen=True)
class Progress:
    """Where a run is."""

    phase: int
    step: int
    """Steps done in this phase."""


class Average:
    """Moving average of the parameters that learn; what is frozen needs none."""

    def __init__(self, parameters: Mapping[str, nn.Parameter], decay: float) -> None:
        self.values = {name: parameter.detach().clone() for name, parameter in parameters.items()}
        self._decay = decay

    @torch.no_grad()
    def update(self, parameters: Mapping[str, nn.Parameter], count: int) -> None:
        """Moves towards the parameters; the first steps count more, min(decay, (1 + n) / (10 + n))."""
        decay = min(self._decay, (1 + count) / (10 + count))
        for name, parameter in parameters.items():
            self.values[name].lerp_(parameter.detach().to(self.values[name]), 1 - decay)

    @torch.no_grad()
    def copy_to(self, parameters: Mapping[str, nn.Parameter]) -> None:
        """Puts the average in the parameters' place."""
        for name, parameter in parameters.items():
            parameter.copy_(self.values[name])


def save_progress(
    folder: Path,
    progress: Progress,
    *,
    parameters: Mapping[str, nn.Parameter],
    everything: Mapping[str, Tensor],
    average: Average,
    optimizer: torch.optim.Optimizer,
    settings: str,
) -> Path:
    """Writes a checkpoint folder, whole or not at all, and removes all but the last two.

    Args:
        folder: Of the run.
        progress: Where it is.
        parameters: What learns in this phase.
        everything: All tensors that any phase changes.
        average: Of `parameters`.
        optimizer: AdamW over them.
        settings: Text that must be the same when the run is taken up again.

    Returns:
        The new folder.
    """
    final = folder / f"checkpoint-{progress.phase}-{progress.step:08d}"
    temporary = folder / f".{secrets.token_hex(6)}.part"
    temporary.mkdir(parents=True)
    try:
        memory = {
            f"{name}|{slot}": torch.as_tensor(optimizer.state[parameter][slot])
            for name, parameter in parameters.items()
            if parameter in optimizer.state
            for slot in _SLOTS
        }
        for name, tensors in (("model", everything), ("average", average.values), ("optimizer", memory)):
            held = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
            save_file(held, temporary / f"{name}.safetensors")
        text = json.dumps({"phase": progress.phase, "step": progress.step, "settings": settings})
        (temporary / "state.json").write_text(text, encoding="utf-8")
        for path in temporary.iterdir():
            with path.open("rb") as written:
                os.fsync(written.fileno())
        if final.exists():
            shutil.rmtree(final)
        temporary.replace(final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    for old in checkpoints(folder)[:-_KEPT]:
        shutil.rmtree(old)
    return final


def checkpoints(folder: Path) -> list[Path]:
    """Returns the whole checkpoints of a run, oldest first."""
    return sorted(folder.glob("checkpoint-*-*"), key=lambda path: tuple(map(int, path.name.split("-")[1:])))


def read_progress(checkpoint: Path, settings: str) -> Progress:
    """Returns where a checkpoint is.

    Raises:
        InputError: It is damaged, or belongs to a run with other settings.
    """
    try:
        state = json.loads((checkpoint / "state.json").read_text(encoding="utf-8"))
        progress = Progress(int(state["phase"]), int(state["step"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"the checkpoint {str(checkpoint)!r} is damaged: {error}; delete it") from error
    if state.get("settings") != settings:
        raise InputError(
            f"the checkpoint {str(checkpoint)!r} belongs to a run with other settings; "
            "choose another folder, or the same settings"
        )
    return progress


def load_model(checkpoint: Path, everything: Mapping[str, Tensor]) -> None:
    """Puts a checkpoint's tensors into the model's.

    Raises:
        WeightsError: They do not fit.
    """
    _fill(everything, _read(checkpoint, "model"), checkpoint)


def load_optimizer(
    checkpoint: Path,
    parameters: Mapping[str, nn.Parameter],
    average: Average,
    optimizer: torch.optim.Optimizer,
) -> None:
    """Puts a checkpoint's moving average and optimiser memory in place.

    Raises:
        WeightsError: They do not fit.
    """
    _fill(average.values, _read(checkpoint, "average"), checkpoint)
    memory = _read(checkpoint, "optimizer")
    for key, value in memory.items():
        name, slot = key.rsplit("|", 1)
        if name not in parameters or slot not in _SLOTS:
            raise WeightsError(f"the checkpoint {str(checkpoint)!r} remembers {key!r}, which does not learn")
        place = "cpu" if slot == "step" else parameters[name].device
        optimizer.state[parameters[name]][slot] = value.to(place)


def _read(checkpoint: Path, name: str) -> dict[str, Tensor]:
    try:
        return load_file(checkpoint / f"{name}.safetensors")
    except (OSError, SafetensorError) as error:
        raise WeightsError(f"the checkpoint {str(checkpoint)!r} is damaged: {error}; delete it") from error


@torch.no_grad()
def _fill(target: Mapping[str, Tensor], source: Mapping[str, Tensor], checkpoint: Path) -> None:
    differ = [
        name
        for name in target.keys() | source.keys()
        if name not in source or name not in target or source[name].shape != target[name].shape
    ]
    if differ:
        raise WeightsError(f"the checkpoint {str(checkpoint)!r} does not fit in {', '.join(sorted(differ))}")
    for name, value in source.items():
        target[name].copy_(value)
