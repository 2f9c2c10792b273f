"""Drawn landmarks: the Pose Guider of paper C's lineage (Animate Anyone; AniPortrait, arXiv 2403.17694)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Self

from einops import rearrange
from torch import Tensor, nn

from auteur.errors import UsageError
from auteur.synthesis.conditioners.base import Conditioner, Entry, Given, Input, NetworkShape, SampleSize
from auteur.synthesis.conditioners.layers import CrossAttention, choose, null, per_frame, zero
from auteur.weights.config import LEAST


@dataclass(frozen=True, kw_only=True)
class LandmarksConfig:
    """Sizes of the landmark conditioner."""

    downscale: int = 8
    """Pixels of the drawing per pixel of the UNet's first feature map, a power of two."""
    stem: tuple[int, ...] = (16, 32, 96, 256)
    """Channels of the first convolutions: before the first halving and after each."""
    attending_levels: int = field(default=2, metadata={LEAST: 0})
    """Number of the coarsest maps that attend to the portrait's own drawing."""
    head: int = 64
    dropout: float = 0.05

    def __post_init__(self) -> None:
        if self.downscale < 1 or self.downscale & (self.downscale - 1):
            raise UsageError(f"downscale is {self.downscale}; it must be a power of two: 1, 2, 4 or 8")
        if len(self.stem) != 1 + int(math.log2(self.downscale)):
            raise UsageError(
                f"a downscale of {self.downscale} needs {1 + int(math.log2(self.downscale))} widths in stem, "
                f"not {len(self.stem)}"
            )


class LandmarksConditioner(Conditioner):
    """A feature map for every level of the UNet and for its middle, added where the level begins."""

    name = "landmarks"
    inputs = (
        Input("landmarks", per_frame=True),
        Input("landmarks_reference", per_frame=False, missing=None),
    )
    entry = Entry.LEVEL
    config_type = LandmarksConfig

    def __init__(self, config: LandmarksConfig, entries: Sequence[tuple[int, int]], *, groups: int) -> None:
        """Makes it for `entries`: channels and level of what enters each down block and the middle."""
        super().__init__()
        self.config = config
        stem: list[nn.Module] = [nn.Conv2d(3, config.stem[0], 3, padding=1), nn.SiLU()]
        for inner, outer in pairwise(config.stem):
            stem += [nn.Conv2d(inner, inner, 3, padding=1), nn.SiLU()]
            stem += [nn.Conv2d(inner, outer, 3, padding=1, stride=2), nn.SiLU()]
        self.stem = nn.Sequential(*stem)
        self.maps = nn.ModuleList()
        inner, level = config.stem[-1], 0
        for outer, at in entries:
            stride = 2 if at > level else 1
            self.maps.append(nn.Sequential(nn.Conv2d(inner, outer, 3, stride=stride, padding=1), nn.SiLU()))
            inner, level = outer, at
        first_attending = len(entries) - config.attending_levels
        self.comparisons = nn.ModuleDict(
            {
                str(index): CrossAttention(
                    channels=width, width=width, head=config.head, groups=groups, starts_at_zero=False
                )
                for index, (width, _) in enumerate(entries)
                if index >= first_attending
            }
        )
        self.nulls = nn.ParameterList([null(width, 1, 1) for width, _ in entries])
        self.zero_convs = nn.ModuleList([zero(nn.Conv2d(width, width, 1)) for width, _ in entries])

    @classmethod
    def build(cls, config: LandmarksConfig, network: NetworkShape) -> Self:
        """Returns a conditioner with new weights."""
        return cls(config, network.entries, groups=network.groups)

    def shapes(self, sample: SampleSize, margin: int = 0) -> dict[str, tuple[int | None, ...]]:
        """Returns the shapes of the drawings of the frames and of the portrait."""
        height, width = (self.config.downscale * side for side in sample.map_size)
        return {
            "landmarks": (sample.frames, 3, height, width),
            "landmarks_reference": (3, height, width),
        }

    def encode(self, given: Given, sample: SampleSize, time: Tensor) -> list[Tensor]:
        """Returns what to add at each entry, [B * F, C, h, w]."""
        drawn, own = given.get("landmarks"), given.get("landmarks_reference")
        rows, frames = sample.rows, sample.frames
        if drawn is None:
            return [
                conv(absent[None]).expand(rows * frames, -1, 1, 1)
                for conv, absent in zip(self.zero_convs, self.nulls, strict=True)
            ]
        maps = self._maps(drawn)
        own_maps = None if own is None else self._maps(own[:, None])
        added: list[Tensor] = []
        for index, drawn in enumerate(maps):
            if str(index) in self.comparisons:
                drawn = drawn + self._compare(index, drawn, own_maps, frames)
            shown = choose(given.present, drawn.unflatten(0, (rows, frames)), self.nulls[index]).flatten(0, 1)
            added.append(self.zero_convs[index](shown))
        return added

    def forward(self, place: str, value: Tensor, code: list[Tensor]) -> Tensor:
        """Returns what enters a level, [B * F, C, h, w], plus the map of that level."""
        return value + code[int(place)]

    def _maps(self, drawing: Tensor) -> list[Tensor]:
        maps = [self.stem(2 * drawing.flatten(0, 1) - 1)]
        for halve in self.maps:
            maps.append(halve(maps[-1]))
        return maps[1:]

    def _compare(self, index: int, drawn: Tensor, own_maps: list[Tensor] | None, frames: int) -> Tensor:
        """Cross-attention from a frame's drawing (queries) to the portrait's own drawing (keys)."""
        if own_maps is None:
            own = self.nulls[index].reshape(1, 1, -1).expand(len(drawn), -1, -1)
        else:
            own = per_frame(rearrange(own_maps[index], "b c h w -> b (h w) c"), frames)
        return self.comparisons[str(index)](drawn, own)
