"""Parts of conditioners: places in the network, nulls, zero layers and cross-attention."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from einops import rearrange, repeat
from torch import Tensor, nn

from auteur.synthesis.blocks import Attention

NULL_DEVIATION = 0.02
"""Range of the numbers that learned nulls start from: not zero, the code of a neutral face."""


@dataclass(frozen=True)
class Place:
    """A layer of the UNet: a residual block, and perhaps attention after it."""

    name: str
    """Such as "down_0_1" (first block, second layer), "mid_0", "up_2_0"; blocks in the order they run."""
    channels: int
    """Channels of its output."""
    level: int
    """Its pixels are 2^level times as large as the UNet's."""
    attends: bool
    """Whether it has self-attention."""
    closes: bool
    """Whether it is the last layer of its block."""


def zero(layer: nn.Module) -> nn.Module:
    """Returns a layer with all its parameters set to zero: a conditioner starts by adding nothing."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def null(*shape: int) -> nn.Parameter:
    """Returns a learned null condition, distinct from zeros."""
    # Uniform: for normal numbers torch imports its compiler where a model is built on "meta".
    reach = NULL_DEVIATION * math.sqrt(3)
    return nn.Parameter(torch.empty(*shape).uniform_(-reach, reach))


def choose(present: Tensor | None, given: Tensor, absent: Tensor) -> Tensor:
    """Returns `given` [B, ...] in rows that are present and `absent`, broadcast, in the others."""
    if present is None:
        return absent.to(given).expand_as(given)
    return torch.where(present.reshape(-1, *([1] * (given.ndim - 1))), given, absent.to(given))


def groups_for(channels: int, most: int) -> int:
    """Returns the largest number of normalisation groups up to `most` that divides the channels."""
    return next(groups for groups in range(min(most, channels), 0, -1) if channels % groups == 0)


class CrossAttention(nn.Module):
    """Cross-attention from a feature map (queries) to tokens of a condition; a residual of the map."""

    def __init__(
        self, *, channels: int, width: int, head: int, groups: int, starts_at_zero: bool = True
    ) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups_for(channels, groups), channels)
        heads = max(1, channels // head)
        self.attention = Attention(
            query_dim=channels, cross_attention_dim=width, heads=heads, dim_head=channels // heads
        )
        if starts_at_zero:
            zero(self.attention.to_out[0])

    def forward(self, hidden: Tensor, tokens: Tensor) -> Tensor:
        """[N, C, h, w] and tokens [N, K, width] → [N, C, h, w]."""
        queries = rearrange(self.norm(hidden), "n c h w -> n (h w) c")
        answer = self.attention(queries, encoder_hidden_states=tokens)
        return rearrange(answer, "n (h w) c -> n c h w", h=hidden.shape[-2])


def per_place(places: Iterable[Place], make: Callable[[Place], nn.Module]) -> nn.ModuleDict:
    """Returns a layer for each place, by the place's name."""
    return nn.ModuleDict({place.name: make(place) for place in places})


def per_frame(rows: Tensor, frames: int) -> Tensor:
    """Returns [B, ...] repeated for every frame, [B * F, ...]."""
    return repeat(rows, "b ... -> (b f) ...", f=frames)
