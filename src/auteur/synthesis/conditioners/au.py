"""Action Units: paper A's adapter (AUHead, arXiv 2602.09534), the only part that its training changes."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal, Self

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from auteur.synthesis.conditioners.base import Conditioner, Entry, Given, Input, NetworkShape, SampleSize
from auteur.synthesis.conditioners.layers import CrossAttention, Place, choose, null, per_frame, per_place
from auteur.weights.config import LEAST


@dataclass(frozen=True, kw_only=True)
class AUConfig:
    """Sizes of the Action Unit adapter."""

    form: Literal["sequence", "lines", "mesh"] = "lines"
    """Drawn landmarks (paper A's LMK), shaded render (RoM), or the numbers themselves (its ablation)."""
    action_units: int = 24
    """A, for "sequence": FEAFA's 24 in paper A, OpenFace's 18 in paper C."""
    width: int = 768
    """Numbers per token."""
    grid: int = 8
    """A frame becomes grid × grid tokens: cells of a drawing, or learned mixtures of a sequence."""
    margin: int = field(default=2, metadata={LEAST: 0})
    """n of Eq. 4: the input of a frame is a window of 2 n + 1 frames."""
    head: int = 64
    every_layer: bool = True
    """Whether it acts after every layer of the UNet or after the last of each block."""
    dropout: float = 0.1
    """Dropout probability in training: twice the bases' 0.05, for guidance of its own."""

    @property
    def tokens(self) -> int:
        """Tokens per frame. Attention to a single token gives every pixel the same value."""
        return self.grid**2


class AUConditioner(Conditioner):
    """c_t = Conv_AU([au_{t-n}, …, au_{t+n}]) (Eq. 4); z ← CrossAttn(z, c) at every resolution (Eq. 5)."""

    name = "au"
    inputs = (Input("au", per_frame=True),)
    entry = Entry.ADAPTER
    config_type = AUConfig
    guided_by = "au"
    optional = True

    def __init__(self, config: AUConfig, places: Sequence[Place], *, groups: int) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.encoder = _of_sequence(config) if config.form == "sequence" else _of_drawing(config)
        self.conv_au = nn.Conv1d(width, width, 2 * config.margin + 1)
        self.norm = nn.LayerNorm(width)
        self.position = null(config.tokens, width)
        self.null = null(config.tokens, width)
        chosen = [place for place in places if config.every_layer or place.closes]
        self.adapters = per_place(
            chosen,
            lambda at: CrossAttention(channels=at.channels, width=width, head=config.head, groups=groups),
        )

    @classmethod
    def build(cls, config: AUConfig, network: NetworkShape) -> Self:
        """Returns a conditioner with new weights."""
        return cls(config, network.places, groups=network.groups)

    def shapes(self, sample: SampleSize, margin: int = 0) -> dict[str, tuple[int | None, ...]]:
        """Returns the shape of numbers or drawings, with the margin on both sides."""
        frames = sample.frames + 2 * margin
        if self.config.form == "sequence":
            return {"au": (frames, self.config.action_units)}
        return {"au": (frames, 3, None, None)}

    def encode(self, given: Given, sample: SampleSize, time: Tensor) -> Tensor:
        """Returns the tokens c_t of every frame, [B * F, tokens, width]."""
        au, rows = given.get("au"), sample.rows
        if au is None:
            return self.null.expand(rows * sample.frames, -1, -1)
        tokens = self._with_margin(self._per_frame(au), given.margin)
        # Eq. 4: c_t = Conv_AU([au_{t-n}, …, au_t, …, au_{t+n}])
        sequence = rearrange(tokens, "b f k d -> (b k) d f")
        context = rearrange(self.conv_au(sequence), "(b k) d f -> b f k d", b=rows)
        context = self.norm(context) + self.position
        return choose(given.present, context, self.null).flatten(0, 1)

    def forward(self, place: str, value: Tensor, code: Tensor) -> Tensor:
        """Returns a feature map z [B * F, C, h, w] plus CrossAttn(z, c) (Eq. 5)."""
        return value + self.adapters[place](value, code) if place in self.adapters else value

    def _per_frame(self, au: Tensor) -> Tensor:  # [B, F, A] or [B, F, 3, Hp, Wp] → [B, F, tokens, width]
        if self.config.form == "sequence":
            return self.encoder(au).unflatten(-1, (self.config.tokens, self.config.width))
        # 0 … 1 around 0; then pooled to the token grid.
        drawn = self.encoder(2 * au.flatten(0, 1) - 1)
        pooled = functional.adaptive_avg_pool2d(drawn, self.config.grid)
        return rearrange(pooled, "(b f) d h w -> b f (h w) d", b=au.shape[0])

    def _with_margin(self, tokens: Tensor, margin: int) -> Tensor:
        wanted = self.config.margin
        if margin >= wanted:
            return tokens[:, margin - wanted : tokens.shape[1] - (margin - wanted)]
        first, last = (per_frame(tokens[:, edge], wanted - margin) for edge in (0, -1))
        shape = (tokens.shape[0], wanted - margin)
        return torch.cat([first.unflatten(0, shape), tokens, last.unflatten(0, shape)], 1)


def _of_sequence(config: AUConfig) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(config.action_units, config.width),
        nn.SiLU(),
        nn.Linear(config.width, config.tokens * config.width),
    )


def _of_drawing(config: AUConfig) -> nn.Sequential:
    """Strided convolutions to 1/16 of the drawing: the Pose Guider's, as the paper names no encoder."""
    widths = (16, 32, 96, config.width)
    layers: list[nn.Module] = [nn.Conv2d(3, widths[0], 3, stride=2, padding=1), nn.SiLU()]
    for inner, outer in pairwise(widths):
        layers += [nn.Conv2d(inner, outer, 3, stride=2, padding=1), nn.SiLU()]
    return nn.Sequential(*layers[:-1])
