"""The shipped tracker on a real face at many sizes, and on pictures without one."""

import numpy as np
import pytest
from PIL import Image

from auteur.face.crops import inter_ocular_px
from auteur.face.pose import MIRROR, head_pose

pytestmark = pytest.mark.slow

FACE_PX = 105.0
EYES = np.array([[203.3, 101.0], [246.4, 103.6]])
"""The pupils in the photograph: the subject's right eye, then the left."""


def eye_error(reading, eyes) -> float:
    """Distance of the irises from where they are, in inter-ocular distances."""
    distance = np.linalg.norm(reading.landmarks[[468, 473], :2] - eyes, axis=1)
    return float(distance.max() / inter_ocular_px(reading.landmarks))


def nearest(readings, eyes):
    """The reading of the face whose eyes are there; others may be false."""
    return min(readings, key=lambda reading: eye_error(reading, eyes))


def scaled(picture, scale: float):
    size = (round(picture.shape[1] * scale), round(picture.shape[0] * scale))
    return np.array(Image.fromarray(picture).resize(size, Image.Resampling.BOX if scale < 1 else 3))


def test_finds_the_face(backend, astronaut):
    found = backend.find(astronaut)[0]
    assert found.landmarks.shape == (478, 3)
    assert found.blendshapes.shape == (52,)
    assert found.confidence > 0.95
    assert eye_error(found, EYES) < 0.08
    assert 85 < found.size_px < 125
    assert np.degrees(np.abs(head_pose(found.landmarks).angles_rad)).max() < 15


def test_a_60_px_face_in_a_900_px_picture(backend, astronaut):
    small = scaled(astronaut, 60 / FACE_PX)
    picture = np.full((900, 900, 3), 90, dtype=np.uint8)
    picture[500 : 500 + len(small), 80 : 80 + len(small)] = small
    eyes = EYES * len(small) / 512 + [80, 500]
    assert eye_error(nearest(backend.find(picture), eyes), eyes) < 0.12


@pytest.mark.parametrize(("top", "left", "size"), [(60, 170, 110), (40, 150, 150), (0, 64, 320)])
@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_faces_that_fill_the_frame(backend, astronaut, top, left, size, scale):
    picture = scaled(np.ascontiguousarray(astronaut[top : top + size, left : left + size]), scale)
    eyes = (EYES - [left, top]) * scale
    assert eye_error(nearest(backend.find(picture), eyes), eyes) < 0.12


def test_grey_pictures(backend, astronaut):
    grey = np.repeat(astronaut.mean(axis=2, keepdims=True).astype(np.uint8), 3, axis=2)
    assert eye_error(nearest(backend.find(grey), EYES), EYES) < 0.08


def test_wide_and_tall_pictures(backend, astronaut):
    for region in (np.s_[30:230, :], np.s_[:, 120:330]):
        picture = np.ascontiguousarray(astronaut[region])
        offset = [0, 30] if picture.shape[1] == 512 else [120, 0]
        assert eye_error(nearest(backend.find(picture), EYES - offset), EYES - offset) < 0.1


def test_mirrored_pictures_give_mirrored_landmarks(backend, astronaut):
    found = nearest(backend.find(astronaut), EYES).landmarks
    mirrored_eyes = [511, 0] + EYES[::-1] * [-1, 1]
    mirrored = backend.find(np.ascontiguousarray(astronaut[:, ::-1]))
    turned = nearest(mirrored, mirrored_eyes).landmarks[MIRROR]
    turned[:, 0] = 511 - turned[:, 0]
    distance = np.linalg.norm(turned[:, :2] - found[:, :2], axis=1).mean()
    assert distance < 0.05 * inter_ocular_px(found)


@pytest.mark.parametrize(("dx", "dy"), [(1, 0), (0, 1), (-2, 1), (2, -2)])
def test_readings_move_with_the_picture(backend, astronaut, dx, dy):
    first = nearest(backend.find(astronaut), EYES)
    moved = backend.follow(np.roll(astronaut, (dy, dx), axis=(0, 1)), first)
    again = backend.follow(astronaut, first)
    change = moved.landmarks[:, :2] - again.landmarks[:, :2] - [dx, dy]
    assert np.linalg.norm(change, axis=1).mean() < 0.03 * inter_ocular_px(first.landmarks)
    assert np.abs(moved.blendshapes - again.blendshapes).mean() < 0.02


def test_readings_repeat(backend, astronaut):
    first, second = backend.find(astronaut)[0], backend.find(astronaut)[0]
    assert np.array_equal(first.landmarks, second.landmarks)
    assert np.array_equal(first.blendshapes, second.blendshapes)


def test_largest_first(backend, astronaut):
    sizes = [r.size_px for r in backend.find(np.concatenate([astronaut, astronaut], axis=1))]
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) >= 2


def test_a_face_that_left_is_lost(backend, astronaut):
    first = nearest(backend.find(astronaut), EYES)
    assert backend.follow(np.full_like(astronaut, 120), first) is None
    assert backend.follow(np.zeros((8, 8, 3), dtype=np.uint8), first) is None


def gradient() -> np.ndarray:
    red, green = np.meshgrid(np.linspace(0, 255, 300), np.linspace(0, 255, 200))
    return np.stack([red, green, 255 - red], axis=2).astype(np.uint8)


@pytest.mark.parametrize("seed", range(4))
def test_no_face_in_noise_and_gradients(backend, seed):
    random = np.random.default_rng(seed)
    assert not backend.find(random.integers(0, 256, (240, 320, 3), dtype=np.uint8))
    assert not backend.find(scaled(random.integers(0, 256, (24, 32, 3), dtype=np.uint8), 10.0))
    assert not backend.find(np.full((200, 300, 3), 60 * seed, dtype=np.uint8))
    assert not backend.find(np.rot90(gradient(), seed).copy())


@pytest.mark.parametrize("size", [(1, 1), (2, 300), (300, 2), (16, 16)])
def test_pictures_too_small_for_a_face(backend, size):
    assert backend.find(np.full((*size, 3), 128, dtype=np.uint8)) == []


FACE_FREE = (
    *("brick", "grass", "gravel", "moon", "text", "clock", "horse", "checkerboard", "microaneurysms"),
    *("coffee", "page", "rocket", "hubble_deep_field", "immunohistochemistry", "logo", "cell"),
)


@pytest.mark.parametrize("name", FACE_FREE)
def test_no_face_in_photographs_without_one(backend, name):
    data = pytest.importorskip("skimage.data")
    picture = getattr(data, name)()
    picture = picture.astype(np.uint8) * (255 if picture.dtype == bool else 1)
    picture = picture[..., :3] if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
    assert [(r.center_px, r.size_px, r.confidence) for r in backend.find(np.ascontiguousarray(picture))] == []
