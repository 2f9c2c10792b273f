"""Batches of questions and answers for the compact audio-language model."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from auteur.expression.audio_lm import codec, vocabulary
from auteur.expression.audio_lm.codec import CODEC_RATE, VOICE_EMOTIONS, Frame
from auteur.expression.audio_lm.compact import MOST_FRAMES, ROWS_PER_FRAME
from auteur.expression.audio_lm.prompts import Order, answer_text
from auteur.facs import au_track
from auteur.lab.data.emotion_units import RATE, EmotionUnits
from auteur.lab.data.emotional_speech import augmented
from auteur.lab.data.performances import LabelledRecording

THRESHOLD = 0.1
"""Lambda: fainter units are not written. With the paper's 0 the noise of measured units would be written
too."""
_STRIDE = int(RATE / CODEC_RATE)
_MOST_AT_ONCE = 40
IGNORED = -100
EMOTION_PLACE = {token: place for place, token in enumerate(vocabulary.EMOTION_TOKENS)}
"""Index in `VOICE_EMOTIONS` of each emotion's token."""


class AudioLMBatches:
    """Endless batches; the performances of one are cut to the same number of frames.

    Args:
        performances: What to draw from.
        statistics: For targets that are built anew each time.
        heard: Prediction of the emotion ensemble by name, log probabilities [emotions]; for its training
            people out of fold.
        batch_size: Answers per batch.
        seed: Everything follows from it.
        measured_share: Share of answers that measured performances give.
        augment: Whether sounds are disguised.
        orders: Orders of the answers.
    """

    def __init__(
        self,
        performances: Sequence[LabelledRecording],
        statistics: EmotionUnits,
        heard: Mapping[str, np.ndarray],
        *,
        batch_size: int = 16,
        seed: int = 0,
        measured_share: float = 0.3,
        augment: bool = True,
        orders: Sequence[Order] = tuple(Order),
    ) -> None:
        self._all = list(performances)
        weights = np.array([each.is_measured for each in self._all], dtype=np.float64)
        lengths = np.array([len(each.units) // _STRIDE for each in self._all])
        self._lengths = lengths
        seconds = weights * np.minimum(lengths, 100)  # long clips give more crops
        shares = np.zeros(len(weights))
        if weights.any():
            shares += measured_share * seconds / seconds.sum()
        if not weights.all():
            rest = 1 - (measured_share if weights.any() else 0)
            shares += rest * (1 - weights) / (1 - weights).sum()
        self._shares = shares / shares.sum()
        self._statistics, self._heard = statistics, heard
        self._size, self._augment, self._orders = batch_size, augment, tuple(orders)
        self.random = np.random.default_rng(seed)

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        """Yields the inputs of `AudioLM.forward`, and "targets" [B, N + 1] with `IGNORED` after the end."""
        while True:
            yield self.batch()

    def batch(self) -> dict[str, Tensor]:
        """Returns one batch."""
        first = self.random.choice(len(self._all), p=self._shares)
        frames = int(min(max(self._lengths[first], 3), self.random.integers(8, _MOST_AT_ONCE + 1)))
        fitting = np.where(self._lengths >= frames, self._shares, 0)
        if not fitting.any():
            fitting = self._shares
        chosen = self.random.choice(len(self._all), self._size, p=fitting / fitting.sum())
        rows, heard, prompts, texts = zip(*(self._one(self._all[i], frames) for i in chosen), strict=True)
        stacked = torch.from_numpy(np.stack(rows))
        batch = {
            "rows": augmented(stacked, self.random) if self._augment else stacked,
            "heard": torch.from_numpy(np.stack(heard).astype(np.float32)),
            "prompt": torch.tensor(prompts),
            "frames": torch.tensor(frames),
            "offset": torch.tensor(int(self.random.integers(MOST_FRAMES - frames + 1))),
        }
        places = [-1 if given == vocabulary.PAD else EMOTION_PLACE[given] for _, given in prompts]
        return batch | padded(texts, places)

    def _one(
        self, one: LabelledRecording, frames: int
    ) -> tuple[np.ndarray, np.ndarray, list[int], list[int]]:
        start = int(self.random.integers(max(len(one.units) - frames * _STRIDE, 0) + 1))
        rows = rows_of(one, start, frames)
        order = Order.UNITS if not one.emotion else self._orders[self.random.integers(len(self._orders))]
        emotion = one.emotion
        if order is Order.UNITS_GIVEN_EMOTION and not one.is_measured and self.random.random() < 0.5:
            emotion = str(self.random.choice(VOICE_EMOTIONS))
        target = one.target(self._statistics, self.random, emotion=emotion or None)
        text = answer_text(order, emotion=emotion, frames=text_frames(target[start:], frames))
        given = order is Order.UNITS_GIVEN_EMOTION
        prompt = [
            vocabulary.order_token(order),
            vocabulary.EMOTION_TOKENS[VOICE_EMOTIONS.index(emotion)] if given else vocabulary.PAD,
        ]
        return rows, self._heard[one.name], prompt, vocabulary.tokens_of(text)


def rows_of(one: LabelledRecording, start: int, frames: int) -> np.ndarray:
    """Returns the rows [10 × frames, CHANNELS] of frames from unit frame `start` (25 a second) on."""
    first = start * 2
    rows = one.rows[first : first + frames * ROWS_PER_FRAME]
    if len(rows) < frames * ROWS_PER_FRAME:
        rows = np.pad(rows, ((0, frames * ROWS_PER_FRAME - len(rows)), (0, 0)), mode="edge")
    return rows.astype(np.float32)


def text_frames(target: np.ndarray, frames: int) -> tuple[Frame, ...]:
    """Returns intensities [T, 24] at 25 a second as frames of the text."""
    track = au_track(target[: frames * _STRIDE], convention="feafa24", rate=RATE)
    return codec.frames_of(track, frames=frames, threshold=THRESHOLD)


def padded(texts: Sequence[list[int]], given: Sequence[int]) -> dict[str, Tensor]:
    """Returns inputs and targets of a model for texts.

    Args:
        texts: Tokens.
        given: Place of each text's given emotion, -1 for none.

    Returns:
        "tokens", "frame", "place", "emotion" [B, N], "previous" [B, N, 24] and "targets" [B, N + 1].
    """
    longest = max(map(len, texts))
    tokens = torch.zeros(len(texts), longest, dtype=torch.long)
    frame, place, emotion = torch.zeros_like(tokens), torch.zeros_like(tokens), torch.zeros_like(tokens)
    previous = torch.zeros(len(texts), longest, len(codec.UNITS))
    targets = torch.full((len(texts), longest + 1), IGNORED)
    for row, (text, one) in enumerate(zip(texts, given, strict=True)):
        lights, count = vocabulary.sidelights(text, given=one), len(text)
        tokens[row, :count] = torch.tensor(text)
        frame[row, :count] = torch.from_numpy(lights.frame)
        place[row, :count] = torch.from_numpy(lights.place)
        emotion[row, :count] = torch.from_numpy(lights.emotion)
        previous[row, :count] = torch.from_numpy(lights.previous)
        targets[row, :count] = torch.tensor(text)
        targets[row, count] = vocabulary.END
    return {
        "tokens": tokens,
        "frame": frame,
        "place": place,
        "emotion": emotion,
        "previous": previous,
        "targets": targets,
    }
