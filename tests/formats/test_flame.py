"""FLAME parameters: aliases, shapes, and pickles that would run code."""

import contextlib
import os
import pickle
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auteur.errors import AuteurError, FormatError, InputError
from auteur.formats.flame import ALIASES, read_flame_parameters
from auteur.formats.inert_pickle import Inert, read_inert_pickle


class Hostile:
    """Unpickles into a call."""

    def __init__(self, function, *arguments) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments


@pytest.mark.parametrize("name", ALIASES["expression"])
def test_every_alias_of_expression_is_read(tmp_path: Path, name: str):
    values = np.random.default_rng(0).normal(size=(7, 50)).astype(np.float32)
    np.savez(tmp_path / "a.npz", **{name: values, "fps": 30})
    found = read_flame_parameters(tmp_path / "a.npz")
    assert found.expression.convention == "flame50"
    assert found.expression.rate == 30
    np.testing.assert_array_equal(found.expression.values, values)


def test_deca_pose_is_head_then_jaw(tmp_path: Path):
    pose = np.arange(12.0).reshape(2, 6) / 10
    np.savez(tmp_path / "deca.npz", exp=np.zeros((2, 50)), pose=pose)
    found = read_flame_parameters(tmp_path / "deca.npz")
    np.testing.assert_array_equal(found.jaw_pose_rad, pose[:, 3:])
    assert found.expression.rate == 25


def test_smirk_file_and_emoca_folder(tmp_path: Path):
    jaw = np.full((3, 3), 0.5)
    np.savez(tmp_path / "s.npz", expression_params=np.ones((3, 50)), jaw_params=jaw)
    np.testing.assert_array_equal(read_flame_parameters(tmp_path / "s.npz").jaw_pose_rad, jaw)
    folder = tmp_path / "emoca"
    folder.mkdir()
    np.save(folder / "exp.npy", np.ones(50))
    np.save(folder / "pose.npy", np.zeros(6))
    assert read_flame_parameters(folder).expression.frames == 1


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"pose": np.zeros((2, 6))}, "no expression"),
        ({"exp": np.full((2, 50), np.nan)}, "NaN"),
        ({"exp": np.full((2, 50), 1e9)}, "over 10000"),
        ({"exp": np.zeros((2, 50)), "pose": np.zeros((3, 6))}, r"\[2, 6\]"),
        ({"exp": np.zeros((2, 50)), "fps": 0}, "frame rate"),
        ({"exp": np.array([["a"]])}, "not numbers"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, arrays: dict[str, np.ndarray], words: str):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(FormatError, match=words):
        read_flame_parameters(tmp_path / "a.npz")


def test_a_missing_file_is_named(tmp_path: Path):
    for name in ("none.npz", "none.pkl"):
        with pytest.raises(InputError, match="none"):
            read_flame_parameters(tmp_path / name)


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_in_pickles_of_every_protocol_are_read(tmp_path: Path, protocol: int):
    path = tmp_path / "deca.pkl"
    values = {"exp": np.arange(100.0).reshape(2, 50), "pose": np.zeros((2, 6), np.float32), "name": "clip"}
    path.write_bytes(pickle.dumps(OrderedDict(values), protocol=protocol))
    found = read_flame_parameters(path)
    np.testing.assert_array_equal(found.expression.values, values["exp"].astype(np.float32))


@pytest.mark.parametrize("protocol", range(6))
def test_a_hostile_pickle_is_refused_and_nothing_runs(tmp_path: Path, protocol: int):
    marker = tmp_path / "ran"
    calls = (
        (os.system, f"touch {marker}"),
        (eval, f"open({str(marker)!r}, 'w')"),
        (os.mkdir, str(marker)),
        (getattr, "text", "upper"),
    )
    for function, *arguments in calls:
        path = tmp_path / "hostile.pkl"
        content = {"exp": np.zeros((1, 50)), "extra": Hostile(function, *arguments)}
        path.write_bytes(pickle.dumps(content, protocol=protocol))
        with pytest.raises(InputError, match="nothing was executed"):
            read_flame_parameters(path)
        assert not marker.exists()


def test_arrays_of_objects_are_refused(tmp_path: Path):
    path = tmp_path / "objects.pkl"
    path.write_bytes(pickle.dumps({"exp": np.array([{}, []], dtype=object)}))
    with pytest.raises(AuteurError):
        read_flame_parameters(path)
    np.savez(tmp_path / "objects.npz", exp=np.array([{}], dtype=object))
    with pytest.raises(FormatError):
        read_flame_parameters(tmp_path / "objects.npz")


@given(st.binary(max_size=200))
def test_bytes_that_are_no_pickle_end_in_our_errors(tmp_path_factory: pytest.TempPathFactory, content: bytes):
    path = tmp_path_factory.mktemp("bytes") / "a.pkl"
    path.write_bytes(content)
    with pytest.raises(AuteurError):
        read_flame_parameters(path)


@given(st.integers(0, 400), st.integers(0, 255))
def test_damaged_pickles_never_escape(tmp_path_factory: pytest.TempPathFactory, place: int, byte: int):
    content = bytearray(pickle.dumps({"exp": np.zeros((1, 50), np.float32), "pose": np.zeros((1, 6))}))
    content[place % len(content)] = byte
    path = tmp_path_factory.mktemp("bytes") / "a.pkl"
    path.write_bytes(content)
    with contextlib.suppress(AuteurError):
        read_flame_parameters(path)


def test_objects_of_known_classes_stay_inert(tmp_path: Path):
    path = tmp_path / "chumpy.pkl"
    # What Python 2 wrote for a chumpy array around numbers.
    path.write_bytes(b"(dS'v'\ncchumpy.ch\nCh\n)\x81(dS'x'\nF1.5\nsbs.")
    found = read_inert_pickle(path)["v"]
    assert isinstance(found, Inert)
    assert found.kind == "chumpy.ch Ch"
    assert found.state == {"x": 1.5}
