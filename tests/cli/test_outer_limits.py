"""The command at its edges: names, streams, permissions and numbers that end in one line and never in 5."""

import dataclasses
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, get_type_hints

import numpy as np
import pytest
from PIL import Image

from auteur import files
from auteur.cli import INTERNAL_ERROR, VERBS, explain, main
from auteur.cli.checks import OUTPUTS, check_paths
from auteur.errors import FaceError, InputError, UsageError
from auteur.media import write_audio, write_image
from auteur.provenance import Mark
from auteur.signals import Waveform

NEEDED = {
    "convert": ["in.csv", "-o", "a.csv"],
    "units": [],
    "direct": ["talk.wav", "-o", "a.csv"],
    "evaluate": ["talk.wav", "talk.wav", "-o", "report"],
    "express": ["--emotion", "happy", "--seconds", "1", "-o", "a.csv"],
    "generate": ["me.png", "talk.wav", "-o", "a.mp4"],
    "move": ["talk.wav", "--portrait", "me.png", "-o", "a.json"],
    "prepare": ["corpus", "--kind", "folder", "-o", "shards"],
    "serve": [],
    "studio": ["--no-browser"],
    "track": ["me.png", "-o", "a.csv"],
    "train": ["au-basis", "--smoke", "-o", "run"],
    "verify": ["me.png"],
}
IMPOSSIBLE = {"long": "n" * 300, "not UTF-8": "\udcff.mp4"}


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_image("me.png", np.full((64, 64, 3), 120, np.uint8), mark=Mark(watermark=False))
    write_audio(
        "talk.wav", Waveform(samples=np.zeros(8000, np.float32), rate_hz=16_000), mark=Mark(watermark=False)
    )
    Path("corpus").mkdir()
    head = "# auteur-au 1 convention=openface17 rate=25 start_sec=0\ntime_sec,AU12_r\n"
    Path("in.csv").write_text(f"{head}0,1\n0.04,2\n", encoding="utf-8")
    return tmp_path


def paths_of(kind: Any) -> Iterator[str]:
    """Names of the options of a class that take a path, groups of options included."""
    for name, hint in get_type_hints(kind).items():
        if dataclasses.is_dataclass(hint):
            yield from paths_of(hint)
        elif "Path" in str(hint):
            yield name


def path_options() -> list[tuple[str, str]]:
    """Every verb and option that takes a path."""
    kinds = {verb: get_type_hints(getattr(import_module(m), verb))["arguments"] for verb, m in VERBS.items()}
    return [(verb, name) for verb, kind in kinds.items() for name in paths_of(kind)]


def test_every_verb_is_tried():
    assert NEEDED.keys() == VERBS.keys()
    assert {verb for verb, _ in path_options()} == VERBS.keys() - {"units"}


@pytest.mark.parametrize("name", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
@pytest.mark.parametrize("verb", VERBS)
def test_impossible_names_end_with_3_wherever_they_stand(folder, capsys, verb, name):
    options = [option for other, option in path_options() if other == verb]
    places = [[*NEEDED[verb], f"--{option.replace('_', '-')}", name] for option in options]
    positional = [i for i, one in enumerate(NEEDED[verb]) if not one.startswith("-")]
    places += [[name if i == place else one for i, one in enumerate(NEEDED[verb])] for place in positional]
    before = sorted(folder.rglob("*"))
    for arguments in places:
        code = main([verb, *arguments])
        error = capsys.readouterr().err
        assert code in (2, 3), (arguments, error)
        assert "internal" not in error and "Traceback" not in error
        error.encode()
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    "fps", ["1e309", "1e400", "1e999999", "1e99999999", "9" * 5000, "1/0", "٢٥", "nan", "-1", "1e2"]
)
@pytest.mark.parametrize("verb", ["generate", "move"])
def test_rates_that_are_no_numbers_end_with_2(folder, capsys, verb, fps):
    assert main([verb, *NEEDED[verb], "--fps", fps]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("verb", ["generate", "move", "track"])
@pytest.mark.parametrize("face", [-1, -3, -(10**30)])
def test_faces_are_counted_from_0(folder, capsys, verb, face):
    assert main([verb, *NEEDED[verb], "--face", str(face)]) == 2
    assert "must be 0 (the largest) or more" in capsys.readouterr().err


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb not in ("verify", "units")])
def test_no_permission_to_write_is_3_before_any_work(folder, capsys, monkeypatch, verb):
    before = sorted(folder.rglob("*"))
    monkeypatch.setattr(files.os, "access", lambda *_: False)
    if verb == "prepare":  # makes its folder, and does it first
        monkeypatch.setattr(
            Path, "mkdir", lambda *_, **__: (_ for _ in ()).throw(PermissionError(13, "no permission"))
        )
    if verb in ("serve", "studio"):
        pytest.importorskip("uvicorn", reason="the extra studio")
    if verb in ("train", "serve", "studio"):
        monkeypatch.setattr(
            Path, "mkdir", lambda *_, **__: (_ for _ in ()).throw(PermissionError(13, "no permission"))
        )
    assert main([verb, *NEEDED[verb]]) == 3
    assert "permission" in capsys.readouterr().err
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("verb", "extra"),
    [
        ("generate", ["--plot", "a.png", "--sheet", "a.png"]),
        ("generate", ["--sheet", "me.png"]),
        ("generate", ["--sheet", "./../" + "{}" + "/me.png"]),
        ("generate", ["--plot", "a.mp4.json"]),
        ("generate", ["--track", "a.mp4.json"]),
        ("track", ["--plot", "me.png"]),
        ("track", ["-o", "me.png"]),
        ("direct", ["-o", "talk.wav"]),
        ("direct", ["-o", "p.png.json", "--plot", "p.png"]),
        ("move", ["-o", "me.png"]),
        ("express", ["--speech", "a.csv"]),
    ],
)
def test_outputs_never_replace_inputs_or_each_other(folder, capsys, verb, extra):
    before = {path: path.read_bytes() for path in folder.iterdir() if path.is_file()}
    extra = [one.format(folder.name) for one in extra]
    assert main([verb, *NEEDED[verb], *extra, "--overwrite"]) == 2
    assert "is also the" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before


def test_a_hard_link_or_symlink_to_an_input_is_that_input(folder):
    Path("link.png").symlink_to("me.png")
    with pytest.raises(UsageError, match="is also the input"):
        check_paths({"portrait": Path("me.png"), "out": Path("link.png")})
    assert set(OUTPUTS) >= {"out", "plot", "sheet", "save_tracks"}


def test_long_names_of_marked_files_are_refused_before_rendering(folder, capsys):
    for option in ("--sheet", "--plot"):
        assert main(["generate", *NEEDED["generate"], option, "s" * 249 + ".png"]) == 3
        assert "leave room for the sidecar" in capsys.readouterr().err


def test_an_evaluation_that_cannot_begin_leaves_no_folder(folder, capsys):
    assert main(["evaluate", "talk.wav", "-o", "rep"]) == 2
    assert not Path("rep").exists()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UsageError("x"), 2),
        (InputError("x"), 3),
        (FaceError("x"), 3),
        (OSError(36, "File name too long", "a"), 3),
        (PermissionError(13, "Permission denied", "a"), 3),
        (MemoryError("Unable to allocate 62.5 GiB"), 3),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"), 3),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), 3),
        (ZeroDivisionError("x"), INTERNAL_ERROR),
        (RuntimeError("x"), INTERNAL_ERROR),
    ],
    ids=repr,
)
def test_only_bugs_are_internal(error, code):
    found, text = explain(error)
    assert found == code and "\n" not in text


COMMAND = [sys.executable, "-m", "auteur.cli", "verify"]


def run_shell(line: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-c", line, *COMMAND],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "code"),
    [
        ('"$0" "$@" me.png >&-', 0),
        ('"$0" "$@" me.png >&- 2>&-', 0),
        ('"$0" "$@" absent.png 2>&-', 3),
        ('"$0" "$@" me.png | true; exit ${PIPESTATUS[0]}', 0),
        ('PYTHONUNBUFFERED=1 "$0" "$@" me.png | true; exit ${PIPESTATUS[0]}', 0),
        ('"$0" "$@" me.png >/dev/full', 3),
        ('"$0" "$@" absent.png 2>/dev/full', 3),
        ('cp me.png mé.png; PYTHONIOENCODING=ascii "$0" "$@" mé.png', 0),
    ],
)
def test_a_result_that_cannot_be_printed_is_no_bug(folder, line, code):
    if ">/dev/full" in line and not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    done = run_shell(line, folder)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr


@pytest.mark.slow
def test_a_wrong_matplotlib_backend_does_not_matter(folder):
    pytest.importorskip("matplotlib")
    code = """if True:
        import os
        from fractions import Fraction
        import numpy as np
        from auteur.plots.track_plot import draw_track
        from auteur.signals import AUTrack
        values, rate = np.zeros((3, 1)), Fraction(25)
        track = AUTrack(values=values, rate=rate, channels=("AU12_r",), convention="openface17")
        assert draw_track(track).shape[2] == 3 and os.environ["MPLBACKEND"] == "nonsense"
    """
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"MPLBACKEND": "nonsense"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_notes_cannot_command_a_terminal(folder, capsys):
    Image.new("RGB", (64, 64)).save("a\x1b[2J.png")
    assert main(["track", "a\x1b[2J.png", "-o", "a.csv"]) == 3
    assert "\x1b" not in capsys.readouterr().err
