"""Whole runs on a small corpus: what comes out, what goes wrong and what is kept."""

import dataclasses
import json
import re
import resource
import shutil
from collections import Counter
from html.parser import HTMLParser

import numpy as np
import pytest
from prepare_tools import OPTIONS, LazyEngine, SerialEngine, contents

from auteur.errors import InputError, UsageError
from auteur.facs import CONVENTIONS
from auteur.lab.prepare import ShardReader, prepare
from auteur.lab.prepare.work_folder import WorkFolder

pytestmark = pytest.mark.slow


def rejections(folder) -> dict[str, str]:
    lines = (folder / "rejected.jsonl").read_text(encoding="utf-8").splitlines()
    return {row["key"] or row["video"]: row["reason"] for row in map(json.loads, lines)}


def test_every_fault_is_named_and_none_stops_the_run(prepared):
    faults, reasons = prepared.corpus.faults, rejections(prepared.out)
    assert reasons[faults["unreadable"]] == "unreadable"
    assert reasons[faults["two_faces"]] == "several_people"
    assert reasons[faults["no_face"]] == "no_face"
    assert reasons[faults["silence"]] == "silent"
    assert reasons[faults["low_resolution"]] == "too_small"
    missing = [name for name in reasons if name.endswith("front/sad/level_1/002.mp4")]
    assert [reasons[name] for name in missing] == ["unreadable"]


def test_a_cut_makes_two_clips(prepared):
    key = prepared.corpus.faults["cut"]
    rows = [row for row in ShardReader(prepared.out).rows if row["key"].startswith(key)]
    assert [row["key"] for row in rows] == [f"{key}--001", f"{key}--002"]


def test_totals_agree(prepared):
    totals = prepared.summary.totals
    reasons = Counter(rejections(prepared.out).values())
    reader = ShardReader(prepared.out)
    assert totals["samples"] == len(reader) == len(list(reader))
    assert totals["failed"] == reasons.pop("unreadable") == 2
    assert totals["rejected"] == sum(reasons.values())
    assert totals["people"] == 2
    assert totals["held_out_people"] == 1
    assert totals["frames"] == sum(row["frames"] for row in reader.rows)


def test_no_person_is_in_both_parts(prepared):
    train, test = (ShardReader(prepared.out, part=part) for part in ("train", "held_out"))
    assert not {row["person"] for row in train.rows} & {row["person"] for row in test.rows}
    assert {row["held_out"] for row in test.rows} == {True}


def test_a_sample_holds_everything_at_one_rate(prepared):
    sample = next(iter(ShardReader(prepared.out, part="train")))
    record, frames = sample.record, sample.frames()
    count = record["frames"]
    assert frames.shape == (count, 96, 96, 3)
    assert sample.speech().samples.size == 640 * count
    index = json.loads((prepared.out / "index.json").read_text(encoding="utf-8"))
    for member in sample.members:
        if member.endswith(".npy") and not member.startswith("reference"):
            values = sample.array(member.removesuffix(".npy"))
            assert len(values) == count, member
            assert np.isfinite(values).all(), member
            assert values.shape[1] == len(index["channels"].get(member, values[0])), member
    assert {f"au.{name}.npy" for name in CONVENTIONS} <= sample.members.keys()
    assert record["neutral"] == "a neutral recording of the person"
    assert record["au_from"]["facs"] == "auteur"


def test_landmarks_lie_on_the_face_in_the_crop(prepared, backend):
    for sample in ShardReader(prepared.out, part="held_out"):
        frame = np.ascontiguousarray(np.kron(sample.frames()[5], np.ones((2, 2, 1), np.uint8)))
        [seen, *_] = backend.find(frame)
        labelled = 2 * sample.array("landmarks")[5][:, :2] + 0.5
        assert np.linalg.norm(seen.landmarks[:, :2] - labelled, axis=1).mean() < 4


def test_the_report_holds_everything_itself(prepared):
    page = (prepared.out / "report.html").read_text(encoding="utf-8")
    parser = _Links()
    parser.feed(page)
    assert parser.images == prepared.summary.totals["samples"]
    assert not parser.outside
    for words in ("happy", "mead:M003", "held out", "another face about as large", "face size"):
        assert words in page


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.images, self.outside = 0, []

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("src", "href"):
                self.images += value.startswith("data:image/jpeg;base64,")
                self.outside += [] if value.startswith("data:") else [value]


def test_nothing_is_left_over(prepared):
    names = {path.name for path in prepared.out.iterdir()}
    assert {name for name in names if not re.fullmatch(r"(train|held_out)-\d{6}\.tar", name)} == {
        "index.json",
        "rejected.jsonl",
        "report.html",
    }


def test_the_corpus_is_only_read(corpus, prepared):
    assert not [path for path in corpus.folder.rglob("*") if path.stat().st_mtime > _begun(prepared)]


def _begun(prepared) -> float:
    return min(path.stat().st_mtime for path in prepared.out.iterdir())


def test_a_finished_run_is_checked_and_does_no_work(copy_of, prepared):
    out = copy_of()
    summary = prepare(prepared.corpus.folder, out, OPTIONS, LazyEngine())
    assert summary.totals == prepared.summary.totals
    assert contents(out) == contents(prepared.out)
    assert not (out / ".work").exists()


def test_a_damaged_shard_is_repaired(copy_of, prepared):
    out = copy_of()
    shard = out / "held_out-000000.tar"
    shard.write_bytes(shard.read_bytes()[:-1024] + bytes(1024))
    content = bytearray(shard.read_bytes())
    content[600] ^= 255
    shard.write_bytes(content)
    summary = prepare(prepared.corpus.folder, out, OPTIONS, SerialEngine())
    assert summary.repaired == ("held_out-000000.tar",)
    assert contents(out) == contents(prepared.out)


def test_other_options_are_refused_and_named(copy_of, prepared):
    out = copy_of()
    other = dataclasses.replace(OPTIONS, size_px=128, views=("front",))
    with pytest.raises(UsageError, match=r"size_px was 96 and is 128") as refused:
        prepare(prepared.corpus.folder, out, other, LazyEngine())
    assert "views was not set and is ['front']" in str(refused.value)
    assert contents(out) == contents(prepared.out)


def test_a_changed_corpus_is_refused_and_named(copy_of, prepared, tmp_path):
    out = copy_of()
    changed = shutil.copytree(prepared.corpus.folder, tmp_path / "MEAD")
    shutil.rmtree(changed / "M005" / "video" / "front" / "happy")
    with pytest.raises(InputError, match=r"1 recordings are gone \(mead-M005-front-happy-3-001\)"):
        prepare(changed, out, OPTIONS, LazyEngine())


def test_a_folder_with_something_else_is_left_alone(corpus, tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InputError, match=r"holds 'thesis\.txt' and no preparation"):
        prepare(corpus.folder, tmp_path, OPTIONS, LazyEngine())
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_overwrite_removes_a_preparation_and_nothing_else(copy_of, prepared):
    out = copy_of()
    (out / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="notes"):
        prepare(prepared.corpus.folder, out, OPTIONS, LazyEngine(), overwrite=True)
    assert {path.name for path in out.iterdir() if path.is_file()} == {"notes.txt"}


def test_two_runs_at_once_are_refused(corpus, tmp_path):
    out = tmp_path / "shards"
    with WorkFolder(out).locked(), pytest.raises(InputError, match="another run is at work"):
        prepare(corpus.folder, out, OPTIONS, LazyEngine())


@pytest.mark.parametrize(("kind", "match"), [("folder", "another"), ("hdtf", "hdtf|HDTF")])
def test_a_wrong_tree_is_refused(tmp_path, kind, match):
    (tmp_path / "empty").mkdir()
    with pytest.raises((InputError, UsageError)):
        prepare(tmp_path / "empty", tmp_path / "out", dataclasses.replace(OPTIONS, kind=kind), LazyEngine())
    with pytest.raises((InputError, UsageError), match=r"nowhere"):
        prepare(tmp_path / "nowhere", tmp_path / "out", dataclasses.replace(OPTIONS, kind=kind), LazyEngine())


def test_views_and_limit(corpus, tmp_path):
    with pytest.raises(InputError, match="no recording has the view 'top'; there are front"):
        prepare(corpus.folder, tmp_path / "top", dataclasses.replace(OPTIONS, views=("top",)), LazyEngine())
    few = dataclasses.replace(OPTIONS, views=("front",), limit=1)
    summary = prepare(corpus.folder, tmp_path / "few", few, SerialEngine())
    assert summary.totals["recordings"] == 1


def test_a_full_disk_is_named_and_what_was_done_is_kept(corpus, tmp_path):
    out, undisturbed = tmp_path / "shards", tmp_path / "undisturbed"
    few = dataclasses.replace(OPTIONS, limit=4)
    whole = prepare(corpus.folder, undisturbed, few, SerialEngine())
    largest = max(path.stat().st_size for path in undisturbed.glob("*.tar"))
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest - 1, hard))
    try:
        with pytest.raises(InputError, match=r"cannot write .*-000000\.tar.*"):
            prepare(corpus.folder, out, few, SerialEngine())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, hard))
    assert not list(out.glob("index.json"))
    assert list((out / ".work" / "items").glob("[!.]*.tar"))
    assert prepare(corpus.folder, out, few, LazyEngine()).kept == whole.totals["recordings"] == 4
    assert contents(out) == contents(undisturbed)


def test_a_full_disk_met_by_a_worker_stops_the_run(corpus, tmp_path):
    out = tmp_path / "shards"
    few = dataclasses.replace(OPTIONS, limit=2)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, hard))
    try:
        with pytest.raises(InputError, match=r"make room and run the same command again: 0 of 2 recordings"):
            prepare(corpus.folder, out, few, SerialEngine())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, hard))
    assert not list((out / ".work" / "items").iterdir())
