"""Discriminators of the generator: one for single expressions, one for sequences.

Both are conditioned on the emotion by projection (Miyato & Koyama, "cGANs with projection discriminator",
2018, eq. 3) and trained with the hinge loss (Lim & Ye, "Geometric GAN", 2017). They are not shipped.

Axes: B batch, T frames, E numbers per expression.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from auteur.expression.generator.network import LABELS

_SLOPE = 0.2
_VELOCITY_GAIN = 4.0
"""Differences between frames are this much smaller than the values."""


class Projection(nn.Module):
    """score = w · h + intensity * (V y) · h, for features h [N, H] and labels y [N]."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.linear = spectral_norm(nn.Linear(features, 1))
        self.label = spectral_norm(nn.Embedding(len(LABELS), features))

    def forward(self, features: Tensor, label: Tensor, intensity: Tensor) -> Tensor:
        """Returns scores [N]; for neutral (intensity 0) those of the unconditional part."""
        agreement = (self.label(label) * features).sum(dim=-1)
        return self.linear(features)[:, 0] + intensity * agreement


class FrameDiscriminator(nn.Module):
    """An MLP on single vectors."""

    def __init__(self, expression: int, hidden: int = 96) -> None:
        super().__init__()
        self.body = nn.Sequential(
            spectral_norm(nn.Linear(expression, hidden)),
            nn.LeakyReLU(_SLOPE),
            spectral_norm(nn.Linear(hidden, hidden)),
            nn.LeakyReLU(_SLOPE),
        )
        self.score = Projection(hidden)

    def forward(self, vectors: Tensor, label: Tensor, intensity: Tensor) -> Tensor:
        """Returns the score of every frame [B, T] of vectors [B, T, E]."""
        frames = vectors.shape[1]
        features = self.body(vectors).flatten(0, 1)
        rows = (label.repeat_interleave(frames), intensity.repeat_interleave(frames))
        return self.score(features, *rows).view(-1, frames)


class SequenceDiscriminator(nn.Module):
    """Convolutions over time, on values and velocities."""

    def __init__(self, expression: int, hidden: int = 64) -> None:
        super().__init__()
        widths = (2 * expression, hidden, hidden, hidden)
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [spectral_norm(nn.Conv1d(before, after, 5, stride=2, padding=2)), nn.LeakyReLU(_SLOPE)]
        self.body = nn.Sequential(*layers)
        self.score = Projection(hidden)

    def forward(self, vectors: Tensor, label: Tensor, intensity: Tensor) -> Tensor:
        """Returns one score per sequence [B] of vectors [B, T, E]."""
        velocity = torch.diff(vectors, dim=1, prepend=vectors[:, :1]) * _VELOCITY_GAIN
        features = self.body(torch.cat([vectors, velocity], dim=-1).transpose(1, 2))
        return self.score(features.mean(dim=-1), label, intensity)


def discriminator_loss(real: Tensor, made: Tensor) -> Tensor:
    """Returns E[max(0, 1 - D(x))] + E[max(0, 1 + D(G(z)))]."""
    return torch.relu(1 - real).mean() + torch.relu(1 + made).mean()


def generator_loss(made: Tensor) -> Tensor:
    """Returns -E[D(G(z))]."""
    return -made.mean()
