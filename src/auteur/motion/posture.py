"""Head and gaze that belong to an emotion, added to the motion that is drawn for the speech.

Axes: T frames at 25 per second, K emotions.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from auteur.facs import POSTURES
from auteur.motion.grid import MOTION_RATE
from auteur.motion.idle_motion import POSE_CONVENTION
from auteur.motion.performance import Performance
from auteur.signals import PoseTrack

Floats = NDArray[np.floating]

LARGEST_TURN_RAD = np.radians([20.0, 25.0, 15.0])
"""Pitch, yaw and roll that a head approaches but never passes: beyond them the warp has no pixels."""


def emotional_posture(emotions: Sequence[str], strengths: Floats) -> tuple[PoseTrack, Floats]:
    """Returns the pose that is added to the head, and the turn [T, 2] rad that is added to the eyes.

    Args:
        emotions: K labels of `auteur.facs.POSTURES`.
        strengths: [T, K] from 0 to 1.2; postures of several emotions add up.
    """
    heads = np.array([POSTURES[emotion].head_rad for emotion in emotions])
    eyes = np.array([POSTURES[emotion].gaze_rad for emotion in emotions])
    values = np.zeros((len(strengths), 6), dtype=np.float32)
    values[:, :3] = strengths @ heads
    return PoseTrack(values=values, rate=MOTION_RATE, convention=POSE_CONVENTION), strengths @ eyes


def within_reach(head: PoseTrack) -> PoseTrack:
    """Returns a head motion whose angles approach `LARGEST_TURN_RAD` but never pass it."""
    values = np.array(head.values, dtype=np.float64)
    values[:, :3] = LARGEST_TURN_RAD * np.tanh(values[:, :3] / LARGEST_TURN_RAD)
    return head.replace(values=values)


def with_posture(
    head: PoseTrack, gaze_rad: Floats, performance: Performance, *, head_factor: float, gaze: bool
) -> tuple[PoseTrack, Floats]:
    """Returns head motion and gaze [T, 2] with the posture of a performance.

    Args:
        head: Drawn or performed.
        gaze_rad: Drawn or performed, [T, 2].
        performance: Head and gaze that it specifies stay as they are.
        head_factor: Factor on head motion.
        gaze: Whether eyes move by themselves.
    """
    if performance.posture is not None and performance.head is None and head_factor:
        turned = np.asarray(head.values, dtype=np.float64) + head_factor * performance.posture.values
        head = within_reach(head.replace(values=turned))
    if performance.posture_gaze_rad is not None and performance.gaze_rad is None and gaze:
        gaze_rad = gaze_rad + performance.posture_gaze_rad
    return head, gaze_rad
