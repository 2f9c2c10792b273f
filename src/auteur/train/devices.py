"""Where a training runs: one process on the CPU with torch alone, anything more through accelerate.

The compact recipes train on a CPU with the core dependencies, so that they run in tests and anywhere. A GPU,
several processes (`accelerate launch`, `torchrun`), mixed precision and trackers need accelerate, since doing
these by hand is where mistakes hide. On one CPU both give the same bits.
"""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn

from auteur.errors import UsageError

Precision = Literal["no", "bf16", "fp16"]
Tracker = Literal["", "trackio", "tensorboard"]


class Devices(Protocol):
    """What a loop asks of the machine."""

    device: torch.device
    index: int
    """Of this process."""
    count: int
    """Of processes."""

    def prepare(
        self, network: nn.Module, optimizers: list[torch.optim.Optimizer]
    ) -> tuple[nn.Module, list[Any]]:
        """Returns the network and its optimisers, ready for several devices."""
        ...

    def backward(self, loss: Tensor) -> None:
        """Adds the gradients of a loss."""
        ...

    def clip(self, parameters: Iterable[nn.Parameter], most: float) -> float:
        """Shortens the gradient to a norm of `most` and returns the norm it had."""
        ...

    def gather(self, value: Tensor) -> Tensor:
        """Returns a number [] of every process, [processes]."""
        ...

    def of_main(self, value: float) -> float:
        """Returns the main process's number to all."""
        ...

    def wait(self) -> None:
        """Waits for the other processes."""
        ...

    def track(self, values: Mapping[str, float], step: int) -> None:
        """Tells the tracker, if there is one; a tracker never stops a run."""
        ...

    def close(self) -> None:
        """Ends the tracking."""
        ...


class OneProcess:
    """The CPU, by torch alone."""

    def __init__(self) -> None:
        self.device, self.index, self.count = torch.device("cpu"), 0, 1

    def prepare(
        self, network: nn.Module, optimizers: list[torch.optim.Optimizer]
    ) -> tuple[nn.Module, list[Any]]:
        """See `Devices`."""
        return network, list(optimizers)

    def backward(self, loss: Tensor) -> None:
        """See `Devices`."""
        loss.backward()

    def clip(self, parameters: Iterable[nn.Parameter], most: float) -> float:
        """See `Devices`."""
        return float(nn.utils.clip_grad_norm_(list(parameters), most))

    def gather(self, value: Tensor) -> Tensor:
        """See `Devices`."""
        return value.detach()[None]

    def of_main(self, value: float) -> float:
        """See `Devices`."""
        return value

    def wait(self) -> None:
        """See `Devices`."""

    def track(self, values: Mapping[str, float], step: int) -> None:
        """See `Devices`."""

    def close(self) -> None:
        """See `Devices`."""


class Accelerated:
    """Whatever accelerate finds: a GPU, several, several machines.

    Args:
        precision: Of the computations; weights stay in single precision.
        tracker: Where metrics go beside the JSON lines.
        folder: Of the run, for the tracker's files.
        name: Of the run.

    Raises:
        UsageError: accelerate or the tracker is not installed.
    """

    def __init__(self, precision: Precision, tracker: Tracker, folder: Path, name: str) -> None:
        try:
            from accelerate import Accelerator, DistributedDataParallelKwargs
        except ImportError as error:
            raise UsageError(
                "a GPU, several processes, mixed precision and trackers need accelerate; run: "
                "pip install 'auteur-face[full]', or hide the GPU (CUDA_VISIBLE_DEVICES=) to train on the CPU"
            ) from error
        # Batches without speech or without labels leave parts of a network without gradient.
        distributed = DistributedDataParallelKwargs(find_unused_parameters=True)
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
        self.device, self.index = self._accelerator.device, self._accelerator.process_index
        self.count = self._accelerator.num_processes

    def prepare(
        self, network: nn.Module, optimizers: list[torch.optim.Optimizer]
    ) -> tuple[nn.Module, list[Any]]:
        """See `Devices`."""
        prepared = self._accelerator.prepare(network, *optimizers)
        return prepared[0], list(prepared[1:])

    def backward(self, loss: Tensor) -> None:
        """See `Devices`."""
        self._accelerator.backward(loss)

    def clip(self, parameters: Iterable[nn.Parameter], most: float) -> float:
        """See `Devices`."""
        return float(self._accelerator.clip_grad_norm_(list(parameters), most))

    def gather(self, value: Tensor) -> Tensor:
        """See `Devices`."""
        return self._accelerator.gather(value.detach()[None].float())

    def of_main(self, value: float) -> float:
        """See `Devices`."""
        if self.count == 1:
            return value
        from accelerate.utils import broadcast

        # Whole numbers and seconds fit a double; single precision would round them.
        return float(broadcast(torch.tensor(value, dtype=torch.float64, device=self.device)))  # pyright: ignore[reportArgumentType]

    def wait(self) -> None:
        """See `Devices`."""
        self._accelerator.wait_for_everyone()

    def track(self, values: Mapping[str, float], step: int) -> None:
        """See `Devices`."""
        if self._tracks:
            self._guard(lambda: self._accelerator.log(dict(values), step=step))

    def close(self) -> None:
        """See `Devices`."""
        if self._tracks:
            self._guard(self._accelerator.end_training)

    def _guard(self, call: Any) -> None:
        """Calls a tracker; if it fails, the run goes on without it."""
        try:
            call()
        except Exception as error:
            self._tracks = False
            import warnings

            warnings.warn(f"the tracker failed and is left out from here on: {error}", stacklevel=3)


def find_devices(precision: Precision, tracker: Tracker, folder: Path, name: str) -> Devices:
    """Returns the CPU if nothing else is there or asked for, and accelerate's view otherwise.

    Raises:
        UsageError: accelerate is needed and not installed.
    """
    if is_plain() and precision == "no" and not tracker:
        return OneProcess()
    return Accelerated(precision, tracker, folder, name)


def is_plain() -> bool:
    """Returns whether this is the only process and there is no GPU."""
    return int(os.environ.get("WORLD_SIZE", "1")) == 1 and not torch.cuda.is_available()


def is_main_process() -> bool:
    """Returns whether this process writes the results: the first of all machines."""
    return int(os.environ.get("RANK", "0")) == 0
