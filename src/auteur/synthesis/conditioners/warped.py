"""The warped portrait and its validity: further input channels of the UNet, for the compact size."""

from dataclasses import dataclass

from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from auteur.errors import UsageError
from auteur.synthesis.conditioners.layers import choose, null, zero
from auteur.synthesis.conditions import Conditions


@dataclass(frozen=True, kw_only=True)
class WarpedConfig:
    """The warped portrait as input."""

    dropout: float = 0.02
    """Low: the picture is built around it."""


class WarpedConditioner(nn.Module):
    """A convolution beside the UNet's first one: the same as more input channels with zero weights."""

    def __init__(self, config: WarpedConfig, *, channels: int, patch: int, width: int) -> None:
        super().__init__()
        self.config = config
        self.patch = patch
        self.null = null(channels + 1, 1, 1)
        self.conv = zero(nn.Conv2d((channels + 1) * patch**2, width, 3, padding=1))

    def check(self, warped: Tensor, shape: tuple[int, ...]) -> None:
        """Refuses a warped portrait that does not fit a sample of a shape [B, F, C, H, W].

        Raises:
            UsageError: It does not.
        """
        wanted = [*shape[:2], shape[2] + 1, *shape[3:]]
        if list(warped.shape) != wanted:
            raise UsageError(f"warped has shape {list(warped.shape)}; it must be {wanted}")

    def forward(self, hidden: Tensor, conditions: Conditions, shape: tuple[int, ...]) -> Tensor:
        """Adds it to the first feature map [B * F, width, h, w] of a sample of a shape [B, F, C, H, W]."""
        rows, frames, channels, height, width = shape
        given = conditions.warped
        if given is None:
            picture = self.null.to(hidden).expand(rows, frames, channels + 1, height, width)
        else:
            picture = choose(conditions.presence("warped"), given, self.null)
        flat = rearrange(picture, "b f c h w -> (b f) c h w")
        return hidden + self.conv(functional.pixel_unshuffle(flat, self.patch))
