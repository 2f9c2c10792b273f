"""HDTF: lists of stretches, videos whole and cut, crops for another resolution."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trees import grow

from auteur.errors import InputError
from auteur.lab.corpora import open_corpus
from auteur.lab.data.splits import is_held_out
from auteur.media import VideoWriter
from auteur.provenance import Mark


def write_lists(root, times: str, crops: str, resolutions: str = "", *, subset: str = "WDA"):
    root.mkdir(parents=True, exist_ok=True)
    (root / f"{subset}_annotion_time.txt").write_text(times, encoding="utf-8")
    (root / f"{subset}_crop_wh.txt").write_text(crops, encoding="utf-8")
    (root / f"{subset}_resolution.txt").write_text(resolutions, encoding="utf-8")
    return root


@pytest.fixture
def small_video(tmp_path):
    """A video of 32 × 24 pixels."""
    path = tmp_path / "made" / "small.mp4"
    path.parent.mkdir()
    with VideoWriter(path, size_px=(32, 24), rate=Fraction(25), mark=Mark(watermark=False)) as video:
        for _ in range(5):
            video.write(np.zeros((24, 32, 3), np.uint8))
    return path


def test_stretches_of_a_whole_video(tmp_path):
    tree = write_lists(
        grow(tmp_path / "t", "AmyKlobuchar1.mp4"),
        "AmyKlobuchar1.mp4 00:35-02:45 03:25-04:00 \n",
        "AmyKlobuchar1_0.mp4 487 1005 0 1005\nAmyKlobuchar1_1.mp4 521 1046 0 1046\n",
    )
    first, second = open_corpus("hdtf", tree).recordings()
    assert first.key == "hdtf-WDA-AmyKlobuchar1-000"
    assert (first.start_seconds, first.stop_seconds) == (35, 165)
    assert (second.start_seconds, second.stop_seconds) == (205, 240)
    assert first.person == second.person == "hdtf:AmyKlobuchar"
    assert first.video == tree / "AmyKlobuchar1.mp4"
    assert first.emotion is None


def test_crops_are_scaled_to_the_resolution_at_hand(tmp_path, small_video):
    tree = write_lists(tmp_path / "t", "X.mp4 00:00-00:01\n", "X_0.mp4 240 480 120 480\n", "X.mp4 720\n")
    small_video.rename(tree / "X.mp4")
    (one,) = open_corpus("hdtf", tree).recordings()
    assert one.box == (8, 4, 24, 20)


@pytest.mark.parametrize("resolution", ["", "X.mp4 0\n"])
def test_a_crop_for_an_unknown_resolution_is_no_box(tmp_path, small_video, resolution):
    tree = write_lists(tmp_path / "t", "X.mp4 00:00-00:01\n", "X_0.mp4 0 24 0 24\n", resolution)
    small_video.rename(tree / "X.mp4")
    assert open_corpus("hdtf", tree).recordings()[0].box is None


@pytest.mark.parametrize("name", ["RD_Radio11_001.mp4", "Radio11_1.mp4", "clips/RD_Radio11_1.mp4"])
def test_clips_that_were_cut_already(tmp_path, name):
    tree = write_lists(
        grow(tmp_path, name),
        "Radio11.mp4 00:30-01:00 01:30-02:30\n",
        "Radio11_0.mp4 412 599 0 599\nRadio11_1.mp4 557 478 0 478\n",
        subset="RD",
    )
    corpus = open_corpus("hdtf", tree)
    (one,) = corpus.recordings()
    assert (one.key, one.start_seconds, one.stop_seconds, one.box) == ("hdtf-RD-Radio11-001", 0, None, None)
    assert "clip 0" in str(corpus.problems[0])


def test_clips_without_lists(tmp_path):
    tree = grow(tmp_path, "WDA_TimWalz_000.mp4", "RD_Radio1_000.mp4")
    assert [each.person for each in open_corpus("hdtf", tree).recordings()] == ["hdtf:Radio1", "hdtf:TimWalz"]


def test_lists_may_lie_elsewhere(tmp_path):
    lists = write_lists(tmp_path / "lists", "X.mp4 00:00-00:01\n", "X_0.mp4 0 24 0 24\n")
    tree = grow(tmp_path / "videos", "WDA_X.mp4")
    assert len(open_corpus("hdtf", tree, annotations=lists).recordings()) == 1
    with pytest.raises(InputError, match="annotion_time"):
        open_corpus("hdtf", tree, annotations=tree)


def test_what_lacks_a_crop_or_a_video_is_named(tmp_path):
    tree = write_lists(
        grow(tmp_path, "A.mp4"), "A.mp4 00:05-01:00 02:00-03:00\nB.mp4 00:05-01:00\n", "A_0.mp4 0 10 0 10\n"
    )
    corpus = open_corpus("hdtf", tree)
    assert [each.key for each in corpus.recordings()] == ["hdtf-WDA-A-000"]
    assert sorted(problem.reason.split(":")[0] for problem in corpus.problems) == ["A", "B"]


def test_broken_lines_are_named(tmp_path):
    tree = write_lists(
        grow(tmp_path, "A.mp4", "B.mp4"),
        "A.mp4 00:05-01:00\nB.mp4 01:00-00:30 later\n\n",
        "A_0.mp4 0 10 0 10\nB_0.mp4 left\n",
    )
    corpus = open_corpus("hdtf", tree)
    assert [each.key for each in corpus.recordings()] == ["hdtf-WDA-A-000"]
    reasons = " ".join(str(problem) for problem in corpus.problems)
    for words in ("'01:00-00:30'", "'later'", "'left'"):
        assert words in reasons


def test_stretches_keep_their_number_when_one_is_broken(tmp_path):
    tree = write_lists(grow(tmp_path, "A.mp4"), "A.mp4 01:00-00:30 02:00-02:30\n", "A_1.mp4 0 10 0 10\n")
    assert [each.key for each in open_corpus("hdtf", tree).recordings()] == ["hdtf-WDA-A-001"]


def test_which_people_are_held_out(tmp_path):
    names = [f"Someone{letter}" for letter in "ABCDEFGHIJKLMNOP"]
    tree = grow(
        tmp_path,
        *(f"WDA_{name}{number}_000.mp4" for name in names for number in (0, 1)),
        *(f"RD_Radio{number}_000.mp4" for number in range(20)),
    )
    recordings = open_corpus("hdtf", tree).recordings()
    for each in recordings:
        known = not each.key.startswith("hdtf-RD")
        assert each.held_out == (known and is_held_out(each.person))
    assert any(each.held_out for each in recordings)


def test_one_person_under_two_names(tmp_path):
    tree = grow(tmp_path, "WDA_WhipJimClyburn_000.mp4", "WDA_JamesClyburn1_000.mp4")
    assert {each.person for each in open_corpus("hdtf", tree).recordings()} == {"hdtf:JamesClyburn"}


words = st.sampled_from(
    ["A.mp4", "A_0.mp4", "B_1.mp4", "00:05-01:00", "1:00:00-1:00:30", "0", "12.5", "-", "x", "_"]
)
lines = st.lists(st.lists(words, max_size=6).map(" ".join), max_size=4).map("\n".join)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines | st.text(max_size=40), lines, lines)
def test_any_lists_are_read_or_refused(tmp_path, times, crops, resolutions):
    grow(tmp_path, "A.mp4", "B_1.mp4")
    try:
        for kind, text in (("annotion_time", times), ("crop_wh", crops), ("resolution", resolutions)):
            path = tmp_path / f"WDA_{kind}.txt"
            path.write_bytes(text.encode("utf-8", "surrogatepass"))
        listed = open_corpus("hdtf", tmp_path).recordings()
    except InputError:
        return
    for each in listed:
        assert each.stop_seconds is None or 0 <= each.start_seconds < each.stop_seconds
