"""The network that estimates the pattern in one picture: what the picture itself would show is taken away."""

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, pixel_unshuffle

_CHANNELS = 20
_DILATIONS = (1, 2, 1, 2)
_WINDOW = 9
"""Side of the window, in units, over which contrast is measured."""
_NOISE = 2.0
"""Grey levels of contrast below which everything counts as noise."""


class PatternEstimator(nn.Module):
    """Luma → half the log-likelihood ratio of the pattern's sign, two values per chip.

    The input is whitened: its local mean is taken off, and it is divided by its local contrast. Sixteen
    thousand parameters see 42 x 42 units around each value.
    """

    def __init__(self) -> None:
        super().__init__()
        self.enter = nn.Conv2d(5, _CHANNELS, 3, padding=1)
        self.layers = nn.ModuleList(
            nn.Conv2d(_CHANNELS, _CHANNELS, 3, padding=dilation, dilation=dilation) for dilation in _DILATIONS
        )
        self.leave = nn.Conv2d(_CHANNELS, 1, 3, padding=1)
        self.whitened = nn.Parameter(torch.ones(()))
        nn.init.zeros_(self.leave.weight)

    def forward(self, luma: Tensor) -> Tensor:
        """Returns the estimate [B, H / 2, W / 2].

        Args:
            luma: Grey levels [B, 1, H, W], 0 to 255, H and W even.
        """
        rest = luma - _mean(luma)
        contrast = _mean(rest**2).clamp(min=1e-6).sqrt()
        white = rest / (contrast + _NOISE)
        features = torch.cat([pixel_unshuffle(white, 2), avg_pool2d(contrast, 2).log1p()], 1)
        # Twice as fast on CPUs as the usual order in memory.
        x = self.enter(features.contiguous(memory_format=torch.channels_last)).relu()
        for layer in self.layers:
            x = x + layer(x).relu()
        return (self.leave(x) + self.whitened * avg_pool2d(white, 2))[:, 0]


def _mean(values: Tensor) -> Tensor:
    return avg_pool2d(values, _WINDOW, 1, _WINDOW // 2, count_include_pad=False)
