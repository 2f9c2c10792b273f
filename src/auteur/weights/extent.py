"""A limit on the size of a model while it is built."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from torch import Tensor, nn
from torch.nn.modules import module as registration

from auteur.errors import WeightsError

_NUMBERS_BESIDE = 16_000_000
"""Allowance for tables that a model computes and does not keep, such as positions."""
_MODULES_BESIDE = 1000
_MODULES_PER_TENSOR = 20


@contextmanager
def at_most(numbers: int, tensors: int) -> Iterator[None]:
    """Stops the building of a model in this thread once it is much larger than its file.

    Args:
        numbers: How many the file holds.
        tensors: How many they are in.

    Raises:
        WeightsError: It has become larger.
    """
    most_numbers = 2 * numbers + _NUMBERS_BESIDE
    most_modules = _MODULES_PER_TENSOR * tensors + _MODULES_BESIDE
    thread, has_numbers, has_modules = threading.get_ident(), 0, 0

    def count_tensor(_: nn.Module, __: str, tensor: Tensor | None) -> None:
        nonlocal has_numbers
        if tensor is None or threading.get_ident() != thread:
            return
        has_numbers += tensor.numel()
        if has_numbers > most_numbers:
            raise WeightsError(f"it needs over {most_numbers} numbers; the file holds {numbers}")

    def count_module(_: nn.Module, __: str, ___: nn.Module | None) -> None:
        nonlocal has_modules
        if threading.get_ident() == thread:
            has_modules += 1
        if has_modules > most_modules:
            raise WeightsError(f"it needs over {most_modules} layers; the file holds {tensors} tensors")

    with ExitStack() as stack:
        for handle in (
            registration.register_module_parameter_registration_hook(count_tensor),
            registration.register_module_buffer_registration_hook(count_tensor),
            registration.register_module_module_registration_hook(count_module),
        ):
            stack.callback(handle.remove)
        yield
