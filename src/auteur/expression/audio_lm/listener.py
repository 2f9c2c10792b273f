"""The emotion ensemble of the compact model: small classifiers of the emotion in a voice, averaged.

Each network was trained without one fifth of the speakers, so its predictions for them are out of fold: the
language model trains on these, whose errors are those of predictions for new speakers.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from auteur.expression.audio_lm.codec import HEARD_EMOTIONS
from auteur.expression.hearing import BANDS

QUIET = -1.8
"""Value of a band in silence, with which recordings are padded."""

_ACTIVE = 1e-3
_MARGIN_ROWS = 5


@dataclass(frozen=True, kw_only=True)
class ListenerConfig:
    """Sizes; saved with the weights."""

    width: int = 24
    hidden: int = 128
    voters: int = 5


class _Conv(nn.Sequential):
    """Convolution over bands and time, normalisation, SiLU."""

    def __init__(self, inputs: int, outputs: int, stride: tuple[int, int], size: int = 3) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False),
            nn.BatchNorm2d(outputs),
            nn.SiLU(),
        )


class Listener(nn.Module):
    """A classifier: 2-D convolutions over bands and time, then attention over means and deviations."""

    def __init__(self, config: ListenerConfig) -> None:
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
        self.classes = nn.Sequential(nn.Dropout(0.3), nn.Linear(2 * hidden, len(HEARD_EMOTIONS)))

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


class Ear(nn.Module):
    """The classifiers together."""

    def __init__(self, config: ListenerConfig | None = None) -> None:
        super().__init__()
        self.config = config or ListenerConfig()
        self.voters = nn.ModuleList(Listener(self.config) for _ in range(self.config.voters))

    def forward(self, rows: Tensor, inside: Tensor) -> Tensor:
        """Returns the mean of the classifiers' log probabilities, [B, emotions]."""
        votes = [voter(rows, inside).log_softmax(-1) for voter in self.voters]
        return torch.stack(votes).mean(0).log_softmax(-1)

    @torch.no_grad()
    def listen(self, rows: Tensor) -> Tensor:
        """Returns log probabilities [emotions] for the rows [N, CHANNELS] of one recording."""
        spoken = active_rows(rows)
        return self(spoken[None], torch.ones(1, len(spoken)))[0]


def active_rows(rows: Tensor) -> Tensor:
    """Returns the rows from the first sound to the last and 0.1 s around; all if all is quiet."""
    power = torch.exp(rows[:, :BANDS] * 3 - 6).mean(1)
    found = torch.nonzero(power > _ACTIVE)[:, 0]
    if not len(found):
        return rows
    return rows[max(int(found[0]) - _MARGIN_ROWS, 0) : int(found[-1]) + 1 + _MARGIN_ROWS]
