"""Motion modules of AnimateDiff's own lineage, as AniPortrait and Hallo have them.

Theirs: VanillaTemporalModule, TemporalTransformer3DModel, TemporalTransformerBlock, VersatileAttention.
Unlike diffusers' MotionAdapter (`synthesis.blocks.AnimateDiffTransformer3D`), they normalise every frame by
itself.
"""

from collections.abc import Callable

import torch
from einops import rearrange
from torch import Tensor, nn

from auteur.errors import UsageError
from auteur.synthesis.blocks import Attention, FeedForward, SinusoidalPositionalEmbedding
from auteur.synthesis.published.sizes import GROUPS, HEADS


class TemporalAttention(Attention):
    """Attention of tokens [N, F, C] to themselves with their places in time (theirs: VersatileAttention)."""

    def __init__(self, width: int, longest: int) -> None:
        super().__init__(query_dim=width, heads=HEADS, dim_head=width // HEADS)
        self.pos_encoder = SinusoidalPositionalEmbedding(width, longest=longest)

    def placed(self, tokens: Tensor) -> Tensor:
        """Returns tokens [N, F, C] with their positions added.

        Raises:
            UsageError: There are more frames than positions.
        """
        if tokens.shape[1] > self.pos_encoder.pe.shape[1]:
            raise UsageError(
                f"a window of {tokens.shape[1]} frames is longer than the positions of the motion modules; "
                f"lower it to {self.pos_encoder.pe.shape[1]}"
            )
        return self.pos_encoder(tokens)


class TemporalBlock(nn.Module):
    """Two attentions over frames and a feed-forward (theirs: TemporalTransformerBlock)."""

    def __init__(self, width: int, longest: int) -> None:
        super().__init__()
        self.attention_blocks = nn.ModuleList(TemporalAttention(width, longest) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.ff, self.ff_norm = FeedForward(width), nn.LayerNorm(width)


class TemporalTransformer(nn.Module):
    """Normalisation and linear layers around a block (theirs: TemporalTransformer3DModel)."""

    def __init__(self, channels: int, longest: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, channels, eps=1e-6)
        self.proj_in = nn.Linear(channels, channels)
        self.transformer_blocks = nn.ModuleList([TemporalBlock(channels, longest)])
        self.proj_out = nn.Linear(channels, channels)

    def tokens_of(self, hidden: Tensor, frames: int) -> Tensor:
        """[B * F, C, h, w] → tokens over time, [B * h * w, F, C]."""
        return self.proj_in(rearrange(self.norm(hidden), "(b f) c h w -> (b h w) f c", f=frames))


Attend = Callable[[int, TemporalAttention, Tensor], Tensor]
"""(index of the attention, the attention, normalised tokens [N, F, C]) → its residual."""


class MotionModule(nn.Module):
    """The module after a layer: attention over the frames of every pixel (theirs: VanillaTemporalModule)."""

    def __init__(self, channels: int, longest: int) -> None:
        super().__init__()
        self.temporal_transformer = TemporalTransformer(channels, longest)

    def forward(self, hidden: Tensor, frames: int, past: Tensor | None = None) -> Tensor:
        """[B * F, C, h, w] → the same.

        Args:
            hidden: Feature maps.
            frames: F.
            past: Maps [B, P, C, h, w] that stand before the frames, and are cut off after (Hallo).
        """
        video = hidden.unflatten(0, (-1, frames))
        if past is not None:
            video = torch.cat([past.to(video), video], dim=1)
        count = video.shape[1]
        made = self.over_time(
            video.flatten(0, 1), count, lambda _, attention, x: attention(attention.placed(x))
        )
        return made.unflatten(0, (-1, count))[:, count - frames :].flatten(0, 1)

    def over_time(self, hidden: Tensor, frames: int, attend: Attend) -> Tensor:
        """Returns [B * F, C, h, w] plus its attention over frames."""
        transformer = self.temporal_transformer
        block = transformer.transformer_blocks[0]
        assert isinstance(block, TemporalBlock)  # noqa: S101 - for the type checker
        tokens = transformer.tokens_of(hidden, frames)
        for index, (attention, norm) in enumerate(zip(block.attention_blocks, block.norms, strict=True)):
            tokens = tokens + attend(index, attention, norm(tokens))  # pyright: ignore[reportArgumentType]
        tokens = transformer.proj_out(tokens + block.ff(block.ff_norm(tokens)))
        grid = rearrange(tokens, "(b h w) f c -> (b f) c h w", h=hidden.shape[-2], w=hidden.shape[-1])
        return hidden + grid
