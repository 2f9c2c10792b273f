"""Devices of a training, by accelerate: from one process without a GPU to several machines."""

import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from auteur.errors import UsageError

Precision = Literal["no", "bf16", "fp16"]
Tracker = Literal["", "trackio", "tensorboard"]


class Devices:
    """The processes and devices of a run, by accelerate.

    Args:
        precision: Of the computations; weights stay in single precision.
        tracker: Receives metrics beside the JSON lines.
        folder: Of the run, for the tracker's files.
        name: Of the run.

    Attributes:
        device: Device of this process.
        index: Number of this process; the first, 0, writes all files.
        count: Number of processes.

    Raises:
        UsageError: accelerate or the tracker is not installed.
    """

    def __init__(self, precision: Precision, tracker: Tracker, folder: Path, name: str) -> None:
        try:
            from accelerate import Accelerator, DistributedDataParallelKwargs
            from accelerate.state import AcceleratorState
        except ImportError as error:
            raise UsageError("training needs accelerate; run: pip install 'auteur-face[train]'") from error
        # Batches without speech or without labels leave parts of a network without gradient.
        distributed = DistributedDataParallelKwargs(find_unused_parameters=True)
        # A process that trains twice, the second time at another precision, starts accelerate's state anew;
        # the group of processes stays. accelerate has no public name for that.
        if AcceleratorState._shared_state and AcceleratorState().mixed_precision != precision:
            AcceleratorState._reset_state()
        try:
            self._accelerator: Any = Accelerator(
                mixed_precision=precision,
                log_with=tracker or None,
                project_dir=folder,
                kwargs_handlers=[distributed],
            )
        except (ImportError, ValueError) as error:
            raise UsageError(
                f"cannot train with precision {precision!r} and tracker {tracker!r}: {error}"
            ) from error
        self._tracks = bool(tracker)
        if tracker:
            if not self._accelerator.trackers and not self._accelerator.log_with:
                raise UsageError(f"{tracker} is not installed; run: pip install {tracker}")
            self._guard(lambda: self._accelerator.init_trackers(name))
        self.device: torch.device = self._accelerator.device
        self.index: int = self._accelerator.process_index
        self.count: int = self._accelerator.num_processes
        self.scales_gradients = precision == "fp16"
        """Whether infinite gradients are expected: half precision then skips the step and scales anew."""

    def prepare(self, network: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[nn.Module, Any]:
        """Returns the network and its optimizer, wrapped for the devices."""
        return self._accelerator.prepare(network, optimizer)

    def backward(self, loss: Tensor) -> None:
        """Adds the gradients of a loss []."""
        self._accelerator.backward(loss)

    def clip(self, parameters: Iterable[nn.Parameter], most: float) -> float:
        """Scales the gradient down to a norm of at most `most` and returns the norm before."""
        return float(self._accelerator.clip_grad_norm_(list(parameters), most))

    def gather(self, value: Tensor) -> Tensor:
        """Returns a number [] of every process, [processes]."""
        return self._accelerator.gather(value.detach()[None].float())

    def of_main(self, value: float) -> float:
        """Returns the number that the main process has, in all processes."""
        if self.count == 1:
            return value
        from accelerate.utils import broadcast

        # Whole numbers and seconds fit a double; single precision would round them.
        return float(broadcast(torch.tensor(value, dtype=torch.float64, device=self.device)))  # pyright: ignore[reportArgumentType]

    def wait(self) -> None:
        """Waits for the other processes."""
        self._accelerator.wait_for_everyone()

    def track(self, values: Mapping[str, float], step: int) -> None:
        """Sends numbers to the tracker, if there is one; a tracker never stops a run."""
        if self._tracks:
            self._guard(lambda: self._accelerator.log(dict(values), step=step))

    def close(self) -> None:
        """Ends the tracking."""
        if self._tracks:
            self._guard(self._accelerator.end_training)

    def _guard(self, call: Callable[[], Any]) -> None:
        """Calls a tracker; if it fails, the run continues without it."""
        try:
            call()
        except Exception as error:
            self._tracks = False
            warnings.warn(f"the tracker failed and is left out from here on: {error}", stacklevel=3)


def is_main_process() -> bool:
    """Returns whether this process writes the results: the first of all machines."""
    return int(os.environ.get("RANK", "0")) == 0
