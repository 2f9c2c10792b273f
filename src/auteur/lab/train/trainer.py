"""The one training loop: phases of learners, a moving average, validation, a log, and checkpoints.

A killed run resumes from its last checkpoint when the same command is given again. On a CPU it ends with the
same bits as one that was not killed: a batch, and all random numbers within a step, follow from the seed, the
step and the number of the process alone. A run that is limited by minutes resumes with the minutes left.
"""

import copy
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from auteur.lab.train.checkpoints import Checkpoint, TrainState, fill, learning_tensors, settings_of
from auteur.lab.train.devices import Devices, Precision, Tracker
from auteur.lab.train.learner import OptimizedLearner, Place
from auteur.lab.train.phases import Phase, Validation, ValidationResult
from auteur.lab.train.run_folder import RunFolder
from auteur.signals.seeding import keyed_generator


@dataclass(frozen=True, kw_only=True)
class TrainerSettings:
    """Settings of every run; recipes have fields of these names."""

    seed: int = 0
    log_every_steps: int = 10
    save_every_steps: int = 0
    """Steps between checkpoints; 0: at each validation. There is one at each validation in any case."""
    precision: Precision = "no"
    tracker: Tracker = ""

    @staticmethod
    def of(recipe: Any) -> "TrainerSettings":
        """Returns the settings that a recipe has fields for."""
        names = [field.name for field in fields(TrainerSettings) if hasattr(recipe, field.name)]
        return TrainerSettings(**{name: getattr(recipe, name) for name in names})


class Trainer:
    """Trains models in phases, and writes checkpoints and a log.

    Args:
        out: File that the recipe will write; checkpoints go to `OUT.run`, the log to `OUT.jsonl`.
        recipe: Dataclass of all settings; a run resumes only if they are the same.
        settings: Intervals, seed and precision.

    Attributes:
        devices: Of the run.
        state: Progress.

    Raises:
        InputError: `out` cannot be written, or belongs to a run with other settings.
        WeightsError: The last checkpoint is damaged.
    """

    def __init__(self, out: Path, recipe: Any, settings: TrainerSettings) -> None:
        self.settings = settings
        self.devices = Devices(settings.precision, settings.tracker, out.parent, out.stem)
        self.run = RunFolder(out, settings_of(recipe), self.devices)
        found = self.run.resumed
        self.state = TrainState() if found is None else replace(found.state)
        self.phases = 1
        """Number of phases."""
        self.best: dict[str, Tensor] = {}
        """The best averaged weights, floating-point ones in half precision."""
        if found is not None and found.state.best is not None:
            self.best = found.tensors("best")

    def fit(
        self, phases: Sequence[Callable[[], Phase]], validation: Validation | None = None
    ) -> ValidationResult | None:
        """Trains through all phases. The models end with their averages, in evaluation mode, on the CPU.

        Args:
            phases: Each is built when it begins, or when a run is resumed in it: a later one may use the
                results of an earlier one.
            validation: Of the learner "model".

        Returns:
            The last evaluation of this call, None if there was none. `state.best` holds the best of the run.

        Raises:
            DivergedError: A loss became NaN or infinite.
            InputError: A checkpoint cannot be written.
        """
        self.phases, seen = len(phases), None
        learners: list[OptimizedLearner] = []
        try:
            for number in range(self.state.phase, len(phases)):
                training = PhaseTraining(self, phases[number](), number)
                learners = training.learners
                seen = training.go(validation) or seen
            if validation is not None and self.best and self.devices.index == 0:
                (model,) = (one.learner.model for one in learners if one.learner.name == "model")
                best = copy.deepcopy(model).cpu().eval()
                fill(best.state_dict(), self.best, self.run.folder)
                validation.keep(best)
            self.devices.wait()
        finally:
            self.devices.close()
        for one in learners:
            one.learner.model.cpu().eval()
        return seen

    def resumed_in(self, number: int) -> Checkpoint | None:
        """Returns the checkpoint that the run resumes from if it was written in this phase."""
        found = self.run.resumed
        return found if found is not None and found.state.phase == number else None

    def save(self, groups: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Writes a checkpoint."""
        best = {"best": self.best} if self.best else {}
        self.run.save({**groups, **best}, self.state)

    def validate(self, validation: Validation, model: nn.Module) -> ValidationResult:
        """Validates averaged weights, and keeps them if they are the best so far."""
        if validation.on_cpu and self.devices.device.type != "cpu":
            model = copy.deepcopy(model).cpu()
        state, seen = self.state, validation.evaluate(model.eval())
        values: dict[str, Any] = asdict(seen)  # pyright: ignore[reportArgumentType]
        self.run.log(
            state.steps,
            minutes=round(state.seconds / 60, 3),
            running_loss=round(state.running_loss, 5),
            score=seen.score,
            validation=values,
        )
        if state.best is None or seen.score < state.best_score or math.isnan(state.best_score):
            state.best, state.best_score = values, seen.score
            self.best = half_precision(model)
            if self.devices.index == 0:
                validation.keep(model)
        draw = getattr(validation.evaluate, "draw", None)
        if draw is not None and self.devices.index == 0:
            draw(model, self.run.folder / f"validation-{state.steps:08d}.png")
        return seen


class PhaseTraining:
    """One phase of a run: its learners with their optimizers, and the loop over its steps.

    Args:
        trainer: Of the run.
        phase: Learners and batches.
        number: Of the phase.

    Raises:
        WeightsError: The checkpoint does not fit.
    """

    def __init__(self, trainer: Trainer, phase: Phase, number: int) -> None:
        self._trainer, self.phase, self._state = trainer, phase, trainer.state
        resumed, state = trainer.resumed_in(number), trainer.state
        if resumed is None and number > state.phase:
            state.steps_before, state.phase, state.step = state.steps, number, 0
            state.is_phase_over, state.phase_seconds, state.validated_minutes = False, 0.0, 0.0
        for name, module in phase.fixed.items():
            module.to(trainer.devices.device)
            if resumed is not None:
                fill(module.state_dict(), resumed.tensors(name), resumed.path)
        progress = phase.progress(state.step, state.phase_seconds / 60)
        self.learners = [
            OptimizedLearner(one, trainer.devices, trainer.run, resumed, Place(state, progress))
            for one in phase.learners
        ]

    def go(self, validation: Validation | None = None) -> ValidationResult | None:
        """Makes the steps that are not done yet; returns the last evaluation, if there was one."""
        if self._state.is_phase_over:
            return None
        trainer, state, phase, seen = self._trainer, self._state, self.phase, None
        settings = trainer.settings
        stream = phase.batches.of_steps(settings.seed, trainer.devices.index, state.step)
        before, phase_before, started = state.seconds, state.phase_seconds, time.monotonic()
        while not state.is_phase_over:
            spent = time.monotonic() - started
            if math.isfinite(phase.minutes):  # all processes stop together
                spent = trainer.devices.of_main(spent)
            state.seconds, state.phase_seconds = before + spent, phase_before + spent
            minutes = state.phase_seconds / 60
            values = self.step([next(stream) for _ in range(phase.accumulate)], minutes)
            is_last = state.step == phase.steps or minutes >= phase.minutes
            if state.steps % settings.log_every_steps == 0 or state.steps == 1 or is_last:
                trainer.run.log(state.steps, minutes=round(state.seconds / 60, 3), **values)
            is_due = False
            if validation is not None:
                is_due = is_last or validation.is_due(state.step, minutes, state.validated_minutes)
                if is_due:
                    state.validated_minutes = minutes
                    seen = trainer.validate(validation, self._judged())
            if is_last:
                self._end()
            if is_last or is_due or state.step % (settings.save_every_steps or math.inf) == 0:
                self._save()
        return seen

    def step(self, batches: Sequence[Any], minutes: float = 0.0) -> dict[str, Any]:
        """Makes one step of every learner.

        Args:
            batches: `Phase.accumulate` of them.
            minutes: Of work in this phase so far.

        Returns:
            What is logged.

        Raises:
            DivergedError: A loss or gradient is NaN or infinite.
        """
        trainer, state = self._trainer, self._state
        key = batch_key(state.steps, trainer.devices.index)
        torch.manual_seed(step_seed(f"{trainer.settings.seed}:{key}"))
        batches = [_moved(batch, trainer.devices.device) for batch in batches]
        place = Place(state, self.phase.progress(state.step, minutes), key)
        values: dict[str, Any] = {"phase": state.phase} if trainer.phases > 1 else {}
        for one in self.learners:
            if state.step >= one.learner.first_step:
                values |= one.step(batches, place)
        first = state.steps == 0
        state.running_loss = values["loss"] if first else 0.99 * state.running_loss + 0.01 * values["loss"]
        state.step += 1
        return values | {"running_loss": round(state.running_loss, 5)}

    def _judged(self) -> nn.Module:
        """Returns averaged weights: a model whose mode and buffers may change."""
        (model,) = (one for one in self.learners if one.learner.name == "model")
        return copy.deepcopy(model.learner.model) if model.average is None else model.average.module

    def _end(self) -> None:
        """Replaces the weights by their averages: the next phase, and the result, start from them."""
        self._state.is_phase_over = True
        for one in self.learners:
            if one.average is not None:
                fill(learning_tensors(one.learner.model), learning_tensors(one.average.module), Path())
        if self.phase.finish is not None and self._trainer.devices.index == 0:
            self.phase.finish()

    def _save(self) -> None:
        groups = {name: module.state_dict() for name, module in self.phase.fixed.items()}
        for one in self.learners:
            groups |= one.groups()
        self._trainer.save(groups)


def batch_key(step: int, process: int) -> str:
    """Returns the name of a batch: its content follows from it and the seed."""
    return f"train:{step}:{process}"


def step_seed(key: str) -> int:
    """Returns the seed of all random numbers within a step."""
    return int(keyed_generator(key).integers(2**62))


def half_precision(model: nn.Module) -> dict[str, Tensor]:
    """Returns copies of a model's tensors on the CPU, floating-point ones in half precision."""
    state = {k: v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()}
    return {k: v.detach().cpu().clone().contiguous() for k, v in state.items()}


def _moved(batch: Any, device: torch.device) -> Any:
    if isinstance(batch, Mapping):
        return {name: value.to(device) for name, value in batch.items()}
    return batch.to(device)
