"""Voices made in code, for the speech tests."""

import numpy as np

from auteur.signals import Waveform

RATE_HZ = 16_000


def vowel(
    seconds: float, *, f0_hz: float = 120.0, gain: float = 0.2, formants=(700.0, 1200.0, 2600.0)
) -> Waveform:
    """A pulse train through three resonances."""
    time = np.arange(int(seconds * RATE_HZ))
    pulses = np.zeros(time.size)
    pulses[np.arange(0, time.size, RATE_HZ / f0_hz).astype(int)] = 1
    spectrum = np.fft.rfft(pulses, 2 * time.size)
    hertz = np.fft.rfftfreq(2 * time.size, 1 / RATE_HZ)
    for formant in formants:
        spectrum = spectrum / (1 - (hertz / formant) ** 2 + 1j * hertz / formant * 0.12)
    sound = np.fft.irfft(spectrum)[: time.size]
    return waveform(gain * sound / np.abs(sound).max())


def silence(seconds: float) -> Waveform:
    return waveform(np.zeros(int(seconds * RATE_HZ)))


def babble(seconds: float, *, seed: int = 0) -> Waveform:
    """Noise whose loudness and colour change like syllables."""
    random = np.random.default_rng(seed)
    count = int(seconds * RATE_HZ)
    time = np.arange(count) / RATE_HZ
    noise = random.standard_normal(count)
    dull = np.convolve(noise, np.ones(12) / 12, mode="same")
    mix = 0.5 + 0.5 * np.sin(2 * np.pi * 2.3 * time)
    loud = 0.05 + np.clip(np.sin(2 * np.pi * 3.7 * time + random.uniform(0, 6)), 0, 1)
    return waveform(0.2 * loud * (mix * noise + (1 - mix) * 3 * dull) / 3)


def waveform(samples: np.ndarray) -> Waveform:
    return Waveform(samples=samples.astype(np.float32), rate_hz=RATE_HZ)
