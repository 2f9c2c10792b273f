"""The last layers of a denoiser with patches: at the size of the sample, they take out seams and add detail.

Patches keep the UNet small, but are predicted independently, which leaves visible seams. A few convolutions
over the whole output and the warped portrait reach across their borders. With more levels they are a small
UNet, whose view is wide enough to turn a haze into teeth (`lab.train.denoiser_adversarial`). In files this
part is "finish".
"""

from dataclasses import dataclass

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from auteur.errors import UsageError
from auteur.synthesis.conditioners.layers import choose, zero
from auteur.synthesis.conditions import Conditions


@dataclass(frozen=True, kw_only=True)
class SeamRefinerConfig:
    """Sizes of the last layers."""

    width: int = 16
    """Their channels."""
    layers: int = 2
    """Convolutions before the last one, at one level."""
    levels: int = 1
    """Sizes of the picture, each half of the one before and half as many channels more."""

    def __post_init__(self) -> None:
        if not (1 <= self.width <= 256 and 1 <= self.layers <= 8 and 1 <= self.levels <= 6):
            raise UsageError(
                f"finish has width {self.width}, {self.layers} layers and {self.levels} levels; "
                "they must be 1 to 256, 1 to 8 and 1 to 6"
            )


class SeamRefiner(nn.Module):
    """Adds a correction, at first zero, to the network's output.

    Args:
        config: Sizes.
        channels: Of the sample.
        sees_warped: Whether the warped portrait is an input.
    """

    def __init__(self, config: SeamRefinerConfig, *, channels: int, sees_warped: bool) -> None:
        super().__init__()
        self._sees_warped = sees_warped
        before = channels + (channels + 1 if sees_warped else 0)
        layers: list[nn.Module] = []
        if config.levels == 1:
            for width in [config.width] * config.layers:
                layers += [nn.Conv2d(before, width, 3, padding=1), nn.SiLU()]
                before = width
        else:
            layers += [
                nn.Conv2d(before, config.width, 3, padding=1),
                nn.SiLU(),
                _Level(config.width, config.levels),
            ]
            before = config.width
        self.layers = nn.Sequential(*layers, zero(nn.Conv2d(before, channels, 3, padding=1)))

    def forward(self, answer: Tensor, conditions: Conditions) -> Tensor:
        """Returns the corrected output, [B, F, C, H, W]; zeros stand for a missing warped portrait."""
        seen = answer
        if self._sees_warped:
            nothing, given = answer.new_zeros(()), conditions.warped
            if given is None:
                given = nothing.expand(*answer.shape[:2], answer.shape[2] + 1, *answer.shape[3:])
            else:
                given = choose(conditions.presence("warped"), given, nothing)
            seen = torch.cat([answer, given.to(answer)], dim=2)
        correction = self.layers(rearrange(seen, "b f c h w -> (b f) c h w"))
        return answer + correction.unflatten(0, answer.shape[:2])


class _Level(nn.Module):
    """One size of a small UNet, with the smaller ones inside: [N, C, H, W] → the same shape."""

    def __init__(self, width: int, levels: int) -> None:
        super().__init__()
        self.inner: nn.Module | None = None
        if levels > 1:
            wider = width + max(1, width // 2)
            self.down = nn.Sequential(nn.Conv2d(width, wider, 4, 2, 1), nn.SiLU())
            self.inner = _Level(wider, levels - 1)
            self.up = nn.Conv2d(wider, width, 1)
        self.out = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.SiLU())

    def forward(self, seen: Tensor) -> Tensor:
        if self.inner is not None:
            inner = self.up(self.inner(self.down(seen)))
            seen = seen + functional.interpolate(inner, seen.shape[-2:], mode="bilinear")
        return self.out(seen)
