"""Speech → emotion and Action Unit track: AUHead's first stage as one object.

Rules for sound without speech:

* **Silence** (loud frames under about -65 dBFS) and **sound without a voice** (fewer than 4 of 100 instants
  are periodic: noise, breath, whisper): neutral, no unit moves.
* **Less than half a second**: too short to recognise an emotion; neutral unless one is given. The mouth
moves.
* **Song and music** (most of what is periodic holds a note): neutral unless an emotion is given, since moods
  of tunes were never learned. The mouth moves.
* **Several speakers**: the face speaks all of it, the emotion is that of all voices together; where they are
  found, a line says so. Recordings of less than about 8 s are taken for one speaker's.
* **Any length** from 0.1 s on; over 8 s in overlapping chunks.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from auteur.errors import UsageError
from auteur.expression.acoustic_features import acoustic_features
from auteur.expression.adjust import Adjustment
from auteur.expression.au_generators import (
    AUGenerator,
    CompactAUGenerator,
    GeneratedAUs,
    RegressorAUGenerator,
    Utterance,
)
from auteur.expression.audio_lm.codec import TRACK_RATE, UNITS, VOICE_EMOTIONS
from auteur.expression.audio_lm.prompts import find_voice_emotion
from auteur.expression.voice_kind import SUNG_FROM, has_several_speakers, held_note_share
from auteur.facs import au_track
from auteur.signals import AUTrack, Sound
from auteur.weights import load_model, path_of

SHORTEST_SEC = Fraction(1, 10)
SHORTEST_EMOTION_SEC = Fraction(1, 2)
LEAST_VOICED_SHARE = 0.04
"""Share of periodic instants below which there is no speech; the least in 1,608 recordings of speech is
0.055."""
NEUTRAL = "neutral"
_NOTES = {
    "silent": "the recording is silent: neutral, nothing moves",
    "voiceless": "no voice was found in the recording: neutral, nothing moves",
    "short": "the recording is too short to recognise an emotion: neutral",
    "sung": "the recording sounds like song or music: neutral; name an emotion for it",
    "several": "the recording sounds like several speakers: one face speaks for all, with the emotion of all "
    "voices together; name an emotion, or give each speaker a recording of its own",
}

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class SpeechToAUResult:
    """Emotion and Action Units for a recording."""

    emotion: str
    """One of `VOICE_EMOTIONS`: as predicted, or as given."""
    probability: float
    """Predicted probability of the emotion; 1 where it was given or follows from a rule."""
    probabilities: dict[str, float]
    """Predicted probability of each of `VOICE_EMOTIONS`."""
    track: AUTrack
    """FEAFA-24 at 25 frames a second, round(duration × 25) frames from the recording's start."""
    notes: tuple[str, ...] = ()
    """Sentences about rules that applied."""


@dataclass(eq=False)
class SpeechToAUStream:
    """A direction while it is being made: iterate for pieces of the track, in order, without gaps.

    `emotion` is set before the first piece.
    """

    emotion: str
    probability: float
    probabilities: dict[str, float]
    notes: tuple[str, ...]
    pieces: Iterator[AUTrack]
    _made: list[AUTrack] = field(default_factory=list[AUTrack])

    def __iter__(self) -> Iterator[AUTrack]:
        """Yields pieces of at least one frame at 25 frames per second, each with its start time."""
        for piece in self.pieces:
            self._made.append(piece)
            yield piece

    def finish(self) -> SpeechToAUResult:
        """Returns the whole direction, after making what is not made yet."""
        for _ in self:
            pass
        first = self._made[0]
        return SpeechToAUResult(
            emotion=self.emotion,
            probability=self.probability,
            probabilities=self.probabilities,
            track=first.replace(values=np.concatenate([piece.values for piece in self._made])),
            notes=self.notes,
        )


class SpeechToAU:
    """AUHead's first stage, with any of its models.

    Args:
        generator: The model.
    """

    def __init__(self, generator: AUGenerator) -> None:
        self._generator = generator

    @classmethod
    def shipped(cls, name: str = "audio_lm") -> "SpeechToAU":
        """Returns it with a shipped model: "audio_lm", or "regressor", the control.

        Raises:
            UsageError: There is no such model.
            WeightsError: The installation is damaged.
        """
        if name not in ("audio_lm", "regressor"):
            raise UsageError(f"there is no model {name!r}; choose audio_lm or regressor")
        return cls(_generator_of(path_of(name)))

    @classmethod
    def from_path(cls, path: Path, *, adapter: Path | None = None) -> "SpeechToAU":
        """Returns it with a model of a path.

        Args:
            path: A safetensors file of our recipes, or the folder of a transformers audio-language model.
            adapter: LoRA adapter for such a folder.

        Raises:
            UsageError: A package is missing, or an adapter is given for a compact model.
            WeightsError: The path holds no model, or the adapter fits another one.
        """
        if path.is_dir():
            from auteur.expression.au_generators import PretrainedAUGenerator
            from auteur.expression.audio_lm.pretrained import PretrainedAudioLM

            return cls(PretrainedAUGenerator(PretrainedAudioLM.from_folder(path, adapter=adapter)))
        if adapter is not None:
            raise UsageError("adapters are for transformers models; name the folder of one")
        return cls(_generator_of(path))

    def __call__(
        self,
        speech: Sound,
        *,
        emotion: str | None = None,
        intensity: float = 1.0,
        adjustment: Adjustment | None = None,
    ) -> SpeechToAUResult:
        """Returns the direction of a recording; see `stream`."""
        result = self.stream(speech, emotion=emotion).finish()
        if intensity != 1:
            if not 0 <= intensity <= 1:
                raise UsageError(f"intensity is {intensity}; it must be between 0 and 1")
            neutral = self.stream(speech, emotion=NEUTRAL).finish().track
            mixed = neutral.values + intensity * (result.track.values - neutral.values)
            result = _with_track(result, neutral.replace(values=mixed))
        if adjustment is not None:
            result = _with_track(result, adjustment.applied(result.track))
        return result

    def stream(self, speech: Sound, *, emotion: str | None = None) -> SpeechToAUStream:
        """Returns the direction of a recording while it is being made.

        Args:
            speech: Any rate; 0.1 s or more.
            emotion: Overrides the predicted one.

        Raises:
            UsageError: The recording is shorter than 0.1 s, or the emotion unknown.
        """
        if speech.duration_sec < SHORTEST_SEC:
            raise UsageError(
                f"the speech lasts {float(speech.duration_sec):.3f} s; "
                f"at least {float(SHORTEST_SEC)} s are needed"
            )
        requested = None if emotion is None else find_voice_emotion(emotion)
        utterance = Utterance(sound=speech, features=acoustic_features(speech))
        rule = _rule(utterance)
        if rule in ("silent", "voiceless"):
            return _still(speech, requested, _NOTES[rule])
        if rule is not None and requested is None:
            return self._streamed(utterance, NEUTRAL, (_NOTES[rule],))
        is_dialogue = requested is None and has_several_speakers(utterance.features.rows)
        return self._streamed(utterance, requested, (_NOTES["several"],) if is_dialogue else ())

    def _streamed(self, utterance: Utterance, given: str | None, notes: tuple[str, ...]) -> SpeechToAUStream:
        generated = self._generator.generate(utterance, given)
        heard = generated.probabilities
        chosen = VOICE_EMOTIONS[int(heard.argmax())] if given is None else given
        return SpeechToAUStream(
            emotion=chosen,
            probability=float(heard.max()) if given is None else 1.0,
            probabilities=_by_name(heard),
            notes=notes,
            pieces=_pieces(generated, utterance.sound),
        )


def _generator_of(path: Path) -> AUGenerator:
    from auteur.expression.audio_lm.compact import AudioLM
    from auteur.expression.audio_lm.constrained_decoder import ConstrainedDecoder
    from auteur.expression.regressor import Regressor

    model = load_model(path, AudioLM, Regressor)
    return (
        CompactAUGenerator(ConstrainedDecoder(model))
        if isinstance(model, AudioLM)
        else RegressorAUGenerator(model)
    )


def _rule(utterance: Utterance) -> str | None:
    if utterance.features.is_silent:
        return "silent"
    if utterance.features.voiced_share < LEAST_VOICED_SHARE:
        return "voiceless"
    if utterance.sound.duration_sec < SHORTEST_EMOTION_SEC:
        return "short"
    return "sung" if held_note_share(utterance.features.rows) >= SUNG_FROM else None


def _still(speech: Sound, requested: str | None, note: str) -> SpeechToAUStream:
    """A neutral result; a given emotion has no effect without a voice."""
    frames = _frames_of(speech)
    track = au_track(
        np.zeros((frames, len(UNITS))), convention="feafa24", rate=TRACK_RATE, start_sec=speech.start_sec
    )
    if requested not in (None, NEUTRAL):
        note += f"; {requested} cannot be shown without a voice"
    heard = np.array([word == NEUTRAL for word in VOICE_EMOTIONS], np.float32)
    return SpeechToAUStream(
        emotion=NEUTRAL, probability=1.0, probabilities=_by_name(heard), notes=(note,), pieces=iter([track])
    )


def _pieces(generated: GeneratedAUs, speech: Sound) -> Iterator[AUTrack]:
    """The track at 25 frames a second, piece by piece: linear between frames, the last one held."""
    total, step = _frames_of(speech), int(TRACK_RATE / generated.rate)
    before: Floats | None = None
    made = 0

    def piece(values: Floats) -> AUTrack:
        start = speech.start_sec + made / TRACK_RATE
        return au_track(values, convention="feafa24", rate=TRACK_RATE, start_sec=start)

    for frame in generated.frames:
        if before is None:
            values = frame[None]
        else:
            share = (np.arange(1, step + 1, dtype=np.float32) / step)[:, None]
            values = (before + share * (frame - before)).astype(np.float32)
        before = frame
        values = values[: total - made]
        if len(values):
            yield piece(values)
            made += len(values)
    if before is not None and made < total:
        yield piece(np.repeat(before[None], total - made, axis=0))


def _frames_of(speech: Sound) -> int:
    return max(1, round(speech.duration_sec * TRACK_RATE))


def _by_name(probabilities: NDArray[np.floating]) -> dict[str, float]:
    return {word: float(value) for word, value in zip(VOICE_EMOTIONS, probabilities, strict=True)}


def _with_track(result: SpeechToAUResult, track: AUTrack) -> SpeechToAUResult:
    return SpeechToAUResult(
        emotion=result.emotion,
        probability=result.probability,
        probabilities=result.probabilities,
        track=track,
        notes=result.notes,
    )
