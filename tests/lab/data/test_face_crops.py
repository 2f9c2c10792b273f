"""Training crops: labels stay on what they name through jitter, mirror and spoiling."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("cv2", reason="training data needs OpenCV (the train extra)")

from auteur.face.landmarker import CROP_SIZE_PX
from auteur.face.pose import canonical_face
from auteur.facs import MEDIAPIPE_BLENDSHAPES
from auteur.lab.data.face_crops import (
    BLENDSHAPE_MIRROR,
    FaceCrops,
    Shard,
    face_free_crop,
    jittered_crop,
    mirrored,
    spoil,
)

SIDE = 224


def landmarks() -> np.ndarray:
    """[478, 3]: the canonical head in the middle of a stored crop, box × 2.1."""
    face = canonical_face()
    face = np.concatenate([face, np.repeat(face[[468 - 1]], 10, axis=0)])
    scale = SIDE / 2.1 / np.ptp(face[:, :2], axis=0).max()
    middle = (face[:, :2].min(axis=0) + face[:, :2].max(axis=0)) / 2
    placed = face * scale
    placed[:, :2] += (SIDE - 1) / 2 - middle * scale
    return placed.astype(np.float32)


def map_picture() -> np.ndarray:
    """A picture whose red is x and whose green is y, so that a colour is the place it came from."""
    x, y = np.meshgrid(np.arange(SIDE), np.arange(SIDE))
    return np.stack([x, y, np.full_like(x, 77)], axis=2).astype(np.uint8)


@pytest.fixture
def shard() -> Shard:
    random = np.random.default_rng(0)
    pictures = np.stack([map_picture()] * 6)
    shapes = random.uniform(0, 1, (6, 52)).astype(np.float32)
    names = ("a", "a", "a", "a", "b", "c")
    return Shard("clip", names, pictures, np.stack([landmarks()] * 6), shapes)


def colours_at(crop: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Bilinear colours at points [N, 2]."""
    whole = np.floor(points).astype(int)
    u, v = (points - whole).T[..., None]
    x, y = whole.T
    crop = crop.astype(float)
    upper = (1 - u) * crop[y, x] + u * crop[y, x + 1]
    return (1 - v) * upper + v * ((1 - u) * crop[y + 1, x] + u * crop[y + 1, x + 1])


@pytest.mark.parametrize("seed", range(8))
def test_jittered_landmarks_land_on_the_same_content(seed):
    crop, moved = jittered_crop(map_picture(), landmarks(), np.random.default_rng(seed))
    assert crop.shape == (CROP_SIZE_PX, CROP_SIZE_PX, 3)
    inside = ((moved[:, :2] >= 0) & (moved[:, :2] < CROP_SIZE_PX - 1)).all(axis=1)
    assert inside.mean() > 0.7
    seen = colours_at(crop, moved[inside, :2])[:, :2]
    assert np.abs(seen - landmarks()[inside, :2]).max() < 1.6


def test_mirroring_twice_changes_nothing(shard):
    crop, points = jittered_crop(shard.pictures[0], shard.landmarks[0], np.random.default_rng(0))
    again = mirrored(*mirrored(crop, points, shard.blendshapes[0]))
    assert np.array_equal(again[0], crop)
    assert np.allclose(again[1], points)
    assert np.array_equal(again[2], shard.blendshapes[0])


def test_mirroring_exchanges_sides_in_place(shard):
    crop, points = jittered_crop(shard.pictures[0], shard.landmarks[0], np.random.default_rng(0))
    turned_crop, turned, shapes = mirrored(crop, points, shard.blendshapes[0])
    assert np.allclose(turned[33, :2], [CROP_SIZE_PX - 1 - points[263, 0], points[263, 1]])
    assert np.array_equal(turned_crop[:, 0], crop[:, -1])
    left, right = (MEDIAPIPE_BLENDSHAPES.index(f"eyeBlink{side}") for side in ("Left", "Right"))
    assert shapes[left] == shard.blendshapes[0, right]
    assert np.array_equal(BLENDSHAPE_MIRROR[BLENDSHAPE_MIRROR], np.arange(52))


@pytest.mark.parametrize("seed", range(30))
def test_spoiling_keeps_shape_type_and_the_original(seed):
    crop = np.ascontiguousarray(map_picture()[:160, :160])
    before = crop.copy()
    spoiled = spoil(crop, np.random.default_rng(seed))
    assert spoiled.shape == crop.shape
    assert spoiled.dtype == np.uint8
    assert np.array_equal(crop, before)


@pytest.mark.parametrize("seed", range(30))
def test_face_free_crops_show_no_whole_face(seed):
    random = np.random.default_rng(seed)
    crop = face_free_crop(map_picture(), landmarks(), random)
    assert crop.shape == (CROP_SIZE_PX, CROP_SIZE_PX, 3)
    assert crop.dtype == np.uint8
    # A whole face would show the nose in the middle third and both temples, in order, on one row.
    middle = crop[53:107, 53:107, :2].astype(float).reshape(-1, 2).mean(axis=0)
    width = np.ptp(crop[80, :, 0].astype(int))
    is_smooth = np.abs(np.diff(crop[80, :, 0].astype(int))).max() <= 3
    shows_face = is_smooth and np.abs(middle - landmarks()[1, :2]).max() < 20 and width > 90
    assert not shows_face


def test_samples_have_the_shapes_the_recipe_reads(shard):
    stream = iter(FaceCrops([shard], seed=0, face_share=0.5))
    samples = [next(stream) for _ in range(40)]
    faces = [sample for sample in samples if sample["face"] == 1]
    assert 8 < len(faces) < 32
    for sample in samples:
        assert sample["picture"].shape == (3, CROP_SIZE_PX, CROP_SIZE_PX)
        assert sample["landmarks"].shape == (478, 3)
        assert sample["blendshapes"].shape == (52,)
    for sample in faces:
        assert (sample["landmarks"][1, :2] - 0.5).abs().max() < 0.4


def test_the_stream_repeats_with_its_seed(shard):
    first, second = (next(iter(FaceCrops([shard], seed=4))) for _ in range(2))
    assert all(np.array_equal(first[key], second[key]) for key in first)


def test_people_with_much_footage_count_less_per_frame(shard):
    equally_unusual = np.tile([[0.4], [0.6]], (3, 52)).astype(np.float32)
    weights = FaceCrops([replace(shard, blendshapes=equally_unusual)], seed=0).weights
    assert weights.sum() == pytest.approx(1)
    assert weights[0] == pytest.approx(weights[4] / 2)  # four frames of a, one of b
