"""Emotion control: label or curve, strength and seed → expression vectors and Action Units.

It stands before the motion generator as the route "emodiffhead" and behind `auteur express`.

Axes: T frames at 25 per second, E numbers per expression, C controls of the convention "facs".
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from auteur.errors import UsageError, WeightsError
from auteur.expression.curve import NON_NEUTRAL_EMOTIONS, EmotionCurve
from auteur.expression.generator.editing import LIPS_PARTED, Trajectories, with_subject
from auteur.expression.generator.network import (
    LABELS,
    NOISE_MEMORY,
    ExpressionGenerator,
    Request,
    smooth_noise,
)
from auteur.expression.generator.speech_cues import cues_of, loudness_of
from auteur.expression.space import CompactExpressionSpace
from auteur.facs import CONTROLS, au_track
from auteur.signals import AUTrack, ExpressionTrack, Sound
from auteur.weights import load_model, path_of

Floats = NDArray[np.floating]

CONTROL_RATE = Fraction(25)
"""Frames per second that the generator was trained at."""


VARIETY = 0.4
"""Default variety between seeds: typical faces are recognised better than individual
ones."""


INDIVIDUALITY = 0.1
"""Share of a seed's mean deviation from the apex that is kept, 0 to 1."""


@dataclass(frozen=True, eq=False)
class EmotionConditionedExpression:
    """The generated expression, as vectors and as Action Units.

    Attributes:
        vectors: e(α), the whole trajectory, convention "compact50".
        edit: Difference from the neutral trajectory, α (e_emotion - e_neutral); zeros where α is 0.
        units: The same edit as Action Units, convention "facs"; linear in α up to 1, and 0 where α is 0. None
            in a space without Action Units.
        strengths: α of each of `auteur.expression.curve.NON_NEUTRAL_EMOTIONS`, [T, 7].
    """

    vectors: ExpressionTrack
    edit: ExpressionTrack
    units: AUTrack | None
    strengths: Floats


class EmotionControl:
    """Paper B's stage 1: the generator, its expression space, and linear editing in it.

    Args:
        generator: In evaluation mode.
        space: The space that the generator was trained in; None: FLAME's, whose mesh is the user's, so that
            there are vectors alone.
        directions: A person's own way to show an emotion, [E] each (`editing.subject_direction`).
        variety: Factor on the noise of the sequence, in [0, 1]: 0 is the mean expression of an emotion, 1 as
            different as people are.

    Raises:
        UsageError: The generator has another space, or the variety is outside its range.
    """

    def __init__(
        self,
        generator: ExpressionGenerator,
        space: CompactExpressionSpace | None,
        *,
        directions: Mapping[str, Floats] | None = None,
        variety: float = VARIETY,
    ) -> None:
        if space is not None and generator.config.space != space.name:
            raise UsageError(f"the generator is for {generator.config.space!r}; the space is {space.name!r}")
        if not 0 <= variety <= 1:
            raise UsageError(f"variety is {variety:g}; it must be between 0 and 1")
        self.generator, self.space, self._variety = generator.eval(), space, variety
        self._directions = dict(directions or {})

    @property
    def shapes(self) -> Floats | None:
        """Mesh shapes [50, 478, 3] mm per unit of each number; None in a space without them."""
        return (
            None
            if self.space is None
            else self.space.decode(np.eye(self.space.coefficients, dtype=np.float32))
        )

    @classmethod
    def shipped(cls, *, directions: Mapping[str, Floats] | None = None) -> "EmotionControl":
        """Returns the control with the weights that come with the package.

        Raises:
            WeightsError: The installation is damaged.
        """
        return cls(
            load_model(path_of("expression_generator"), ExpressionGenerator),
            CompactExpressionSpace.shipped(),
            directions=directions,
        )

    def __call__(self, speech: Sound, *, emotion: str | None, intensity: float) -> AUTrack:
        """Returns the Action Units that an emotion adds during the speech, convention "facs".

        Args:
            speech: 16 kHz mono.
            emotion: One of `auteur.facs.EMOTIONS`; None is neutral.
            intensity: In [0, 1.2].
        """
        curve = EmotionCurve.constant(emotion or "neutral", intensity)
        units = self.direct(curve, frames_of(speech), speech=speech).units
        if units is None:
            raise UsageError(
                f"the space {self.generator.config.space!r} has no Action Units; use its vectors"
            )
        return units

    def direct(
        self, curve: EmotionCurve, frames: int, *, seed: int = 0, speech: Sound | None = None
    ) -> EmotionConditionedExpression:
        """Returns the expression that follows a curve.

        Args:
            curve: Emotions and strengths over time.
            frames: T, at least 1.
            seed: Of the noise, which varies person and course. Strength does not change it.
            speech: Speech that the expression accompanies; None: silence.

        Raises:
            UsageError: There is no frame.
        """
        loud = None if speech is None else loudness_of(speech, CONTROL_RATE)
        made = self.trajectories(curve.emotions, frames, seed=seed, loudness=loud)
        strengths = curve.at(np.arange(frames) / float(CONTROL_RATE))
        vectors = made.edited(strengths)
        edit, units = np.zeros_like(vectors), np.zeros((frames, len(CONTROLS)))
        for emotion in curve.emotions:
            amount = strengths[:, NON_NEUTRAL_EMOTIONS.index(emotion), None]
            direction = made.direction(emotion)
            edit += (amount * direction).astype(np.float32)
            if self.space is not None:
                units += amount * self.space.action_unit_values(direction)
        timing = {"rate": CONTROL_RATE, "convention": self.generator.config.space}
        return EmotionConditionedExpression(
            vectors=ExpressionTrack(values=vectors, **timing),
            edit=ExpressionTrack(values=edit, **timing),
            units=None
            if self.space is None
            else au_track(np.clip(units, 0, 1), convention="facs", rate=CONTROL_RATE),
            strengths=strengths,
        )

    def _lively(self, course: Floats) -> Floats:
        mean = course.mean(axis=0)
        return mean + self.generator.liveliness.numpy() * (course - mean)

    def _around_apex(self, emotion: str, added: Floats) -> Floats:
        """Shifts the edit of an emotion [T, E] so that its mean over time is nearly the emotion's apex."""
        apex = self.generator.apex[LABELS.index(emotion)].numpy()
        mean = added.mean(axis=0)
        return added + (1 - INDIVIDUALITY) * (apex - mean)

    @torch.no_grad()
    def trajectories(
        self, emotions: Iterable[str], frames: int, *, seed: int = 0, loudness: Floats | None = None
    ) -> Trajectories:
        """Returns the neutral trajectory and the emotional ones of one noise.

        Args:
            emotions: Out of `NON_NEUTRAL_EMOTIONS`.
            frames: T, at least 1.
            seed: Of the noise.
            loudness: Of the speech, [N] at 25 per second; its last value holds to the end.

        Raises:
            UsageError: There is no frame or an emotion is unknown.
        """
        if frames < 1:
            raise UsageError(f"a trajectory has {frames} frames; it needs at least 1")
        names = list(dict.fromkeys(emotions))
        unknown = [name for name in names if name not in NON_NEUTRAL_EMOTIONS]
        if unknown:
            raise UsageError(
                f"unknown emotion {unknown[0]!r}; choose one of {', '.join(NON_NEUTRAL_EMOTIONS)}"
            )
        config, rows = self.generator.config, 1 + len(names)
        noise, steps = _noise(seed, frames, config.noise, config.frame_noise)
        noise = noise * np.float32(self._variety)
        request = Request(
            label=torch.tensor([0, *(LABELS.index(name) for name in names)]),
            intensity=torch.tensor([0.0, *[1.0] * len(names)]),
            noise=torch.from_numpy(noise).expand(rows, -1),
            frame_noise=steps.expand(rows, -1, -1),
            speech=None if loudness is None else _held(cues_of(loudness), frames).expand(rows, -1, -1),
        )
        neutral, *emotional = self.generator(request).numpy()
        neutral, emotional = self._lively(neutral), [self._lively(course) for course in emotional]
        around = [
            self._around_apex(name, course - neutral) for name, course in zip(names, emotional, strict=True)
        ]
        made = Trajectories(
            neutral,
            {n: neutral + added for n, added in zip(names, around, strict=True)},
            LIPS_PARTED if self.space is not None else None,
        )
        for name in names:
            if name in self._directions:
                made = with_subject(made, name, self._directions[name])
        return made


def emotion_control(path: Path | None = None, space: Path | None = None) -> EmotionControl:
    """Returns the control with the weights of a file.

    Args:
        path: What the recipe `expression-generator` wrote; None: the shipped weights.
        space: Weights of the compact space that it was trained in; None: the shipped ones.

    Raises:
        WeightsError: A file is missing or damaged, or the space is none that this version has.
    """
    generator = load_model(path_of("expression_generator") if path is None else path, ExpressionGenerator)
    name = generator.config.space
    if generator.config.frames_per_sec != CONTROL_RATE:
        raise WeightsError(
            f"{str(path)!r} was trained at {generator.config.frames_per_sec} frames per second; it runs at "
            f"{CONTROL_RATE}: train it on vectors at that rate"
        )
    if name.startswith("flame"):
        return EmotionControl(generator, None)
    known = CompactExpressionSpace.shipped() if space is None else CompactExpressionSpace.from_file(space)
    if name != known.name:
        raise WeightsError(
            f"{str(path)!r} predicts {name!r} expression vectors; there are {known.name} and FLAME's: train "
            "the expression-generator in one of them"
        )
    return EmotionControl(generator, known)


def frames_of(speech: Sound) -> int:
    """Returns the number of frames at 25 per second of a recording, at least 1."""
    return max(1, round(speech.duration_sec * CONTROL_RATE))


def _held(values: Floats, frames: int) -> torch.Tensor:
    rows = np.minimum(np.arange(frames), len(values) - 1)
    return torch.from_numpy(values[rows])


def _noise(seed: int, frames: int, width: int, frame_width: int) -> tuple[Floats, torch.Tensor]:
    """Noise of a sequence [width] and of its frames [T, frame_width]; a longer one begins the same."""
    digest = hashlib.sha256(f"{seed}:expression".encode()).digest()
    keys = (int.from_bytes(digest[i : i + 16], "little") for i in (0, 16))
    still, moving = (np.random.Generator(np.random.Philox(key=key)) for key in keys)
    white = moving.standard_normal((frames + NOISE_MEMORY, frame_width)).astype(np.float32)
    return still.standard_normal(width).astype(np.float32), smooth_noise(torch.from_numpy(white)[None])[0]
