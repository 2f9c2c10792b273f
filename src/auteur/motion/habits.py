"""What faces do by themselves: head motion, blinks and gaze, drawn from statistics of people who talk.

Every function takes a seed; the same seed gives the same motion, at any length asked for.
"""

from fractions import Fraction

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from auteur.motion.noise import event_generator, frame_noise
from auteur.signals import PoseTrack

Floats = NDArray[np.floating]

POSE_CONVENTION = "relative_canonical_mm"
"""Convention of head motion: rotation and translation relative to the portrait's pose, in millimetres."""

HEAD_REACH_FRAMES = 75
HABIT_RATE = Fraction(25)

_STILL_SHARE = 0.4
_SHORTEST_BLINK_INTERVAL_SEC = 0.5
_LARGEST_GAZE_RAD = 0.35
_SACCADE_SEC = 0.045
_HEAD_COMPENSATION = 0.8
"""How far the eyes stay on their target when the head turns."""


_STEADY = np.exp(-0.5 * (np.arange(-6, 7) / 2.0) ** 2)
_STEADY /= _STEADY.sum()
"""A deviation of 80 ms: the autocovariance was measured on tracks, and their trembling is in it. With that,
heads turned by 34 degrees a second where tracked people do by 21; so they do by 18."""


class FaceHabits(nn.Module):
    """The statistics (fitted by `auteur.train.habits`) and what is drawn from them."""

    head_kernel: Tensor
    """[6, 151]: filter that gives white noise at 25 fps the autocovariance of each pose channel."""
    head_mixing: Tensor
    """[6, 6]: Cholesky factor of the correlation between the channels."""
    blink: Tensor
    """[5]: mean and deviation of the log of the seconds between blinks, then seconds of closing, of staying
    closed and of opening."""
    gaze: Tensor
    """[4]: deviation of the gaze sideways and vertical in rad, mean and deviation of the log of the seconds
    of a fixation."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("head_kernel", torch.zeros(6, 2 * HEAD_REACH_FRAMES + 1))
        self.register_buffer("head_mixing", torch.eye(6))
        self.register_buffer("blink", torch.zeros(5))
        self.register_buffer("gaze", torch.zeros(4))

    def head_motion(
        self, frames: int, *, seed: int, amount: float = 1.0, activity: Floats | None = None
    ) -> PoseTrack:
        """Returns head motion relative to the portrait's pose at 25 fps.

        Args:
            frames: How many.
            seed: Same seed, same motion.
            amount: Factor on what people do.
            activity: How much is being said, [T] in [0, 1]; heads move less in silence.
        """
        reach = HEAD_REACH_FRAMES
        noise = frame_noise(seed, "head", -reach, frames + reach, 6) @ self.head_mixing.numpy().T
        kernel = [np.convolve(row, _STEADY, mode="same") for row in self.head_kernel.numpy()]
        values = np.stack([np.convolve(noise[:, c], kernel[c], mode="valid") for c in range(6)], axis=1)
        if activity is not None:
            values *= (_STILL_SHARE + (1 - _STILL_SHARE) * _slow(activity, 20))[:, None]
        return PoseTrack(
            values=(amount * values).astype(np.float32), rate=HABIT_RATE, convention=POSE_CONVENTION
        )

    def blinks(self, frames: int, *, seed: int, rate: Fraction = HABIT_RATE) -> Floats:
        """Returns how far the lids are closed, [T, 2] (right, left), 0 to 1; both blink together."""
        mean, deviation, closing, closed, opening = self.blink.tolist()
        random = event_generator(seed, "blink")
        times = np.arange(frames) / float(rate)
        lids = np.zeros(frames)
        start = 0.0
        while True:
            start += max(_SHORTEST_BLINK_INTERVAL_SEC, float(np.exp(random.normal(mean, deviation))))
            if start > times[-1]:
                return np.repeat(lids[:, None], 2, axis=1)
            depth, pace = random.uniform(0.85, 1.0), random.uniform(0.9, 1.15)
            shape = blink_shape((times - start) / pace, closing=closing, closed=closed, opening=opening)
            lids = np.maximum(lids, depth * shape)

    def gaze_angles(self, frames: int, *, seed: int, head: PoseTrack | None = None) -> Floats:
        """Returns the turn of the eyes in the head at 25 fps, [T, 2] rad: x (+ picture right), y (+ down).

        Fixations around the camera, with quick small saccades between them; eyes keep their target while the
        head moves.
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
        if head is not None:
            turn = head.values[:, [1, 0]] * (
                1.0,
                -1.0,
            )  # yaw to the subject's left is picture right; pitch up is -y
            gaze = gaze - _HEAD_COMPENSATION * turn
        return np.clip(gaze, -_LARGEST_GAZE_RAD, _LARGEST_GAZE_RAD)


def blink_shape(time_sec: Floats, *, closing: float, closed: float, opening: float) -> Floats:
    """Returns how far the lids are closed at times from the start of a blink: fast down, slower up."""
    down = _ease(time_sec / closing)
    up = _ease((time_sec - closing - closed) / opening)
    return np.minimum(down, 1 - up)


def _ease(x: Floats) -> Floats:
    x = np.clip(x, 0, 1)
    return x * x * (3 - 2 * x)


def _slow(values: Floats, frames: int) -> Floats:
    kernel = np.hanning(2 * frames + 1)
    padded = np.pad(values, frames, mode="edge")
    return np.convolve(padded, kernel / kernel.sum(), mode="valid")
