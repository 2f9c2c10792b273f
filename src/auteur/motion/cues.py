"""Cues of the speech for the lip rules: probabilities of silence and of closures, frame by frame."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auteur.speech.features import SpeechAnalysis
from auteur.speech.phones import ARTICULATIONS
from auteur.speech.voice import holds_speech

Floats = NDArray[np.floating[Any]]

_SILENT_LOUDNESS = 0.35
_LOUDNESS_SLOPE = 0.06
_SURE_SILENCE = (0.85, 0.95)
_SURE_CLOSURE = (0.6, 0.8)
"""Probabilities of the encoder from which a cue begins to count, and from which it counts fully."""
_CLOSURE_RAMP = np.array([1, 2, 1]) / 4
"""Lips close before a closure sounds and part after it; shut at once they agree less with people."""
_SILENCE_MARGIN_FRAMES = 12
"""Half a second: people's lips are as open in short pauses as in speech, so only long silences close them."""
_SILENCE_RAMP = np.array([1, 2, 3, 4, 3, 2, 1]) / 16


@dataclass(frozen=True, kw_only=True, eq=False)
class SpeechCues:
    """Probabilities of silence and of lip closures, one number per frame at 25 fps."""

    silence: Floats
    """Certainty of long silence, [T] 0 to 1."""
    closure: Floats
    """Certainty that the lips meet (p, b, m), [T] 0 to 1."""
    pause: Floats
    """Certainty of silence at that moment, [T] 0 to 1."""

    @classmethod
    def of_analysis(cls, analysis: SpeechAnalysis) -> "SpeechCues":
        """Returns the cues of the compact speech encoder; loudness overrules it in digital silence.

        Music and noise (`auteur.speech.voice`) count as silence throughout.
        """
        if not holds_speech(analysis):
            nothing = np.ones(len(analysis.features))
            return cls(silence=nothing, closure=0 * nothing, pause=nothing)
        silence, closed = (
            analysis.articulation[:, ARTICULATIONS.index(name)].numpy() for name in ("silence", "lips_closed")
        )
        pause = np.maximum(_between(silence, _SURE_SILENCE), _quiet(analysis.loudness.numpy()))
        return cls(silence=_long(pause), closure=_eased(_between(closed, _SURE_CLOSURE)), pause=pause)

    @classmethod
    def of_loudness(cls, loudness: Floats) -> "SpeechCues":
        """Returns the cues of loudness alone ([T], 0 at 50 dB below the loud parts): silence, no closures."""
        pause = _quiet(loudness)
        return cls(silence=_long(pause), closure=np.zeros(len(loudness)), pause=pause)

    @classmethod
    def none(cls, frames: int) -> "SpeechCues":
        """Returns cues without silence or closures."""
        return cls(silence=np.zeros(frames), closure=np.zeros(frames), pause=np.zeros(frames))


def _quiet(loudness: Floats) -> Floats:
    return 1 / (1 + np.exp((loudness - _SILENT_LOUDNESS) / _LOUDNESS_SLOPE))


def _between(values: Floats, bounds: tuple[float, float]) -> Floats:
    return np.clip((values - bounds[0]) / (bounds[1] - bounds[0]), 0, 1)


def _eased(closure: Floats) -> Floats:
    half = len(_CLOSURE_RAMP) // 2
    return np.convolve(np.pad(closure, half, mode="edge"), _CLOSURE_RAMP, mode="valid")


def _long(silence: Floats) -> Floats:
    """Only the inside of long silences: lips stay apart in short pauses and part before speech."""
    margin = _SILENCE_MARGIN_FRAMES
    padded = np.pad(silence, margin, constant_values=1.0)
    least = np.lib.stride_tricks.sliding_window_view(padded, 2 * margin + 1).min(axis=1)
    half = len(_SILENCE_RAMP) // 2
    return np.convolve(np.pad(least, half, mode="edge"), _SILENCE_RAMP, mode="valid")
