"""Tables, tracks, arrays and pickles made to fill memory or time: refused before either is spent."""

import os
import pickle
import struct
import zipfile
from fractions import Fraction
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from auteur.errors import FormatError, InputError, UsageError
from auteur.formats import read_au_track
from auteur.formats.flame import read_flame_parameters
from auteur.formats.inert_pickle import read_inert_pickle
from auteur.formats.table import open_table
from auteur.formats.timing import even_frames
from auteur.signals import AUTrack, load_track
from auteur.signals.timebase import MOST_FRAMES, MOST_VALUES, parse_rate

ARABIC = "٠١٢٣"


@pytest.mark.parametrize(("rows", "channels"), [(300_000, 1), (4_000, 60), (2_000, 2_000)])
def test_frames_times_channels_are_limited_whatever_each_row_states(rows, channels):
    times_sec = np.arange(rows) * 0.999
    values = np.broadcast_to(np.zeros((1, 1)), (rows, channels))  # a single number in memory
    frames = rows * 999
    assert frames > MOST_FRAMES or frames * channels > MOST_VALUES
    with pytest.raises(FormatError, match="at most"):
        even_frames(times_sec, values, rate=Fraction(1000))


def test_a_small_table_does_not_become_a_large_track(tmp_path):
    path = tmp_path / "bomb.csv"
    rows = "".join(f"{row * 0.999:.3f},1\n" for row in range(5_000))
    path.write_text(f"# auteur-au 1 convention=openface17 rate=1000 start_sec=0\ntime_sec,AU12_r\n{rows}")
    with pytest.raises(FormatError, match="at most"):
        read_au_track(path)


@pytest.mark.parametrize("rate", [Fraction(1, 10**18), Fraction(1, 10**6), Fraction(1000)])
def test_resampling_is_limited_too(rate):
    track = AUTrack(values=np.zeros((10_000, 1)), rate=rate, channels=("AU12_r",), convention="openface17")
    with pytest.raises(UsageError, match="at most"):
        track.resample(1000, frames=10**8)
    if rate < 1:
        with pytest.raises(UsageError, match="at most"):
            track.resample(25)


@pytest.mark.parametrize("digits", [f"1/{ARABIC[0]}", f"{ARABIC[2]}5", f"25/{ARABIC[1]}", "２５"])
def test_only_ascii_digits_are_numbers(tmp_path, digits):
    path = tmp_path / "a.json"
    AUTrack(values=np.zeros((2, 1)), rate=Fraction(25), channels=("AU12_r",), convention="openface17").save(
        path
    )
    text = path.read_text()
    for name in ("rate", "start_sec"):
        old = {"rate": '"rate": "25"', "start_sec": '"start_sec": "0"'}[name]
        assert old in text
        path.write_text(text.replace(old, f'"{name}": "{digits}"'), encoding="utf-8")
        with pytest.raises(FormatError):
            load_track(path)
    with pytest.raises(UsageError):
        parse_rate(digits)
    table = tmp_path / "a.csv"
    head = "# auteur-au 1 convention=openface17 rate=25 start_sec=0\ntime_sec,AU12_r\n"
    table.write_text(f"{head}0,{ARABIC[1]}\n", encoding="utf-8")
    with pytest.raises(FormatError):
        read_au_track(table)


def test_pipes_are_refused_by_every_table(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for read in (read_au_track, load_track, read_flame_parameters, read_inert_pickle):
        with pytest.raises(InputError, match="not a file"):
            read(tmp_path / "pipe")
    with pytest.raises(InputError, match="not a file"), open_table(tmp_path / "pipe"):
        pass


def npz(path: Path, arrays: dict[str, bytes], *, compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in arrays.items():
            archive.writestr(f"{name}.npy", content)
    return path


def npy(header: str, content: bytes = b"") -> bytes:
    text = header.encode("latin-1") + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + content


def plain(values: np.ndarray) -> bytes:
    out = BytesIO()
    np.save(out, values)
    return out.getvalue()


HEADERS = [
    "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000, 1)}",
    "{'descr': '<f8', 'fortran_order': False, 'shape': (-1, 50)}",
    "{'descr': '|O', 'fortran_order': False, 'shape': (2,)}",
    "{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (2,)}",
    "{'descr': '<V9', 'fortran_order': False, 'shape': (2,)}",
    "{'descr': '<f8', 'fortran_order': False, 'shape': 'x'}",
    "{'descr': '<f8'",
    "__import__('os')",
    "(" * 2000,
    "",
]


@pytest.mark.parametrize("header", HEADERS)
def test_lying_headers_of_arrays(tmp_path, header):
    for content in (npy(header, bytes(800)), npy(header)[:-3], b"\x93NUMPY\x09\x00" + bytes(20)):
        path = npz(tmp_path / "a.npz", {"exp": content})
        with pytest.raises(FormatError) as caught:
            read_flame_parameters(path)
        assert "\n" not in str(caught.value)
    (tmp_path / "emoca").mkdir()
    (tmp_path / "emoca" / "exp.npy").write_bytes(npy(header, bytes(800)))
    with pytest.raises(FormatError):
        read_flame_parameters(tmp_path / "emoca")


def test_a_zip_bomb_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr("auteur.formats.plain_arrays.MOST_BYTES", 100_000)
    zeros = plain(np.zeros((4_000, 50)))
    path = npz(tmp_path / "a.npz", {"exp": zeros}, compression=zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < 5_000
    with pytest.raises(FormatError, match="unpacks to over"):
        read_flame_parameters(path)
    many = npz(tmp_path / "b.npz", {f"a{number}": plain(np.zeros(1)) for number in range(1001)})
    with pytest.raises(FormatError, match="1001 arrays"):
        read_flame_parameters(many)


SHAPES = [
    np.zeros(()),
    np.zeros((0,)),
    np.zeros((2, 3, 4)),
    np.array("text"),
    np.array(True),
    np.zeros((1, 1)),
]


@pytest.mark.parametrize("value", SHAPES, ids=lambda value: f"{value.dtype}{value.shape}")
@pytest.mark.parametrize("suffix", [".npz", ".pkl"])
def test_every_array_of_every_shape(tmp_path, value, suffix):
    """One wrong array at a time: read, or refused by an error of ours."""
    good = {"exp": np.zeros((2, 50)), "pose": np.zeros((2, 6)), "fps": np.array(25), "jaw": np.zeros((2, 3))}
    path = tmp_path / f"a{suffix}"

    def write(arrays: dict[str, np.ndarray]) -> None:
        np.savez(path, **arrays) if suffix == ".npz" else path.write_bytes(pickle.dumps(arrays))

    write(good)
    read_flame_parameters(path)
    for name in good:
        write(good | {name: value})
        try:
            read_flame_parameters(path)
        except InputError as error:
            assert "\n" not in str(error)


def test_an_array_by_another_name_is_no_npz(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((2, 50)))
    (tmp_path / "a.npy").rename(tmp_path / "a.npz")
    with pytest.raises(FormatError, match=r"is no \.npz"):
        read_flame_parameters(tmp_path / "a.npz")


def endless() -> dict[str, bytes]:
    itself = b"]q\x00h\x00a"  # a list that holds itself
    twice: list[object] = [1.0]
    for _ in range(40):
        twice = [twice, twice]
    key: tuple[object, ...] = (1,)
    for _ in range(40):
        key = (key, key)
    deep: list[object] = []
    for _ in range(200):
        deep = [deep]
    raw = np.zeros(1000)
    return {
        "itself": itself + b".",
        "dict of itself": b"}q\x00X\x01\x00\x00\x00ah\x00s.",
        "expanding": pickle.dumps({"exp": twice}),
        "expanding key": b"}" + pickle.dumps(key, protocol=2)[2:-1] + b"K\x01s.",
        "deep": pickle.dumps({"exp": deep}),
        "deep by opcodes": b"]" * 3000 + b"a" * 2999 + b".",
        "bytes of a number": pickle.dumps({"exp": raw}, protocol=2).replace(raw.tobytes(), b""),
        "text as a call": b"c_codecs\nencode\n(J\x00\x28\x6b\xeetR.",
    }


@pytest.mark.parametrize("name", endless())
@pytest.mark.parametrize("read", [read_inert_pickle, read_flame_parameters])
def test_pickles_without_end_are_refused_at_once(tmp_path, name, read):
    path = tmp_path / "a.pkl"
    path.write_bytes(endless()[name])
    with pytest.raises(InputError) as caught:
        read(path)
    assert "\n" not in str(caught.value)


def test_a_number_is_no_array_of_zeros(tmp_path):
    """Four billion as the bytes of an array once filled four billion bytes."""
    content = pickle.dumps({"exp": np.zeros(2, np.uint8)}, protocol=2)
    start = content.index(b"c_codecs")  # the bytes, as protocol 2 writes them
    end = content.index(b"R", start + 20) + 1
    path = tmp_path / "a.pkl"
    path.write_bytes(content[:start] + b"\x8a\x05\x00\x28\x6b\xee\x00" + content[end:])
    with pytest.raises(InputError):
        read_inert_pickle(path)


def test_one_buffer_named_often_counts_each_time(tmp_path, monkeypatch):
    monkeypatch.setattr("auteur.formats.inert_pickle.MOST_BUILT_BYTES", 10_000)
    monkeypatch.setattr("auteur.formats.inert_pickle.MOST_OPCODES", 500)
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps([np.zeros(1000) for _ in range(2)]))
    with pytest.raises(FormatError, match="the arrays of a pickle"):
        read_inert_pickle(path)
    path.write_bytes(pickle.dumps(list(range(1000))))
    with pytest.raises(FormatError, match="opcodes"):
        read_inert_pickle(path)
