"""The folder of a service: uploads and jobs as files, whole or not at all, under random ids."""

import json
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from auteur.errors import one_line
from auteur.files import make_folders, write_text
from auteur.service.limits import GIGABYTE, Limits
from auteur.service.problems import CallError

Record = dict[str, Any]

_ID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_RECORD = "record.json"
_LONGEST_NAME = 120
_TOUCH_SEC = 60.0
"""How exactly the last use of an upload is known."""


def is_id(text: object) -> bool:
    """Returns whether a text has the shape of an id: 32 hexadecimal digits."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None


def new_id() -> str:
    """Returns an id of 128 random bits."""
    return secrets.token_hex(16)


def stamp(time_sec: float | None) -> str | None:
    """Returns a time as text, such as "2026-11-30T12:00:00Z"."""
    if time_sec is None:
        return None
    return datetime.fromtimestamp(time_sec, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def shown_name(text: str | None, otherwise: str) -> str:
    """Returns a client's name of a file as it is shown: its last part, printable; no path is made of it."""
    last = one_line((text or "").replace("\\", "/").rpartition("/")[2].strip())
    return last[:_LONGEST_NAME] or otherwise


class Shelf:
    """A folder of folders, each with an id for a name and a record inside.

    Args:
        folder: Where; made if it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        make_folders(folder)

    def path(self, identity: str) -> Path:
        """Returns the folder of an id, which need not exist.

        Raises:
            CallError: The text is no id.
        """
        if not is_id(identity):
            raise CallError("not_found", "there is no such id")
        return self.folder / identity

    def make(self, identity: str) -> Path:
        """Returns a new folder for an id."""
        path = self.path(identity)
        path.mkdir()
        return path

    def write(self, identity: str, record: Record) -> None:
        """Writes the record of an id, whole or not at all."""
        write_text(self.path(identity) / _RECORD, json.dumps(record, ensure_ascii=False), overwrite=True)

    def read(self, identity: str) -> Record:
        """Returns the record of an id.

        Raises:
            CallError: There is none, or it is damaged.
        """
        try:
            record = json.loads((self.path(identity) / _RECORD).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise CallError("not_found", "there is no such id, or it has expired") from error
        if not isinstance(record, dict):
            raise CallError("not_found", "there is no such id, or it has expired")
        return record

    def remove(self, identity: str) -> None:
        """Removes everything of an id."""
        shutil.rmtree(self.path(identity), ignore_errors=True)

    def ids(self) -> Iterator[str]:
        """Yields every id, in no order."""
        for path in self.folder.iterdir():
            if is_id(path.name):
                yield path.name


class Store:
    """Everything that a service keeps.

    Args:
        folder: Its folder.
        limits: Budgets.
    """

    def __init__(self, folder: Path, limits: Limits) -> None:
        make_folders(folder)
        self.folder, self._limits = folder.resolve(), limits
        self.uploads, self.jobs = Shelf(self.folder / "uploads"), Shelf(self.folder / "jobs")
        self.calm = self.folder / "empty"
        """An empty folder for processes to stand in, so that no text is the name of a file by chance."""
        make_folders(self.calm)

    def check_room(self) -> None:
        """Refuses what would pass the disk budget.

        Raises:
            CallError: There is no room.
        """
        used = self.used_bytes()
        if used > self._limits.disk_bytes:
            raise CallError(
                "disk_full",
                f"uploads and results take {used / GIGABYTE:.2f} GB of "
                f"{self._limits.disk_bytes / GIGABYTE:g} GB; remove some, or wait until they expire",
            )

    def used_bytes(self) -> int:
        """Returns the size of all files."""
        total = 0
        for path in self.folder.rglob("*"):
            with suppress(OSError):
                if path.is_file():
                    total += path.stat().st_size
        return total

    def touch_upload(self, identity: str) -> Record:
        """Returns the record of an upload, whose time of expiry begins anew.

        Raises:
            CallError: There is none.
        """
        record = self.uploads.read(identity)
        if time.time() - float(record["used_sec"]) > _TOUCH_SEC:
            record["used_sec"] = time.time()
            self.uploads.write(identity, record)
        return record

    def upload_path(self, identity: str, record: Record) -> Path:
        """Returns the file of an upload."""
        return self.uploads.path(identity) / str(record["file"])

    def remove_expired(self, in_use: set[str]) -> None:
        """Removes uploads that were not used for long, except those in use, and folders without a record."""
        now = time.time()
        for identity in list(self.uploads.ids()):
            if identity in in_use:
                continue
            try:
                last = float(self.uploads.read(identity)["used_sec"])
            except (CallError, KeyError, TypeError, ValueError):
                with suppress(OSError):  # being received, or left by a crash
                    last = self.uploads.path(identity).stat().st_mtime
                    if now - last > min(self._limits.keep_sec, 3600):
                        self.uploads.remove(identity)
                continue
            if now - last > self._limits.keep_sec:
                self.uploads.remove(identity)
