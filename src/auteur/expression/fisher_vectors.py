"""Fisher vectors of a recording: how its short-time spectra differ from those of speech in general.

A Gaussian mixture describes the cepstra of all training speech, one component per kind of sound. The gradient
of a recording's likelihood by the mixture's means and variances compares each kind of sound with itself, so
that what was said counts less and how it was said counts more (Sanchez, Perronnin, Mensink and Verbeek,
"Image classification with the Fisher vector", 2013).

Axes: N rows, D numbers per row, K components.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from auteur.expression.acoustic_features import BANDS
from auteur.expression.voice_statistics import ACTIVE_POWER, CEPSTRA, cepstra, power_of

Floats = NDArray[np.floating]

DESCRIPTORS = 3 * CEPSTRA + 2
"""D: cepstra, their slopes and the slopes of these, pitch, voicing."""
_LEAST_VARIANCE = 1e-3
_PIECE_ROWS = 20_000


def descriptors(rows: Floats) -> Floats:
    """Returns the descriptors [N, D] float32 of the rows that sound, of rows [M, CHANNELS]."""
    of_rows = cepstra(rows[:, :BANDS])
    slopes = _slopes(of_rows)
    whole = np.concatenate([of_rows, slopes, _slopes(slopes), rows[:, BANDS : BANDS + 2]], axis=1)
    return whole[power_of(rows) > ACTIVE_POWER].astype(np.float32)


def _slopes(values: Floats) -> Floats:
    """Slope per row of values [N, C] over five rows, by least squares, [N, C]."""
    padded = np.pad(values, ((2, 2), (0, 0)), mode="edge")
    return (2 * (padded[4:] - padded[:-4]) + padded[3:-1] - padded[1:-3]) / 10


class SpeechMixture(nn.Module):
    """Gaussian mixture with diagonal covariances over standardised descriptors.

    Args:
        components: K.
    """

    def __init__(self, components: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(DESCRIPTORS))
        self.register_buffer("scale", torch.ones(DESCRIPTORS))
        self.register_buffer("shares", torch.full((components,), 1 / components))
        self.register_buffer("means", torch.zeros(components, DESCRIPTORS))
        self.register_buffer("variances", torch.ones(components, DESCRIPTORS))
        self.centre: Tensor
        self.scale: Tensor
        self.shares: Tensor
        self.means: Tensor
        self.variances: Tensor

    def fit(self, rows: Tensor, *, rounds: int = 12, seed: int = 0) -> None:
        """Fits the mixture by expectation maximisation.

        Args:
            rows: Descriptors of training speech, [N, D], N at least K.
            rounds: Of expectation maximisation.
            seed: Of the rows that the means start from.
        """
        self.centre.copy_(rows.mean(0))
        self.scale.copy_(rows.std(0) + 1e-6)
        rows = (rows - self.centre) / self.scale
        start = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
        self.means.copy_(rows[start[: len(self.means)]])
        self.variances.copy_(rows.var(0).clamp(min=_LEAST_VARIANCE).expand_as(self.variances))
        self.shares.fill_(1 / len(self.shares))
        for _ in range(rounds):
            count = torch.zeros_like(self.shares)
            first, second = torch.zeros_like(self.means), torch.zeros_like(self.means)
            for piece in rows.split(_PIECE_ROWS):
                chances = self._chances(piece)
                count += chances.sum(0)
                first += chances.T @ piece
                second += chances.T @ piece.square()
            count.clamp_(min=1)
            self.shares.copy_(count / count.sum())
            self.means.copy_(first / count[:, None])
            spread = second / count[:, None] - self.means.square()
            self.variances.copy_(spread.clamp(min=_LEAST_VARIANCE))

    def _chances(self, rows: Tensor) -> Tensor:
        """Probability of each component for standardised rows [N, D], [N, K]."""
        precision = 1 / self.variances
        distance = rows.square() @ precision.T - 2 * rows @ (self.means * precision).T
        distance = distance + (self.means.square() * precision).sum(1) + self.variances.log().sum(1)
        return (self.shares.log() - 0.5 * distance).softmax(1)

    def forward(self, rows: Tensor) -> Tensor:
        """Returns the Fisher vector [2 K D] of descriptors [N, D], of length 1; zeros where N is 0."""
        if not len(rows):
            return torch.zeros(2 * self.means.numel())
        rows = (rows - self.centre) / self.scale
        chances = self._chances(rows)
        count, first, second = chances.sum(0)[:, None], chances.T @ rows, chances.T @ rows.square()
        weight = self.shares.clamp(min=1e-6)[:, None].sqrt() * len(rows)
        by_mean = (first - count * self.means) / self.variances.sqrt() / weight
        away = second - 2 * self.means * first + count * self.means.square()
        by_variance = (away / self.variances - count) / weight / 2**0.5
        vector = torch.cat([by_mean.ravel(), by_variance.ravel()])
        vector = vector.sign() * vector.abs().sqrt()
        return vector / vector.norm().clamp(min=1e-6)


def fisher_vector(mixture: SpeechMixture, rows: Floats) -> Tensor:
    """Returns the Fisher vector [2 K D] of the rows [N, CHANNELS] of a recording."""
    return mixture(torch.from_numpy(descriptors(rows)))
