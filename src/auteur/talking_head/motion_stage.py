"""Speech and a request → performance → motion."""

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from auteur import malloc
from auteur.errors import UsageError, WeightsError
from auteur.expression.curve import NON_NEUTRAL_EMOTIONS
from auteur.facs import EMOTIONS
from auteur.motion.cues import SpeechCues
from auteur.motion.face_flow import SPEECH_SPACE
from auteur.motion.grid import MOTION_RATE
from auteur.motion.guidance import guided_track
from auteur.motion.performance import Origin, Performance
from auteur.motion.posture import emotional_posture
from auteur.motion.speech_motion import Motion, MotionOptions, SpeechMotion
from auteur.signals import AUTrack, Sound
from auteur.speech.features import CompactSpeechFeatures, SpeechFeatures
from auteur.speech.log_mel import LogMelFeatures
from auteur.talking_head.driven import driven_gaze, driven_head
from auteur.talking_head.request import PerformanceRequest
from auteur.talking_head.routes import Routes
from auteur.talking_head.settings import Settings

Value = TypeVar("Value")


def requested_motion(
    encoders: "SpeechEncoders",
    mover: SpeechMotion,
    speech: Sound,
    request: PerformanceRequest,
    settings: Settings,
    routes: Routes | None = None,
) -> Motion:
    """Returns the motion of a face that speaks the speech and follows the request.

    Args:
        encoders: Of the speech.
        mover: Makes the motion.
        speech: At 16 kHz.
        request: Requested emotion, Action Units, tracks, head and gaze.
        settings: Seed, route and idle motion.
        routes: Stages before the motion; None: the shipped ones.
    """
    analysis = encoders.phones.analyse(speech, MOTION_RATE)
    cues, frames = SpeechCues.of_analysis(analysis), len(analysis.features)
    del analysis  # the phones
    features = encoders.features(speech, mover.face.speech_space)
    of_head = None
    if (space := mover.head.speech_space) != mover.face.speech_space:
        of_head = encoders.features(speech, space)
    malloc.trim_heap()
    route = (routes or Routes()).load(settings.route, without_request=request.is_empty)
    predicted = None if route is None else route(speech, request)
    performance = performance_of(request, predicted, frames, settings)
    options = MotionOptions(
        seed=settings.seed or 0,
        temperature=settings.temperature,
        liveliness=settings.liveliness,
        blinks=settings.blinks,
        gaze=settings.gaze,
        head=settings.head,
    )
    return mover.generate(features, performance, cues=cues, options=options, head_speech=of_head)


class SpeechEncoders:
    """Encoders of speech.

    Args:
        phones: For closures and silence.
        lips: For motion models that read the compact set's features.
        others: For motion models that read others, by the name of their features, such as "hubert".
    """

    def __init__(
        self,
        phones: CompactSpeechFeatures,
        lips: CompactSpeechFeatures,
        others: Mapping[str, SpeechFeatures] | None = None,
    ) -> None:
        self.phones, self.lips, self.others = phones, lips, dict(others or {})

    @classmethod
    def shipped(cls) -> "SpeechEncoders":
        """Returns the encoders that come with the package."""
        return cls(CompactSpeechFeatures.shipped(), CompactSpeechFeatures.shipped("lip_encoder"))

    def dim(self, space: str) -> int:
        """Returns the numbers per frame of the features of a name.

        Raises:
            WeightsError: No encoder gives them; the message names the folder to add.
        """
        if space == SPEECH_SPACE:
            return self.lips.dim + LogMelFeatures.dim
        if space not in self.others:
            have = ", ".join((SPEECH_SPACE, *self.others))
            raise WeightsError(
                f"the motion model reads {space!r} speech features and the encoders give {have}; put the "
                f"{space} model that it was trained with into speech_encoder/ of the folder"
            )
        return self.others[space].dim

    def features(self, speech: Sound, space: str) -> Tensor:
        """Returns the features [T, S] of a name at 25 fps.

        Raises:
            WeightsError: As `dim`.
        """
        self.dim(space)
        if space == SPEECH_SPACE:
            return self.lips.analyse(speech, MOTION_RATE).with_bands
        return self.others[space].encode(speech, MOTION_RATE)


def performance_of(
    request: PerformanceRequest, predicted: Performance | None, frames: int, settings: Settings
) -> Performance:
    """Returns the performance of a request: the one place where it becomes Action Units on the motion grid.

    Args:
        request: Emotion, Action Units, track, driving video and source of the lips.
        predicted: Prediction of a route from speech and request; None without one.
        frames: T.
        settings: Guidance and route.

    Raises:
        UsageError: The prediction has another number of frames.
    """
    routed = predicted or Performance(frames=frames)
    if routed.frames != frames:
        raise UsageError(f"the route gives {routed.frames} frames; the speech has {frames}: it needs as many")
    recorded = request.recorded_units(frames)
    shapes = routed.expression
    written = None if routed.acted is None else request.expressed_units(routed.acted)
    if routed.acted is not None and (recorded is not None or _touches(request, routed.acted)):
        shapes = None  # a change of single units has no counterpart in mesh shapes
    acted = _first_specified(recorded, None if shapes is not None else written)
    strengths = request.strengths(frames, seed=settings.seed or 0, liveliness=settings.liveliness)
    added = request.added_units(frames, strengths=strengths if routed.acted is None else None)
    guided = [guided_track(request.scaled(track), settings.motion_guidance) for track in (acted, added)]
    origins = _origins(written, recorded, added, is_heard=request.emotions is None)
    plain = Performance(frames=frames, acted=request.scaled(acted), added=request.scaled(added))
    summary = plain.action_units
    if shapes is not None and written is not None:
        summary = Performance(frames=frames, acted=written, added=request.scaled(added)).action_units
    posture, glance = (
        (None, None) if strengths is None else emotional_posture(NON_NEUTRAL_EMOTIONS, strengths)
    )
    if request.turns_eyes:
        glance = None
    is_gaze_free = request.gaze_track == "track" and not request.turns_eyes
    # A named route, like a track, directs the whole face; what "auto" recognises in the speech leaves the
    # portrait's own expression where it is.
    is_named = predicted is not None and settings.route != "auto"
    return Performance(
        frames=frames,
        acted=guided[0],
        added=guided[1],
        expression=shapes,
        head=_first(driven_head(request, frames), routed.head if request.head_track == "track" else None),
        gaze_rad=_first(driven_gaze(request, frames), routed.gaze_rad if is_gaze_free else None),
        posture=posture,
        posture_gaze_rad=glance,
        lips=request.lip_source,
        override=np.ones(frames) if is_named else request.override(frames),
        origins=origins,
        summary=summary,
        notes=routed.notes,
        emotions=None if strengths is None else _with_neutral(strengths),
        trajectory=routed.trajectory,
    )


def _with_neutral(strengths: NDArray[np.float64]) -> NDArray[np.float64]:
    """Strengths [T, 8] of `EMOTIONS` of those [T, 7] without neutral, which has what is left of 1."""
    whole = np.zeros((len(strengths), len(EMOTIONS)))
    for emotion, column in zip(NON_NEUTRAL_EMOTIONS, strengths.T, strict=True):
        whole[:, EMOTIONS.index(emotion)] = column
    whole[:, EMOTIONS.index("neutral")] = np.clip(1 - strengths.sum(1), 0, 1)
    return whole


def _touches(request: PerformanceRequest, written: AUTrack) -> bool:
    """Whether single units or scales change a unit that a route moves."""
    moved = {name for name in written.channels if np.nan_to_num(written.channel(name)).any()}
    return bool(request.scales or moved & request.single_units().keys())


def _first(first: Value | None, second: Value | None) -> Value | None:
    return second if first is None else first


def _first_specified(first: AUTrack | None, second: AUTrack | None) -> AUTrack | None:
    """The first track, and the second where the first does not specify a control."""
    if first is None or second is None:
        return _first(first, second)
    return first.replace(values=np.where(np.isnan(first.values), second.values, first.values))


def _origins(
    written: AUTrack | None, recorded: AUTrack | None, added: AUTrack | None, *, is_heard: bool
) -> dict[str, Origin]:
    origins: dict[str, Origin] = {}
    for track, origin in (
        (written, Origin.HEARD if is_heard else Origin.REQUESTED),
        (recorded, Origin.REQUESTED),
    ):
        if track is not None:
            origins |= {name: origin for name in track.channels if not np.isnan(track.channel(name)).all()}
    if added is not None:
        origins |= {name: Origin.REQUESTED for name in added.channels if added.channel(name).any()}
    return origins
