"""The compact speech network: log-mel frames at 100 Hz in, language-independent articulation at 50 Hz out."""

from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor, nn

from auteur.speech.mel import MelConfig
from auteur.speech.phones import ARTICULATIONS, PHONES


@dataclass(frozen=True, kw_only=True)
class CompactSpeechConfig:
    """The whole encoder; saved with its weights."""

    mel: MelConfig = field(default_factory=MelConfig)
    width: int = 176
    embedding: int = 64
    dilations: tuple[int, ...] = (1, 1, 2, 2, 2, 4, 4, 8)
    """Dilation of each block in 20-ms frames."""
    looks_ahead: tuple[bool, ...] = (True, True, True, True, False, False, False, False)
    """Whether a block's receptive field has `dilation` future frames; in all it spans two dilations."""
    lips_width: int = 64
    lips_dilations: tuple[int, ...] = (2, 4, 8, 2)
    """Width of the lip predictor, and dilation of each of its blocks, symmetric in time."""
    lip_outputs: int = 1
    """Number of lip outputs: the gap, or more (`auteur.lab.data.speech.lips.LIP_TARGETS`)."""

    @property
    def future_frames(self) -> int:
        """Look-ahead of phones and articulation, in 20-ms frames beyond their own."""
        return sum(d for d, ahead in zip(self.dilations, self.looks_ahead, strict=True) if ahead)

    @property
    def past_frames(self) -> int:
        """Past of phones and articulation, in 20-ms frames."""
        return 2 * sum(self.dilations) - self.future_frames

    @property
    def lips_frames(self) -> int:
        """Further 20-ms frames on either side that the lips depend on."""
        return sum(self.lips_dilations)

    @property
    def look_ahead_sec(self) -> float:
        """Look-ahead of phones in seconds: blocks, stem (two 10-ms frames) and half the analysis window."""
        half_window = self.mel.window_samples / 2 / self.mel.rate_hz
        return 2 * self.future_frames / self.mel.frames_per_sec + 2 / self.mel.frames_per_sec + half_window


class SpeechOutputs(NamedTuple):
    """Outputs of the network for every 20 ms."""

    embedding: Tensor
    """[B, T, embedding], about unit variance."""
    phones: Tensor
    """Logits over `PHONES`, [B, T, phones]."""
    articulation: Tensor
    """Logits of `ARTICULATIONS`, independent of each other, [B, T, articulations]."""
    lips: Tensor
    """Predicted gap of the inner lips, then what else is predicted of the mouth, in standard deviations of a
    talking person's, [B, T, lip_outputs]."""


class CausalBlock(nn.Module):
    """A residual dilated convolution with a stated number of future frames in its receptive field."""

    def __init__(self, *, width: int, dilation: int, looks_ahead: bool) -> None:
        super().__init__()
        future = dilation if looks_ahead else 0
        self.pad = nn.ConstantPad1d((2 * dilation - future, future), 0.0)
        self.over_time = nn.Conv1d(width, width, 3, dilation=dilation, bias=False)
        self.normalise = nn.BatchNorm1d(width)
        self.mix = nn.Conv1d(width, width, 1)
        self.activation = nn.GELU()

    def forward(self, hidden: Tensor) -> Tensor:
        """[B, C, T] → [B, C, T]."""
        return hidden + self.mix(self.activation(self.normalise(self.over_time(self.pad(hidden)))))


class LipReader(nn.Module):
    """Prediction of filmed lips: features [B, T, C] at 50 Hz → [B, T, lip_outputs]."""

    def __init__(self, features: int, config: CompactSpeechConfig, *, dropout: float = 0.3) -> None:
        super().__init__()
        width = config.lips_width
        self.into = nn.Sequential(nn.Dropout(0.2), nn.Conv1d(features, width, 1))
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(width, width, 3, dilation=dilation, padding=dilation),
                nn.GELU(),
                nn.Conv1d(width, width, 1),
                nn.Dropout(dropout),
            )
            for dilation in config.lips_dilations
        )
        self.out = nn.Conv1d(width, config.lip_outputs, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Noise of a random strength is added in training: clips with lips are few."""
        if self.training:
            strength = 0.3 * torch.rand(len(features), 1, 1, device=features.device)
            features = features + strength * torch.randn_like(features)
        hidden = self.into(features.transpose(1, 2))
        for block in self.blocks:
            hidden = hidden + block(hidden)
        return self.out(hidden).transpose(1, 2)


class CompactSpeechEncoder(nn.Module):
    """Phones, articulation and lips from levelled log-mel frames; 1.2 M parameters.

    Phones look 152.5 ms ahead, the lips 320 ms further.
    """

    def __init__(self, config: CompactSpeechConfig | None = None) -> None:
        super().__init__()
        config = config or CompactSpeechConfig()
        self.config = config
        width = config.width
        self.stem = nn.Sequential(
            nn.Conv1d(config.mel.bands, width, 5, stride=2, padding=2, bias=False),
            nn.BatchNorm1d(width),
            nn.GELU(),
        )
        self.blocks = nn.Sequential(
            *(
                CausalBlock(width=width, dilation=dilation, looks_ahead=ahead)
                for dilation, ahead in zip(config.dilations, config.looks_ahead, strict=True)
            )
        )
        self.embed = nn.Sequential(
            nn.BatchNorm1d(width),
            nn.GELU(),
            nn.Conv1d(width, config.embedding, 1, bias=False),
            nn.BatchNorm1d(config.embedding, affine=False),
        )
        self.dropout = nn.Dropout(0.1)
        self.phones = nn.Linear(config.embedding, len(PHONES))
        self.articulation = nn.Linear(config.embedding, len(ARTICULATIONS))
        self.lips = LipReader(config.embedding + len(ARTICULATIONS), config)

    def forward(self, frames: Tensor) -> SpeechOutputs:
        """Reads levelled log-mel frames [B, F, bands] at 100 Hz; gives ceil(F / 2) frames at 50 Hz.

        Output frame `t` describes the instant of input frame `2 t`.
        """
        embedding = self.embed(self.blocks(self.stem(frames.transpose(1, 2)))).transpose(1, 2)
        kept = self.dropout(embedding)
        articulation = self.articulation(kept)
        lips = self.lips(torch.cat([embedding, articulation.sigmoid()], -1))
        return SpeechOutputs(embedding, self.phones(kept), articulation, lips)

    @torch.no_grad()
    def describe(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Returns (features, phone probabilities) of levelled frames [B, F, bands].

        Features are the embedding, then the articulation probabilities, then the lips, [B, T, embedding +
        articulations + lip_outputs].
        """
        outputs = self(frames)
        features = torch.cat([outputs.embedding, outputs.articulation.sigmoid(), outputs.lips], -1)
        return features, outputs.phones.softmax(-1)
