"""Packing and reading: the same shards in whatever order items come, and no damaged one read in silence."""

import json
import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prepare_tools import contents

from auteur.errors import FormatError, InputError, UsageError
from auteur.lab.data.archive import json_line, npy, read_tar, write_tar
from auteur.lab.data.encoded_video import encode_video
from auteur.lab.data.shards import ShardReader
from auteur.lab.prepare.options import PrepareOptions, identity
from auteur.lab.prepare.report import write_results
from auteur.lab.prepare.shards import Packer
from auteur.lab.prepare.task import OUTCOME
from auteur.lab.prepare.work_folder import PARTS, WorkFolder

OPTIONS = PrepareOptions(kind="folder")
VIDEO = encode_video([np.full((64, 64, 3), 90, np.uint8)] * 3, rate=Fraction(25), crf=20)


def row(key: str, *, held_out: bool = False) -> dict:
    return {
        "key": key, "person": key[:2], "held_out": held_out, "emotion": None, "perceived": None,
        "intensity": None, "view": None, "frames": 3, "face_px": 90.0, "seen": 1.0, "has_speech": False,
        "offset_frames": None, "agreement": None, "bytes": 1,
    }  # fmt: skip


def put_item(work: WorkFolder, key: str, size: int = 10, *, samples: int = 1, held_out: bool = False) -> None:
    keys = [key] if samples == 1 else [f"{key}--{number:03d}" for number in range(samples)]
    rejected = {"key": key, "recording": key, "person": key[:2], "video": f"{key}.mp4", "detail": "a test"}
    outcome = {
        "samples": [row(each, held_out=held_out) for each in keys],
        "rejected": [] if samples else [{**rejected, "reason": "no_face"}],
    }
    members = [(OUTCOME, json_line(outcome))]
    for each in keys:
        members += [
            (f"{each}.json", json_line({"key": each})),
            (f"{each}.landmarks.npy", npy(np.full((3, 478, 3), len(each)))),
            (f"{each}.mp4", VIDEO + bytes(size)),
        ]
    with work.item(key).open("wb") as file:
        write_tar(file, members)


def begun(folder: Path, keys: list[str]) -> WorkFolder:
    work = WorkFolder(folder)
    with work.locked():
        work.open(identity(OPTIONS), keys, overwrite=False)
    return work


items = st.dictionaries(
    st.text("abc123", min_size=1, max_size=4), st.tuples(st.integers(0, 3000), st.integers(0, 2)), min_size=1
)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(items=items, order=st.randoms(use_true_random=False), limit=st.integers(1, 60_000))
def test_shards_depend_on_items_and_not_on_their_order_or_interruptions(items, order, limit):
    keys = sorted(items)
    with tempfile.TemporaryDirectory() as place:
        packed = []
        for name, shuffled in (("straight", False), ("shuffled", True)):
            work = begun(Path(place, name), keys)
            packer = Packer(work, "train", keys, limit)
            coming = list(keys)
            if shuffled:
                order.shuffle(coming)
            for key in coming:
                put_item(work, key, items[key][0], samples=items[key][1])
                packer.advance()
                if shuffled and order.random() < 0.3:  # killed and started again
                    packer = Packer(work, "train", keys, limit)
                    packer.advance()
            packer.finish()
            assert not list(work.items.iterdir())
            packed.append((contents(work.out), work.entries("train")))
        assert packed[0] == packed[1]
        samples = [row["key"] for entry in packed[0][1] for row in entry["samples"]]
        assert len(samples) == len(set(samples)) == sum(count for _, count in items.values())


def test_a_run_killed_between_shard_and_entry_or_entry_and_items_loses_nothing(tmp_path):
    keys = ["a", "b"]
    work = begun(tmp_path / "out", keys)
    for key in keys:
        put_item(work, key)
    saved = {path.name: path.read_bytes() for path in work.items.iterdir()}
    Packer(work, "train", keys, 1).finish()
    whole = contents(work.out)
    (work.done / "train-000001.json").unlink()  # the shard stood, its entry did not
    for name, content in saved.items():  # and the items of the first had not gone yet
        (work.items / name).write_bytes(content)
    Packer(work, "train", keys, 1).finish()
    assert contents(work.out) == whole
    assert not list(work.items.iterdir())


def finished(folder: Path, keys: tuple[str, ...] = ("a1", "a2", "b1")) -> Path:
    work = begun(folder, sorted(keys))
    for part in PARTS:
        mine = sorted(key for key in keys if key.startswith("b") == (part == "held_out"))
        for key in mine:
            put_item(work, key, held_out=part == "held_out")
        Packer(work, part, mine, 1).finish()
    write_results(work, OPTIONS, [])
    work.clear()
    return folder


def test_reading_back(tmp_path):
    reader = ShardReader(finished(tmp_path / "out"))
    samples = list(reader)
    assert [sample.key for sample in samples] == ["a1", "a2", "b1"]
    assert len(reader) == len(reader.rows) == 3
    assert samples[0].record == {"key": "a1"}
    assert samples[0].array("landmarks").shape == (3, 478, 3)
    assert samples[0].frames().shape == (3, 64, 64, 3)
    assert samples[0].speech() is None
    with pytest.raises(UsageError, match=r"'a1' has no array 'au\.facs'; it has landmarks"):
        samples[0].array("au.facs")


def test_held_out_people_are_in_shards_of_their_own(tmp_path):
    folder = finished(tmp_path / "out")
    assert [sample.key for sample in ShardReader(folder, part="train")] == ["a1", "a2"]
    assert [sample.key for sample in ShardReader(folder, part="held_out")] == ["b1"]


def damage(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how == "short":
        path.write_bytes(content[:-512])
    else:
        path.write_bytes(content[:700] + bytes([content[700] ^ 1]) + content[701:])


@pytest.mark.parametrize(
    ("how", "message"), [("missing", "is missing"), ("short", "bytes instead of"), ("flipped", "wrong hash")]
)
def test_a_damaged_shard_is_named_and_the_others_are_still_read(tmp_path, how, message):
    folder = finished(tmp_path / "out")
    damage(folder / "train-000001.tar", how)
    with pytest.raises(InputError, match=rf"train-000001\.tar.*{message}"):
        list(ShardReader(folder))
    lenient = ShardReader(folder, damaged="skip")
    assert [sample.key for sample in lenient] == ["a1", "b1"]
    assert [message in each for each in lenient.skipped] == [True]
    assert [message in each for each in lenient.problems()] == [True]


def test_an_unfinished_folder_is_not_read(tmp_path):
    begun(tmp_path / "out", ["a"])
    with pytest.raises(FormatError, match=r"no index\.json"):
        ShardReader(tmp_path / "out")


def test_an_index_of_another_format_is_refused(tmp_path):
    folder = finished(tmp_path / "out")
    index = json.loads((folder / "index.json").read_text())
    (folder / "index.json").write_text(json.dumps(index | {"format": "auteur-shards 99"}))
    with pytest.raises(FormatError, match="auteur-shards 99"):
        ShardReader(folder)


def test_a_damaged_item_is_named(tmp_path):
    path = tmp_path / "item.tar"
    path.write_bytes(b"x" * 700)
    with pytest.raises(FormatError, match=r"item\.tar"):
        list(read_tar(path))


def test_archives_hold_no_time_and_no_user(tmp_path):
    import tarfile

    folder = finished(tmp_path / "out")
    with tarfile.open(folder / "train-000000.tar") as archive:
        headers = archive.getmembers()
    assert {(h.mtime, h.uid, h.gid, h.uname, h.gname, h.mode) for h in headers} == {(0, 0, 0, "", "", 0o644)}
    assert [header.name for header in headers] == ["a1.json", "a1.landmarks.npy", "a1.mp4"]


def test_webdataset_reads_them(tmp_path):
    webdataset = pytest.importorskip("webdataset", reason="webdataset is in the extra 'scale'")
    paths = ShardReader(finished(tmp_path / "out"), part="train").paths
    dataset = webdataset.WebDataset([str(path) for path in paths], shardshuffle=False).decode()
    read = list(dataset)
    assert [sample["__key__"] for sample in read] == ["a1", "a2"]
    assert read[0]["json"] == {"key": "a1"}
    assert read[0]["landmarks.npy"].shape == (3, 478, 3)
    assert read[0]["mp4"].startswith(VIDEO)


def test_keys_that_cannot_name_members_are_refused(tmp_path):
    with pytest.raises(InputError, match="at most"):
        begun(tmp_path / "long", ["a" * 90])
    with pytest.raises(InputError, match="no '--'"):
        begun(tmp_path / "dashes", ["a--001"])
