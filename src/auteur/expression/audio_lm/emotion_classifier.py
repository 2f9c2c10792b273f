"""The emotion ensemble of the compact model: small networks over time and two regressions on a recording.

Each network was trained without one fifth of the speakers, so its predictions for them are out of fold: the
language model trains on these, whose errors are those of predictions for new speakers. The regressions, on
statistics and on Fisher vectors, are closed-form, so their predictions for each fifth come from refits
without it.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from auteur.expression.acoustic_features import BANDS
from auteur.expression.audio_lm.codec import VOICE_EMOTIONS
from auteur.expression.fisher_vectors import DESCRIPTORS, SpeechMixture, fisher_vector
from auteur.expression.voice_statistics import ACTIVE_POWER, STATISTICS, power_of, voice_statistics

QUIET = -1.8
"""Value of a band in silence, with which recordings are padded."""

_MARGIN_ROWS = 5
_LARGEST = 4.0
"""Standard deviations at which statistics are cut off."""
_STEPS = 31
"""Steps per standard deviation of the stored supports."""
_GAMMA = 0.25 / STATISTICS


@dataclass(frozen=True, kw_only=True)
class EmotionClassifierConfig:
    """Sizes; saved with the weights."""

    width: int = 24
    hidden: int = 128
    voters: int = 5
    supports: int = 700
    """Recordings that the regression on statistics keeps."""
    components: int = 64
    """Kinds of sound that the Fisher vectors compare."""


class _Conv(nn.Sequential):
    """Convolution over bands and time, normalisation, SiLU."""

    def __init__(self, inputs: int, outputs: int, stride: tuple[int, int], size: int = 3) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False),
            nn.BatchNorm2d(outputs),
            nn.SiLU(),
        )


class EmotionClassifier(nn.Module):
    """A classifier: 2-D convolutions over bands and time, then attention over means and deviations."""

    def __init__(self, config: EmotionClassifierConfig) -> None:
        super().__init__()
        width, hidden = config.width, config.hidden
        self.bands = nn.Sequential(
            _Conv(1, width, (2, 2), 5),
            _Conv(width, width + 8, (2, 1)),
            _Conv(width + 8, 2 * width, (2, 2)),
            _Conv(2 * width, 64, (2, 1)),
        )
        self.voice = nn.Sequential(
            nn.Conv1d(2, 16, 5, 2, 2), nn.SiLU(), nn.Conv1d(16, 16, 5, 2, 2), nn.SiLU()
        )
        self.mix = nn.Sequential(
            nn.Dropout(0.15),
            nn.Conv1d(64 * BANDS // 16 + 16, hidden, 3, padding=1, bias=False),
            nn.BatchNorm1d(hidden),
            nn.SiLU(),
        )
        self.spread = nn.Sequential(
            nn.Conv1d(hidden, hidden, 3, padding=2, dilation=2, bias=False), nn.BatchNorm1d(hidden), nn.SiLU()
        )
        self.attention = nn.Conv1d(hidden, 4, 1)
        self.classes = nn.Sequential(nn.Dropout(0.3), nn.Linear(2 * hidden, len(VOICE_EMOTIONS)))

    def forward(self, rows: Tensor, inside: Tensor) -> Tensor:
        """Returns logits [B, emotions] of rows [B, N, CHANNELS]; `inside` [B, N] is 1 where sound is."""
        bands = self.bands(rows[:, None, :, :BANDS].transpose(2, 3)).flatten(1, 2)
        voice = self.voice(rows[:, :, BANDS:].transpose(1, 2))
        hidden = self.mix(torch.cat([bands, voice], 1))
        hidden = (hidden + self.spread(hidden)).float()
        heard = functional.max_pool1d(inside[:, None], 4, 4, ceil_mode=True)
        weight = self.attention(hidden).masked_fill(heard == 0, -1e4).softmax(-1).mean(1, keepdim=True)
        mean = (hidden * weight).sum(-1)
        deviation = ((hidden.square() * weight).sum(-1) - mean.square()).clamp(min=1e-5).sqrt()
        return self.classes(torch.cat([mean, deviation], 1))


class StatisticsRegression(nn.Module):
    """Kernel ridge regression from the statistics of a recording to its emotion (Gaussian kernel)."""

    def __init__(self, config: EmotionClassifierConfig) -> None:
        super().__init__()
        emotions = len(VOICE_EMOTIONS)
        self.register_buffer("mean", torch.zeros(STATISTICS))
        self.register_buffer("scale", torch.ones(STATISTICS))
        self.register_buffer("supports", torch.zeros(config.supports, STATISTICS, dtype=torch.int8))
        self.register_buffer("weights", torch.zeros(config.supports, emotions))
        self.register_buffer("prior", torch.full((emotions,), 1 / emotions))
        self.mean: Tensor
        self.scale: Tensor
        self.supports: Tensor
        self.weights: Tensor
        self.prior: Tensor

    def standardised(self, statistics: Tensor) -> Tensor:
        """Returns statistics [B, F] in standard deviations, cut off at 4."""
        return ((statistics - self.mean) / self.scale).clamp(-_LARGEST, _LARGEST)

    def kernel(self, standardised: Tensor) -> Tensor:
        """Returns the similarity to each support, [B, S] in (0, 1]."""
        distance = torch.cdist(standardised, self.supports.to(standardised.dtype) / _STEPS)
        return torch.exp(-_GAMMA * distance.square())

    def forward(self, statistics: Tensor) -> Tensor:
        """Returns scores [B, emotions] of statistics [B, F]: about 1 for the emotion and 0 for others."""
        return self.kernel(self.standardised(statistics)) @ self.weights + self.prior

    def fit(self, statistics: Tensor, labels: Tensor, *, ridge: float = 0.1, seed: int = 0) -> None:
        """Solves for the weights; classes count alike (Nystroem: a random part of the recordings supports).

        Args:
            statistics: [N, F].
            labels: Index in `VOICE_EMOTIONS`, [N].
            ridge: Weight of the penalty.
            seed: Of the supports.
        """
        self.mean.copy_(statistics.mean(0))
        self.scale.copy_(statistics.std(0) + 1e-3)
        rows = self.standardised(statistics)
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
        kept = min(len(rows), len(self.supports))
        self.supports[:kept] = (rows[order[:kept]] * _STEPS).round().to(torch.int8)
        wanted, balance = _balanced(labels)
        self.prior.copy_(wanted.mean(0))
        near = self.kernel(rows).double()[:, :kept]
        penalty = self.kernel(self.supports[:kept].float() / _STEPS).double()[:, :kept]
        normal = (near * balance).T @ near + ridge * penalty + 1e-6 * torch.eye(kept, dtype=torch.float64)
        solved = torch.linalg.solve(normal, (near * balance).T @ (wanted - self.prior.double()))
        self.weights.zero_()
        self.weights[:kept] = solved.float()


class FisherRegression(nn.Module):
    """Ridge regression from the Fisher vector of a recording to its emotion."""

    def __init__(self, config: EmotionClassifierConfig) -> None:
        super().__init__()
        size, emotions = 2 * config.components * DESCRIPTORS, len(VOICE_EMOTIONS)
        self.register_buffer("weights", torch.zeros(size, emotions))
        self.register_buffer("prior", torch.full((emotions,), 1 / emotions))
        self.weights: Tensor
        self.prior: Tensor

    def forward(self, vectors: Tensor) -> Tensor:
        """Returns scores [B, emotions] of Fisher vectors [B, 2 K D]: about 1 for the emotion."""
        return vectors @ self.weights + self.prior

    def fit(self, vectors: Tensor, labels: Tensor, *, ridge: float = 0.3) -> None:
        """Solves for the weights; classes count alike.

        Args:
            vectors: [N, 2 K D].
            labels: Index in `VOICE_EMOTIONS`, [N].
            ridge: Weight of the penalty.
        """
        wanted, balance = _balanced(labels)
        self.prior.copy_(wanted.mean(0))
        normal = (vectors @ vectors.T).double() + ridge * torch.diag(1 / balance[:, 0])
        solved = torch.linalg.solve(normal, wanted - self.prior.double())
        self.weights.copy_(vectors.T @ solved.float())


def _balanced(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Returns labels [N] one-hot, [N, emotions], and weights [N, 1] by which classes count alike."""
    emotions = len(VOICE_EMOTIONS)
    counts = torch.bincount(labels, minlength=emotions).double()
    weights = (len(labels) / emotions / counts[labels])[:, None]
    return functional.one_hot(labels, emotions).double(), weights


class EmotionEnsemble(nn.Module):
    """The classifiers and the regressions together, with calibrated probabilities."""

    def __init__(self, config: EmotionClassifierConfig | None = None) -> None:
        super().__init__()
        self.config = config or EmotionClassifierConfig()
        self.voters = nn.ModuleList(EmotionClassifier(self.config) for _ in range(self.config.voters))
        self.regression = StatisticsRegression(self.config)
        self.mixture = SpeechMixture(self.config.components)
        self.fisher = FisherRegression(self.config)
        self.register_buffer("balance", torch.ones(3))
        self.balance: Tensor

    def forward(self, rows: Tensor, inside: Tensor) -> Tensor:
        """Returns the mean of the classifiers' log probabilities, [B, emotions]."""
        votes = [member(rows, inside).log_softmax(-1) for member in self.voters]
        return torch.stack(votes).mean(0).log_softmax(-1)

    def joined(self, *predictions: Tensor) -> Tensor:
        """Returns calibrated log probabilities, [B, emotions].

        All are scaled before they are added; the factors were fitted on speakers that none had seen.

        Args:
            predictions: Log probabilities of the classifiers, scores of the regression on statistics and of
                that on Fisher vectors, each [B, emotions].
        """
        scaled = [factor * each for factor, each in zip(self.balance, predictions, strict=True)]
        return torch.stack(scaled).sum(0).log_softmax(-1)

    @torch.no_grad()
    def emotion_log_probabilities(self, rows: Tensor) -> Tensor:
        """Returns log probabilities [emotions] for the rows [N, CHANNELS] of one recording."""
        spoken = active_rows(rows)
        voted = self(spoken[None], torch.ones(1, len(spoken)))
        scores = self.regression(statistics_of(spoken)[None])
        return self.joined(voted, scores, self.fisher(self.vector_of(spoken)[None]))[0]

    def vector_of(self, rows: Tensor) -> Tensor:
        """Returns the Fisher vector [2 K D] of the rows [N, CHANNELS] of a recording."""
        return fisher_vector(self.mixture, rows.numpy())


def statistics_of(rows: Tensor) -> Tensor:
    """Returns `voice_statistics` of the rows of a recording, [F]."""
    return torch.from_numpy(voice_statistics(rows.numpy()))


def active_rows(rows: Tensor) -> Tensor:
    """Returns the rows from the first sound to the last and 0.1 s around; all if all is quiet."""
    found = torch.nonzero(torch.from_numpy(power_of(rows.numpy()) > ACTIVE_POWER))[:, 0]
    if not len(found):
        return rows
    return rows[max(int(found[0]) - _MARGIN_ROWS, 0) : int(found[-1]) + 1 + _MARGIN_ROWS]
