"""Detector mosaics: boxes stay on the faces that are pasted, and erased faces are no targets."""

import math
from itertools import islice

import numpy as np
import pytest
import torch

cv2 = pytest.importorskip("cv2", reason="training data needs OpenCV (the train extra)")

from auteur.face.crops import CropFrame  # noqa: E402
from auteur.lab.data.face_scenes import (  # noqa: E402
    CANVAS_SIZE_PX,
    LabelledScene,
    SceneMosaics,
    background,
    erase,
    mirrored,
    read_scenes,
)

pytestmark = pytest.mark.slow

FACE = CropFrame((150.0, 110.0), 80.0, 0.2)


@pytest.fixture
def scene(tmp_path) -> LabelledScene:
    """A blue picture with a red disc for a face and a green spot at the end of its eye line."""
    picture = np.zeros((240, 320, 3), dtype=np.uint8)
    picture[..., 2] = 200
    cv2.circle(picture, (150, 110), 40, (255, 0, 0), -1)
    path = tmp_path / "scene.png"
    cv2.imwrite(str(path), picture[..., ::-1])
    return LabelledScene(path, "somebody", (FACE,))


@pytest.mark.parametrize("seed", range(12))
def test_boxes_land_on_the_faces(scene, seed):
    mosaics = SceneMosaics([scene], seed=0)
    random = np.random.default_rng(seed)
    canvas = np.zeros((CANVAS_SIZE_PX, CANVAS_SIZE_PX, 3), dtype=np.uint8)
    (face,) = mosaics.paste(canvas, [], scene, random)
    red = (canvas[..., 0] > 128) & (canvas[..., 2] < 128)
    y, x = np.nonzero(red)
    if min(face.center_px) < face.side_px / 2 or max(face.center_px) > CANVAS_SIZE_PX - face.side_px / 2:
        return  # the disc is cut off by the border
    assert math.dist((x.mean(), y.mean()), face.center_px) < 0.06 * face.side_px + 0.5
    assert math.isclose(2 * math.sqrt(red.sum() / math.pi), face.side_px, rel_tol=0.12)


def test_a_covered_face_is_no_target(scene):
    mosaics = SceneMosaics([scene], seed=0)
    random = np.random.default_rng(1)
    canvas = np.zeros((CANVAS_SIZE_PX, CANVAS_SIZE_PX, 3), dtype=np.uint8)
    faces = []
    for _ in range(30):
        faces = mosaics.paste(canvas, faces, scene, random)
    red = (canvas[..., 0] > 128) & (canvas[..., 2] < 128)
    assert len(faces) < 30
    for face in faces:
        x, y = (round(value) for value in face.center_px)
        if 0 <= x < CANVAS_SIZE_PX and 0 <= y < CANVAS_SIZE_PX and face.side_px > 20:
            reach = int(0.3 * face.side_px)
            assert red[max(0, y - reach) : y + reach, max(0, x - reach) : x + reach].mean() > 0.3


def test_mirroring_twice_changes_nothing():
    picture = background(np.random.default_rng(0))
    once_picture, once = mirrored(picture, [FACE])
    again_picture, again = mirrored(once_picture, once)
    assert np.array_equal(again_picture, picture)
    assert again == [FACE]
    assert once[0].center_px[0] == CANVAS_SIZE_PX - 1 - FACE.center_px[0]
    assert once[0].roll_rad == -FACE.roll_rad


@pytest.mark.parametrize("seed", range(6))
def test_erasing_changes_the_face_and_nothing_else(seed):
    random = np.random.default_rng(seed)
    canvas = random.integers(0, 256, (CANVAS_SIZE_PX, CANVAS_SIZE_PX, 3), dtype=np.uint8)
    before = canvas.copy()
    erase(canvas, CropFrame((100.0, 120.0), 60.0), random)
    changed = (canvas != before).any(axis=2)
    y, x = np.nonzero(changed)
    assert changed[90:150, 70:130].mean() > 0.9
    assert x.min() >= 63
    assert x.max() <= 137
    assert y.min() >= 83
    assert y.max() <= 157


def test_face_free_canvases_hold_no_face(scene):
    mosaics = SceneMosaics([scene], seed=0)
    random = np.random.default_rng(0)
    canvases = [mosaics.face_free(random) for _ in range(20)]
    cut_out = [canvas for canvas in canvases if canvas[..., 1].max() == 0]  # the scene has no green
    assert len(cut_out) > 5
    for canvas in cut_out:
        assert canvas.shape == (CANVAS_SIZE_PX, CANVAS_SIZE_PX, 3)
        assert canvas[..., 0].max() == 0


def test_targets_of_samples_lie_on_faces(scene):
    """Pictures are spoilt at random (grey, covered, dark), so a few discs are no longer red."""
    samples = list(islice(SceneMosaics([scene], seed=3), 40))
    redness = []
    for sample in samples:
        picture, cells, counts = (sample[name] for name in ("picture", "cells", "counts"))
        assert picture.shape == (3, CANVAS_SIZE_PX, CANVAS_SIZE_PX) and picture.dtype == torch.uint8
        assert torch.equal(counts, (cells[0] > 0.5).float())
        for row, column in (cells[0] == 1).nonzero().tolist():
            x, y = (
                min(int(8 * (place + cells[1 + axis, row, column])), 255)
                for axis, place in enumerate((column, row))
            )
            redness.append(int(picture[0, y, x]) - int(picture[2, y, x]))
    assert len(redness) > 30
    assert np.mean(np.array(redness) > 0) > 0.75
    assert 2 < sum(not sample["cells"].any() for sample in samples) < 20  # erased or covered


def test_a_missing_scene_is_named(tmp_path):
    lost = LabelledScene(tmp_path / "lost.jpg", "somebody", (FACE,))
    with pytest.raises(ValueError, match=r"lost.jpg"):
        SceneMosaics([lost], seed=0).face_free(np.random.default_rng(0))


def test_scenes_are_read_and_split_by_person(tmp_path):
    rows = ["file,identity,center_x,center_y,side,roll"]
    rows += [f"{index}.jpg,person {index % 20},10,20,30,0.1" for index in range(40)]
    rows += ["0.jpg,person 0,50,60,20,0.0", "wall.jpg,nobody,,,,"]
    (tmp_path / "scenes.csv").write_text("\n".join(rows), encoding="utf-8")
    training, held_out = read_scenes(tmp_path)
    assert len(training) + len(held_out) == 41
    assert not {s.identity for s in training} & {s.identity for s in held_out}
    by_name = {scene.path.name: scene for scene in training + held_out}
    assert len(by_name["0.jpg"].faces) == 2
    assert by_name["wall.jpg"].faces == ()
    assert by_name["1.jpg"].faces[0] == CropFrame((10.0, 20.0), 30.0, 0.1)
