"""Structured 2-D faces: fast and slow drawings agree, and drawings show what the landmarks do."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from auteur.errors import InputError, UsageError
from auteur.signals import topology
from auteur.synthesis.drawing import draw_lines, draw_mesh
from auteur.synthesis.drawing.strokes import STROKES, line_width_px, segment_colours, segments
from auteur.synthesis.warp.mesh import generic_face
from support.slow_drawing import reference_lines, reference_mesh

SIDE = 64
DRAWINGS = (draw_lines, draw_mesh)


def face(side: int = SIDE, *, size: float = 0.26, turn_rad: float = 0.0) -> torch.Tensor:
    """The average face [478, 3] in the middle of a drawing, perhaps turned to a side."""
    angle = torch.tensor(turn_rad)
    turn = torch.tensor([[angle.cos(), 0, angle.sin()], [0, 1, 0], [-angle.sin(), 0, angle.cos()]])
    return generic_face() @ turn.T * size * side + torch.tensor([side / 2, 0.42 * side, 0.0])


def shaken(seed: int, amount_px: float) -> torch.Tensor:
    noise = torch.randn(478, 3, generator=torch.Generator().manual_seed(seed))
    return face(turn_rad=0.2 * (seed % 5 - 2)) + amount_px * noise


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([0.0, 0.7, 3.0]))
def test_lines_are_those_of_the_slow_reference(seed, amount_px):
    landmarks = shaken(seed, amount_px)
    difference = (draw_lines(landmarks, 48, SIDE) - reference_lines(landmarks, 48, SIDE)).abs().amax(0)
    assert (difference > 2e-3).float().mean() < 2e-3  # lines equally near by a rounding error


@pytest.mark.slow
@settings(max_examples=3, deadline=None)
@given(st.integers(0, 1000), st.sampled_from([0.0, 0.3]))
def test_meshes_are_those_of_the_slow_reference(seed, amount_px):
    landmarks = 0.5 * shaken(seed, amount_px)
    difference = (draw_mesh(landmarks, 24, 32) - reference_mesh(landmarks, 24, 32)).abs().amax(0)
    assert (difference > 2e-3).float().mean() < 5e-3


@pytest.mark.parametrize("draw", DRAWINGS)
def test_a_batch_is_its_frames_and_keeps_its_axes(draw):
    frames = torch.stack([shaken(seed, 0.5) for seed in range(6)])
    together = draw(frames.reshape(2, 3, 478, 3), 40, 56)
    assert together.shape == (2, 3, 3, 40, 56)
    for frame, drawn in zip(frames, together.flatten(0, 1), strict=True):
        assert torch.equal(draw(frame, 40, 56), drawn)
    assert draw(frames[:0], 40, 56).shape == (0, 3, 40, 56)


@pytest.mark.parametrize("draw", DRAWINGS)
def test_a_drawing_moves_with_the_face_and_stays_in_range(draw):
    here, there = draw(face(), SIDE, SIDE), draw(face() + torch.tensor([3.0, -2.0, 0.0]), SIDE, SIDE)
    assert torch.allclose(there[:, :-2, 3:], here[:, 2:, :-3], atol=5e-3)
    assert here.amin() >= 0
    assert here.amax() <= 1
    assert here[:, :4].abs().max() == 0  # black around the face


@pytest.mark.parametrize("draw", DRAWINGS)
def test_small_motion_changes_a_drawing_smoothly(draw):
    """Anti-aliased: a tenth of a pixel shows, and a hundred times less shows a hundred times less."""
    start = draw(face(), SIDE, SIDE)
    changes = [
        float((draw(face() + torch.tensor([step, 0.0, 0.0]), SIDE, SIDE) - start).abs().mean())
        for step in (0.05, 0.1, 0.2)
    ]
    assert changes[0] > 0
    assert 1.3 < changes[1] / changes[0] < 3
    assert 1.3 < changes[2] / changes[1] < 3


@pytest.mark.parametrize("draw", DRAWINGS)
def test_a_face_outside_the_picture_leaves_it_black(draw):
    assert draw(face() + 1e4, SIDE, SIDE).abs().max() == 0
    huge = draw(50 * face(), SIDE, SIDE)
    assert torch.isfinite(huge).all()


def test_lines_have_their_width_and_brightness():
    landmarks = torch.full((478, 3), -100.0)
    brow = topology.RIGHT_BROW[:5]
    landmarks[list(brow), 0] = torch.linspace(5, 45, 5)
    landmarks[list(brow), 1] = 20.0
    for line_px in (1.0, 2.0, 4.0):
        drawn = draw_lines(landmarks, 40, 50, line_px=line_px)
        assert float(drawn[0, :, 25].sum()) == pytest.approx(line_px, abs=0.02)  # red is 1 in brows
    assert line_width_px(512, 512) == 2
    assert line_width_px(64, 64) == 1


def test_parts_have_colours_of_their_own():
    colours = {stroke.name: stroke.colour for stroke in STROKES}
    lips = [colour for name, colour in colours.items() if "lips" in name]
    assert len(set(lips)) == 8
    parts = ("right_brow_upper", "left_brow_upper", "right_eye", "left_eye", "face_oval")
    assert len({colours[name] for name in parts} | set(lips)) == 13


def test_the_forehead_the_nose_and_the_irises_are_not_drawn():
    drawn = set(segments().flatten().tolist())
    assert not drawn & {10, 338, 109, 297, 67}
    assert not drawn & {*topology.RIGHT_IRIS, *topology.LEFT_IRIS, *topology.NOSE}
    assert drawn >= {*topology.OUTER_LIPS, *topology.INNER_LIPS, *topology.RIGHT_EYE, *topology.LEFT_BROW}
    assert len(segments()) == len(segment_colours()) == 26 + 16 + 32 + 40


def test_an_open_mouth_and_closed_eyes_show_in_the_mesh():
    rest = face(128)
    upper, lower = list(topology.INNER_LIPS[1:10]), list(topology.INNER_LIPS[:10:-1])
    rest[lower, 1] = rest[upper, 1]
    opened = rest.clone()
    below = rest[:, 1] > rest[14, 1] + 0.5
    below[lower] = True
    opened[below, 1] += 10
    mouth = rest[[13, 14], :2].mean(0).long()
    assert draw_mesh(rest, 128, 128)[0, mouth[1], mouth[0]] > 0.12
    assert draw_mesh(opened, 128, 128)[0, mouth[1] + 5, mouth[0]] == 0


def test_the_mesh_is_lit_from_above():
    shaded = draw_mesh(face(128), 128, 128)[0]
    left, right = shaded[:, :64], shaded[:, 64:].flip(1)
    assert (left - right).abs().mean() < 0.06
    rest = face(128)
    forehead, under_chin = rest[151, :2].round().long(), rest[152, :2].round().long()
    assert shaded[forehead[1], forehead[0]] > shaded[under_chin[1] - 3, under_chin[0]]


@pytest.mark.parametrize("draw", DRAWINGS)
def test_bad_input_is_refused(draw):
    with pytest.raises(InputError, match=r"shape \[68, 2\]"):
        draw(torch.zeros(68, 2), SIDE, SIDE)
    broken = face()
    broken[5, 1] = float("nan")
    with pytest.raises(InputError, match="finite"):
        draw(broken, SIDE, SIDE)
    with pytest.raises(UsageError, match="0 x 64 pixels"):
        draw(face(), SIDE, 0)
    with pytest.raises(UsageError, match="1 to 2048"):
        draw(face(), 4096, SIDE)
