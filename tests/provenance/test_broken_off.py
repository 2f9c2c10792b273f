"""Marks after a run that was broken off at any step, and marks whose text is hostile."""

import json
import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from auteur import files
from auteur.cli import main
from auteur.errors import InputError, one_line
from auteur.media import write_image
from auteur.provenance import Mark, Verdict, read_sidecar, sidecar_path, verify

OLD = np.zeros((16, 16, 3), np.uint8)
NEW = np.full((16, 16, 3), 200, np.uint8)


class Killed(BaseException):
    """Stands for the end of the process: nothing may tidy up after it."""


def killed_at(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Ends the run before its `step`-th change of a name, and keeps it from tidying up."""
    done = 0
    replace, link = Path.replace, os.link

    def count() -> None:
        nonlocal done
        done += 1
        if done >= step:
            raise Killed

    def counted_replace(self: Path, target: Path) -> Path:
        count()
        return replace(self, target)

    def counted_link(*arguments: object) -> None:
        count()
        link(*arguments)

    monkeypatch.setattr(Path, "replace", counted_replace)
    monkeypatch.setattr(files.os, "link", counted_link)
    monkeypatch.setattr("auteur.provenance.sidecar.Announcement.withdraw", lambda _: None)


@pytest.mark.parametrize("step", range(1, 5))
@pytest.mark.parametrize("has_record", [True, False], ids=["marked", "foreign"])
def test_a_file_always_has_its_own_record(tmp_path, monkeypatch, step, has_record):
    path = tmp_path / "a.png"
    if has_record:
        write_image(path, OLD, mark=Mark(seed=1))
    else:
        Image.fromarray(OLD).save(path)
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        killed_at(patch, step)
        try:
            write_image(path, NEW, mark=Mark(seed=2), overwrite=True)
        except Killed:
            pass
        else:
            assert step > 3
    report = verify(path)
    if path.read_bytes() != before:
        assert report.verdict is Verdict.INTACT
        assert report.sidecar is not None and report.sidecar.mark.seed == 2
    elif has_record:
        assert report.verdict is Verdict.INTACT
        assert report.sidecar is not None and report.sidecar.mark.seed == 1
    else:
        assert report.verdict is Verdict.UNMARKED
    write_image(path, NEW, mark=Mark(seed=3), overwrite=True)
    report = verify(path)
    assert report.verdict is Verdict.INTACT and report.sidecar is not None and report.sidecar.mark.seed == 3
    assert "before" not in json.loads(sidecar_path(path).read_text())


@pytest.mark.parametrize("has_record", [True, False])
def test_a_failed_write_leaves_the_record_that_was_there(tmp_path, monkeypatch, has_record):
    path = tmp_path / "a.png"
    if has_record:
        write_image(path, OLD, mark=Mark(seed=1))
    kept = {one: one.read_bytes() for one in tmp_path.iterdir()}

    def fail(self: Path, target: Path) -> Path:
        if target == path:
            raise OSError(28, "No space left on device")
        return original(self, target)

    original = Path.replace
    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(InputError, match="No space left"):
        write_image(path, NEW, mark=Mark(seed=2), overwrite=True)
    assert {one: one.read_bytes() for one in tmp_path.iterdir()} == kept


HOSTILE = "Auteur\x1b[2J\x07\r\nverdict   intact: a real photograph\u202e\u2028\x85\ud800\x00"


def is_plain(text: str) -> bool:
    return all(unicodedata.category(one)[0] != "C" and one not in "\u2028\u2029" for one in text)


def test_text_of_a_file_cannot_forge_lines_or_command_a_terminal(tmp_path):
    path = tmp_path / "a.png"
    mark = {"tool": HOSTILE, "version": HOSTILE, "models": {HOSTILE: HOSTILE}}
    comment = PngInfo()
    comment.add_itxt("Comment", f"AI-generated {json.dumps(mark)}")
    Image.fromarray(OLD).save(path, pnginfo=comment)
    record = {
        "format": "auteur-sidecar/1", **mark, "inputs": {HOSTILE: HOSTILE}, "settings": {HOSTILE: HOSTILE},
        "output": {"sha256": HOSTILE},
    }  # fmt: skip
    for sidecar in (None, record, {"format": HOSTILE}, {**record, "seed": HOSTILE}):
        if sidecar is not None:
            sidecar_path(path).write_text(json.dumps(sidecar), encoding="utf-8")
        lines = verify(path).lines()
        assert all(is_plain(line) for line in lines)
        assert sum(line.startswith("verdict") for line in lines) == 1
        "\n".join(lines).encode()


def test_the_command_escapes_names_and_reasons(tmp_path, capsys):
    path = tmp_path / "a\x1b[2J\nverdict   intact.png"
    comment = PngInfo()
    comment.add_itxt("Comment", f"AI-generated {json.dumps({'tool': HOSTILE})}")
    Image.fromarray(OLD).save(path, pnginfo=comment)
    record = {"format": "auteur-sidecar/1", "tool": HOSTILE, "consent": HOSTILE, "output": {"sha256": "0"}}
    sidecar_path(path).write_text(json.dumps(record), encoding="utf-8")
    assert main(["verify", str(path)]) == 3
    shown = capsys.readouterr()
    assert all(map(is_plain, shown.out.splitlines() + shown.err.splitlines()))
    assert sum(line.startswith("verdict") for line in shown.out.splitlines()) == 1
    assert main(["verify", str(path), "--json"]) == 3
    out = capsys.readouterr().out
    assert out.isascii() and is_plain(out[:-1]) and json.loads(out)["sidecar"]["consent"] == HOSTILE


@pytest.mark.parametrize("code", [0, 7, 10, 13, 27, 127, 0x85, 0x9B, 0x200B, 0x2028, 0x202E, 0xD800, 0xE000])
def test_unprintable_characters_are_escapes(code):
    shown = one_line(f"é{chr(code)}世")
    assert is_plain(shown) and shown.startswith("é\\") and shown.endswith("世")


@pytest.mark.parametrize("before", [3, [], {}, {"before": None}, {"tool": "x"}])
def test_a_wrong_record_of_the_file_before_is_no_sidecar(tmp_path, before):
    path = tmp_path / "a.png"
    write_image(path, OLD, mark=Mark())
    record = json.loads(sidecar_path(path).read_text())
    sidecar_path(path).write_text(json.dumps({**record, "before": before}))
    assert verify(path).verdict in (Verdict.METADATA_ONLY, Verdict.CHANGED, Verdict.INTACT)
    with pytest.raises(InputError, match="not an intact sidecar"):
        read_sidecar(path)
