"""Training windows of the motion recipe: cut, mirrored, scaled and disturbed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auteur.errors import InputError
from auteur.face.pose import MIRROR
from auteur.facs import au_track, convert
from auteur.lab.data.motion_tracks import RATE, no_person_of, read_tracks
from auteur.lab.data.random_windows import RandomWindows, mixed_chances, values_at
from auteur.lab.data.shards import Corpora, PartName
from auteur.lab.data.splits import Part
from auteur.signals import topology

Floats = NDArray[np.floating]

MOUTH_WEIGHT = 2.0
WINDOW_FRAMES = 72
LIPS_ALONE = 0.4
"""Probability that speech is only its last two features: predicted lips, which are nearly as accurate for
new people, and loudness."""
_SMALLEST_DEVIATION_MM = 0.5
_ROWS_PER_CLIP = 400

_MOUTH = (*topology.OUTER_LIPS, *topology.INNER_LIPS)
_MIRROR_SIGN = np.array([-1.0, 1.0, 1.0])


@dataclass(frozen=True, eq=False)
class MotionClip:
    """One training clip."""

    name: str
    person: str
    part: Part
    displacement_mm: Floats
    """[T, 478, 3]."""
    aus: Floats
    """openface18 as parts of full scale, [T, 18]."""
    controls: Floats
    """Every side of every unit, convention "facs", [T, C]."""
    speech: Floats | None
    """[T, S]."""
    loudness: Floats | None
    hearings: Floats | None = None
    """The same speech with other vocal tracts and rooms, [H, T, S]."""
    neutral_mm: Floats | None = None
    """The person's neutral face, [478, 3]."""
    blink: Floats | None = None
    """Closure of the lids, [T], 0 to 1."""
    is_generated: bool = False
    """Whether a talking-head system made the video."""
    corpus: str = ""
    """Corpus that it is from."""
    emotion: str | None = None
    """Label of the corpus, one of `auteur.facs.EMOTIONS`; None: it states none."""

    def known_neutral_mm(self) -> Floats:
        """Returns the person's neutral face.

        Raises:
            InputError: The clip does not hold it.
        """
        if self.neutral_mm is None:
            raise InputError(f"{self.name} holds no neutral face; make the feature motion again")
        return self.neutral_mm


def read_clips(
    corpora: Corpora, *, speech: str | None = "speech", part: PartName | None = "train"
) -> list[MotionClip]:
    """Returns the clips of prepared corpora.

    Args:
        corpora: With the features "motion" and that of the speech.
        speech: Feature of the speech; None: without.
        part: "train": people who train or choose checkpoints; "held_out": those who test; None: everybody.

    Raises:
        InputError: A feature is missing, or there is no clip of a person of the part.
    """
    clips: list[MotionClip] = []
    for track in read_tracks(corpora, speech=speech, part=part):
        controls = track.units.astype(np.float64)
        clips.append(
            MotionClip(
                name=track.name,
                person=track.person,
                part=track.part,
                displacement_mm=track.displacement.astype(np.float32),
                aus=openface18(controls),
                controls=controls.astype(np.float32),
                speech=track.speech,
                loudness=track.loudness,
                hearings=track.copies,
                neutral_mm=track.neutral,
                blink=track.blink,
                is_generated=track.is_generated,
                corpus=track.corpus,
                emotion=track.emotion,
            )
        )
    wanted = "test" if part == "held_out" else "train"
    if not any(clip.part == wanted for clip in clips):
        raise InputError(no_person_of(wanted, corpora))
    return clips


def openface18(controls: Floats) -> Floats:
    """Returns paper C's 18 numbers, intensities as parts of full scale, of "facs" values [T, C]."""
    values = np.array(convert(au_track(controls, convention="facs", rate=RATE), "openface18").values)
    values[:, :17] /= 5
    return values


def mirrored(displacement: Floats) -> Floats:
    """Returns the displacement [..., 478, 3] of the mirrored face."""
    return displacement[..., MIRROR, :] * _MIRROR_SIGN.astype(displacement.dtype)


def point_weights() -> Floats:
    """Returns the weight of every vertex in the reconstruction [478]: `C162` 1, lips 2, the others 0."""
    weights = np.zeros(topology.MEDIAPIPE_COUNT, dtype=np.float32)
    weights[list(topology.C162)] = 1.0
    weights[list(_MOUTH)] = MOUTH_WEIGHT
    return weights


@dataclass(frozen=True, eq=False)
class DisplacementSpace:
    """A linear basis of displacement and the way into it."""

    basis: Floats
    """[K, 478, 3] mm; coefficients of training motion have mean square 1."""
    inverse: Floats
    """[478 * 3, K]: weighted least squares."""
    deviation_mm: Floats
    """[K]: how much each coefficient moves the weighted mesh, largest first."""

    def coefficients(self, displacement: Floats) -> Floats:
        """Returns coefficients [T, K] of displacement [T, 478, 3]."""
        return displacement.reshape(len(displacement), -1) @ self.inverse


def fit_space(displacements: list[Floats], count: int) -> DisplacementSpace:
    """Returns the basis that explains displacements, each [T, 478, 3], and their mirror images best.

    Lips count most. No mean is taken out: coefficients 0 are the neutral face. Long clips are thinned out.
    """
    rows = np.concatenate([d[:: max(3, len(d) // _ROWS_PER_CLIP)] for d in displacements])
    rows = np.concatenate([rows, mirrored(rows)]).reshape(len(rows) * 2, -1)
    weights = np.ones(topology.MEDIAPIPE_COUNT, dtype=np.float32)
    weights[list(topology.C162)] = 2.0
    weights[list(_MOUTH)] = 4.0
    weights = np.repeat(weights, 3)
    covariance = (rows * weights).T @ (rows * weights) / len(rows)
    values, vectors = np.linalg.eigh(covariance.astype(np.float64))
    order = np.argsort(values)[::-1][:count]
    deviation = np.sqrt(values[order])
    basis = (vectors[:, order] / weights[:, None] * deviation).T
    inverse = vectors[:, order] * weights[:, None] / deviation
    return DisplacementSpace(
        basis.reshape(count, -1, 3).astype(np.float32), inverse.astype(np.float32), deviation
    )


def coordinate_scale(clips: list[MotionClip]) -> Floats:
    """Returns the standard deviation of every coordinate of training motion [478, 3] in mm, floored."""
    rows = np.concatenate([clip.displacement_mm for clip in clips])
    return np.maximum(np.sqrt((rows**2).mean(0)), _SMALLEST_DEVIATION_MM)


class MotionWindows(RandomWindows):
    """An endless stream of batches from training clips.

    Args:
        clips: Of training people.
        space: Basis of their displacement.
        batch_size: Windows in a batch.
        seed: Of everything random.
        shares: Of the corpora (`Corpora.shares`).
        has_lips: Whether the last two numbers of the speech are predicted lips and loudness, as those of the
            feature "speech" are.
    """

    def __init__(
        self,
        clips: list[MotionClip],
        space: DisplacementSpace,
        *,
        batch_size: int,
        seed: int,
        shares: dict[str, float] | None = None,
        has_lips: bool = True,
    ) -> None:
        super().__init__(batch_size, seed)
        self._has_lips = has_lips
        heard = np.concatenate([clip.speech for clip in clips if clip.speech is not None])
        self._speech_mean, self._speech_deviation = heard.mean(0), heard.std(0)
        self._clips = clips
        self._motion = [
            (space.coefficients(c.displacement_mm), space.coefficients(mirrored(c.displacement_mm)))
            for c in clips
        ]
        lengths = np.array([len(c.aus) ** 0.7 * (3.0 if c.speech is not None else 1.0) for c in clips])
        self._chance = mixed_chances(lengths, [clip.corpus for clip in clips], shares)

    def _window(self) -> dict[str, np.ndarray | np.float32]:
        random = self.random
        number = int(random.choice(len(self._clips), p=self._chance))
        clip, motion = self._clips[number], self._motion[number][int(random.integers(2))]
        positions, inside = self._positions(len(motion))
        coefficients, aus = values_at(motion, positions), values_at(clip.aus, positions)
        size = random.uniform(0.8, 1.2)  # people move more or less: motion and AUs alike
        speech = np.zeros((WINDOW_FRAMES, len(self._speech_mean)))
        if clip.speech is not None:
            shift = random.uniform(-0.5, 0.5)
            speech = self._disturbed(values_at(self._hearing(clip.speech, clip.hearings), positions + shift))
        else:
            size = random.uniform(0.5, 1.2)
        return {
            "coefficients": (coefficients * size).astype(np.float32),
            "aus": np.clip(aus * size + random.normal(0, 0.02, aus.shape), 0, 1).astype(np.float32),
            "speech": speech.astype(np.float32),
            "heard": np.float32(clip.speech is not None),
            "inside": inside.astype(np.float32),
        }

    def _positions(self, frames: int) -> tuple[Floats, NDArray[np.bool_]]:
        """Where to read (at another speed), and which of it lies inside the clip."""
        speed = self.random.uniform(0.88, 1.14)
        start = self.random.uniform(-8, max(frames - speed * WINDOW_FRAMES, -7) + 8)
        positions = start + speed * np.arange(WINDOW_FRAMES)
        return positions, (positions >= 0) & (positions <= frames - 1)

    def _hearing(self, speech: Floats, hearings: Floats | None) -> Floats:
        """The speech as it is (one time in four), or one of its augmented copies."""
        if hearings is None or self.random.random() < 0.25:
            return speech
        return hearings[self.random.integers(len(hearings))].astype(np.float32)

    def _disturbed(self, speech: Floats) -> Floats:
        """Features with noise, a shifted mean, and some of them missing: voices differ, clips are few."""
        random = self.random
        noise = random.normal(0, random.uniform(0, 0.6), speech.shape) + random.normal(
            0, 0.2, speech.shape[1]
        )
        missing = random.uniform(size=speech.shape[1]) < random.uniform(0, 0.3)
        if self._has_lips:
            if random.random() < LIPS_ALONE:
                missing[:-2] = True
            missing[-2] = False
        return np.where(missing, self._speech_mean, speech + noise * self._speech_deviation)
