"""MEMO's motion modules: linear attention over frames, with a memory of all frames before.

Theirs: MemoryLinearAttnProcessor, in the motion module of `published.motion`. A frame's keys and values are
added to running sums that decay by 0.9 a frame, so the memory of a video of any length has a fixed size.
"""

from dataclasses import dataclass, field

import torch
from einops import rearrange
from torch import Tensor

from auteur.synthesis.published.motion import MotionModule, TemporalAttention
from auteur.synthesis.published.sizes import HEADS

DECAY = 0.9


@dataclass
class Memory:
    """Sums of every attention of a UNet, carried from window to window.

    Attributes:
        sums: By (place, which of the two attentions): Σ kᵀ v [N, heads, d, d] and Σ k [N, heads, 1, d].
        starts: Whether this is the first window, in which every step begins anew.
        adds: Whether the past is added at this step: at every one of the first window, at the first of
            others.
    """

    sums: dict[tuple[str, int], tuple[Tensor, Tensor]] = field(default_factory=dict)
    starts: bool = True
    adds: bool = True

    def updated(self, key: tuple[str, int], past_keys: Tensor, past_values: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the sums at a place, after the past frames' keys and values [N, heads, P, d] are added."""
        before = None if self.starts else self.sums.get(key)
        if before is not None and not self.adds:
            return before
        count = past_keys.shape[-2]
        ages = torch.arange(count - 1, -1, -1, device=past_keys.device, dtype=past_keys.dtype)
        decay = (DECAY**ages)[:, None]
        # Both are decayed, so their product decays by 0.81 a frame: the original's.
        keys, values = past_keys * decay, past_values * decay
        products, total = keys.mT @ values, keys.sum(-2, keepdim=True)
        if before is not None:
            products = products + before[0] * DECAY**count
            total = total + before[1] * DECAY**count
        self.sums[key] = products, total
        return products, total


class MemoryMotion(MotionModule):
    """A motion module with linear attentions and their memory."""

    def remember(self, hidden: Tensor, frames: int, past: Tensor, place: str, memory: Memory) -> Tensor:
        """Returns feature maps [B * F, C, h, w] after the module.

        Args:
            hidden: Feature maps.
            frames: F.
            past: Maps of the reference features of the frames before, [B, P, C, h, w].
            place: Where the module is.
            memory: Read, and updated.
        """
        transformer = self.temporal_transformer
        block = transformer.transformer_blocks[0]
        before = transformer.tokens_of(past.to(hidden).flatten(0, 1), past.shape[1])

        def attend(index: int, attention: TemporalAttention, tokens: Tensor) -> Tensor:
            earlier = block.norms[index](before)  # pyright: ignore[reportIndexIssue, reportCallIssue]
            return _linear_attention(attention, attention.placed(tokens), earlier, (place, index), memory)

        return self.over_time(hidden, frames, attend)


def _linear_attention(
    attention: TemporalAttention, tokens: Tensor, past: Tensor, key: tuple[str, int], memory: Memory
) -> Tensor:
    """softmax(q) over its features, softmax(k) over frames; only the window's own frames have positions."""

    def by_head(flat: Tensor) -> Tensor:
        return rearrange(flat, "n t (h d) -> n h t d", h=HEADS)

    scale = (tokens.shape[-1] // HEADS) ** -0.5
    query = by_head(attention.to_q(tokens)).softmax(-1) * scale
    own_keys = by_head(attention.to_k(tokens)).softmax(-2)
    own_values = by_head(attention.to_v(tokens))
    past_keys = by_head(attention.to_k(past)).softmax(-2)
    products, total = memory.updated(key, past_keys, by_head(attention.to_v(past)))
    products = DECAY * products + own_keys.mT @ own_values
    total = DECAY * total + own_keys.sum(-2, keepdim=True)
    seen = (query @ products) / (query @ total.mT).clamp(min=1e-10)
    return attention.to_out[0](rearrange(seen, "n h t d -> n t (h d)"))
