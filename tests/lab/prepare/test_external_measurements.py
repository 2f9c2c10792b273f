"""What other tools measured, and pictures and rest from other recordings of the same person."""

import dataclasses
import io
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from prepare_tools import SerialEngine

from auteur.errors import FormatError, InputError
from auteur.facs import au_track
from auteur.formats import OpenFaceRow, OpenFaceWriter
from auteur.lab.corpora import Recording
from auteur.lab.data.expression_tracks import read_flame_clips
from auteur.lab.data.shards import Corpora
from auteur.lab.prepare import PrepareOptions, ShardReader, prepare
from auteur.lab.prepare.clips import Clip
from auteur.lab.prepare.external_measurements import at_clip, read_external
from auteur.lab.prepare.features import FeatureInputs, add_features
from auteur.lab.prepare.neutral import (
    CANDIDATES,
    NeutralFace,
    find_neutral,
    load_neutral,
    neutral_recordings,
    save_neutral,
)
from auteur.media import VideoWriter
from auteur.provenance import Mark

pytestmark = pytest.mark.slow


def clip(first: int, frames: int, **given) -> Clip:
    recording = Recording(key="one", person="somebody", video=Path("clip.mp4"), **given)
    return Clip(
        recording=recording, key="one", first=first, landmarks=np.zeros((frames, 478, 3)),
        blendshapes=np.zeros((frames, 52)), seen=1.0, company=0.0,
    )  # fmt: skip


def ramp(frames: int, rate: Fraction, start_sec: Fraction = Fraction(0)):
    """AU1 is the time, in tens of seconds."""
    values = np.zeros((frames, 17))
    values[:, 0] = (np.arange(frames) / float(rate) + float(start_sec)) / 10
    return au_track(values, convention="openface17", rate=rate, start_sec=start_sec)


@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30), Fraction(30000, 1001)])
def test_others_are_read_by_time(rate):
    found = at_clip(ramp(300, rate), clip(50, 20)).values[:, 0]
    assert found == pytest.approx((50 + np.arange(20)) / 250, abs=1e-3)


def test_what_a_tool_did_not_see_is_nan():
    found = at_clip(ramp(30, Fraction(25), Fraction(1)), clip(10, 60)).values[:, 0]
    seen = np.isfinite(found)
    assert not seen[:14].any()
    assert seen[15:45].all()
    assert not seen[47:].any()


@pytest.fixture
def talk(astronaut, tmp_path) -> Path:
    """A second of a face at 30 frames per second, without sound."""
    folder = tmp_path / "corpus"
    folder.mkdir()
    with VideoWriter(folder / "talk.mp4", size_px=(224, 224), rate=30, mark=Mark(watermark=False)) as video:
        for frame in range(30):
            left = 112 + frame // 3
            video.write(np.ascontiguousarray(astronaut[10:234, left : left + 224]))
    return folder


def openface_table(path: Path, frames: int) -> None:
    text = io.StringIO()
    writer = OpenFaceWriter(text)
    for number in range(frames):
        writer.write(
            OpenFaceRow(
                frame=number + 1,
                timestamp_sec=number / 30,
                confidence=1.0,
                is_success=True,
                gaze=np.zeros((2, 3)),
                gaze_angle_rad=np.zeros(2),
                pose=np.zeros(6),
                landmarks_px=np.zeros((68, 2)),
                intensities=np.full(17, 2.5),
                presences=np.ones(18),
            )
        )
    path.write_text(text.getvalue(), encoding="utf-8", newline="")


def test_external_numbers_replace_ours_and_the_record_names_them(talk, tmp_path):
    measured = tmp_path / "measured"
    for tool in ("openface", "deca"):
        (measured / tool).mkdir(parents=True)
    openface_table(measured / "openface" / "talk.csv", 30)
    np.savez(measured / "deca" / "talk.npz", exp=np.full((30, 50), 0.5), pose=np.full((30, 6), 0.25))
    options = PrepareOptions(
        kind="folder", size_px=64, measured=str(measured), least_seconds=0.5, keep_silent=True
    )
    prepare(talk, tmp_path / "shards", options, SerialEngine())
    [sample] = ShardReader(tmp_path / "shards")
    assert sample.array("au.openface17") == pytest.approx(2.5)
    assert sample.array("expression.flame50") == pytest.approx(0.5)
    assert sample.array("jaw") == pytest.approx(0.25)
    assert sample.record["au_from"]["openface17"] == "openface"
    assert sample.record["au_from"]["feafa24"] == "auteur"
    assert sample.record["expression_from"] == {"compact50": "auteur", "flame50": "deca"}
    assert sample.record["neutral"] == "calmest frames of the clip"
    assert sample.speech() is None
    assert "speech.npy" not in sample.members
    assert len(sample.frames()) == len(sample.array("au.openface17")) == 25


def test_flame_is_added_to_shards_that_were_prepared_without(talk, tmp_path):
    measured, shards = tmp_path / "measured", tmp_path / "shards"
    (measured / "deca").mkdir(parents=True)
    np.savez(measured / "deca" / "talk.npz", exp=np.full((30, 50), 0.5), pose=np.full((30, 6), 0.25))
    (talk / "recordings.csv").write_text("video,person,held_out\ntalk.mp4,person0,no\n")
    options = PrepareOptions(kind="folder", size_px=64, least_seconds=0.5, keep_silent=True)
    prepare(talk, shards, options, SerialEngine())
    with pytest.raises(InputError, match=r"lacks the feature 'flame'.*DATASET --measured FOLDER"):
        read_flame_clips(Corpora(shards=(shards,)))
    inputs = FeatureInputs(dataset=talk, measured=measured)
    assert not add_features(shards, ["flame"], inputs, SerialEngine())[0].left_out
    [sample] = ShardReader(shards, features=["flame"])
    assert sample.array("flame.expression") == pytest.approx(0.5)
    assert sample.array("flame.jaw") == pytest.approx(0.25)
    [clip] = read_flame_clips(Corpora(shards=(shards,)))
    assert clip.vectors == pytest.approx(0.5, abs=1e-5)


def test_a_damaged_table_fails_the_recording_by_name(talk, tmp_path):
    measured = tmp_path / "measured" / "openface"
    measured.mkdir(parents=True)
    (measured / "talk.csv").write_text("frame,timestamp\n1,zero\n")
    options = PrepareOptions(
        kind="folder", size_px=64, measured=str(measured.parent), least_seconds=0.5, keep_silent=True
    )
    summary = prepare(talk, tmp_path / "shards", options, SerialEngine())
    assert (summary.totals["samples"], summary.totals["failed"]) == (0, 1)
    assert "talk.csv" in (tmp_path / "shards" / "rejected.jsonl").read_text()


def test_a_table_of_another_tool_is_refused(talk, tmp_path):
    path = tmp_path / "talk.csv"
    openface_table(path, 5)
    recording = Recording(key="talk", person="a", video=talk / "talk.mp4", measured={"pyfeat": path})
    with pytest.raises(FormatError, match=r"holds openface1. Action Units; pyfeat writes others"):
        read_external(recording)


def test_the_reference_comes_from_another_emotion(corpus, tmp_path):
    options = PrepareOptions(
        kind="mead", size_px=64, least_seconds=0.4, limit=1, other_emotion_reference=True
    )
    prepare(corpus.folder, tmp_path / "shards", options, SerialEngine())
    [sample] = ShardReader(tmp_path / "shards")
    reference = sample.record["reference"]["key"]
    assert reference != sample.record["recording"]
    assert sample.record["emotion"] not in reference
    assert sample.array("reference.landmarks").shape == (478, 3)
    assert sample.members["reference.jpg"][:2] == b"\xff\xd8"


def neutral(person: str, number: int, view: str = "front", emotion: str = "neutral") -> Recording:
    return Recording(key=f"{person}{number}", person=person, video=Path("x.mp4"), view=view, emotion=emotion)


def test_neutral_recordings_by_person_and_view():
    found = neutral_recordings(
        [
            *(neutral("a", number) for number in range(9)),
            neutral("a", 9, "left"),
            neutral("b", 1, emotion="sad"),
        ]
    )
    assert {place: len(group) for place, group in found.items()} == {
        ("a", "front"): CANDIDATES,
        ("a", "left"): 1,
    }


def test_a_rest_that_cannot_be_read_is_passed_over(talk, backend, tmp_path):
    missing = neutral("a", 1)
    good = dataclasses.replace(missing, video=talk / "talk.mp4")
    assert find_neutral([missing], backend) is None
    rest = find_neutral([missing, good], backend)
    assert rest is not None
    save_neutral(tmp_path / "rest.npz", rest)
    back = load_neutral(tmp_path / "rest.npz")
    assert isinstance(back, NeutralFace)
    assert back.face_mm == pytest.approx(rest.face_mm)
    save_neutral(tmp_path / "none.npz", None)
    assert load_neutral(tmp_path / "none.npz") is None
