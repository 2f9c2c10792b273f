"""Shards of samples that no corpus holds: made-up data of smoke runs, photographs as clips of one frame."""

import json
import tarfile
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auteur import __version__
from auteur.files import atomic_path, make_folders, write_text
from auteur.lab.data.archive import add_member, array_member, flac, json_line
from auteur.lab.data.encoded_video import encode_video
from auteur.lab.data.shards import FEATURE_FORMAT, FORMAT, INDEX, feature_folder
from auteur.lab.data.splits import is_held_out
from auteur.provenance.mark import hash_file
from auteur.signals import Waveform

RATE = Fraction(25)
_CRF = 12

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True, eq=False)
class MadeSample:
    """One sample: labels, arrays of the record, features."""

    key: str
    """Without "."."""
    person: str
    frames: int
    emotion: str | None = None
    intensity: float | None = None
    arrays: Arrays = field(default_factory=dict[str, NDArray[Any]])
    """By name, such as "pose"."""
    features: Mapping[str, Arrays] = field(default_factory=dict[str, Arrays])
    """Arrays by feature and name."""
    sound: Waveform | None = None
    pictures: NDArray[np.uint8] | None = None
    """[T, S, S, 3]."""
    held_out: bool | None = None
    """Whether the person is held out; by the hash of the name unless given."""

    @property
    def row(self) -> dict[str, Any]:
        """Its entry in the index."""
        return {
            "key": self.key,
            "person": self.person,
            "held_out": is_held_out(self.person) if self.held_out is None else self.held_out,
            "emotion": self.emotion,
            "intensity": self.intensity,
            "frames": self.frames,
            "has_speech": self.sound is not None,
            "offset_frames": None,
            "agreement": None,
        }


def write_shards(
    folder: Path, samples: Iterable[MadeSample], *, kind: str = "folder", settings: Mapping[str, Any]
) -> Path:
    """Writes samples and their features as finished shards, one per part, and returns the folder.

    Args:
        folder: Created if missing; a finished preparation in it is replaced.
        samples: In the order in which they are to be read.
        kind: Of the corpus.
        settings: What their features depend on, as plain JSON.

    Raises:
        InputError: A file cannot be written.
    """
    make_folders(folder)
    (folder / INDEX).unlink(missing_ok=True)
    rows: dict[str, list[dict[str, Any]]] = {}
    names: set[str] = set()
    with ExitStack() as stack:
        archives: dict[Path, tarfile.TarFile] = {}

        def add(path: Path, key: str, members: Iterable[tuple[str, bytes]]) -> None:
            if path not in archives:
                make_folders(path.parent)
                temporary = stack.enter_context(atomic_path(path, overwrite=True))
                archive = tarfile.open(temporary, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115
                archives[path] = stack.enter_context(archive)
            for name, content in sorted(members):
                add_member(archives[path], (f"{key}.{name}", content))

        for sample in samples:
            part = "held_out-000000.tar" if sample.row["held_out"] else "train-000000.tar"
            rows.setdefault(part, []).append(sample.row)
            members = [array_member(name, values) for name, values in sample.arrays.items()]
            members.append(("json", json_line(sample.row)))
            if sample.sound is not None:
                members.append(("flac", flac(sample.sound)))
            if sample.pictures is not None:
                members.append(("mp4", encode_video(sample.pictures, rate=RATE, crf=_CRF)))
            add(folder / part, sample.key, members)
            for feature, arrays in sample.features.items():
                names.add(feature)
                added = [array_member(f"{feature}.{name}", values) for name, values in arrays.items()]
                add(feature_folder(folder, feature) / part, sample.key, added)
    _write_indices(folder, kind, rows, sorted(names), settings)
    return folder


def _write_indices(
    folder: Path,
    kind: str,
    rows: Mapping[str, list[dict[str, Any]]],
    names: list[str],
    settings: Mapping[str, Any],
) -> None:
    shards = [
        {**_entry(folder, part), "recordings": [row["key"] for row in own], "samples": own}
        for part, own in sorted(rows.items(), reverse=True)
    ]
    for name in names:
        place = feature_folder(folder, name)
        about = {
            "format": FEATURE_FORMAT,
            "auteur": __version__,
            "feature": name,
            "settings": dict(settings),
            "hashes": [shard["sha256"] for shard in shards],
            "shards": [
                {"of": part, "left_out": {}, **(_entry(place, part) if (place / part).exists() else _NONE)}
                for part in (shard["file"] for shard in shards)
            ],
        }
        write_text(place / INDEX, json.dumps(about) + "\n", overwrite=True)
    index = {
        "format": FORMAT,
        "auteur": __version__,
        "models": {},
        "options": {"kind": kind, "measured": None},
        "rate": "25",
        "shards": shards,
    }
    write_text(folder / INDEX, json.dumps(index) + "\n", overwrite=True)


_NONE = {"file": None}


def _entry(folder: Path, name: str) -> dict[str, Any]:
    path = folder / name
    return {"file": name, "bytes": path.stat().st_size, "sha256": hash_file(path)}
