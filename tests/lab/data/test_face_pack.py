"""Footage for the denoiser: packed, read again, warped and cut."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from auteur.errors import InputError
from auteur.lab.data.denoiser_augment import augmented
from auteur.lab.data.denoiser_clips import ClipFolder
from auteur.lab.data.face_pack import FacePackRecipe, Packer, read_piece, write_piece
from auteur.lab.data.face_views import FaceViewsRecipe, clips_of, mirrored, render
from auteur.lab.data.splits import is_held_out

PERSON = next(name for name in (f"person {n}" for n in range(100)) if not is_held_out(name))


@pytest.fixture(scope="module")
def piece(film, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pack")
    recipe = FacePackRecipe(clips=folder, out=folder, size_px=128, shortest_sec=0.3)
    pieces = list(Packer(recipe).pieces(film(26, empty=(12, 13)), person=PERSON))
    assert [len(one.landmarks) for one in pieces] == [
        10,
        10,
    ]  # the hole ends a piece; 25 of 29.97 frames stay
    write_piece(folder, pieces[0])
    return pieces[0], folder / f"{pieces[0].name}.npz"


@pytest.mark.slow
def test_a_piece_comes_back_nearly_as_it_was(piece):
    given, path = piece
    again = read_piece(path)
    assert again.person == PERSON and not again.is_held_out and again.speech is None
    assert np.abs(again.landmarks - given.landmarks).max() <= 1 / 32 + 1e-4
    assert np.abs(again.units - given.units).max() <= 0.5 / 255 + 1e-6
    assert np.abs(again.expression - given.expression).max() < 0.01
    assert again.pictures.shape == given.pictures.shape
    assert np.abs(again.pictures.astype(int) - given.pictures).mean() < 4


@pytest.mark.slow
def test_what_is_no_piece_is_named(piece, tmp_path):
    (tmp_path / "a.npz").write_bytes(b"no piece")
    with pytest.raises(InputError, match=r"a\.npz' is not a piece of a face pack"):
        read_piece(tmp_path / "a.npz")


@pytest.mark.slow
def test_a_mirror_twice_is_the_piece(piece):
    given, _ = piece
    turned = mirrored(given)
    assert not np.allclose(turned.landmarks, given.landmarks, atol=1)
    again = mirrored(turned)
    assert np.array_equal(again.pictures, given.pictures)
    assert np.allclose(again.landmarks, given.landmarks, atol=1e-3) and np.allclose(again.units, given.units)
    left, right = given.landmarks[:, 61], turned.landmarks[:, 291]
    assert np.allclose(127 - left[:, 0], right[:, 0], atol=1e-3)


@pytest.mark.slow
def test_spans_become_clips_that_training_reads(piece, tmp_path):
    given, path = piece
    recipe = FaceViewsRecipe(
        pack=path.parent, out=tmp_path, size_px=32, views=("mouth", "eyes"), least_painted=0.0
    )
    made = dict(clips_of(given, recipe, np.random.default_rng(0)))
    clip = made[f"{given.name}_0000_mouth"]
    assert clip["clean"].shape == (10, 3, 32, 32) and clip["clean"].dtype == torch.uint8
    assert clip["warped"].shape == (10, 4, 32, 32) and clip["landmarks"].shape == (10, 3, 32, 32)
    difference = (clip["clean"].int() - clip["warped"][:, :3].int()).abs().float()
    assert difference.mean() < 10  # the same face at the same place
    assert clip["region"].min() > 0 and made[f"{given.name}_0000_eyes"]["region"].max() == 255
    assert not dict(clips_of(given, replace(recipe, least_painted=0.9), np.random.default_rng(0)))

    assert render(path, recipe) == 4  # mouth and eyes, and in a mirror
    batch = ClipFolder(tmp_path, past=2).batch(4, 3, torch.Generator().manual_seed(0))
    assert batch.clean.shape == (4, 3, 3, 32, 32) and -1 <= batch.clean.min() < 0 < batch.clean.max() <= 1
    assert batch.conditions.warped[:, :, 3].min() >= 0 and batch.conditions.warped[:, :, :3].min() < -0.2
    assert batch.conditions.landmarks.min() >= 0 and batch.conditions.landmarks.max() <= 1
    lit = augmented(batch, torch.Generator().manual_seed(1))
    assert torch.equal(lit.conditions.landmarks, batch.conditions.landmarks)
    assert torch.equal(lit.conditions.warped[:, :, 3], batch.conditions.warped[:, :, 3])
    assert not torch.allclose(lit.clean, batch.clean, atol=0.02)


@pytest.mark.slow
def test_light_changes_picture_and_warp_alike(piece, tmp_path):
    path = piece[1]
    render(path, FaceViewsRecipe(pack=path.parent, out=tmp_path, size_px=32, least_painted=0.0))
    batch = ClipFolder(tmp_path, past=2).batch(6, 2, torch.Generator().manual_seed(0))
    same = batch.conditions
    same.warped[:, :, :3] = batch.clean
    for seed in range(4):
        lit = augmented(batch, torch.Generator().manual_seed(seed))
        assert torch.allclose(lit.conditions.warped[:, :, :3], lit.clean, atol=1e-6)
        assert lit.clean.abs().max() <= 1
