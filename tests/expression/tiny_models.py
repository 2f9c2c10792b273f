"""Small compact models with random weights, and sounds, for the tests of this folder."""

import numpy as np
import torch

from auteur.expression.audio_lm.compact import AudioLM, AudioLMConfig
from auteur.expression.audio_lm.emotion_classifier import EmotionClassifierConfig
from auteur.expression.regressor import Regressor, RegressorConfig
from auteur.signals import Waveform

RATE_HZ = 16_000
TINY = AudioLMConfig(
    width=16,
    layers=1,
    heads=2,
    sound=8,
    dropout=0.0,
    ear=EmotionClassifierConfig(width=4, hidden=8, voters=2),
)


def tiny_audio_lm() -> AudioLM:
    torch.manual_seed(0)
    return AudioLM(TINY).eval()


def tiny_regressor() -> Regressor:
    torch.manual_seed(0)
    return Regressor(RegressorConfig(width=8, dilations=(1, 2))).eval()


def waveform(samples: np.ndarray) -> Waveform:
    return Waveform(samples=np.asarray(samples, dtype=np.float32), rate_hz=RATE_HZ)


def voice(seconds: float, *, hertz: float = 140.0, gain: float = 0.3) -> Waveform:
    """Pulses through a resonance, louder and softer four times a second, as syllables are."""
    time = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    glide = hertz * (1 + 0.1 * np.sin(2 * np.pi * 0.7 * time))
    phase = np.cumsum(glide) / RATE_HZ
    tone = sum(np.sin(2 * np.pi * k * phase) / k for k in range(1, 12))
    return waveform(gain * tone / 2 * (0.15 + np.clip(np.sin(2 * np.pi * 4 * time), 0, 1)))


def noise(seconds: float, *, gain: float = 0.1, seed: int = 0) -> Waveform:
    return waveform(gain * np.random.default_rng(seed).standard_normal(int(seconds * RATE_HZ)))


def silence(seconds: float) -> Waveform:
    return waveform(np.zeros(int(seconds * RATE_HZ)))
