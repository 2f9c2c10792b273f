"""Blinks, head, flicker, lips: closed forms on made signals."""

from fractions import Fraction

import numpy as np
import pytest

from auteur.evaluate import behaviour
from auteur.face.pose import HeadPose, canonical_face, rotation_of, with_pose

RATE = Fraction(25)


def blinking(starts: tuple[int, ...], length: int, frames: int = 250) -> np.ndarray:
    closed = np.full(frames, 0.1)
    for start in starts:
        closed[start : start + length] = 0.8
    return closed


def faces(yaw_deg: np.ndarray, gap_mm: np.ndarray | None = None) -> np.ndarray:
    """Landmarks [T, 478, 3] of the canonical head turned by some angles, lips apart by some millimetres."""
    face = np.tile(np.concatenate([canonical_face(), np.zeros((10, 3))]), (len(yaw_deg), 1, 1))
    if gap_mm is not None:
        face[:, 14, 1] = face[:, 13, 1] + gap_mm
    angles = np.zeros((len(yaw_deg), 3))
    angles[:, 1] = np.radians(yaw_deg)
    pose = HeadPose(rotation_of(angles), np.full(len(yaw_deg), 2.0), np.full((len(yaw_deg), 3), 100.0))
    return with_pose(face, pose)


def test_blinks_are_counted_and_long_closures_are_none():
    assert behaviour.blinks_per_minute(blinking((20, 100, 180), 5), RATE) == pytest.approx(18)
    assert behaviour.blinks_per_minute(blinking((20,), 50), RATE) == 0
    assert behaviour.blinks_per_minute(np.full(50, 0.4), RATE) == 0
    assert np.isnan(behaviour.blinks_per_minute(np.full(5, np.nan), RATE))


def test_a_lost_face_is_no_blink_and_no_time():
    closed = blinking((20, 100), 5)
    closed[200:] = np.nan
    assert behaviour.blinks_per_minute(closed, RATE) == pytest.approx(2 * 60 / 8)


def test_head_motion_is_in_degrees():
    yaw = 10 * np.sin(np.linspace(0, 20 * np.pi, 1000))
    spread, speed = behaviour.head_motion(faces(yaw), RATE)
    assert spread == pytest.approx(10 / np.sqrt(2), rel=0.01)
    steady, _ = behaviour.head_motion(faces(np.zeros(30)), RATE)
    assert steady == pytest.approx(0, abs=1e-6)
    _, turning = behaviour.head_motion(faces(np.arange(20.0)), RATE)
    assert turning == pytest.approx(25, rel=0.01) and speed > 0


def test_head_motion_without_a_face_is_not_measured():
    assert np.isnan(behaviour.head_motion(np.full((9, 478, 3), np.nan), RATE)).all()


def test_the_lip_gap_is_in_millimetres_whatever_the_pose():
    gap = behaviour.lip_gap_mm(faces(np.linspace(-20, 20, 9), np.linspace(0, 8, 9)))
    assert gap == pytest.approx(np.linspace(0, 8, 9), abs=1e-6)


def test_lips_that_miss_a_p_are_counted():
    gap, closure = np.full(60, 6.0), np.zeros(60)
    for start in (10, 30, 50):
        closure[start : start + 3] = 0.9
    gap[10:13] = 0.2
    gap[28] = 0.1  # two frames early
    closed = behaviour.closed_gap_mm(gap)
    assert 0.2 < closed < 6
    assert behaviour.closed_on_bilabials(gap, closure, closed) == pytest.approx(2 / 3)
    assert np.isnan(behaviour.closed_on_bilabials(gap, np.zeros(60), closed))


def test_motion_in_silence_counts_the_inside_of_pauses_only():
    gap = np.where(np.arange(100) % 2 == 0, 0.0, 0.4)
    silent = np.zeros(100, dtype=bool)
    silent[40:70] = True
    gap[50:60] = 0.0
    all_still = np.where((np.arange(100) >= 45) & (np.arange(100) < 65), 0.0, gap)
    assert behaviour.motion_in_silence(all_still, silent, RATE) == 0
    assert 0 < behaviour.motion_in_silence(gap, silent, RATE) < 10
    assert np.isnan(behaviour.motion_in_silence(gap, np.zeros(100, dtype=bool), RATE))


def test_flicker_is_change_where_the_real_video_stands_still():
    still = np.full((40, 40, 3), 100, np.uint8)
    moving = [still.copy() for _ in range(10)]
    for i, frame in enumerate(moving):
        frame[:20] = 20 * i  # moves in both: does not count
    jumping = [np.clip(frame + 5 * (i % 2), 0, 255).astype(np.uint8) for i, frame in enumerate(moving)]
    values = {}
    for name, made in {"same": moving, "jumping": jumping}.items():
        meter = behaviour.FlickerMeter()
        for frame, real in zip(made, moving, strict=True):
            meter.add(frame, real)
        values[name] = meter.flicker()
    assert values == {"same": 0, "jumping": pytest.approx(5, abs=0.01)}
    whole = behaviour.FlickerMeter()
    for level in (0, 200, 0):
        frame = np.full((40, 40, 3), level, np.uint8)
        whole.add(frame, frame)
    assert np.isnan(whole.flicker()), "nothing is static"
