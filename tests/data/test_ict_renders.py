from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("cv2")

from auteur.data.ict_faces import PARTS, FaceModel, Look, load_ict, sample_look
from auteur.data.ict_renders import pose_vertices, render, render_faces
from auteur.errors import InputError, UsageError

pytestmark = pytest.mark.slow

EYE_CENTRE_CM = np.array([3.2, 3.61, 8.07])


def _dome(radii_cm: np.ndarray, centre_cm: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """The front half of an ellipsoid: vertices and outward quads."""
    angles = np.linspace(-1.5, 1.5, steps)
    across, up = (grid.ravel() for grid in np.meshgrid(angles, angles))
    unit = np.stack([np.sin(across) * np.cos(up), np.sin(up), np.cos(across) * np.cos(up)], axis=1)
    first = np.arange(steps * steps).reshape(steps, steps)[:-1, :-1].ravel()
    return unit * radii_cm + centre_cm, np.stack([first, first + 1, first + steps + 1, first + steps], axis=1)


@pytest.fixture(scope="module")
def model() -> FaceModel:
    """A dome of a head with two eyeballs in front of it."""
    head = _dome(np.array([8.0, 12.0, 8.0]), np.array([0.0, 1.0, 0.0]), 24)
    left = _dome(np.full(3, 1.5), EYE_CENTRE_CM, 12)
    right = _dome(np.full(3, 1.5), EYE_CENTRE_CM * [-1, 1, 1], 12)
    vertices = np.concatenate([head[0], left[0], right[0]]).astype(np.float32)
    quads = np.concatenate([head[1], left[1] + 576, right[1] + 576 + 144]).astype(np.int32)
    part = np.repeat([PARTS.index("skin"), PARTS.index("eye")], [576, 288]).astype(np.uint8)
    deltas = np.zeros((2, len(vertices), 3), np.float32)
    deltas[0, :576, 1] = -2.0
    deltas[1, :576, 1] = 1.0
    identity = np.zeros((1, len(vertices), 3), np.float32)
    identity[0, :, 0] = 0.5
    return FaceModel(
        neutral=vertices,
        quads=quads,
        expression_names=("jawOpen", "eyeLookUp_L"),
        expression_deltas=deltas,
        identity_deltas=identity,
        part=part,
    )


@pytest.fixture
def look() -> Look:
    return Look(
        identity=np.zeros(1, np.float32),
        expression={},
        pose_rad=(0.0, 0.0, 0.0),
        gaze_rad=(0.0, 0.0),
        distance_cm=80.0,
        face_share=0.5,
        size_px=96,
        paint_seed=4,
    )


def _difference(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.abs(first.astype(int) - second).max(-1) > 30


def test_faces_are_square_colour_pictures_of_the_promised_size(model: FaceModel) -> None:
    for picture in render_faces(model, 3, seed=0):
        height, width, channels = picture.shape
        assert height == width and 256 <= height <= 320 and channels == 3
        assert picture.dtype == np.uint8 and picture.std() > 5


def test_a_picture_depends_on_seed_and_position_only(model: FaceModel) -> None:
    short, long, other = (list(render_faces(model, count, seed)) for count, seed in ((1, 7), (2, 7), (1, 8)))
    np.testing.assert_array_equal(short[0], long[0])
    assert not np.array_equal(long[0], long[1])
    assert not np.array_equal(short[0], other[0])


def test_no_faces_and_fewer(model: FaceModel) -> None:
    assert list(render_faces(model, 0, seed=0)) == []
    with pytest.raises(UsageError, match="-1"):
        list(render_faces(model, -1, seed=0))


def test_looks_stay_in_range_and_cover_the_eyes(model: FaceModel) -> None:
    generator = np.random.default_rng(0)
    looks = [sample_look(model, generator) for _ in range(400)]
    poses = np.degrees([look.pose_rad for look in looks])
    assert (np.abs(poses) <= [25, 40, 15]).all()
    assert (np.abs(poses).max(0) > [23, 37, 14]).all()
    weights = [look.expression for look in looks]
    assert all(0 <= weight <= 1 for mix in weights for weight in mix.values())
    blinks = np.array([(mix.get("eyeBlink_L", 0), mix.get("eyeBlink_R", 0)) for mix in weights])
    assert (
        (blinks == [1, 0]).all(1).any()
        and (blinks == [0, 1]).all(1).any()
        and (blinks == [1, 1]).all(1).any()
    )
    assert any(mix.get("jawOpen", 0) > 0.8 for mix in weights) and any(
        "jawOpen" not in mix for mix in weights
    )


def test_expression_and_identity_move_vertices_by_their_weights(model: FaceModel, look: Look) -> None:
    moved = pose_vertices(model, replace(look, expression={"jawOpen": 0.5}, identity=np.array([2.0])))
    np.testing.assert_allclose((moved - model.neutral)[:576], np.tile([1.0, -1.0, 0.0], (576, 1)), atol=1e-5)


def test_eyes_turn_about_their_centres_and_lids_follow(model: FaceModel, look: Look) -> None:
    still, turned = pose_vertices(model, look), pose_vertices(model, replace(look, gaze_rad=(0.25, 0.4)))
    for rows, side in ((slice(576, 720), 1), (slice(720, 864), -1)):
        centre = EYE_CENTRE_CM * [side, 1, 1]
        radii = np.linalg.norm(turned[rows] - centre, axis=1)
        np.testing.assert_allclose(radii, 1.5, atol=1e-4)
        shift = (turned - still)[rows].mean(0)
        assert shift[0] > 0.2 and shift[1] > 0.1  # to the subject's left, and up
    np.testing.assert_allclose((turned - still)[:576, 1], 0.5, atol=1e-5)


def test_a_head_that_turns_left_moves_its_eyes_right_in_the_picture(model: FaceModel, look: Look) -> None:
    def dark_column(yaw_rad: float) -> float:
        plain = replace(look, pose_rad=(0.0, yaw_rad, 0.0))
        without = replace(
            model, part=np.where(model.part == PARTS.index("eye"), PARTS.index("hidden"), model.part)
        )
        return float(np.nonzero(_difference(render(model, plain), render(without, plain)))[1].mean())

    assert dark_column(0.3) > dark_column(0.0) + 3 > dark_column(-0.3) + 6


def test_hidden_parts_and_backs_are_not_drawn(model: FaceModel, look: Look) -> None:
    nothing = render(replace(model, part=np.full_like(model.part, PARTS.index("hidden"))), look)
    inside_out = render(replace(model, quads=model.quads[:, ::-1].copy()), look)
    assert _difference(nothing, render(model, look)).mean() > 0.1
    assert _difference(nothing, inside_out).mean() < 0.03  # the rim of the dome lies beyond its outline


def test_pupils_are_the_darkest_spots_of_the_eyes(model: FaceModel, look: Look) -> None:
    only_eyes = replace(
        model, part=np.where(model.part == PARTS.index("skin"), PARTS.index("hidden"), model.part)
    )
    close = replace(look, size_px=256, distance_cm=200.0)
    nothing = render(replace(model, part=np.full_like(model.part, PARTS.index("hidden"))), close)
    picture = render(only_eyes, close)
    rows, columns = np.nonzero(_difference(nothing, picture))
    left = columns > np.median(columns)
    middle = int(rows[left].mean()), int(columns[left].mean())
    bright = np.percentile(picture[rows, columns].mean(-1), 75)
    assert picture[middle].mean() < 0.5 * bright


def _write_ict(path, vertices: int = 26719, **changed: np.ndarray) -> None:
    arrays = {
        "neutral": np.zeros((vertices, 3), np.float32),
        "quads": np.zeros((2, 4), np.int64),
        "expression_names": np.array(["jawOpen"]),
        "expression_deltas": np.zeros((1, vertices, 3), np.float16),
        "identity_deltas": np.zeros((1, vertices, 3), np.float16),
    }
    np.savez(path, **(arrays | changed))


def test_ict_files_load_with_their_parts(tmp_path) -> None:
    _write_ict(tmp_path / "ict.npz")
    loaded = load_ict(tmp_path / "ict.npz")
    assert loaded.expression_names == ("jawOpen",)
    assert loaded.expression_deltas.dtype == np.float32
    names = {
        0: "skin",
        12000: "mouth",
        14062: "tongue",
        17039: "teeth",
        21451: "eye",
        22221: "hidden",
        23021: "eye",
    }
    names |= {25000: "hidden", 25351: "lash", 25465: "hidden", 26035: "lash", 26718: "hidden"}
    assert {vertex: PARTS[loaded.part[vertex]] for vertex in names} == names


def test_unusable_ict_files_are_refused(tmp_path) -> None:
    path = tmp_path / "ict.npz"
    with pytest.raises(InputError, match="cannot read"):
        load_ict(path)
    path.write_bytes(b"not an archive")
    with pytest.raises(InputError, match="cannot read"):
        load_ict(path)
    np.savez(path, neutral=np.zeros((26719, 3)))
    with pytest.raises(InputError, match="cannot read"):
        load_ict(path)
    _write_ict(path, vertices=10)
    with pytest.raises(InputError, match="26719"):
        load_ict(path)
