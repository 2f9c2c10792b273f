"""Reads shards back: hash first, then sample by sample."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from auteur.errors import FormatError, InputError, UsageError
from auteur.lab.data.encoded_video import decode_video
from auteur.lab.prepare.archive import from_flac, from_npy, read_tar
from auteur.lab.prepare.options import FORMAT
from auteur.lab.prepare.work import INDEX, read_json
from auteur.provenance.mark import hash_file
from auteur.signals import Waveform


@dataclass(frozen=True, eq=False)
class Sample:
    """One clip: bytes by the name of its members without the key, such as "mp4", "landmarks.npy"."""

    key: str
    members: dict[str, bytes]

    @property
    def record(self) -> dict[str, Any]:
        """The record of the clip as plain values."""
        return json.loads(self.members["json"])

    def array(self, name: str) -> NDArray[Any]:
        """Returns an array, such as "landmarks", "au.openface18", "expression.compact50".

        Raises:
            UsageError: The sample has none of that name.
        """
        if f"{name}.npy" not in self.members:
            have = ", ".join(each.removesuffix(".npy") for each in self.members if each.endswith(".npy"))
            raise UsageError(f"sample {self.key!r} has no array {name!r}; it has {have}")
        return from_npy(self.members[f"{name}.npy"])

    def frames(self) -> NDArray[np.uint8]:
        """Returns the crops, uint8 RGB [T, S, S, 3]."""
        return decode_video(self.members["mp4"])

    def speech(self) -> Waveform | None:
        """Returns the sound at 16 kHz, as long as the crops; None for a clip without."""
        return from_flac(self.members["flac"]) if "flac" in self.members else None


class ShardReader:
    """The samples of a finished preparation, in the order of the shards.

    Args:
        folder: What `auteur prepare` wrote.
        part: "train" or "held_out" people; None: both.
        damaged: Treatment of a shard whose bytes are not those that were written: "refuse" it with an
            error before any of its samples is given, or "skip" it and note it in `skipped`.

    Raises:
        FormatError: The folder has no index, or one that this version cannot read.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        part: Literal["train", "held_out"] | None = None,
        damaged: Literal["refuse", "skip"] = "refuse",
    ) -> None:
        self.folder = Path(folder)
        if not (self.folder / INDEX).exists():
            raise FormatError(
                f"{str(folder)!r} has no {INDEX}; let auteur prepare finish, or name its folder"
            )
        self.index = read_json(self.folder / INDEX)
        if self.index.get("format") != FORMAT:
            raise FormatError(
                f"{str(folder)!r} is {self.index.get('format')!r}; this version reads {FORMAT!r}"
            )
        self._damaged = damaged
        self.skipped: list[str] = []
        """Problems of the shards that were left out."""
        self._shards = [
            shard
            for shard in self.index["shards"]
            if shard["file"]
            and part in (None, "held_out" if shard["file"].startswith("held_out") else "train")
        ]

    @property
    def paths(self) -> list[Path]:
        """The shards, for `webdataset.WebDataset` or any other reader of tar files."""
        return [self.folder / shard["file"] for shard in self._shards]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The index's entry of every sample, in order."""
        return [row for shard in self._shards for row in shard["samples"]]

    def __len__(self) -> int:
        return sum(len(shard["samples"]) for shard in self._shards)

    def __iter__(self) -> Iterator[Sample]:
        """All samples; each shard's hash is checked before its first sample is given.

        Raises:
            InputError: A shard is missing or damaged, and such shards are refused.
        """
        for shard in self._shards:
            problem = shard_problem(self.folder, shard)
            if problem is None:
                yield from samples_of(read_tar(self.folder / shard["file"]))
            elif self._damaged == "skip":
                self.skipped.append(problem)
            else:
                raise InputError(f"{problem}; run auteur prepare again with the same options to repair it")

    def problems(self) -> list[str]:
        """Returns one sentence per shard that is missing or damaged."""
        found = (shard_problem(self.folder, shard) for shard in self._shards)
        return [problem for problem in found if problem is not None]


def shard_problem(folder: Path, shard: dict[str, Any]) -> str | None:
    """Returns the problem of a shard, given its entry in the index; None: it is whole."""
    path = folder / shard["file"]
    if not path.is_file():
        return f"shard {str(path)!r} is missing"
    size = path.stat().st_size
    if size != shard["bytes"]:
        return f"shard {str(path)!r} has {size} bytes instead of {shard['bytes']}"
    digest = hash_file(path)
    if digest != shard["sha256"]:
        return f"shard {str(path)!r} has the wrong hash: {digest[:12]}… instead of {shard['sha256'][:12]}…"
    return None


def samples_of(members: Iterable[tuple[str, bytes]]) -> Iterator[Sample]:
    """Groups members by what stands before the first "." of their names, as webdataset does."""
    for key, group in groupby(members, key=lambda member: member[0].partition(".")[0]):
        yield Sample(key, {name.partition(".")[2]: content for name, content in group})
