"""Hallo's audio module: speech acts on pose, face and lips apart (theirs: Transformer3DModel)."""

from collections.abc import Sequence

import torch
from einops import rearrange
from torch import Tensor, nn

from auteur.synthesis.blocks import Attention, FeedForward
from auteur.synthesis.published.sizes import GROUPS, HEADS

REGIONS = ("full", "face", "lip")
"""Pose, which is all beyond the face; the face without lips; lips."""


class RegionAudioBlock(nn.Module):
    """Attention to itself and three times to speech (theirs: AudioTemporalBasicTransformerBlock)."""

    def __init__(self, width: int, audio_width: int) -> None:
        super().__init__()
        head = {"query_dim": width, "heads": HEADS, "dim_head": width // HEADS}
        self.norm1, self.attn1 = nn.LayerNorm(width), Attention(**head)
        self.norm2 = nn.LayerNorm(width)
        for index, name in enumerate(REGIONS):
            self.add_module(f"attn2_{index}", Attention(**head, cross_attention_dim=audio_width))
            self.add_module(f"zero_conv_{name}", nn.Conv2d(width, width, 1))
        self.norm3, self.ff = nn.LayerNorm(width), FeedForward(width)

    def forward(
        self, hidden: Tensor, audio: Tensor, masks: Tensor, scales: Sequence[float], height: int
    ) -> Tensor:
        """Pixels [N, P, C], audio tokens [N, K, D], masks [3, P] → [N, P, C]; all regions read one norm."""
        hidden = hidden + self.attn1(self.norm1(hidden))
        queries, total = self.norm2(hidden), torch.zeros_like(hidden)
        for index, name in enumerate(REGIONS):
            heard = self.get_submodule(f"attn2_{index}")(queries, audio) * masks[index][None, :, None]
            grid = rearrange(heard, "n (h w) c -> n c h w", h=height)
            added = self.get_submodule(f"zero_conv_{name}")(grid)
            total = total + scales[index] * rearrange(added, "n c h w -> n (h w) c")
        hidden = hidden + total
        return hidden + self.ff(self.norm3(hidden))


class RegionAudio(nn.Module):
    """The block between two 1 x 1 convolutions.

    Args:
        channels: Of the feature maps.
        inner: Width of the block.
        audio_width: Of the audio tokens.
    """

    def __init__(self, channels: int, inner: int, audio_width: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, channels, eps=1e-6)
        self.proj_in = nn.Conv2d(channels, inner, 1)
        self.transformer_blocks = nn.ModuleList([RegionAudioBlock(inner, audio_width)])
        self.proj_out = nn.Conv2d(inner, channels, 1)

    def forward(
        self, hidden: Tensor, audio: Tensor, masks: Tensor, scales: Sequence[float] = (1.0, 1.0, 1.0)
    ) -> Tensor:
        """Returns feature maps [N, C, h, w] plus their attention to the speech.

        Args:
            hidden: Feature maps.
            audio: Tokens of each, [N, K, D].
            masks: Weight of each region at each pixel, [3, h * w].
            scales: Factors on pose, face and lips.
        """
        height = hidden.shape[-2]
        tokens = rearrange(self.proj_in(self.norm(hidden)), "n c h w -> n (h w) c")
        tokens = self.transformer_blocks[0](tokens, audio, masks, scales, height)
        return hidden + self.proj_out(rearrange(tokens, "n (h w) c -> n c h w", h=height))
