"""What the recipes read and learn from, on made-up clips."""

from pathlib import Path

import numpy as np
import pytest
import torch
from motion_samples import TINY

from auteur.facs import CONTROLS
from auteur.lab.data.motion_tracks import even_frames
from auteur.lab.data.motion_windows import (
    MotionClip,
    MotionWindows,
    fit_space,
    mirrored,
    openface18,
    point_weights,
)
from auteur.lab.data.shards import Corpora
from auteur.lab.train.motion import MotionRecipe, correlation, motion_loss, motion_scores, prepare
from auteur.signals.topology import C162

pytestmark = pytest.mark.slow


def _clip(part: str, seed: int, *, heard: bool = True) -> MotionClip:
    random = np.random.default_rng(seed)
    wave = np.cumsum(random.normal(size=(110, 8)), axis=0).astype(np.float32)
    shapes = np.random.default_rng(99).normal(size=(8, 478, 3)).astype(np.float32)
    controls = np.clip(np.abs(random.normal(0, 0.3, (110, len(CONTROLS)))), 0, 1).astype(np.float32)
    return MotionClip(
        name=f"clip{seed}",
        person=f"person{seed}",
        part=part,  # type: ignore[arg-type]
        displacement_mm=np.einsum("tk,kpc->tpc", wave, shapes),
        aus=openface18(controls).astype(np.float32),
        controls=controls,
        speech=wave[:, :5] if heard else None,
        loudness=None,
    )


def test_frames_are_read_by_time_up_to_a_long_hole():
    index = np.r_[np.arange(30), np.arange(45, 60)]  # 30 fps, half a second missing
    values = index[:, None] / 30
    even = even_frames(index, values, 30.0)
    assert np.allclose(even[:, 0], np.arange(len(even)) / 25)
    assert len(even) == 25


def test_parts_are_by_person_and_held_out_people_are_never_trained_on():
    from auteur.lab.data.splits import is_held_out, part_of

    people = [f"person{n}" for n in range(400)]
    assert all((part_of(p) == "test") == is_held_out(p) for p in people)
    assert {part_of(p) for p in people} == {"train", "validation", "test"}


def test_basis_holds_the_motion_and_its_mirror_image():
    clips = [_clip("train", n) for n in range(3)]
    space = fit_space([clip.displacement_mm for clip in clips], 16)
    for motion in (clips[0].displacement_mm, mirrored(clips[0].displacement_mm)):
        again = np.einsum("tk,kpc->tpc", space.coefficients(motion), space.basis)
        assert np.abs(again - motion).max() < 0.02 * np.abs(motion).max()
    twice = mirrored(mirrored(clips[0].displacement_mm))
    assert np.array_equal(twice[:, 468:], clips[0].displacement_mm[:, 468:])


def test_the_loss_weights_lips_twice_and_only_c162():
    weights = point_weights()
    assert set(np.flatnonzero(weights)) == set(C162)
    assert weights[13] == 2 and weights[105] == 1 and weights[0] == 2


def test_correlation_counts_only_what_is_inside():
    a, b = torch.randn(2, 50), torch.randn(2, 50)
    b[:, :20] = 3 * a[:, :20] + 1
    inside = torch.zeros(2, 50)
    inside[:, :20] = 1
    torch.testing.assert_close(correlation(a, b, inside), torch.ones(2), atol=1e-3, rtol=0)


def test_a_few_steps_learn_and_every_part_gets_gradients():
    clips = [_clip("train", n, heard=n % 3 > 0) for n in range(6)] + [_clip("validation", 7)]
    recipe = MotionRecipe(data=Corpora(), out=Path(), batch_size=8, config=TINY)
    torch.manual_seed(0)
    model, batches, scale = prepare(recipe, clips)
    optimizer = torch.optim.Adam(model.parameters(), 3e-3)
    losses = []
    for step, batch in zip(range(25), batches, strict=False):
        loss = motion_loss(model, batch, recipe, scale, progress=1.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        if step == 0:
            batch_shapes = {name: tuple(value.shape) for name, value in batch.items()}
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])
    assert batch_shapes["coefficients"] == (8, 72, 6) and batch_shapes["aus"] == (8, 72, 18)
    without = [name for name, p in model.named_parameters() if p.grad is None]
    assert not without
    scores = motion_scores(model.eval(), clips[-1:])
    assert -1 <= scores.speech <= 1 and scores.score == -(2 * scores.speech + scores.aus + scores.both)


def test_windows_are_the_same_for_the_same_seed_and_stay_in_range():
    clips = [_clip("train", n) for n in range(3)]
    space = fit_space([clip.displacement_mm for clip in clips], 6)
    first, second = (next(iter(MotionWindows(clips, space, batch_size=4, seed=3))) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert first["aus"].min() >= 0 and first["aus"].max() <= 1
