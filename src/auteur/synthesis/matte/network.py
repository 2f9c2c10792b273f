"""MediaPipe's selfie segmentation network, layer by layer as in its published graph.

MobileNetV3 blocks down to 16 x 16, a pooled gate, and a decoder whose every step weighs the finer features by
what they and the coarser ones hold together. Weights: `auteur.weights`, "matte".
"""

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

SIDE_PX = 256
"""Height and width of the picture that the network reads."""


class Convolution(nn.Conv2d):
    """A convolution with TensorFlow's padding "same": what is odd goes to the right and the bottom."""

    def __init__(
        self, channels: int, out: int, kernel: int = 1, *, stride: int = 1, is_depthwise: bool = False
    ) -> None:
        super().__init__(channels, out, kernel, stride, groups=channels if is_depthwise else 1)
        total = max(kernel - stride, 0)
        self._pad = (total // 2, total - total // 2, total // 2, total - total // 2)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] → [B, out, H / stride, W / stride]."""
        return super().forward(functional.pad(x, self._pad))


class Gate(nn.Module):
    """Squeeze and excitation: a weight in [0, 1] for each channel, from the means of all."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.squeeze, self.excite = Convolution(channels, hidden), Convolution(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] → [B, C, 1, 1]."""
        return self.excite(self.squeeze(x.mean((2, 3), keepdim=True)).relu()).sigmoid()


class Bottleneck(nn.Module):
    """MobileNetV3's block: widen, filter each channel, weigh channels, narrow."""

    def __init__(
        self, channels: int, wide: int, out: int, *, kernel: int, stride: int, squeezed: int, is_hard: bool
    ) -> None:
        super().__init__()
        self.widen = Convolution(channels, wide)
        self.filter = Convolution(wide, wide, kernel, stride=stride, is_depthwise=True)
        self.gate = Gate(wide, squeezed) if squeezed else None
        self.narrow = Convolution(wide, out)
        self._bend = functional.hardswish if is_hard else functional.relu
        self._adds = stride == 1 and channels == out

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] → [B, out, H / stride, W / stride]."""
        wide = self._bend(self.filter(self._bend(self.widen(x))))
        if self.gate is not None:
            wide = wide * self.gate(wide)
        return self.narrow(wide) + x if self._adds else self.narrow(wide)


class Join(nn.Module):
    """One step of the decoder: coarser features at twice the size meet finer ones."""

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.reduce = Convolution(coarse, fine)
        self.gate = Gate(fine, fine)
        self.mix = Convolution(fine, fine)
        self.filter = Convolution(fine, fine, 3, is_depthwise=True)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """[B, coarse, H, W] and [B, fine, 2 H, 2 W] → [B, fine, 2 H, 2 W]."""
        large = functional.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)
        reduced = self.reduce(large)
        x = self.mix(fine * self.gate(fine + reduced) + reduced).relu()
        return x + self.filter(x).relu()


class SelfieSegmenter(nn.Module):
    """Probability of each pixel to be part of a person."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Convolution(3, 16, 3, stride=2)
        self.first_mix = Convolution(16, 16)
        self.first_filter = Convolution(16, 16, 3, stride=2, is_depthwise=True)
        self.first_gate = Gate(16, 8)
        self.first_narrow = Convolution(16, 16)
        self.down = nn.ModuleList(
            [
                Bottleneck(16, 72, 24, kernel=3, stride=2, squeezed=0, is_hard=False),
                Bottleneck(24, 88, 24, kernel=3, stride=1, squeezed=0, is_hard=False),
            ]
        )
        self.deep = nn.Sequential(
            Bottleneck(24, 96, 32, kernel=5, stride=2, squeezed=24, is_hard=True),
            Bottleneck(32, 128, 32, kernel=5, stride=1, squeezed=32, is_hard=True),
            Bottleneck(32, 128, 32, kernel=5, stride=1, squeezed=32, is_hard=True),
            Bottleneck(32, 96, 32, kernel=5, stride=1, squeezed=24, is_hard=True),
            Bottleneck(32, 96, 32, kernel=5, stride=1, squeezed=24, is_hard=True),
        )
        self.context = Convolution(32, 128)
        self.context_gate = Convolution(32, 128)
        self.up = nn.ModuleList([Join(128, 24), Join(24, 16), Join(16, 16)])
        self.last = nn.ConvTranspose2d(16, 1, 2, stride=2)

    def forward(self, picture: Tensor) -> Tensor:
        """RGB in [0, 1], [B, 3, 256, 256] → probability in [0, 1], [B, 1, 256, 256]."""
        half = functional.hardswish(self.stem(picture))
        x = self.first_filter(self.first_mix(half).relu()).relu()
        quarter = self.first_narrow(x * self.first_gate(x))
        eighth = quarter
        for block in self.down:
            eighth = block(eighth)
        deep = self.deep(eighth)
        pooled = self.context_gate(deep.mean((2, 3), keepdim=True)).sigmoid()
        x = self.context(deep).relu() * pooled
        for join, fine in zip(self.up, (eighth, quarter, half), strict=True):
            x = join(x, fine)
        return self.last(x).sigmoid()


def blank_segmenter() -> SelfieSegmenter:
    """Returns the network without weights."""
    torch.manual_seed(0)
    return SelfieSegmenter()
