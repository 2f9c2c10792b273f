"""MEAD: folders, levels, the published test people, and what is not where it should be."""

import pytest
from trees import grow

from auteur.lab.corpora import open_corpus

TAKE = "M003/video/front/angry/level_3/001.mp4"
SOUND = "M003/audio/angry/level_3/001.m4a"


def test_a_take_and_its_sound(tmp_path):
    (one,) = open_corpus("mead", grow(tmp_path, TAKE, SOUND)).recordings()
    assert one.key == "mead-M003-front-angry-3-001"
    assert (one.person, one.emotion, one.intensity, one.view) == ("mead:M003", "angry", 1.0, "front")
    assert (one.video, one.audio) == (tmp_path / TAKE, tmp_path / SOUND)
    assert one.text is None


@pytest.mark.parametrize(("level", "intensity"), [(1, 1 / 3), (2, 2 / 3), (3, 1.0)])
def test_levels(tmp_path, level, intensity):
    place = f"sad/level_{level}/004"
    tree = grow(tmp_path, f"W011/video/left_30/{place}.mp4", f"W011/audio/{place}.m4a")
    (one,) = open_corpus("mead", tree).recordings()
    assert one.intensity == pytest.approx(intensity)
    assert one.view == "left_30"


def test_neutral_has_no_intensity(tmp_path):
    place = "neutral/level_1/001"
    tree = grow(tmp_path, f"W011/video/front/{place}.mp4", f"W011/audio/{place}.m4a")
    assert open_corpus("mead", tree).recordings()[0].intensity == 0


def test_the_published_test_people_are_held_out(tmp_path):
    people = ("M003", "M005", "M030", "W009", "W011", "W015")
    tree = grow(
        tmp_path,
        *(f"{who}/video/front/fear/level_1/001.mp4" for who in people),
        *(f"{who}/audio/fear/level_1/001.m4a" for who in people),
    )
    recordings = open_corpus("mead", tree).recordings()
    assert {each.person for each in recordings if each.held_out} == {f"mead:{p}" for p in people} - {
        "mead:M005",
        "mead:W011",
    }


def test_people_may_lie_a_level_down(tmp_path):
    tree = grow(tmp_path, f"Part 0/{TAKE}", f"Part 0/{SOUND}")
    assert len(open_corpus("mead", tree).recordings()) == 1
    assert len(open_corpus("mead", tmp_path / "Part 0" / "M003").recordings()) == 1


def test_sound_in_another_format(tmp_path):
    tree = grow(tmp_path, TAKE, SOUND.replace(".m4a", ".wav"))
    assert open_corpus("mead", tree).recordings()[0].audio.suffix == ".wav"


def test_one_file_per_take(tmp_path):
    tree = grow(tmp_path, "W009_sad_3_003.mp4", "M003_front_angry_3_003.mp4", "M003_front_angry_3_003.wav")
    angry, sad = open_corpus("mead", tree).recordings()
    assert (sad.person, sad.emotion, sad.intensity, sad.view, sad.audio) == (
        "mead:W009",
        "sad",
        1.0,
        "front",
        None,
    )
    assert angry.audio == tmp_path / "M003_front_angry_3_003.wav"


def test_missing_sound_is_named_and_the_rest_listed(tmp_path):
    other = TAKE.replace("001", "002")
    corpus = open_corpus("mead", grow(tmp_path, TAKE, SOUND, other))
    assert [each.key for each in corpus.recordings()] == ["mead-M003-front-angry-3-001"]
    (problem,) = corpus.problems
    assert problem.path == tmp_path / other
    assert "audio/angry/level_3/002.m4a" in str(problem)


@pytest.mark.parametrize(
    "name",
    ["M003/video/front/angry/001.mp4", "M003/video/behind/angry/level_1/001.mp4", "M003/video/001.mp4"],
)
def test_what_lies_elsewhere_is_named(tmp_path, name):
    corpus = open_corpus("mead", grow(tmp_path, TAKE, SOUND, name))
    assert [problem.path for problem in corpus.problems] == [tmp_path / name]


def test_an_unknown_emotion_is_named(tmp_path):
    corpus = open_corpus(
        "mead", grow(tmp_path, TAKE, SOUND, TAKE.replace("angry", "proud"), "M003_pro_1_001.mp4")
    )
    assert all("proud" in str(problem) or "'pro'" in str(problem) for problem in corpus.problems)
    assert len(corpus.problems) == 2


def test_hidden_files_do_not_count(tmp_path):
    corpus = open_corpus("mead", grow(tmp_path, TAKE, SOUND, TAKE.replace("001.mp4", "._001.mp4")))
    assert len(corpus.recordings()) == 1
    assert not corpus.problems
