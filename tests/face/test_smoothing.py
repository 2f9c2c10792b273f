"""Smoothing over time: jitter goes, blinks, lip closures and head motion stay, frames are never lost."""

import numpy as np
import pytest
from face_samples import canonical478, posed, reading

from auteur.face.smoothing import smooth_readings

FACE = posed(canonical478(), scale=1.5)
RIGHT_LID = [159, 158, 160]
LOWER_LIP = [14, 17, 87, 317]
PULSE = [0, 0, 0, 0, 0.5, 1.0, 0.5, 0, 0, 0, 0]


def smoothed(readings):
    return list(smooth_readings(iter(readings)))


@pytest.mark.parametrize("count", range(9))
def test_as_many_come_out_as_went_in(count):
    readings = [reading(FACE, confidence=index / 10) for index in range(count)]
    assert [r.confidence for r in smoothed(readings)] == [r.confidence for r in readings]


@pytest.mark.parametrize("pattern", ["x", "xx.xx", ".x.", "xxxxx..xxx", "..."])
def test_lost_frames_stay_where_they_were(pattern):
    found = smoothed([reading(FACE) if mark == "x" else None for mark in pattern])
    assert "".join("." if r is None else "x" for r in found) == pattern


def test_nothing_is_averaged_across_a_lost_face():
    before, after = reading(FACE, np.full(52, 0.50)), reading(FACE, np.full(52, 0.51))
    alone = smoothed([before, before, None, after, after])
    assert np.allclose(alone[1].blendshapes, 0.50)
    assert np.allclose(alone[3].blendshapes, 0.51)
    together = smoothed([before, before, after, after])
    assert 0.501 < together[1].blendshapes[0] < 0.509


@pytest.mark.parametrize(
    ("vertices", "height_px"), [(RIGHT_LID, 12.0), (LOWER_LIP, 15.0)], ids=["blink", "lip closure"]
)
def test_a_short_movement_keeps_its_height_and_its_frame(vertices, height_px):
    readings = []
    for share in PULSE:
        face = FACE.copy()
        face[vertices, 1] += height_px * share
        readings.append(reading(face, np.full(52, share)))
    found = smoothed(readings)
    for heights in (
        np.array([r.landmarks[vertices[0], 1] - FACE[vertices[0], 1] for r in found]) / height_px,
        np.array([r.blendshapes[9] for r in found]),
    ):
        assert heights.argmax() == 5
        assert heights[5] - heights[0] > 0.95
        assert np.abs(heights - heights[::-1]).max() < 0.01  # neither early nor late


def test_jitter_of_a_still_face_is_reduced():
    random = np.random.default_rng(0)
    noise_px = 0.003 * reading(FACE).size_px
    readings = [
        reading(FACE + random.normal(0, noise_px, FACE.shape), 0.5 + random.normal(0, 0.02, 52))
        for _ in range(60)
    ]
    found = smoothed(readings)[2:-2]
    before = np.std([r.landmarks[:, :2] for r in readings[2:-2]], axis=0).mean()
    after = np.std([r.landmarks[:, :2] for r in found], axis=0).mean()
    assert after < 0.7 * before
    before = np.std([r.blendshapes for r in readings[2:-2]], axis=0).mean()
    assert np.std([r.blendshapes for r in found], axis=0).mean() < 0.7 * before


@pytest.mark.parametrize("speed_px", [0.5, 3.0, 20.0])
def test_a_moving_head_is_not_delayed(speed_px):
    readings = [reading(FACE + index * speed_px * np.array([1.0, 0.5, 0.0])) for index in range(12)]
    for before, after in zip(readings, smoothed(readings), strict=True):
        assert np.abs(before.landmarks - after.landmarks).max() < 0.02


def test_a_sudden_jump_of_the_head_is_kept():
    readings = [reading(FACE + (index >= 5) * np.array([40.0, 0.0, 0.0])) for index in range(10)]
    found = smoothed(readings)
    assert np.abs(found[4].landmarks - readings[4].landmarks).max() < 0.02
    assert np.abs(found[5].landmarks - readings[5].landmarks).max() < 0.02
