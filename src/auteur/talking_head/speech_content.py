"""From a speech to what a timeline shows of it: emotion and Action Units, phones, loudness over time."""

import json
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auteur.expression.audio_lm.prompts import find_voice_emotion
from auteur.expression.speech_to_au import SpeechToAU, SpeechToAUResult
from auteur.facs import convert
from auteur.media import examine_speech
from auteur.signals import AUTrack, Sound
from auteur.speech.features import CompactSpeechFeatures
from auteur.speech.phones import PHONES

ENVELOPE_RATE = 100
"""Values of the envelope per second."""
PHONE_RATE = Fraction(50)
_SHORTEST_PHONE_FRAMES = 2

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class SpokenPhone:
    """A phone and its time."""

    phone: str
    """One of `auteur.speech.phones.PHONES`, never silence."""
    start_sec: float
    end_sec: float


@dataclass(frozen=True, kw_only=True, eq=False)
class SpeechContent:
    """Emotion, Action Units, phones and loudness of a recording."""

    duration_sec: float
    predicted: SpeechToAUResult
    action_units: AUTrack
    """Of the predicted emotion, convention "facs", 25 frames/s."""
    envelope: Floats
    """Largest |sample| of each hundredth of a second, 0 to 1."""
    phones: tuple[SpokenPhone, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The same as JSON values."""
        return {
            "duration_sec": round(self.duration_sec, 6),
            "emotion": self.predicted.emotion,
            "probability": round(self.predicted.probability, 4),
            "probabilities": {name: round(one, 4) for name, one in self.predicted.probabilities.items()},
            "action_units": json.loads(self.action_units.to_text()),
            "envelope": {"rate": ENVELOPE_RATE, "peak": np.round(self.envelope, 3).tolist()},
            "phones": [vars(one) for one in self.phones],
            "notes": list(self.notes),
        }


class SpeechContentReader:
    """The models that read a speech.

    Args:
        model: Predicts emotion and Action Units.
        encoder: Predicts phones.
    """

    def __init__(self, model: SpeechToAU, encoder: CompactSpeechFeatures) -> None:
        self._model, self._encoder = model, encoder

    @classmethod
    def shipped(cls) -> "SpeechContentReader":
        """Returns the reader with the weights that come with the package."""
        return cls(SpeechToAU.shipped(), CompactSpeechFeatures.shipped())

    def __call__(self, speech: Path, *, emotion: str | None = None) -> SpeechContent:
        """Returns the content of a recording.

        Args:
            speech: Sound file, or a video with sound.
            emotion: Overrides the predicted one.

        Raises:
            UsageError: The emotion is unknown, or the recording shorter than 0.1 s.
            MediaError: The file cannot be read.
        """
        given = None if emotion is None else find_voice_emotion(emotion)
        sound, examined = examine_speech(speech)
        predicted = self._model(sound, emotion=given)
        analysis = self._encoder.analyse(sound, PHONE_RATE)
        return SpeechContent(
            duration_sec=float(sound.duration_sec),
            predicted=predicted,
            action_units=convert(predicted.track, "facs"),
            envelope=envelope_of(sound),
            phones=phones_of(analysis.phones.numpy()),
            notes=(*examined.lines(), *predicted.notes),
        )


def envelope_of(sound: Sound) -> Floats:
    """Returns the largest |sample| of each hundredth of a second, [ceil(seconds × 100)] in [0, 1]."""
    step = sound.rate_hz // ENVELOPE_RATE
    peaks: list[Floats] = []
    for _, piece in sound.pieces(step * 1000):
        padded = np.zeros(-(-len(piece) // step) * step, np.float32)
        padded[: len(piece)] = np.abs(piece)
        peaks.append(padded.reshape(-1, step).max(axis=1))
    return np.clip(np.concatenate(peaks), 0, 1)


def phones_of(probabilities: Floats) -> tuple[SpokenPhone, ...]:
    """Returns the most probable phones over time, silence and what is shorter than 40 ms left out.

    Args:
        probabilities: Of each of `PHONES`, [T, phones] at `PHONE_RATE`.
    """
    best = probabilities.argmax(axis=1)
    edges = [0, *(np.flatnonzero(np.diff(best)) + 1).tolist(), len(best)]
    found: list[SpokenPhone] = []
    for start, stop in pairwise(edges):
        phone = PHONES[int(best[start])]
        if phone != PHONES[0] and stop - start >= _SHORTEST_PHONE_FRAMES:
            found.append(
                SpokenPhone(phone, round(float(start / PHONE_RATE), 3), round(float(stop / PHONE_RATE), 3))
            )
    return tuple(found)
