"""Recipes that train one model with one loss: settings, `build`, and nothing else."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar, get_type_hints

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from auteur.errors import InputError, UsageError
from auteur.files import atomic_path
from auteur.lab.train.devices import Precision, Tracker
from auteur.lab.train.phases import BatchSource, Learner, Loss, Phase, Validation, ValidationResult, cosine
from auteur.lab.train.trainer import Trainer, TrainerSettings, half_precision

VALIDATIONS = 20
"""Default number of validations per run that is limited by steps."""

WARM_UP = 0.02
"""Share of a run over which the learning rate rises."""

LAST_RATE = 0.01
"""Share of the learning rate that is left at the end."""


@dataclass(frozen=True)
class Schedule:
    """Length and learning rate of a run. The rate warms up, then falls along a cosine until the end."""

    minutes: float = 60.0
    """Ends after so many minutes of work; ignored where `steps` is given."""
    steps: int = 0
    """Ends after so many steps; 0: after `minutes`."""
    learning_rate: float = 1.5e-3
    weight_decay: float = 1e-3
    average_decay: float = 0.998
    """Decay of the moving average of the weights, which is evaluated and kept."""
    evaluate_every_minutes: float = 5.0
    """Minutes between validations of runs that are limited by minutes."""
    evaluate_every_steps: int = 0
    """Steps between validations of runs that are limited by steps; 0: a twentieth of them."""
    save_every_steps: int = 0
    """Steps between checkpoints; 0: at every validation. There is one at every validation in any case."""
    log_every_steps: int = 10
    """Steps between lines of the log."""
    seed: int = 0
    """All random numbers follow from it."""
    threads: int = 1
    """Threads of torch, on the CPU."""
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

    @property
    def steps_between_validations(self) -> int:
        """0 for runs that are limited by minutes."""
        return self.steps and (self.evaluate_every_steps or max(1, self.steps // VALIDATIONS))

    def rate_factor(self, step: int, progress: float) -> float:
        """Returns the factor on the learning rate after `step` steps, `progress` in [0, 1] of the run."""
        if self.steps:
            progress = (step + 1) / self.steps
        return min(1.0, progress / WARM_UP) * cosine(progress, LAST_RATE)


E = TypeVar("E", bound=ValidationResult)


@dataclass(frozen=True, kw_only=True, eq=False)
class Training(Generic[E]):
    """Model, batches, loss and evaluation of a recipe, built from its settings."""

    model: nn.Module
    """Trained in place; parameters that require no gradient stay as they are."""
    batches: BatchSource
    loss: Loss
    """(model, batch, steps done) → loss [], or its terms by name."""
    evaluate: Callable[[nn.Module], E]
    """Scores a model in evaluation mode on the CPU; the best averaged weights are kept."""
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    """Strings in the header of the weights file, such as the model's config."""


class ModelRecipe(Protocol):
    """Settings of a recipe that trains one model."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def out(self) -> Path:
        """Weights file to write."""
        ...

    @property
    def schedule(self) -> Schedule:
        """How long and how fast."""
        ...


R = TypeVar("R", bound=ModelRecipe)


def train_recipe(recipe: R, build: Callable[[R], Training[E]]) -> E:
    """Builds the training of a recipe and runs it; see `train_model`."""
    torch.manual_seed(recipe.schedule.seed)
    torch.set_num_threads(recipe.schedule.threads)
    return train_model(build(recipe), schedule=recipe.schedule, out=recipe.out, recipe=recipe)


def train_model(training: Training[E], *, schedule: Schedule, out: Path, recipe: Any = None) -> E:
    """Trains a model, writes the best averaged weights to `out`, a log beside it, checkpoints in `OUT.run`.

    The model ends with its last averaged weights, on the CPU, in evaluation mode.

    Args:
        training: Model, batches, loss and evaluation.
        schedule: Length and learning rate.
        out: Weights of the best validation, in half precision.
        recipe: Dataclass of all settings; a run resumes only if they are the same.

    Returns:
        The best evaluation.

    Raises:
        DivergedError: The loss became NaN or infinite.
        InputError: `out` or a checkpoint cannot be written, or belongs to a run with other settings.
    """
    trainer = Trainer(out, schedule if recipe is None else recipe, TrainerSettings.of(schedule))
    learner = Learner(
        model=training.model,
        loss=training.loss,
        learning_rate=schedule.learning_rate,
        rate_factor=schedule.rate_factor,
        weight_decay=schedule.weight_decay,
        average_decay=schedule.average_decay,
    )
    phase = Phase(
        learners=(learner,),
        batches=training.batches,
        steps=schedule.steps,
        minutes=math.inf if schedule.steps else schedule.minutes,
    )
    validation = Validation(
        evaluate=training.evaluate,
        keep=lambda model: save_half(model, out, training.metadata),
        every_steps=schedule.steps_between_validations,
        every_minutes=schedule.evaluate_every_minutes,
    )
    seen = trainer.fit([lambda: phase], validation)
    kind = type(training.evaluate(training.model) if seen is None else seen)
    return _rebuilt(kind, trainer.state.best or {})  # pyright: ignore[reportReturnType]


def _rebuilt(kind: type[Any], values: Mapping[str, Any]) -> Any:
    """Returns the dataclass, with dataclasses in it, that `asdict` took apart."""
    hints = get_type_hints(kind)
    return kind(
        **{
            name: _rebuilt(hints[name], value) if dataclasses.is_dataclass(hints[name]) else value
            for name, value in values.items()
        }
    )


def save_half(model: nn.Module, path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Writes a model's tensors as safetensors, floating-point ones in half precision; whole or not at all.

    Raises:
        InputError: It cannot be written; the disk is full, say.
    """
    save_tensors(half_precision(model), path, metadata)


def save_tensors(
    tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str] | None = None
) -> None:
    """Writes tensors as safetensors, whole or not at all.

    Raises:
        InputError: It cannot be written; the disk is full, say.
    """
    try:
        with atomic_path(path, overwrite=True) as temporary:
            save_file(dict(tensors), temporary, metadata=dict(metadata) if metadata else None)
    except SafetensorError as error:  # name of a full disk there
        raise InputError(
            f"cannot write {str(path)!r}: {error}; make room and run the same command again: "
            "the run resumes from its last checkpoint"
        ) from error
