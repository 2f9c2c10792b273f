"""Idle motion of eyes: blinks and gaze, drawn from statistics of people who talk and phrased with the speech.

Every function takes a seed; the same seed gives the same motion at any length.
"""

from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from auteur.motion.noise import event_generator
from auteur.signals import PoseTrack

Floats = NDArray[np.floating]

POSE_CONVENTION = "relative_canonical_mm"
"""Convention of head motion: rotation and translation relative to the portrait's pose, in millimetres."""

HABIT_RATE = Fraction(25)

_SHORTEST_BLINK_INTERVAL_SEC = 0.5
_LARGEST_GAZE_RAD = 0.35
_SACCADE_SEC = 0.045
_HEAD_COMPENSATION = 0.8
"""Share of the head's rotation that the eyes compensate, 0 to 1."""
_NEAR_PAUSE_SEC = 0.7
"""A blink this near to the start of a pause moves there: people blink between phrases (Nakano & Kitazawa
2010)."""
_THOUGHT_PAUSE_SEC = 0.35
"""Shortest pause before which people look away."""
_LOOKS_AWAY = 0.5
"""Share of such pauses in which they do (Kendon 1967: away before a phrase, back at its end)."""
_AWAY_RAD = (0.16, 0.10)
"""Typical size of such a look, sideways and vertical."""


class FaceHabits(nn.Module):
    """Statistics of blinks and gaze (fitted by `auteur.lab.train.habits`), and samples from them."""

    blink: Tensor
    """[5]: mean and deviation of the log of the seconds between blinks, then seconds of closing, of staying
    closed and of opening."""
    gaze: Tensor
    """[4]: deviation of the gaze sideways and vertical in rad, mean and deviation of the log of the seconds
    of a fixation."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("blink", torch.zeros(5))
        self.register_buffer("gaze", torch.zeros(4))

    def blinks(
        self, frames: int, *, seed: int, silence: Floats | None = None, rate: Fraction = HABIT_RATE
    ) -> Floats:
        """Returns the closure of the lids, [T, 2] (right, left), 0 to 1; both blink together.

        Args:
            frames: How many.
            seed: Of the blinks.
            silence: Pauses of the speech, [T] 0 to 1; blinks near the start of one move there.
            rate: Frames per second.
        """
        mean, deviation, closing, closed, opening = self.blink.tolist()
        random = event_generator(seed, "blink")
        times = np.arange(frames) / float(rate)
        found = [] if silence is None else pauses(silence)
        starts = np.array([first for first, _ in found]) / float(rate)
        lids, drawn, last = np.zeros(frames), 0.0, -1.0
        while True:
            drawn += max(_SHORTEST_BLINK_INTERVAL_SEC, float(np.exp(random.normal(mean, deviation))))
            depth, pace = random.uniform(0.85, 1.0), random.uniform(0.9, 1.15)
            if drawn > times[-1]:
                return np.repeat(lids[:, None], 2, axis=1)
            near = starts[np.abs(starts - drawn) < _NEAR_PAUSE_SEC]
            start = float(near[np.argmin(np.abs(near - drawn))]) if near.size else drawn
            if start - last < _SHORTEST_BLINK_INTERVAL_SEC:
                continue
            last = start
            shape = blink_shape((times - start) / pace, closing=closing, closed=closed, opening=opening)
            lids = np.maximum(lids, depth * shape)

    def gaze_angles(
        self, frames: int, *, seed: int, head: PoseTrack | None = None, silence: Floats | None = None
    ) -> Floats:
        """Returns the turn of the eyes in the head at 25 fps, [T, 2] rad: x (+ picture right), y (+ down).

        Fixations around the camera, with quick small saccades between them; in half of the pauses before a
        phrase the eyes look away and come back as it begins; they keep their target while the head moves.

        Args:
            frames: How many.
            seed: Of the gaze.
            head: Head motion that the eyes compensate.
            silence: Pauses of the speech, [T] 0 to 1.
        """
        across, down, mean, deviation = self.gaze.tolist()
        random = event_generator(seed, "gaze")
        times = np.arange(frames) / float(HABIT_RATE)
        gaze = np.zeros((frames, 2))
        moment, target = 0.0, np.zeros(2)
        while moment <= times[-1]:
            moment += float(np.exp(random.normal(mean, deviation)))
            away = random.standard_normal(2) * (across, down)
            new = away if random.uniform() < 0.6 else np.zeros(2)  # back to the camera
            gaze += np.clip((times - moment) / _SACCADE_SEC, 0, 1)[:, None] * (new - target)
            target = new
        if silence is not None:
            gaze += _looks_away(pauses(silence), times, event_generator(seed, "look away"))
        if head is not None:
            # Yaw to the subject's left is picture right; pitch up is -y.
            gaze = gaze - _HEAD_COMPENSATION * head.values[:, [1, 0]] * (1.0, -1.0)
        return np.clip(gaze, -_LARGEST_GAZE_RAD, _LARGEST_GAZE_RAD)


def pauses(silence: Floats) -> list[tuple[int, int]]:
    """Returns first frame and frame after the last of every pause of a silence curve [T], 0 to 1."""
    edges = np.diff(np.pad((np.asarray(silence) > 0.5).astype(int), 1))
    return list(zip(np.flatnonzero(edges == 1).tolist(), np.flatnonzero(edges == -1).tolist(), strict=True))


def _looks_away(found: list[tuple[int, int]], times: Floats, random: np.random.Generator) -> Floats:
    """Turn of the eyes [T, 2] in some of the pauses that a phrase follows."""
    gaze = np.zeros((len(times), 2))
    for first, after in found:
        is_away, turn = random.uniform() < _LOOKS_AWAY, random.standard_normal(2)
        late = random.uniform(0, 0.25)
        long_enough = (after - first) / float(HABIT_RATE) >= _THOUGHT_PAUSE_SEC
        if is_away and long_enough and after < len(times):
            since, until = times - times[first] - late, times - times[after]
            share = np.clip(since / _SACCADE_SEC, 0, 1) - np.clip(until / _SACCADE_SEC, 0, 1)
            gaze += np.clip(share, 0, 1)[:, None] * turn * _AWAY_RAD
    return gaze


def blink_shape(time_sec: Floats, *, closing: float, closed: float, opening: float) -> Floats:
    """Returns the closure of the lids at times from the start of a blink: fast down, slower up."""
    down = _ease(time_sec / closing)
    up = _ease((time_sec - closing - closed) / opening)
    return np.minimum(down, 1 - up)


def _ease(x: Floats) -> Floats:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)
