"""RAVDESS: seven codes, modalities, songs."""

import pytest
from trees import grow

from auteur.lab.corpora import open_corpus


def test_the_seven_codes(tmp_path):
    (one,) = open_corpus("ravdess", grow(tmp_path, "Actor_12/01-01-06-01-02-01-12.mp4")).recordings()
    assert (one.person, one.emotion, one.intensity) == ("ravdess:12", "fear", 0.6)
    assert one.text == "Dogs are sitting by the door."
    assert one.audio is None
    assert not one.held_out


@pytest.mark.parametrize(
    ("code", "emotion"),
    [
        (1, "neutral"),
        (2, "neutral"),
        (3, "happy"),
        (4, "sad"),
        (5, "angry"),
        (6, "fear"),
        (7, "disgusted"),
        (8, "surprised"),
    ],
)
def test_emotions(tmp_path, code, emotion):
    tree = grow(tmp_path, f"Actor_01/01-01-{code:02d}-01-01-01-01.mp4")
    assert open_corpus("ravdess", tree).recordings()[0].emotion == emotion


def test_pictures_need_their_sound(tmp_path):
    corpus = open_corpus(
        "ravdess",
        grow(
            tmp_path,
            "Video/Actor_01/02-01-03-01-01-01-01.mp4",
            "Audio/Actor_01/03-01-03-01-01-01-01.wav",
            "Video/Actor_01/02-01-04-01-01-01-01.mp4",
        ),
    )
    (one,) = corpus.recordings()
    assert one.audio == tmp_path / "Audio/Actor_01/03-01-03-01-01-01-01.wav"
    (problem,) = corpus.problems
    assert "03-01-04-01-01-01-01" in problem.reason


def test_a_take_that_is_there_twice_is_one_recording(tmp_path):
    tree = grow(tmp_path, "Actor_01/01-01-03-01-01-01-01.mp4", "Actor_01/02-01-03-01-01-01-01.mp4")
    corpus = open_corpus("ravdess", tree)
    assert [each.video.name for each in corpus.recordings()] == ["01-01-03-01-01-01-01.mp4"]
    assert not corpus.problems


def test_songs_are_counted_and_left_out(tmp_path):
    names = [f"Actor_01/01-02-0{code}-01-01-01-01.mp4" for code in (3, 4)]
    corpus = open_corpus("ravdess", grow(tmp_path, "Actor_01/01-01-03-01-01-01-01.mp4", *names))
    assert len(corpus.recordings()) == 1
    assert "2 songs" in str(corpus.problems[0])


def test_other_names_are_problems(tmp_path):
    corpus = open_corpus("ravdess", grow(tmp_path, "Actor_01/01-01-03-01-01-01-01.mp4", "Actor_01/take.mp4"))
    assert [problem.path.name for problem in corpus.problems] == ["take.mp4"]
