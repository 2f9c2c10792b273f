"""Crops of filmed speech are drawn in the ratio of the mix; generated videos are half of them."""

import numpy as np
import pytest

from auteur.errors import UsageError
from auteur.lab.data.shards import Corpora
from auteur.lab.data.speech.lips import LIP_TARGETS, LipClip, LipCrops, lip_shares

CROPS = 400
FRAMES = 30


def clip(number: int, corpus: str, *, is_generated: bool = False) -> LipClip:
    """Noise whose targets are the number of the clip."""
    samples = np.random.default_rng(number).normal(0, 0.1, 640 * FRAMES).astype(np.float32)
    targets = np.full((FRAMES, len(LIP_TARGETS)), number, np.float32)
    return LipClip(str(number), "train", samples, targets, is_generated=is_generated, corpus=corpus)


CLIPS = [clip(0, "mead"), clip(1, "mead"), clip(2, "hdtf"), clip(3, "made", is_generated=True)]


@pytest.mark.parametrize(
    ("mix", "wanted"),
    [("", (1 / 6, 1 / 6, 1 / 6, 1 / 2)), ("mead=1,hdtf=3", (1 / 16, 1 / 16, 3 / 8, 1 / 2))],
)
def test_filmed_clips_are_drawn_by_the_mix_of_their_corpora(mix, wanted):
    shares = lip_shares(Corpora(mix=mix), CLIPS)
    batch = next(iter(LipCrops(CLIPS, crops=CROPS, seed=0, shares=shares)))
    drawn = np.bincount(batch["targets"][:, 0, 0].numpy().astype(int), minlength=4) / CROPS
    np.testing.assert_allclose(drawn, wanted, atol=0.08)


def test_a_mix_without_effect_is_refused():
    Corpora().refuse_mix("a fit counts every clip")
    with pytest.raises(UsageError, match="mix has no effect here: a fit counts every clip; leave it out"):
        Corpora(mix="mead=1").refuse_mix("a fit counts every clip")


def test_a_mix_that_lacks_a_corpus_is_named():
    with pytest.raises(UsageError, match=r"mix is 'mead=1' and does not name hdtf"):
        lip_shares(Corpora(mix="mead=1"), CLIPS)
