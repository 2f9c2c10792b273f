"""Augmented crops of speech (rooms, telephones, vocal tracts) for training the speech encoder.

Each crop is augmented twice, and the encoder learns the same embedding for both.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from auteur.lab.data.speech.corpus import LABEL_RATE_HZ, SAMPLE_RATE_HZ, UNKNOWN, PhoneCorpus, Utterance
from auteur.speech.mel import MelConfig, levelled, measure_level, mel_power

CROP_SEC = 3
_CROP_SAMPLES = CROP_SEC * SAMPLE_RATE_HZ
_CROP_LABELS = CROP_SEC * LABEL_RATE_HZ
_VIEWS = 2
_LOWEST_NOISE_HZ = 20.0

Samples = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """Strength of the augmentation; probabilities are per augmented crop."""

    speed: tuple[float, float] = (0.85, 1.2)
    """Tape speed: tempo, pitch and formants together; the same for both copies of a crop."""
    noise_probability: float = 0.6
    noise_db: tuple[float, float] = (0.0, 30.0)
    """Signal-to-noise ratio."""
    reverb_probability: float = 0.35
    band_limit_probability: float = 0.15
    """Share of telephone sound (nothing above about 3.5 kHz)."""
    throat: tuple[float, float] = (0.86, 1.16)
    """Stretch of the spectrum: a longer or shorter vocal tract."""


class Disguise:
    """Augments a recording with another room, another microphone and another vocal tract.

    Args:
        random: Every choice is drawn from it.
        config: Strength of the augmentation.
    """

    def __init__(self, random: np.random.Generator, config: AugmentConfig | None = None) -> None:
        self._random = random
        self._config = config or AugmentConfig()
        self._rooms = [_room(random) for _ in range(64)]

    def sound(self, sound: Samples, noise: Samples | None = None) -> Samples:
        """Returns the sound [S] with reverberation, noise (coloured unless given, [S]) and another gain."""
        config, random = self._config, self._random
        if random.random() < config.reverb_probability:
            sound = _convolved(sound, self._rooms[random.integers(len(self._rooms))])
        if random.random() < config.noise_probability:
            noise = self._coloured_noise(sound.size) if noise is None else noise
            sound = _with_noise(sound, noise, random.uniform(*config.noise_db))
        gain = 10 ** random.uniform(-2.0, 0.3)
        return np.clip(sound * gain, -1, 1).astype(np.float32)

    def _coloured_noise(self, size: int) -> Samples:
        slope = self._random.uniform(-1.2, 0.2)  # 0 is white, -0.5 pink, -1 brown
        spectrum = np.fft.rfft(self._random.standard_normal(size).astype(np.float32))
        hertz = np.arange(spectrum.size) * SAMPLE_RATE_HZ / size
        spectrum *= np.maximum(hertz, _LOWEST_NOISE_HZ) ** slope
        return np.fft.irfft(spectrum, size).astype(np.float32)

    def throats(self, power: Tensor) -> Tensor:
        """Stretches the mel axis, tilts and sometimes cuts the spectrum of each recording [N, T, bands]."""
        count, _, bands = power.shape
        random, config = self._random, self._config
        stretch = torch.from_numpy(random.uniform(*config.throat, (count, 1)).astype(np.float32))
        place = (torch.arange(bands) * stretch).clamp(max=bands - 1)
        low = place.long().clamp(max=bands - 2)
        part = (place - low)[:, None]
        index = low[:, None].expand_as(power)
        warped = power.gather(2, index) * (1 - part) + power.gather(2, index + 1) * part
        knots = torch.from_numpy(random.normal(0, 0.6, (count, 1, 6)).astype(np.float32))
        curve = torch.nn.functional.interpolate(knots, size=bands, mode="linear", align_corners=True)
        is_limited = torch.from_numpy(random.random((count, 1, 1)) < config.band_limit_probability)
        is_lost = torch.logical_and(is_limited, torch.arange(bands) > int(random.integers(52, 62)))
        return warped * torch.exp(curve) * torch.where(is_lost, 1e-4, 1.0)


class SpeechCrops:
    """Endless batches of augmented crops.

    Args:
        corpora: Each with the share of crops it gives.
        pairs: Crops per batch; a batch holds two copies of each, the second half in the order of the first.
        config: How to augment.
        seed: Everything follows from it.
    """

    def __init__(
        self,
        corpora: Sequence[tuple[PhoneCorpus, float]],
        *,
        pairs: int = 16,
        config: AugmentConfig | None = None,
        seed: int = 0,
    ) -> None:
        self._pools = [corpus.part(is_held_out=False) for corpus, _ in corpora]
        shares = np.array([share for _, share in corpora])
        self._shares = shares / shares.sum()
        self._pairs = pairs
        self._config = config or AugmentConfig()
        self.random = np.random.default_rng(seed)
        self._disguise = Disguise(self.random, config)
        self._mel = MelConfig()

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        """Yields frames [2 * pairs, 300, bands] (levelled log-mel) and phone classes [2 * pairs, 150]."""
        while True:
            crops, labels = zip(*(self._crop() for _ in range(self._pairs)), strict=True)
            heard = np.stack([self._heard(crop) for _ in range(_VIEWS) for crop in crops])
            power = self._disguise.throats(mel_power(torch.from_numpy(heard), self._mel))
            frames = self._masked(levelled(power, measure_level(power)))
            classes = torch.from_numpy(np.stack(labels).astype(np.int64))[:, ::2]
            yield {"frames": frames, "phones": classes.repeat(_VIEWS, 1)}

    def _utterance(self) -> Utterance:
        pool = self._pools[self.random.choice(len(self._pools), p=self._shares)]
        return pool[self.random.integers(len(pool))]

    def _crop(self) -> tuple[Samples, NDArray[np.uint8]]:
        speed = self.random.uniform(*self._config.speed)
        one = self._utterance()
        spare = one.samples.size - int(_CROP_SAMPLES * speed)
        start = int(self.random.uniform(min(spare, 0), max(spare, 0)))
        return _cut(one, start / SAMPLE_RATE_HZ, speed)

    def _heard(self, crop: Samples) -> Samples:
        is_babble = self.random.random() < 0.35
        babble = [self._crop()[0] for _ in range(self.random.integers(1, 5))] if is_babble else []
        return self._disguise.sound(crop, np.sum(babble, axis=0) if is_babble else None)

    def _masked(self, frames: Tensor) -> Tensor:
        """Blanks one band range and one moment of up to 80 ms of each copy (SpecAugment)."""
        for one in frames:
            low = self.random.integers(frames.shape[2] - 10)
            start = self.random.integers(frames.shape[1] - 8)
            one[:, low : low + self.random.integers(11)] = 0
            one[start : start + self.random.integers(9)] = 0
        return frames


def _cut(utterance: Utterance, start_sec: float, speed: float) -> tuple[Samples, NDArray[np.uint8]]:
    """Three seconds from `start_sec`, played `speed` times as fast; silence outside the recording."""
    first = int(start_sec * SAMPLE_RATE_HZ)
    at = np.arange(_CROP_SAMPLES) * speed + first
    samples = np.interp(at, np.arange(utterance.samples.size), utterance.samples, left=0, right=0) / 32_768
    frame = np.round(np.arange(_CROP_LABELS) * speed + first * LABEL_RATE_HZ / SAMPLE_RATE_HZ)
    inside = (frame >= 0) & (frame < utterance.labels.size)
    labels = np.full(_CROP_LABELS, UNKNOWN, np.uint8)
    labels[inside] = utterance.labels[frame[inside].astype(int)]
    labels[~inside] = 0
    return samples.astype(np.float32), labels


def _room(random: np.random.Generator) -> Samples:
    """A made-up impulse response: the direct sound, then noise that dies away in 0.1 to 0.7 s (60 dB)."""
    seconds = random.uniform(0.1, 0.7)
    time = np.arange(int(0.4 * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    tail = random.standard_normal(time.size) * np.exp(-6.9 * time / seconds)
    tail[: int(random.uniform(0.001, 0.008) * SAMPLE_RATE_HZ)] = 0
    tail *= random.uniform(0.2, 1.0) / np.sqrt(np.sum(tail**2))
    tail[0] = 1
    return tail.astype(np.float32)


def _convolved(sound: Samples, room: Samples) -> Samples:
    size = 1 << (sound.size + room.size - 1).bit_length()
    spectrum = np.fft.rfft(sound, size) * np.fft.rfft(room, size)
    return np.fft.irfft(spectrum, size)[: sound.size].astype(np.float32)


def _with_noise(sound: Samples, noise: Samples, ratio_db: float) -> Samples:
    speech_power, noise_power = float(np.mean(sound**2)), float(np.mean(noise**2))
    if noise_power == 0 or speech_power == 0:
        return sound
    gain = np.sqrt(speech_power / noise_power * 10 ** (-ratio_db / 10))
    return (sound + noise * gain).astype(np.float32)
