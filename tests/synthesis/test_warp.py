"""The portrait warp: exactness, parity with the slow reference, openings, limits and bad input."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from auteur.errors import InputError
from auteur.signals.topology import FACE_OVAL
from auteur.synthesis.warp import PortraitWarper
from auteur.synthesis.warp.field import SkinField, grid_over
from auteur.synthesis.warp.mesh import (
    LEFT_EYE_LOWER,
    LEFT_EYE_UPPER,
    MOUTH_LOWER,
    RIGHT_EYE_LOWER,
    RIGHT_EYE_UPPER,
    face_triangles,
    generic_face,
)
from auteur.synthesis.warp.pose import fit_head_motion, limit_motion
from auteur.synthesis.warp.raster import draw_displacement
from auteur.synthesis.warp.sampling import Box, Picture, fill_in
from auteur.synthesis.warp.skin_shading import SHADING_CONTROLS
from support.slow_warp import reference_displacement, reference_sample

SIDE = 192
EYES = 36.0


def face_at(side: int = SIDE, eyes: float = EYES) -> Tensor:
    return generic_face() * eyes + torch.tensor([0.5 * side, 0.42 * side, 0.0])


def picture(side: int = SIDE, seed: int = 0) -> Tensor:
    noise = torch.rand(1, 3, side // 6, side // 6, generator=torch.Generator().manual_seed(seed))
    smooth = torch.nn.functional.interpolate(noise, size=(side, side), mode="bicubic")[0]
    return (40 + 180 * smooth).clamp(0, 255).to(torch.uint8)


def open_mouth(landmarks: Tensor, gap: float) -> Tensor:
    """Lowers the jaw and the lower lip by `gap` eye distances."""
    moved = landmarks.clone()
    is_below = landmarks[:, 1] > landmarks[14, 1] + 0.02 * EYES
    is_below[list(MOUTH_LOWER[1:-1])] = True
    moved[is_below, 1] += gap * EYES
    return moved


def lower_lids(landmarks: Tensor, share: float) -> Tensor:
    moved = landmarks.clone()
    for upper, lower in ((RIGHT_EYE_UPPER, RIGHT_EYE_LOWER), (LEFT_EYE_UPPER, LEFT_EYE_LOWER)):
        high, low = list(upper[1:-1]), list(lower[1:-1])
        moved[high] += share * (landmarks[low] - landmarks[high])
    return moved


def turn(landmarks: Tensor, yaw_rad: float) -> Tensor:
    cos, sin = math.cos(yaw_rad), math.sin(yaw_rad)
    rotation = torch.tensor([[cos, 0.0, sin], [0.0, 1.0, 0.0], [-sin, 0.0, cos]])
    centre = landmarks[:468].mean(0)
    return (landmarks - centre) @ rotation.T + centre


@pytest.fixture(scope="module")
def warper() -> PortraitWarper:
    return PortraitWarper(picture(), face_at())


def test_mesh_is_one_disc_with_the_face_oval_as_its_border():
    triangles = face_triangles()
    edges = torch.cat([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    directed = {(int(a), int(b)) for a, b in edges}
    assert len(directed) == 3 * 898
    border = {a for a, b in directed if (b, a) not in directed}
    assert border == set(FACE_OVAL)
    assert set(triangles.flatten().tolist()) == set(range(468))


def test_own_landmarks_give_the_portrait_bit_for_bit(warper):
    assert torch.equal(warper.render(face_at()[None])[0], picture())


@pytest.mark.parametrize("eyes", [14.0, 36.0, 52.0])
def test_identity_holds_for_small_and_large_faces_and_tight_framing(eyes):
    portrait = picture(seed=1)
    frame = PortraitWarper(portrait, face_at(eyes=eyes)).render(face_at(eyes=eyes)[None])[0]
    assert torch.equal(frame, portrait)


def test_nothing_outside_the_area_and_no_border_pixel_changes():
    portrait = picture()
    warper = PortraitWarper(portrait, face_at(eyes=22.0))
    frame = warper.render(turn(face_at(eyes=22.0), 0.2)[None])[0]
    area = warper.area
    outside = torch.ones(SIDE, SIDE, dtype=torch.bool)
    outside[area.top : area.bottom, area.left : area.right] = False
    assert outside.any()
    assert torch.equal(frame[:, outside], portrait[:, outside])
    assert not torch.equal(frame, portrait)
    for edge in (frame[:, 0], frame[:, -1], frame[:, :, 0], frame[:, :, -1]):
        assert edge.shape == (3, SIDE)
    assert torch.equal(frame[:, [0, -1]], portrait[:, [0, -1]])
    assert torch.equal(frame[:, :, [0, -1]], portrait[:, :, [0, -1]])


def test_frames_do_not_depend_on_the_batch_they_are_in(warper):
    targets = torch.stack([open_mouth(face_at(), gap) for gap in (0.0, 0.1, 0.3)] + [turn(face_at(), 0.15)])
    together = warper.render(targets)
    alone = torch.cat([warper.render(target[None]) for target in targets])
    assert torch.equal(together, alone)


@pytest.mark.parametrize(
    "target", [open_mouth(face_at(), 0.25), lower_lids(face_at(), 1.0), turn(face_at(), 0.2)]
)
def test_fast_displacement_matches_the_reference(warper, target):
    mesh = warper.mesh(target)
    grid = grid_over(warper.area, 5)
    fast = draw_displacement(mesh.source, mesh.target, mesh.corners, grid)
    slow = reference_displacement(mesh.source, mesh.target, mesh.corners, grid)
    # A point on the very edge of a triangle that hides another may fall to either side.
    wrong = (fast - slow).abs().amax(-1) > 1e-3
    assert slow.abs().max() > 1.0
    assert wrong.float().mean() < 2e-3


@pytest.mark.slow
def test_interpolated_warp_stays_close_to_the_reference_at_every_pixel(warper):
    mesh = warper.mesh(turn(open_mouth(face_at(), 0.15), 0.1))
    field = SkinField(warper.area, 3, torch.ones(warper.area.height, warper.area.width))
    origins, _ = field.origins(mesh.source, mesh.target, mesh.corners, [])
    slow = reference_displacement(mesh.source, mesh.target, mesh.corners, grid_over(warper.area, 1))
    error = (origins - warper.area.pixels(torch.device("cpu")) - slow).norm(dim=-1)
    assert error.median() < 0.05
    assert error.quantile(0.95) < 0.5


def test_cubic_reading_matches_the_reference():
    colour = picture(32).float()
    positions = 34 * torch.rand(20, 20, 2, generator=torch.Generator().manual_seed(3)) - 1.0
    fast = Picture(colour).sharp(positions)
    assert (fast - reference_sample(colour, positions)).abs().max() < 0.02


def test_every_grid_point_of_the_area_is_covered_when_the_whole_face_moves(warper):
    mesh = warper.mesh(face_at() + torch.tensor([4.0, 0.0, 0.0]))
    grid = grid_over(warper.area, 2)
    offset = draw_displacement(mesh.source, mesh.target, mesh.corners, grid)
    points = grid.points(torch.float32, torch.device("cpu"))
    on_face = (points - face_at()[:468, :2].mean(0)).norm(dim=-1) < EYES
    assert (offset[on_face] - torch.tensor([-4.0, 0.0])).abs().max() < 1e-2


def test_translation_moves_the_pixels_of_the_face():
    portrait = picture()
    warper = PortraitWarper(portrait, face_at())
    frame = warper.render((face_at() + torch.tensor([3.0, 2.0, 0.0]))[None])[0]
    nose = face_at()[4, :2].round().long()
    x, y = int(nose[0]), int(nose[1])
    before = portrait[:, y - 5 : y + 6, x - 5 : x + 6].float()
    after = frame[:, y - 3 : y + 8, x - 2 : x + 9].float()
    assert (before - after).abs().max() <= 1.0


def test_opened_mouth_shows_a_dark_inside_that_grows_with_the_gap():
    portrait = torch.full((3, SIDE, SIDE), 180, dtype=torch.uint8)
    warper = PortraitWarper(portrait, face_at())
    frames = warper.render(torch.stack([open_mouth(face_at(), gap) for gap in (0.05, 0.15, 0.25, 0.35)]))
    dark = [(frame.float().mean(0) < 140).sum().item() for frame in frames]
    assert dark == sorted(dark)
    assert dark[-1] > dark[0] + 100


def test_grey_portraits_stay_grey():
    grey = picture()[:1].expand(3, -1, -1).contiguous()
    warper = PortraitWarper(grey, face_at())
    frames = warper.render(torch.stack([open_mouth(face_at(), 0.3), lower_lids(face_at(), 1.0)])).int()
    assert (frames.amax(1) - frames.amin(1)).max() <= 1


def painted_eyes() -> tuple[Tensor, Tensor]:
    """A plain skin-coloured portrait with pure green eyeballs, and its landmarks."""
    landmarks = face_at(eyes=48.0)
    warper = PortraitWarper(torch.full((3, SIDE, SIDE), 170, dtype=torch.uint8), landmarks)
    positions = Box(left=0, top=0, right=SIDE, bottom=SIDE).pixels(torch.device("cpu"))
    portrait = torch.full((3, SIDE, SIDE), 170, dtype=torch.uint8)
    showing = torch.stack([eye.mask(positions) for eye in warper._eyes]).amax(0) > 0.7
    portrait[:, showing] = torch.tensor([[0], [200], [0]], dtype=torch.uint8)
    return portrait, landmarks


def test_blink_hides_the_eyeball():
    portrait, landmarks = painted_eyes()
    warper = PortraitWarper(portrait, landmarks)

    def green(share: float) -> int:
        frame = warper.render(lower_lids(landmarks, share)[None])[0].int()
        return int((frame[1] - frame[0] > 60).sum())

    counts = [green(share) for share in (0.0, 0.3, 0.6, 0.9)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > 60
    assert counts[-1] <= 0.03 * counts[0]


def test_gaze_moves_the_iris_and_leaves_the_lids_alone():
    portrait, landmarks = picture(), face_at(eyes=48.0)
    target = landmarks.clone()
    target[468:, 0] += 3.0
    warper = PortraitWarper(portrait, landmarks)
    changed = (warper.render(target[None])[0] != portrait).any(0)
    eyes = landmarks[list(RIGHT_EYE_UPPER + RIGHT_EYE_LOWER + LEFT_EYE_UPPER + LEFT_EYE_LOWER), :2]
    rows, columns = torch.nonzero(changed).unbind(1)
    assert changed.sum() > 20
    assert rows.min() >= eyes[:, 1].min() - 6
    assert rows.max() <= eyes[:, 1].max() + 6
    assert columns.min() >= eyes[:, 0].min() - 6
    assert columns.max() <= eyes[:, 0].max() + 6


def test_head_motion_is_recovered_and_limited():
    source = face_at()
    turned = turn(source, 0.2)
    motion = fit_head_motion(source, turned)
    assert torch.allclose(motion.apply(source), turned, atol=1e-2)
    kept, _ = limit_motion(source, turned, EYES)
    assert torch.equal(kept, turned)
    too_far, limited = limit_motion(source, turn(source, 1.2), EYES)
    angle = torch.acos((limited.rotation.trace() - 1) / 2)
    assert float(angle) == pytest.approx(0.6, abs=1e-3)
    assert (too_far - source).norm(dim=-1).max() < 2 * EYES


@pytest.mark.parametrize(
    "target",
    [
        face_at() + 1e4,
        face_at() * -1.0,
        torch.zeros(478, 3),
        face_at()[torch.randperm(478, generator=torch.Generator().manual_seed(0))],
        turn(face_at(), math.pi),
        face_at() * torch.tensor([0.0, 1.0, 1.0]),
    ],
    ids=["far away", "mirrored", "one point", "shuffled", "from behind", "flat"],
)
def test_absurd_landmarks_give_a_whole_picture(target):
    portrait = picture(seed=2)
    warper = PortraitWarper(portrait, face_at(eyes=22.0))
    frame = warper.render(target[None])[0]
    area = warper.area
    frame[:, area.top : area.bottom, area.left : area.right] = 0
    portrait[:, area.top : area.bottom, area.left : area.right] = 0
    assert torch.equal(frame, portrait)
    mesh = warper.mesh(target)
    assert torch.isfinite(mesh.target).all()
    assert (mesh.target[:468] - mesh.source[:468]).norm(dim=-1).max() < 4 * EYES


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000), size=st.floats(0.0, 0.3))
def test_disturbed_landmarks_keep_the_picture_within_its_colours(warper, seed, size):
    noise = torch.randn(478, 3, generator=torch.Generator().manual_seed(seed)) * size * EYES
    frame = warper.render((face_at() + noise)[None])[0]
    assert frame.float().mean().sub(picture().float().mean()).abs() < 12
    assert torch.equal(frame[:, :, [0, -1]], picture()[:, :, [0, -1]])


def test_fill_in_keeps_what_is_known_and_continues_it():
    colour = torch.full((3, 21, 17), 50.0)
    known = torch.zeros(1, 21, 17)
    known[:, :5] = 1.0
    colour[:, 5:] = 255.0
    assert torch.allclose(fill_in(colour, known), torch.full_like(colour, 50.0), atol=1e-3)


BAD_PORTRAITS = {
    "float": torch.zeros(3, 64, 64),
    "grey plane": torch.zeros(64, 64, dtype=torch.uint8),
    "channels last": torch.zeros(64, 64, 3, dtype=torch.uint8),
    "alpha": torch.zeros(4, 64, 64, dtype=torch.uint8),
    "too large": torch.zeros(3, 64, 1921, dtype=torch.uint8),
    "too small": torch.zeros(3, 8, 64, dtype=torch.uint8),
}


@pytest.mark.parametrize("name", BAD_PORTRAITS)
def test_bad_portraits_are_refused(name):
    with pytest.raises(InputError, match="portrait"):
        PortraitWarper(BAD_PORTRAITS[name], face_at())


def with_nan() -> Tensor:
    landmarks = face_at()
    landmarks[7, 1] = float("nan")
    return landmarks


BAD_LANDMARKS = {
    "68 points": (face_at()[:68], "shape"),
    "no depth": (face_at()[:, :2], "shape"),
    "whole numbers": (face_at().long(), "shape"),
    "not a number": (with_nan(), "finite"),
    "outside the picture": (face_at() + 500.0, "inside the picture"),
    "eyes on one spot": (face_at() * 0.1 + 60.0, "pixels apart"),
}


@pytest.mark.parametrize("name", BAD_LANDMARKS)
def test_bad_portrait_landmarks_are_refused(name):
    landmarks, cause = BAD_LANDMARKS[name]
    with pytest.raises(InputError, match=cause):
        PortraitWarper(picture(), landmarks)


def test_bad_frame_landmarks_are_refused(warper):
    for landmarks, cause in (
        (face_at(), "shape"),
        (with_nan()[None], "finite"),
        (face_at()[None, :468], "shape"),
    ):
        with pytest.raises(InputError, match=cause):
            warper.render(landmarks)


def test_no_frames_for_no_landmarks(warper):
    assert warper.render(torch.zeros(0, 478, 3)).shape == (0, 3, SIDE, SIDE)


def test_action_units_shade_the_skin_and_none_leave_it_to_the_bit(warper: PortraitWarper) -> None:
    still = face_at()[None]
    units = torch.zeros(3, len(SHADING_CONTROLS))
    left, right = SHADING_CONTROLS.index("AU12L"), SHADING_CONTROLS.index("AU12R")
    units[1, [left, right]] = 1.0
    units[2, left] = 1.0
    plain = warper.render(still)[0]
    none, both, one = warper.render(still.expand(3, -1, -1), units).float()
    assert torch.equal(none.byte(), plain)
    change = (both - none).abs().sum(0)
    points = face_at()[:, :2].round().long()
    for folds in ([203, 206, 216, 207, 187], [423, 426, 436, 427, 411]):  # beside the mouth, on either side
        assert change[points[folds, 1], points[folds, 0]].max() >= 3
    assert change[points[10:11, 1], points[10:11, 0]].max() == 0  # the forehead does not smile
    middle = int(face_at()[4, 0])
    alone = (one - none).abs().sum(0)
    assert alone[:, middle + 8 :].sum() > 5 * alone[:, : middle - 8].sum()  # the subject's left


def test_a_stronger_unit_shades_more(warper: PortraitWarper) -> None:
    units = torch.zeros(2, len(SHADING_CONTROLS))
    units[:, SHADING_CONTROLS.index("AU4L")] = torch.tensor([0.5, 1.0])
    half, full = warper.render(face_at()[None].expand(2, -1, -1), units).float()
    still = warper.render(face_at()[None])[0].float()
    assert (still - full).abs().sum() > 1.5 * (still - half).abs().sum()


def test_wrong_shading_is_refused(warper: PortraitWarper) -> None:
    with pytest.raises(InputError, match=r"\[1, 28\].*\[1, 3\]|have the shape"):
        warper.render(face_at()[None], torch.zeros(1, 3))


def around_head(landmarks: Tensor, side: int = SIDE) -> Tensor:
    """A matte that holds the head: 1 within 1.9 eye distances of the face's middle, 0 elsewhere, [H, W]."""
    pixels = Box(left=0, top=0, right=side, bottom=side).pixels(landmarks.device)
    return ((pixels - landmarks[:, :2].mean(0)).norm(dim=-1) < 1.9 * EYES).float()


def test_the_background_keeps_its_place_while_the_person_before_it_moves() -> None:
    face, portrait = face_at(), picture()
    moved = face + torch.tensor([5.0, 2.0, 0.0])
    matte = around_head(face)
    bent, held = (PortraitWarper(portrait, face, matte=one).render(moved[None])[0] for one in (None, matte))
    near = torch.nn.functional.max_pool2d(matte[None, None], 27, 1, 13)[0, 0] > 0
    far = ~near & ~near.roll((2, 5), (0, 1))
    assert far.sum() > 1000
    assert torch.equal(held[:, far], portrait[:, far])
    assert (bent[:, far].float() - portrait[:, far].float()).abs().mean() > 1
    inner = (Box(left=0, top=0, right=SIDE, bottom=SIDE).pixels(face.device) - face[4, :2]).norm(
        dim=-1
    ) < EYES
    assert torch.equal(held[:, inner], bent[:, inner])


def test_a_matte_without_the_face_is_not_believed() -> None:
    face, portrait = face_at(), picture()
    moved = (face + torch.tensor([5.0, 0.0, 0.0]))[None]
    without = PortraitWarper(portrait, face).render(moved)
    assert torch.equal(PortraitWarper(portrait, face, matte=torch.zeros(SIDE, SIDE)).render(moved), without)
    with pytest.raises(InputError, match=r"shape \[10, 10\], it must be the portrait's, \[192, 192\]"):
        PortraitWarper(portrait, face, matte=torch.zeros(10, 10))
