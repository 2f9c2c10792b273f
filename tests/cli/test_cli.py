"""The command line: exit codes, one-line errors, and nothing written when anything is wrong."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from auteur import __version__
from auteur.cli import VERBS, main


@pytest.fixture(scope="module")
def photo(astronaut, tmp_path_factory):
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    Image.fromarray(astronaut[26:218, 128:320]).save(path)
    return path


@pytest.fixture
def run(capsys, tmp_path, monkeypatch):
    """Runs the command in an empty folder; returns exit code, lines of stdout, lines of stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out.splitlines(), err.splitlines()

    return call


def test_version(run):
    assert run("--version") == (0, [f"auteur {__version__}"], [])


def test_no_arguments_show_the_verbs(run):
    code, out, _ = run()
    assert code == 0
    assert all(verb in "\n".join(out) for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_help_shows_an_example(run, verb):
    code, out, _ = run(verb, "--help")
    assert code == 0
    assert f"auteur {verb}" in "\n".join(out)
    assert "Example" in "\n".join(out)


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["track"],
        ["track", "a.mp4"],
        ["track", "a.mp4", "-o", "a.csv", "--nonsense"],
        ["track", "a.mp4", "-o", "a.csv", "--backend", "nobody"],
        ["track", "a.mp4", "-o", "a.csv", "--face", "one"],
        ["track", "a.mp4", "-o", "a.csv", "--face", "-1"],
        ["track", "a.mp4", "-o", "a.csv", "--neutral", "-1"],
        ["track", "a.mp4", "-o", "a.csv", "--neutral", "nan"],
        ["track", "a.mp4", "-o", "a.csv", "--neutral", "inf"],
        ["track", "a.mp4", "-o", "a.csv", "--backend", "mediapipe"],
        ["track", "a.mp4", "-o", "a.csv", "--model", "a.task"],
    ],
)
def test_usage_errors_end_with_2(run, tmp_path, arguments):
    code, out, err = run(*arguments)
    assert code == 2
    assert err
    assert not out
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_track_writes_a_table_and_reports_it(run, photo, tmp_path):
    code, out, err = run("track", photo, "-o", "photo.csv", "--json")
    assert code == 0
    report = json.loads(out[-1])
    assert report["output"] == "photo.csv"
    assert (report["frames"], report["frames_with_face"], report["backend"]) == (1, 1, "auteur")
    assert (tmp_path / "photo.csv").read_text(encoding="utf-8").startswith("frame,")
    assert all(line.startswith("auteur: ") for line in err)


@pytest.mark.slow
def test_track_draws_a_plot(run, photo, tmp_path):
    pytest.importorskip("matplotlib")
    assert run("track", photo, "-o", "photo.csv", "--plot", "photo.png")[0] == 0
    assert (tmp_path / "photo.png").exists()
    code, out, _ = run("verify", "photo.png", "--json")
    assert code == 0
    assert json.loads(out[-1])


def test_several_faces_are_reported(run, astronaut, tmp_path):
    head = astronaut[26:218, 128:320]
    Image.fromarray(np.concatenate([head, head], axis=1)).save(tmp_path / "two.png")
    code, _, err = run("track", "two.png", "-o", "two.csv")
    assert code == 0
    assert any("faces: following number 0; choose another with --face" in line for line in err)


@pytest.mark.slow
def test_frames_without_a_face_are_reported(run, film):
    code, _, err = run("track", film(4, empty=(1,)), "-o", "film.csv")
    assert code == 0
    assert "auteur: no usable face in 1 of 4 frames; their rows have success 0" in err


def bad_input(kind, folder):
    """Writes a file that must be refused and returns (its path, part of the message)."""
    path = folder / f"{kind}.mp4"
    match kind:
        case "missing":
            return path, "missing.mp4"
        case "empty":
            path.write_bytes(b"")
            return path, "empty"
        case "corrupt":
            path.write_bytes(b"\x00\x00\x00\x20ftypisom" + bytes(range(256)) * 20)
            return path, "corrupt.mp4"
        case "text":
            path.write_text("frame,timestamp\n1,0\n")
            return path, "text.mp4"
        case "playlist":
            path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n")
            return path, "playlist.mp4"
        case "script":
            path.write_text("ffconcat version 1.0\nfile /etc/passwd\n")
            return path, "script.mp4"
        case "huge":
            path = folder / "huge.png"
            Image.new("1", (11_000, 10_001)).save(path)
            return path, "110 megapixels"
        case "no_face":
            path = folder / "wall.png"
            Image.new("RGB", (200, 200), (120, 120, 120)).save(path)
            return path, "no face found in 'wall.png'"
        case "folder":
            path.mkdir()
            return path, "folder.mp4"
    raise AssertionError(kind)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["missing", "empty", "corrupt", "text", "playlist", "script", "huge", "no_face", "folder"]
)
def test_bad_input_ends_with_3_and_one_line(run, tmp_path, kind):
    path, cause = bad_input(kind, tmp_path)
    before = sorted(tmp_path.iterdir())
    code, out, err = run("track", path, "-o", "out.csv")
    assert code == 3
    assert not out
    assert len(err) == 1
    assert err[0].startswith("auteur: ")
    assert cause in err[0]
    assert sorted(tmp_path.iterdir()) == before


def test_a_face_that_is_not_there(run, photo, tmp_path):
    code, _, err = run("track", photo, "-o", "out.csv", "--face", "90")
    assert code == 3
    assert "--face must be 0 to" in err[-1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("out", "cause"),
    [("nowhere/out.csv", "does not exist"), (".", "it is a folder"), ("kept.csv", "exists already")],
)
def test_outputs_that_cannot_be_written(run, photo, tmp_path, out, cause):
    (tmp_path / "kept.csv").write_text("mine")
    code, _, err = run("track", photo, "-o", out)
    assert code == 3
    assert len(err) == 1
    assert cause in err[0]
    assert [p.name for p in tmp_path.iterdir()] == ["kept.csv"]
    assert (tmp_path / "kept.csv").read_text() == "mine"


@pytest.mark.parametrize("plot", ["kept.png", "nowhere/plot.png", "plot.txt"])
def test_a_plot_that_cannot_be_written_leaves_no_table(run, photo, tmp_path, plot):
    (tmp_path / "kept.png").write_bytes(b"mine")
    code, _, err = run("track", photo, "-o", "out.csv", "--plot", plot)
    assert code in (2, 3)
    assert len(err) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["kept.png"]


def test_overwrite(run, photo, tmp_path):
    (tmp_path / "kept.csv").write_text("mine")
    assert run("track", photo, "-o", "kept.csv", "--overwrite")[0] == 0
    assert (tmp_path / "kept.csv").read_text(encoding="utf-8").startswith("frame,")


def test_debug_shows_the_traceback(run):
    with pytest.raises(Exception, match="missing"):
        run("--debug", "track", "missing.mp4", "-o", "out.csv")


def test_internal_errors_end_with_5(run, monkeypatch):
    monkeypatch.setitem(VERBS, "track", "auteur.cli.nothing_here")
    code, _, err = run("track", "a.mp4", "-o", "a.csv")
    assert code == 5
    assert len(err) == 1
    assert "internal error" in err[0]


@pytest.mark.slow
def test_the_command_itself(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-m", "auteur.cli", "track", "missing.mp4", "-o", "out.csv"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 3
    assert ran.stderr.count("\n") == 1
    assert "Traceback" not in ran.stderr
