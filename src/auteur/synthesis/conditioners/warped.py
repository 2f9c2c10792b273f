"""The warped portrait and its validity: further input channels of the UNet, for the compact size."""

from dataclasses import dataclass
from typing import Self

from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from auteur.synthesis.conditioners.base import Conditioner, Entry, Given, Input, NetworkShape, SampleSize
from auteur.synthesis.conditioners.layers import choose, null, zero


@dataclass(frozen=True, kw_only=True)
class WarpedConfig:
    """The warped portrait as input."""

    dropout: float = 0.02
    """Dropout probability; low, since the picture is built around it."""


class WarpedConditioner(Conditioner):
    """A convolution beside the UNet's first one: the same as more input channels with zero weights."""

    name = "warped"
    inputs = (Input("warped", per_frame=True, bytes_mean="signed, validity last"),)
    entry = Entry.INPUT
    config_type = WarpedConfig

    def __init__(self, config: WarpedConfig, *, channels: int, patch: int, width: int) -> None:
        super().__init__()
        self.config = config
        self.patch = patch
        self.null = null(channels + 1, 1, 1)
        self.conv = zero(nn.Conv2d((channels + 1) * patch**2, width, 3, padding=1))

    @classmethod
    def build(cls, config: WarpedConfig, network: NetworkShape) -> Self:
        """Returns a conditioner with new weights."""
        return cls(config, channels=network.channels, patch=network.patch, width=network.width)

    def shapes(self, sample: SampleSize, margin: int = 0) -> dict[str, tuple[int | None, ...]]:
        """Returns the shape of the warped portrait with its validity as last channel."""
        return {"warped": (sample.frames, sample.channels + 1, sample.height, sample.width)}

    def encode(self, given: Given, sample: SampleSize, time: Tensor) -> Tensor:
        """Returns the input channels [B * F, (C + 1) patch², h, w]."""
        picture = given.get("warped")
        if picture is None:
            shape = (sample.rows, sample.frames, sample.channels + 1, sample.height, sample.width)
            picture = self.null.expand(shape)
        else:
            picture = choose(given.present, picture, self.null)
        flat = rearrange(picture, "b f c h w -> (b f) c h w")
        return functional.pixel_unshuffle(flat, self.patch)

    def forward(self, place: str, value: Tensor, code: Tensor) -> Tensor:
        """Returns the first feature map [B * F, width, h, w] plus the convolved input channels."""
        return value + self.conv(code)
