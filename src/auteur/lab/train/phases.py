"""The parts of a run: phases one after the other, with learners that take turns in every step.

A plain recipe has one phase with one learner. The denoiser's has a phase for images and one for motion. In
adversarial training the discriminator and the generator are two learners of one phase.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from torch import Tensor, nn

CLIP_NORM = 5.0


class BatchSource(Protocol):
    """Batches by step: the same seed, step and process give the same batch, whatever came before."""

    def of_steps(self, seed: int, process: int, first: int) -> Iterator[Any]:
        """Yields the batches of step `first` on: dictionaries of tensors, or objects with `to` and `tensors`.

        With `Phase.accumulate` batches per step, those of a step follow each other.
        """
        ...


Loss = Callable[[nn.Module, Any, int], Tensor | Mapping[str, Tensor]]
"""(model, batch, steps done in this phase) → loss [], or its terms by name, each []."""

RateFactor = Callable[[int, float], float]
"""(steps done in this phase, share of the phase that is over, in [0, 1]) → factor on the learning rate."""


def constant(step: int, progress: float) -> float:
    """Returns 1: the learning rate stays."""
    return 1.0


@dataclass(frozen=True)
class WarmUpCosine:
    """A linear warm-up over some steps, times half a cosine down to a share of the learning rate."""

    warm_up_steps: int
    last_rate: float = 1.0
    """1 keeps the rate after the warm-up."""

    def __call__(self, step: int, progress: float) -> float:
        """Returns the factor on the learning rate."""
        return cosine(progress, self.last_rate) * min(1.0, (step + 1) / max(1, self.warm_up_steps))


def cosine(progress: float, last: float = 0.0) -> float:
    """Returns a factor that falls along half a cosine from 1 to `last` while `progress` goes from 0 to 1."""
    return last + (1 - last) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


@dataclass(frozen=True, kw_only=True, eq=False)
class Learner:
    """A model with the loss that trains it and the settings of its optimizer, AdamW."""

    model: nn.Module
    """Trained in place; parameters that require no gradient stay as they are."""
    loss: Loss
    name: str = "model"
    """Name of its tensors in checkpoints. Each phase has one learner called "model": the one that is
    validated and whose loss is logged as "loss"."""
    learning_rate: float
    rate_factor: RateFactor = constant
    """Factor on the learning rate, by step."""
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    clip_norm: float = CLIP_NORM
    """Largest norm of the gradient; infinity leaves it as it is."""
    term_weights: Mapping[str, float] = field(default_factory=dict[str, float])
    """Weights of the terms of the loss, where it returns several; 1 for others."""
    average_decay: float | None = None
    """Decay of the exponential moving average of its weights, which replaces them at the end of the phase;
    None: there is no average."""
    average_warms_up: bool = True
    """Whether early steps count more: the decay after n steps is at most (1 + n) / (10 + n)."""
    first_step: int = 0
    """Steps of the phase before it begins to learn."""
    kept: Callable[[], Mapping[str, Tensor]] | None = None
    """Returns the tensors that checkpoints hold, by name; the parameters that learn and the buffers unless
    given. A model whose phases train different parameters gives all of them."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Phase:
    """Learners, their batches, and the length of the phase."""

    learners: tuple[Learner, ...]
    """Each makes one step of its optimizer, in this order, with the same batches."""
    batches: BatchSource
    steps: int = 0
    """Ends the phase; 0: `minutes` alone do."""
    minutes: float = math.inf
    """Ends the phase after so many minutes of work, counted over all resumptions."""
    accumulate: int = 1
    """Batches per step."""
    fixed: Mapping[str, nn.Module] = field(default_factory=dict[str, nn.Module])
    """Modules that do not learn but that no recipe can build again, such as the teacher of a later stage;
    checkpoints hold them."""
    finish: Callable[[], None] | None = None
    """Called by the main process at the end of the phase, when the averages have taken the place of the
    weights."""

    def progress(self, step: int, minutes: float) -> float:
        """Returns the share of the phase that is over after `step` steps and `minutes` minutes, in [0, 1]."""
        return max(step / self.steps if self.steps else 0.0, minutes / self.minutes)


class ValidationResult(Protocol):
    """Result of a validation: a dataclass with one number to choose checkpoints by."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def score(self) -> float:
        """Smaller is better."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class Validation:
    """Times and function of the validation of averaged weights, and the writer of the best ones."""

    evaluate: Callable[[nn.Module], ValidationResult]
    """Scores a model in evaluation mode; every process calls it. If it has a method `draw(model, path)`, that
    writes pictures."""
    keep: Callable[[nn.Module], None]
    """Writes the best model so far; called by the main process."""
    every_steps: int = 0
    """Steps of a phase between validations; 0: `every_minutes` rule. There is one at the end of a phase."""
    every_minutes: float = math.inf
    on_cpu: bool = True
    """Whether the model is copied to the CPU for validation."""

    def is_due(self, step: int, minutes: float, last_minutes: float) -> bool:
        """Returns whether to validate after `step` steps; `last_minutes`: when that was done last."""
        if self.every_steps:
            return step % self.every_steps == 0
        return minutes - last_minutes >= self.every_minutes
