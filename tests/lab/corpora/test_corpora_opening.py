"""What is the same for every kind: kinds, wrong trees, order, references, measurements by other tools."""

import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trees import grow

from auteur.errors import InputError, UsageError
from auteur.facs import EMOTIONS
from auteur.lab.corpora import KINDS, Recording, open_corpus
from auteur.lab.corpora.listing import layout_of, with_references
from auteur.lab.data.media_kinds import PLAIN_KINDS

TREES = {
    "mead": ("M003/video/front/angry/level_1/001.mp4", "M003/audio/angry/level_1/001.m4a"),
    "hdtf": ("RD_Radio1_000.mp4",),
    "cremad": ("VideoFlash/1001_DFA_ANG_XX.flv", "AudioWAV/1001_DFA_ANG_XX.wav"),
    "ravdess": ("Actor_01/01-01-03-02-01-01-01.mp4",),
    "folder": ("ann/hello.mp4",),
    "speech": ("ann/hello.flac",),
    "photos": ("Ann_Other_0001.jpg",),
}


def recording(key: str, **fields) -> Recording:
    return Recording(key=key, **{"person": "x:ann", "video": Path(f"{key}.mp4"), **fields})


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_opens_its_own_tree(tmp_path, kind):
    corpus = open_corpus(kind, grow(tmp_path, *TREES[kind]))
    assert corpus.kind == kind
    assert len(corpus.recordings()) == 1
    assert not corpus.problems
    assert layout_of(kind).looks_like(tmp_path)


@pytest.mark.parametrize("lies", sorted(KINDS.keys() - {*PLAIN_KINDS}))
@pytest.mark.parametrize("named", sorted(KINDS.keys() - {*PLAIN_KINDS}))
def test_a_tree_of_another_kind_is_recognised(tmp_path, named, lies):
    tree = grow(tmp_path, *TREES[lies])
    if named != lies:
        with pytest.raises(
            InputError, match=rf"holds no '{named}': expected .*; found .*looks like '{lies}'"
        ):
            open_corpus(named, tree)


def test_an_empty_folder(tmp_path):
    with pytest.raises(InputError, match="found nothing"):
        open_corpus("folder", tmp_path)


def test_a_folder_that_is_missing(tmp_path):
    with pytest.raises(InputError, match="gone"):
        open_corpus("mead", tmp_path / "gone")
    with pytest.raises(InputError, match="measurements"):
        open_corpus("mead", grow(tmp_path / "t", *TREES["mead"]), measured=tmp_path / "gone")


@pytest.mark.parametrize(
    ("name", "nearest"), [("meed", "mead"), ("CREMA-D", "cremad"), ("ravdes", "ravdess")]
)
def test_an_unknown_kind(tmp_path, name, nearest):
    with pytest.raises(UsageError, match=rf"did you mean '{nearest}'"):
        open_corpus(name, tmp_path)
    with pytest.raises(UsageError, match="choose one of mead, hdtf, cremad, ravdess, folder"):
        open_corpus("qqqq", tmp_path)


@pytest.mark.parametrize("key", ["", "a/b", "a.b", "../x", "-x", "a b", "ä"])
def test_keys_can_name_files(key):
    with pytest.raises(InputError, match="key"):
        recording(key)


def test_the_order_is_that_of_the_keys(tmp_path):
    takes = [f"M0{person}/video/front/sad/level_1/00{n}.mp4" for person in (30, 7) for n in (3, 1)]
    sounds = [take.replace("video/front", "audio").replace("mp4", "m4a") for take in takes]
    corpus = open_corpus("mead", grow(tmp_path, *takes, *sounds))
    keys = [each.key for each in corpus.recordings()]
    assert keys == sorted(keys)


def test_recordings_travel_between_processes():
    one = recording("a", measured={"openface": Path("a.csv")})
    assert pickle.loads(pickle.dumps(one)) == one  # noqa: S301
    assert hash(one) == hash(replace(one, measured={}))


emotions = st.sampled_from([*EMOTIONS, None])


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.sampled_from("ab"), emotions, st.sampled_from(["front", None])), max_size=12),
    st.integers(0, 3),
)
def test_references_show_another_emotion_of_the_same_person(people, seed):
    listed = [
        recording(f"k{number:02d}", person=f"x:{person}", emotion=emotion, view=view)
        for number, (person, emotion, view) in enumerate(people)
    ]
    given_ = with_references(listed, seed=seed)
    by_key = {each.key: each for each in listed}
    for each in given_:
        others = [
            other
            for other in listed
            if other.person == each.person
            and other.view == each.view
            and other.emotion not in (None, each.emotion)
        ]
        assert (each.reference is not None) == bool(each.emotion and others)
        if each.reference is not None:
            assert by_key[each.reference] in others
    assert with_references(listed, seed=seed) == given_


def test_references_are_drawn_by_the_seed():
    listed = [recording(f"k{n}", emotion=emotion) for n, emotion in enumerate(EMOTIONS)]
    drawn = {with_references(listed, seed=seed)[0].reference for seed in range(40)}
    assert len(drawn) > 4


def test_references_are_only_named_on_request(tmp_path):
    names = [f"M007/{kind}/{e}/level_1/001" for e in ("sad", "happy") for kind in ("video/front", "audio")]
    tree = grow(tmp_path, *(f"{name}.{'mp4' if 'video' in name else 'm4a'}" for name in names))
    assert {each.reference for each in open_corpus("mead", tree).recordings()} == {None}
    happy, sad = open_corpus("mead", tree, other_emotion_reference=True).recordings()
    assert (happy.reference, sad.reference) == (sad.key, happy.key)


def test_measurements_are_found_by_key_and_by_path(tmp_path):
    tree = grow(tmp_path / "tree", *TREES["mead"])
    key = "mead-M003-front-angry-1-001"
    measured = grow(
        tmp_path / "measured",
        f"openface/{key}.csv",
        "deca/M003/video/front/angry/level_1/001.npz",
        f"emoca/{key}/exp.npy",
        f"unknown_tool/{key}.csv",
    )
    (one,) = open_corpus("mead", tree, measured=measured).recordings()
    assert one.measured == {
        "openface": measured / f"openface/{key}.csv",
        "deca": measured / "deca/M003/video/front/angry/level_1/001.npz",
        "emoca": measured / f"emoca/{key}",
    }
    assert open_corpus("mead", tree).recordings()[0].measured == {}


def test_measurements_of_a_whole_video_are_not_those_of_a_stretch(tmp_path):
    tree = grow(tmp_path / "tree", "a.mp4")
    (tree / "recordings.csv").write_text("key,video,stop_seconds\nx,a.mp4,1\n", encoding="utf-8")
    measured = grow(tmp_path / "measured", "openface/a.csv")
    assert open_corpus("folder", tree, measured=measured).recordings()[0].measured == {}
    grow(measured, "openface/x.csv")
    assert "openface" in open_corpus("folder", tree, measured=measured).recordings()[0].measured


def test_the_same_tree_elsewhere_gives_the_same_keys(tmp_path):
    names = ["b c/1.mp4", "d/我.mp4", "e.mp4"]
    here, there = (open_corpus("folder", grow(tmp_path / place, *names)).recordings() for place in "xy")
    assert [each.key for each in here] == [each.key for each in there]


def test_listing_needs_no_torch(tmp_path):
    grow(tmp_path, *TREES["mead"])
    code = (
        "import sys; from pathlib import Path; from auteur.lab.corpora import open_corpus; "
        "open_corpus('mead', Path(sys.argv[1])); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)]).returncode == 0
