"""CREMA-D: codes in names, what was acted and what was seen, sound beside."""

import pytest
from trees import grow

from auteur.errors import InputError
from auteur.lab.corpora import open_corpus
from auteur.lab.data.splits import is_held_out

VIDEO = "VideoFlash/1001_DFA_ANG_XX.flv"
SOUND = "AudioWAV/1001_DFA_ANG_XX.wav"
HEADER = '"","FileName","VoiceVote","VoiceLevel","FaceVote","FaceLevel","MultiModalVote","MultiModalLevel"\n'


def with_votes(root, *rows: tuple[str, str, str]):
    table = root / "processedResults" / "summaryTable.csv"
    table.parent.mkdir(parents=True)
    lines = (
        f'"{i}","{name}","N","70","N","70","{vote}","{level}"\n' for i, (name, vote, level) in enumerate(rows)
    )
    table.write_text(HEADER + "".join(lines), encoding="utf-8")
    return root


def test_codes(tmp_path):
    (one,) = open_corpus("cremad", grow(tmp_path, VIDEO, SOUND)).recordings()
    assert one.key == "cremad-1001_DFA_ANG_XX"
    assert (one.person, one.emotion, one.text) == ("cremad:1001", "angry", "Don't forget a jacket.")
    assert one.audio == tmp_path / SOUND
    assert one.intensity is None
    assert one.perceived is None
    assert one.held_out == is_held_out("cremad:1001")


@pytest.mark.parametrize(("code", "intensity"), [("LO", 0.2), ("MD", 0.5), ("HI", 0.8)])
def test_levels(tmp_path, code, intensity):
    tree = grow(tmp_path, f"VideoFlash/1001_IEO_HAP_{code}.flv", f"AudioWAV/1001_IEO_HAP_{code}.wav")
    assert open_corpus("cremad", tree).recordings()[0].intensity == intensity


@pytest.mark.parametrize(
    ("vote", "level", "perceived", "intensity"),
    [
        ("A", "57.17", "angry", 0.5717),  # seen as acted: its level counts
        ("D", "57.17", "disgusted", None),  # seen as something else
        ("A:D", "69.25:72.00", None, None),  # a tie
        ("A", "", "angry", None),
    ],
)
def test_acted_and_perceived(tmp_path, vote, level, perceived, intensity):
    tree = with_votes(grow(tmp_path, VIDEO, SOUND), ("1001_DFA_ANG_XX", vote, level))
    (one,) = open_corpus("cremad", tree).recordings()
    assert (one.emotion, one.perceived, one.intensity) == ("angry", perceived, intensity)


def test_the_table_may_lie_elsewhere(tmp_path):
    tree = grow(tmp_path / "tree", VIDEO, SOUND)
    with_votes(tmp_path / "votes", ("1001_DFA_ANG_XX", "D", "50"))
    table = tmp_path / "votes" / "processedResults" / "summaryTable.csv"
    for annotations in (table, table.parent):
        (one,) = open_corpus("cremad", tree, annotations=annotations).recordings()
        assert one.perceived == "disgusted"
    with pytest.raises(InputError, match=r"nowhere.*summaryTable"):
        open_corpus("cremad", tree, annotations=tmp_path / "nowhere.csv")


def test_a_table_of_something_else(tmp_path):
    table = tmp_path / "summaryTable.csv"
    table.write_text("name,vote\n", encoding="utf-8")
    with pytest.raises(InputError, match="lacks FileName, MultiModalLevel, MultiModalVote"):
        open_corpus("cremad", grow(tmp_path, VIDEO, SOUND))


def test_a_table_that_is_no_text(tmp_path):
    (tmp_path / "summaryTable.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="UTF-8"):
        open_corpus("cremad", grow(tmp_path, VIDEO, SOUND))


def test_missing_sound_is_named(tmp_path):
    corpus = open_corpus("cremad", grow(tmp_path, VIDEO, SOUND, "VideoFlash/1001_TIE_ANG_XX.flv"))
    assert len(corpus.recordings()) == 1
    (problem,) = corpus.problems
    assert problem.path.stem == "1001_TIE_ANG_XX"
    assert "AudioWAV" in problem.reason


def test_without_a_folder_of_sound_it_is_in_the_video(tmp_path):
    assert open_corpus("cremad", grow(tmp_path, VIDEO)).recordings()[0].audio is None


def test_mp3_stands_in_for_wav(tmp_path):
    tree = grow(tmp_path, VIDEO, "AudioWAV/1001_IEO_ANG_LO.wav", "AudioMP3/1001_DFA_ANG_XX.mp3")
    assert open_corpus("cremad", tree).recordings()[0].audio == tmp_path / "AudioMP3/1001_DFA_ANG_XX.mp3"


def test_the_name_that_lacks_an_x(tmp_path):
    tree = grow(tmp_path, "VideoFlash/1040_ITH_SAD_XX.flv", "AudioWAV/1040_ITH_SAD_X.wav")
    assert open_corpus("cremad", tree).recordings()[0].audio == tmp_path / "AudioWAV/1040_ITH_SAD_X.wav"


def test_converted_videos_come_before_the_originals(tmp_path):
    converted = "VideoMP4/1001_DFA_ANG_XX.mp4"
    corpus = open_corpus("cremad", grow(tmp_path, VIDEO, converted, SOUND))
    assert [each.video for each in corpus.recordings()] == [tmp_path / converted]
    assert not corpus.problems


@pytest.mark.parametrize(
    "name", ["VideoFlash/1001_DFA_BOR_XX.flv", "VideoFlash/1001_ABC_ANG_XX.flv", "x/me.mp4"]
)
def test_other_names_are_problems(tmp_path, name):
    corpus = open_corpus("cremad", grow(tmp_path, VIDEO, SOUND, name))
    assert [problem.path for problem in corpus.problems] == [tmp_path / name]
