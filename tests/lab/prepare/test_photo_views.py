"""Photographs as clips: lips brought together, opened again, one frame and its mirror."""

import numpy as np
import pytest
import torch
from prepare_tools import SMALL, SerialEngine

from auteur.errors import InputError
from auteur.face.pose import without_pose
from auteur.lab.data.denoiser_clips import ClipFolder, MixedClips
from auteur.lab.data.face_views import ViewSettings
from auteur.lab.data.photo_views import photo_piece, views_of_photograph
from auteur.lab.data.shards import Corpora, ShardReader
from auteur.lab.data.splits import part_of
from auteur.lab.prepare import PrepareOptions, prepare
from auteur.lab.prepare.features import add_features
from auteur.media import VideoReader, write_image
from auteur.motion.mouth import lip_gap
from auteur.provenance import Mark

pytestmark = pytest.mark.slow
PERSON = next(n for n in map("Some_One{}".format, range(99)) if part_of(f"photos:{n}", False) == "train")


@pytest.fixture(scope="module")
def shards(film, tmp_path_factory):
    """A photograph of a person who trains, and one without a face."""
    place = tmp_path_factory.mktemp("photos")
    (place / "corpus").mkdir()
    with VideoReader(film(4)) as video:
        picture = next(iter(video)).image
    for name, shown in ((f"{PERSON}_0001", picture), ("No_One_0001", np.full_like(picture, 90))):
        write_image(place / "corpus" / f"{name}.png", shown, mark=Mark(tool="tests"))
    table = f"picture,person,emotion,held_out\n{PERSON}_0001.png,{PERSON},happy,no\nNo_One_0001.png,,,no\n"
    (place / "corpus" / "recordings.csv").write_text(table)
    options = PrepareOptions(kind="photos", size_px=160, least_face_px=40)
    summary = prepare(place / "corpus", place / "shards", options, SerialEngine())
    assert summary.totals["samples"] == 1 and summary.totals["rejected"] == 1
    return place / "shards"


def sample_of(shards):
    return next(iter(ShardReader(shards)))


def test_a_photograph_is_a_clip_of_one_frame(shards):
    sample = sample_of(shards)
    assert ShardReader(shards).medium == "picture" and ShardReader(shards).corpus == "shards"
    assert sample.frames().shape == (1, 160, 160, 3) and sample.speech() is None
    record = sample.record
    assert (record["person"], record["emotion"], record["medium"]) == (f"photos:{PERSON}", "happy", "picture")
    assert record["neutral"] == "the average face"
    assert sample.array("au.feafa24").shape == (1, 24) and sample.array("au.feafa24").any()
    assert (shards / "report.html").read_text().count("data:image/jpeg") == 1


def test_a_piece_is_the_photograph_and_the_same_with_its_lips_together(shards):
    sample = sample_of(shards)
    piece = photo_piece(sample)
    assert piece.person == f"photos:{PERSON}" and piece.speech is None
    assert np.array_equal(piece.pictures[1], sample.frames()[0])
    gaps = lip_gap(without_pose(piece.landmarks))
    assert gaps[0] < max(0.6, 0.5 * gaps[1])
    assert np.array_equal(
        piece.pictures[0][:8, :8], piece.pictures[1][:8, :8]
    )  # nothing but the face changes


def test_photographs_become_clips_that_join_those_of_footage(shards, monkeypatch):
    monkeypatch.setattr("auteur.lab.data.photo_views._check", lambda *_: None)
    (added,) = add_features(shards, ["views"], SMALL, SerialEngine(), overwrite=True)
    assert added.made == 1 and not added.left_out
    corpora = Corpora(shards=(shards,))
    clips = ClipFolder(corpora, past=2, medium="picture")
    batch = clips.batch(4, 1, torch.Generator().manual_seed(0))
    assert len(clips) == 2 and batch.clean.shape == (4, 1, 3, 32, 32)
    assert batch.conditions.au is None and batch.conditions.warped is not None
    both = MixedClips(clips, ClipFolder(corpora, names=("warped",), medium="picture"), 0.5)
    mixed = both.batch(4, 1, torch.Generator().manual_seed(0))
    drawn = mixed.conditions.presence("landmarks")
    assert drawn is not None and drawn.tolist() == [True, True, False, False]
    assert len(both.batch(1, 1, torch.Generator()).clean) == 1


def test_what_teaches_nothing_is_left_out_with_its_reason(shards):
    with pytest.raises(InputError, match="mm apart; at least 90 mm show teeth"):
        list(views_of_photograph(sample_of(shards), ViewSettings(size_px=32), least_gap_mm=90.0))
