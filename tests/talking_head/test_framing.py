"""Crop and size: the largest part of that shape around the face, never beyond the picture."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auteur.errors import UsageError
from auteur.signals import LandmarkTrack
from auteur.talking_head.framing import Framing

SIDES = st.integers(64, 1920)


def test_without_a_crop_it_is_the_whole_picture() -> None:
    view = Framing.parse(None, None).view(257, 131, (100, 50))
    assert (view.left, view.top, view.width, view.height, view.size_px) == (0, 0, 257, 131, (257, 131))


@given(SIDES, SIDES, st.integers(1, 21), st.integers(1, 21), st.floats(0, 1), st.floats(0, 1))
def test_a_crop_lies_in_the_picture_and_has_its_shape(width, height, across, down, x, y) -> None:
    view = Framing.parse(f"{across}:{down}", None).view(width, height, (x * width, y * height))
    assert 0 <= view.left <= width - view.width and 0 <= view.top <= height - view.height
    assert view.width % 2 == view.height % 2 == 0
    assert view.width > width - 2 or view.height > height - 2  # as large as it can be
    exact = min(Fraction(width), Fraction(height * across, down))
    assert abs(view.width - exact) <= 2.5
    assert view.size_px == (view.width, view.height)


@given(SIDES, SIDES, SIDES, SIDES)
def test_two_numbers_are_the_exact_size(width, height, wide, high) -> None:
    view = Framing.parse(None, f"{wide}x{high}").view(width, height, (width / 2, height / 2))
    assert view.size_px == (wide, high)
    assert view.width <= width and view.height <= height


@given(SIDES, SIDES, SIDES)
def test_one_number_is_the_longer_side(width, height, longest) -> None:
    view = Framing.parse(None, str(longest)).view(width, height, (0, 0))
    assert abs(max(view.size_px) - longest) <= 1
    assert (view.width, view.height) == (width, height)


def test_the_face_is_in_the_middle_of_the_crop() -> None:
    view = Framing.parse("9:16", None).view(1600, 900, (1000, 400))
    assert abs(view.left + view.width / 2 - 1000) <= 1
    assert (view.top, view.height) == (0, 900)


def test_landmarks_follow_the_frame() -> None:
    view = Framing.parse(None, "100x200").view(400, 400, (200, 200))
    frame = np.zeros((400, 400, 3), np.uint8)
    frame[180:220, 190:210] = 255
    written = view.scaled(view.cut(frame))
    assert written.shape == (200, 100, 3)
    corner = np.zeros((1, 478, 3), np.float32)
    corner[..., 0], corner[..., 1] = 199.5, 199.5  # middle of the white block
    track = LandmarkTrack(
        values=corner, rate=Fraction(25), convention="mediapipe478", image_size_px=(400, 400)
    )
    moved = view.landmarks(track)
    rows, columns = np.nonzero(written[..., 0] > 128)
    assert moved.image_size_px == (100, 200)
    np.testing.assert_allclose(moved.values[0, 0, :2], [columns.mean(), rows.mean()], atol=0.6)


@pytest.mark.parametrize("crop", ["", "9", "9/16", "0:1", "1:0", "-1:1", "9:16:1", "a:b", "100:1", "1.5:1"])
def test_crops_that_are_none(crop: str) -> None:
    with pytest.raises(UsageError, match="9:16"):
        Framing.parse(crop, None)


@pytest.mark.parametrize(
    "size", ["", "x", "0", "63", "4097", "720x", "x720", "720x1280x3", "big", "-720", "1e3"]
)
def test_sizes_that_are_none(size: str) -> None:
    with pytest.raises(UsageError, match="64 to 4096"):
        Framing.parse(None, size)


def test_crop_and_size_must_agree() -> None:
    assert Framing.parse("9:16", "720x1280").size_px == (720, 1280)
    with pytest.raises(UsageError, match="not of the shape"):
        Framing.parse("9:16", "720x720")
