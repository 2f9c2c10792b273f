"""Photographs as clips: lips brought together, opened again, one frame and its mirror."""

import numpy as np
import pytest
import torch

from auteur.errors import InputError
from auteur.face.auteur_backend import AuteurBackend
from auteur.face.pose import without_pose
from auteur.lab.data.denoiser_clips import ClipFolder, MixedClips, write_clips
from auteur.lab.data.photo_views import PhotoViewsRecipe, main, photo_piece, render
from auteur.lab.data.shards import Corpora
from auteur.lab.data.splits import part_of
from auteur.media import VideoReader, read_image, write_image
from auteur.motion.mouth import lip_gap
from auteur.provenance import Mark

PERSON = next(name for name in (f"Some_One{n}" for n in range(100)) if part_of(name) == "train")


@pytest.fixture(scope="module")
def photo(film, tmp_path_factory):
    path = tmp_path_factory.mktemp("photos") / f"{PERSON}_0001.jpg"
    with VideoReader(film(4)) as video:
        write_image(path, next(iter(video)).image, mark=Mark(tool="tests"))
    return path


def test_a_piece_is_the_photograph_and_the_same_with_its_lips_together(photo):
    picture = read_image(photo)
    piece = photo_piece(photo, picture, AuteurBackend().find(picture)[0])
    assert piece.person == PERSON and piece.speech is None
    assert np.array_equal(piece.pictures[1], picture)
    gaps = lip_gap(without_pose(piece.landmarks))
    assert gaps[0] < max(0.6, 0.5 * gaps[1])
    assert np.array_equal(piece.pictures[0][:8, :8], picture[:8, :8])  # nothing but the face changes


@pytest.mark.slow
def test_photographs_become_clips_that_join_those_of_footage(photo, tmp_path):
    recipe = PhotoViewsRecipe(photos=photo.parent, out=tmp_path, size_px=32, least_gap_mm=-9.0)
    made = render(photo, recipe)
    assert len(made) == 2
    corpora = Corpora(shards=(write_clips(tmp_path / "shards", made),))
    clips = ClipFolder(corpora, past=2)
    batch = clips.batch(4, 1, torch.Generator().manual_seed(0))
    assert len(clips) == 2 and batch.clean.shape == (4, 1, 3, 32, 32)
    assert batch.conditions.au is None and batch.conditions.warped is not None
    both = MixedClips(clips, ClipFolder(corpora, names=("warped",)), 0.5)
    mixed = both.batch(4, 1, torch.Generator().manual_seed(0))
    drawn = mixed.conditions.presence("landmarks")
    assert drawn is not None and drawn.tolist() == [True, True, False, False]
    assert len(both.batch(1, 1, torch.Generator()).clean) == 1


def test_what_teaches_nothing_is_left_out(photo, tmp_path):
    shut = PhotoViewsRecipe(photos=photo.parent, out=tmp_path, size_px=32, least_gap_mm=90.0)
    assert not render(photo, shut)
    (tmp_path / "No_One_0001.jpg").write_bytes(b"no picture")
    assert not render(tmp_path / "No_One_0001.jpg", shut)
    with pytest.raises(InputError, match=r"holds no \.jpg"):
        main(PhotoViewsRecipe(photos=tmp_path / "nowhere", out=tmp_path))
