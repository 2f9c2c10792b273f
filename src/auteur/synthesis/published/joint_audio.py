"""MEMO's audio module: pixels and speech attend to each other, under an emotion.

Theirs: Transformer3DModel with JointAudioTemporalBasicTransformerBlock, JointAttnProcessor2_0, EmoAdaNorm.
"""

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from auteur.synthesis.blocks import Attention, FeedForward
from auteur.synthesis.published.sizes import GROUPS, HEADS

EMOTIONS = 9
NULL_EMOTION = 9
"""The row of the unconditional half, behind emotion2vec's nine classes."""


class EmotionTable(nn.Module):
    """A code per emotion (theirs: LabelEmbedder)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.embedding_table = nn.Embedding(EMOTIONS + 1, width)

    def forward(self, emotions: Tensor) -> Tensor:
        """[B] → [B, width]."""
        return self.embedding_table(emotions)


class EmotionNorm(nn.Module):
    """LayerNorm whose scale and shift an emotion gives (theirs: EmoAdaNorm)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.class_embedder = EmotionTable(width)
        self.adaLN_modulation = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width))

    def forward(self, hidden: Tensor, emotions: Tensor) -> Tensor:
        """Tokens [N, T, C] and one class per row of the batch, [B], N a multiple of B → [N, T, C]."""
        codes = self.adaLN_modulation(self.class_embedder(emotions))
        shift, scale = codes.repeat_interleave(len(hidden) // len(emotions), 0)[:, None].chunk(2, dim=-1)
        return functional.layer_norm(hidden, hidden.shape[-1:]) * (1 + scale) + shift


class JointAttention(Attention):
    """One attention over pixels and speech, each with projections of its own (theirs: JointAttnProcessor2_0).

    Args:
        width: Of the pixels' tokens, and inside.
        audio_width: Of the audio tokens.
        answers: Whether the audio tokens are changed, too.
    """

    def __init__(self, width: int, audio_width: int, *, answers: bool) -> None:
        super().__init__(query_dim=width, heads=HEADS, dim_head=width // HEADS)
        self.add_q_proj = nn.Linear(audio_width, width)
        self.add_k_proj = nn.Linear(audio_width, width)
        self.add_v_proj = nn.Linear(audio_width, width)
        self.to_add_out = nn.Linear(width, audio_width) if answers else None

    def joint(self, pixels: Tensor, audio: Tensor) -> tuple[Tensor, Tensor | None]:
        """[N, P, C] and [N, K, D] → the residual of each."""
        query, key, value = (
            rearrange(torch.cat([own(pixels), added(audio)], dim=1), "n t (h d) -> n h t d", h=HEADS)
            for own, added in (
                (self.to_q, self.add_q_proj),
                (self.to_k, self.add_k_proj),
                (self.to_v, self.add_v_proj),
            )
        )
        seen = functional.scaled_dot_product_attention(query, key, value)
        seen = rearrange(seen, "n h t d -> n t (h d)")
        count = pixels.shape[1]
        heard = None if self.to_add_out is None else self.to_add_out(seen[:, count:])
        return self.to_out[0](seen[:, :count]), heard


class JointAudioBlock(nn.Module):
    """Self-attentions of both, joint attention, feed-forwards of both."""

    def __init__(self, width: int, audio_width: int, *, answers: bool) -> None:
        super().__init__()
        self.norm1, self.norm2 = EmotionNorm(width), EmotionNorm(width)
        self.attn1 = Attention(query_dim=width, heads=HEADS, dim_head=width // HEADS)
        self.audio_norm1, self.audio_norm2 = EmotionNorm(audio_width), EmotionNorm(audio_width)
        self.audio_attn1 = Attention(query_dim=audio_width, heads=HEADS, dim_head=width // HEADS)
        self.attn2 = JointAttention(width, audio_width, answers=answers)
        self.norm3, self.ff = nn.LayerNorm(width), FeedForward(width)
        if answers:
            self.audio_norm3, self.audio_ff = nn.LayerNorm(audio_width), FeedForward(audio_width)

    def forward(self, pixels: Tensor, audio: Tensor, emotions: Tensor) -> tuple[Tensor, Tensor | None]:
        """[N, P, C], [N, K, D] and classes [B] → both, changed; no audio from the last of all."""
        pixels = pixels + self.attn1(self.norm1(pixels, emotions))
        heard = audio + self.audio_attn1(self.audio_norm1(audio, emotions))
        added, answer = self.attn2.joint(self.norm2(pixels, emotions), self.audio_norm2(heard, emotions))
        pixels = pixels + added
        pixels = pixels + self.ff(self.norm3(pixels))
        if answer is None:
            return pixels, None
        heard = heard + answer
        return pixels, heard + self.audio_ff(self.audio_norm3(heard))


class JointAudio(nn.Module):
    """The block between two 1 x 1 convolutions.

    Args:
        channels: Of the feature maps.
        inner: Width of the block.
        audio_width: Of the audio tokens.
        answers: False for the last module of all, behind which nothing reads the audio tokens.
    """

    def __init__(self, channels: int, inner: int, audio_width: int, *, answers: bool) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, channels, eps=1e-6)
        self.proj_in = nn.Conv2d(channels, inner, 1)
        self.transformer_blocks = nn.ModuleList([JointAudioBlock(inner, audio_width, answers=answers)])
        self.proj_out = nn.Conv2d(inner, channels, 1)

    def forward(self, hidden: Tensor, audio: Tensor, emotions: Tensor) -> tuple[Tensor, Tensor | None]:
        """Feature maps [N, C, h, w], audio tokens [N, K, D], classes [B] → both, changed."""
        pixels = rearrange(self.proj_in(self.norm(hidden)), "n c h w -> n (h w) c")
        pixels, heard = self.transformer_blocks[0](pixels, audio, emotions)
        grid = rearrange(pixels, "n (h w) c -> n c h w", h=hidden.shape[-2])
        return hidden + self.proj_out(grid), None if heard is None else audio + heard
