"""A made-up talker: sound with known phones, and the jaw that goes with it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auteur.lab.data.speech.corpus import PhoneSpan, frame_labels
from auteur.signals import Waveform

RATE_HZ = 16_000
FRAMES_PER_SECOND = 25
_FORMANTS_HZ = {"a": (750.0, 1200.0), "i": (300.0, 2300.0), "u": (320.0, 800.0), "o": (480.0, 900.0)}
_OPENING_MM = {"a": 12.0, "i": 4.0, "u": 3.0, "o": 7.0, "s": 1.5, "m": 0.0, "sil": 0.5}

Floats = NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class Talk:
    """A recording and the motion of its mouth."""

    samples: NDArray[np.float32]
    """[S] at 16 kHz."""
    labels: NDArray[np.uint8]
    """Phone class every 10 ms."""
    gap_mm: Floats
    """Opening of the lips [T] at 25 frames a second."""
    loudness: Floats
    """[T], 0 to 1."""

    @property
    def waveform(self) -> Waveform:
        """The sound."""
        return Waveform(samples=self.samples, rate_hz=RATE_HZ)


def talk(random: np.random.Generator, seconds: float, *, pitch_hz: float = 0.0) -> Talk:
    """Returns random syllables: consonants s and m, four vowels, pauses.

    Args:
        random: Every choice is drawn from it.
        seconds: Length, a multiple of 0.04.
        pitch_hz: Of the voice; drawn unless given.
    """
    pitch_hz = pitch_hz or float(random.uniform(90, 220))
    count = round(seconds * RATE_HZ)
    sound, gap, spans = np.zeros(count), np.zeros(count), list[PhoneSpan]()
    start, is_vowel = 0, False
    while start < count:
        phone = str(random.choice(list(_FORMANTS_HZ) if is_vowel else ["s", "m", "m", "sil"]))
        size = min(int(random.uniform(0.08, 0.2) * RATE_HZ), count - start)
        sound[start : start + size] = _phone(phone, size, pitch_hz, random)
        gap[start : start + size] = _OPENING_MM[phone]
        spans.append(PhoneSpan(start_sec=start / RATE_HZ, stop_sec=(start + size) / RATE_HZ, phones=(phone,)))
        start, is_vowel = start + size, not is_vowel
    window = np.hanning(2400)  # jaws take 150 ms
    smooth = np.asarray(np.convolve(gap, window / window.sum(), mode="same"), dtype=np.float64)
    step = RATE_HZ // FRAMES_PER_SECOND
    energy = np.sqrt(np.square(sound).reshape(-1, step).mean(axis=1))
    return Talk(
        samples=sound.astype(np.float32),
        labels=frame_labels(spans, count),
        gap_mm=smooth[::step],
        loudness=np.clip(energy / 0.08, 0, 1),
    )


def _phone(phone: str, size: int, pitch_hz: float, random: np.random.Generator) -> Floats:
    fade = np.minimum(1, np.minimum(np.arange(size), np.arange(size)[::-1]) / 160)
    if phone == "sil":
        return 1e-4 * random.standard_normal(size)
    if phone == "s":
        return 0.05 * fade * np.diff(random.standard_normal(size + 1))
    pulses = np.zeros(size)
    pulses[np.arange(0, size, RATE_HZ / pitch_hz).astype(int)] = 1
    spectrum, hertz = np.fft.rfft(pulses, 2 * size), np.fft.rfftfreq(2 * size, 1 / RATE_HZ)
    for formant in _FORMANTS_HZ.get(phone, (250.0, 250.0)):
        spectrum = spectrum / (1 - (hertz / formant) ** 2 + 1j * hertz / formant * 0.15)
    voice = np.fft.irfft(spectrum)[:size]
    return (0.05 if phone == "m" else 0.25) * fade * voice / max(float(np.abs(voice).max()), 1e-6)
