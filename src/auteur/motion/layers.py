"""Dilated convolutions and the normalising flow of the motion generator.

Axes: B batch, C channels, T frames. Every convolution pads with zeros, so that length is kept.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class DilatedConvolutions(nn.Module):
    """WaveNet-type stack: gated dilated convolutions with a condition, residual and skip sums.

    Van den Oord et al. 2016 (arXiv 1609.03499), section 2.3: z = tanh(W_f * x + V_f c) . sigmoid(W_g * x +
    V_g c).
    """

    def __init__(
        self,
        *,
        hidden: int,
        kernel: int,
        dilations: Sequence[int],
        condition: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        layers = len(dilations)
        self.reach_frames = sum(dilations) * (kernel // 2)
        self.condition = nn.Conv1d(condition, 2 * hidden * layers, 1)
        self.over_time = nn.ModuleList(
            nn.Conv1d(hidden, 2 * hidden, kernel, dilation=d, padding=d * (kernel // 2)) for d in dilations
        )
        self.residual = nn.ModuleList(nn.Conv1d(hidden, hidden, 1) for _ in dilations[1:])
        self.skip = nn.ModuleList(nn.Conv1d(hidden, hidden, 1) for _ in dilations)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:  # x [B, C, T], condition [B, D, T]
        """Returns the sum of the skips, [B, C, T]."""
        total = torch.zeros_like(x)
        conditions = self.condition(condition).chunk(len(self.skip), dim=1)
        for layer, (over_time, skip) in enumerate(zip(self.over_time, self.skip, strict=True)):
            filtered, gate = (over_time(x) + conditions[layer]).chunk(2, dim=1)
            gated = self.dropout(torch.tanh(filtered) * torch.sigmoid(gate))
            total = total + skip(gated)
            if layer < len(self.residual):
                x = x + self.residual[layer](gated)
        return total


class ResidualCoupling(nn.Module):
    """One mean-only coupling layer: half of the channels is shifted by a function of the other half and c.

    x1 <- x1 + m(x0, c). The Jacobian is triangular with ones on its diagonal: log |det| = 0.
    """

    def __init__(self, *, channels: int, hidden: int, kernel: int, layers: int, condition: int) -> None:
        super().__init__()
        self.before = nn.Conv1d(channels // 2, hidden, 1)
        self.convolutions = DilatedConvolutions(
            hidden=hidden, kernel=kernel, dilations=[1] * layers, condition=condition
        )
        self.after = nn.Conv1d(hidden, channels // 2, 1)
        nn.init.zeros_(self.after.weight)  # starts as the identity
        nn.init.zeros_(self.after.bias)  # pyright: ignore[reportArgumentType]

    def forward(self, x: Tensor, condition: Tensor, *, reverse: bool = False) -> Tensor:
        """Returns the shifted x [B, C, T], or with `reverse` the x before the shift."""
        kept, moved = x.chunk(2, dim=1)
        mean = self.after(self.convolutions(self.before(kept), condition))
        return torch.cat([kept, moved - mean if reverse else moved + mean], dim=1)


class FlowPrior(nn.Module):
    """Prior p(z | c): residual couplings with a flip of the channels after each (paper C: four of them)."""

    def __init__(
        self, *, channels: int, hidden: int, kernel: int, layers: int, couplings: int, condition: int
    ) -> None:
        super().__init__()
        self.couplings = nn.ModuleList(
            ResidualCoupling(
                channels=channels, hidden=hidden, kernel=kernel, layers=layers, condition=condition
            )
            for _ in range(couplings)
        )
        self.reach_frames = couplings * layers * (kernel // 2)

    def forward(self, z: Tensor, condition: Tensor) -> Tensor:
        """Returns the noise [B, C, T] of z [B, C, T]; |det| of the Jacobian is 1."""
        for coupling in self.couplings:
            z = coupling(z, condition).flip(1)
        return z

    def reverse(self, noise: Tensor, condition: Tensor) -> Tensor:
        """Returns the z [B, C, T] that `forward` maps to `noise`."""
        for coupling in reversed(self.couplings):
            noise = coupling(noise.flip(1), condition, reverse=True)
        return noise
