"""Speech features at any frame rate: articulation and loudness, independent of the speaker."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from auteur import weights
from auteur.errors import UsageError
from auteur.signals import Sound
from auteur.speech.log_mel import LogMelFeatures
from auteur.speech.mel import (
    Level,
    MelConfig,
    frame_count,
    level_of,
    levelled,
    loudness,
    measure_level,
    mel_pieces,
)
from auteur.speech.network import CompactSpeechConfig, CompactSpeechEncoder
from auteur.speech.phones import ARTICULATIONS

_KIND = "speech_encoder"


class SpeechFeatures(Protocol):
    """An encoder: speech → features at a frame rate."""

    @property
    def dim(self) -> int:
        """Numbers per frame."""
        ...

    def encode(self, waveform: Sound, rate: Fraction) -> Tensor:
        """Returns features [T, dim]: frame `k` describes the instant `k / rate` s after the waveform's start.

        T is `frames_at(waveform, rate)`. Sound that is not at the encoder's sample rate is resampled.

        Raises:
            UsageError: The rate is outside 1 to 200 frames per second.
        """
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class SpeechAnalysis:
    """Outputs of the compact encoder for a recording, each at the requested frame rate."""

    features: Tensor
    """[T, dim]: embedding, then articulation probabilities, expected lip gap, loudness."""
    phones: Tensor
    """Probability of each of `PHONES`, [T, phones]."""
    articulation: Tensor
    """Probability of each of `ARTICULATIONS` (independent of each other), [T, articulations]."""
    loudness: Tensor
    """0 (50 dB or more below the loud parts of this recording) to about 1, [T]."""
    bands: Tensor
    """Levelled log-mel bands and loudness, [T, 81] (`auteur.speech.log_mel`)."""

    @property
    def with_bands(self) -> Tensor:
        """Features and bands together, [T, dim + 81]: the space "lips91+logmel81" with the lip encoder."""
        return torch.cat([self.features, self.bands], dim=-1)


def frames_at(waveform: Sound, rate: Fraction) -> int:
    """Returns round(duration × rate): how many frames a recording has; 0 for less than half a frame.

    Raises:
        UsageError: The rate is outside 1 to 200 frames per second.
    """
    if not 1 <= rate <= 200:
        raise UsageError(f"the frame rate is {float(rate):g}; it must be between 1 and 200 frames per second")
    return round(waveform.duration_sec * rate)


def at_frame_rate(values: Tensor, values_per_sec: Fraction, rate: Fraction, frames: int) -> Tensor:
    """Returns `values` [N, D], row `n` being at `n / values_per_sec`, at the instants `k / rate`.

    Linear between rows; the last row holds to the end. Positions are exact, so nothing drifts over hours.
    """
    return _between_rows(values, Fraction(values_per_sec) / rate, range(frames))


def _between_rows(values: Tensor, step: Fraction, frames: range, first_row: int = 0) -> Tensor:
    """The rows at `k * step` for frames `k`, of values that begin with row `first_row`."""
    number = np.arange(frames.start, frames.stop, dtype=np.int64) * step.numerator
    low = np.minimum(number // step.denominator - first_row, values.shape[0] - 1)
    high = np.minimum(low + 1, values.shape[0] - 1)
    part = torch.from_numpy((number % step.denominator / step.denominator).astype(np.float32))[:, None]
    return values[torch.from_numpy(low)] * (1 - part) + values[torch.from_numpy(high)] * part


class OnFrames:
    """`at_frame_rate` of rows that come in pieces: holds the result and the rows that are still needed.

    Args:
        rows: How many will come in all.
        values_per_sec: Rows per second.
        rate: Frames per second of the result.
        frames: Of the result.
    """

    def __init__(self, rows: int, values_per_sec: Fraction, rate: Fraction, frames: int) -> None:
        self._rows, self._step, self._frames = rows, Fraction(values_per_sec) / rate, frames
        self._held = self.result = torch.empty(0)
        self._first_row = self._done = 0

    def add(self, piece: Tensor) -> None:
        """Adds the next rows, [N, D]."""
        if not len(self._held):
            self._held, self.result = piece, piece.new_empty(self._frames, piece.shape[1])
        else:
            self._first_row += len(self._held) - 1
            self._held = torch.cat([self._held[-1:], piece])
        last = self._first_row + len(self._held) - 1
        # A frame needs the row after it, too; at the end the last row holds.
        ready = self._frames if last == self._rows - 1 else min(self._frames, math.ceil(last / self._step))
        made = _between_rows(self._held, self._step, range(self._done, ready), self._first_row)
        self.result[self._done : ready] = made
        self._done = ready


class CompactSpeechFeatures:
    """The compact encoder as `SpeechFeatures`: our own weights, any length of speech.

    The network looks ahead by 472.5 ms of sound (its phones by 152.5 ms); in addition the recording's level
    and band means are measured over the whole of it, so speech is analysed as a file and not as it is being
    spoken. Silence gives features whose "silence" articulation is near 1 and whose loudness is 0.

    Args:
        encoder: The network; it is switched to evaluation mode.
        chunk_sec: How much is analysed at once. It changes memory and speed, not the features.
    """

    def __init__(self, encoder: CompactSpeechEncoder, *, chunk_sec: int = 30) -> None:
        if not 1 <= chunk_sec <= 600:
            raise UsageError(f"chunk_sec is {chunk_sec}; it must be between 1 and 600")
        self._encoder = encoder.eval()
        self._config = encoder.config
        self._chunk_frames = chunk_sec * encoder.config.mel.frames_per_sec

    @classmethod
    def from_file(cls, path: Path | str) -> "CompactSpeechFeatures":
        """Returns the encoder saved in a safetensors file of the recipe.

        Raises:
            WeightsError: The file is missing, damaged, or was saved without or with another kind of config.
        """
        return cls(weights.load_model(path, _KIND, CompactSpeechConfig, CompactSpeechEncoder))

    @classmethod
    def shipped(cls, name: str = "speech_encoder") -> "CompactSpeechFeatures":
        """Returns an encoder that comes with the package: "speech_encoder" or "lip_encoder".

        Raises:
            WeightsError: The installation is damaged.
        """
        return cls.from_file(weights.path_of(name))

    @property
    def dim(self) -> int:
        """Numbers per frame: embedding, articulations, lips, loudness."""
        return self._config.embedding + len(ARTICULATIONS) + self._config.lip_outputs + 1

    @property
    def mel(self) -> MelConfig:
        """The analysis that the encoder was trained on."""
        return self._config.mel

    @property
    def look_ahead_sec(self) -> float:
        """Look-ahead of the phones in seconds, the recording's overall level apart."""
        return self._config.look_ahead_sec

    def encode(self, waveform: Sound, rate: Fraction) -> Tensor:
        """Returns features [T, dim], float32; see `SpeechFeatures.encode`.

        Raises:
            UsageError: The rate is outside 1 to 200 frames per second.
        """
        return self.analyse(waveform, rate).features

    @torch.no_grad()
    def analyse(self, waveform: Sound, rate: Fraction) -> SpeechAnalysis:
        """Returns features together with phone and articulation probabilities and loudness.

        Raises:
            UsageError: The rate is outside 1 to 200 frames per second.
        """
        frames = frames_at(waveform, rate)
        sound = waveform.resample(self._config.mel.rate_hz)
        level = level_of(sound, self._config.mel, step=self._chunk_frames)
        rows = -(-frame_count(sound.sample_count, self._config.mel) // 2)
        of_features, of_phones = (
            OnFrames(rows, Fraction(self._config.mel.frames_per_sec, 2), rate, frames) for _ in range(2)
        )
        for features, phones in self._described(sound, level):
            of_features.add(features)
            of_phones.add(phones)
        features, embedding = of_features.result, self._config.embedding
        return SpeechAnalysis(
            features=features,
            phones=of_phones.result,
            articulation=features[:, embedding : embedding + len(ARTICULATIONS)],
            loudness=features[:, -1],
            bands=LogMelFeatures(step=self._chunk_frames).encode(sound, rate, level=level),
        )

    @torch.no_grad()
    def encode_power(self, power: Tensor, rate: Fraction, frames: int) -> Tensor:
        """Returns features [frames, dim] of one recording's mel power [F, bands], analysed in one piece.

        For training on sound that was disguised in its spectrum.
        """
        level = measure_level(power)
        features, _ = self._encoder.describe(levelled(power, level)[None])
        whole = torch.cat([features[0], loudness(power, level)[::2, None]], -1)
        return at_frame_rate(whole, Fraction(self._config.mel.frames_per_sec, 2), rate, frames)

    def _described(self, sound: Sound, level: Level) -> Iterator[tuple[Tensor, Tensor]]:
        """Features and phones of each chunk, computed with the network's receptive field around it."""
        lips, step = self._config.lips_frames, self._chunk_frames
        past = 2 * (self._config.past_frames + lips) + 4
        future = 2 * (self._config.future_frames + lips) + 4
        pieces = mel_pieces(sound, step, self._config.mel, past=past, future=future)
        for number, (start, power) in enumerate(pieces):
            features, phones = self._encoder.describe(levelled(power, level)[None])
            loud = loudness(power, level)[::2, None]
            first = (number * step - start) // 2
            kept = slice(first, first + step // 2)
            yield torch.cat([features[0, kept], loud[kept]], -1), phones[0, kept]


def config_to_metadata(config: CompactSpeechConfig) -> dict[str, str]:
    """Returns the safetensors metadata that keeps an encoder's config beside its weights."""
    return weights.metadata_of(_KIND, config)
