"""The control: a plain regression from sound to Action Units at 25 frames a second, with an emotion head.

The baseline that answers whether a language model is needed for 24 numbers.
Same data, same metrics, no text.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from auteur.expression.audio_lm.codec import HEARD_EMOTIONS, UNITS
from auteur.expression.hearing import CHANNELS
from auteur.weights import load_model, metadata_of

_KIND = "regressor"


@dataclass(frozen=True, kw_only=True)
class RegressorConfig:
    """Sizes; saved with the weights."""

    width: int = 128
    dilations: tuple[int, ...] = (1, 2, 4, 8, 16, 1)


class Regression(NamedTuple):
    """Outputs of the network."""

    units: Tensor
    """Intensities [B, T, 24] in [0, 1] at 25 a second."""
    emotions: Tensor
    """Logits [B, emotions]."""


class _Block(nn.Module):
    """Residual dilated convolution, symmetric in time."""

    def __init__(self, width: int, dilation: int) -> None:
        super().__init__()
        self.over_time = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation, bias=False)
        self.normalise = nn.BatchNorm1d(width)
        self.mix = nn.Conv1d(width, width, 1)
        self.dropout = nn.Dropout(0.1)

    def forward(self, hidden: Tensor) -> Tensor:
        """[B, C, T] → [B, C, T]."""
        inner = functional.silu(self.normalise(self.over_time(hidden)))
        return hidden + self.mix(self.dropout(inner))


class Regressor(nn.Module):
    """The network; half a million parameters."""

    def __init__(self, config: RegressorConfig | None = None) -> None:
        super().__init__()
        self.config = config or RegressorConfig()
        width = self.config.width
        self.stem = nn.Sequential(
            nn.Conv1d(CHANNELS, width, 5, stride=2, padding=2, bias=False), nn.BatchNorm1d(width), nn.SiLU()
        )
        self.blocks = nn.Sequential(*(_Block(width, dilation) for dilation in self.config.dilations))
        self.attention = nn.Conv1d(width, 1, 1)
        self.emotions = nn.Sequential(nn.Dropout(0.3), nn.Linear(2 * width, len(HEARD_EMOTIONS)))
        self.felt = nn.Linear(len(HEARD_EMOTIONS), width)
        self.units = nn.Sequential(
            nn.Conv1d(width, width, 3, padding=1), nn.SiLU(), nn.Conv1d(width, len(UNITS), 1)
        )

    def forward(self, rows: Tensor, given: Tensor | None = None) -> Regression:
        """Reads rows [B, N, CHANNELS] at 50 a second; T is ceil(N / 2).

        Args:
            rows: Of `auteur.expression.hearing`.
            given: Probability of each emotion [B, emotions]; rows of NaN, or None: the predicted ones.
        """
        hidden = self.blocks(self.stem(rows.transpose(1, 2)))
        weight = self.attention(hidden).softmax(-1)
        mean = (hidden * weight).sum(-1)
        deviation = ((hidden.square() * weight).sum(-1) - mean.square()).clamp(min=1e-5).sqrt()
        emotions = self.emotions(torch.cat([mean, deviation], 1))
        felt = emotions.softmax(-1).detach()
        if given is not None:
            felt = torch.where(given.isnan(), felt, given)
        units = self.units(hidden + self.felt(felt)[..., None])
        return Regression(functional.hardsigmoid(units * 3 - 2).transpose(1, 2), emotions)


def config_to_metadata(config: RegressorConfig) -> dict[str, str]:
    """Returns the safetensors metadata that keeps the sizes beside the weights."""
    return metadata_of(_KIND, config)


def load_regressor(path: Path | str) -> Regressor:
    """Returns the regressor saved in a file, in evaluation mode.

    Raises:
        WeightsError: The file is missing, damaged, or was saved without or with another kind of config.
    """
    return load_model(path, _KIND, RegressorConfig, Regressor)
