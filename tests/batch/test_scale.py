"""The arithmetic of docs/scale.md, by hand."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def scale() -> ModuleType:
    pytest.importorskip("auteur.lab.prepare")
    spec = importlib.util.spec_from_file_location("benchmark_of_scale", ROOT / "benchmarks" / "scale.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_needs_by_hand(scale: ModuleType) -> None:
    cost = scale.Cost(
        per_second={"warp": 0.5, "encode": 0.25},
        per_item={"portrait": 1.0},
        bytes_in_per_second=1000.0,
        bytes_out_per_second=2000.0,
        memory_bytes=2**30,
    )
    machine = scale.Machine(cores=10, memory_bytes=64 * 2**30, price_per_core_hour=0.1, utilisation=0.5)
    need = scale.needs(cost, scale.Workload("w", 3600, 12.0, 10.0, peak=2.0), machine)
    assert need.cpu_sec_per_item == pytest.approx(12 * 0.75 + 1)
    assert (need.bottleneck, need.bottleneck_share) == ("warp", pytest.approx(0.6))
    assert need.core_hours == pytest.approx(20)  # 3600 items of 10 s, half of the time of no use
    assert (need.cores, need.machines) == (4, 1)
    assert need.money == pytest.approx(2) and need.money_per_item == pytest.approx(2 / 3600)
    assert (need.read_bytes, need.written_bytes) == (43.2e6, 86.4e6)
    assert need.items_per_sec == pytest.approx(0.2)


def test_little_memory_pays_for_idle_cores(scale: ModuleType) -> None:
    cost = scale.Cost({"warp": 1.0}, {}, 0.0, 0.0, memory_bytes=4 * 2**30)
    machine = scale.Machine(cores=16, memory_bytes=32 * 2**30, price_per_core_hour=1.0, utilisation=1.0)
    need = scale.needs(cost, scale.Workload("w", 3600, 16.0, 1.0), machine)
    assert (need.cores, need.machines, need.money) == (16, 2, pytest.approx(32))
