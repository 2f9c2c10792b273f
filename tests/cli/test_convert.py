"""`auteur convert` and `auteur units`: what is written, printed and refused."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from auteur.cli import main
from auteur.cli.convert import KINDS, kind_of_output
from auteur.errors import UsageError
from auteur.facs import CONTROLS, CONVENTIONS, au_track, listed_controls, resolve
from auteur.formats import FILE_KINDS, read_recorded


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    values = np.random.default_rng(0).uniform(0.1, 0.9, (30, 52))
    au_track(values, convention="arkit52", rate=25).save("take.json")
    return tmp_path


def test_the_kinds_of_the_command_are_those_of_the_formats():
    assert set(KINDS) == FILE_KINDS.keys()


@pytest.mark.parametrize(
    ("out", "to", "kind"),
    [
        ("a.csv", None, "auteur"),
        ("a.json", None, "auteur"),
        ("a.livelink.csv", None, "livelink"),
        ("a.arkit.json", None, "arkit"),
        ("a.OpenFace.CSV", None, "openface"),
        ("a.csv", "fex", "fex"),
        ("my.take.csv", None, "auteur"),
    ],
)
def test_name_or_option_give_the_kind(out, to, kind):
    assert kind_of_output(Path(out), to) == kind


@pytest.mark.parametrize(("out", "to"), [("a.csv", "arkit"), ("a.json", "fex"), ("a.txt", None), ("a", None)])
def test_a_kind_has_its_ending(out, to):
    with pytest.raises(UsageError, match="ends in"):
        kind_of_output(Path(out), to)


def test_it_writes_what_another_program_reads(folder, capsys):
    assert main(["convert", "take.json", "take.livelink.csv", "--rate", "50", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert (result["kind"], result["frames"], result["fps"]) == ("livelink", 60, "50")
    assert read_recorded("take.livelink.csv").action_units.rate == 50
    assert main(["convert", "take.livelink.csv", "-o", "face.csv", "--to", "openface"]) == 0
    printed = capsys.readouterr()
    assert printed.out == "face.csv: openface, 60 frames\n"
    assert "OpenFace has nothing for tongueOut" in printed.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["absent.csv", "a.csv"], 3, "absent.csv"),
        (["take.json", "nowhere/a.csv"], 3, "nowhere"),
        ([".", "a.csv"], 3, "holds no known model"),
        (["take.json"], 2, "name one file"),
        (["take.json", "a.csv", "-o", "b.csv"], 2, "name one file"),
        (["take.json", "a.txt"], 2, "ends in '.txt'"),
        (["take.json", "a.csv", "--to", "livelnk"], 2, "livelink"),
        (["take.json", "a.csv", "--to", "arkit"], 2, ".json"),
        (["take.json", "a.csv", "--rate", "fast"], 2, "--rate"),
        (["take.json", "a.csv", "--rate", "0"], 2, "rate"),
        (["take.json", "a.csv", "--to", "fex", "--convention", "facs"], 2, "pyfeat20"),
        (["take.json", "a.csv", "--convention", "fcs"], 2, "facs"),
        (["take.json", "take.json"], 2, "also the input"),
        (["take.json", "words.csv"], 3, "exists already"),
        (["words.csv", "a.csv"], 3, "no known kind"),
        (["empty.csv", "a.csv"], 3, "empty"),
    ],
)
def test_bad_input_ends_with_one_line_and_nothing_written(folder, capsys, arguments, code, message):
    Path("words.csv").write_text("these,are,words\n1,2,3\n")
    Path("empty.csv").write_text("")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert main(["convert", *arguments]) == code
    error = capsys.readouterr().err.strip()
    assert message in error and len(error.splitlines()) == 1
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.slow
def test_converting_loads_no_torch(folder):
    code = "import sys; from auteur.cli import main; assert main(['convert', 'take.json', 'a.csv']) == 0; "
    code += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_control_is_listed_and_every_name_means_it():
    listed = listed_controls()
    assert {one.code for one in listed} >= set(CONTROLS)
    for one in listed:
        for name in (one.code, one.name, *one.other_names):
            assert resolve(name).code == one.code
    shown = {name for one in listed for name in one.other_names}
    assert shown >= {entry.name for entry in CONVENTIONS["arkit52"].entries if len(entry.controls) == 1} - {
        "jawOpen"
    }


def test_units_are_filtered_by_words(capsys):
    assert main(["units", "smile", "left", "--json"]) == 0
    assert [one["code"] for one in json.loads(capsys.readouterr().out)] == ["AU12L"]
    assert main(["units", "brow"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:2] == ["code", "name"]
    assert {line.split()[0] for line in lines[1:]} >= {"AU1", "AU2L", "AU4R"}
    assert main(["units"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(listed_controls()) + 1


def test_units_that_are_not_there(capsys):
    assert main(["units", "wing"]) == 2
    printed = capsys.readouterr().err
    assert "'wing'" in printed and "brow, eye" in printed


def test_messages_point_to_the_list(capsys):
    with pytest.raises(UsageError, match="`auteur units`"):
        resolve("smil")
