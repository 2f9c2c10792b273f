"""Damages files of every kind and counts what the readers make of them.

    python benchmarks/fuzz.py --count 1000 --out fuzz.json

A reader may return something or raise one of Auteur's own errors, on one line, within the limits of time
and memory. Everything else is a fault; its file is kept with --keep. Each case is decided by --seed and its
number alone. Readers run in a process of their own, which is ended when a case takes longer than the limit.
"""

import contextlib
import json
import multiprocessing
import random
import re
import resource
import shutil
import struct
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from io import BytesIO
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import tyro

GUARD_BYTES = 8 * 2**30
"""Address space of the process that reads; libraries alone take some gigabytes of it."""

HOSTILE_TEXT = (
    *("-1", "0", "1e400", "1e99999999", "9" * 5000, "nan", "-inf", "٣", "1/0", "1/٠", "\\ud800", "\\u0000"),
    *("null", "[]", "{}", '""', "true", "../../x", "a" * 300, "[" * 5000, '{"a":' * 5000, "\u202e", "=cmd()"),
)
HOSTILE_NUMBERS = (-1, 0, 1, 3, 2**16, 2**31, 10**9, 2**63, 10**40, 1.5, -0.5, 1e308)
HOSTILE_VALUES = (
    *HOSTILE_NUMBERS,
    *(None, True, "x", "os:system", "", [], [[]], {}, [1] * 1000, {"a": {"b": 1}}),
)
TIMES = (1, 1, 1, 2, 4)
"""How much is damaged, one of these."""


@dataclass(frozen=True)
class Campaign:
    """What is tried."""

    readers: tuple[str, ...] = ()
    """Names in fuzz_samples.READERS; all unless given."""
    count: int = 1000
    """Cases per reader."""
    seed: int = 0
    limit_sec: float = 5.0
    """Of processor time per case, so that a busy machine does not count."""
    limit_mb: int = 1500
    """Of resident memory per case."""
    out: Path | None = None
    """Where the table goes as JSON."""
    keep: Path | None = None
    """Folder for the files of faults."""


@dataclass
class Tally:
    """What became of the cases of one reader."""

    cases: int = 0
    read: int = 0
    refused: int = 0
    faults: dict[str, int] = field(default_factory=dict[str, int])
    slowest_sec: float = 0.0
    largest_mb: int = 0


def damaged(chance: random.Random, content: bytes, suffix: str) -> bytes:
    """Returns a file with one to five kinds of damage, made for its format where there is one for it."""
    special: dict[str, Callable[[random.Random, bytes], bytes]] = {
        **dict.fromkeys((".jsonl", ".csv", ".toml"), _text),
        ".json": _json,
        ".safetensors": _weights,
        ".npz": _npz,
    }
    if suffix in special and chance.random() < 0.8:
        return special[suffix](chance, content)
    return _bytes(chance, content)


def _bytes(chance: random.Random, content: bytes) -> bytes:
    made = bytearray(content)
    for _ in range(chance.choice(TIMES)):
        most = len(made) if chance.random() < 0.6 else min(len(made), 64)
        place = chance.randrange(most + 1)
        length = chance.choice((1, 1, 2, 4, 8, 100))
        kind = chance.randrange(6)
        if kind == 0:
            made[place : place + 1] = bytes([chance.randrange(256)])
        elif kind == 1:
            made[place : place + 4] = struct.pack(
                chance.choice("<>") + "I", chance.choice((0, 2**31, 2**32 - 1, 255))
            )
        elif kind == 2:
            del made[place : place + length]
        elif kind == 3:
            made[place:place] = chance.randbytes(length)
        elif kind == 4:
            made[place:place] = made[place : place + 50 * length]
        else:
            del made[place:]
    return bytes(made)


def _text(chance: random.Random, content: bytes) -> bytes:
    text = content.decode("utf-8", "replace")
    for _ in range(chance.choice(TIMES)):
        tokens = list(re.finditer(r"-?[0-9][0-9.e/:-]*|\"[^\"\n]*\"|[A-Za-z_]+|[,\n{}=\[\]]", text))
        if not tokens:
            break
        token = chance.choice(tokens)
        other = chance.choice((*HOSTILE_TEXT, chance.choice(tokens)[0], "", token[0] * 3))
        if token[0].startswith('"') and chance.random() < 0.7:
            other = f'"{other}"'
        text = text[: token.start()] + other + text[token.end() :]
    return text.encode("utf-8", "surrogatepass")


def _json(chance: random.Random, content: bytes) -> bytes:
    if chance.random() < 0.4:
        return _text(chance, content)
    document = json.loads(content)
    for _ in range(chance.choice(TIMES)):
        _change(chance, document)
    return json.dumps(document).encode()


def _change(chance: random.Random, document: Any) -> None:
    """Changes one value, key or entry somewhere in a document."""
    holder: Any = document
    while True:
        keys = list(holder) if isinstance(holder, dict) else range(len(holder))
        if not keys:
            return
        key = chance.choice(keys)
        if not isinstance(holder[key], dict | list) or not holder[key] or chance.random() < 0.15:
            break
        holder = holder[key]
    kind = chance.randrange(4)
    if kind == 0 and isinstance(holder, dict):
        del holder[key]
    elif kind == 1 and isinstance(holder, dict):
        holder[chance.choice(("extra", f"{key}x"))] = holder[key]
    elif kind == 1 and isinstance(holder, list):
        holder.append(holder[key])
    elif kind == 2 and isinstance(holder[key], int):
        holder[key] = holder[key] * chance.choice((-1, 2, 1000, 10**6))
    else:
        holder[key] = chance.choice(HOSTILE_VALUES)


def _weights(chance: random.Random, content: bytes) -> bytes:
    """Damages the header: a config in it, a tensor's entry, or its text."""
    length = int.from_bytes(content[:8], "little")
    header, tensors = json.loads(content[8 : 8 + length]), content[8 + length :]
    metadata = header["__metadata__"]
    kind = chance.randrange(10)
    if kind < 7:
        name = chance.choice([key for key in metadata if metadata[key].startswith("{")])
        config = json.loads(metadata[name])
        for _ in range(chance.choice(TIMES)):
            _change(chance, config)
        metadata[name] = json.dumps(config)
    elif kind == 7:
        name = chance.choice(list(metadata))
        metadata[name] = _text(chance, metadata[name].encode()).decode("utf-8", "replace")
    else:
        _change(chance, header)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + tensors


def _npz(chance: random.Random, content: bytes) -> bytes:
    """Damages an array inside, with checksums that fit."""
    out = BytesIO()
    with zipfile.ZipFile(BytesIO(content)) as archive, zipfile.ZipFile(out, "w") as copy:
        names = archive.namelist()
        chosen = chance.choice(names)
        for name in names:
            array = archive.read(name)
            copy.writestr(name, _array(chance, array) if name == chosen else array)
    return out.getvalue()


def _array(chance: random.Random, content: bytes) -> bytes:
    if chance.random() < 0.3:
        return _bytes(chance, content)
    length = int.from_bytes(content[8:10], "little")
    header = content[10 : 10 + length].decode("latin-1")
    kind = chance.choice(("descr", "shape"))
    value = {
        "descr": chance.choice(
            ("'|O'", "'<U5'", "'<f8'", "'<V100000'", "'|b1'", "'<c16'", "[('a','<f4')]", "3")
        ),
        "shape": chance.choice(
            ("()", "(0,)", "(-1,)", "(10**12,)", "(1000000000000,)", "(2,3,4)", "(True,)", "'a'")
        ),
    }[kind]
    header = re.sub(rf"'{kind}': (\([^)]*\)|'[^']*')", lambda _: f"'{kind}': {value}", header)
    text = header.rstrip().encode("latin-1") + b"\n"
    return content[:8] + len(text).to_bytes(2, "little") + text + content[10 + length :]


def cases(name: str, count: int, seed: int, folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Yields the file to damage and its damaged content, `count` times."""
    from fuzz_samples import READERS

    folder.mkdir()
    files = READERS[name].make(folder)
    contents = {path: path.read_bytes() for path in files}
    for number in range(count):
        chance = random.Random(f"{seed}:{name}:{number}")  # noqa: S311 - no secret
        path = files[number % len(files)]
        yield path, damaged(chance, contents[path], path.suffix)


def outcome(read: Callable[[Path], Any], path: Path) -> str:
    """Returns "read", "refused", or what escaped."""
    from auteur.errors import InputError, UsageError

    try:
        read(path)
    except (InputError, UsageError) as error:
        return "refused" if "\n" not in str(error) else "error of several lines"
    except BaseException as error:
        return f"{type(error).__name__}: {str(error)[:80]}"
    return "read"


def serve(pipe: Connection) -> None:
    """Reads each file that is sent; sends back outcome, seconds and peak memory."""
    from fuzz_samples import READERS

    resource.setrlimit(resource.RLIMIT_AS, (GUARD_BYTES, GUARD_BYTES))
    for reader in READERS.values():
        reader.read  # noqa: B018 - imports are done before the first case is timed
    pipe.send("ready")
    while True:
        name, path = pipe.recv()
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forgets the peak
        began = time.process_time()
        result = outcome(READERS[name].read, path)
        peak = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text(encoding="ascii"))
        pipe.send((result, time.process_time() - began, int(peak[1]) // 1024 if peak else 0))


class Server:
    """The process that reads, started again when a case has ended it."""

    def __init__(self, limit_sec: float) -> None:
        self._context, self._limit_sec = multiprocessing.get_context("spawn"), limit_sec
        self._process: Any = None

    def ask(self, name: str, path: Path) -> tuple[str, float, int]:
        """Returns outcome, processor seconds and peak memory in MiB of reading one file."""
        if self._process is None:
            self._pipe, end = self._context.Pipe()
            self._process = self._context.Process(target=serve, args=(end,), daemon=True)
            self._process.start()
            end.close()
            self._pipe.recv()
        try:
            self._pipe.send((name, path))
            before = self._used_sec()
            while not self._pipe.poll(0.2):
                if self._used_sec() - before > self._limit_sec:
                    self.end()
                    return "longer than the limit", self._limit_sec, 0
            return self._pipe.recv()
        except (EOFError, OSError):
            self.end()
            return "the process ended", 0.0, 0

    def end(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._process = None

    def _used_sec(self) -> float:
        with contextlib.suppress(OSError):
            fields = (
                Path(f"/proc/{self._process.pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
            )
            return (int(fields[11]) + int(fields[12])) / 100
        return 0.0


def run(campaign: Campaign) -> dict[str, Tally]:
    """Tries every case; returns what became of them by reader."""
    from fuzz_samples import READERS

    tallies: dict[str, Tally] = {}
    server = Server(campaign.limit_sec)
    with tempfile.TemporaryDirectory() as place:
        for name in campaign.readers or tuple(READERS):
            tally, faults = tallies.setdefault(name, Tally()), Counter[str]()
            for path, content in cases(name, campaign.count, campaign.seed, Path(place) / name):
                whole = path.read_bytes()
                path.write_bytes(content)
                result, seconds, megabytes = server.ask(name, path)
                path.write_bytes(whole)
                if result in ("read", "refused"):
                    setattr(tally, result, getattr(tally, result) + 1)
                    result = "slow" if seconds > campaign.limit_sec else result
                    result = "large" if megabytes > campaign.limit_mb else result
                if result not in ("read", "refused"):
                    faults[result] += 1
                    if campaign.keep is not None:
                        campaign.keep.mkdir(parents=True, exist_ok=True)
                        (campaign.keep / f"{name}-{tally.cases}{path.suffix}").write_bytes(content)
                tally.cases += 1
                tally.slowest_sec = max(tally.slowest_sec, seconds)
                tally.largest_mb = max(tally.largest_mb, megabytes)
            tally.faults = dict(faults)
            print(json.dumps({"reader": name, **asdict(tally)}), flush=True)
            shutil.rmtree(Path(place) / name)
    server.end()
    return tallies


def main(campaign: Campaign) -> int:
    """Returns 1 where there was a fault."""
    tallies = run(campaign)
    if campaign.out is not None:
        table = {"campaign": asdict(campaign), "readers": {name: asdict(t) for name, t in tallies.items()}}
        campaign.out.write_text(json.dumps(table, indent=2, default=str) + "\n", encoding="utf-8")
    return int(any(tally.faults for tally in tallies.values()))


if __name__ == "__main__":
    raise SystemExit(main(tyro.cli(Campaign)))
