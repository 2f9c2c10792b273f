from pathlib import Path

import numpy as np
import pytest

from auteur.signals import topology
from auteur.signals.topology import C162, CONTOURS, IBUG68

CANONICAL = Path(__file__).parents[3] / "shared" / "data" / "face" / "canonical_face_model.obj"


def canonical_vertices():
    """MediaPipe's canonical mesh [468, 3]: x to the subject's left, y up."""
    if not CANONICAL.exists():
        pytest.skip("needs ../shared/data/face/canonical_face_model.obj beside the checkout")
    lines = [line.split() for line in CANONICAL.read_text().splitlines() if line.startswith("v ")]
    return np.array([[float(number) for number in line[1:4]] for line in lines])


def test_c162_has_the_published_make_up():
    sizes = {name: len(contour) for name, contour in CONTOURS.items()}
    assert sizes["outer_lips"] + sizes["inner_lips"] == 40
    assert sizes["right_eye"] + sizes["left_eye"] == 32
    assert sizes["right_brow"] + sizes["left_brow"] == 20
    assert (sizes["face_oval"], sizes["nose"]) == (36, 24)
    assert sizes["right_iris"] + sizes["left_iris"] == 10
    assert len(C162) == len(set(C162)) == 162
    assert max(C162) < topology.MEDIAPIPE_COUNT


def test_tables_agree_with_mediapipe():
    vision = pytest.importorskip("mediapipe.tasks.python.vision")
    connections = vision.FaceLandmarksConnections

    def vertices(name):
        edges = getattr(connections, f"FACE_LANDMARKS_{name}")
        return {end for edge in edges for end in (edge.start, edge.end)}

    assert vertices("LIPS") == set(CONTOURS["outer_lips"] + CONTOURS["inner_lips"])
    assert vertices("NOSE") == set(CONTOURS["nose"])
    assert vertices("FACE_OVAL") == set(CONTOURS["face_oval"])
    for side in ("LEFT", "RIGHT"):
        assert vertices(f"{side}_EYE") == set(CONTOURS[f"{side.lower()}_eye"])
        assert vertices(f"{side}_EYEBROW") == set(CONTOURS[f"{side.lower()}_brow"])
        assert vertices(f"{side}_IRIS") == set(CONTOURS[f"{side.lower()}_iris"][1:])


@pytest.mark.shared
def test_left_contours_mirror_the_right_ones():
    vertices = canonical_vertices()
    for part in ("eye", "brow"):
        left, right = vertices[list(CONTOURS[f"left_{part}"])], vertices[list(CONTOURS[f"right_{part}"])]
        assert left[:, 0].min() > 0
        np.testing.assert_allclose(left * [-1, 1, 1], right, atol=1e-3)


@pytest.mark.shared
def test_ibug_points_mirror_as_in_the_mark_up():
    points = canonical_vertices()[list(IBUG68)]
    swapped = [*range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, *range(35, 30, -1)]
    swapped += [45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40]
    swapped += [54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65]
    np.testing.assert_allclose(points[swapped] * [-1, 1, 1], points, atol=1e-3)
    assert len(set(IBUG68)) == 68
    assert points[8, 1] == points[:, 1].min()
