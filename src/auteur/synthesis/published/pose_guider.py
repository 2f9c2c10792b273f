"""AniPortrait's pose guider: from control pictures to maps that enter the UNet (theirs: PoseGuider)."""

from itertools import pairwise
from typing import Literal

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from auteur.synthesis.blocks import BasicTransformerBlock
from auteur.synthesis.published.sizes import GROUPS, Shapes

_CHANNELS = (3, 3, 16, 16, 32, 32, 64, 64, 128)
_STRIDES = (1, 2, 1, 2, 1, 2, 1, 1)
_PUBLISHED = (1408, 16)
"""Numbers inside its attentions and their heads; smaller networks have heads of 8 numbers."""

Statistics = Literal["window", "stored"]
"""Statistics of BatchNorm: of the given drawings, or those stored by training."""


class PoseAttention(nn.Module):
    """Self-attention over the pixels of a map (theirs: Transformer2DModel).

    The original names it `cross_attn` and hands it the portrait's drawing, but sets no width of a context, so
    it attends to its own pixels only: the portrait's drawing changes nothing.
    """

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        heads = _PUBLISHED[1] if inner == _PUBLISHED[0] else inner // 8
        self.norm = nn.GroupNorm(GROUPS, channels, eps=1e-6)
        self.proj_in = nn.Conv2d(channels, inner, 1)
        self.transformer_blocks = nn.ModuleList([BasicTransformerBlock(inner, heads=heads)])
        self.proj_out = nn.Conv2d(inner, channels, 1)

    def forward(self, hidden: Tensor) -> Tensor:
        """[N, C, h, w] → the same."""
        tokens = rearrange(self.proj_in(self.norm(hidden)), "n c h w -> n (h w) c")
        tokens = self.transformer_blocks[0](tokens)
        return hidden + self.proj_out(rearrange(tokens, "n (h w) c -> n c h w", h=hidden.shape[-2]))


class PoseGuider(nn.Module):
    """Five maps of a drawing: for the UNet's first convolution and for what leaves each down block.

    Args:
        channels: Of the first map; the UNet's first width. The others have 1, 2, 4 and 4 times as many.
        inner: Numbers inside the attentions.
    """

    def __init__(self, channels: int = 320, inner: int = 1408) -> None:
        super().__init__()
        self.conv_layers = _stack(_CHANNELS, _STRIDES, kernel=4)
        self.final_proj = nn.Conv2d(_CHANNELS[-1], channels, 1)
        widths = [channels, channels, 2 * channels, 4 * channels, 4 * channels]
        for index, (before, after) in enumerate(pairwise(widths), start=1):
            inside = (before, before, after) if index < 4 else (before, after)
            self.add_module(f"conv_layers_{index}", _stack(inside, (1, 2)[: len(inside) - 1], kernel=3))
            self.add_module(f"cross_attn{index}", PoseAttention(after, inner))
        self.scale = nn.Parameter(torch.full((1,), 2.0))

    def forward(self, drawings: Tensor, *, statistics: Statistics = "window") -> list[Tensor]:
        """Returns maps [F, C, h, w], the first an eighth of the drawings' size.

        Args:
            drawings: [F, 3, H, W] in -1 … 509; see `drawn_input`.
            statistics: "window" as in published inference, where the network stays in training mode: the
                statistics of all frames of a window normalise each. "stored" as in evaluation mode, another
                function, which no published picture was made with.
        """
        by_window = statistics == "window"
        maps = [self.final_proj(_run(self.conv_layers, drawings, by_window)) * self.scale]
        for index in range(1, 5):
            hidden = _run(self.get_submodule(f"conv_layers_{index}"), maps[-1], by_window)
            maps.append(self.get_submodule(f"cross_attn{index}")(hidden))
        return maps


def guider_sizes(shapes: Shapes) -> dict[str, int]:
    """Returns the arguments of a `PoseGuider` with tensors of these shapes.

    Raises:
        KeyError: There is no pose guider.
    """
    return {
        "channels": shapes["final_proj.weight"][0],
        "inner": shapes["cross_attn1.proj_in.weight"][0],
    }


def drawn_input(drawings: Tensor) -> Tensor:
    """Returns drawings uint8 [F, H, W, 3] as the guider reads them, float32 [F, 3, H, W] in -1 … 509.

    That is 2 u - 1 for u in 0 … 255: published inference does not divide by 255 (diffusers' image processor
    does that to PIL pictures only), though training did.
    """
    return 2 * drawings.permute(0, 3, 1, 2).float() - 1


def _stack(channels: tuple[int, ...], strides: tuple[int, ...], *, kernel: int) -> nn.Sequential:
    """Convolutions, each normalised and cut at 0; `kernel` is that of strides of 2, others have 3."""
    layers: list[nn.Module] = []
    for entering, leaving, stride in zip(channels[:-1], channels[1:], strides, strict=True):
        size = kernel if stride == 2 else 3
        layers += [
            nn.Conv2d(entering, leaving, size, stride=stride, padding=1),
            nn.BatchNorm2d(leaving),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers)


def _run(stack: nn.Module, hidden: Tensor, by_window: bool) -> Tensor:
    for layer in stack.children():
        if isinstance(layer, nn.BatchNorm2d) and by_window:
            # No running statistics are handed over, so none change.
            hidden = functional.batch_norm(
                hidden, None, None, layer.weight, layer.bias, training=True, eps=layer.eps
            )
        elif isinstance(layer, nn.BatchNorm2d):
            mean, variance = layer.running_mean, layer.running_var
            hidden = functional.batch_norm(hidden, mean, variance, layer.weight, layer.bias, eps=layer.eps)
        else:
            hidden = layer(hidden)
    return hidden
