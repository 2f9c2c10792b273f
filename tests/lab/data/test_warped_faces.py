"""Moved faces: the labels are where things went, the pairs stay pairs, people stay apart."""

import csv
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("cv2", reason="training data needs OpenCV (the train extra)")

from auteur.face import crops
from auteur.lab.data.face_crops import MovedPairs, Shard
from auteur.lab.data.face_shards import EvaluationSet, is_validation, read_shards, split_validation
from auteur.lab.data.face_teacher import stored_crop
from auteur.lab.data.splits import is_held_out
from auteur.lab.data.warped_faces import VIEWS, WarpedFacesRecipe, build, moved_views, random_displacement
from auteur.motion.au_basis import AUBasis
from auteur.weights import load_shipped

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def face(astronaut, backend) -> tuple[np.ndarray, np.ndarray]:
    """A stored crop [224, 224, 3] and its landmarks [478, 3]."""
    reading = backend.find(astronaut)[0]
    picture, matrix = stored_crop(astronaut, reading)
    return picture, crops.apply(matrix, reading.landmarks).astype(np.float32)


@pytest.fixture(scope="module")
def basis() -> AUBasis:
    return load_shipped(AUBasis(), "au_basis")


@pytest.fixture
def labels(face, tmp_path: Path) -> Path:
    """A label folder with a training clip, a held-out clip and a validation clip of three frames each."""
    picture, landmarks = face
    names = [f"person {i}" for i in range(60)]
    people = (
        next(n for n in names if not is_held_out(n) and not is_validation(n)),
        next(n for n in names if is_held_out(n)),
        next(n for n in names if not is_held_out(n) and is_validation(n)),
    )
    with (tmp_path / "identities.csv").open("w", newline="") as table:
        csv.writer(table).writerows([("shard", "identity"), *((n.replace(" ", "_"), n) for n in people)])
    for name in people:
        path = tmp_path / name.replace(" ", "_")
        np.save(path.with_suffix(".crops.npy"), np.stack([picture] * 3))
        np.savez(
            path.with_suffix(".npz"),
            index=np.arange(3),
            landmarks=np.stack([landmarks] * 3),
            blend=np.zeros((3, 52), np.float32),
            affine=np.tile(np.eye(2, 3), (3, 1, 1)),
        )
    return tmp_path


def test_the_first_view_is_the_face_itself_and_the_others_moved(face, basis):
    picture, landmarks = face
    views, points = moved_views(picture, landmarks, basis, np.random.default_rng(3))
    assert views.shape == (VIEWS, *picture.shape) and views.dtype == np.uint8
    assert np.array_equal(views[0], picture) and np.array_equal(points[0], landmarks)
    for view, moved in zip(views[1:], points[1:], strict=True):
        assert np.abs(moved - landmarks).max() > 0.5
        assert (view != picture).any()


def test_labels_follow_the_pixels(face, basis):
    """The red of a map picture is where a pixel came from: under a moved landmark it is the old place."""
    picture, landmarks = face
    x = np.arange(picture.shape[1], dtype=np.uint8)
    map_picture = np.repeat(np.tile(x, (picture.shape[0], 1))[..., None], 3, axis=2)
    cheeks, errors, movements = (50, 280, 117, 346, 205, 425), [], []
    for seed in range(6):
        views, points = moved_views(map_picture, landmarks, basis, np.random.default_rng(seed))
        for view, moved in zip(views[1:], points[1:], strict=True):
            for vertex in cheeks:
                column, row = moved[vertex, :2].round().astype(int)
                errors.append(
                    float(view[row, column, 0]) - (landmarks[vertex, 0] + column - moved[vertex, 0])
                )
                movements.append(moved[vertex, 0] - landmarks[vertex, 0])
    assert np.std(movements) > 0.5
    assert np.abs(errors).mean() < 0.6


def test_displacements_differ_and_are_small_enough_to_be_faces(basis):
    random = np.random.default_rng(0)
    drawn = np.stack([random_displacement(basis, random) for _ in range(50)])
    largest = np.linalg.norm(drawn, axis=2).max(axis=1)
    assert len(np.unique(largest)) == 50
    assert largest.min() > 0.1
    assert largest.max() < 30


def test_only_training_people_are_moved_and_groups_stay_whole(labels):
    build(WarpedFacesRecipe(labels=labels, groups=4))
    training, held_out = read_shards(labels)
    moved = EvaluationSet(training).warped
    assert not EvaluationSet(held_out).warped
    people = {name for shard in moved for name in shard.identities}
    assert people and not any(is_held_out(name) for name in people)
    kept, validation = split_validation(training)
    for part in (kept, validation):
        for shard in EvaluationSet(part).warped:
            assert len(shard.landmarks) % VIEWS == 0
            assert len(set(shard.identities[:VIEWS])) == 1
    chosen = {name for shard in validation for name in shard.identities}
    assert chosen and all(is_validation(name) for name in chosen)
    assert not chosen & {name for shard in kept for name in shard.identities}


def test_the_same_seed_moves_the_same_faces(labels, tmp_path_factory):
    build(WarpedFacesRecipe(labels=labels, groups=2, seed=5))
    first = np.load(labels / "warped_000.crops.npy")
    build(WarpedFacesRecipe(labels=labels, groups=2, seed=5))
    assert np.array_equal(first, np.load(labels / "warped_000.crops.npy"))


def test_a_pair_shares_its_crop_and_its_light(face):
    picture, landmarks = face
    moved = landmarks.copy()
    moved[50] += (3, 0, 0)
    shard = Shard(
        "warped",
        ("a", "a"),
        np.stack([picture] * 2),
        np.stack([landmarks, moved]),
        np.zeros((2, 52), np.float32),
    )
    pairs = MovedPairs([shard], seed=0, views=2)
    for _, sample in zip(range(10), pairs, strict=False):
        assert sample["picture"].shape == (2, 3, 160, 160)
        assert (sample["picture"][0] == sample["picture"][1]).all()
        change = (sample["landmarks"][1] - sample["landmarks"][0]).abs()
        assert (change.amax(1) > 1e-4).sum() == 1
