"""Packs finished recordings into shards, as soon as all that belongs into one is there.

A shard holds the recordings of its part in the order of their keys, and is closed by the one that fills it.
That depends on nothing but the recordings, so that shards come out the same in whatever order these were
finished.
"""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from auteur.errors import FormatError
from auteur.files import atomic_path, write_text
from auteur.lab.data.archive import Member, read_tar, write_tar
from auteur.lab.prepare.task import OUTCOME
from auteur.lab.prepare.work_folder import WorkFolder
from auteur.provenance.mark import hash_file

MEBIBYTE = 1 << 20


class Packer:
    """Packs one part of the people.

    Args:
        work: The folder.
        part: One of `PARTS`.
        keys: The part's recordings, sorted.
        shard_bytes: Size of items from which a shard is closed.
    """

    def __init__(self, work: WorkFolder, part: str, keys: Sequence[str], shard_bytes: int) -> None:
        self._work, self._part, self._shard_bytes = work, part, shard_bytes
        entries = work.entries(part)
        packed = {key for entry in entries for key in entry["recordings"]}
        for key in packed:  # of a run that was killed after it had entered the shard
            work.item(key).unlink(missing_ok=True)
        self._number = len(entries)
        self._waiting = [key for key in keys if key not in packed]
        self._next, self._bytes = 0, 0

    def advance(self) -> None:
        """Packs every shard that is full.

        Raises:
            InputError: A shard cannot be written.
        """
        while self._next < len(self._waiting):
            path = self._work.item(self._waiting[self._next])
            if not path.exists():
                return
            self._next += 1
            self._bytes += path.stat().st_size
            if self._bytes >= self._shard_bytes:
                self._close()

    def finish(self) -> None:
        """Packs what is left, however little.

        Raises:
            InputError: The shard cannot be written.
        """
        self.advance()
        if self._next < len(self._waiting):
            raise FormatError(
                f"{str(self._work.item(self._waiting[self._next]))!r} is missing; run the command again"
            )
        if self._waiting:
            self._close()

    def _close(self) -> None:
        keys, self._waiting = self._waiting[: self._next], self._waiting[self._next :]
        name = f"{self._part}-{self._number:06d}"
        outcomes = [self._work.outcome(key) for key in keys]
        entry: dict[str, Any] = {
            "file": None,
            "recordings": keys,
            "samples": [row for outcome in outcomes for row in outcome["samples"]],
            "rejected": [row for outcome in outcomes for row in outcome["rejected"]],
        }
        if entry["samples"]:
            path = self._work.out / f"{name}.tar"
            write_shard(path, [self._work.item(key) for key in keys])
            entry |= {"file": path.name, "bytes": path.stat().st_size, "sha256": hash_file(path)}
        write_text(self._work.done / f"{name}.json", json.dumps(entry) + "\n", overwrite=True)
        for key in keys:
            self._work.item(key).unlink(missing_ok=True)
        self._number += 1
        self._next, self._bytes = 0, 0


def write_shard(path: Path, items: Sequence[Path]) -> None:
    """Writes the samples of items into one shard, whole or not at all.

    Raises:
        FormatError: An item is damaged.
        InputError: The shard cannot be written.
    """
    with atomic_path(path, overwrite=True) as temporary, temporary.open("wb") as file:
        write_tar(file, _samples(items))


def _samples(items: Sequence[Path]) -> Iterator[Member]:
    for item in items:
        yield from (member for member in read_tar(item) if member[0] != OUTCOME)
