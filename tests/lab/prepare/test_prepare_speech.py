"""Speech without pictures: what a sample holds, what is rejected, what recipes of faces refuse."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from prepare_tools import SMALL, LazyEngine, SerialEngine, contents

from auteur.errors import InputError, UsageError
from auteur.expression.acoustic_features import CHANNELS
from auteur.lab.corpora import open_corpus
from auteur.lab.data.motion_tracks import read_tracks
from auteur.lab.data.shards import Corpora, ShardReader
from auteur.lab.prepare import PrepareOptions, prepare
from auteur.lab.prepare.features import add_features
from auteur.lab.train.smoke.talking import RATE_HZ, talk
from auteur.media import write_audio
from auteur.provenance import Mark
from auteur.signals import Waveform

pytestmark = pytest.mark.slow
OPTIONS = PrepareOptions(kind="speech", least_seconds=0.5, longest_seconds=2.0)
TABLE = """audio,person,emotion,intensity,text,language,start_seconds,stop_seconds
long.wav,ravdess_01,calm,0.6,"Hallo, du",de,,
long.wav,ravdess_01,sad,,,,0.5,1.5
short.wav,ravdess_02,,,,,,
silent.wav,ravdess_02,,,,,,
broken.wav,ravdess_02,,,,,,
tested.wav,ravdess_17,happy,1,,,,
"""


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    place, random = tmp_path_factory.mktemp("speech"), np.random.default_rng(0)
    for name, seconds in (("long", 3.24), ("short", 0.2), ("tested", 1.0)):
        write_audio(place / f"{name}.wav", talk(random, seconds).waveform, mark=Mark())
    nothing = Waveform(samples=np.zeros(RATE_HZ, np.float32), rate_hz=RATE_HZ)
    write_audio(place / "silent.wav", nothing, mark=Mark())
    (place / "broken.wav").write_bytes(b"RIFF nothing")
    (place / "recordings.csv").write_text(TABLE)
    return place


@pytest.fixture(scope="module")
def shards(corpus, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("out") / "voices"
    totals = prepare(corpus, out, OPTIONS, SerialEngine()).totals
    assert (totals["samples"], totals["rejected"], totals["failed"]) == (4, 2, 1)
    return out


def test_a_sample_is_sound_and_its_features(shards):
    samples = list(ShardReader(shards, part="train"))
    assert [sample.record["frames"] for sample in samples] == [40, 41, 25]  # divided evenly; a stretch
    assert [sample.key.rpartition("--")[2] for sample in samples[:2]] == ["001", "002"]
    for sample in samples:
        frames = sample.record["frames"]
        assert sample.speech().samples.size == 640 * frames
        assert sample.array("speech").shape == (frames, 80) and sample.array("prosody").shape == (frames, 3)
        assert "mp4" not in sample.members and not sample.has("landmarks")
    first = samples[0].record
    assert (first["medium"], first["person"], first["emotion"]) == ("sound", "speech:ravdess_01", "calm")
    assert (first["text"], first["language"], first["intensity"]) == ("Hallo, du", "de", 0.6)
    assert (first["start_sec"], samples[1].record["start_sec"], first["face_px"]) == ("0", "8/5", None)
    assert samples[2].record["start_sec"] == "1/2"
    (tested,) = ShardReader(shards, part="held_out")
    assert tested.part == "test"


def test_what_is_left_out_is_named(shards):
    rows = [json.loads(line) for line in (shards / "rejected.jsonl").read_text().splitlines()]
    assert {(row["video"], row["reason"]) for row in rows} == {
        ("short.wav", "too_short"), ("silent.wav", "silent"), ("broken.wav", "unreadable"),
    }  # fmt: skip
    assert "speech:ravdess_01" in (shards / "report.html").read_text()


def test_the_sound_of_a_part_is_that_of_the_recording(corpus, shards):
    (whole, stretch), *_ = [
        [one for one in open_corpus("speech", corpus).recordings() if one.video.name == "long.wav"]
    ]
    assert {whole.start_seconds, stretch.start_seconds} == {0.0, 0.5}
    first, second, part = (sample.speech().samples for sample in ShardReader(shards, part="train"))
    joined = np.concatenate([first, second])
    np.testing.assert_allclose(part, joined[8_000:24_000], atol=1e-4)


def test_a_finished_run_does_no_work_and_other_options_are_refused(corpus, shards):
    before = contents(shards)
    prepare(corpus, shards, OPTIONS, LazyEngine())
    assert contents(shards) == before
    with pytest.raises(UsageError, match="kind was speech and is photos"):
        from dataclasses import replace

        (corpus / "a.png").touch()
        try:
            prepare(
                corpus,
                shards,
                replace(OPTIONS, kind="photos", annotations=str(photos_of(corpus))),
                LazyEngine(),
            )
        finally:
            (corpus / "a.png").unlink()


def photos_of(corpus: Path) -> Path:
    table = corpus / "photos.csv"
    table.write_text("picture\na.png\n")
    return table


def test_voices_are_rows_of_the_classifiers(shards):
    (added,) = add_features(shards, ["voice"], SMALL, SerialEngine())
    assert (added.made, added.left_out) == (4, {})
    for sample in ShardReader(shards, features=["voice"]):
        rows = sample.array("voice.rows")
        assert rows.dtype == np.float16 and rows.shape == (2 * sample.record["frames"], CHANNELS)


def test_features_of_faces_are_left_out_with_their_reason(shards):
    (added,) = add_features(shards, ["watermark"], SMALL, SerialEngine())
    assert set(added.left_out.values()) == {"it has no pictures"}
    (added,) = add_features(shards, ["views"], SMALL, SerialEngine())
    assert set(added.left_out.values()) == {"it has no pictures"}


def test_phones_need_their_recogniser(shards):
    try:
        import pocketsphinx  # noqa: F401
    except ImportError:
        with pytest.raises(UsageError, match=r"the feature 'phones' needs PocketSphinx; run: pip install"):
            add_features(shards, ["phones"], SMALL, LazyEngine())
    else:
        (added,) = add_features(shards, ["phones"], SMALL, SerialEngine())
        assert added.made == 4


def test_recipes_of_faces_refuse_speech_alone(shards):
    with pytest.raises(UsageError, match="holds speech without pictures, and videos are read"):
        list(read_tracks(Corpora(shards=(shards,))))
    with pytest.raises(InputError, match=r"lacks the feature 'phones' .* add it: auteur prepare -o"):
        Corpora(shards=(shards,)).readers(("phones",), media=("sound",))
