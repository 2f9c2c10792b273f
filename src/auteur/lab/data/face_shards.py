"""Split of the labelled faces of the tracker into training and test."""

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from auteur.lab.data.face_crops import Shard, read_shard
from auteur.lab.data.splits import is_held_out, person_of_photo


def read_shards(labels: Path) -> tuple[list[Shard], list[Shard]]:
    """Returns (training, held-out) shards of a label folder, split by person.

    The folder holds shards and `identities.csv` (columns shard, identity) for the clips; shards of
    photographs have a text file with one picture name per line, `Person_Name_0001.jpg`. Portraits are never
    trained on.
    """
    with (labels / "identities.csv").open(encoding="utf-8") as table:
        person = {row["shard"]: row["identity"] for row in csv.DictReader(table)}
    training: list[Shard] = []
    held_out: list[Shard] = []
    for path in sorted(labels.glob("*.npz")):
        if not path.with_suffix(".crops.npy").exists() or path.stem == "portraits":
            continue
        if path.stem in person:
            rows = len(np.load(path)["index"])
            shard = read_shard(path, (person[path.stem],) * rows)
            (held_out if is_held_out(person[path.stem]) else training).append(shard)
            continue
        names = path.with_suffix(".txt").read_text(encoding="utf-8").split("\n")
        if path.stem.startswith(("ict", "warped")):  # no real person; training people only
            training.append(read_shard(path, tuple(names[i] for i in np.load(path)["index"])))
            continue
        people = tuple(person_of_photo(names[i]) for i in np.load(path)["index"])
        shard = read_shard(path, people)
        tested = np.array([is_held_out(name) for name in people])
        training.append(_rows(shard, ~tested))
        held_out.append(_rows(shard, tested))
    return training, held_out


def split_validation(training: list[Shard]) -> tuple[list[Shard], list[Shard]]:
    """Returns (training, validation) shards: one in ten training people, to choose checkpoints by.

    People whom `auteur.lab.data.splits` holds out are in neither: they choose no checkpoint.
    """
    kept: list[Shard] = []
    validation: list[Shard] = []
    for shard in training:
        chooses = np.array([is_validation(name) for name in shard.identities])
        if chooses.any():
            validation.append(_rows(shard, chooses))
        if not chooses.all():
            kept.append(_rows(shard, ~chooses) if chooses.any() else shard)
    return kept, validation


def is_validation(identity: str) -> bool:
    """Returns whether a training person is in the validation instead of the training (one in ten)."""
    digest = hashlib.sha256(f"validation:{identity}".encode()).digest()
    return int.from_bytes(digest, "big") % 10 == 0


def _rows(shard: Shard, keep: np.ndarray) -> Shard:
    rows = np.flatnonzero(keep)
    return Shard(
        name=shard.name,
        identities=tuple(shard.identities[i] for i in rows),
        pictures=np.asarray(shard.pictures)[rows] if len(rows) else shard.pictures[:0],
        landmarks=shard.landmarks[rows],
        blendshapes=shard.blendshapes[rows],
    )


@dataclass(frozen=True)
class EvaluationSet:
    """Held-out shards, split into clips (whole sequences) and photographs."""

    shards: list[Shard]

    @property
    def clips(self) -> list[Shard]:
        """One shard per clip: its name is the clip's."""
        return [s for s in self.shards if not s.name.startswith(("photos", "ict", "warped"))]

    @property
    def photos(self) -> list[Shard]:
        """Shards of photographs."""
        return [s for s in self.shards if s.name.startswith("photos")]

    @property
    def warped(self) -> list[Shard]:
        """Shards of faces moved by a known amount."""
        return [s for s in self.shards if s.name.startswith("warped")]
