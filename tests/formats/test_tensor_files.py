"""Checkpoints as data: what torch and safetensors write is read to the bit, and nothing in them runs."""

import io
import json
import os
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import nn

from auteur.errors import FormatError, InputError
from auteur.formats.tensor_files import NewTensor, open_tensors, write_safetensors

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


def made(dtype: torch.dtype, shape: tuple[int, ...] = (3, 4)) -> torch.Tensor:
    return (torch.arange(int(np.prod(shape))).reshape(shape) % 3).to(dtype)


def same(path: Path, wanted: dict[str, torch.Tensor]) -> None:
    opened = open_tensors(path)
    assert opened.tensors.keys() == wanted.keys()
    for name, tensor in wanted.items():
        stored = opened.tensors[name]
        assert stored.shape == tuple(tensor.shape)
        assert DTYPES[stored.dtype] == tensor.dtype
        raw = torch.from_numpy(opened.raw(name).copy()).view(tensor.dtype) if tensor.numel() else tensor
        assert torch.equal(raw.reshape(tensor.shape), tensor)


def test_what_torch_saves_is_read_to_the_bit(tmp_path: Path) -> None:
    base = torch.randn(6, 5)
    state = {f"t.{name}": made(dtype) for name, dtype in DTYPES.items()}
    state |= {
        "scalar": torch.tensor(7),
        "empty": torch.zeros(0, 3),
        "transposed": base.T,
        "part": base[1:3, ::2],
        "shared": base,
        "channels_last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
    }
    torch.save(state, tmp_path / "a.pth")
    same(tmp_path / "a.pth", state)


def test_state_dicts_of_modules_parameters_and_wrappers(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    wanted = {name: value.detach() for name, value in module.state_dict().items()}
    torch.save(module.state_dict(), tmp_path / "a.pth")  # an OrderedDict with attributes
    same(tmp_path / "a.pth", wanted)
    torch.save({"state_dict": module.state_dict(), "global_step": 3}, tmp_path / "b.pth")
    same(tmp_path / "b.pth", wanted)
    torch.save(OrderedDict(w=nn.Parameter(torch.ones(2))), tmp_path / "c.pth")
    same(tmp_path / "c.pth", {"w": torch.ones(2)})


def test_safetensors_are_read_and_written(tmp_path: Path) -> None:
    state = {name: made(dtype) for name, dtype in DTYPES.items()} | {"scalar": torch.tensor(1.5)}
    save_file(state, tmp_path / "a.safetensors", metadata={"x": "y"})
    same(tmp_path / "a.safetensors", state)
    opened = open_tensors(tmp_path / "a.safetensors")
    assert dict(opened.metadata) == {"x": "y"}
    new = {
        name: NewTensor(one.dtype, one.shape, lambda name=name: opened.raw(name))
        for name, one in opened.tensors.items()
    }
    write_safetensors(tmp_path / "b.safetensors", new, {"x": "z"})
    again = load_file(tmp_path / "b.safetensors")
    assert all(torch.equal(again[name], state[name]) for name in state)
    assert again.keys() == state.keys()


class Payload:
    def __reduce__(self):
        return os.system, ("touch payload-ran",)


def zipped(path: Path, pickled: bytes, extra: dict[str, bytes] | None = None) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        for name, content in (extra or {}).items():
            archive.writestr(f"archive/{name}", content)
    return path


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "content",
    [
        Payload(),
        {"w": Payload()},
        {"w": torch.ones(2), "x": [Payload()]},
        {"w": io.BytesIO},
        {"w": print},
        {"w": torch.device("cpu")},
    ],
)
def test_payloads_are_named_and_never_run(
    content: object, protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = zipped(tmp_path / "evil.pth", pickle.dumps(content, protocol=protocol))
    with pytest.raises(InputError, match=r"nothing was executed|data does not need"):
        open_tensors(path)
    assert not (tmp_path / "payload-ran").exists()


def test_payload_in_a_file_of_torch_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"w": torch.ones(3), "note": Payload()}, tmp_path / "evil.pth")
    with pytest.raises(InputError, match=r"names (posix|nt)\.system.*nothing was executed"):
        open_tensors(tmp_path / "evil.pth")
    assert not (tmp_path / "payload-ran").exists()


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    cases = {
        "text.pth": b"hello, world, I am no checkpoint at all",
        "empty.pth": b"",
        "short.pth": b"\x01",
        "old.pth": pickle.dumps({"w": 1}),
        "huge.pth": struct.pack("<Q", 2**63) + b"{}",
        "json.safetensors": struct.pack("<Q", 4) + b"[1]]",
        "list.safetensors": struct.pack("<Q", 2) + b"[]",
    }
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FormatError, match=r"neither|bare pickle|damaged"):
            open_tensors(tmp_path / name)
    with pytest.raises(InputError, match="cannot read"):
        open_tensors(tmp_path / "missing.pth")
    with pytest.raises(InputError, match="cannot read"):
        open_tensors(tmp_path)
    zipped(tmp_path / "numbers.pth", pickle.dumps({"w": 3}))
    with pytest.raises(FormatError, match="no state dict"):
        open_tensors(tmp_path / "numbers.pth")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("word/document.xml", b"<x/>")
    with pytest.raises(FormatError, match="not of torch"):
        open_tensors(tmp_path / "other.zip")


def header(entries: dict[str, object], numbers: bytes = b"") -> bytes:
    text = json.dumps(entries).encode()
    return struct.pack("<Q", len(text)) + text + numbers


@pytest.mark.parametrize(
    "entry",
    [
        {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [2.0], "data_offsets": [0, 8]},
        {"dtype": "F8_E4M3", "shape": [8], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [2], "data_offsets": [-8, 0]},
        {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]},
        {"dtype": "F32", "shape": [2]},
        7,
    ],
)
def test_safetensors_headers_that_lie_are_refused(entry: object, tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(header({"w": entry}, bytes(8)))
    with pytest.raises(FormatError, match=r"damaged safetensors header|ends before"):
        open_tensors(tmp_path / "a.safetensors")


def test_tensors_beyond_their_storage_are_refused(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(4)}, tmp_path / "a.pth")
    with zipfile.ZipFile(tmp_path / "a.pth") as archive:
        names = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    # torch writes the shape (4,) and the stride (1,) as small numbers.
    longer = names["data.pkl"].replace(b"K\x04\x85", b"K\x05\x85")
    assert longer != names["data.pkl"]
    with pytest.raises(FormatError, match="outside the numbers"):
        open_tensors(zipped(tmp_path / "b.pth", longer, {"data/0": names["data/0"]}))
    with pytest.raises(FormatError, match="lacks the numbers of 'w'"):
        open_tensors(zipped(tmp_path / "c.pth", names["data.pkl"]))
    with zipfile.ZipFile(tmp_path / "d.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", names["data.pkl"])
        archive.writestr("archive/data/0", names["data/0"] * 100)
    with pytest.raises(FormatError, match="compressed"):
        open_tensors(tmp_path / "d.pth")


@pytest.mark.parametrize("kind", ["pth", "safetensors"])
def test_truncated_files_are_refused_at_every_length(kind: str, tmp_path: Path) -> None:
    state = {"a": torch.randn(20, 3), "b": torch.randn(5)}
    path = tmp_path / f"a.{kind}"
    torch.save(state, path) if kind == "pth" else save_file(state, path)
    content = path.read_bytes()
    for length in range(0, len(content) - 1, 7):
        path.write_bytes(content[:length])
        with pytest.raises(InputError):
            open_tensors(path)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damaged_files_end_in_our_errors(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "a.pth"
    torch.save({"a": torch.ones(3, 2), "b": torch.ones(4)}, path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        opened = open_tensors(path)
        for name in opened.tensors:
            opened.raw(name)
    except InputError:
        pass


def test_numbers_that_are_not_finite_are_detected(tmp_path: Path) -> None:
    for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16):
        bad = {
            "nan": torch.tensor([1, float("nan")]),
            "inf": torch.tensor([1, float("-inf")]),
            "ok": torch.ones(2),
        }
        torch.save({name: value.to(dtype) for name, value in bad.items()}, tmp_path / "a.pth")
        opened = open_tensors(tmp_path / "a.pth")
        assert {name: opened.is_finite(name, opened.raw(name)) for name in bad} == {
            "nan": False,
            "inf": False,
            "ok": True,
        }
