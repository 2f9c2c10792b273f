"""`auteur train` from the outside."""

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from auteur.cli import main
from auteur.lab.train.recipes import RECIPES

pytestmark = pytest.mark.slow

NEEDS_OPENCV = pytest.mark.skipif(find_spec("cv2") is None, reason="needs pip install 'auteur-face[train]'")


def test_the_list_names_one_recipe_per_line(capsys):
    assert main(["train", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(RECIPES)
    assert all(line.rstrip().endswith(".") for line in lines)


def test_listing_loads_no_torch():
    code = (
        "import sys; from auteur.cli import main; main(['train', '--list']); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_teaches(name, capsys):
    code, printed = main(["train", name, "--help"]), capsys.readouterr()
    if missing := re.search(r"needs (\w+); run: pip install", printed.err):
        assert code == 2 and find_spec(missing[1]) is None
        pytest.skip(printed.err)
    assert code == 0
    page = printed.out
    assert RECIPES[name].sentence.split("; ")[0][:60] in " ".join(page.split())
    assert f"auteur train {name} --smoke" in page
    assert "--out PATH" in page and "--json" in page


def test_a_trial_from_the_command_line(tmp_path, capsys):
    assert main(["train", "au-basis", "--smoke", "--json"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["recipe"] == "au-basis"
    assert report["last_loss"] < report["first_loss"]


def test_a_trial_can_be_given_again_whatever_is_left_of_it(tmp_path, capsys):
    command = ["train", "au-basis", "--smoke", "-o", str(tmp_path)]
    assert main(command) == 0
    weights = tmp_path / "au-basis" / "au_basis.safetensors"
    weights.write_bytes(b"half")  # as after a kill
    assert main(command) == 0 and weights.stat().st_size > 1000
    mine = tmp_path / "mine" / "au-basis"
    mine.mkdir(parents=True)
    (mine / "thesis.tex").write_text("years of work")
    assert main([*command[:-1], str(mine.parent)]) == 3
    assert "choose another folder" in capsys.readouterr().err
    assert [one.name for one in mine.iterdir()] == ["thesis.tex"]


def test_a_run_from_the_command_line(tmp_path, capsys):
    from auteur.lab.train.smoke.tracks import write_tracks

    shards = write_tracks(tmp_path).shards[0]
    out = tmp_path / "runs" / "basis"
    assert main(["train", "au-basis", "--shards", str(shards), "--out", str(out), "--json"]) == 0
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert Path(report["out"]) == out / "au_basis.safetensors"
    assert (out / "au_basis.safetensors").is_file()


def test_settings_are_typed_and_nested(tmp_path, capsys):
    pytest.importorskip("accelerate", reason="needs pip install 'auteur-face[train]'")
    from auteur.lab.train.checkpoints import checkpoints
    from auteur.lab.train.smoke.tracks import SPEECH_FEATURES, write_tracks

    shards = write_tracks(tmp_path).shards[0]
    out = tmp_path / "run"
    sizes = {"speech-features": SPEECH_FEATURES, "coefficients": 8, "hidden": 16, "encoder-layers": 1}
    words = [word for name, size in sizes.items() for word in (f"--config.{name}", str(size))]
    given = ["--shards", str(shards), "-o", str(out), "--batch-size", "4", "--schedule.steps=2", *words]
    assert main(["train", "motion", *given]) == 0
    assert capsys.readouterr().out == f"{out / 'motion.safetensors'}: trained\n"
    (last,) = checkpoints(out / "motion.run")[-1:]
    settings = json.loads((last / "state.json").read_text())["settings"]
    assert (settings["batch_size"], settings["schedule.steps"], settings["config.hidden"]) == (4, 2, 16)


def test_a_preset_belongs_to_the_name_of_the_recipe(capsys):
    assert main(["train", "au-adapter", "--help"]) == 0
    page = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "(default: auhead)" in page and "(default: compact)" not in page


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "name a recipe"),
        (["motoin", "--out", "x"], 2, "did you mean 'motion'"),
        (["motion", "--out", "new", "--shards", "nowhere"], 3, "has no index.json"),
        (["motion", "--out", "new"], 2, "name those of auteur prepare with --shards"),
        pytest.param(
            *(["detector", "--out", "new", "--labels", "nowhere"], 3, "there is no 'nowhere/scenes.csv'"),
            marks=NEEDS_OPENCV,
        ),
        pytest.param(
            *(["regressor", "--out", "new", "--performances", "p", "--units", "u"], 3, "cannot read 'p'"),
            marks=NEEDS_OPENCV,
        ),
        (["nothing", "--help"], 2, "there is no recipe 'nothing'"),
        (["nothing", "--smoke"], 2, "there is no recipe 'nothing'"),
    ],
)
def test_wrong_words_are_one_line(arguments, code, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *arguments]) == code
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and message in lines[0]
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["motion"], "--out PATH"),
        (["motion", "--out", "x", "--shards", "t", "--schedule.step", "3"], "--schedule.steps"),
        (["motion", "--out", "x", "--shards", "t", "--batch-size", "many"], "--batch-size"),
        (["motion", "--out", "x", "--shards", "t", "--schedule.precision", "bf17"], "bf17"),
        (["motion", "--out", "x", "--shards", "t", "--schedule.steps", "-1"], "schedule.steps is -1"),
        (["motion", "--smoke", "--batch-size", "2"], "--batch-size"),
    ],
)
def test_settings_that_are_missing_or_wrong_are_named(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
