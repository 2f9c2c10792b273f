"""From speech and a performance to motion: lips, face, lids, gaze and head, then landmarks on a portrait."""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from auteur.errors import UsageError
from auteur.face.pose import canonical_face
from auteur.motion.au_basis import AUBasis
from auteur.motion.basis_units import LID_UNITS, controls_by_basis
from auteur.motion.conditional_flow import FlowSampling
from auteur.motion.cues import SpeechCues
from auteur.motion.face_flow import BROW_SAMPLING, PERFORMANCE_SAMPLING, SPEECH_SAMPLING, FaceFlow
from auteur.motion.face_model import CONDITIONING_CONTROLS, FaceConditions, FaceModel
from auteur.motion.grid import MOTION_RATE
from auteur.motion.head_flow import HeadFlow
from auteur.motion.idle_motion import IdleMotion
from auteur.motion.mouth import fused_gap, lip_gap, with_lip_gap
from auteur.motion.performance import LipSource, Performance
from auteur.motion.portrait import apply_to, with_eyes_held
from auteur.motion.portrait_expression import PortraitExpression, closing
from auteur.motion.posture import with_posture, within_reach
from auteur.motion.style import style_of_liveliness
from auteur.signals import AUTrack, LandmarkTrack, PoseTrack
from auteur.signals.topology import MEDIAPIPE_COUNT
from auteur.weights import load_model, load_shipped, path_of

Floats = NDArray[np.floating[Any]]

_EYE_CORNERS = (33, 133, 263, 362)
_HEAD_SHARES = np.array([1.0, 1.0, 0.6, 1.0, 1.0, 1.0])
"""Of the measured spread of pitch, yaw, roll and travel: people who were filmed gesture and lean, and on a
portrait whose shoulders stay where they are the same tilt looks like too much."""
_FRAMES_AT_ONCE = 256

BROW_GAIN = 1.7
"""Factor on the movement of brows and forehead. Landmarkers regress brows to their mean: of brows that a warp
had moved by known millimetres MediaPipe found 0.42, of lips 0.85; what is learned from it is as small."""
_BROWS_START_MM, _BROWS_FADE_MM = 5.0, 8.0
"""Height above the eye corners from which a vertex begins to belong to the brows, and over which it comes to
do so fully."""


@dataclass(frozen=True, kw_only=True)
class MotionOptions:
    """Settings of sampling, independent of the performance."""

    seed: int = 0
    """Seed of face, blinks, gaze and head."""
    temperature: float | None = None
    """Of the face, in [0, 2]; None: 0.35 for speech, at which motion has the spread of people."""
    liveliness: float = 1.0
    """0 calm, 1 like most people, 2 like the liveliest."""
    blinks: bool = True
    gaze: bool = True
    head: float = 1.0
    """Factor on head motion, drawn or performed; 0 keeps the head still."""

    def __post_init__(self) -> None:
        """Refuses values outside their ranges."""
        if self.temperature is not None and not 0 <= self.temperature <= 2:
            raise UsageError(f"temperature is {self.temperature}; it must be between 0 and 2")
        if not 0 <= self.liveliness <= 2:
            raise UsageError(f"liveliness is {self.liveliness}; it must be between 0 and 2")
        if not 0 <= self.head <= 3:
            raise UsageError(f"head is {self.head}; it must be between 0 and 3")


@dataclass(frozen=True, kw_only=True, eq=False)
class Motion:
    """A performance turned into motion at 25 fps, small however long it is.

    Displacement is made of it piece by piece.
    """

    performance: Performance
    coefficients: Floats
    """Of the face flow's basis, [T, K]."""
    brow_coefficients: Floats | None
    """The same for brows and forehead where they are drawn apart, [T, K]."""
    cues: SpeechCues
    is_speech_driven: bool
    """Whether speech is the source of the lips, so that long silence brings them to rest."""
    lids: Floats
    """[T, 2]: right, left, 0 open to 1 closed."""
    gaze_rad: Floats
    """[T, 2]."""
    head: PoseTrack

    @property
    def frames(self) -> int:
        """Number of frames T."""
        return len(self.coefficients)


class SpeechMotion:
    """Paper C's first stage with everything around it.

    Args:
        face: Model of the face, in evaluation mode: the flow, or paper C's generator.
        head: Flow of the head, in evaluation mode.
        basis: Displacement per Action Unit.
        idle: Statistics of blinks and gaze.
    """

    def __init__(self, *, face: FaceModel, head: HeadFlow, basis: AUBasis, idle: IdleMotion) -> None:
        self.face, self.head, self.basis, self.idle = face, head, basis, idle
        self._opening = basis.opening.numpy()

    @classmethod
    def shipped(cls) -> "SpeechMotion":
        """Returns the compact models that come with the package.

        Raises:
            WeightsError: The installation is damaged.
        """
        return cls(
            face=load_model(path_of("face_flow"), FaceFlow),
            head=load_model(path_of("head_flow"), HeadFlow),
            basis=load_shipped(AUBasis(), "au_basis"),
            idle=load_shipped(IdleMotion(), "habits"),
        )

    def generate(
        self,
        speech: Tensor | None,
        performance: Performance,
        *,
        cues: SpeechCues | None = None,
        options: MotionOptions | None = None,
        window_frames: int = 1024,
        head_speech: Tensor | None = None,
    ) -> Motion:
        """Returns the motion of a performance, of speech, or of both.

        Args:
            speech: Features [T, S] at 25 fps, in the speech space of the face's model; None: no speech.
            performance: Action Units, expression, head and gaze; an idle one leaves all to the speech.
            cues: Silence and lip closure per frame; without them neither is enforced.
            options: Seed, temperature, liveliness, idle motion.
            window_frames: Frames computed at once; it changes memory, not the motion.
            head_speech: Features in the speech space of the head's flow, where that is another one.

        Raises:
            UsageError: The features have another width than the models', or lengths differ.
        """
        options, frames = options or MotionOptions(), performance.frames
        cues = SpeechCues.none(frames) if cues is None else cues
        self._check(speech, cues, frames)
        speaks = speech is not None and performance.lips != "track"
        if speaks and performance.lips == "speech":
            performance = performance.with_spoken_lips()
        given = FaceConditions(
            speech if speaks else None,
            _conditioning(performance),
            None if performance.emotions is None else torch.from_numpy(performance.emotions),
        )
        if given.speech is None and given.units is None:
            given = given._replace(units=torch.full((frames, len(CONDITIONING_CONTROLS)), torch.nan))
        coefficients, brows = self._coefficients(given, performance.lips, options, window_frames)
        head = self.head_of(speech if head_speech is None else head_speech, performance, options)
        lids, gaze = self.eyes_of(performance, cues, options, head)
        head, gaze = with_posture(head, gaze, performance, head_factor=options.head, gaze=options.gaze)
        return Motion(
            performance=performance,
            coefficients=coefficients,
            brow_coefficients=brows,
            cues=cues if speaks else SpeechCues.none(frames),
            is_speech_driven=speaks and performance.lips == "speech",
            lids=lids,
            gaze_rad=gaze,
            head=head,
        )

    def _coefficients(
        self,
        given: FaceConditions,
        lips: LipSource,
        options: MotionOptions,
        window_frames: int,
    ) -> tuple[Floats, Floats | None]:
        """Draws the face's coefficients [T, K], and the brows' own if speech alone moves them."""

        def drawn(sampling: FlowSampling, purpose: str) -> Floats:
            if options.temperature is not None:
                sampling = replace(sampling, temperature=options.temperature)
            return self.face.draw(
                given,
                style=style_of_liveliness(options.liveliness),
                seed=options.seed,
                purpose=purpose,
                sampling=sampling,
                window_frames=window_frames,
            ).numpy()

        is_free = given.speech is not None and lips == "speech"
        coefficients = drawn(SPEECH_SAMPLING if is_free else PERFORMANCE_SAMPLING, "motion")
        return coefficients, drawn(BROW_SAMPLING, "brows") if is_free and given.units is None else None

    def _check(self, speech: Tensor | None, cues: SpeechCues, frames: int) -> None:
        """Raises `UsageError` where features have another width than the models', or lengths differ."""
        wanted = self.face.speech_features
        if speech is not None and speech.shape != (frames, wanted):
            raise UsageError(
                f"speech features have shape {tuple(speech.shape)}; the performance needs "
                f"[{frames}, {wanted}]"
            )
        if len(cues.silence) != frames:
            raise UsageError(f"the cues have {len(cues.silence)} frames; the motion has {frames}")

    def displacement_mm(self, motion: Motion, first: int = 0, stop: int | None = None) -> Floats:
        """Returns the displacement from neutral [frames, 478, 3] in canonical mm, of some frames."""
        part = slice(first, motion.frames if stop is None else min(stop, motion.frames))
        moved = self._face_mm(motion, part)
        closure, talking = motion.cues.closure[part], 1 - motion.cues.silence[part]
        gap = lip_gap(moved) * talking
        if motion.is_speech_driven:
            acted = 0.0 if motion.performance.acted is None else brow_share()[:, None]
            moved = moved * (acted + (1 - acted) * talking[:, None, None])
        moved = with_lip_gap(moved, gap, self._opening)
        added = np.zeros_like(moved)
        performance = motion.performance
        controls = controls_by_basis(performance, part)
        if controls is not None:
            added = self.basis.track_displacement(controls)
        if performance.expression is not None:
            added = added + performance.expression.displacement_mm(part)
        fused = fused_gap(gap, lip_gap(added), closure)
        return with_lip_gap(moved + added, fused, self._opening)

    def _face_mm(self, motion: Motion, part: slice) -> Floats:
        """What the flow draws of some frames, [frames, 478, 3]: brows by their own draw, times their gain."""
        moved = self.face.displacement(torch.from_numpy(motion.coefficients[part])).numpy()
        brows = moved
        if motion.brow_coefficients is not None:
            brows = self.face.displacement(torch.from_numpy(motion.brow_coefficients[part])).numpy()
        share = brow_share()[:, None]
        return moved * (1 - share) + BROW_GAIN * brows * share

    def landmarks_on(
        self,
        motion: Motion,
        portrait: Floats,
        *,
        image_size_px: tuple[int, int],
        own: PortraitExpression | None = None,
        first: int = 0,
        stop: int | None = None,
    ) -> LandmarkTrack:
        """Returns frames of the motion on a portrait with landmarks [478, 3] px, at 25 fps.

        Long performances are meant to be computed piece by piece: a frame does not depend on the piece it
        is in.

        Args:
            motion: From `generate`.
            portrait: Landmarks in pixels.
            image_size_px: Width and height of the portrait.
            own: The portrait's own expression: its lips are brought together before they are moved, and its
                expression gives way to the performance; closed eyes stay closed. Without it motion adds to
                what is there.
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
                removed_mm=None
                if own is None or shut is None
                else self._removed_mm(motion, own, part) - shut,
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

    def at_rest(self, portrait: Floats, own: PortraitExpression) -> Floats:
        """Returns the portrait without its own expression, lips together, [478, 3] px."""
        taken = self.basis.track_displacement(own.replaced_by(None, np.ones(1)))
        taken = with_lip_gap(taken, np.zeros(1), self._opening) - closing(portrait, self.basis, own.jaw_share)
        return with_eyes_held(
            apply_to(portrait, np.zeros_like(taken), removed_mm=taken), portrait, own.eyes_shown
        )[0]

    def _removed_mm(self, motion: Motion, own: PortraitExpression, part: slice) -> Floats:
        """Displacement of the portrait's own expression to remove, [frames, 478, 3]; lips move as one."""
        if not own.intensities.any():
            return np.zeros((1, *self._opening.shape))
        performance, frames = motion.performance, part.stop - part.start
        added = performance.added
        requested = None if added is None else added.replace(values=added.values[part])
        override = np.zeros(frames) if performance.override is None else performance.override[part]
        taken = self.basis.track_displacement(own.replaced_by(requested, override))
        return with_lip_gap(taken, np.zeros(len(taken)), self._opening)

    def head_of(self, speech: Tensor | None, performance: Performance, options: MotionOptions) -> PoseTrack:
        """Performed or sampled head motion, times the factor, within the range of the warp."""
        head = performance.head
        if head is None:
            none = torch.zeros(performance.frames, self.head.config.flow.speech_features)
            head = self.head.motion(
                self.head.flow.speech_mean + none if speech is None else speech,
                rate=MOTION_RATE,
                seed=options.seed,
                liveliness=options.liveliness,
            )
            head = head.replace(values=head.values * _HEAD_SHARES)
        return within_reach(head.replace(values=np.asarray(head.values, dtype=np.float64) * options.head))

    def eyes_of(
        self, performance: Performance, cues: SpeechCues, options: MotionOptions, head: PoseTrack
    ) -> tuple[Floats, Floats]:
        """Lids and gaze, each [T, 2]; a performance that specifies them replaces what is drawn."""
        frames = performance.frames
        tracks = [track for track in (performance.acted, performance.added) if track is not None]
        lids = np.maximum.reduce([np.zeros((frames, 2)), *map(_closed_lids, tracks)])
        gaze = np.sum([np.zeros((frames, 2)), *map(_turned_eyes, tracks)], axis=0)
        if performance.gaze_rad is not None:
            gaze = gaze + performance.gaze_rad
        if options.blinks and not _specifies_lids(performance):
            lids = np.maximum(lids, self.idle.blinks(frames, seed=options.seed, silence=cues.pause))
        if options.gaze and performance.gaze_rad is None and not gaze.any():
            gaze = self.idle.gaze_angles(frames, seed=options.seed, head=head, silence=cues.pause)
        return lids, gaze


@cache
def brow_share() -> Floats:
    """Returns the weight of brows and forehead per vertex [478], 0 to 1, smooth in between."""
    mesh, share = canonical_face(), np.zeros(MEDIAPIPE_COUNT, dtype=np.float32)
    height = mesh[list(_EYE_CORNERS), 1].mean() - mesh[:, 1]
    way = np.clip((height - _BROWS_START_MM) / _BROWS_FADE_MM, 0, 1)
    share[: len(mesh)] = way * way * (3 - 2 * way)
    return share


def _conditioning(performance: Performance) -> Tensor | None:
    """Units that condition the flow, [T, A]; NaN where not specified."""
    if performance.acted is None:
        return None
    units = np.stack([performance.acted.channel(name) for name in CONDITIONING_CONTROLS], axis=1)
    return torch.from_numpy(units)


def _closed_lids(track: AUTrack) -> Floats:
    """Closure of each eye by the units of a track, [T, 2]: right, left; not specified is open."""
    sides = [np.fmax(*(track.channel(f"{unit}{side}") for unit in LID_UNITS)) for side in ("R", "L")]
    return np.nan_to_num(np.stack(sides, axis=1)).astype(np.float64)


def _turned_eyes(track: AUTrack) -> Floats:
    """Turn of the eyes by the units of a track, [T, 2] rad; full intensity is half a radian."""
    mean = {n: (track.channel(f"AU{n}L") + track.channel(f"AU{n}R")) / 4 for n in (61, 62, 63, 64)}
    return np.nan_to_num(np.stack([mean[61] - mean[62], mean[64] - mean[63]], axis=1)).astype(np.float64)


def _specifies_lids(performance: Performance) -> bool:
    """Whether blinks are performed: a recorded track that measures them, or a lid control that is not 0."""
    acted = performance.acted
    if acted is not None and not np.isnan(acted.channel("AU45R")).all():
        return True
    return performance.added is not None and bool(_closed_lids(performance.added).any())
