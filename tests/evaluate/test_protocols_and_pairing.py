"""Protocols are whole and strict; videos are paired by name and nothing is dropped silently."""

import pytest

from auteur.errors import InputError, UsageError
from auteur.evaluate import protocols
from auteur.evaluate.emotion import PrototypeClassifier, emotion_in_name, prototype_intensities
from auteur.evaluate.pairing import find_clips, sound_of
from auteur.evaluate.sweeps import SWEPT_EMOTIONS


@pytest.mark.parametrize("name", protocols.names())
def test_every_protocol_is_whole(name):
    protocol = protocols.load(name)
    assert protocol.fps > 0 and protocol.size_px >= 64 and protocol.crop_to_face >= 1
    assert protocol.title and protocol.about and protocol.source


def test_both_modes_of_the_papers_are_there():
    for data in ("mead", "cremad"):
        modes = {protocols.load(f"{data}-{mode}").action_units_from for mode in ("truth", "predicted")}
        assert modes == {"truth", "predicted"}


def test_bad_protocols_are_refused():
    with pytest.raises(UsageError, match="self-reenactment"):
        protocols.load("selfie")
    with pytest.raises(UsageError, match="unknown keys sise_px"):
        protocols.from_table({"name": "a", "sise_px": 3})
    with pytest.raises(UsageError, match="incomplete"):
        protocols.from_table({"name": "a", "fps": "25"})


def touch(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"")
    return folder


def test_folders_are_paired_by_stem_and_leftovers_are_named(tmp_path):
    made = touch(tmp_path / "made", "M003_happy_1.mp4", "M005_sad_2.mp4", "extra.mp4", "notes.txt")
    real = touch(tmp_path / "real", "M003_happy_1.mpg", "M005_sad_2.mkv", "W009_fear_3.mp4")
    requested = touch(tmp_path / "requested", "M005_sad_2.csv")
    clips, notes = find_clips({"ours": made}, real, requests=requested)
    assert [(c.name, c.person, c.emotion) for c in clips] == [
        ("M003_happy_1", "M003", "happy"),
        ("M005_sad_2", "M005", "sad"),
    ]
    assert clips[0].request is None and clips[1].request == requested / "M005_sad_2.csv"
    assert "W009_fear_3: left out, ours made no video of it" in notes
    assert "extra: left out, ours has it and the reference does not" in notes


def test_two_files_are_one_clip_whatever_they_are_called(tmp_path):
    folder = touch(tmp_path / "a", "x.mp4", "y.mp4")
    clips, notes = find_clips({"ours": folder / "x.mp4"}, folder / "y.mp4")
    assert len(clips) == 1 and not notes and clips[0].videos == {"ours": folder / "x.mp4"}


def test_clips_named_alike_are_not_one_person(tmp_path):
    folder = touch(tmp_path / "a", "clip_1.mp4", "clip_2.mp4")
    clips, _ = find_clips({"ours": folder}, folder)
    assert [clip.person for clip in clips] == ["clip_1", "clip_2"]


def test_nothing_to_pair_is_an_error(tmp_path):
    made, real = touch(tmp_path / "made", "a.mp4"), touch(tmp_path / "real", "b.mp4")
    with pytest.raises(InputError, match="partner"):
        find_clips({"ours": made}, real)
    with pytest.raises(InputError, match="holds no video"):
        find_clips({"ours": touch(tmp_path / "empty")}, real)
    with pytest.raises(InputError, match="does not exist"):
        find_clips({"ours": tmp_path / "absent"}, real)
    with pytest.raises(InputError, match="folder of several"):
        find_clips({"ours": touch(tmp_path / "many", "a.mp4", "b.mp4")}, real / "b.mp4")


def test_sound_beside_a_video_is_its_sound(tmp_path):
    folder = touch(tmp_path / "a", "x.mp4", "x.wav", "y.mp4")
    assert sound_of(folder / "x.mp4") == folder / "x.wav"
    assert sound_of(folder / "y.mp4") == folder / "y.mp4"


@pytest.mark.parametrize("emotion", SWEPT_EMOTIONS)
def test_every_prototype_is_named_after_itself(emotion):
    assert PrototypeClassifier().of_intensities(prototype_intensities(emotion)) == emotion


def test_a_face_that_does_little_is_neutral():
    assert PrototypeClassifier().of_intensities(0.05 * prototype_intensities("happy")) == "neutral"


@pytest.mark.parametrize(
    ("name", "emotion"),
    [("M003_level_3_happy_001", "happy"), ("1001_DFA_anger_XX", "angry"), ("clip_7", None)],
)
def test_emotions_are_read_from_names(name, emotion):
    assert emotion_in_name(name) == emotion
