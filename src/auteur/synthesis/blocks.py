"""The layers of Stable Diffusion 1.5's UNet and of AnimateDiff's motion modules that our denoisers use.

Names of parameters and attributes are those of diffusers, whose published models take the same places
(`synthesis.full.loading`); a test holds both to the same numbers. They are written out here because importing
diffusers' models takes as long as painting a few seconds of video.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional


class Attention(nn.Module):
    """Multi-head attention of tokens [N, T, query_dim] to themselves, or to [N, K, cross_attention_dim].

    A processor, if one is set, is called in its place with this module first.
    """

    def __init__(
        self, *, query_dim: int, heads: int, dim_head: int, cross_attention_dim: int | None = None
    ) -> None:
        super().__init__()
        width, given = heads * dim_head, cross_attention_dim or query_dim
        self.heads = heads
        self.to_q = nn.Linear(query_dim, width, bias=False)
        self.to_k = nn.Linear(given, width, bias=False)
        self.to_v = nn.Linear(given, width, bias=False)
        self.to_out = nn.ModuleList([nn.Linear(width, query_dim), nn.Dropout(0.0)])
        self.processor: Callable[..., Tensor] | None = None

    def set_processor(self, processor: Callable[..., Tensor]) -> None:
        """Sets a processor that computes the attention."""
        self.processor = processor

    def forward(
        self, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None, **given: Any
    ) -> Tensor:
        """Returns [N, T, query_dim]."""
        if self.processor is not None:
            return self.processor(self, hidden_states, encoder_hidden_states, **given)
        others = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = (
            rearrange(tokens, "n t (h d) -> n h t d", h=self.heads)
            for tokens in (self.to_q(hidden_states), self.to_k(others), self.to_v(others))
        )
        seen = functional.scaled_dot_product_attention(query, key, value)
        return self.to_out[0](rearrange(seen, "n h t d -> n t (h d)"))


class GEGLU(nn.Module):
    """A linear layer, half of it gating the other half (arXiv 2002.05202)."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width, 2 * inner)

    def forward(self, hidden: Tensor) -> Tensor:
        """[..., width] → [..., inner]."""
        content, gate = self.proj(hidden).chunk(2, dim=-1)
        return content * functional.gelu(gate)


class FeedForward(nn.Module):
    """Four times as wide inside."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = nn.Sequential(GEGLU(width, 4 * width), nn.Dropout(0.0), nn.Linear(4 * width, width))

    def forward(self, hidden: Tensor) -> Tensor:
        """[..., width] → the same."""
        return self.net(hidden)


class SinusoidalPositionalEmbedding(nn.Module):
    """Adds sines and cosines of the place in a sequence."""

    def __init__(self, width: int, *, longest: int) -> None:
        super().__init__()
        # On the CPU even where a model is built on "meta": there torch would import its compiler.
        places = torch.arange(longest, device="cpu")[:, None]
        rates = torch.exp(torch.arange(0, width, 2, device="cpu") * (-math.log(10_000.0) / width))
        codes = torch.zeros(1, longest, width, device="cpu")
        codes[0, :, 0::2], codes[0, :, 1::2] = torch.sin(places * rates), torch.cos(places * rates)
        self.register_buffer("pe", codes)
        self.pe: Tensor

    def forward(self, hidden: Tensor) -> Tensor:
        """[N, T, width] → the same."""
        return hidden + self.pe[:, : hidden.shape[1]]


class BasicTransformerBlock(nn.Module):
    """Self-attention, attention to a context or once more to itself, feed-forward; each normalised before.

    Args:
        width: Of the tokens.
        heads: Of both attentions.
        context_width: Of the context; None: no second attention.
        longest: Of a sequence in time, whose second attention is to itself; None: no sequence in time.
    """

    def __init__(
        self, width: int, *, heads: int, context_width: int | None = None, longest: int | None = None
    ) -> None:
        super().__init__()
        head = {"query_dim": width, "heads": heads, "dim_head": width // heads}
        self.pos_embed = None if longest is None else SinusoidalPositionalEmbedding(width, longest=longest)
        self.norm1, self.attn1 = nn.LayerNorm(width), Attention(**head)
        self.norm2 = self.attn2 = None
        if context_width is not None or longest is not None:
            self.norm2 = nn.LayerNorm(width)
            self.attn2 = Attention(**head, cross_attention_dim=context_width)
        self.norm3, self.ff = nn.LayerNorm(width), FeedForward(width)

    def forward(self, hidden: Tensor, context: Tensor | None = None, **given: Any) -> Tensor:
        """Tokens [N, T, width], context [N, K, context_width]; both attentions get the keywords `given`."""
        hidden = self.attn1(self._placed(self.norm1(hidden)), **given) + hidden
        if self.norm2 is not None and self.attn2 is not None:
            asking = self._placed(self.norm2(hidden))
            hidden = self.attn2(asking, encoder_hidden_states=context, **given) + hidden
        return self.ff(self.norm3(hidden)) + hidden

    def _placed(self, tokens: Tensor) -> Tensor:
        return tokens if self.pos_embed is None else self.pos_embed(tokens)


class Transformer2DModel(nn.Module):
    """Attention over the pixels of a feature map."""

    def __init__(self, channels: int, *, heads: int, groups: int, context_width: int | None) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels, eps=1e-6)
        self.proj_in = nn.Conv2d(channels, channels, 1)
        block = BasicTransformerBlock(channels, heads=heads, context_width=context_width)
        self.transformer_blocks = nn.ModuleList([block])
        self.proj_out = nn.Conv2d(channels, channels, 1)

    def forward(
        self,
        hidden: Tensor,
        context: Tensor | None = None,
        *,
        cross_attention_kwargs: dict[str, Any] | None = None,
        return_dict: bool = False,
    ) -> tuple[Tensor]:
        """[N, C, h, w] → the same, in a tuple as diffusers returns it."""
        tokens = rearrange(self.proj_in(self.norm(hidden)), "n c h w -> n (h w) c")
        tokens = self.transformer_blocks[0](tokens, context, **(cross_attention_kwargs or {}))
        grid = rearrange(tokens, "n (h w) c -> n c h w", h=hidden.shape[-2]).contiguous()
        return (self.proj_out(grid) + hidden,)


class AnimateDiffTransformer3D(nn.Module):
    """Attention over the frames of every pixel (AnimateDiff, arXiv 2307.04725)."""

    def __init__(self, channels: int, *, heads: int, groups: int, longest: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(groups, channels, eps=1e-6)
        self.proj_in = nn.Linear(channels, channels)
        self.transformer_blocks = nn.ModuleList(
            [BasicTransformerBlock(channels, heads=heads, longest=longest)]
        )
        self.proj_out = nn.Linear(channels, channels)

    def forward(self, hidden: Tensor, *, num_frames: int) -> Tensor:
        """[B * F, C, h, w] → the same."""
        height = hidden.shape[-2]
        video = rearrange(hidden, "(b f) c h w -> b c f h w", f=num_frames)  # normalised over frames, too
        tokens = self.proj_in(rearrange(self.norm(video), "b c f h w -> (b h w) f c"))
        tokens = self.proj_out(self.transformer_blocks[0](tokens))
        batch = len(hidden) // num_frames
        grid = rearrange(tokens, "(b h w) f c -> (b f) c h w", b=batch, h=height).contiguous()
        return grid + hidden


class ResnetBlock2D(nn.Module):
    """Two convolutions, each normalised before, with the time between them."""

    def __init__(self, entering: int, leaving: int, *, time_width: int, groups: int) -> None:
        super().__init__()
        self.out_channels, self.output_scale_factor = leaving, 1.0
        self.norm1 = nn.GroupNorm(groups, entering)
        self.conv1 = nn.Conv2d(entering, leaving, 3, padding=1)
        self.time_emb_proj = nn.Linear(time_width, leaving)
        self.norm2 = nn.GroupNorm(groups, leaving)
        self.dropout = nn.Dropout(0.0)
        self.conv2 = nn.Conv2d(leaving, leaving, 3, padding=1)
        self.nonlinearity = nn.SiLU()
        self.conv_shortcut = None if entering == leaving else nn.Conv2d(entering, leaving, 1)

    def forward(self, hidden: Tensor, time: Tensor) -> Tensor:
        """[N, C, h, w] and [N, T] → [N, C', h, w]."""
        inner = self.conv1(self.nonlinearity(self.norm1(hidden)))
        inner = inner + self.time_emb_proj(self.nonlinearity(time))[:, :, None, None]
        inner = self.conv2(self.nonlinearity(self.norm2(inner)))
        return (hidden if self.conv_shortcut is None else self.conv_shortcut(hidden)) + inner


class Downsample2D(nn.Module):
    """Half the size, by a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, hidden: Tensor) -> Tensor:
        """[N, C, h, w] → [N, C, h / 2, w / 2]."""
        return self.conv(hidden)


class Upsample2D(nn.Module):
    """Twice the size, then a convolution."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, hidden: Tensor, output_size: None = None) -> Tensor:
        """[N, C, h, w] → [N, C, 2 h, 2 w]."""
        return self.conv(functional.interpolate(hidden, scale_factor=2.0, mode="nearest"))


class Timesteps(nn.Module):
    """Cosines and sines of a time."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width

    def forward(self, times: Tensor) -> Tensor:
        """[N] → [N, width]."""
        half = self.width // 2
        places = torch.arange(half, dtype=torch.float32, device=times.device)
        angles = times[:, None].float() * torch.exp(-math.log(10_000) * places / half)
        return torch.cat([torch.cos(angles), torch.sin(angles)], dim=-1)


class TimestepEmbedding(nn.Module):
    """Two linear layers."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.linear_1, self.act, self.linear_2 = nn.Linear(width, inner), nn.SiLU(), nn.Linear(inner, inner)

    def forward(self, codes: Tensor) -> Tensor:
        """[N, width] → [N, inner]."""
        return self.linear_2(self.act(self.linear_1(codes)))
