"""Mouth shapes of synthetic lip motion, and the files that hold them."""

import itertools
import json
import xml.etree.ElementTree as ElementTree
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auteur.errors import UsageError
from auteur.formats import CUE_SUFFIXES, MouthCue, cues_text
from auteur.motion.mouth_shapes import MouthMotion, cues_of_shapes, mouth_shapes


def motion(gap, width=1.02, **likely):
    """Returns a mouth that opens by `gap` mm and makes no sound unless given."""
    gap = np.asarray(gap, dtype=np.float64)
    names = ("silence", "labiodental", "rounded", "lateral")
    sounds = {name: np.broadcast_to(np.asarray(likely.get(name, 0.0)), gap.shape) for name in names}
    return MouthMotion(gap_mm=gap, width=np.broadcast_to(np.asarray(width), gap.shape), **sounds)


@pytest.mark.parametrize(
    ("gap", "options", "shape"),
    [
        (0.0, {"silence": 1.0}, "X"),
        (0.0, {}, "A"),
        (-0.5, {}, "A"),
        (2.0, {}, "B"),
        (6.0, {}, "C"),
        (14.0, {}, "D"),
        (7.0, {"rounded": 0.9, "width": 0.98}, "E"),
        (7.0, {"width": 0.9}, "E"),
        (3.0, {"width": 0.9}, "F"),
        (3.0, {"rounded": 0.9, "width": 0.98}, "F"),
        (3.0, {"rounded": 0.9, "width": 1.05}, "B"),
        (14.0, {"width": 0.9}, "D"),
        (3.0, {"labiodental": 0.8}, "G"),
        (8.0, {"labiodental": 0.8}, "C"),
        (5.0, {"lateral": 0.8}, "H"),
        (1.5, {"lateral": 0.8}, "B"),
        (3.0, {"silence": 1.0}, "B"),
    ],
)
def test_each_rule(gap, options, shape):
    assert mouth_shapes(motion([gap] * 3, **options)) == [shape] * 3


def test_a_syllable_is_followed_and_a_closure_of_one_frame_stays():
    gap = [0, 0, 3, 7, 13, 13, 7, 0.2, 7, 13, 3, 0, 0]
    silence = [1, 1, *[0] * 9, 1, 1]
    assert "".join(mouth_shapes(motion(gap, silence=silence))) == "XXBCDDCACDBXX"


def test_a_flicker_of_one_frame_is_dropped():
    assert "".join(mouth_shapes(motion([7, 7, 12, 7, 7]))) == "CCCCC"
    assert "".join(mouth_shapes(motion([7, 7, 12, 12, 7]))) == "CCDDC"


@pytest.mark.parametrize("gap", [[np.nan, 1.0], []])
def test_motion_that_is_not_measured(gap):
    if gap:
        with pytest.raises(UsageError, match="NaN"):
            mouth_shapes(motion(gap))
    else:
        with pytest.raises(UsageError, match="do not fit"):
            cues_of_shapes([], rate=Fraction(25), end_sec=Fraction(1))


@pytest.mark.slow
@given(
    shapes=st.lists(st.sampled_from("ABCDEFGHX"), min_size=1, max_size=40),
    rate=st.sampled_from([Fraction(25), Fraction(30000, 1001), Fraction(60)]),
    rest=st.fractions(Fraction(1, 100), Fraction(1)),
)
def test_cues_cover_the_time_exactly(shapes, rate, rest):
    end = (len(shapes) - 1 + rest) / rate
    cues = cues_of_shapes(shapes, rate=rate, end_sec=end)
    assert cues[0].start_sec == 0 and cues[-1].end_sec == end
    assert all(cue.end_sec == after.start_sec for cue, after in itertools.pairwise(cues))
    assert all(cue.shape != after.shape for cue, after in itertools.pairwise(cues))
    for index, shape in enumerate(shapes):
        assert next(cue for cue in cues if cue.start_sec <= index / rate < cue.end_sec).shape == shape


CUES = [
    MouthCue(Fraction(0), Fraction(1, 10), "X"),
    MouthCue(Fraction(1, 10), Fraction(12, 25), "D"),
    MouthCue(Fraction(12, 25), Fraction(2, 3), "A"),
]


def test_tsv():
    assert cues_text(CUES, ".tsv", sound="a.wav") == "0.00\tX\n0.10\tD\n0.48\tA\n0.666667\tX\n"


def test_json():
    document = json.loads(cues_text(CUES, ".json", sound='a "b".wav'))
    assert document["metadata"] == {"soundFile": 'a "b".wav', "duration": 0.666667}
    assert document["mouthCues"][1] == {"start": 0.1, "end": 0.48, "value": "D"}


def test_xml():
    root = ElementTree.fromstring(cues_text(CUES, ".xml", sound="a<b>&.wav"))  # noqa: S314  # our own text
    assert root.tag == "rhubarbResult"
    assert root.findtext("metadata/soundFile") == "a<b>&.wav"
    assert root.findtext("metadata/duration") == "0.666667"
    cues = [(cue.get("start"), cue.get("end"), cue.text) for cue in root.iter("mouthCue")]
    assert cues == [("0.00", "0.10", "X"), ("0.10", "0.48", "D"), ("0.48", "0.666667", "A")]


def test_dat_counts_frames_from_one():
    assert cues_text(CUES, ".dat", sound="a.wav") == "MohoSwitch1\n1 X\n3 D\n12 A\n17 X\n"
    assert cues_text(CUES, ".dat", sound="a.wav", rate=Fraction(25)).splitlines()[3] == "13 A"


@pytest.mark.parametrize(
    ("cues", "suffix"),
    [
        ([], ".json"),
        (CUES, ".txt"),
        ([MouthCue(Fraction(0), Fraction(1), "Z")], ".tsv"),
        ([MouthCue(Fraction(1), Fraction(1), "A")], ".tsv"),
        ([CUES[0], CUES[2]], ".tsv"),
    ],
)
def test_cues_that_cannot_be_written(cues, suffix):
    assert ".txt" not in CUE_SUFFIXES
    with pytest.raises(UsageError):
        cues_text(cues, suffix, sound="a.wav")
