"""`auteur train` from the outside."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from auteur.cli import main
from auteur.train.recipes import RECIPES

pytestmark = pytest.mark.slow


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
    assert main(["train", name, "--help"]) == 0
    page = capsys.readouterr().out
    assert RECIPES[name].sentence in page
    assert f"auteur train {name} --smoke" in page
    assert "Settings, for --set NAME=VALUE:" in page


def test_a_trial_from_the_command_line(tmp_path, capsys):
    assert main(["train", "au-basis", "--smoke", "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert told["recipe"] == "au-basis"
    assert told["last_loss"] < told["first_loss"]


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
    from auteur.train.smoke.tracks import write_tracks

    tracks, _ = write_tracks(tmp_path)
    out = tmp_path / "runs" / "basis"
    assert main(["train", "au-basis", "--set", f"tracks={tracks}", "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert Path(told["out"]) == out / "au_basis.safetensors"
    assert (out / "au_basis.safetensors").is_file()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "name a recipe"),
        (["motoin", "--out", "x"], 2, "did you mean 'motion'"),
        (["motion"], 2, "say with --out"),
        (["motion", "--out", "x"], 2, "told more: --set tracks=PATH"),
        (["motion", "--out", "x", "--set", "tracks=t", "--set", "schedule.step=3"], 2, "did you mean"),
        (["motion", "--out", "x", "--set", "tracks=t", "batch_size=many"], 2, "must be a whole number"),
        (["motion", "--smoke", "--set", "batch_size=2"], 2, "--smoke brings its own settings"),
        (["motion", "--out", "new", "--set", "tracks=nowhere"], 3, "holds no track of a training person"),
        (["detector", "--out", "new", "--set", "labels=nowhere"], 3, "there is no 'nowhere/scenes.csv'"),
        (["regressor", "--out", "new", "--set", "performances=p", "units=u"], 3, "cannot read 'p'"),
        (["nothing", "--help"], 2, "there is no recipe 'nothing'"),
    ],
)
def test_wrong_words_are_one_line(arguments, code, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *arguments]) == code
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and message in lines[0]
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
