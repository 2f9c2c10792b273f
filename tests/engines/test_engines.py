"""The contract of engines, checked for each: tests/engines/engine_tasks.py is the work."""

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import pytest
from engine_tasks import DiesAtStart, NeverStarts, Square, ThreadCount

from auteur.engines import Engine, make_engine
from auteur.errors import AuteurError, UsageError, WeightsError

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def _ray() -> Iterator[None]:
    """One Ray for all tests of the module, whose workers can import the tasks."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ |= {"RAY_worker_niceness": "0"}  # it is 15, which on a busy machine is for ever
    ray = pytest.importorskip("ray", reason="Ray is not installed (extra scale)")
    env = {"env_vars": {"PYTHONPATH": str(HERE)}}
    ray.init(
        address="local",
        num_cpus=3,
        include_dashboard=False,
        logging_level="error",
        log_to_driver=False,
        runtime_env=env,
    )
    yield
    ray.shutdown()


@pytest.fixture(params=["local", "ray"])
def name(request: pytest.FixtureRequest) -> str:
    if request.param == "ray":
        request.getfixturevalue("_ray")
    return request.param


def by_item(engine: Engine, task: object, items: object) -> dict:
    outcomes = list(engine.map(task, items))  # pyright: ignore[reportArgumentType]
    assert sorted(outcome.index for outcome in outcomes) == list(range(len(outcomes)))
    return {outcome.item: outcome for outcome in outcomes}


@pytest.mark.parametrize("workers", [1, 2])
def test_every_item_once_and_models_loaded_once_per_worker(name: str, workers: int, tmp_path: Path) -> None:
    done = by_item(make_engine(name, workers), Square(tmp_path), range(10))
    assert {item: outcome.result[0] for item, outcome in done.items()} == {n: n * n for n in range(10)}
    started = [path.name.split("-")[1] for path in tmp_path.glob("started-*")]
    assert len(set(started)) == len(started) <= workers
    pids = {outcome.result[1] for outcome in done.values()}
    assert pids <= set(map(int, started))
    assert os.getpid() not in pids


def test_nothing_to_do(name: str, tmp_path: Path) -> None:
    assert list(make_engine(name, 2).map(Square(tmp_path), [])) == []
    assert not list(tmp_path.iterdir())


def test_errors_of_items_are_one_line_and_the_worker_goes_on(name: str, tmp_path: Path) -> None:
    done = by_item(make_engine(name, 1), Square(tmp_path), [13, 14, 17, 2])
    assert done[13].failure == "13 holds no usable face; use another"
    assert done[14].failure == "ZeroDivisionError: on two lines"
    assert "pickle" in done[17].failure.lower()
    assert done[17].result is None
    assert done[2].result[0] == 4
    assert len(list(tmp_path.glob("started-*"))) == 1


def test_a_worker_that_dies_costs_at_most_its_item(name: str, tmp_path: Path) -> None:
    done = by_item(make_engine(name, 2), Square(tmp_path), [1, 15, 2, 16, 3, 4])
    assert "2 workers died" in done[15].failure
    assert "memory" in done[15].failure
    assert done[16].failure is None
    assert done[16].result[0] == 256
    assert len(list(tmp_path.glob("item-15-*"))) == 2
    assert len(list(tmp_path.glob("item-16-*"))) == 2
    assert all(done[number].result[0] == number**2 for number in (1, 2, 3, 4))


def test_endless_items_are_taken_as_workers_get_free(name: str, tmp_path: Path) -> None:
    taken = []

    def endless() -> Iterator[int]:
        for number in itertools.count(100):
            taken.append(number)
            yield number

    with closing(make_engine(name, 2).map(Square(tmp_path), endless())) as outcomes:
        for count, _ in enumerate(outcomes, start=1):
            assert len(taken) <= count + 4
            if count == 12:
                break


def test_closing_ends_what_runs(name: str, tmp_path: Path) -> None:
    with closing(make_engine(name, 2).map(Square(tmp_path), [120_000, 1, 2, 3])) as outcomes:
        assert next(outcomes).item == 1
    started = [int(path.name.split("-")[1]) for path in tmp_path.glob("started-*")]
    assert len(started) == 2
    assert all_end(started)


def test_order_is_that_of_completion(name: str, tmp_path: Path) -> None:
    items = [18, 1, 2, 3, 4, 5, 6]  # 18 waits until all others were begun
    indices = [outcome.index for outcome in make_engine(name, 2).map(Square(tmp_path), items)]
    assert 0 in indices[-2:]


def test_what_cannot_start_stops_the_run_with_its_own_error(name: str) -> None:
    with pytest.raises(WeightsError, match="'face' are missing; run x"):
        list(make_engine(name, 2).map(NeverStarts(), [1, 2, 3]))


def test_dying_at_the_start_is_not_tried_for_ever(name: str) -> None:
    with pytest.raises(AuteurError, match="2 workers died while they started"):
        list(make_engine(name, 1).map(DiesAtStart(), [1, 2, 3]))


def test_a_task_that_cannot_be_sent_is_an_error(name: str) -> None:
    with pytest.raises(AuteurError, match="could not be sent"):
        list(make_engine(name, 1).map((i for i in range(3)), [1]))  # pyright: ignore[reportArgumentType]


def test_a_worker_has_one_thread(name: str) -> None:
    done = by_item(make_engine(name, 1), ThreadCount(), ["OMP_NUM_THREADS"])
    assert {outcome.result for outcome in done.values()} == {"1"}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (dict(name="slurm", workers=1), "there is no engine 'slurm'; choose one of local, ray"),
        (dict(name="local", workers=0), "workers is 0; it must be between 1 and"),
        (dict(name="local", workers=1, address="auto"), "no effect"),
        (dict(name="local", workers=1, gpus_per_worker=-1), "gpus_per_worker is -1"),
    ],
)
def test_bad_engines_are_named(given: dict, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make_engine(**given)


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UsageError, match=r"auteur-face\[scale\]"):
        make_engine("ray", 1)


PARENT = """
import signal, sys
from pathlib import Path
from auteur.engines import make_engine
from engine_tasks import Square
if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever those before us left
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
    for outcome in make_engine("local", 2).map(Square(Path(sys.argv[1])), [1, 2, *[60_000] * 4]):
        print(outcome.result[1], flush=True)
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_no_worker_outlives_its_parent(how: signal.Signals, tmp_path: Path) -> None:
    program = tmp_path / "parent.py"
    program.write_text(PARENT, encoding="utf-8")
    env = os.environ | {"PYTHONPATH": str(HERE)}
    command = [sys.executable, str(program), str(tmp_path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env, start_new_session=True
    ) as parent:
        assert parent.stdout is not None
        workers = [int(parent.stdout.readline()) for _ in range(2)]
        if how is signal.SIGINT:
            os.killpg(parent.pid, how)  # as a terminal does
        else:
            parent.send_signal(how)
        _, errors = parent.communicate(timeout=20)
    assert errors.count("Traceback") <= (1 if how is signal.SIGINT else 0)
    assert all_end(workers)


def test_a_ray_of_our_own_starts_and_ends_with_the_run(tmp_path: Path) -> None:
    if find_spec("ray") is None:
        pytest.skip("Ray is not installed (extra scale)")
    program = tmp_path / "run.py"
    program.write_text(PARENT.replace('"local", 2', '"ray", 1').replace("60_000", "3"), encoding="utf-8")
    env = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    done = subprocess.run(
        [sys.executable, str(program), str(tmp_path)],
        capture_output=True,
        text=True,
        env=env | {"PYTHONPATH": str(HERE), "RAY_worker_niceness": "0"},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert len(set(done.stdout.split())) == 1  # six lines, one worker


def all_end(pids: list[int]) -> bool:
    deadline = time.monotonic() + 10
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(map(alive, pids))


def alive(pid: int) -> bool:
    """Returns whether the process runs; one that is dead and not yet buried does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
