"""From speech features and Action Units to a whole performance: lips, face, blinks, gaze and head."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from auteur.errors import UsageError
from auteur.facs import convert
from auteur.motion.au_basis import AUBasis
from auteur.motion.generator import MotionGenerator
from auteur.motion.habits import FaceHabits
from auteur.motion.mouth import fused_gap, lip_gap, with_lip_gap
from auteur.motion.own_expression import OwnExpression, closing
from auteur.motion.portrait import apply_to, with_eyes_held
from auteur.motion.storage import load_generator
from auteur.signals import AUTrack, LandmarkTrack, PoseTrack, measured
from auteur.speech.features import SpeechAnalysis
from auteur.speech.phones import ARTICULATIONS
from auteur.speech.voice import holds_speech
from auteur.weights import load_shipped, path_of

Floats = NDArray[np.floating]

MOTION_RATE = Fraction(25)
"""Frames per second that the generator was trained at."""

_SILENT_LOUDNESS = 0.35
_LOUDNESS_SLOPE = 0.06
_LIDS = ("AU45", "AU43")
_SURE_SILENCE = (0.85, 0.95)
_SURE_CLOSURE = (0.45, 0.65)
"""Probabilities of the encoder from which a cue begins to count, and from which it counts fully."""
_HEAD_SHARES = np.array([1.0, 1.0, 0.6, 1.0, 1.0, 1.0])
"""Of the measured spread of pitch, yaw, roll and travel: people who were filmed gesture and lean, and on a
portrait whose shoulders stay where they are the same tilt looks like too much."""
_SILENCE_MARGIN_FRAMES = 6
_SILENCE_RAMP = np.array([1, 2, 3, 2, 1]) / 9
_FRAMES_AT_ONCE = 256


@dataclass(frozen=True, kw_only=True, eq=False)
class SpeechCues:
    """What the rules about lips listen to, one number per frame."""

    silence: Floats
    """How sure it is that nothing is said, [T] 0 to 1."""
    closure: Floats
    """How sure it is that the lips meet (p, b, m), [T] 0 to 1."""

    @classmethod
    def of_analysis(cls, analysis: SpeechAnalysis) -> "SpeechCues":
        """Returns the cues of the compact speech encoder; where nothing sounds, loudness overrules it.

        Music and noise (`auteur.speech.voice`) count as silence throughout.
        """
        if not holds_speech(analysis):
            return cls(silence=np.ones(len(analysis.features)), closure=np.zeros(len(analysis.features)))
        silence, closed = (
            analysis.articulation[:, ARTICULATIONS.index(name)].numpy() for name in ("silence", "lips_closed")
        )
        quiet = _quiet(analysis.loudness.numpy())
        return cls(
            silence=_pauses(np.maximum(_between(silence, _SURE_SILENCE), quiet)),
            closure=_a_frame_early(_between(closed, _SURE_CLOSURE)),
        )

    @classmethod
    def of_loudness(cls, loudness: Floats) -> "SpeechCues":
        """Returns the cues that loudness alone gives ([T], 0 at 50 dB under the loud parts): no closures."""
        return cls(silence=_pauses(_quiet(loudness)), closure=np.zeros(len(loudness)))


@dataclass(frozen=True, kw_only=True, eq=False)
class Habits:
    """Which things the face does by itself. A track given for one of them is used instead."""

    blinks: bool = True
    gaze: bool = True
    head: float = 1.0
    """Factor on head motion; 0 keeps the head still."""
    head_track: PoseTrack | None = None
    """Relative to the portrait's pose, convention `auteur.motion.habits.POSE_CONVENTION`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class AddedShape:
    """An expression to add to what speech does, as weights of shapes: finer than Action Units can say it."""

    weights: Floats
    """[T, E] at 25 fps from time 0; a shorter one holds its end."""
    shapes: Floats
    """[E, 478, 3] mm of the canonical head, lids and gaze left alone."""

    def displacement_mm(self, part: slice) -> Floats:
        """Returns the displacement [frames, 478, 3] of some frames."""
        rows = np.minimum(np.arange(part.start, part.stop), len(self.weights) - 1)
        return np.tensordot(self.weights[rows], self.shapes, axes=1)


@dataclass(frozen=True, kw_only=True, eq=False)
class Motion:
    """A performance at 25 fps, small however long it is: displacement is made of it piece by piece."""

    coefficients: Floats
    """[T, K]."""
    asked: AUTrack | None
    """Controls added on top, convention "facs"."""
    cues: SpeechCues
    heard: bool
    """Whether speech drives the mouth, so that silence closes it."""
    lids: Floats
    """[T, 2]: right, left, 0 open to 1 closed."""
    gaze_rad: Floats
    """[T, 2]."""
    head: PoseTrack
    takeover: Floats
    """How far the performance directs the whole face, so that the portrait's own expression gives way, [T]
    0 to 1."""
    shape: AddedShape | None = None
    """An expression added on top, lips protected as from Action Units."""
    shown: AUTrack | None = None
    """What a user asked for, as Action Units: before AU guidance, and with `shape`; for plots and files."""

    @property
    def frames(self) -> int:
        """Number of frames T."""
        return len(self.coefficients)


class SpeechMotion:
    """Paper C's first stage with everything around it.

    Args:
        generator: The variational motion generator, in evaluation mode.
        basis: Displacement per Action Unit.
        habits: Statistics of head motion, blinks and gaze.
    """

    def __init__(self, *, generator: MotionGenerator, basis: AUBasis, habits: FaceHabits) -> None:
        self.generator, self.basis, self.habits = generator, basis, habits
        self._opening = basis.opening.numpy()

    @classmethod
    def shipped(cls, *, generator: Path | None = None) -> "SpeechMotion":
        """Returns the compact models that come with the package, or with another generator's weights.

        Raises:
            WeightsError: The installation is damaged, or `generator` is no weights file of the recipe.
        """
        return cls(
            generator=load_generator(generator or path_of("motion")),
            basis=load_shipped(AUBasis(), "au_basis"),
            habits=load_shipped(FaceHabits(), "habits"),
        )

    def generate(
        self,
        speech: Tensor | None,
        *,
        cues: SpeechCues | None = None,
        performance: AUTrack | None = None,
        asked: AUTrack | None = None,
        seed: int = 0,
        temperature: float = 0.3,
        habits: Habits | None = None,
        window_frames: int = 1024,
    ) -> Motion:
        """Returns the motion that goes with speech, with a measured performance, or with both.

        Args:
            speech: Features [T, S] at 25 fps.
            cues: Silence and lip closure per frame; without them neither is enforced.
            performance: Everything the face does, any convention: it conditions the generator. Resampled by
                time.
            asked: Action Units to add to what the speech does, any convention; channels left out are not
                touched.
            seed: Of motion, blinks, gaze and head.
            temperature: Of the prior, in [0, 2]: 0 is its mode, 1 its full spread.
            habits: What the face does by itself.
            window_frames: Frames generated at once; it changes memory, not the motion.

        Raises:
            UsageError: There is neither speech nor performance, the temperature is outside its range, a
            track's
                convention or values do not fit, or the features are of another width than the model's.
        """
        if not 0 <= temperature <= 2:
            raise UsageError(f"temperature is {temperature}; it must be between 0 and 2")
        wanted = self.generator.config.speech_features
        if speech is not None and (speech.ndim != 2 or speech.shape[1] != wanted):
            raise UsageError(
                f"speech features have shape {tuple(speech.shape)}; this model needs [T, {wanted}]"
            )
        frames = _frames_of(speech, performance)
        condition = self.generator.condition(
            None if speech is None else speech[None], _openface18(performance, frames)
        )
        coefficients = self.generator.sample(
            condition, seed=seed, temperature=temperature, window_frames=window_frames
        )
        cues = SpeechCues(silence=np.zeros(frames), closure=np.zeros(frames)) if cues is None else cues
        if len(cues.silence) != frames:
            raise UsageError(f"the cues have {len(cues.silence)} frames; the motion has {frames}")
        controls = None if asked is None else _on_grid(asked, "facs", frames)
        lids, gaze, head = self._habits(habits or Habits(), frames, seed, cues, controls, performance)
        return Motion(
            coefficients=coefficients.numpy(),
            asked=controls,
            cues=cues,
            heard=speech is not None and performance is None,
            lids=lids,
            gaze_rad=gaze,
            head=head,
            takeover=np.full(frames, float(performance is not None)),
        )

    def displacement_mm(self, motion: Motion, first: int = 0, stop: int | None = None) -> Floats:
        """Returns the displacement from neutral [frames, 478, 3] in canonical mm, of some frames."""
        part = slice(first, motion.frames if stop is None else min(stop, motion.frames))
        spoken = self.generator.displacement(torch.from_numpy(motion.coefficients[part])).numpy()
        closure = motion.cues.closure[part]
        talking = 1 - motion.cues.silence[part] if motion.heard else np.ones(len(spoken))
        gap = lip_gap(spoken)
        if motion.heard:
            mean, gain = self.generator.spoken_gap.tolist()
            gap = np.maximum(mean + gain * (gap - mean), 0)
        gap = gap * talking
        spoken = with_lip_gap(spoken * talking[:, None, None], gap, self._opening)
        added = np.zeros_like(spoken)
        if motion.asked is not None:
            controls = motion.asked.replace(values=_without_lids(motion.asked)[part])
            added = self.basis.track_displacement(controls)
        if motion.shape is not None:
            added = added + motion.shape.displacement_mm(part)
        fused = fused_gap(gap, lip_gap(added), closure)
        return with_lip_gap(spoken + added, fused, self._opening)

    def landmarks_on(
        self,
        motion: Motion,
        portrait: Floats,
        *,
        image_size_px: tuple[int, int],
        own: OwnExpression | None = None,
        first: int = 0,
        stop: int | None = None,
    ) -> LandmarkTrack:
        """Returns frames of the motion on a portrait with landmarks [478, 3] px, at 25 fps.

        Ask for long performances piece by piece: a frame does not depend on the piece it is in.

        Args:
            motion: What `generate` made.
            portrait: Landmarks in pixels.
            image_size_px: Width and height of the portrait.
            own: What the portrait shows by itself: its lips are brought together before they are moved, and
                its expression gives way to the performance; eyes that are closed stay so. Without it motion
                adds to what is there.
            first: First frame.
            stop: The frame after the last.
        """
        stop = motion.frames if stop is None else min(stop, motion.frames)
        shut = None if own is None else closing(portrait, self.basis, own.jaw_share)
        pieces: list[Floats] = []
        for start in range(first, stop, _FRAMES_AT_ONCE):
            part = slice(start, min(start + _FRAMES_AT_ONCE, stop))
            head = motion.head.replace(values=motion.head.values[part])
            moved = apply_to(
                portrait,
                self.displacement_mm(motion, part.start, part.stop),
                closure=motion.cues.closure[part],
                lids=motion.lids[part],
                gaze_rad=motion.gaze_rad[part],
                head=head,
                opening=self._opening,
                taken_mm=None if own is None or shut is None else self._taken_mm(motion, own, part) - shut,
            )
            if own is not None and own.eyes_shown.min() < 1:
                moved = with_eyes_held(moved, portrait, own.eyes_shown, head)
            pieces.append(moved)
        return LandmarkTrack(
            values=np.concatenate(pieces),
            rate=MOTION_RATE,
            start_sec=first / MOTION_RATE,
            convention="mediapipe478",
            image_size_px=image_size_px,
        )

    def at_rest(self, portrait: Floats, own: OwnExpression) -> Floats:
        """Returns the portrait without what it shows by itself, lips together, [478, 3] px."""
        taken = self.basis.track_displacement(own.taken_out(None, np.ones(1)))
        taken = with_lip_gap(taken, np.zeros(1), self._opening) - closing(portrait, self.basis, own.jaw_share)
        return with_eyes_held(
            apply_to(portrait, np.zeros_like(taken), taken_mm=taken), portrait, own.eyes_shown
        )[0]

    def _taken_mm(self, motion: Motion, own: OwnExpression, part: slice) -> Floats:
        """What of a portrait's expression gives way in some frames, [frames, 478, 3]; lips move as one."""
        if not own.intensities.any():
            return np.zeros((1, *self._opening.shape))
        asked = None if motion.asked is None else motion.asked.replace(values=motion.asked.values[part])
        taken = self.basis.track_displacement(own.taken_out(asked, motion.takeover[part]))
        return with_lip_gap(taken, np.zeros(len(taken)), self._opening)

    def _habits(
        self,
        habits: Habits,
        frames: int,
        seed: int,
        cues: SpeechCues,
        asked: AUTrack | None,
        performance: AUTrack | None,
    ) -> tuple[Floats, Floats, PoseTrack]:
        """Lids, gaze and head; a track that says what they do takes the place of chance."""
        head = habits.head_track
        if head is None:
            head = self.habits.head_motion(frames, seed=seed, amount=habits.head, activity=1 - cues.silence)
            head = head.replace(values=head.values * _HEAD_SHARES)
        else:
            head = head.resample(MOTION_RATE, start_sec=0, frames=frames)
        lids, gaze = np.zeros((frames, 2)), np.zeros((frames, 2))
        blinks_given = performance is not None or (asked is not None and _asked_lids(asked).any())
        if asked is not None:
            lids = np.maximum(lids, _asked_lids(asked))
            gaze = _asked_gaze(asked)
        if habits.blinks and not blinks_given:
            lids = self.habits.blinks(frames, seed=seed)
        if habits.gaze and not gaze.any():
            gaze = self.habits.gaze_angles(frames, seed=seed, head=head)
        return lids, gaze, head


def _frames_of(speech: Tensor | None, performance: AUTrack | None) -> int:
    if speech is not None:
        return speech.shape[0]
    if performance is None:
        raise UsageError("nothing to move by: give speech features, a performance of Action Units, or both")
    return max(1, round(performance.duration_sec * MOTION_RATE))


def _on_grid(track: AUTrack, convention: str, frames: int) -> AUTrack:
    """The track at 25 fps from time 0, `frames` long, its holes filled; its ends are held."""
    return convert(measured(track), convention).resample(MOTION_RATE, start_sec=0, frames=frames)


def _openface18(track: AUTrack | None, frames: int) -> Tensor | None:
    """The condition [1, T, 18]: intensities as parts of their full scale."""
    if track is None:
        return None
    values = _on_grid(track, "openface18", frames).values
    return torch.from_numpy(values / np.array([5.0] * 17 + [1.0], dtype=np.float32))[None]


def _asked_lids(track: AUTrack) -> Floats:
    """How far the asked units close each eye, [T, 2]: right, left."""
    sides = [np.maximum(*(track.channel(f"{unit}{side}") for unit in _LIDS)) for side in ("R", "L")]
    return np.stack(sides, axis=1).astype(np.float64)


def _asked_gaze(track: AUTrack) -> Floats:
    """Where the asked units turn the eyes, [T, 2] rad; full intensity is half a radian."""
    mean = {n: (track.channel(f"AU{n}L") + track.channel(f"AU{n}R")) / 4 for n in (61, 62, 63, 64)}
    return np.stack([mean[61] - mean[62], mean[64] - mean[63]], axis=1).astype(np.float64)


def _without_lids(track: AUTrack) -> Floats:
    """The track's values with closed eyes taken out: lids meet on the portrait's own geometry instead."""
    values = np.array(track.values)
    values[:, [track.channels.index(f"{unit}{side}") for unit in _LIDS for side in "LR"]] = 0
    return values


def _quiet(loudness: Floats) -> Floats:
    return 1 / (1 + np.exp((loudness - _SILENT_LOUDNESS) / _LOUDNESS_SLOPE))


def _between(values: Floats, bounds: tuple[float, float]) -> Floats:
    return np.clip((values - bounds[0]) / (bounds[1] - bounds[0]), 0, 1)


def _a_frame_early(closure: Floats) -> Floats:
    """Lips that close a frame before it is heard."""
    return np.maximum(closure, np.append(closure[1:], closure[-1]))


def _pauses(silence: Floats) -> Floats:
    """Only the inside of long silences: lips stay apart in short pauses and part before speech."""
    margin = _SILENCE_MARGIN_FRAMES
    padded = np.pad(silence, margin, constant_values=1.0)
    least = np.lib.stride_tricks.sliding_window_view(padded, 2 * margin + 1).min(axis=1)
    return np.convolve(np.pad(least, 2, mode="edge"), _SILENCE_RAMP, mode="valid")
