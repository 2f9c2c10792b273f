"""The protocol of noising processes for samplers, losses and distillation; two implement it."""

from collections.abc import Callable
from typing import ClassVar, Protocol

import torch
from torch import Tensor

from auteur.synthesis.samplers.schedule import trailing_times

Predict = Callable[[Tensor, Tensor], Tensor]
"""(sample [B, ...], model time [B]) → prediction [B, ...]."""

OnStep = Callable[[int, int], None]
"""Called with (steps done, total). Raise to cancel."""


class Process(Protocol):
    """A path from data (time 0) to noise (time 1), and what the network predicts on it.

    Times are float64 tensors, [] or one per row [B].
    """

    name: ClassVar[str]

    def noised(self, clean: Tensor, noise: Tensor, time: Tensor) -> Tensor:
        """Returns the noisy sample [B, ...] of data and noise at `time`."""
        ...

    def target(self, clean: Tensor, noise: Tensor, time: Tensor) -> Tensor:
        """Returns the target of the network at `time`, [B, ...]."""
        ...

    def clean(self, sample: Tensor, prediction: Tensor, time: Tensor) -> Tensor:
        """Returns the estimate of the data [B, ...] from a prediction at `time`."""
        ...

    def step(self, sample: Tensor, prediction: Tensor, time: Tensor, next_time: Tensor) -> Tensor:
        """Returns the sample [B, ...] at `next_time`, along the probability flow."""
        ...

    def prediction_between(self, sample: Tensor, later: Tensor, time: Tensor, next_time: Tensor) -> Tensor:
        """Returns the prediction with which `step` goes from `sample` to `later`: the inverse of `step`."""
        ...

    def model_time(self, time: Tensor) -> Tensor:
        """Returns the model time, the network's input for `time`, in [0, 1000)."""
        ...

    def snr(self, time: Tensor) -> Tensor:
        """Returns the signal-to-noise ratio at `time`."""
        ...


def sample(
    process: Process,
    predict: Predict,
    noise: Tensor,
    steps: int,
    *,
    on_step: OnStep | None = None,
) -> Tensor:
    """Returns data of the shape of `noise` [B, ...], in `steps` evaluations of `predict`.

    Args:
        process: Of the network's training.
        predict: The network with its conditions.
        noise: The sample at time 1.
        steps: 1 to 1000.
        on_step: Called after each step with (done, total).

    Raises:
        UsageError: `steps` is out of range.
    """
    times = trailing_times(steps)
    now = noise
    for index in range(steps):
        time, next_time = times[index], times[index + 1]
        rows = model_times(process, time, now)
        now = process.step(now, predict(now, rows), time, next_time)
        if on_step:
            on_step(index + 1, steps)
    return now


def model_times(process: Process, time: Tensor, like: Tensor) -> Tensor:
    """Returns the model time of `time`, one number per row of `like`, at least float32.

    In bfloat16, 999 would be 1000.
    """
    dtype = torch.promote_types(like.dtype, torch.float32)
    return process.model_time(time).to(like.device, dtype).expand(len(like))
