"""The work folder, from which a killed run resumes.

    SHARDS/.work/begun.json     settings of the shards, and the keys of all recordings
    SHARDS/.work/rest/KEY.npz   people at rest
    SHARDS/.work/items/KEY.tar  finished recordings that are in no shard yet
    SHARDS/.work/done/NAME.json shards that are whole: their hash, rows of the index, rejections

Every file appears whole or not at all, and an item goes only after its shard has been entered in `done`. The
folder goes when `index.json`, which is written last, stands.
"""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from auteur.errors import FormatError, InputError, UsageError
from auteur.files import held, write_text
from auteur.lab.data.archive import LONGEST_NAME, read_tar
from auteur.lab.data.shards import FEATURE_FOLDER, INDEX, read_json
from auteur.lab.prepare.options import difference
from auteur.lab.prepare.task import OUTCOME

REJECTED, REPORT = "rejected.jsonl", "report.html"
PARTS = ("train", "held_out")
"""Prefixes of the names of shards: people who are held out never share a shard with the others."""

_LONGEST_KEY = LONGEST_NAME - len("--000.expression.compact50.npy")


class WorkFolder:
    """The folder of one preparation, finished or not."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.root = out / ".work"
        self.items, self.rest, self.done = (self.root / name for name in ("items", "rest", "done"))

    @property
    def index(self) -> dict[str, Any] | None:
        """The index, if the preparation is finished."""
        path = self.out / INDEX
        return read_json(path) if path.exists() else None

    def open(self, identity: dict[str, Any], keys: Sequence[str], *, overwrite: bool) -> None:
        """Begins, or reads the state of an earlier run of the same preparation; to be called while locked.

        Raises:
            InputError: The folder holds something else, or the corpus has changed.
            UsageError: It was begun with other options; the message names them.
        """
        check_keys(keys)
        if overwrite:
            self.forget()
        begun = self._begun()
        if begun is None:
            self._begin(identity, keys)
            return
        changed = difference(begun["identity"], identity)
        if changed is not None:
            raise UsageError(
                f"{str(self.out)!r} was begun with other settings: {changed}; give the same, choose another "
                "folder, or pass --overwrite to begin anew"
            )
        if begun["recordings"] != list(keys):
            raise InputError(
                f"the corpus has changed since {str(self.out)!r} was begun: "
                f"{_difference(begun['recordings'], keys)}; choose another folder, or pass "
                "--overwrite to begin anew"
            )
        self._folders()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Makes the folder and keeps other runs out of it; the system opens the lock when a run is killed.

        Raises:
            InputError: The folder cannot be made, or another run is at work in it.
        """
        if self.out.exists() and not self.out.is_dir():
            raise InputError(f"{str(self.out)!r} is a file; name a folder for the shards")
        if not self.out.parent.is_dir():
            raise InputError(f"the folder {str(self.out.parent)!r} does not exist; create it first")
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"cannot write into {str(self.out)!r}: {error.strerror}") from error
        busy = f"another run is at work in {str(self.out)!r}; wait for it or stop it"
        with held(self.root / "lock", busy):
            try:
                yield
            finally:
                if [path.name for path in self.root.glob("*")] == ["lock"]:  # nothing was begun
                    self.clear()

    def item(self, key: str) -> Path:
        """Returns the path of a finished recording, which may not exist yet."""
        return self.items / f"{key}.tar"

    def outcome(self, key: str) -> dict[str, Any]:
        """Returns the rows of a finished recording.

        Raises:
            FormatError: Its file is damaged.
        """
        return outcome_of(self.item(key))

    def entries(self, part: str) -> list[dict[str, Any]]:
        """Returns the entries in `done` of a part's shards, in their order."""
        return [read_json(path) for path in sorted(self.done.glob(f"{part}-*.json"))]

    def clear(self) -> None:
        """Removes the work folder: the preparation is finished."""
        shutil.rmtree(self.root, ignore_errors=True)

    def forget(self) -> None:
        """Removes everything that a preparation writes, and nothing else."""
        for name in (INDEX, REJECTED, REPORT):  # the index first: without it nothing counts as finished
            (self.out / name).unlink(missing_ok=True)
        for folder in (self.out / FEATURE_FOLDER, self.items, self.rest, self.done):
            shutil.rmtree(folder, ignore_errors=True)
        (self.root / "begun.json").unlink(missing_ok=True)
        for part in PARTS:
            for path in self.out.glob(f"{part}-[0-9]*.tar"):
                path.unlink()

    def _begun(self) -> dict[str, Any] | None:
        if (index := self.index) is not None:
            recordings = [key for shard in index["shards"] for key in shard["recordings"]]
            names = ("format", "auteur", "models", "options")
            return {"identity": {name: index[name] for name in names}, "recordings": sorted(recordings)}
        path = self.root / "begun.json"
        return read_json(path) if path.exists() else None

    def _begin(self, identity: dict[str, Any], keys: Sequence[str]) -> None:
        kept = [path.name for path in self.out.iterdir() if path != self.root]
        if kept:
            raise InputError(
                f"{str(self.out)!r} holds {kept[0]!r} and no preparation; choose a new or an empty folder"
            )
        self._folders()
        text = json.dumps({"identity": identity, "recordings": list(keys)}) + "\n"
        write_text(self.root / "begun.json", text, overwrite=True)

    def _folders(self) -> None:
        if self.index is None:
            for folder in (self.items, self.rest, self.done):
                folder.mkdir(parents=True, exist_ok=True)
            for folder in (self.items, self.rest, self.done, self.out):
                for part in folder.glob(".*.part*"):  # of a run that was killed while it wrote
                    with suppress(OSError):
                        part.unlink()


def outcome_of(path: Path) -> dict[str, Any]:
    """Returns the rows in an item's file; reads no further than them.

    Raises:
        FormatError: It is damaged.
    """
    name, content = next(read_tar(path), ("", b""))
    if name != OUTCOME:
        raise FormatError(f"{str(path)!r} holds no outcome; delete it and run again")
    return json.loads(content)


def check_keys(keys: Sequence[str]) -> None:
    """Refuses keys that cannot name members of a shard.

    Raises:
        InputError: A key is too long or holds "--", which numbers the clips of a recording.
    """
    for key in keys:
        if len(key) > _LONGEST_KEY or "--" in key:
            raise InputError(
                f"the key {key!r} must have at most {_LONGEST_KEY} characters and no '--'; rename it"
            )


def _difference(then: Sequence[str], now: Sequence[str]) -> str:
    gone, new = sorted(set(then) - set(now)), sorted(set(now) - set(then))
    parts = [f"{len(keys)} {word} ({keys[0]}{', …' if len(keys) > 1 else ''})" for keys, word in
             ((gone, "recordings are gone"), (new, "are new")) if keys]  # fmt: skip
    return " and ".join(parts) or "its order is another"
