"""Models from speech to Action Units: the compact one, the regressor, or one of AUHead's size."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from auteur.expression.acoustic_features import AcousticFeatures
from auteur.expression.audio_lm import codec
from auteur.expression.audio_lm.chunks import Chunk, Stitcher, chunks_of
from auteur.expression.audio_lm.codec import CODEC_RATE, TRACK_RATE, UNITS, VOICE_EMOTIONS, Frame
from auteur.expression.audio_lm.compact import ROWS_PER_FRAME
from auteur.expression.audio_lm.constrained_decoder import ConstrainedDecoder, Passage
from auteur.expression.audio_lm.pretrained import PretrainedAudioLM, Question
from auteur.expression.audio_lm.prompts import Order
from auteur.expression.regressor import Regressor
from auteur.signals import Sound, Waveform

Floats = NDArray[np.float32]

_TOGETHER = 4
"""Chunks of a long recording that are written together."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Utterance:
    """A recording, as sound and as acoustic features."""

    sound: Sound
    features: AcousticFeatures

    @property
    def frames(self) -> int:
        """Frames of the text."""
        return codec.frame_count(self.sound.duration_sec)


@dataclass(frozen=True, kw_only=True, eq=False)
class GeneratedAUs:
    """Output of a model; frames come as they are decoded."""

    probabilities: Floats
    """Of each of `VOICE_EMOTIONS`, over the whole recording."""
    rate: Fraction
    """Frames per second."""
    frames: Iterator[Floats]
    """Intensities [24] of FEAFA-24, from the recording's start on."""


class AUGenerator(Protocol):
    """Protocol of the models: recording → emotion and Action Units."""

    def generate(self, utterance: Utterance, emotion: str | None) -> GeneratedAUs:
        """Returns the output; `emotion`, one of `VOICE_EMOTIONS`, overrides the predicted one."""
        ...


class CompactAUGenerator:
    """The compact audio-language model: chain of thought, or the given emotion.

    The emotion that it writes is the likeliest of the ensemble's calibrated probabilities. Long recordings
    are decoded in overlapping chunks. The emotion of each chunk is predicted from it and its two neighbours,
    so that moods change over a long talk and do not flicker.
    """

    def __init__(self, decoder: ConstrainedDecoder) -> None:
        self._decoder = decoder

    def generate(self, utterance: Utterance, emotion: str | None) -> GeneratedAUs:
        """Returns frames at 5 a second; see `AUGenerator`."""
        chunks = chunks_of(utterance.frames)
        heard = torch.stack(
            [self._decoder.emotion_log_probabilities(_rows(utterance, chunk)) for chunk in chunks]
        )
        named = heard.exp().numpy().astype(np.float64)
        weight = np.array([chunk.frames for chunk in chunks], dtype=np.float64)
        around = np.stack([named[max(i - 1, 0) : i + 2].mean(axis=0) for i in range(len(chunks))])

        passages = [
            Passage(_rows(utterance, chunk), sound, (word,) if emotion is None else VOICE_EMOTIONS)
            for chunk, sound, word in zip(
                chunks, heard, (VOICE_EMOTIONS[int(one.argmax())] for one in around), strict=True
            )
        ]

        def frames() -> Iterator[Floats]:
            stitcher = Stitcher(chunks, len(UNITS))
            for first in range(0, len(chunks), _TOGETHER):
                some = passages[first : first + _TOGETHER]
                generated = self._decoder.decode_batch(
                    some,
                    frames=chunks[first].frames,
                    order=Order.EMOTION_THEN_UNITS if emotion is None else Order.UNITS_GIVEN_EMOTION,
                    emotion=emotion,
                )
                for i, found in enumerate(_apart(generated, len(some)), start=first):
                    yield from stitcher.stitch(i, (codec.values_of([frame])[0] for frame in found))

        probabilities = (named * weight[:, None]).sum(0) / weight.sum()
        return GeneratedAUs(probabilities=probabilities.astype(np.float32), rate=CODEC_RATE, frames=frames())


class RegressorAUGenerator:
    """The control."""

    def __init__(self, regressor: Regressor) -> None:
        self._regressor = regressor.eval()

    @torch.inference_mode()
    def generate(self, utterance: Utterance, emotion: str | None) -> GeneratedAUs:
        """Returns frames at 25 a second, all made at once; see `AUGenerator`."""
        given = None
        if emotion is not None:
            given = torch.zeros(1, len(VOICE_EMOTIONS))
            given[0, VOICE_EMOTIONS.index(emotion)] = 1
        units, emotions = self._regressor(torch.from_numpy(utterance.features.rows)[None], given)
        return GeneratedAUs(
            probabilities=emotions[0].softmax(-1).numpy(), rate=TRACK_RATE, frames=iter(units[0].numpy())
        )


class PretrainedAUGenerator:
    """A transformers audio-language model. It gives no probabilities: its chunks vote.

    Args:
        model: With its adapter.
        batch_size: Chunks that are answered together.
    """

    def __init__(self, model: PretrainedAudioLM, *, batch_size: int = 4) -> None:
        self._model, self._batch = model, batch_size

    def generate(self, utterance: Utterance, emotion: str | None) -> GeneratedAUs:
        """Returns frames at 5 a second; the first batch of chunks is answered before this returns."""
        chunks = chunks_of(utterance.frames)
        order = Order.EMOTION_THEN_UNITS if emotion is None else Order.UNITS_GIVEN_EMOTION
        sound = Waveform.of(utterance.sound)
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
            [sum(answer.emotion == word for answer in first) for word in VOICE_EMOTIONS], np.float32
        )
        return GeneratedAUs(probabilities=votes / max(votes.sum(), 1), rate=CODEC_RATE, frames=frames())


def _apart(generated: Iterator[tuple[int, Frame]], count: int) -> Iterator[Iterator[Frame]]:
    """The frames of each passage by itself, in order; those of later ones wait meanwhile."""
    waiting: list[deque[Frame]] = [deque() for _ in range(count)]

    def frames_of(number: int) -> Iterator[Frame]:
        yield from waiting[number]
        for other, frame in generated:
            if other == number:
                yield frame
            else:
                waiting[other].append(frame)

    return map(frames_of, range(count))


def _rows(utterance: Utterance, chunk: Chunk) -> torch.Tensor:
    rows = utterance.features.rows[chunk.first * ROWS_PER_FRAME : chunk.stop * ROWS_PER_FRAME]
    return torch.from_numpy(rows)


def _part(sound: Waveform, chunk: Chunk) -> Waveform:
    stop = min(chunk.stop / CODEC_RATE, sound.duration_sec)
    return sound.slice(sound.start_sec + chunk.first / CODEC_RATE, sound.start_sec + stop)
