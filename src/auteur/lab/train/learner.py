"""A learner at work: its optimizer, the schedule of its learning rate, and its moving average."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from torch.optim.swa_utils import AveragedModel

from auteur.lab.train.checkpoints import (
    Checkpoint,
    TrainState,
    fill,
    fill_optimizer,
    learning_tensors,
    optimizer_memory,
)
from auteur.lab.train.devices import Devices
from auteur.lab.train.phases import Learner, Loss
from auteur.lab.train.run_folder import RunFolder


@dataclass(frozen=True)
class Place:
    """Position of a step in a phase."""

    state: TrainState
    progress: float
    """Share of the phase that is over."""
    key: str = ""
    """Of the batch."""


class OptimizedLearner:
    """A learner with its optimizer, learning rate and average, on the devices of a run.

    Args:
        learner: Model, loss and settings.
        devices: Of the run.
        run: Keeps the batches of losses that are not finite.
        resumed: Checkpoint of this phase.
        place: Of its first step.

    Raises:
        WeightsError: The checkpoint does not fit.
    """

    def __init__(
        self, learner: Learner, devices: Devices, run: RunFolder, resumed: Checkpoint | None, place: Place
    ) -> None:
        self.learner, self._devices, self._run = learner, devices, run
        model = learner.model.to(devices.device)
        self._parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self._optimizer = torch.optim.AdamW(
            self._parameters.values(),
            lr=learner.learning_rate,
            betas=learner.betas,
            weight_decay=learner.weight_decay,
        )
        if resumed is not None:
            fill(self._kept(), resumed.tensors(self._group("")), resumed.path)
        self.average: AveragedModel | None = None
        if learner.average_decay is not None:
            self.average = averaged_model(model, learner.average_decay, warms_up=learner.average_warms_up)
        if resumed is not None:
            memory = resumed.tensors(self._group("optimizer"))
            fill_optimizer(self._optimizer, self._parameters, memory, resumed.path)
            if self.average is not None:
                kept = learning_tensors(self.average.module)
                fill(kept, resumed.tensors(self._group("average")), resumed.path)
                self.average.n_averaged.fill_(place.state.step - learner.first_step)
        self._progress = place.progress
        self._schedule = self._rates(max(0, place.state.step - learner.first_step))
        self._network, self._prepared = devices.prepare(_WithLoss(model, learner.loss), self._optimizer)

    def step(self, batches: Sequence[Any], place: Place) -> dict[str, Any]:
        """Makes one step of the optimizer; returns what is logged.

        Raises:
            DivergedError: The loss or its gradient is NaN or infinite.
        """
        learner, devices, step = self.learner, self._devices, place.state.step
        self._progress = place.progress
        if self._schedule.last_epoch < step - learner.first_step:
            self._schedule.step()
        self._prepared.zero_grad(set_to_none=True)
        mean, shown = 0.0, dict[str, float]()
        for batch in batches:
            loss, terms = self._loss(batch, step)
            losses = devices.gather(loss)
            self._run.check_losses(losses, _tensors(batch), place.key, place.state.steps + 1)
            devices.backward(loss / len(batches))
            mean += float(losses.mean()) / len(batches)
            shown |= {name: round(value.item(), 4) for name, value in terms.items()}
        norm = devices.clip(self._parameters.values(), learner.clip_norm)
        if not devices.scales_gradients:
            self._run.check_norm(norm, place.key, place.state.steps + 1)
        self._prepared.step()
        if self.average is not None:
            self.average.update_parameters(learner.model)
        values = {
            "loss": mean, **shown, "learning_rate": self._optimizer.param_groups[0]["lr"],
            "gradient_norm": round(norm, 5),
        }  # fmt: skip
        prefix = "" if learner.name == "model" else f"{learner.name}_"
        return {f"{prefix}{name}": value for name, value in values.items()}

    def groups(self) -> dict[str, Mapping[str, Tensor]]:
        """Returns its tensors in a checkpoint."""
        found: dict[str, Mapping[str, Tensor]] = {
            self._group(""): self._kept(),
            self._group("optimizer"): optimizer_memory(self._optimizer, self._parameters),
        }
        if self.average is not None:
            found[self._group("average")] = learning_tensors(self.average.module)
        return found

    def _loss(self, batch: Any, step: int) -> tuple[Tensor, Mapping[str, Tensor]]:
        found = self._network(batch, step)
        if isinstance(found, Tensor):
            return found, {}
        weights = self.learner.term_weights
        start = torch.zeros((), device=self._devices.device)
        return sum((weights.get(name, 1.0) * term for name, term in found.items()), start), found

    def _rates(self, step: int) -> LambdaLR:
        """Returns the schedule of the learning rate, at a step."""
        for group in self._optimizer.param_groups:
            group["initial_lr"] = self.learner.learning_rate  # as a schedule that begins later requires
        factor = self.learner.rate_factor
        return LambdaLR(self._optimizer, lambda at: factor(at, self._progress), last_epoch=step - 1)

    def _kept(self) -> Mapping[str, Tensor]:
        return learning_tensors(self.learner.model) if self.learner.kept is None else self.learner.kept()

    def _group(self, kind: str) -> str:
        """Returns the name of a file in checkpoints."""
        if self.learner.name == "model":
            return kind or "model"
        return f"{self.learner.name}_{kind}" if kind else self.learner.name


class _WithLoss(nn.Module):
    """Model and loss as one module, so that wrappers for several devices cover every use of the weights."""

    def __init__(self, model: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.model, self._loss = model, loss

    def forward(self, batch: Any, step: int) -> Tensor | Mapping[str, Tensor]:
        return self._loss(self.model, batch, step)


def averaged_model(model: nn.Module, decay: float, *, warms_up: bool = True) -> AveragedModel:
    """Returns a copy of a model for the exponential moving average of its weights and buffers.

    With warm-up the decay after n updates is min(decay, (1 + n) / (10 + n)), as TensorFlow's
    ExponentialMovingAverage does. Whole numbers (counts) are those of the model. Parameters that require no
    gradient share memory with the model's.
    """

    @torch.no_grad()
    def update(averages: list[Tensor], values: list[Tensor], count: Tensor) -> None:
        if not averages[0].is_floating_point():
            torch._foreach_copy_(averages, values)  # pyright: ignore[reportPrivateImportUsage]
            return
        done = int(count)
        now = min(decay, (1 + done) / (10 + done)) if warms_up else decay
        torch._foreach_lerp_(averages, values, 1 - now)  # pyright: ignore[reportPrivateImportUsage]

    averaged = AveragedModel(model, multi_avg_fn=update, use_buffers=True)  # pyright: ignore[reportArgumentType]
    for own, shared in zip(averaged.module.parameters(), model.parameters(), strict=True):
        if not shared.requires_grad:
            own.data = shared.data
    return averaged


def _tensors(batch: Any) -> Mapping[str, Tensor]:
    return batch if isinstance(batch, Mapping) else batch.tensors()
