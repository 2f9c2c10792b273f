"""The loop every compact recipe shares: it learns, keeps the best moving average, logs, and can be killed.

A run that was broken off goes on from its last checkpoint when the same command is given again. On a CPU it
ends with the same bits as one that was not: a batch, and all chance within a step, follow from the seed, the
step and the number of the process alone. A run that is limited by `minutes` goes on with the minutes left.
"""

import copy
import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar, get_type_hints

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from auteur.errors import InputError, UsageError
from auteur.files import atomic_path
from auteur.signals.chance import keyed_generator
from auteur.train.batches import Batches
from auteur.train.devices import Devices, Precision, Tracker, find_devices, is_main_process
from auteur.train.run import Batch, Run
from auteur.train.state import (
    Average,
    fill,
    fill_optimizer,
    learning_tensors,
    optimizer_memory,
    settings_of,
)

CLIP_NORM = 5.0
LOOKS = 20
"""How often a run of so many steps looks at the people who choose its checkpoint, unless told otherwise."""


class Evaluation(Protocol):
    """What a recipe's evaluation returns: a dataclass with one number to choose checkpoints by."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def score(self) -> float:
        """Smaller is better."""
        ...


E = TypeVar("E", bound=Evaluation)
LossOf = Callable[[nn.Module, Batch, int], Tensor]
"""(model, batch, steps done) → loss []."""


@dataclass(frozen=True)
class Schedule:
    """How long and how fast. The learning rate warms up, then falls along a cosine until the end."""

    minutes: float = 60.0
    """Ends after so many minutes of work, whatever it got done; ignored where `steps` is given."""
    steps: int = 0
    """Ends after so many steps, however long they take; 0 goes by `minutes`."""
    learning_rate: float = 1.5e-3
    weight_decay: float = 1e-3
    average_decay: float = 0.998
    """Decay of the moving average of the weights, which is what is evaluated and kept."""
    evaluate_every_minutes: float = 5.0
    """Between looks at the validation people, where `minutes` rule."""
    evaluate_every_steps: int = 0
    """Between looks, where `steps` rule; 0: a twentieth of them."""
    save_every_steps: int = 0
    """Between checkpoints; 0: at every look. There is one at every look in any case."""
    log_every_steps: int = 10
    seed: int = 0
    threads: int = 1
    """Of torch, on the CPU."""
    precision: Precision = "no"
    """Of accelerate: no, bf16 or fp16. Recipes compute in bfloat16 by themselves where they can."""
    tracker: Tracker = ""
    """trackio or tensorboard, beside the JSON lines that are always written."""

    def __post_init__(self) -> None:
        """Refuses numbers that no run can follow."""
        for name in ("learning_rate", "minutes", "evaluate_every_minutes"):
            value = getattr(self, name)
            if not (value > 0 and math.isfinite(value)):
                raise UsageError(f"schedule.{name} is {value}; it must be more than 0")
        for name in ("steps", "evaluate_every_steps", "save_every_steps"):
            if getattr(self, name) < 0:
                raise UsageError(f"schedule.{name} is {getattr(self, name)}; it must be 0 or more")
        if not 0 <= self.average_decay < 1:
            raise UsageError(f"schedule.average_decay is {self.average_decay}; it must be in [0, 1)")
        if self.log_every_steps < 1 or self.threads < 1:
            raise UsageError("schedule.log_every_steps and schedule.threads must be 1 or more")

    def learning_rate_at(self, progress: float) -> float:
        """Returns the learning rate at `progress` in [0, 1]."""
        warm_up = min(1.0, progress / 0.02)
        return (
            self.learning_rate * warm_up * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0))))
        )

    def is_time_to_look(self, step: int, minutes: float, looked: float) -> bool:
        """Returns whether the validation people are due after `step` steps; `looked`: minutes then."""
        if not self.steps:
            return minutes - looked >= self.evaluate_every_minutes
        every = self.evaluate_every_steps or max(1, self.steps // LOOKS)
        return step % every == 0


@dataclass
class Facts:
    """What a run knows besides its tensors; kept in its checkpoints."""

    running_loss: float = math.nan
    seconds: float = 0.0
    """Of work, over all times that the run was taken up."""
    looked: float = 0.0
    """Minutes at the last look."""
    best: dict[str, Any] | None = None
    """The best evaluation."""
    best_score: float = math.inf


def train_for(
    model: nn.Module,
    batches: Batches,
    *,
    loss_of: LossOf,
    evaluate: Callable[[nn.Module], E],
    schedule: Schedule,
    out: Path,
    recipe: Any = None,
) -> E:
    """Trains `model`, writes the best weights to `out`, JSON lines beside it, and checkpoints in `OUT.run`.

    Args:
        model: Trained in place. What does not require gradients stays as it is.
        batches: By step.
        loss_of: The loss of a batch.
        evaluate: Judges a copy of the average, in evaluation mode, on the CPU; every process does.
        schedule: How long and how fast.
        out: Weights of the best look, in half precision.
        recipe: Dataclass of all settings; a run is only taken up again if they are the same.

    Returns:
        The best evaluation.

    Raises:
        DivergedError: The loss became NaN or infinite.
        InputError: `out` or a checkpoint cannot be written, or belongs to a run with other settings.
    """
    devices = find_devices(schedule.precision, schedule.tracker, out.parent, out.stem)
    run = Run(out, settings_of(schedule if recipe is None else recipe), devices)
    try:
        return _Training(model, schedule, devices, run, loss_of).go(batches, evaluate, out)
    finally:
        devices.close()


class _WithLoss(nn.Module):
    """Model and loss as one module, so that wrappers for several devices see every use of the weights."""

    def __init__(self, model: nn.Module, loss_of: LossOf) -> None:
        super().__init__()
        self.model, self._loss_of = model, loss_of

    def forward(self, batch: Batch, step: int) -> Tensor:
        return self._loss_of(self.model, batch, step)


class _Training:
    """A model that learns on devices, and its run on disk."""

    def __init__(
        self, model: nn.Module, schedule: Schedule, devices: Devices, run: Run, loss_of: LossOf
    ) -> None:
        self._model, self._schedule = model.to(devices.device), schedule
        self._devices, self._run = devices, run
        self._parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self._optimizer = torch.optim.AdamW(
            self._parameters.values(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay
        )
        self._learning = learning_tensors(model)
        self._average = Average(self._learning, schedule.average_decay)
        self._facts, self._best = Facts(), dict[str, Tensor]()
        self._take_up()
        network, (self._prepared,) = devices.prepare(_WithLoss(model, loss_of), [self._optimizer])
        self._network = network

    def _take_up(self) -> None:
        found = self._run.resumed
        if found is None:
            return
        fill(self._learning, found.tensors("model"), found.path)
        fill(self._average.values, found.tensors("average"), found.path)
        fill_optimizer(self._optimizer, self._parameters, found.tensors("optimizer"), found.path)
        self._facts, self._best = Facts(**found.facts), found.tensors("best")

    def go(self, batches: Batches, evaluate: Callable[[nn.Module], E], out: Path) -> E:
        """Trains until the schedule ends; see `train_for`."""
        schedule, facts, first = self._schedule, self._facts, self._run.step
        before, started = facts.seconds, time.monotonic()
        stream = iter(batches.of_steps(schedule.seed, self._devices.index, first))
        step, is_done, seen = first, _progress(schedule, first, before / 60) >= 1, None
        while not is_done:
            facts.seconds = before + time.monotonic() - started
            if not schedule.steps:  # all processes stop together
                facts.seconds = self._devices.of_main(facts.seconds)
            minutes = facts.seconds / 60
            progress = _progress(schedule, step + 1, minutes)
            told = self._step(step, next(stream), progress)
            step += 1
            is_done = progress >= 1
            if step % schedule.log_every_steps == 0 or step == 1 or is_done:
                self._run.tell(step, minutes=round(minutes, 3), **told)
            looks = is_done or schedule.is_time_to_look(step, minutes, facts.looked)
            if looks:
                facts.looked = minutes
                seen = self._look(evaluate, step, out)
            if looks or (schedule.save_every_steps and step % schedule.save_every_steps == 0):
                self._save(step)
        if seen is None:  # it was finished already: its result is written again
            seen = evaluate(self._shown())
        if is_main_process():
            _write(self._best, out)
        self._devices.wait()
        return _rebuilt(type(seen), facts.best or {})

    def _step(self, step: int, batch: Batch, progress: float) -> dict[str, float]:
        """Makes a step; returns what is logged."""
        schedule, devices, facts = self._schedule, self._devices, self._facts
        rate = schedule.learning_rate_at(progress)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        key = batch_key(step, devices.index)
        torch.manual_seed(chance_of(f"{schedule.seed}:{key}"))
        batch = {name: value.to(devices.device) for name, value in batch.items()}
        loss = self._network(batch, step)
        losses = devices.gather(loss)
        self._run.check_losses(losses, batch, key, step + 1)
        self._prepared.zero_grad(set_to_none=True)
        devices.backward(loss)
        norm = devices.clip(self._parameters.values(), CLIP_NORM)
        self._prepared.step()
        self._average.update(self._learning, step)
        mean = float(losses.mean())
        facts.running_loss = mean if step == 0 else 0.99 * facts.running_loss + 0.01 * mean
        return {
            "loss": mean,
            "running_loss": round(facts.running_loss, 5),
            "learning_rate": rate,
            "gradient_norm": round(norm, 5),
        }

    def _look(self, evaluate: Callable[[nn.Module], E], step: int, out: Path) -> E:
        """Judges the average and keeps it if it is the best so far."""
        shown, facts = self._shown(), self._facts
        seen = evaluate(shown)
        self._run.tell(
            step,
            minutes=round(facts.looked, 3),
            running_loss=round(facts.running_loss, 5),
            score=seen.score,
            validation=asdict(seen),  # pyright: ignore[reportArgumentType]
        )
        if facts.best is None or seen.score < facts.best_score or math.isnan(facts.best_score):
            facts.best, facts.best_score = asdict(seen), seen.score  # pyright: ignore[reportArgumentType]
            self._best = _half(shown)
            if is_main_process():
                _write(self._best, out)
        draw = getattr(evaluate, "draw", None)
        if draw is not None and is_main_process():
            draw(shown, out.with_suffix(".run") / f"look-{step:08d}.png")
        return seen

    def _shown(self) -> nn.Module:
        """A copy of the model with the average in its place, on the CPU."""
        shown = copy.deepcopy(self._model).cpu()
        held = {name: value.cpu() for name, value in self._average.values.items()}
        fill(learning_tensors(shown), held, self._run.folder)
        return shown.eval()

    def _save(self, step: int) -> None:
        groups = {
            "model": self._learning,
            "average": self._average.values,
            "optimizer": optimizer_memory(self._optimizer, self._parameters),
            "best": self._best,
        }
        self._run.save(step, groups, asdict(self._facts))


def batch_key(step: int, process: int) -> str:
    """Returns the name of a batch: what it holds follows from it and the seed."""
    return f"train:{step}:{process}"


def chance_of(key: str) -> int:
    """Returns the seed of all chance within a step."""
    return int(keyed_generator(key).integers(2**62))


def _progress(schedule: Schedule, step: int, minutes: float) -> float:
    return step / schedule.steps if schedule.steps else minutes / schedule.minutes


def _rebuilt(kind: type[E], values: Mapping[str, Any]) -> E:
    """Returns the dataclass, with dataclasses in it, that `asdict` took apart."""
    hints = get_type_hints(kind)
    return kind(
        **{
            name: _rebuilt(hints[name], value) if dataclasses.is_dataclass(hints[name]) else value
            for name, value in values.items()
        }
    )


def _half(model: nn.Module) -> dict[str, Tensor]:
    state = {k: v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()}
    return {k: v.detach().clone().contiguous() for k, v in state.items()}


def _write(tensors: dict[str, Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
    try:
        with atomic_path(path, overwrite=True) as temporary:
            save_file(tensors, temporary, metadata=metadata)
    except SafetensorError as error:  # what a full disk is called there
        raise InputError(
            f"cannot write {str(path)!r}: {error}; make room and run the same command again: "
            "the run goes on from its last checkpoint"
        ) from error


def save_half(model: nn.Module, path: Path, metadata: dict[str, str] | None = None) -> None:
    """Writes a model's tensors as safetensors, floating-point ones in half precision; whole or not at all."""
    _write(_half(model), path, metadata)


def add_metadata(path: Path, metadata: dict[str, str]) -> None:
    """Writes facts, such as sizes, into a safetensors file; in a run of several processes, the first does."""
    if is_main_process():
        _write(load_file(path), path, metadata)
