"""Crops: maps there and back, sampling against a slow reference, borders, and framing by landmarks."""

import math

import numpy as np
import pytest
import torch
from face_samples import canonical478, posed
from hypothesis import given, settings
from hypothesis import strategies as st

from auteur.face.crops import CropFrame, apply, cut, frame_of_landmarks, inter_ocular_px, invert

FRAMES = st.builds(
    CropFrame,
    st.tuples(st.floats(-500, 2000), st.floats(-500, 2000)),
    st.floats(5, 3000),
    st.floats(-math.pi, math.pi),
)


def noise(height: int, width: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 256, (height, width, 3), dtype=torch.uint8, generator=torch.manual_seed(seed))


def slow_cut(picture: torch.Tensor, frame: CropFrame, size_px: int) -> np.ndarray:
    """Bilinear sampling, one pixel at a time; black beyond the picture."""
    pixels = np.pad(picture.numpy() / 255.0, ((1, 1), (1, 1), (0, 0)))
    to_picture = invert(frame.matrix(size_px))
    crop = np.zeros((3, size_px, size_px))
    for row in range(size_px):
        for column in range(size_px):
            x, y = apply(to_picture, np.array([column, row], dtype=float)) + 1
            left, top = math.floor(x), math.floor(y)
            if not (0 <= left < pixels.shape[1] - 1 and 0 <= top < pixels.shape[0] - 1):
                continue
            u, v = x - left, y - top
            upper = (1 - u) * pixels[top, left] + u * pixels[top, left + 1]
            lower = (1 - u) * pixels[top + 1, left] + u * pixels[top + 1, left + 1]
            crop[:, row, column] = (1 - v) * upper + v * lower
    return crop


@given(FRAMES, st.integers(16, 256))
def test_inverse_leads_back(frame, size_px):
    matrix = frame.matrix(size_px)
    points = np.array([[0.0, 0.0, 1.0], [700.0, -20.0, -3.0], [12.5, 900.0, 0.0]])
    assert np.allclose(apply(invert(matrix), apply(matrix, points)), points, atol=1e-6)


@given(FRAMES, st.integers(16, 256))
def test_centre_goes_to_the_middle_and_side_to_the_size(frame, size_px):
    matrix = frame.matrix(size_px)
    middle = (size_px - 1) / 2
    assert np.allclose(apply(matrix, np.array(frame.center_px)), middle, atol=1e-6)
    eye_line = np.array([math.cos(frame.roll_rad), math.sin(frame.roll_rad)])
    end = apply(matrix, np.array(frame.center_px) + frame.side_px / 2 * eye_line)
    assert np.allclose(end, [middle + size_px / 2, middle], atol=1e-6)


@pytest.mark.parametrize(
    ("shape", "frame"),
    [
        ((40, 40), CropFrame((20, 20), 24)),
        ((40, 70), CropFrame((50.3, 17.8), 30.5, 0.4)),
        ((70, 40), CropFrame((3.0, 66.0), 33.0, -1.2)),
        ((16, 16), CropFrame((8, 8), 15.0, 3.0)),
        ((30, 50), CropFrame((25, 15), 12.0, 0.1)),
    ],
    ids=["square", "wide", "corner", "whole", "enlarged"],
)
def test_cut_matches_the_slow_reference(shape, frame):
    picture = noise(*shape)
    assert np.abs(cut(picture, frame, 20).numpy() - slow_cut(picture, frame, 20)).max() < 2e-3


@settings(deadline=None, max_examples=25)
@given(st.floats(-10, 50), st.floats(-10, 40), st.floats(6, 23), st.floats(-3.1, 3.1))
def test_cut_matches_the_slow_reference_anywhere(x, y, side_px, roll_rad):
    picture = noise(30, 41)
    frame = CropFrame((x, y), side_px, roll_rad)
    assert np.abs(cut(picture, frame, 12).numpy() - slow_cut(picture, frame, 12)).max() < 2e-3


def test_large_faces_are_averaged():
    checkers = torch.from_numpy(np.indices((256, 256)).sum(axis=0) % 2 * 255).byte()
    crop = cut(checkers[..., None].expand(-1, -1, 3), CropFrame((128, 128), 160), 20)
    assert (crop - 0.5).abs().max() < 0.01


def test_averaging_does_not_move_the_picture():
    ramp = torch.arange(256, dtype=torch.uint8).expand(256, 256)[..., None].expand(-1, -1, 3)
    crop = cut(ramp, CropFrame((131.0, 120.0), 120), 20) * 255  # six pixels become one
    wanted = 131.0 + (torch.arange(20) - 9.5) * 6
    assert (crop[0, 10] - wanted).abs().max() < 0.1


def test_black_outside():
    picture = torch.full((20, 20, 3), 255, dtype=torch.uint8)
    crop = cut(picture, CropFrame((0, 10), 16), 16)
    assert crop[:, :, :7].max() == 0
    assert crop[:, :, 9:].min() == 1


@pytest.mark.parametrize("center", [(-900.0, 10.0), (10.0, -900.0), (900.0, 10.0), (10.0, 900.0)])
def test_frame_far_outside_is_black(center):
    crop = cut(noise(20, 30), CropFrame(center, 50), 16)
    assert crop.shape == (3, 16, 16)
    assert crop.abs().max() == 0


@given(st.floats(-3.0, 3.0), st.floats(0.2, 5.0))
def test_frame_turns_and_grows_with_the_face(roll_rad, scale):
    upright = frame_of_landmarks(posed(canonical478()))
    turned = frame_of_landmarks(posed(canonical478(), angles_rad=(0, 0, roll_rad), scale=scale))
    assert math.isclose(turned.side_px, scale * upright.side_px, rel_tol=1e-6)
    difference = turned.roll_rad - upright.roll_rad - roll_rad
    assert math.isclose(math.cos(difference), 1, abs_tol=1e-9)


def test_frame_is_the_box_of_an_upright_face():
    face = posed(canonical478())
    face[:, 1] -= (
        (face[263, 1] - face[33, 1]) / (face[263, 0] - face[33, 0]) * face[:, 0]
    )  # exactly level eyes
    low, high = face[:, :2].min(axis=0), face[:, :2].max(axis=0)
    frame = frame_of_landmarks(face, crop_to_face=1.0)
    assert np.allclose(frame.center_px, (low + high) / 2)
    assert math.isclose(frame.side_px, max(high - low))
    assert abs(frame.roll_rad) < 1e-9


def test_inter_ocular_distance():
    face = posed(canonical478(), scale=2.0)
    expected = np.linalg.norm((canonical478()[263] - canonical478()[33])[:2]) * 2
    assert np.isclose(inter_ocular_px(np.stack([face, face]))[1], expected)
