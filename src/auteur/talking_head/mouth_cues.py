"""Speech → mouth cues for 2-D animation, from the lips of the motion generator."""

import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np

from auteur.errors import UsageError
from auteur.face.pose import canonical_face
from auteur.files import check_writable
from auteur.formats.rhubarb import CUE_SUFFIXES, MouthCue
from auteur.media import SpeechNotes, open_speech
from auteur.motion.cues import SpeechCues
from auteur.motion.grid import MOTION_RATE
from auteur.motion.mouth import lip_gap
from auteur.motion.mouth_shapes import MouthMotion, cues_of_shapes, mouth_shapes
from auteur.motion.speech_motion import MotionOptions, SpeechMotion
from auteur.signals.topology import LIP_CORNERS
from auteur.speech.phones import ARTICULATIONS, phone_index
from auteur.talking_head.motion_stage import SpeechEncoders, performance_of
from auteur.talking_head.request import PerformanceRequest
from auteur.talking_head.settings import Settings

_BLOCK_FRAMES = 256


def check_cues(path: Path, *, overwrite: bool = False) -> None:
    """Checks early that cues can be written.

    Raises:
        UsageError: The name has another ending than `CUE_SUFFIXES`.
        InputError: The file cannot be written.
    """
    if path.suffix.lower() not in CUE_SUFFIXES:
        raise UsageError(
            f"mouth cues are written as {', '.join(CUE_SUFFIXES)}, and {str(path)!r} ends in {path.suffix!r}"
        )
    check_writable(path, overwrite=overwrite)


def mouth_cues(
    speech: Path,
    requested: PerformanceRequest,
    *,
    seed: int = 0,
    on_frame: Callable[[int], None] | None = None,
) -> tuple[list[MouthCue], SpeechNotes]:
    """Returns the mouth shapes of a recording over time, and notes about the recording.

    Lips move as in a video of the same seed, on a head of average size; Action Units and emotions of the
    performance move them, too.

    Args:
        speech: Sound file, or a video with sound.
        requested: Emotion, Action Units and tracks that the face shows as well.
        seed: Of the motion.
        on_frame: Called with the number of motion frames done, 25 a second.

    Raises:
        MediaError: The recording cannot be read.
    """
    voice, heard = open_speech(speech)
    encoders, mover = SpeechEncoders.shipped(), SpeechMotion.shipped()
    analysis = encoders.phones.analyse(voice, MOTION_RATE)
    frames, speech_cues = len(analysis.features), SpeechCues.of_analysis(analysis)
    motion = mover.generate(
        encoders.features(voice, mover.face.speech_space),
        performance_of(requested, None, frames, Settings()),
        cues=speech_cues,
        options=MotionOptions(seed=seed),
    )
    gaps, widths = np.empty(frames), np.empty(frames)
    right, left = LIP_CORNERS
    at_rest = canonical_face()[left, 0] - canonical_face()[right, 0]
    for first in range(0, frames, _BLOCK_FRAMES):
        moved = mover.displacement_mm(motion, first, first + _BLOCK_FRAMES)
        part = slice(first, first + len(moved))
        gaps[part] = lip_gap(moved)
        widths[part] = 1 + (moved[:, left, 0] - moved[:, right, 0]) / at_rest
        if on_frame:
            on_frame(part.stop)
    likely = {name: analysis.articulation[:, ARTICULATIONS.index(name)].numpy() for name in ARTICULATIONS}
    shapes = mouth_shapes(
        MouthMotion(
            gap_mm=gaps,
            width=widths,
            silence=speech_cues.silence,
            labiodental=likely["labiodental"],
            rounded=likely["rounded"],
            lateral=analysis.phones[:, phone_index("l")].numpy(),
        )
    )
    end = Fraction(voice.duration_sec)
    heard_frames = min(frames, max(1, math.ceil(end * MOTION_RATE)))
    return cues_of_shapes(shapes[:heard_frames], rate=MOTION_RATE, end_sec=end), heard
