"""Tables of the papers as protocols: rows, videos, scores, and the published numbers beside them."""

import dataclasses
import hashlib
import io
import json
import math
import tarfile
from pathlib import Path

import numpy as np
import pytest

from auteur.errors import FormatError, InputError, UsageError, WeightsError
from auteur.evaluate import protocols
from auteur.evaluate.corpus import of_people, read_corpus, spread_over
from auteur.evaluate.face_features import FaceFeatureNet
from auteur.evaluate.metrics import BY_NAME
from auteur.evaluate.paper_protocols import PaperRun, rows_of, run_paper_videos
from auteur.evaluate.protocols import Protocol
from auteur.evaluate.published_tables import OwnRow, published_table, table_lines
from auteur.evaluate.report import write_report
from auteur.evaluate.scoring import REAL, ClipScorer
from auteur.evaluate.statistics import Estimate
from auteur.evaluate.streams import Networks
from auteur.evaluate.unit_protocol import model_of, run_paper_units
from auteur.media import VideoWriter, read_speech
from auteur.provenance import Mark
from auteur.signals import Waveform

EXAMPLES = Path(__file__).parents[2] / "examples"
PAPERS = [name for name in protocols.names() if protocols.load(name).kind in ("paper_videos", "paper_units")]
PEOPLE = ("M003", "W009")


@pytest.fixture(scope="module")
def folder(talk, write_film, tmp_path_factory) -> Path:
    """Two of MEAD's test people, each neutral and happy."""
    place = tmp_path_factory.mktemp("mead")
    for person, frames in (
        ("M003", talk[:5]),
        ("W009", [np.ascontiguousarray(f[:, ::-1]) for f in talk[4:9]]),
    ):
        write_film(place / f"{person}_neu_1_001.mp4", frames, sound=True)
        write_film(place / f"{person}_hap_3_002.mp4", frames[::-1], sound=True)
    return place


def tiny(name: str, **changes) -> Protocol:
    return dataclasses.replace(protocols.load(name), people=PEOPLE, size_px=96, **changes)


def scorer(protocol: Protocol, backend):
    return lambda: ClipScorer(protocol, backend, Networks(FaceFeatureNet()), baselines=False)


# --- the tables themselves ---


@pytest.mark.parametrize("name", PAPERS)
def test_every_column_is_measured_and_every_published_number_has_a_column(name):
    protocol = protocols.load(name)
    assert protocol.metrics and set(protocol.metrics) <= BY_NAME.keys()
    assert protocol.rows and "arXiv" in protocol.source
    for row in protocol.published:
        assert set(row) - {"row", "set"} <= set(protocol.metrics), row


def test_no_number_of_emodiffhead_is_printed():
    assert not any(protocols.load(name).published for name in PAPERS if name.startswith("emodiffhead"))


def test_our_rows_stand_above_the_published_ones_with_counts_and_intervals():
    protocol = protocols.load("aulandmark-table2")
    own = OwnRow(
        "ours", {"emotion": Estimate(0.5, 0.25, 0.75, 12, 4), "fid": Estimate(20, math.nan, math.nan, 12, 1)}
    )
    table = published_table(protocol, [own])
    assert table.columns == ("row", "from", "emotion named ↑", "FID ↓", "M-LMD ↓", "LSE-C", "clips", "people")
    assert table.rows[0] == ("ours", "ours", "0.50 [0.25, 0.75]", "20.00", "–", "–", 12, 4)
    assert table.rows[-1] == ("per-frame AU vector", "published, MEAD", "0.7803", "18", "–", "–", "–", "–")
    text = "\n".join(table_lines(table))
    assert "arXiv 2509.19749" in text and "differ between papers" in text and "0.7803" in text


def test_systems_choose_the_rows():
    protocol = protocols.load("auhead-table2")
    assert [name for name, _, _ in rows_of(protocol, {})] == ["compact set"]
    named = rows_of(protocol, {"mesh": "a", "base": "b"})
    assert [(name, preset) for name, _, preset in named] == [("base", "b"), ("+ RoM", "a")]
    assert named[1][1].au_guidance == 3.5 and named[1][1].guidance_form == "published"
    both = rows_of(protocols.load("emodiffhead-comparison"), {"a": "1", "b": "2"})
    assert [name for name, _, _ in both][:2] == ["EMOdiffhead, a", "EMOdiffhead, b"]
    with pytest.raises(
        UsageError, match="names lmk; the rows of auhead-table2 are for base, sequence, lines"
    ):
        rows_of(protocol, {"lmk": "a"})


# --- corpora ---


def test_names_of_mead_state_person_and_emotion(folder, tmp_path):
    clips = read_corpus([folder], tmp_path)
    assert [(clip.person, clip.emotion) for clip in clips] == [
        ("M003", "happy"), ("M003", "neutral"), ("W009", "happy"), ("W009", "neutral"),
    ]  # fmt: skip
    assert len(of_people(clips, ("M003",), any_people=False)) == 2
    assert spread_over(clips, 2) == [clips[0], clips[2]]
    with pytest.raises(
        InputError, match=r"test people M003, M030 and the corpus has no clip of M030 .*--any-people"
    ):
        of_people(clips, ("M003", "M030"), any_people=False)
    assert of_people(clips, ("M030",), any_people=True) == clips
    with pytest.raises(InputError, match="no video of a held-out person"):
        read_corpus([tmp_path], tmp_path)
    with pytest.raises(InputError, match="is no folder"):
        read_corpus([tmp_path / "absent"], tmp_path)


def shards(place: Path, video: bytes, *, part: str = "held_out") -> Path:
    """A prepared corpus with one sample, as `auteur prepare` lays it out."""
    place.mkdir()
    record = {"person": "mead:M003", "emotion": "happy"}
    members = {"mead-M003.mp4": video, "mead-M003.json": json.dumps(record).encode()}
    with tarfile.open(place / f"{part}-000000.tar", "w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in members.items():
            header = tarfile.TarInfo(name)
            header.size = len(content)
            archive.addfile(header, io.BytesIO(content))
    digest = hashlib.sha256((place / f"{part}-000000.tar").read_bytes()).hexdigest()
    index = {"shards": [{"file": f"{part}-000000.tar", "sha256": digest, "samples": []}]}
    (place / "index.json").write_text(json.dumps(index))
    return place


def test_held_out_people_of_shards_are_unpacked_once_and_training_people_never(folder, tmp_path):
    video = (folder / "M003_hap_3_002.mp4").read_bytes()
    (clip,) = read_corpus([shards(tmp_path / "a", video)], tmp_path / "work")
    assert (clip.person, clip.emotion, clip.video.read_bytes()) == ("M003", "happy", video)
    clip.video.write_bytes(b"kept")
    assert read_corpus([tmp_path / "a"], tmp_path / "work")[0].video.read_bytes() == b"kept"
    with pytest.raises(InputError, match="no video of a held-out person"):
        read_corpus([shards(tmp_path / "b", video, part="train")], tmp_path / "work")
    (tmp_path / "a" / "held_out-000000.tar").write_bytes(b"damaged")
    with pytest.raises(FormatError, match="run auteur prepare again"):
        read_corpus([tmp_path / "a"], tmp_path / "other")


# --- videos ---


@pytest.mark.slow
def test_conditions_of_paper_c_are_made_scored_and_resumed(folder, backend, tmp_path):
    protocol = tiny("aulandmark-table2")
    run = PaperRun(out=tmp_path, systems={"compact": "warp"}, most_clips=2)
    done = run_paper_videos(protocol, [folder], run, scorer(protocol, backend))
    names = ["compact set: label", "compact set: emotion from the speech", "compact set: per-frame AUs"]
    assert done.compared == tuple(names) and not done.failures
    (table,) = done.tables
    assert [row[0] for row in table.rows[:4]] == [*names, REAL]
    assert table.rows[0][-2:] == (2, 2) and table.rows[-1][1] == "published, MEAD"
    assert "clips: 2 of 4, evenly spread (--clips)" in done.notes
    written = write_report(done, tmp_path)[0].read_text(encoding="utf-8")
    assert "per-frame AU vector" in written and "0.7803" in written
    videos = sorted((tmp_path / "videos").rglob("*.mp4"))
    stamps = [path.stat().st_mtime_ns for path in videos]
    assert len(videos) == 6
    videos[0].unlink()
    again = run_paper_videos(protocol, [folder], run, scorer(protocol, backend))
    assert [path.stat().st_mtime_ns for path in videos][1:] == stamps[1:], "what was there is taken"
    assert again.summary[names[0]]["m_lmd"].mean == done.summary[names[0]]["m_lmd"].mean


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "rows"),
    [("auhead-table2", 0), ("auhead-table3", 0), ("auhead-figure3", 2), ("aulandmark-table1", 0)],
)
def test_speech_driven_tables_and_the_sweep_of_guidance(name, rows, folder, backend, tmp_path):
    protocol = tiny(name)
    protocol = dataclasses.replace(protocol, rows=protocol.rows[:rows] if rows else protocol.rows)
    run = PaperRun(out=tmp_path, systems={"compact": "warp"}, most_clips=1)
    done = run_paper_videos(protocol, [folder], run, scorer(protocol, backend))
    assert len(done.compared) == max(1, rows) + (name == "aulandmark-table1")
    assert all(np.isfinite(done.summary[one]["au_error"].mean) for one in done.compared)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["emodiffhead-comparison", "emodiffhead-intensity"])
def test_emotions_are_given_to_a_neutral_portrait(name, folder, backend, tmp_path, write_film, talk):
    protocol = tiny(name, rows=protocols.load(name).rows[:2])
    run = PaperRun(out=tmp_path, systems={"compact": "warp"}, most_clips=1)
    done = run_paper_videos(protocol, [folder], run, scorer(protocol, backend))
    assert [one.clip.emotion for one in done.clips] == ["happy"] and not done.failures
    if name == "emodiffhead-intensity":
        return
    lonely = tmp_path / "lonely"
    write_film(lonely / "M003_hap_3_002.mp4", talk[:4], sound=True)
    with pytest.raises(InputError, match="M003 has no neutral clip to take the portrait from"):
        run_paper_videos(
            dataclasses.replace(protocol, people=("M003",)),
            [lonely],
            dataclasses.replace(run, out=tmp_path / "b"),
            scorer(protocol, backend),
        )


@pytest.mark.slow
def test_guidance_of_a_system_without_its_conditioner_is_refused(folder, backend, tmp_path):
    run = PaperRun(out=tmp_path, systems={"lines": "warp"}, most_clips=1)
    with pytest.raises(UsageError, match="guidance_form"):
        run_paper_videos(tiny("auhead-table2"), [folder], run, scorer(tiny("auhead-table2"), backend))


# --- Action Units from speech ---


@pytest.fixture(scope="module")
def spoken(talk, tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("spoken")
    speech = read_speech(EXAMPLES / "speech.flac")
    for number, name in enumerate(("M003_hap_3_001", "W009_sad_2_001", "W009_notes")):
        sound = speech.slice(number, number + 1)
        with VideoWriter(
            place / f"{name}.mp4", size_px=talk[0].shape[1::-1], rate=25, mark=Mark(),
            audio=Waveform(samples=sound.samples, rate_hz=sound.rate_hz),
        ) as video:  # fmt: skip
            for frame in (*talk, *talk[:5]):
                video.write(frame)
    return place


@pytest.mark.slow
def test_orders_of_the_answer_are_scored_beside_the_published_ones(spoken, tmp_path):
    done = run_paper_units(tiny("auhead-table1"), [spoken], PaperRun(out=tmp_path))
    (table,) = done.tables
    assert [row[0] for row in table.rows[:5]] == [
        "A + E -> AU", "A -> AU", "A -> AU -> E", "A -> E -> AU", "regression control",
    ]  # fmt: skip
    counts = {row[0]: row[-2] for row in table.rows[:5]}
    assert counts["A + E -> AU"] == 2 and counts["A -> AU"] == 3, "without a label there is none to give"
    assert table.rows[0][-3] == "–" and table.rows[3][-3] != "–", "emotion is named where it is predicted"
    assert table.rows[-1][:2] == ("A -> E -> AU", "published, MEAD")
    write_report(done, tmp_path)


def test_a_system_without_an_audio_language_model_is_named(tmp_path):
    (tmp_path / "audio_lm").mkdir()
    with pytest.raises(WeightsError, match="holds no audio-language model"):
        model_of(str(tmp_path))
