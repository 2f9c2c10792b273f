"""The loop every compact recipe shares: train for a given time, keep the best moving average, log it."""

import json
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

Batch = dict[str, Tensor]


class Evaluation(Protocol):
    """What a recipe's evaluation returns: a dataclass with one number to choose checkpoints by."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def score(self) -> float:
        """Smaller is better."""
        ...


E = TypeVar("E", bound=Evaluation)


@dataclass(frozen=True)
class Schedule:
    """How long and how fast. The learning rate warms up, then falls along a cosine until the end."""

    minutes: float = 60.0
    steps: int = 0
    """Ends after so many steps, however long they take; 0 goes by `minutes`."""
    learning_rate: float = 1.5e-3
    weight_decay: float = 1e-3
    average_decay: float = 0.998
    """Decay of the moving average of the weights, which is what is evaluated and kept."""
    evaluate_every_minutes: float = 5.0
    seed: int = 0
    threads: int = 1

    def learning_rate_at(self, progress: float) -> float:
        """Returns the learning rate at `progress` in [0, 1]."""
        warm_up = min(1.0, progress / 0.02)
        return (
            self.learning_rate * warm_up * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0))))
        )


def train_for(
    model: nn.Module,
    batches: Iterable[Batch],
    *,
    loss_of: Callable[[nn.Module, Batch], Tensor],
    evaluate: Callable[[nn.Module], E],
    schedule: Schedule,
    out: Path,
) -> E:
    """Trains `model`, writes the best weights to `out` and one JSON line per look beside it.

    Returns:
        The best evaluation.

    Raises:
        FloatingPointError: The loss became NaN or infinite.
    """
    average = torch.optim.swa_utils.AveragedModel(model, avg_fn=_moving_average(schedule), use_buffers=True)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=schedule.learning_rate, weight_decay=schedule.weight_decay
    )
    started, looked, running = time.monotonic(), 0.0, math.nan
    best: E | None = None
    with out.with_suffix(".jsonl").open("a", encoding="utf-8") as log:
        for step, batch in enumerate(batches, start=1):
            minutes = (time.monotonic() - started) / 60
            progress = step / schedule.steps if schedule.steps else minutes / schedule.minutes
            for group in optimizer.param_groups:
                group["lr"] = schedule.learning_rate_at(progress)
            loss = loss_of(model, batch)
            if not torch.isfinite(loss):
                raise FloatingPointError(f"loss is {loss.item()} at step {step}; lower the learning rate")
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            average.update_parameters(model)
            running = loss.item() if step == 1 else 0.99 * running + 0.01 * loss.item()
            done = progress >= 1
            if not done and minutes - looked < schedule.evaluate_every_minutes:
                continue
            looked = minutes
            seen = evaluate(average.module.eval())
            line = {"step": step, "minutes": round(minutes, 2), "loss": round(running, 4), **asdict(seen)}
            log.write(json.dumps(line) + "\n")
            log.flush()
            if best is None or seen.score < best.score:
                best = seen
                save_half(average.module, out)
            if done:
                return best
    raise ValueError("the batches ended before the schedule was over; give an endless stream")


def _moving_average(schedule: Schedule) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    def update(average: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
        if not average.is_floating_point():
            return current
        decay = min(schedule.average_decay, (1 + float(count)) / (10 + float(count)))
        return average + (1 - decay) * (current - average)

    return update


def save_half(model: nn.Module, path: Path) -> None:
    """Writes a model's tensors as safetensors, floating-point ones in half precision."""
    state = {k: v.half() if v.is_floating_point() else v for k, v in model.state_dict().items()}
    save_file({k: v.contiguous() for k, v in state.items()}, path)
