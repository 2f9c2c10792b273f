"""Adds features to finished shards: one worker task per sample, one file per shard, resumable.

    SHARDS/features/NAME/train-000000.tar  members of the samples in the shard of that name
    SHARDS/features/NAME/index.json        hashes, settings, samples that were left out; written last
    SHARDS/features/NAME/.work/            settings, finished samples that are in no shard yet, whole shards

Every file appears whole or not at all, and a sample's goes only after its shard has been entered.
"""

import hashlib
import io
import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Protocol

import torch
from numpy.typing import NDArray

from auteur import __version__
from auteur.engines import Engine
from auteur.errors import AuteurError, InputError, UsageError
from auteur.files import atomic_path, write_text
from auteur.lab.data.archive import StoredMember, array_member, json_line, read_tar, stored_members, write_tar
from auteur.lab.data.features import command_for, named_features
from auteur.lab.data.shards import (
    FEATURE_FORMAT,
    INDEX,
    Sample,
    ShardReader,
    feature_folder,
    read_json,
    shard_hashes,
    shard_problem,
)
from auteur.lab.prepare.options import difference
from auteur.lab.prepare.shards import write_shard
from auteur.lab.prepare.task import OUTCOME
from auteur.lab.prepare.work_folder import WorkFolder
from auteur.provenance.mark import hash_file

OnFeature = Callable[[str, int, int], None]
"""(feature, samples done, of all)."""


@dataclass(frozen=True, kw_only=True)
class FeatureInputs:
    """Inputs of features beyond the samples; `Feature.needs` names those that one needs."""

    dataset: Path | None = None
    """Root of the corpus."""
    measured: Path | None = None
    """Folder of other tools' output."""
    vae: Path | None = None
    """Folder of an AutoencoderKL of diffusers."""
    published: Path | None = None
    """Folder of Hallo or MEMO that `auteur convert` wrote."""
    wav2vec: Path | None = None
    """Folder of a Wav2Vec2Model of transformers."""
    hubert: Path | None = None
    """Folder of a HuBERT or wav2vec 2.0 of transformers."""
    clip: Path | None = None
    """Folder of a CLIP image encoder of transformers."""
    speech_encoder: Path | None = None
    """Weights of a compact speech encoder; the shipped lip encoder unless given."""
    fold_encoders: tuple[Path, ...] = ()
    """Compact speech encoders that were each trained without one fold of people (`auteur train lip-encoder
    --folds K`): the features of a training person come from the one trained without them."""
    copies: int = 0
    """Augmented copies of the sound whose compact features training may read instead."""
    feature_px: int = 512
    """Side of latents and drawings in pixels."""
    view_px: int = 128
    """Side of the compact denoiser's clips in pixels."""
    drawing: Literal["lines", "mesh"] = "lines"
    """How Action Units are drawn for an adapter: lines or mesh."""
    device: Literal["", "cpu", "cuda"] = ""
    """Where networks run; CUDA where there is one, unless given."""

    def needed(self, name: str) -> Path:
        """Returns a folder that a feature needs."""
        found: Path | None = getattr(self, name)
        if found is None:
            raise UsageError(f"--{name.replace('_', '-')} is missing")
        return found

    @property
    def torch_device(self) -> torch.device:
        """The device of networks.

        Raises:
            UsageError: It is CUDA and there is none.
        """
        if self.device == "cuda" and not torch.cuda.is_available():
            raise UsageError("device is cuda and there is no CUDA GPU here; choose cpu")
        return torch.device(self.device or ("cuda" if torch.cuda.is_available() else "cpu"))


class Compute(Protocol):
    """What makes a feature; made of `FeatureInputs` and the folder of the shards."""

    @staticmethod
    def settings(inputs: FeatureInputs) -> dict[str, Any]:
        """Returns what the numbers depend on, as plain JSON; loads no network.

        Raises:
            AuteurError: The inputs do not suit.
        """
        ...

    def __call__(self, sample: Sample) -> Mapping[str, NDArray[Any]]:
        """Returns the arrays of a sample by the name of their member; none where there are none.

        Raises:
            AuteurError: The sample is left out, with this reason.
        """
        ...


@dataclass(frozen=True)
class AddedFeature:
    """What a run did for one feature."""

    name: str
    made: int
    """Samples of this run."""
    kept: int
    """Samples of earlier runs."""
    left_out: dict[str, str]
    """Reason by the key of the sample."""
    seconds: float
    """Wall-clock seconds of the workers, over all of this run."""


@dataclass(frozen=True)
class _Item:
    shard: Path
    key: str
    out: Path


@dataclass(frozen=True)
class FeatureTask:
    """Makes one feature; an item is a sample of a shard and the file to write."""

    name: str
    folder: Path
    inputs: FeatureInputs

    def start(self) -> Callable[[_Item], tuple[str | None, float]]:
        """Loads the networks; the function returns what stops the run, if anything, and seconds."""
        torch.set_num_threads(1)  # as many workers as cores; and sums come out the same everywhere
        compute = _class_of(self.name)(self.inputs, self.folder)
        return lambda item: self._made(compute, item)

    def _made(self, compute: Compute, item: _Item) -> tuple[str | None, float]:
        begun = time.perf_counter()
        arrays: Mapping[str, NDArray[Any]] = {}
        reason = None
        try:
            arrays = compute(_sample(item.shard, item.key))
        except AuteurError as error:
            reason = str(error)
        members = [array_member(f"{item.key}.{self.name}.{n}", arrays[n]) for n in sorted(arrays)]
        trouble = _write_item(item.out, members, reason)
        return trouble, time.perf_counter() - begun


def _write_item(out: Path, members: Sequence[tuple[str, bytes]], reason: str | None) -> str | None:
    """Writes the file of a sample; returns why that failed."""
    content = io.BytesIO()
    write_tar(content, [(OUTCOME, json_line({"reason": reason})), *members])
    try:
        with atomic_path(out, overwrite=True) as temporary:
            temporary.write_bytes(content.getbuffer())
    except InputError as error:
        return str(error)
    return None


@lru_cache(maxsize=2)
def _places(shard: Path) -> dict[str, list[StoredMember]]:
    found: dict[str, list[StoredMember]] = {}
    for member in stored_members(shard):
        found.setdefault(member.name.partition(".")[0], []).append(member)
    return found


def _sample(shard: Path, key: str) -> Sample:
    members = _places(shard)[key]
    return Sample(key, {one.name.partition(".")[2]: one.content() for one in members})


def _class_of(name: str) -> Any:
    module, _, kind = named_features([name])[name].compute.partition(":")
    return getattr(import_module(f"auteur.lab.prepare.{module}"), kind)


def check_inputs(folder: Path, names: Sequence[str], inputs: FeatureInputs) -> None:
    """Raises `UsageError` for an unknown feature or one whose inputs are not all given."""
    for name, row in named_features(names).items():
        lacking = [need for need in row.needs if getattr(inputs, need) is None]
        if lacking:
            raise UsageError(
                f"the feature {name!r} needs {', '.join(need.replace('_', '-') for need in lacking)}: "
                f"{command_for(folder, name)}"
            )


def add_features(
    folder: Path,
    names: Sequence[str],
    inputs: FeatureInputs,
    engine: "Engine[Any, Any]",
    *,
    overwrite: bool = False,
    on_progress: OnFeature | None = None,
) -> list[AddedFeature]:
    """Adds features to the shards of a folder, one after the other.

    Run again after it was stopped in any way, it resumes; run again when it is finished, it checks the
    feature's shards and makes damaged ones anew.

    Args:
        folder: What `auteur prepare` finished.
        names: Of the features.
        inputs: What they need.
        engine: Workers; without effect on the result.
        overwrite: Whether to make features anew that were begun with other settings or of other shards.
        on_progress: Called whenever a sample is finished.

    Raises:
        UsageError: A name is unknown, an input is missing, or the settings differ from those of the feature.
        FormatError: The folder holds no finished preparation.
        InputError: A shard is damaged, or the feature cannot be written, for instance because the disk is
            full. What was finished stays.
    """
    places = {f.name: v.absolute() for f in fields(inputs) if isinstance(v := getattr(inputs, f.name), Path)}
    inputs = replace(inputs, **places)  # workers may stand elsewhere
    check_inputs(folder, names, inputs)
    folder = folder.absolute()
    reader = ShardReader(folder)
    with WorkFolder(folder).locked():
        for problem in reader.problems():
            raise InputError(f"{problem}; repair it with the command that prepared the corpus")
        runs = [_Run(reader, name, inputs, engine, overwrite=overwrite) for name in names]
        return [run.finish(on_progress or (lambda *_: None)) for run in runs]


class _Run:
    """One feature of a folder that is locked."""

    def __init__(
        self,
        reader: ShardReader,
        name: str,
        inputs: FeatureInputs,
        engine: "Engine[Any, Any]",
        *,
        overwrite: bool,
    ) -> None:
        self._reader, self._name, self._engine = reader, name, engine
        self._task = FeatureTask(name, reader.folder, inputs)
        self._out = feature_folder(reader.folder, name)
        self._work = self._out / ".work"
        self._identity = {
            "format": FEATURE_FORMAT,
            "auteur": __version__,
            "feature": name,
            "settings": _class_of(name).settings(inputs),
        }
        self._begin(overwrite)

    def finish(self, on_progress: OnFeature) -> AddedFeature:
        """Makes what is missing and writes the index."""
        shards = {one["file"]: one for one in self._reader.index["shards"] if one["file"]}
        entries = {name: self._entry(name) for name in shards}
        missing = [name for name, entry in entries.items() if entry is None]
        left = {name: [row["key"] for row in shards[name]["samples"]] for name in missing}
        total = sum(len(shard["samples"]) for shard in shards.values())
        items = [
            _Item(self._reader.folder / name, key, out)
            for name, keys in left.items()
            for key in keys
            if not (out := self._item(key)).exists()
        ]
        done = kept = total - len(items)
        seconds = 0.0
        self._pack(left, entries)
        for outcome in self._engine.map(self._task, items) if items else ():
            trouble, taken = outcome.result or (
                _write_item(outcome.item.out, [], f"no worker survived it: {outcome.failure}"),
                0.0,
            )
            if trouble is not None:
                raise InputError(
                    f"{trouble}; make room and run the same command again: {done} of {total} samples are kept"
                )
            done, seconds = done + 1, seconds + taken
            on_progress(self._name, done, total)
            self._pack(left, entries)
        self._write_index([entry for entry in entries.values() if entry is not None])
        reasons = {k: v for entry in entries.values() if entry for k, v in entry["left_out"].items()}
        return AddedFeature(self._name, done - kept, kept, reasons, seconds)

    def _begin(self, overwrite: bool) -> None:
        if overwrite:
            shutil.rmtree(self._out, ignore_errors=True)
        command = command_for(self._reader.folder, self._name)
        about = {**self._identity, "hashes": shard_hashes(self._reader.index)}
        path = self._out / INDEX if (self._out / INDEX).exists() else self._work / "begun.json"
        if path.exists():
            then = read_json(path)
            changed = difference(_described(then), _described(about))
            if changed is not None:
                raise UsageError(
                    f"the feature {self._name!r} in {str(self._reader.folder)!r} was begun with other "
                    f"settings: {changed}; give the same, or make it anew: {command} --overwrite"
                )
            if then["hashes"] != about["hashes"]:
                raise InputError(
                    f"the feature {self._name!r} was made of other shards; make it anew: {command} "
                    "--overwrite"
                )
        else:
            self._work.mkdir(parents=True, exist_ok=True)
            write_text(path, json.dumps(about) + "\n", overwrite=True)
        for name in ("items", "done"):
            (self._work / name).mkdir(parents=True, exist_ok=True)
        for part in (*self._out.glob(".*.part*"), *self._work.glob("*/.*.part*")):
            part.unlink(missing_ok=True)  # of a run that was killed while it wrote

    def _item(self, key: str) -> Path:
        return self._work / "items" / f"{key}.tar"

    def _entry(self, shard: str) -> dict[str, Any] | None:
        """Returns the entry of a shard that is whole."""
        index, place = self._out / INDEX, self._work / "done" / f"{Path(shard).stem}.json"
        entry = read_json(place) if place.exists() else None
        if entry is None and index.exists():
            entry = next(one for one in read_json(index)["shards"] if one["of"] == shard)
        if entry is None or (entry["file"] and shard_problem(self._out, entry) is not None):
            return None
        return entry

    def _pack(self, left: dict[str, list[str]], entries: dict[str, dict[str, Any] | None]) -> None:
        """Writes every shard of which all samples are there."""
        for name in [name for name in left if all(self._item(key).exists() for key in left[name])]:
            keys = left.pop(name)
            paths = [self._item(key) for key in keys]
            outcomes = {key: json.loads(next(read_tar(p))[1]) for key, p in zip(keys, paths, strict=True)}
            entry: dict[str, Any] = {
                "of": name,
                "file": None,
                "left_out": {key: one["reason"] for key, one in outcomes.items() if one["reason"]},
            }
            if len(entry["left_out"]) < len(keys):
                path = self._out / name
                write_shard(path, paths)
                entry |= {"file": name, "bytes": path.stat().st_size, "sha256": hash_file(path)}
            place = self._work / "done" / f"{Path(name).stem}.json"
            write_text(place, json.dumps(entry) + "\n", overwrite=True)
            entries[name] = entry
            for path in paths:
                path.unlink()

    def _write_index(self, entries: list[dict[str, Any]]) -> None:
        about = {**self._identity, "hashes": shard_hashes(self._reader.index)}
        lines = ",\n".join(json.dumps(entry, sort_keys=True) for entry in entries)
        head = json.dumps(about)[:-1]
        write_text(self._out / INDEX, f'{head}, "shards": [\n{lines}\n]}}\n', overwrite=True)
        shutil.rmtree(self._work, ignore_errors=True)


def _described(about: Mapping[str, Any]) -> dict[str, Any]:
    """What two runs of a feature must share, as `options.difference` compares it."""
    return {"format": about["format"], "auteur": about["auteur"], "options": about["settings"]}


def folder_version(folder: Path, names: Sequence[str] = ("",)) -> str:
    """Returns the first digits of a hash of the weights and configs in a folder, or in folders of it.

    Raises:
        InputError: There are none.
    """
    files = sorted(
        path
        for name in names
        for path in (folder / name).glob("*")
        if path.suffix in (".json", ".safetensors") and path.is_file()
    )
    if not files:
        raise InputError(f"{str(folder)!r} holds no config and no weights; name the folder of a model")
    digests = "".join(f"{path.name}:{hash_file(path)}" for path in files)
    return hashlib.sha256(digests.encode()).hexdigest()[:12]
