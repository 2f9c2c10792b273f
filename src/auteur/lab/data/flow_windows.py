"""Training windows of the face flow: cut, mirrored, at another speed, speech disturbed, AUs partial."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auteur.facs import CONTROLS, au_track, convert
from auteur.lab.data.motion_windows import DisplacementSpace, MotionClip, mirrored
from auteur.lab.data.random_windows import RandomWindows, as_float32, mixed_chances, values_at
from auteur.motion.face_flow import CONDITIONING_CONTROLS
from auteur.motion.grid import MOTION_RATE
from auteur.motion.performance import as_specified
from auteur.motion.style import eye_distance, style_statistics
from auteur.signals.topology import LEFT_EYE, RIGHT_EYE

Floats = NDArray[np.floating]

ENCODER_FEATURES = 91
"""Features of the compact encoder, before the log-mel bands."""

_LARGEST_STYLE = 2.5
_OPEN_EYES = 0.4
"""Quantile of the blink measure that counts as open eyes."""
_LID_REACH_MM = 14.0
_LIDS = (*RIGHT_EYE, *LEFT_EYE)


def _mirror_name(name: str) -> str:
    return name[:-1] + {"L": "R", "R": "L"}.get(name[-1], name[-1])


_COLUMNS = [CONTROLS.index(name) for name in CONDITIONING_CONTROLS]
_MIRRORED_COLUMNS = [
    CONTROLS.index(_mirror_name(name) if _mirror_name(name) in CONTROLS else name)
    for name in CONDITIONING_CONTROLS
]


@dataclass(frozen=True)
class WindowSettings:
    """Settings of the augmentation of windows."""

    frames: int = 72
    generated_share: float = 0.5
    """Share of windows from videos that talking-head systems made."""
    known_encoder_dropout: float = 0.65
    """Probability that a window of a filmed person is without the encoder's features. The shipped encoder was
    trained on the lips of those people, so its features predict their lips better than those of new
    people."""
    encoder_dropout: float = 0.2
    """The same for generated videos, whose voices are not in the encoder's training."""
    bands_dropout: float = 0.12
    """Probability that a window is without log-mel bands, the encoder's features kept."""
    openface_aus: float = 0.35
    """Probability that a window has the Action Units of an OpenFace table: 17 and AU28, without sides."""
    partial_aus: float = 0.25
    """Probability that some Action Units of a window are not specified, as in a table that lacks them."""


@dataclass(frozen=True, eq=False)
class BlinkMovement:
    """Displacement around the eyes by blinking; removed, since blinks have a model of their own."""

    per_blink: Floats
    """[478, 3] mm."""

    @classmethod
    def fit(cls, clips: list[MotionClip]) -> "BlinkMovement":
        """Returns the slope of displacement on closed lids, within clips."""
        slope, total = np.zeros((478, 3)), 0.0
        for clip in clips:
            closed = closed_lids(clip)
            closed = closed - closed.mean()
            slope += np.einsum("t,tpd->pd", closed, clip.displacement_mm - clip.displacement_mm.mean(0))
            total += float((closed**2).sum())
        neutral = np.mean([clip.neutral_mm for clip in clips if clip.neutral_mm is not None], axis=0)
        distance = np.linalg.norm(neutral[:, None, :2] - neutral[None, list(_LIDS), :2], axis=-1).min(axis=1)
        near = np.exp(-0.5 * (distance / _LID_REACH_MM) ** 2)
        return cls((slope / max(total, 1e-6) * near[:, None]).astype(np.float32))

    def without(self, clip: MotionClip) -> Floats:
        """Returns a clip's displacement [T, 478, 3] with open lids."""
        return clip.displacement_mm - closed_lids(clip)[:, None, None] * self.per_blink


def closed_lids(clip: MotionClip) -> Floats:
    """Returns the closure of a clip's lids beyond their usual, [T] in [0, 1]; 0 where unmeasured."""
    if clip.blink is None:
        return np.zeros(len(clip.displacement_mm), dtype=np.float32)
    return np.clip(clip.blink - np.quantile(clip.blink, _OPEN_EYES), 0, 1)


@dataclass(frozen=True, eq=False)
class FlowClip:
    """One training clip of the flow: itself and its mirror image."""

    coefficients: tuple[Floats, Floats]
    """Each [T, K]."""
    units: tuple[Floats, Floats]
    """Each [T, A]."""
    openface_units: Floats
    """[T, A], the same through the convention "openface18"; NaN where that has no channel."""
    style: Floats
    """[7], in standard deviations of training people."""
    speech: Floats | None
    """[T, S]."""
    hearings: Floats | None
    """[H, T, S]."""
    is_generated: bool
    corpus: str


@dataclass(frozen=True, eq=False)
class StyleScale:
    """Median and standard deviation of training people's style statistics."""

    median: Floats
    deviation: Floats

    def of(self, clip: MotionClip, displacement: Floats) -> Floats:
        """Returns a clip's style [7]."""
        return np.clip((_statistics(clip, displacement) - self.median) / self.deviation, -2.5, _LARGEST_STYLE)

    @classmethod
    def fit(cls, clips: list[MotionClip], displacements: list[Floats]) -> "StyleScale":
        """Returns the scale of clips with speech."""
        rows = np.stack(
            [
                _statistics(clip, d)
                for clip, d in zip(clips, displacements, strict=True)
                if clip.speech is not None
            ]
        )
        return cls(np.median(rows, axis=0), rows.std(axis=0) + 1e-6)


def _statistics(clip: MotionClip, displacement: Floats) -> Floats:
    neutral = clip.known_neutral_mm()
    return style_statistics(neutral + displacement, eye_distance(neutral))


def conditioning_units(clip: MotionClip) -> Floats:
    """Returns the intensities of a clip that condition the flow, [T, A]."""
    return clip.controls[:, _COLUMNS]


def flow_clip(
    clip: MotionClip, displacement: Floats, space: DisplacementSpace, scale: StyleScale
) -> FlowClip:
    """Returns a clip in the space of coefficients, with its style."""
    return FlowClip(
        coefficients=(space.coefficients(displacement), space.coefficients(mirrored(displacement))),
        units=(clip.controls[:, _COLUMNS], clip.controls[:, _MIRRORED_COLUMNS]),
        openface_units=_through_openface(clip.controls)[:, _COLUMNS],
        style=scale.of(clip, displacement),
        speech=clip.speech,
        hearings=clip.hearings,
        is_generated=clip.is_generated,
        corpus=clip.corpus,
    )


def _through_openface(controls: Floats) -> Floats:
    track = au_track(controls.astype(np.float32), convention="facs", rate=MOTION_RATE)
    return as_specified(convert(track, "openface18")).values


class FlowWindows(RandomWindows):
    """An endless stream of batches from training clips.

    Args:
        clips: Of training people.
        settings: How windows are disturbed.
        speech_scale: Mean and standard deviation of speech features, each [S].
        batch_size: Windows in a batch.
        seed: Of everything random.
        shares: Of the corpora of filmed people (`Corpora.shares`).
    """

    def __init__(
        self,
        clips: list[FlowClip],
        settings: WindowSettings,
        speech_scale: tuple[Floats, Floats],
        *,
        batch_size: int,
        seed: int,
        shares: dict[str, float] | None = None,
    ) -> None:
        super().__init__(batch_size, seed)
        self._settings = settings
        self._speech_mean, self._speech_deviation = speech_scale
        self._pools: list[tuple[list[FlowClip], Floats]] = []
        for is_generated in (False, True):
            pool = [clip for clip in clips if clip.is_generated == is_generated]
            lengths = [len(c.units[0]) ** 0.7 * (3.0 if c.speech is not None else 1.0) for c in pool]
            of_pool = None if is_generated else shares
            chances = mixed_chances(np.array(lengths), [c.corpus for c in pool], of_pool) if pool else lengths
            self._pools.append((pool, np.array(chances)))

    def _clip(self) -> FlowClip:
        filmed, generated = self._pools
        share = self._settings.generated_share
        pool, chances = generated if generated[0] and self.random.random() < share else filmed
        if not pool:
            pool, chances = generated
        return pool[int(self.random.choice(len(pool), p=chances))]

    def _window(self) -> dict[str, Any]:
        random, frames = self.random, self._settings.frames
        clip = self._clip()
        side, length = int(random.integers(2)), len(clip.units[0])
        speed = random.uniform(0.9, 1.1)
        positions = random.uniform(-4, max(length - speed * frames, -3) + 4) + speed * np.arange(frames)
        size = random.uniform(0.92, 1.08)  # people move more or less: motion and AUs alike
        is_openface = random.random() < self._settings.openface_aus
        stated = clip.openface_units if is_openface else clip.units[side]
        units = values_at(stated, positions) * size + random.normal(0, 0.015, (1, len(_COLUMNS)))
        units = np.clip(units, 0, 1)
        if random.random() < self._settings.partial_aus:
            units[:, random.random(len(_COLUMNS)) < random.random()] = np.nan
        speech = np.tile(self._speech_mean, (frames, 1))
        if clip.speech is not None:
            speech = self._speech(clip, positions + random.uniform(-0.4, 0.4))
        return as_float32(
            {
                "x": values_at(clip.coefficients[side], positions) * size,
                "units": units,
                "speech": speech,
                "has_speech": clip.speech is not None,
                "style": clip.style,
                "inside": (positions >= 0) & (positions <= length - 1),
                "is_generated": clip.is_generated,
            }
        )

    def _speech(self, clip: FlowClip, positions: Floats) -> Floats:
        """Features of the speech or of a disguised copy: noisy, shifted, some of them missing."""
        random, settings = self.random, self._settings
        source = clip.speech
        if clip.hearings is not None and random.random() > 0.25:
            source = clip.hearings[random.integers(len(clip.hearings))].astype(np.float32)
        assert source is not None  # noqa: S101  for the type checker: the caller looked
        speech = values_at(source, positions)
        noise = random.normal(0, random.uniform(0, 0.4), speech.shape)
        noise = noise + random.normal(0, 0.15, speech.shape[1])
        speech = speech + noise * self._speech_deviation
        dropout = settings.encoder_dropout if clip.is_generated else settings.known_encoder_dropout
        chance = random.random()
        missing = random.random(speech.shape[1]) < random.uniform(0, 0.25)
        if chance < dropout:
            missing[:ENCODER_FEATURES] = True
        elif chance < dropout + settings.bands_dropout:
            missing[ENCODER_FEATURES:] = True
        return np.where(missing, self._speech_mean, speech)
