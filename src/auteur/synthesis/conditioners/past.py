"""The last frames of the window before, so that windows join: Hallo's and MEMO's motion frames."""

from collections.abc import Sequence
from dataclasses import dataclass

from einops import rearrange
from torch import Tensor, nn

from auteur.errors import UsageError
from auteur.synthesis.blocks import Attention, SinusoidalPositionalEmbedding
from auteur.synthesis.conditioners.layers import (
    Place,
    choose,
    groups_for,
    null,
    per_place,
    zero,
)
from auteur.synthesis.conditions import Conditions, ReferenceFeatures


@dataclass(frozen=True, kw_only=True)
class PastConfig:
    """Sizes of the past conditioner."""

    frames: int = 2
    """P: Hallo's 2."""
    head: int = 64
    longest_window: int = 64
    """Frames that positions are known for."""
    dropout: float = 0.05
    """Probability that a training clip starts a video, as in MEMO."""


class PastConditioner(nn.Module):
    """Every pixel looks at the same place of the past frames, as the ReferenceNet sees them."""

    def __init__(self, config: PastConfig, places: Sequence[Place], *, groups: int) -> None:
        super().__init__()
        self.config = config
        attending = [place for place in places if place.attends]
        self.nulls = nn.ParameterDict({place.name: null(place.channels) for place in attending})
        self.adapters = per_place(attending, lambda at: _AlongTime(config, at.channels, groups=groups))

    def check(self, past: Tensor, shape: tuple[int, ...]) -> None:
        """Refuses past frames that do not fit a sample of a shape [B, F, C, H, W].

        Raises:
            UsageError: They do not.
        """
        wanted = [shape[0], self.config.frames, *shape[2:]]
        if list(past.shape) != wanted:
            raise UsageError(f"past has shape {list(past.shape)}; it must be {wanted}")

    def encode(self, conditions: Conditions, features: ReferenceFeatures) -> dict[str, Tensor]:
        """Returns by place what the ReferenceNet saw in the past frames, [B, P, pixels, channels]."""
        present = conditions.presence("past")
        return {name: choose(present, features.layers[name], absent) for name, absent in self.nulls.items()}

    def forward(self, place: str, hidden: Tensor, code: dict[str, Tensor] | None, frames: int) -> Tensor:
        """Adds to a feature map [B * F, C, h, w] what came before."""
        if place not in self.adapters:
            return hidden
        if code is None:
            shape = (len(hidden) // frames, self.config.frames, hidden.shape[-2] * hidden.shape[-1])
            before = self.nulls[place].expand(*shape, -1).to(hidden)
        else:
            before = code[place]
        return hidden + self.adapters[place](hidden, before, frames)


class _AlongTime(nn.Module):
    def __init__(self, config: PastConfig, channels: int, *, groups: int) -> None:
        super().__init__()
        heads = max(1, channels // config.head)
        self.norm = nn.GroupNorm(groups_for(channels, groups), channels)
        self.positions = SinusoidalPositionalEmbedding(
            channels, longest=config.longest_window + config.frames
        )
        self.attention = Attention(
            query_dim=channels, cross_attention_dim=channels, heads=heads, dim_head=channels // heads
        )
        zero(self.attention.to_out[0])

    def forward(self, hidden: Tensor, before: Tensor, frames: int) -> Tensor:
        """[B * F, C, h, w] and [B, P, h * w, C] → [B * F, C, h, w]."""
        rows, _, height, _ = (len(hidden) // frames, *hidden.shape[1:])
        now = rearrange(self.norm(hidden), "(b f) c h w -> (b h w) f c", f=frames)
        earlier = rearrange(before, "b p n c -> (b n) p c")
        # Positions count through: past frames first.
        moment = self.positions.pe[:, : earlier.shape[1] + frames].to(hidden)
        answer = self.attention(
            now + moment[:, earlier.shape[1] :],
            encoder_hidden_states=earlier + moment[:, : earlier.shape[1]],
        )
        return rearrange(answer, "(b h w) f c -> (b f) c h w", b=rows, h=height)
