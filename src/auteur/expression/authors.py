"""Models from speech to Action Units: the compact one, the regressor, or one of AUHead's size."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from auteur.expression.audio_lm import codec
from auteur.expression.audio_lm.chunks import Chunk, Stitcher, chunks_of
from auteur.expression.audio_lm.codec import CODEC_RATE, HEARD_EMOTIONS, TRACK_RATE, UNITS, Frame
from auteur.expression.audio_lm.compact import ROWS_PER_FRAME
from auteur.expression.audio_lm.pretrained import PretrainedAudioLM, Question
from auteur.expression.audio_lm.prompts import Order
from auteur.expression.audio_lm.writer import CompactWriter, Passage
from auteur.expression.hearing import Hearing
from auteur.expression.regressor import Regressor
from auteur.signals import Sound, Waveform

Floats = NDArray[np.float32]

_TOGETHER = 4
"""Chunks of a long recording that are written together."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Take:
    """A recording, as sound and as acoustic features."""

    sound: Sound
    hearing: Hearing

    @property
    def frames(self) -> int:
        """Frames of the text."""
        return codec.frame_count(self.sound.duration_sec)


@dataclass(frozen=True, kw_only=True, eq=False)
class Written:
    """Output of a model; frames come as they are decoded."""

    probabilities: Floats
    """Of each of `HEARD_EMOTIONS`, over the whole recording."""
    rate: Fraction
    """Frames per second."""
    frames: Iterator[Floats]
    """Intensities [24] of FEAFA-24, from the recording's start on."""


class Author(Protocol):
    """Protocol of the models: recording → emotion and Action Units."""

    def write(self, take: Take, emotion: str | None) -> Written:
        """Returns the output for a take; `emotion`, one of `HEARD_EMOTIONS`, overrides the predicted one."""
        ...


class CompactAuthor:
    """The compact audio-language model: chain of thought, or the given emotion.

    Long recordings are decoded in overlapping chunks. The emotion of each chunk is predicted from it and its
    two neighbours, so that moods change over a long talk and do not flicker.
    """

    def __init__(self, writer: CompactWriter) -> None:
        self._writer = writer

    def write(self, take: Take, emotion: str | None) -> Written:
        """Returns frames at 5 a second; see `Author`."""
        chunks = chunks_of(take.frames)
        heard = torch.stack([self._writer.listen(_rows(take, chunk)) for chunk in chunks])
        named = np.stack(
            [
                self._writer.name_emotion(_rows(take, c), h, c.frames)
                for c, h in zip(chunks, heard, strict=True)
            ]
        )
        weight = np.array([chunk.frames for chunk in chunks], dtype=np.float64)
        around = np.stack([named[max(i - 1, 0) : i + 2].mean(axis=0) for i in range(len(chunks))])

        passages = [
            Passage(_rows(take, chunk), sound, (word,) if emotion is None else HEARD_EMOTIONS)
            for chunk, sound, word in zip(
                chunks, heard, (HEARD_EMOTIONS[int(one.argmax())] for one in around), strict=True
            )
        ]

        def frames() -> Iterator[Floats]:
            stitcher = Stitcher(chunks, len(UNITS))
            for first in range(0, len(chunks), _TOGETHER):
                some = passages[first : first + _TOGETHER]
                written = self._writer.together(
                    some,
                    frames=chunks[first].frames,
                    order=Order.EMOTION_THEN_UNITS if emotion is None else Order.UNITS_GIVEN_EMOTION,
                    emotion=emotion,
                )
                for i, found in enumerate(_apart(written, len(some)), start=first):
                    yield from stitcher.stitch(i, (codec.values_of([frame])[0] for frame in found))

        probabilities = (named * weight[:, None]).sum(0) / weight.sum()
        return Written(probabilities=probabilities.astype(np.float32), rate=CODEC_RATE, frames=frames())


class RegressorAuthor:
    """The control."""

    def __init__(self, regressor: Regressor) -> None:
        self._regressor = regressor.eval()

    @torch.inference_mode()
    def write(self, take: Take, emotion: str | None) -> Written:
        """Returns frames at 25 a second, all made at once; see `Author`."""
        given = None
        if emotion is not None:
            given = torch.zeros(1, len(HEARD_EMOTIONS))
            given[0, HEARD_EMOTIONS.index(emotion)] = 1
        units, emotions = self._regressor(torch.from_numpy(take.hearing.rows)[None], given)
        return Written(
            probabilities=emotions[0].softmax(-1).numpy(), rate=TRACK_RATE, frames=iter(units[0].numpy())
        )


class PretrainedAuthor:
    """A transformers audio-language model. It gives no probabilities: its chunks vote.

    Args:
        model: With its adapter.
        batch_size: Chunks that are answered together.
    """

    def __init__(self, model: PretrainedAudioLM, *, batch_size: int = 4) -> None:
        self._model, self._batch = model, batch_size

    def write(self, take: Take, emotion: str | None) -> Written:
        """Returns frames at 5 a second; the first batch of chunks is answered before this returns."""
        chunks = chunks_of(take.frames)
        order = Order.EMOTION_THEN_UNITS if emotion is None else Order.UNITS_GIVEN_EMOTION
        sound = Waveform.of(take.sound)
        questions = [Question(sound=_part(sound, chunk), order=order, emotion=emotion) for chunk in chunks]
        groups = [questions[i : i + self._batch] for i in range(0, len(questions), self._batch)]
        first = self._model.answer(groups[0])

        def answers() -> Iterator[codec.Answer]:
            yield from first
            for group in groups[1:]:
                yield from self._model.answer(group)

        def frames() -> Iterator[Floats]:
            stitcher = Stitcher(chunks, len(UNITS))
            for i, answer in enumerate(answers()):
                yield from stitcher.stitch(i, iter(codec.values_of(answer.frames)))

        votes = np.array(
            [sum(answer.emotion == word for answer in first) for word in HEARD_EMOTIONS], np.float32
        )
        return Written(probabilities=votes / max(votes.sum(), 1), rate=CODEC_RATE, frames=frames())


def _apart(written: Iterator[tuple[int, Frame]], count: int) -> Iterator[Iterator[Frame]]:
    """The frames of each passage by itself, in order; those of later ones wait meanwhile."""
    waiting: list[deque[Frame]] = [deque() for _ in range(count)]

    def frames_of(number: int) -> Iterator[Frame]:
        yield from waiting[number]
        for other, frame in written:
            if other == number:
                yield frame
            else:
                waiting[other].append(frame)

    return map(frames_of, range(count))


def _rows(take: Take, chunk: Chunk) -> torch.Tensor:
    rows = take.hearing.rows[chunk.first * ROWS_PER_FRAME : chunk.stop * ROWS_PER_FRAME]
    return torch.from_numpy(rows)


def _part(sound: Waveform, chunk: Chunk) -> Waveform:
    stop = min(chunk.stop / CODEC_RATE, sound.duration_sec)
    return sound.slice(sound.start_sec + chunk.first / CODEC_RATE, sound.start_sec + stop)
