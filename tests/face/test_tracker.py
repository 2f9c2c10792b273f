"""Following one face: lost and found again, several faces, and faces that cannot be measured."""

import math

import numpy as np
import pytest
from face_samples import canonical478, posed, reading

from auteur.errors import FaceError
from auteur.face.tracker import FaceTracker, find_face, unusable

pytestmark = pytest.mark.slow

WALL = np.full((192, 192, 3), 120, dtype=np.uint8)


@pytest.fixture(scope="module")
def head(astronaut):
    return np.ascontiguousarray(astronaut[26:218, 128:320])


@pytest.fixture(scope="module")
def couple(head):
    """A large and a small copy of the same head beside each other, 192 × 384."""
    picture = np.full((192, 384, 3), 120, dtype=np.uint8)
    picture[:, :192] = head
    picture[40:136, 240:336] = head.reshape(96, 2, 96, 2, 3).mean(axis=(1, 3))
    return picture


def test_a_face_is_followed(backend, head):
    sightings = []
    tracker = FaceTracker(backend, on_sighting=sightings.append)
    found = list(tracker.track([head, np.roll(head, 3, axis=1), np.roll(head, 6, axis=1)]))
    assert len(sightings) == 1  # searched for once
    moved = [r.center_px[0] - found[0].center_px[0] for r in found]
    assert np.allclose(moved, [0, 3, 6], atol=1.5)


def test_a_lost_face_is_found_again(backend, head):
    sightings = []
    tracker = FaceTracker(backend, on_sighting=sightings.append)
    found = list(tracker.track([head, WALL, WALL, np.roll(head, 20, axis=1), head]))
    assert [r is not None for r in found] == [True, False, False, True, True]
    assert [s.chosen for s in sightings] == [0, 0]


def test_the_largest_of_several_is_taken(backend, couple):
    sightings = []
    found = FaceTracker(backend, on_sighting=sightings.append).step(couple)
    assert found.center_px[0] < 192
    assert sightings[0].faces >= 2
    assert sightings[0].chosen == 0


def test_another_face_can_be_chosen_and_is_kept(backend, couple):
    faces = backend.find(couple)
    right = next(i for i, r in enumerate(faces) if r.center_px[0] > 192)
    tracker = FaceTracker(backend, face=right)
    found = list(tracker.track([couple, np.full_like(couple, 120), couple]))
    assert found[0].center_px[0] > 192
    assert found[2].center_px[0] > 192  # the same person again, not the larger one


def test_a_number_that_is_not_there_is_refused(backend, couple):
    count = len(backend.find(couple))
    with pytest.raises(
        FaceError, match=rf"there are {count} faces, so --face must be 0 to {count - 1}, not 90"
    ):
        find_face(backend, couple, face=90)


def test_no_face_is_an_error_that_names_the_remedy(backend):
    with pytest.raises(FaceError, match=r"no face found in 'wall.png'; use a picture"):
        find_face(backend, WALL, name="wall.png")
    assert list(FaceTracker(backend).track([WALL, WALL])) == [None, None]


def test_nothing_in_nothing_out(backend):
    assert list(FaceTracker(backend).track([])) == []


def test_tiny_faces_are_not_measured():
    assert unusable(reading(posed(canonical478(), scale=1.0))) is None
    assert "must have at least 24 px" in unusable(reading(posed(canonical478(), scale=0.1)))


@pytest.mark.parametrize("degrees", [-75, -65, 65, 75])
def test_faces_turned_too_far_are_not_measured(degrees):
    landmarks = posed(canonical478(), angles_rad=(0, math.radians(degrees), 0))
    assert f"turned away by {abs(degrees)}°; up to 60°" in unusable(reading(landmarks))


@pytest.mark.parametrize("degrees", [-55, 0, 55])
def test_half_profiles_are_measured(degrees):
    assert unusable(reading(posed(canonical478(), angles_rad=(0.2, math.radians(degrees), 0.3)))) is None
