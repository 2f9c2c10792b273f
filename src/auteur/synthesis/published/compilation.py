"""`torch.compile` of a published UNet, block by block.

Residual blocks, Transformers, motion and audio modules are compiled one by one: blocks of one shape share
their code, so that compiling takes minutes and not the better part of an hour at the published size. MEMO's
motion modules carry a memory from window to window; of them the feed-forward is compiled.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from auteur.errors import UsageError
from auteur.synthesis.blocks import FeedForward, ResnetBlock2D, Transformer2DModel
from auteur.synthesis.published.joint_audio import JointAudio
from auteur.synthesis.published.memory import MemoryMotion
from auteur.synthesis.published.motion import MotionModule
from auteur.synthesis.published.region_audio import RegionAudio

BACKEND = "inductor"
"""Makes kernels with Triton on CUDA and with a C++ compiler on a CPU."""

_SHAPES = 64
"""Variants of a block that are compiled before torch goes on without: widths, sizes and rows."""


_KEPT = "_compiled_forwards"


@contextmanager
def compiled(unet: nn.Module, *, backend: Any = None) -> Iterator[None]:
    """Runs the blocks of a UNet compiled inside the block; compiling starts when each first runs.

    Compiled code is kept by torch, so that another `with` of the same shapes starts at once. Results differ
    from those without by rounding.

    Args:
        unet: Of a published model.
        backend: Of `torch.compile`, by name or as a function; None: `BACKEND`.

    Raises:
        UsageError: There is no compiler that the backend needs.
    """
    from torch._dynamo import config
    from torch._dynamo.exc import TorchDynamoException

    blocks, before = list(blocks_of(unet)), config.recompile_limit
    config.recompile_limit = max(before, _SHAPES)
    for block in blocks:
        block.forward = _compiled_forward(block, backend or BACKEND)
    try:
        yield
    except TorchDynamoException as error:
        cause = " ".join(str(error).split("\n\n")[0].split())[:300]
        raise UsageError(
            f"torch.compile failed: {cause}; it needs a C++ compiler, and Triton on CUDA; install them, or "
            "leave out --compile"
        ) from error
    finally:
        config.recompile_limit = before
        for block in blocks:
            del block.forward  # the class's own shows again


def _compiled_forward(block: nn.Module, backend: Any) -> Any:
    """The compiled forward of a block, made once."""
    made: dict[Any, Any] = vars(block).setdefault(_KEPT, {})
    if backend not in made:
        made[backend] = torch.compile(block.forward, backend=backend)
    return made[backend]


def blocks_of(unet: nn.Module) -> Iterator[nn.Module]:
    """Yields the modules of a published UNet that are compiled, none within another."""
    for child in unet.children():
        if isinstance(child, MemoryMotion):
            yield from (one for one in child.modules() if isinstance(one, FeedForward))
        elif isinstance(child, ResnetBlock2D | Transformer2DModel | MotionModule | RegionAudio | JointAudio):
            yield child
        else:
            yield from blocks_of(child)
