"""Cuts are found, and what only looks like one is not."""

import numpy as np
import pytest

from auteur.lab.prepare.shots import cells_of, shots


def scene(seed: int, frames: int, *, shift: int = 0, noise: float = 3.0) -> list[np.ndarray]:
    """A picture of smooth blobs that moves by `shift` pixels a frame, with grain."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (9, 16, 3)).astype(float)
    wide = np.kron(coarse, np.ones((20, 20, 1)))
    made = []
    for number in range(frames):
        moved = np.roll(wide, number * shift, axis=1)[:, :160]
        made.append((moved + random.normal(0, noise, moved.shape)).clip(0, 255).astype(np.uint8))
    return made


def starts(pictures: list[np.ndarray]) -> list[int]:
    return [number for number, (_, is_cut) in enumerate(shots(pictures)) if is_cut]


@pytest.mark.parametrize("at", [3, 10, 27])
def test_a_cut_is_found_where_it_is(at):
    assert starts([*scene(1, at), *scene(2, 30 - at)]) == [at]


def test_several_cuts():
    assert starts([*scene(1, 10), *scene(2, 10), *scene(1, 10)]) == [10, 20]


@pytest.mark.parametrize("shift", [0, 2, 6])
def test_a_moving_camera_is_no_cut(shift):
    assert starts(scene(3, 40, shift=shift)) == []


def test_slowly_changing_light_is_no_cut():
    pictures = [
        (picture * (1 - 0.02 * number)).astype(np.uint8) for number, picture in enumerate(scene(4, 30))
    ]
    assert starts(pictures) == []


def test_pictures_come_out_as_they_went_in_and_in_order():
    pictures = scene(5, 7)
    assert all(a is b for a, (b, _) in zip(pictures, shots(pictures), strict=True))


@pytest.mark.parametrize("frames", [0, 1, 2])
def test_hardly_any_pictures(frames):
    assert starts(scene(6, frames)) == []


def test_pictures_smaller_than_the_grid():
    assert cells_of(np.full((5, 30, 3), 7, np.uint8)).shape == (5, 30, 3)
    assert cells_of(np.full((5, 30, 3), 7, np.uint8)) == pytest.approx(7)
