"""The command itself: killed at random moments, on both engines, and its messages."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from prepare_tools import AS_ARGUMENTS, contents

from auteur.cli import main
from auteur.cli.prepare import PrepareArguments
from auteur.lab.prepare import PrepareOptions

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
WORKERS = 2
KILLS = 2


def command(corpus, out: Path, *more: str) -> list[str]:
    return [
        sys.executable, str(HERE / "prepare_command.py"), "prepare", str(corpus.folder), *AS_ARGUMENTS,
        "-o", str(out), "--workers", str(WORKERS), "--json", *more,
    ]  # fmt: skip


def finished_recordings(out: Path) -> int:
    packed = sum(
        len(json.loads(path.read_text())["recordings"]) for path in (out / ".work" / "done").glob("*.json")
    )
    return packed + len(list((out / ".work" / "items").glob("[!.]*.tar")))


def test_the_command_and_python_prepare_the_same_by_default(tmp_path):
    arguments = PrepareArguments(dataset=tmp_path, kind="folder", out=tmp_path)
    assert arguments.options() == PrepareOptions(kind="folder")


@pytest.mark.slow
def test_killed_at_random_moments_it_gives_the_same_shards(prepared, tmp_path):
    out, begun = tmp_path / "shards", tmp_path / "begun.txt"
    chance = random.Random(os.getpid())  # noqa: S311
    environment = os.environ | {"BEGUN": str(begun)}
    for kill in range(1, KILLS + 1):
        with subprocess.Popen(command(prepared.corpus, out), env=environment) as running:
            while finished_recordings(out) < 4 * kill and running.poll() is None:
                time.sleep(0.02)
            time.sleep(chance.random() / 2)
            running.send_signal(signal.SIGKILL)
        time.sleep(1)  # workers see that their parent is gone
        assert not (out / "index.json").exists()
    kept = finished_recordings(out)
    last = subprocess.run(command(prepared.corpus, out), env=environment, capture_output=True, text=True)
    assert last.returncode == 4, last.stderr
    report = json.loads(last.stdout.splitlines()[-1])
    assert report["kept"] == kept
    assert contents(out) == contents(prepared.out)
    assert not (out / ".work").exists()
    times_begun = len(begun.read_text().splitlines())
    assert times_begun <= report["recordings"] + KILLS * WORKERS


@pytest.mark.slow
@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed (extra scale)")
def test_ray_gives_the_same_shards(prepared, tmp_path):
    out = tmp_path / "shards"
    environment = os.environ | {"BEGUN": str(tmp_path / "begun.txt"), "RAY_USAGE_STATS_ENABLED": "0"}
    environment["PYTHONPATH"] = os.pathsep.join([str(HERE), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = subprocess.run(
        command(prepared.corpus, out, "--engine", "ray"), env=environment, capture_output=True, text=True
    )
    assert done.returncode == 4, done.stderr
    assert contents(out) == contents(prepared.out)


def run(*words: object) -> int:
    return main(["prepare", *map(str, words)])


def test_a_finished_folder_ends_as_the_run_that_made_it_did(prepared, capsys):
    assert run(prepared.corpus.folder, *AS_ARGUMENTS, "-o", prepared.out, "--json") == 4
    printed = capsys.readouterr()
    report = json.loads(printed.out.splitlines()[-1])
    assert report["samples"] == prepared.summary.totals["samples"]
    assert report["kept"] == report["recordings"]
    assert "2 could not be read; they are named in" in printed.err


def test_changed_options_are_a_usage_error(prepared, capsys):
    assert run(prepared.corpus.folder, *AS_ARGUMENTS, "-o", prepared.out, "--crf", 30) == 2
    assert "crf was 18 and is 30" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--size", "20"), 2, "size_px is 20; it must be between 64 and 1024"),
        (("--workers", "0"), 2, "workers is 0"),
        (("--ray-address", "auto"), 2, "has no effect with the engine local"),
        (("--longest-seconds", "0.5"), 2, "longest_seconds is 0.5"),
    ],
)
def test_what_is_refused_before_anything_is_read(corpus, tmp_path, capsys, words, code, message):
    assert run(corpus.folder, "--kind", "mead", "-o", tmp_path / "shards", *words) == code
    assert message in capsys.readouterr().err
    assert not (tmp_path / "shards").exists()


def test_a_missing_corpus_and_a_missing_place(corpus, tmp_path, capsys):
    assert run(tmp_path / "nowhere", "--kind", "mead", "-o", tmp_path / "shards") == 3
    assert "nowhere" in capsys.readouterr().err
    assert run(corpus.folder, "--kind", "mead", "-o", tmp_path / "no" / "shards") == 3
    assert "does not exist; create it first" in capsys.readouterr().err
