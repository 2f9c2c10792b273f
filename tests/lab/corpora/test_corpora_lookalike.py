"""Look-alike trees: real faces in every layout, the requested faults, and marks on all of it."""

import numpy as np
import pytest

from auteur.errors import InputError, MediaError, UsageError
from auteur.lab.corpora import open_corpus
from auteur.media import VideoReader, probe, read_mark_text, read_speech
from support.footage import EMOTIONS, FAULTS, clip_of
from support.lookalike import VIDEO_KINDS, build_lookalike

SECONDS = 1.0


@pytest.fixture(scope="session")
def trees(tmp_path_factory):
    """One tree of each kind with every fault in it."""
    place = tmp_path_factory.mktemp("lookalikes")
    return {kind: build_lookalike(kind, place / kind, seconds=SECONDS, bad=True) for kind in VIDEO_KINDS}


@pytest.fixture(scope="session")
def corpora(trees):
    return {
        kind: open_corpus(kind, tree.folder, other_emotion_reference=True) for kind, tree in trees.items()
    }


def good(trees, corpora, kind):
    faulty = set(trees[kind].faults.values())
    return [each for each in corpora[kind].recordings() if each.key not in faulty]


@pytest.mark.slow
@pytest.mark.parametrize("kind", VIDEO_KINDS)
def test_two_people_of_three_recordings(trees, corpora, kind):
    listed = good(trees, corpora, kind)
    training, test = trees[kind].people
    assert len(listed) == 2 * len(EMOTIONS)
    assert {each.person: each.held_out for each in listed} == {training: False, test: True}


@pytest.mark.slow
@pytest.mark.parametrize("kind", VIDEO_KINDS)
def test_pictures_and_sound_can_be_read(trees, corpora, kind):
    for each in good(trees, corpora, kind):
        info = probe(each.video)
        assert (info.width_px, info.height_px) == (256, 256)
        assert float(info.duration_sec) >= SECONDS
        assert np.abs(read_speech(each.audio or each.video).samples).max() > 0.01


@pytest.mark.parametrize("kind", sorted({*VIDEO_KINDS} - {"hdtf"}))
def test_emotions_and_references(trees, corpora, kind):
    listed = good(trees, corpora, kind)
    assert {each.emotion for each in listed} == set(EMOTIONS)
    assert all(each.reference for each in listed)


@pytest.mark.slow
def test_a_face_in_every_good_recording(trees, corpora, backend):
    for each in good(trees, corpora, "hdtf"):
        with VideoReader(each.video) as video:
            frames = [frame.image for frame in video if frame.time_sec >= each.start_seconds]
        assert len(backend.find(frames[2])) == 1


def test_hdtf_begins_at_the_time_of_its_list(trees, corpora, backend):
    late = next(each for each in good(trees, corpora, "hdtf") if each.start_seconds)
    with VideoReader(late.video) as video:
        assert not backend.find(next(iter(video)).image)


@pytest.mark.parametrize("kind", VIDEO_KINDS)
def test_every_fault_is_there(trees, corpora, kind):
    assert trees[kind].faults.keys() == FAULTS.keys()
    listed = {each.key: each for each in corpora[kind].recordings()}
    missing = {fault for fault, key in trees[kind].faults.items() if key not in listed}
    assert missing == (set() if kind == "hdtf" else {"no_sound"})
    assert len(corpora[kind].problems) == len(missing)


@pytest.mark.slow
def test_what_the_faults_are(trees, corpora, backend):
    listed = {each.key: each for each in corpora["hdtf"].recordings()}
    faulty = {fault: listed[key].video for fault, key in trees["hdtf"].faults.items()}

    def first(fault):
        with VideoReader(faulty[fault]) as video:
            return next(iter(video)).image

    with pytest.raises(MediaError):
        first("unreadable")
    assert probe(faulty["no_sound"]).audio_rate_hz is None
    assert len(backend.find(first("two_faces"))) == 2
    assert not backend.find(first("no_face"))
    assert np.abs(read_speech(faulty["silence"]).samples).max() < 1e-3
    assert first("low_resolution").shape[:2] == (64, 64)
    late = read_speech(faulty["late_sound"])
    assert np.abs(late.slice(0, 0.5).samples).max() < 1e-2
    with VideoReader(faulty["cut"]) as video:
        frames = np.stack([frame.image for frame in video]).astype(float)
    jumps = np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2, 3))
    assert jumps.max() > 10 * np.median(jumps)


def test_people_differ(trees, corpora):
    def portrait(person):
        video = next(each.video for each in good(trees, corpora, "mead") if each.person == person)
        with VideoReader(video) as reader:
            return next(iter(reader)).image.astype(float)

    first, second = (portrait(person) for person in trees["mead"].people)
    assert np.abs(first - second).mean() > 10
    assert np.abs(first - second[:, ::-1]).mean() < 3


@pytest.mark.parametrize("kind", VIDEO_KINDS)
def test_made_faces_are_marked(trees, corpora, kind):
    for each in good(trees, corpora, kind):
        assert "Auteur" in (read_mark_text(each.video) or "")


def test_acted_and_perceived_differ_somewhere(trees, corpora):
    listed = {each.emotion: each for each in good(trees, corpora, "cremad")}
    assert listed["happy"].perceived == "happy"
    assert listed["angry"].perceived == "disgusted"
    assert listed["neutral"].perceived is None


def test_faces_are_made_once(trees, tmp_path):
    made = clip_of.cache_info().misses
    build_lookalike("mead", tmp_path / "again", seconds=SECONDS, bad=True)
    assert clip_of.cache_info().misses == made


@pytest.mark.slow
def test_clips_of_ones_own(trees, tmp_path):
    clips = trees["ravdess"].folder / "Actor_17"
    tree = build_lookalike("folder", tmp_path / "own", people=1, clips=clips, seconds=0.6)
    listed = open_corpus("folder", tree.folder).recordings()
    assert len(listed) == len(EMOTIONS)
    assert float(probe(listed[0].video).duration_sec) == pytest.approx(0.6, abs=0.1)


def test_bad_requests(tmp_path):
    with pytest.raises(UsageError, match="meed"):
        build_lookalike("meed", tmp_path / "x")
    with pytest.raises(UsageError, match="between 1 and 8"):
        build_lookalike("mead", tmp_path / "x", people=9)
    with pytest.raises(UsageError, match=r"between 0\.5 and"):
        build_lookalike("mead", tmp_path / "x", seconds=100)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="not empty"):
        build_lookalike("mead", tmp_path)
    with pytest.raises(InputError, match="holds no video"):
        build_lookalike("mead", tmp_path / "y", clips=tmp_path)
