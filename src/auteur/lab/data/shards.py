"""The one reader of prepared corpora: hash first, then sample by sample, with the features added to them."""

import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from auteur.errors import FormatError, InputError, UsageError
from auteur.lab.data.archive import ARRAY_SUFFIXES, from_flac, from_member, read_tar
from auteur.lab.data.encoded_video import decode_video
from auteur.lab.data.features import command_for, named_features
from auteur.lab.data.media_kinds import HOLDING, PLAIN_KINDS, Medium, medium_of_kind
from auteur.lab.data.splits import Part, is_published_test_person, part_of
from auteur.provenance.mark import hash_file
from auteur.signals import Waveform

FORMAT = "auteur-shards 1"
"""First word of every index: the format of the samples (docs/preparing.md)."""

FEATURE_FORMAT = "auteur-features 1"
"""First word of the index of a feature."""

INDEX = "index.json"
FEATURE_FOLDER = "features"
"""Folder beside the shards; in it one folder per feature with shards of the same names."""

PartName = Literal["train", "held_out"]


@dataclass(frozen=True, eq=False)
class Sample:
    """One clip: bytes by the name of its members without the key, such as "mp4", "landmarks.npy"."""

    key: str
    members: dict[str, bytes]

    @property
    def record(self) -> dict[str, Any]:
        """The record of the clip as plain values."""
        return json.loads(self.members["json"])

    @property
    def part(self) -> Part:
        """The part of its person: the corpus's own split, and of the others some to choose checkpoints by."""
        record = self.record
        return part_of(record["person"], record["held_out"])

    def has(self, name: str) -> bool:
        """Returns whether the sample holds an array."""
        return any(f"{name}.{suffix}" in self.members for suffix in ARRAY_SUFFIXES)

    def array(self, name: str) -> NDArray[Any]:
        """Returns an array, such as "landmarks", "au.openface18", "motion.displacement".

        Raises:
            UsageError: The sample has none of that name.
        """
        for member in (f"{name}.{suffix}" for suffix in ARRAY_SUFFIXES):
            if member in self.members:
                return from_member(member, self.members[member])
        have = ", ".join(each.rpartition(".")[0] for each in self.members if each.endswith(ARRAY_SUFFIXES))
        raise UsageError(f"sample {self.key!r} has no array {name!r}; it has {have}")

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
        features: Added features, whose members come with those of the sample; a sample of which a feature
            could not be made lacks them.
        damaged: Treatment of a shard whose bytes are not those that were written: "refuse" it with an
            error before any of its samples is given, or "skip" it and note it in `skipped`.

    Raises:
        FormatError: The folder has no index, or one that this version cannot read.
        InputError: A feature is missing, or belongs to other shards.
        UsageError: There is no feature of that name.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        part: PartName | None = None,
        features: Sequence[str] = (),
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
        self._damaged, self._part = damaged, part
        self.features = {name: feature_index(self.folder, self.index, name) for name in features}
        """Index of each feature."""
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

    @property
    def corpus(self) -> str:
        """Kind of the corpus, such as "mead"; of plain folders the name of the shards' folder."""
        kind = self.index["options"]["kind"]
        return self.folder.resolve().name if kind in PLAIN_KINDS else kind

    @property
    def medium(self) -> Medium:
        """Whether its samples are videos, sound alone or single pictures."""
        return medium_of_kind(self.index["options"]["kind"])

    def __len__(self) -> int:
        return sum(len(shard["samples"]) for shard in self._shards)

    def __iter__(self) -> Iterator[Sample]:
        """All samples; each shard's hash is checked before its first sample is given.

        Raises:
            InputError: A shard is missing or damaged, and such shards are refused.
            FormatError: The shards of training people hold a person who is held out.
        """
        for shard in self._shards:
            problem = self._problem(shard)
            if problem is None:
                yield from self._samples(shard)
            elif self._damaged == "skip":
                self.skipped.append(problem)
            else:
                raise InputError(f"{problem}; run auteur prepare again with the same options to repair it")

    def _samples(self, shard: dict[str, Any]) -> Iterator[Sample]:
        added = [
            samples_of(read_tar(feature_folder(self.folder, name) / entry["file"]))
            for name in self.features
            if (entry := self.feature_shard(name, shard["file"]))["file"]
        ]
        heads = [next(stream, None) for stream in added]
        for sample in samples_of(read_tar(self.folder / shard["file"])):
            if self._part == "train":
                _check_trains(sample, shard["file"])
            members = dict(sample.members)
            for number, head in enumerate(heads):
                if head is not None and head.key == sample.key:
                    members |= head.members
                    heads[number] = next(added[number], None)
            yield Sample(sample.key, members)

    def feature_shard(self, name: str, shard: str) -> dict[str, Any]:
        """Returns the entry of a feature's shard in its index, by the name of the shard of the samples."""
        return next(one for one in self.features[name]["shards"] if one["of"] == shard)

    def _problem(self, shard: dict[str, Any]) -> str | None:
        found = shard_problem(self.folder, shard)
        for name in self.features:
            entry = self.feature_shard(name, shard["file"])
            if found is None and entry["file"]:
                found = shard_problem(feature_folder(self.folder, name), entry)
        return found

    @property
    def shard_names(self) -> list[str]:
        """Names of the shards of the part."""
        return [shard["file"] for shard in self._shards]

    def problems(self) -> list[str]:
        """Returns one sentence per shard that is missing or damaged."""
        found = map(self._problem, self._shards)
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


def read_json(path: Path) -> dict[str, Any]:
    """Reads one of our own JSON files.

    Raises:
        FormatError: It is damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FormatError(
            f"cannot read {str(path)!r}: {error}; restore it or begin anew with --overwrite"
        ) from error


def feature_folder(folder: Path, name: str) -> Path:
    """Returns the folder of a feature of the shards in `folder`."""
    return folder / FEATURE_FOLDER / name


def feature_index(folder: Path, index: dict[str, Any], name: str) -> dict[str, Any]:
    """Returns the index of a feature.

    Args:
        folder: Of the shards.
        index: Theirs.
        name: Of the feature.

    Raises:
        InputError: The shards lack it, it is not finished, or it was made of other shards; the message names
            the command that adds it.
    """
    row = named_features([name])[name]
    path, command = feature_folder(folder, name) / INDEX, command_for(folder, name)
    if not path.exists():
        raise InputError(f"{str(folder)!r} lacks the feature {name!r} ({row.sentence}); add it: {command}")
    found = read_json(path)
    if found.get("format") != FEATURE_FORMAT:
        raise FormatError(
            f"{str(path)!r} is {found.get('format')!r}; this version reads {FEATURE_FORMAT!r}: {command} "
            "--overwrite"
        )
    if found["hashes"] != shard_hashes(index):
        raise InputError(
            f"the feature {name!r} in {str(folder)!r} was made of other shards; make it anew: {command} "
            "--overwrite"
        )
    return found


def shard_hashes(index: dict[str, Any]) -> list[str]:
    """Returns the SHA-256 of the shards in an index."""
    return [shard["sha256"] for shard in index["shards"] if shard["file"]]


def _check_trains(sample: Sample, shard: str) -> None:
    record = sample.record
    if record.get("held_out") or is_published_test_person(record.get("person", "")):
        raise FormatError(
            f"the shard {shard!r} of people who train holds {sample.key!r} of {record['person']!r}, who is "
            "held out; prepare the corpus anew"
        )


@dataclass(frozen=True)
class Corpora:
    """Prepared corpora that a recipe reads."""

    shards: tuple[Path, ...] = ()
    """Folders that `auteur prepare` finished, with the features that the recipe needs."""
    mix: str = ""
    """Ratio at which training draws from the corpora, such as "mead=1,hdtf=1", by kind or, for plain folders,
    by the name of the folder; unless given, as much of each as there is."""
    generated: tuple[Path, ...] = ()
    """Folders with videos that talking-head systems made: they only ever train."""

    def readers(
        self,
        features: Sequence[str],
        *,
        part: PartName | None = "train",
        media: Collection[Medium] = ("video",),
        beside: Collection[Medium] = (),
    ) -> list[ShardReader]:
        """Returns the readers of the folders of some media among `shards`.

        Args:
            features: As `part`, those of `ShardReader`.
            part: Of the people.
            media: What is read.
            beside: Media of folders that are passed over here.

        Raises:
            UsageError: No folder is of these media, one is of a medium that is not read, `mix` is not
                understood, or the corpora differ in the space of a feature.
            InputError: A feature is missing.
        """
        chosen = _of_media(self.shards, media, beside)
        found = [ShardReader(folder, part=part, features=features) for folder in chosen]
        _check_spaces([*found, *self.generated_readers(features)])
        if tuple(media) != ("picture",):  # photographs are drawn at a share of their own
            self._check_mix(sorted({reader.corpus for reader in found}))
        return found

    def generated_readers(self, features: Sequence[str]) -> list[ShardReader]:
        """Returns the readers of `generated`."""
        return [ShardReader(folder, features=features) for folder in self.generated]

    def shares(self, corpora: Iterable[str]) -> dict[str, float] | None:
        """Returns the share of each corpus, which add up to 1; None: as much as there is.

        Args:
            corpora: Those that there is something of to draw.

        Raises:
            UsageError: `mix` is not understood, or does not name one of them.
        """
        if not self.mix:
            return None
        there = sorted(set(corpora))
        ratio = self._ratio(there)
        if lacking := [name for name in there if name not in ratio]:
            raise UsageError(f"mix is {self.mix!r} and does not name {lacking[0]}; write {_like(there)}")
        total = sum(ratio[name] for name in there)
        return {name: ratio[name] / total for name in there}

    def refuse_mix(self, reason: str) -> None:
        """Raises `UsageError`, with a reason, if `mix` is given to a recipe that draws no clips at random."""
        if self.mix:
            raise UsageError(f"mix has no effect here: {reason}; leave it out")

    def _ratio(self, there: list[str]) -> dict[str, float]:
        try:
            pairs = (part.partition("=") for part in self.mix.split(","))
            ratio = {name.strip(): float(value) for name, _, value in pairs}
        except ValueError as error:
            raise UsageError(f"mix is {self.mix!r}; write it as {_like(there)}") from error
        if not all(0 < value < float("inf") for value in ratio.values()):
            raise UsageError(f"mix is {self.mix!r}; its numbers must be above 0: {_like(there)}")
        return ratio

    def _check_mix(self, there: list[str]) -> None:
        """Raises `UsageError` if `mix` names other corpora than those of the shards."""
        if self.mix and sorted(self._ratio(there)) != there:
            raise UsageError(f"mix is {self.mix!r}; it must name {', '.join(there)}: {_like(there)}")


def _of_media(folders: Sequence[Path], media: Collection[Medium], beside: Collection[Medium]) -> list[Path]:
    """The folders of some media; those of other media than `beside` are refused."""
    holding = " or ".join(HOLDING[medium] for medium in media)
    media_of = {folder: ShardReader(folder).medium for folder in folders}
    for folder, medium in media_of.items():
        if medium not in (*media, *beside):
            raise UsageError(f"{str(folder)!r} holds {HOLDING[medium]}, and {holding} are read; leave it out")
    found = [folder for folder in folders if media_of[folder] in media]
    if not found:
        raise UsageError(f"no shards of {holding} were given; name those of auteur prepare with --shards")
    return found


def _like(corpora: list[str]) -> str:
    return repr(",".join(f"{name}=1" for name in corpora))


def _check_spaces(readers: list[ShardReader]) -> None:
    """Raises `UsageError` if two folders hold a feature in different spaces."""
    first = readers[0]
    for reader in readers[1:]:
        for name, index in reader.features.items():
            one, other = first.features[name]["settings"], index["settings"]
            if one != other:
                differing = sorted(key for key in {*one, *other} if one.get(key) != other.get(key))
                raise UsageError(
                    f"{str(first.folder)!r} and {str(reader.folder)!r} hold the feature {name!r} in "
                    f"different spaces ({', '.join(differing)} differ); make one of them anew: "
                    f"{command_for(reader.folder, name)} --overwrite"
                )
