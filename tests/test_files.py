"""The writer of files: what is there is kept, whatever happens; impossible names are refused."""

import errno
import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from auteur import files
from auteur.batch.jobs import read_jobs
from auteur.errors import InputError
from auteur.files import (
    atomic_path,
    check_folder,
    check_name,
    check_writable,
    is_disk_full,
    is_unfinished,
    open_input,
    read_json,
    write_text,
)
from auteur.formats.flame import read_flame_parameters
from auteur.media import VideoWriter, read_image, write_audio, write_image
from auteur.provenance import Mark
from auteur.signals import AUTrack, Waveform, load_track
from auteur.weights import WeightsFile

PIXELS = np.zeros((32, 32, 3), np.uint8)
TRACK = AUTrack(values=np.zeros((2, 1)), rate=Fraction(25), channels=("AU12_r",), convention="openface17")


def write_video(path: Path) -> None:
    with VideoWriter(path, size_px=(32, 32), rate=25, mark=Mark()) as video:
        video.write(PIXELS)


WRITERS = {
    "a.txt": lambda path: write_text(path, "ours"),
    "a.json": TRACK.save,
    "a.csv": TRACK.save,
    "a.png": lambda path: write_image(path, PIXELS, mark=Mark()),
    "a.wav": lambda path: write_audio(
        path, Waveform(samples=np.zeros(800, np.float32), rate_hz=16_000), mark=Mark()
    ),
    "a.mp4": write_video,
}


@pytest.mark.parametrize("has_links", [True, False], ids=["links", "no links"])
@pytest.mark.parametrize("name", WRITERS)
def test_a_file_that_appears_while_one_is_written_is_kept(tmp_path, monkeypatch, name, has_links):
    path, sync = tmp_path / name, os.fsync

    def appear(number: int) -> None:  # at the last moment before the name is taken
        sync(number)
        path.write_bytes(b"precious")

    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(files.os, "fsync", appear)
    if not has_links:
        monkeypatch.setattr(files.os, "link", refuse)
    with pytest.raises(InputError, match="exists already"):
        WRITERS[name](path)
    assert path.read_bytes() == b"precious"
    assert [one.name for one in tmp_path.iterdir()] == [name], "a sidecar of nothing, or half a file"


def test_without_hard_links_files_appear_too(tmp_path, monkeypatch):
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no hard links here")

    monkeypatch.setattr(files.os, "link", refuse)
    write_text(tmp_path / "a.txt", "ours")
    assert (tmp_path / "a.txt").read_text() == "ours" and len(list(tmp_path.iterdir())) == 1


def test_a_dangling_link_is_a_file_that_is_there(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    with pytest.raises(InputError, match="exists already"):
        write_text(tmp_path / "link", "ours")


IMPOSSIBLE = {"long": "a" * 256 + ".mp4", "latin": "\udcff.mp4", "half": "\ud800.mp4", "nul": "a\0b.mp4"}


@pytest.mark.parametrize("name", IMPOSSIBLE.values(), ids=IMPOSSIBLE)
@pytest.mark.parametrize("place", ["{}", "{}/a.mp4"], ids=["file", "folder"])
def test_impossible_names_are_refused_at_every_door(tmp_path, name, place):
    path = tmp_path / place.format(name)
    doors = {
        "check_name": check_name,
        "check_writable": check_writable,
        "check_folder": check_folder,
        "write_text": lambda path: write_text(path, ""),
        "open_input": open_input,
        "read_image": read_image,
        "load_track": load_track,
        "read_flame": read_flame_parameters,
        "read_jobs": lambda path: list(read_jobs(path, defaults={}, paints=True)),
        "weights": WeightsFile,
    }
    for door in doors.values():
        with pytest.raises(InputError) as caught:
            door(path)
        assert "\n" not in str(caught.value)
        str(caught.value).encode()  # can be printed


def test_names_of_255_bytes_are_written(tmp_path):
    write_text(tmp_path / ("é" * 127 + "a"), "ours")
    assert len(list(tmp_path.iterdir())) == 1


def test_names_of_unfinished_files_are_not_given(tmp_path):
    with atomic_path(tmp_path / "a.MP4") as temporary:
        temporary.touch()
        assert is_unfinished(temporary.name)
        with pytest.raises(InputError, match="mark unfinished files"):
            check_writable(tmp_path / "x" / temporary.name)


def test_a_folder_without_permission_is_named_before_any_work(tmp_path, monkeypatch):
    monkeypatch.setattr(files.os, "access", lambda *_: False)
    for check in (check_writable, check_folder):
        with pytest.raises(InputError, match="no permission"):
            check(tmp_path / "new")
    with pytest.raises(InputError, match="no permission"):
        check_folder(tmp_path)


def test_pipes_are_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.json")
    for read in (open_input, load_track, read_json, read_image, WeightsFile):
        with pytest.raises(InputError, match="not a file"):
            read(tmp_path / "a.json")


@pytest.mark.parametrize("content", [b"{", b"\xff", b"[" * 100_000, b"9" * 5000, b" " * 50])
def test_what_is_no_json_is_an_error_of_one_line(tmp_path, content):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_json(tmp_path / "a.json")
    assert "\n" not in str(caught.value)


def test_a_full_disk_is_found_behind_other_errors():
    try:
        try:
            raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise InputError("cannot write 'a'") from error
    except InputError as error:
        assert is_disk_full(error)
    assert not is_disk_full(OSError(errno.EACCES, "Permission denied"))
