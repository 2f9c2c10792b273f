"""Speech → emotion and Action Unit track: AUHead's first stage as one object.

Rules for sound without speech:

* **Silence** (loud frames under about -65 dBFS) and **sound without a voice** (fewer than 4 of 100 instants
  are periodic: noise, breath, whisper): neutral, no unit moves.
* **Less than half a second**: too short to recognise an emotion; neutral unless one is given. The mouth
moves.
* **Music** is periodic like a voice, so it passes these rules. Training has chords and hum labelled neutral;
  song is taken for speech.
* **Any length** from 0.1 s on; over 8 s in overlapping chunks.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from auteur.errors import UsageError, WeightsError
from auteur.expression.adjust import Adjustment
from auteur.expression.audio_lm.codec import HEARD_EMOTIONS, TRACK_RATE, UNITS
from auteur.expression.audio_lm.prompts import find_heard_emotion
from auteur.expression.authors import Author, CompactAuthor, RegressorAuthor, Take, Written
from auteur.expression.hearing import hear
from auteur.facs import EMOTIONS, au_track
from auteur.signals import AUTrack, Sound
from auteur.weights import path_of

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
}

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, eq=False)
class Direction:
    """Emotion and Action Units for a recording."""

    emotion: str
    """One of `HEARD_EMOTIONS`: as predicted, or as given."""
    probability: float
    """Predicted probability of the emotion; 1 where it was given or follows from a rule."""
    probabilities: dict[str, float]
    """Predicted probability of each of `HEARD_EMOTIONS`."""
    track: AUTrack
    """FEAFA-24 at 25 frames a second, round(duration × 25) frames from the recording's start."""
    notes: tuple[str, ...] = ()
    """Sentences about rules that applied."""

    @property
    def face_emotion(self) -> str:
        """The emotion as one of `auteur.facs.EMOTIONS`; calm and bored faces are neutral."""
        return self.emotion if self.emotion in EMOTIONS else NEUTRAL


@dataclass(eq=False)
class DirectionStream:
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

    def finish(self) -> Direction:
        """Returns the whole direction, after making what is not made yet."""
        for _ in self:
            pass
        first = self._made[0]
        return Direction(
            emotion=self.emotion,
            probability=self.probability,
            probabilities=self.probabilities,
            track=first.replace(values=np.concatenate([piece.values for piece in self._made])),
            notes=self.notes,
        )


class Director:
    """AUHead's first stage, with any of its models.

    Args:
        author: The model.
    """

    def __init__(self, author: Author) -> None:
        self._author = author

    @classmethod
    def shipped(cls, name: str = "audio_lm") -> "Director":
        """Returns the director with a shipped model: "audio_lm", or "regressor", the control.

        Raises:
            UsageError: There is no such model.
            WeightsError: The installation is damaged.
        """
        if name not in ("audio_lm", "regressor"):
            raise UsageError(f"there is no model {name!r}; choose audio_lm or regressor")
        return cls(_author_of(path_of(name)))

    @classmethod
    def from_path(cls, path: Path, *, adapter: Path | None = None) -> "Director":
        """Returns the director with a model of a path.

        Args:
            path: A safetensors file of our recipes, or the folder of a transformers audio-language model.
            adapter: LoRA adapter for such a folder.

        Raises:
            UsageError: A package is missing, or an adapter is given for a compact model.
            WeightsError: The path holds no model, or the adapter fits another one.
        """
        if path.is_dir():
            from auteur.expression.audio_lm.pretrained import PretrainedAudioLM
            from auteur.expression.authors import PretrainedAuthor

            return cls(PretrainedAuthor(PretrainedAudioLM.from_folder(path, adapter=adapter)))
        if adapter is not None:
            raise UsageError("adapters are for transformers models; name the folder of one")
        return cls(_author_of(path))

    def __call__(
        self,
        speech: Sound,
        *,
        emotion: str | None = None,
        intensity: float = 1.0,
        adjustment: Adjustment | None = None,
    ) -> Direction:
        """Returns the direction of a recording; see `stream`."""
        direction = self.stream(speech, emotion=emotion).finish()
        if intensity != 1:
            if not 0 <= intensity <= 1:
                raise UsageError(f"intensity is {intensity}; it must be between 0 and 1")
            calm = self.stream(speech, emotion=NEUTRAL).finish().track
            mixed = calm.values + intensity * (direction.track.values - calm.values)
            direction = _with_track(direction, calm.replace(values=mixed))
        if adjustment is not None:
            direction = _with_track(direction, adjustment.applied(direction.track))
        return direction

    def stream(self, speech: Sound, *, emotion: str | None = None) -> DirectionStream:
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
        asked = None if emotion is None else find_heard_emotion(emotion)
        take = Take(sound=speech, hearing=hear(speech))
        rule = _rule(take)
        if rule in ("silent", "voiceless"):
            return _still(speech, asked, _NOTES[rule])
        if rule == "short" and asked is None:
            return self._streamed(take, NEUTRAL, (_NOTES[rule],))
        return self._streamed(take, asked, ())

    def _streamed(self, take: Take, given: str | None, notes: tuple[str, ...]) -> DirectionStream:
        written = self._author.write(take, given)
        heard = written.probabilities
        chosen = HEARD_EMOTIONS[int(heard.argmax())] if given is None else given
        return DirectionStream(
            emotion=chosen,
            probability=float(heard.max()) if given is None else 1.0,
            probabilities=_by_name(heard),
            notes=notes,
            pieces=_pieces(written, take.sound),
        )


def _author_of(path: Path) -> Author:
    from auteur.expression.audio_lm.storage import load_audio_lm
    from auteur.expression.audio_lm.writer import CompactWriter
    from auteur.expression.regressor import load_regressor

    try:
        return CompactAuthor(CompactWriter(load_audio_lm(path)))
    except WeightsError as no_audio_lm:
        try:
            return RegressorAuthor(load_regressor(path))
        except WeightsError:
            raise no_audio_lm from None


def _rule(take: Take) -> str | None:
    if take.hearing.is_silent:
        return "silent"
    if take.hearing.voiced_share < LEAST_VOICED_SHARE:
        return "voiceless"
    return "short" if take.sound.duration_sec < SHORTEST_EMOTION_SEC else None


def _still(speech: Sound, asked: str | None, note: str) -> DirectionStream:
    """A neutral result; a given emotion has no effect without a voice."""
    frames = _frames_of(speech)
    track = au_track(
        np.zeros((frames, len(UNITS))), convention="feafa24", rate=TRACK_RATE, start_sec=speech.start_sec
    )
    if asked not in (None, NEUTRAL):
        note += f"; {asked} cannot be shown without a voice"
    heard = np.array([word == NEUTRAL for word in HEARD_EMOTIONS], np.float32)
    return DirectionStream(
        emotion=NEUTRAL, probability=1.0, probabilities=_by_name(heard), notes=(note,), pieces=iter([track])
    )


def _pieces(written: Written, speech: Sound) -> Iterator[AUTrack]:
    """The track at 25 frames a second, piece by piece: linear between frames, the last one held."""
    total, step = _frames_of(speech), int(TRACK_RATE / written.rate)
    before: Floats | None = None
    made = 0

    def piece(values: Floats) -> AUTrack:
        start = speech.start_sec + made / TRACK_RATE
        return au_track(values, convention="feafa24", rate=TRACK_RATE, start_sec=start)

    for frame in written.frames:
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
    return {word: float(value) for word, value in zip(HEARD_EMOTIONS, probabilities, strict=True)}


def _with_track(direction: Direction, track: AUTrack) -> Direction:
    return Direction(
        emotion=direction.emotion,
        probability=direction.probability,
        probabilities=direction.probabilities,
        track=track,
        notes=direction.notes,
    )
