"""A few damaged files for every reader, on every run of the tests; benchmarks/fuzz.py tries thousands."""

import importlib.util
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
CASES = 24
MOST_SEC = 5.0


def loaded(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, BENCHMARKS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


READERS = loaded("fuzz_samples").READERS
fuzz = loaded("fuzz")


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_damaged_files_are_read_or_refused(name, tmp_path):
    found = []
    for path, content in fuzz.cases(name, CASES, 1, tmp_path / "files"):
        whole = path.read_bytes()
        path.write_bytes(content)
        began = time.process_time()
        found.append(fuzz.outcome(READERS[name].read, path))
        assert time.process_time() - began < MOST_SEC
        path.write_bytes(whole)
    assert set(found) <= {"read", "refused"}
    assert "refused" in found


@pytest.mark.parametrize("name", READERS)
def test_whole_files_are_read(name, tmp_path):
    tmp_path.joinpath("files").mkdir()
    for path in READERS[name].make(tmp_path / "files"):
        assert fuzz.outcome(READERS[name].read, path) == "read"
