"""The last frames of the window before, so that windows join: Hallo's and MEMO's motion frames."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Self

from einops import rearrange
from torch import Tensor, nn

from auteur.synthesis.blocks import Attention, SinusoidalPositionalEmbedding
from auteur.synthesis.conditioners.base import (
    Conditioner,
    Entry,
    Given,
    Input,
    NetworkShape,
    ReferenceFeatures,
    SampleSize,
)
from auteur.synthesis.conditioners.layers import (
    Place,
    choose,
    groups_for,
    null,
    per_place,
    zero,
)


@dataclass(frozen=True, kw_only=True)
class PastConfig:
    """Sizes of the past conditioner."""

    frames: int = 2
    """P: Hallo's 2."""
    head: int = 64
    longest_window: int = 64
    """Frames that have positions."""
    dropout: float = 0.05
    """Probability that a training clip starts a video, as in MEMO."""


class PastConditioner(Conditioner):
    """Every pixel attends to the same place in the ReferenceNet's features of the past frames."""

    name = "past"
    inputs = (Input("past", per_frame=False, in_clips=False),)
    entry = Entry.AFTER_MOTION
    config_type = PastConfig

    def __init__(self, config: PastConfig, places: Sequence[Place], *, groups: int) -> None:
        super().__init__()
        self.config = config
        attending = [place for place in places if place.attends]
        self._places = {place.name: place for place in attending}
        self.nulls = nn.ParameterDict({place.name: null(place.channels) for place in attending})
        self.adapters = per_place(attending, lambda at: _AlongTime(config, at.channels, groups=groups))

    @classmethod
    def build(cls, config: PastConfig, network: NetworkShape) -> Self:
        """Returns a conditioner with new weights."""
        return cls(config, network.places, groups=network.groups)

    @classmethod
    def misfit(cls, others: Collection[str], context_width: int | None) -> str | None:
        """Returns the reason why a network without a ReferenceNet cannot have it."""
        return (
            None if "reference" in others else "past frames are read by the ReferenceNet; give reference too"
        )

    def shapes(self, sample: SampleSize, margin: int = 0) -> dict[str, tuple[int | None, ...]]:
        """Returns the shape of the past frames."""
        return {"past": (self.config.frames, sample.channels, sample.height, sample.width)}

    def prepare(self, value: Tensor, features_of: Callable[[Tensor], ReferenceFeatures]) -> ReferenceFeatures:
        """Returns the ReferenceNet's features of past frames [B, P, C, H, W]."""
        seen = features_of(value.flatten(0, 1))
        return ReferenceFeatures({n: one.unflatten(0, value.shape[:2]) for n, one in seen.layers.items()})

    def encode(self, given: Given, sample: SampleSize, time: Tensor) -> dict[str, Tensor]:
        """Returns the ReferenceNet's features of the past frames by place, [B, P, pixels, channels]."""
        features: ReferenceFeatures | None = given.get("past")
        if features is None:
            rows, frames = sample.rows, self.config.frames
            return {
                name: absent.expand(rows, frames, sample.pixels_at(self._places[name]), -1)
                for name, absent in self.nulls.items()
            }
        return {
            name: choose(given.present, features.layers[name], absent) for name, absent in self.nulls.items()
        }

    def forward(self, place: str, value: Tensor, code: dict[str, Tensor]) -> Tensor:
        """Returns a feature map [B * F, C, h, w] plus its attention to the past frames."""
        return value + self.adapters[place](value, code[place]) if place in self.adapters else value


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

    def forward(self, hidden: Tensor, before: Tensor) -> Tensor:
        """[B * F, C, h, w] and [B, P, h * w, C] → [B * F, C, h, w]."""
        rows, height = len(before), hidden.shape[-2]
        frames = len(hidden) // rows
        now = rearrange(self.norm(hidden), "(b f) c h w -> (b h w) f c", f=frames)
        earlier = rearrange(before, "b p n c -> (b n) p c")
        # Positions count through: past frames first.
        moment = self.positions.pe[:, : earlier.shape[1] + frames].to(hidden)
        answer = self.attention(
            now + moment[:, earlier.shape[1] :],
            encoder_hidden_states=earlier + moment[:, : earlier.shape[1]],
        )
        return rearrange(answer, "(b h w) f c -> (b f) c h w", b=rows, h=height)
