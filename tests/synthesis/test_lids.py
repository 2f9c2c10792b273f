"""Closing lids: nothing of the open eye stays behind, lashes lie where lids meet, all else is left alone."""

from itertools import pairwise

import pytest
import torch
from torch import Tensor

from auteur.signals.topology import RIGHT_IRIS
from auteur.synthesis.warp import PortraitWarper
from auteur.synthesis.warp.lids import ClosingLid
from auteur.synthesis.warp.mesh import (
    LEFT_EYE_LOWER,
    LEFT_EYE_UPPER,
    LEFT_LID_CREASE,
    LEFT_LID_FOOT,
    LEFT_UNDER_BROW,
    RIGHT_EYE_LOWER,
    RIGHT_EYE_UPPER,
    RIGHT_LID_CREASE,
    RIGHT_LID_FOOT,
    RIGHT_UNDER_BROW,
    generic_face,
)

SIDE, EYES = 288, 100.0
SKIN = torch.tensor([200.0, 150.0, 120.0])
RIGHT = (RIGHT_EYE_UPPER, RIGHT_EYE_LOWER, RIGHT_LID_CREASE)
LEFT = (LEFT_EYE_UPPER, LEFT_EYE_LOWER, LEFT_LID_CREASE)
CREASE = -0.044
"""Of the painted portrait, above the upper lid's edge, in eye distances."""


def face() -> Tensor:
    return generic_face() * EYES + torch.tensor([0.5 * SIDE, 0.42 * SIDE, 0.0])


def heights(chain: tuple[int, ...], landmarks: Tensor, columns: Tensor) -> Tensor:
    """Rows of a chain of landmarks at columns of the picture."""
    x, y = landmarks[list(chain), 0], landmarks[list(chain), 1]
    right = torch.searchsorted(x.contiguous(), columns).clamp(1, len(x) - 1)
    share = ((columns - x[right - 1]) / (x[right] - x[right - 1])).clamp(0, 1)
    return torch.lerp(y[right - 1], y[right], share)


def portrait(skin: Tensor = SKIN) -> Tensor:
    """Plain skin with green eyes, black lash lines and dark creases, uint8 [3, SIDE, SIDE]."""
    landmarks = face()
    rows = torch.arange(SIDE, dtype=torch.float32)[:, None]
    columns = torch.arange(SIDE, dtype=torch.float32)
    picture = skin[:, None, None].repeat(1, SIDE, SIDE)
    for upper, lower, _ in (RIGHT, LEFT):
        high, low = (heights(chain, landmarks, columns) for chain in (upper, lower))
        first, last = landmarks[upper[0], 0], landmarks[upper[-1], 0]
        across = ((columns >= first) & (columns <= last)).expand(SIDE, SIDE)
        above = (rows - high) / EYES
        picture[:, across & (rows > high) & (rows < low)] = torch.tensor([[20.0], [220.0], [20.0]])
        picture[:, across & (above > -0.02) & (above <= 0)] = 15.0
        picture[:, across & ((above - CREASE).abs() < 0.01)] *= 0.5
    return picture.round().to(torch.uint8)


def closed(share: float, eyes: tuple[tuple[tuple[int, ...], ...], ...] = (RIGHT, LEFT)) -> Tensor:
    """The face's landmarks with lids closed by a share of their gap; the crease follows."""
    moved = face()
    for upper, lower, crease in eyes:
        high, low = list(upper[1:-1]), list(lower[1:-1])
        gap = moved[low] - moved[high]
        moved[high] += 0.88 * share * gap
        moved[low] -= 0.12 * share * gap
        moved[list(crease)] += 0.45 * share * gap
    return moved


@pytest.fixture(scope="module")
def warper() -> PortraitWarper:
    return PortraitWarper(portrait(), face())


def profile(frame: Tensor, landmarks: Tensor) -> tuple[Tensor, float]:
    """Brightness down the middle of the right eye, [SIDE], and the row where its upper lid ends."""
    column = landmarks[RIGHT_EYE_UPPER[4], 0]
    middle = round(float(column))
    return frame[:, :, middle - 2 : middle + 3].float().mean((0, 2)), float(landmarks[RIGHT_EYE_UPPER[4], 1])


def fold(frame: Tensor, landmarks: Tensor) -> float:
    """How much darker than skin the darkest row is between the brow and the lashes of the upper lid."""
    rows, edge = profile(frame, landmarks)
    above = rows[round(edge - 0.3 * EYES) : round(edge - 0.035 * EYES)]
    return float(above.max() - above.min())


@pytest.mark.parametrize(
    ("right", "left"),
    [
        (RIGHT_LID_CREASE, LEFT_LID_CREASE),
        (RIGHT_LID_FOOT, LEFT_LID_FOOT),
        (RIGHT_UNDER_BROW, LEFT_UNDER_BROW),
    ],
)
def test_rows_of_the_two_eyes_mirror_each_other_and_run_to_the_right(right, left):
    mesh = generic_face()
    mirrored = mesh[list(left)].flip(0) * torch.tensor([-1.0, 1.0, 1.0])
    assert torch.allclose(mesh[list(right)], mirrored, atol=0.01)
    assert (mesh[list(right), 0].diff() > 0).all()


def test_rows_lie_in_order_from_brow_to_cheek():
    mesh = generic_face()
    chains = (RIGHT_UNDER_BROW, RIGHT_LID_CREASE, RIGHT_EYE_UPPER, RIGHT_EYE_LOWER, RIGHT_LID_FOOT)
    middle = [mesh[chain[len(chain) // 2], 1] for chain in chains]
    assert all(upper < lower for upper, lower in pairwise(middle))


def test_a_shut_eye_shows_nothing_of_the_iris(warper):
    frame = warper.render(closed(1.0)[None])[0].int()
    assert not bool((frame[1] - frame[0] > 0).any())


def test_the_crease_unfolds_as_the_lids_close(warper):
    folds = [fold(warper.render(closed(s)[None])[0], closed(s)) for s in (0.0, 0.6, 0.8, 1.0)]
    assert folds[0] > 40
    assert all(after <= before + 2 for before, after in pairwise(folds))
    assert folds[-1] < 0.25 * folds[0]


def test_lashes_lie_as_one_dark_line_where_lids_meet(warper):
    target = closed(1.0)
    rows, edge = profile(warper.render(target[None])[0], target)
    skin = float(SKIN.mean())
    darkest = int(rows.argmin())
    assert abs(darkest - edge) < 0.04 * EYES
    assert rows[darkest] < 0.6 * skin
    dark = torch.nonzero(rows < 0.8 * skin).flatten()
    assert int(dark.max() - dark.min()) + 1 == len(dark)
    assert len(dark) < 0.15 * EYES


def test_lashes_lie_above_the_portraits_lower_lid_and_far_under_its_upper_one(warper):
    rows, _ = profile(warper.render(closed(1.0)[None])[0], closed(1.0))
    own = face()
    high, low = (float(own[chain[4], 1]) for chain in (RIGHT_EYE_UPPER, RIGHT_EYE_LOWER))
    line = float(rows.argmin())
    assert (line - high) / (low - high) > 0.75
    assert line < low + 0.03 * EYES


def test_lids_are_skin_of_the_face(warper):
    target = closed(1.0)
    rows, edge = profile(warper.render(target[None])[0], target)
    lid = rows[round(edge - 0.3 * EYES) : round(edge - 0.07 * EYES)]
    assert (lid - SKIN.mean()).abs().max() < 0.12 * SKIN.mean()


def test_only_the_surroundings_of_the_eyes_change(warper):
    changed = (warper.render(closed(1.0)[None])[0] != portrait()).any(0)
    landmarks = face()
    allowed = torch.zeros(SIDE, SIDE, dtype=torch.bool)
    for (upper, _, _), brow, foot in (
        (RIGHT, RIGHT_UNDER_BROW, RIGHT_LID_FOOT),
        (LEFT, LEFT_UNDER_BROW, LEFT_LID_FOOT),
    ):
        ends, top = landmarks[[upper[0], upper[-1]], 0], landmarks[list(brow), 1].min()
        margin = 0.4 * (ends[1] - ends[0])
        rows = slice(int(top) - 4, int(landmarks[list(foot), 1].max()) + 5)
        allowed[rows, int(ends[0] - margin) : int(ends[1] + margin) + 1] = True
    assert changed.any()
    assert not bool((changed & ~allowed).any())


def test_a_wink_leaves_the_other_eye_alone(warper):
    frame = warper.render(closed(1.0, (RIGHT,))[None])[0]
    half = SIDE // 2
    assert torch.equal(frame[:, :, half:], portrait()[:, :, half:])
    assert not torch.equal(frame[:, :, :half], portrait()[:, :, :half])


@pytest.mark.parametrize("share", [-0.3, 0.0, 0.15, 0.28])
def test_eyes_that_are_open_are_drawn_as_if_lids_never_closed(warper, share, monkeypatch):
    target = closed(share)
    target[200:, 0] += 1.0
    drawn = warper.render(target[None])[0]
    monkeypatch.setattr(ClosingLid, "unfold", lambda *_: None)
    monkeypatch.setattr(ClosingLid, "draw_lashes", lambda *_: None)
    assert torch.equal(warper.render(target[None])[0], drawn)


@pytest.mark.slow
def test_a_blink_has_no_jumps(warper):
    frames = warper.render(torch.stack([closed(0.02 * step) for step in range(51)])).float()
    steps = (frames[1:] - frames[:-1]).abs().mean((1, 2, 3))
    assert steps.max() < 0.12 * steps.sum()


@pytest.mark.parametrize("gap", [0.0, 0.004, 0.01])
def test_a_portrait_with_closed_eyes_comes_back_as_it_is(gap):
    landmarks = face()
    for upper, lower, _ in (RIGHT, LEFT):
        landmarks[list(upper[1:-1])] = landmarks[list(lower[1:-1])]
        landmarks[list(upper[1:-1]), 1] -= gap * EYES
    assert torch.equal(PortraitWarper(portrait(), landmarks).render(landmarks[None])[0], portrait())


def test_shut_eyes_of_a_grey_portrait_are_grey():
    grey = portrait(torch.tensor([150.0, 150.0, 150.0])).float().mean(0, keepdim=True).repeat(3, 1, 1)
    grey = grey.round().to(torch.uint8)
    frame = PortraitWarper(grey, face()).render(closed(1.0)[None])[0].int()
    assert int((frame.amax(0) - frame.amin(0)).max()) <= 1


def test_lids_keep_the_grain_of_the_skin():
    noise = torch.randn(1, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) * 6
    grainy = (portrait().float() + noise).clamp(0, 255).round().to(torch.uint8)
    lids = face()[RIGHT_IRIS[0], :2].round().int().tolist()
    rows, columns = slice(lids[1] - 6, lids[1] + 1), slice(lids[0] - 8, lids[0] + 9)

    def grain(picture: Tensor) -> float:
        frame = PortraitWarper(picture, face()).render(closed(1.0)[None])[0].float().mean(0)
        return float(frame[rows, columns].diff(dim=1).std())

    assert grain(grainy) > 2.0 > grain(portrait())
