"""Action Units become drawings on the portrait's own geometry."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from auteur.errors import UsageError
from auteur.facs import CONTROLS, au_track
from auteur.motion.au_basis import AUBasis
from auteur.painting.au_drawing import (
    action_units_to_landmarks,
    draw_landmarks,
    drawing_frame,
)
from auteur.synthesis.warp.mesh import generic_face
from auteur.weights import load_shipped

SIDE = 96
RIGHT_CORNER, LEFT_CORNER, CHIN = 61, 291, 152
RIGHT_BROW, LEFT_BROW = 105, 334
RIGHT_LID, LEFT_LID = (159, 145), (386, 374)


@pytest.fixture(scope="module")
def basis() -> AUBasis:
    return load_shipped(AUBasis(), "au_basis")


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    """A generic face, [478, 3] px, eyes open."""
    face = (generic_face() * 70 + torch.tensor([200.0, 180.0, 0.0])).numpy().astype(np.float64)
    for upper, lower in (RIGHT_LID, LEFT_LID):
        face[upper, 1] -= 4
        face[lower, 1] += 2
    return face


def requested(*frames: dict[str, float]):
    values = np.zeros((len(frames), len(CONTROLS)))
    for row, wanted in zip(values, frames, strict=True):
        for name, value in wanted.items():
            row[[i for i, c in enumerate(CONTROLS) if c in (name, f"{name}L", f"{name}R")]] = value
    return au_track(values, convention="facs", rate=Fraction(25))


def drawn(track, portrait, basis, **options) -> torch.Tensor:
    landmarks = action_units_to_landmarks(track, portrait, basis)
    return draw_landmarks(landmarks, drawing_frame(portrait), **options)


def moved(track, portrait, basis) -> np.ndarray:
    return action_units_to_landmarks(track, portrait, basis) - portrait


def test_neutral_is_the_portrait_itself(portrait, basis):
    assert np.abs(moved(requested({}), portrait, basis)).max() < 1e-3


def test_units_move_their_parts_the_right_way(portrait, basis):
    smile, raised, lowered, opened, left = moved(
        requested({"AU12": 1}, {"AU1": 1, "AU2": 1}, {"AU4": 1}, {"AU26": 1}, {"AU12L": 1}), portrait, basis
    )
    assert smile[RIGHT_CORNER, 0] < -2
    assert smile[LEFT_CORNER, 0] > 2
    assert (smile[[RIGHT_CORNER, LEFT_CORNER], 1] < -1).all()
    assert (raised[[RIGHT_BROW, LEFT_BROW], 1] < -2).all()
    assert (lowered[[RIGHT_BROW, LEFT_BROW], 1] > 1).all()
    assert opened[CHIN, 1] > 5
    assert left[LEFT_CORNER, 0] > 5 * abs(left[RIGHT_CORNER, 0])


def test_movement_is_linear_in_intensity(portrait, basis):
    half, full = moved(requested({"AU12": 0.5}, {"AU12": 1}), portrait, basis)
    assert np.allclose(2 * half, full, atol=0.05)


def test_lids_meet_on_the_portraits_own_geometry(portrait, basis):
    open_eyes, wink = action_units_to_landmarks(requested({}, {"AU45R": 1}), portrait, basis)
    for upper, lower in (RIGHT_LID,):
        assert open_eyes[lower, 1] - open_eyes[upper, 1] > 5
        assert abs(wink[lower, 1] - wink[upper, 1]) < 0.5
    assert wink[LEFT_LID[1], 1] - wink[LEFT_LID[0], 1] > 5


@pytest.mark.parametrize("form", ["lines", "mesh"])
def test_drawings_show_the_requested_units(portrait, basis, form):
    rest, smile, again = drawn(requested({}, {"AU12": 1}, {}), portrait, basis, form=form, size_px=SIDE)
    assert rest.shape == (3, SIDE, SIDE)
    assert torch.equal(rest, again)
    changed = (smile - rest).abs().amax(0)
    assert changed.max() > 0.3
    assert smile.amin() >= 0
    assert smile.amax() <= 1


@pytest.mark.parametrize("form", ["lines", "mesh"])
def test_a_smile_leaves_the_brows(portrait, basis, form):
    rest, smile = drawn(requested({}, {"AU12": 1}), portrait, basis, form=form, size_px=SIDE)
    assert (smile - rest).abs().amax(0)[: SIDE // 3].max() < 0.1


def test_the_frame_holds_the_face_with_an_open_jaw(portrait, basis):
    frame = drawing_frame(portrait)
    opened = action_units_to_landmarks(requested({"AU26": 1}), portrait, basis)
    drawn = draw_landmarks(opened, frame, size_px=SIDE)[0]
    border = torch.cat([drawn[:, 0], drawn[:, -1], drawn[:, :, 0], drawn[:, :, -1]], 1)
    assert border.max() == 0


def test_pieces_are_the_whole(portrait, basis):
    track = requested(*({"AU26": i / 40} for i in range(40)))
    landmarks = action_units_to_landmarks(track, portrait, basis)
    frame = drawing_frame(portrait)
    whole = draw_landmarks(landmarks, frame, size_px=32)
    parts = [draw_landmarks(landmarks[i : i + 7], frame, size_px=32) for i in range(0, 40, 7)]
    assert torch.equal(torch.cat(parts), whole)
    assert draw_landmarks(landmarks[:0], frame, size_px=32).shape == (0, 3, 32, 32)


def test_an_unknown_form_is_refused(portrait, basis):
    with pytest.raises(UsageError, match="choose lines or mesh"):
        drawn(requested({}), portrait, basis, form="clay")
