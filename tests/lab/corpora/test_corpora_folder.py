"""A plain folder, with and without a table."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trees import grow

from auteur.errors import InputError
from auteur.lab.corpora import open_corpus
from auteur.lab.data.splits import is_held_out


def with_table(root, text: str, *names: str):
    grow(root, *names)
    (root / "recordings.csv").write_text(text, encoding="utf-8")
    return root


def test_without_a_table_the_first_folder_is_the_person(tmp_path):
    tree = grow(tmp_path, "ann/a.mp4", "ann/late/b.mov", "ben.webm", "ben.wav", "notes.txt")
    by_name = {each.video.name: each for each in open_corpus("folder", tree).recordings()}
    assert {name: each.person for name, each in by_name.items()} == {
        "a.mp4": "folder:ann",
        "b.mov": "folder:ann",
        "ben.webm": "folder:ben",
    }
    assert by_name["ben.webm"].audio == tmp_path / "ben.wav"
    assert by_name["a.mp4"].held_out == is_held_out("folder:ann")


def test_keys_separate_names_that_a_key_cannot_hold(tmp_path):
    names = ["a b.mp4", "a-b.mp4", "a/b.mp4", "a_b.mp4", "我.mp4", "你.mp4", "a.b.mp4"]
    recordings = open_corpus("folder", grow(tmp_path, *names)).recordings()
    assert len({each.key for each in recordings}) == len(names)


def test_every_column(tmp_path):
    tree = with_table(
        tmp_path,
        "key,person,video,audio,emotion,perceived,intensity,view,text,start_seconds,stop_seconds,box,held_out\n"
        'one,ann,a.mp4,a.wav,Joy,sad,0.5,left,"Hello, you",1.5,2.5,1 2 3.5 4,yes\n',
        "a.mp4",
        "a.wav",
    )
    (one,) = open_corpus("folder", tree).recordings()
    assert (one.key, one.person, one.emotion, one.perceived) == ("one", "folder:ann", "happy", "sad")
    assert (one.intensity, one.view, one.text) == (0.5, "left", "Hello, you")
    assert (one.start_seconds, one.stop_seconds, one.box) == (1.5, 2.5, (1, 2, 3.5, 4))
    assert one.held_out
    assert one.audio == tmp_path / "a.wav"


def test_two_stretches_of_one_video(tmp_path):
    tree = with_table(tmp_path, "video,start_seconds,stop_seconds\na.mp4,0,1\na.mp4,1,2\n", "a.mp4")
    assert len({each.key for each in open_corpus("folder", tree).recordings()}) == 2


def test_only_rows_count(tmp_path):
    tree = with_table(tmp_path, "\ufeffvideo\na.mp4\n", "a.mp4", "b.mp4")
    assert [each.video.name for each in open_corpus("folder", tree).recordings()] == ["a.mp4"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("b.mp4,,,,,", "b.mp4"),
        (",,,,,", "names no video"),
        ("a.mp4,gone.wav,,,,", "gone.wav"),
        ("a.mp4,,hapy,,,", "did you mean 'happy'"),
        ("a.mp4,,,2,,", "between 0 and 1"),
        ("a.mp4,,,much,,", "much"),
        ("a.mp4,,,,1 2 3,", "left top right bottom"),
        ("a.mp4,,,,3 2 1 4,", "left top right bottom"),
        ("a.mp4,,,,,nan", "nan"),
        ("a.mp4,,,,,-1", "-1"),
        ("a.mp4,,,,1 2 3 4,0,sad", "more cells"),
        ("a" * 300 + ".mp4,,,,,", "aaa"),
        ("/,,,,,", "is missing"),
    ],
)
def test_a_bad_row_is_named_and_the_rest_listed(tmp_path, row, message):
    text = f"video,audio,emotion,intensity,box,start_seconds\n{row}\ngood.mp4,,,,,\n"
    corpus = open_corpus("folder", with_table(tmp_path, text, "a.mp4", "good.mp4"))
    assert [each.video.name for each in corpus.recordings()] == ["good.mp4"]
    (problem,) = corpus.problems
    assert message in str(problem)
    assert "line 2" in str(problem)


def test_an_empty_stretch_is_named(tmp_path):
    text = "video,start_seconds,stop_seconds\na.mp4,2,1\n"
    assert "empty" in str(open_corpus("folder", with_table(tmp_path, text, "a.mp4")).problems[0])


def test_a_key_that_names_no_file_is_named(tmp_path):
    corpus = open_corpus("folder", with_table(tmp_path, "video,key\na.mp4,../a\n", "a.mp4"))
    assert "'../a'" in str(corpus.problems[0])


def test_the_same_key_twice_is_named(tmp_path):
    corpus = open_corpus("folder", with_table(tmp_path, "video,key\na.mp4,x\nb.mp4,x\n", "a.mp4", "b.mp4"))
    assert len(corpus.recordings()) == 1
    assert "'x'" in str(corpus.problems[0])


def test_an_unknown_column(tmp_path):
    with pytest.raises(InputError, match="unknown column 'emotoin'; did you mean 'emotion'"):
        open_corpus("folder", with_table(tmp_path, "video,emotoin\n", "a.mp4"))


def test_a_table_without_videos(tmp_path):
    with pytest.raises(InputError, match=r"no column 'video'"):
        open_corpus("folder", with_table(tmp_path, "person\nann\n", "a.mp4"))


def test_a_person_cannot_be_on_both_sides(tmp_path):
    text = "video,person,held_out\na.mp4,ann,yes\nb.mp4,ann,no\n"
    with pytest.raises(InputError, match=r"'folder:ann' is held out in line 2 or 3"):
        open_corpus("folder", with_table(tmp_path, text, "a.mp4", "b.mp4"))


def test_a_table_that_is_no_text(tmp_path):
    grow(tmp_path, "a.mp4")
    (tmp_path / "recordings.csv").write_bytes(b"video\n\xff\xfe\n")
    with pytest.raises(InputError, match="UTF-8"):
        open_corpus("folder", tmp_path)


def test_lines_are_counted_as_an_editor_does(tmp_path):
    corpus = open_corpus("folder", with_table(tmp_path, 'video,text\n\na.mp4,"two\nlines"\n,\n', "a.mp4"))
    assert "line 5 names no video" in str(corpus.problems[0])


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(max_size=60) | st.binary(max_size=60))
def test_any_table_is_read_or_refused(tmp_path, content):
    grow(tmp_path, "a.mp4")
    text = content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content
    (tmp_path / "recordings.csv").write_bytes(b"video,emotion,box,key\n" + text)
    try:
        listed = open_corpus("folder", tmp_path)
    except InputError:
        return
    assert all(each.video.is_file() for each in listed.recordings())


def test_speech_alone_has_voices_emotions_and_a_language(tmp_path):
    table = (
        "audio,person,emotion,text,language\na.wav,17,calm,Hallo,de\nb.flac,18,Boredom?,,\nc.wav,18,sad,,\n"
    )
    tree = with_table(tmp_path, table, "a.wav", "b.flac", "c.wav")
    corpus = open_corpus("speech", tree)
    by_name = {each.video.name: each for each in corpus.recordings()}
    one = by_name["a.wav"]
    assert (one.person, one.emotion, one.text, one.language) == ("speech:17", "calm", "Hallo", "de")
    assert one.medium == "sound" and one.audio is None and by_name["c.wav"].emotion == "sad"
    assert ["line 3" in str(problem) for problem in corpus.problems] == [True]
    with pytest.raises(InputError, match=r"no column 'video', which names the file of a line|unknown column"):
        open_corpus("folder", tree)


def test_photographs_are_named_by_the_person_or_a_table(tmp_path):
    names = ("Ann_Other_0001.jpg", "Ann_Other_0002.jpg", "ben/x.png", "notes.txt")
    recordings = open_corpus("photos", grow(tmp_path, *names)).recordings()
    people = {each.video.name: each.person for each in recordings}
    assert people == dict.fromkeys(names[:2], "photos:Ann_Other") | {"x.png": "photos:ben"}
    assert {each.medium for each in recordings} == {"picture"}
    with_table(tmp_path, "picture,emotion\nben/x.png,happiness\n")
    (one,) = open_corpus("photos", tmp_path).recordings()
    assert (one.person, one.emotion) == ("photos:ben", "happy")
    with_table(tmp_path, "picture,audio\nben/x.png,a.wav\n")
    with pytest.raises(InputError, match=r"unknown column 'audio'; .*there are picture, key, person"):
        open_corpus("photos", tmp_path)
