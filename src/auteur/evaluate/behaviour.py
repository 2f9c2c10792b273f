"""Behaviour of a face: blinks, head, flicker, lips on p b m, mouth in silence. T frames.

Values are meant to be compared with those of the real video: neither many nor few blinks are good.
"""

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from auteur.face.pose import head_pose, without_pose

Floats = NDArray[np.floating]
Flags = NDArray[np.bool_]

BLINK_RISE = 0.3
"""Rise of the eyeBlink blendshape above the open eye from which the eye counts as closed."""
LONGEST_BLINK_SEC = 0.6
CLOSED_SHARE = 0.25
"""Part of the person's usual opening under which lips count as closed."""
CLOSURE_SLACK_FRAMES = 2
STATIC_LEVELS = 1.0
"""Mean change between real frames, in grey levels, under which a place counts as static."""


def blinks_per_minute(closed: Floats, rate: Fraction) -> float:
    """Returns the number of blinks per minute of measured frames: both eyes close and open within 0.6 s.

    Args:
        closed: eyeBlink blendshape [T] in [0, 1], mean of both eyes; NaN where no face was found.
        rate: Frames per second.
    """
    seen = closed[np.isfinite(closed)]
    if not len(seen):
        return np.nan
    open_level = float(np.quantile(seen, 0.2))
    shut = np.nan_to_num(closed, nan=open_level) > open_level + BLINK_RISE
    edges = np.flatnonzero(np.diff(np.concatenate([[False], shut, [False]]).astype(int)))
    lengths = edges[1::2] - edges[::2]
    blinks = int((lengths <= LONGEST_BLINK_SEC * float(rate)).sum())
    return 60.0 * blinks * float(rate) / len(seen)


def head_motion(landmarks: Floats, rate: Fraction) -> tuple[float, float]:
    """Returns spread of the head's rotation in degrees, and its mean speed in degrees per second.

    Spread is the root of the summed variances of pitch, yaw and roll; speed is taken over a fifth of a
    second, so that tracking noise counts little.

    Args:
        landmarks: [T, 478, 3] px; NaN where no face was found.
        rate: Frames per second.
    """
    seen = np.isfinite(landmarks[:, 0, 0])
    if seen.sum() < 2:
        return np.nan, np.nan
    angles = np.full((len(landmarks), 3), np.nan)
    angles[seen] = np.degrees(head_pose(landmarks[seen]).angles_rad)
    spread = float(np.sqrt(np.nanvar(angles, axis=0).sum()))
    step = max(1, round(float(rate) / 5))
    moved = np.linalg.norm(angles[step:] - angles[:-step], axis=1) * float(rate) / step
    return spread, float(np.nanmean(moved)) if np.isfinite(moved).any() else np.nan


def lip_gap_mm(landmarks: Floats) -> Floats:
    """Returns the inner-lip gap [T] in canonical mm of landmarks [T, 478, 3] px; NaN without a face."""
    gap = np.full(len(landmarks), np.nan)
    seen = np.isfinite(landmarks[:, 0, 0])
    if seen.any():
        face = without_pose(landmarks[seen])
        gap[seen] = face[:, 14, 1] - face[:, 13, 1]
    return gap


def closed_gap_mm(gap: Floats) -> float:
    """Returns the gap under which a person's lips count as closed, in mm, from their gap [T] while talking.

    A quarter of the way from the smallest gap (2nd percentile) to a wide one (90th): the tracker reads closed
    lips of many people as some millimetres apart.
    """
    low, wide = np.nanquantile(gap, [0.02, 0.9])
    return float(low + CLOSED_SHARE * (wide - low))


def closed_on_bilabials(gap: Floats, closure: Floats, closed_gap: float) -> float:
    """Returns the share of p, b and m on which the lips meet, in [0, 1]; NaN without such sounds.

    Args:
        gap: Inner-lip gap [T] in mm.
        closure: Probability [T] that the sound needs closed lips; runs above 0.5 are one sound each.
        closed_gap: Gap under which the person's lips count as closed, in mm (`closed_gap_mm`).
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[False], closure > 0.5, [False]]).astype(int)))
    met: list[bool] = []
    for first, stop in zip(edges[::2], edges[1::2], strict=True):
        near = gap[max(0, first - CLOSURE_SLACK_FRAMES) : stop + CLOSURE_SLACK_FRAMES]
        if np.isfinite(near).any():
            met.append(bool(np.nanmin(near) < closed_gap))
    return float(np.mean(met)) if met else np.nan


def motion_in_silence(gap: Floats, silent: Flags, rate: Fraction) -> float:
    """Returns the mean speed of the lip gap in mm per second in pauses; NaN without pauses.

    Only the inside of pauses counts: a fifth of a second at either end belongs to the words around.

    Args:
        gap: Inner-lip gap [T] in mm.
        silent: Whether nothing sounds, [T].
        rate: Frames per second.
    """
    margin = round(float(rate) / 5)
    padded = np.pad(silent, margin, constant_values=True)
    inside = np.asarray(np.lib.stride_tricks.sliding_window_view(padded, 2 * margin + 1).all(axis=1))
    both = inside[1:] & inside[:-1]
    speed = np.abs(np.diff(gap))[both] * float(rate)
    return float(np.nanmean(speed)) if np.isfinite(speed).any() else np.nan


class FlickerMeter:
    """Change between frames where the real video stands still; memory does not grow with length."""

    def __init__(self) -> None:
        self._last: tuple[Floats, Floats] | None = None
        self._generated: Floats | None = None
        self._reference: Floats | None = None
        self._steps = 0

    def add(self, generated: NDArray[np.uint8], reference: NDArray[np.uint8]) -> None:
        """Adds the next frame of both, uint8 [H, W, 3] of one size."""
        both = (_quarter(generated), _quarter(reference))
        if self._last is not None:
            changes = [np.abs(now - before) for now, before in zip(both, self._last, strict=True)]
            self._generated = changes[0] if self._generated is None else self._generated + changes[0]
            self._reference = changes[1] if self._reference is None else self._reference + changes[1]
            self._steps += 1
        self._last = both

    def flicker(self) -> float:
        """Returns the mean change in grey levels per frame; NaN where nothing in the real video is static."""
        if self._generated is None or self._reference is None:
            return np.nan
        static = np.asarray(self._reference / self._steps < STATIC_LEVELS)
        return float((self._generated / self._steps)[static].mean()) if static.any() else np.nan


def _quarter(picture: NDArray[np.uint8]) -> Floats:
    """Luma averaged over blocks of 4 × 4: noise of single pixels is no flicker."""
    height, width = (side // 4 * 4 for side in picture.shape[:2])
    luma = picture[:height, :width].astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32)
    return luma.reshape(height // 4, 4, width // 4, 4).mean(axis=(1, 3))
