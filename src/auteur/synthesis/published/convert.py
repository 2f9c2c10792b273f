"""From a checkpoint as its authors published it to a folder that Auteur loads; nothing is executed."""

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

import auteur
from auteur import provenance
from auteur.errors import InputError, WeightsError
from auteur.formats.stored_tensors import FLOATS, ITEM_BYTES, Raw, TensorFile
from auteur.formats.tensor_files import NewTensor, open_tensors, write_safetensors
from auteur.synthesis.blocks import SinusoidalPositionalEmbedding
from auteur.synthesis.published.checkpoints import (
    EXTRAS,
    LAYOUTS,
    RAIL_M,
    Extra,
    Kind,
    Layout,
    blank,
    recognised,
    unused,
    wanted,
)
from auteur.synthesis.published.sizes import Shapes

DESCRIPTION = "published.json"
"""Record of a converted folder; written last, so a folder that has it is whole."""

SIDE_PX = 512
"""Side of the square that all three were trained to generate; smaller ones are faster and coarser."""

POSITIONS = 32
"""Frames whose positions are made where a motion file brings none."""

_SHOWN = 40
_PREFIXES = {"speech_encoder": ("wav2vec2.",), "image_encoder": (), "vae": ()}
_LEFT_OUT = {"speech_encoder": re.compile(r"lm_head\."), "image_encoder": re.compile(r".*position_ids$")}
"""Further tensors in files of these models."""

OnTensor = Callable[[int, int], None]
"""(tensors written, of all)."""


@dataclass
class _Network:
    """The tensors of one network, in one or several files."""

    places: dict[str, tuple[TensorFile, str]] = field(default_factory=dict)
    """By name, the file and the name there."""
    made: dict[str, Tensor] = field(default_factory=dict)

    def shapes(self) -> Shapes:
        found = {name: file.tensors[key].shape for name, (file, key) in self.places.items()}
        return found | {name: tuple(value.shape) for name, value in self.made.items()}


def convert_checkpoint(folder: Path | str, out: Path | str, *, on_tensor: OnTensor | None = None) -> Path:
    """Writes the folder of a checkpoint of AniPortrait, Hallo or MEMO as one that Auteur loads; returns it.

    One tensor is in memory at a time. Numbers and their types stay as they are. The folder records the
    SHA-256 of each source and the terms.

    Args:
        folder: The download; files may lie in subfolders.
        out: The folder to make; it must not exist, or be empty.
        on_tensor: Called after each tensor with (done, total). Raise to cancel, which leaves nothing.

    Raises:
        InputError: A file is missing, ambiguous or a payload, the disk is too small, or `out` exists.
        WeightsError: Tensors are missing, foreign, of another shape or type, or not finite; all are listed.
    """
    source, final = Path(folder), Path(out)
    _check_out(final)
    kind = kind_of(source)
    networks, notes = _networks(source, kind)
    shapes = {name: one.shapes() for name, one in networks.items()}
    keep = _checked(kind, networks, shapes, notes)
    extras = {name: _extra(source, name, EXTRAS[name]) for name in LAYOUTS[kind].extras}
    plans = {f"{name}.safetensors": _plan(networks[name], keep[name]) for name in networks}
    for name, (_, file) in extras.items():
        plans[f"{name}/{_standard(EXTRAS[name])}"] = _extra_plan(name, file, notes)
    _check_disk(final, plans)
    used = sorted({file.path for one in networks.values() for file, _ in one.places.values()})
    used += sorted({path for config, file in extras.values() for path in (config, file.path)})
    final.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".part-", dir=final.parent) as place:
        work = Path(place) / "folder"
        work.mkdir()
        try:
            _write(work, plans, on_tensor)
            for name, (config, _) in extras.items():
                shutil.copyfile(config, work / name / "config.json")
            _describe(work, source, kind, used, notes)
        except OSError as error:
            raise InputError(f"cannot write {str(final)!r}: {error.strerror or error}") from error
        if final.is_dir():
            final.rmdir()
        work.rename(final)
    return final


def kind_of(folder: Path) -> Kind:
    """Returns the name of the model in a downloaded folder.

    Raises:
        InputError: It is no folder, or holds none or several.
    """
    if not folder.is_dir():
        raise InputError(f"{str(folder)!r} is no folder; name the one that the weights were downloaded to")
    signs = {"aniportrait": "pose_guider.pth", "hallo": "net.pth", "memo": _DIFFUSION_NET}
    kinds = [kind for kind, sign in signs.items() if _all_of(folder, sign)]
    if len(kinds) != 1:
        needs = "; ".join(f"{one.title}: {', '.join(_tails(one))}" for one in LAYOUTS.values())
        found = "several models" if kinds else "no known model"
        raise InputError(f"{str(folder)!r} holds {found}; name the folder of one. {needs}")
    return kinds[0]  # pyright: ignore[reportReturnType]


_DIFFUSION_NET = "diffusion_net/diffusion_pytorch_model.safetensors"


def _tails(layout: Layout) -> list[str]:
    return sorted({source.file for sources in layout.networks.values() for source in sources})


def _all_of(folder: Path, tail: str) -> list[Path]:
    name = tail.rpartition("/")[2]
    return sorted(
        path for path in folder.rglob(name) if path.as_posix().endswith(f"/{tail}") and path.is_file()
    )


def _one(folder: Path, tail: str) -> Path:
    found = _all_of(folder, tail)
    if not found:
        raise InputError(f"{str(folder)!r} lacks {tail}; download it into that folder")
    if len(found) > 1:
        raise InputError(
            f"{str(folder)!r} holds {tail} {len(found)} times ({', '.join(map(str, found))}); keep one"
        )
    return found[0]


def _networks(folder: Path, kind: Kind) -> tuple[dict[str, _Network], list[str]]:
    """The tensors of every network by name, and notes about their sources."""
    layout, notes = LAYOUTS[kind], list[str]()
    files = {tail: open_tensors(_one(folder, tail)) for tail in _tails(layout)}
    networks: dict[str, _Network] = {}
    claimed: dict[str, set[str]] = {tail: set() for tail in files}
    for name, sources in layout.networks.items():
        network = networks[name] = _Network()
        for source in sources:
            file = files[source.file]
            mine = {key for key in file.tensors if key.startswith(source.prefix)}
            claimed[source.file] |= mine
            places = {key.removeprefix(source.prefix): (file, key) for key in mine}
            if twice := places.keys() & network.places.keys():
                notes.append(f"{len(twice)} tensors are in two files; those of {source.file} count")
            network.places |= places
        _add_positions(network, notes)
    for tail, file in files.items():
        if foreign := file.tensors.keys() - claimed[tail]:
            raise WeightsError(
                f"{str(file.path)!r} does not fit {layout.title}: {_listed(sorted(foreign))} belong to no "
                "network of it"
            )
    return networks, notes


def _add_positions(network: _Network, notes: list[str]) -> None:
    """Sines and cosines for motion modules whose file leaves them out, as some versions of it do."""
    added = 0
    for name in list(network.places):
        head, found, _ = name.partition(".to_q.weight")
        place = f"{head}.pos_encoder.pe"
        if found and ".attention_blocks." in head and place not in network.places:
            file, key = network.places[name]
            width = file.tensors[key].shape[-1]
            if file.tensors[key].shape and width < 2**16:
                network.made[place] = SinusoidalPositionalEmbedding(width, longest=POSITIONS).pe
                added += 1
    if added:
        notes.append(f"{added} tables of positions are missing and were made for {POSITIONS} frames")


def _checked(
    kind: Kind, networks: Mapping[str, _Network], shapes: Mapping[str, Shapes], notes: list[str]
) -> dict[str, list[str]]:
    """The names to keep of each network.

    Raises:
        WeightsError: Something does not fit; everything is listed.
    """
    problems: list[str] = []
    try:
        model = blank(kind, shapes)
    except WeightsError as error:
        raise WeightsError(f"{error}. {_what_they_are(networks)}") from error
    keep: dict[str, list[str]] = {}
    for name, network in networks.items():
        needs, found = wanted(model.get_submodule(name)), shapes[name]
        spare = unused(kind, name, shapes)
        keep[name] = sorted(needs.keys() & found.keys())
        problems += [f"{name}: {key} is missing" for key in needs.keys() - found.keys()]
        left = found.keys() - needs.keys()
        problems += [
            f"{name}: {key} is not part of it" for key in left if spare.get(key) != tuple(found[key])
        ]
        problems += [
            f"{name}: {key} has shape {found[key]}, needs {tuple(needs[key].shape)}"
            for key in keep[name]
            if tuple(found[key]) != tuple(needs[key].shape)
        ]
        for key in keep[name]:
            if key in network.places:
                file, there = network.places[key]
                dtype = file.tensors[there].dtype
                if (dtype in FLOATS) != needs[key].is_floating_point():
                    problems.append(f"{name}: {key} has numbers of type {dtype}")
        if left and not problems:
            notes.append(f"{len(left)} tensors of {name} follow its last features and are left out")
    if problems:
        raise WeightsError(
            f"the checkpoint does not fit {LAYOUTS[kind].title}: {_listed(sorted(problems))}. "
            f"{_what_they_are(networks)}"
        )
    return keep


def _what_they_are(networks: Mapping[str, _Network]) -> str:
    files = {file.path: file for one in networks.values() for file, _ in one.places.values()}
    said = [
        f"{path.name} looks like {recognised(set(file.tensors)) or 'nothing known'}"
        for path, file in files.items()
    ]
    return "; ".join(said)


def _listed(names: list[str]) -> str:
    more = f"; and {len(names) - _SHOWN} more like these" if len(names) > _SHOWN else ""
    return "; ".join(names[:_SHOWN]) + more


def _plan(network: _Network, keep: list[str]) -> dict[str, NewTensor]:
    plan: dict[str, NewTensor] = {}
    for name in keep:
        if name in network.made:
            values = network.made[name].contiguous().numpy()
            plan[name] = NewTensor("F32", values.shape, lambda values=values: values.reshape(-1).view("u1"))
        else:
            file, key = network.places[name]
            plan[name] = _copied(file, key)
    return plan


def _copied(file: TensorFile, key: str) -> NewTensor:
    def raw() -> Raw:
        content = file.raw(key)
        if not file.is_finite(key, content):
            raise WeightsError(f"{str(file.path)!r}: {key} holds NaN or infinity; get the file again")
        return content

    stored = file.tensors[key]
    return NewTensor(stored.dtype, stored.shape, raw)


def _standard(extra: Extra) -> str:
    return extra.weights[0]


def _extra(folder: Path, name: str, extra: Extra) -> tuple[Path, TensorFile]:
    """The config and the weights of a model of diffusers or transformers."""
    homes = [
        path.parent
        for path in sorted(folder.rglob("config.json"))
        if any(word in part.lower() for part in path.relative_to(folder).parts[:-1] for word in extra.words)
    ]
    if len(homes) != 1:
        found = "holds several" if homes else "lacks a"
        raise InputError(
            f"{str(folder)!r} {found} folder for {name} (with {extra.words[0]!r} in its name, config.json "
            f"and {extra.weights[0]}); {'keep one' if homes else 'download it into that folder'}"
        )
    files = [homes[0] / file for file in extra.weights if (homes[0] / file).is_file()]
    if not files:
        raise InputError(f"{str(homes[0])!r} lacks {' or '.join(extra.weights)}")
    return homes[0] / "config.json", open_tensors(files[0])


def _extra_plan(name: str, file: TensorFile, notes: list[str]) -> dict[str, NewTensor]:
    plan: dict[str, NewTensor] = {}
    left: list[str] = []
    for key in file.tensors:
        if name in _LEFT_OUT and _LEFT_OUT[name].match(key):
            left.append(key)
            continue
        short = key
        for prefix in _PREFIXES[name]:
            short = short.removeprefix(prefix)
        plan[short] = _copied(file, key)
    if left:
        notes.append(f"{len(left)} tensors of {name} are not used and left out: {_listed(sorted(left))}")
    return plan


def _check_out(final: Path) -> None:
    if final.exists() and (not final.is_dir() or any(final.iterdir())):
        raise InputError(f"{str(final)!r} exists already; name a folder that does not")


def _check_disk(final: Path, plans: Mapping[str, Mapping[str, NewTensor]]) -> None:
    sizes = [
        torch.Size(one.shape).numel() * ITEM_BYTES[one.dtype]
        for plan in plans.values()
        for one in plan.values()
    ]
    place = final.parent
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < sum(sizes):
        raise InputError(
            f"{str(final)!r} would take {sum(sizes) / 1e9:.1f} GB and the disk has {free / 1e9:.1f} GB free"
        )


def _write(work: Path, plans: Mapping[str, Mapping[str, NewTensor]], on_tensor: OnTensor | None) -> None:
    total, done = sum(map(len, plans.values())), 0

    def ticks() -> Iterator[None]:
        nonlocal done
        while True:
            done += 1
            if on_tensor is not None:
                on_tensor(done, total)
            yield None

    for name, plan in plans.items():
        (work / name).parent.mkdir(exist_ok=True)
        write_safetensors(work / name, plan, {"format": "pt"}, each=ticks())


def _describe(work: Path, source: Path, kind: Kind, used: list[Path], notes: list[str]) -> None:
    layout = LAYOUTS[kind]
    written = {
        path.relative_to(work).as_posix(): provenance.hash_file(path)
        for path in sorted(work.rglob("*.*"))
        if path.is_file()
    }
    licences = [layout.licence, RAIL_M, *(EXTRAS[name].licence for name in layout.extras)]
    version = hashlib.sha256("".join(written.values()).encode()).hexdigest()
    description = {
        "library": "auteur-face",
        "version": auteur.__version__,
        "model": kind,
        "size_px": SIDE_PX,
        "sha256": version,
        "files": written,
        "sources": [
            {
                "file": path.relative_to(source).as_posix(),
                "bytes": path.stat().st_size,
                "sha256": provenance.hash_file(path),
            }
            for path in used
        ],
        "licences": licences,
        "notes": notes,
    }
    (work / "README.md").write_text(_card(layout.title, licences, notes), encoding="utf-8")
    (work / DESCRIPTION).write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")


def _card(title: str, licences: list[str], notes: list[str]) -> str:
    lines = [
        f"# {title}, converted for Auteur",
        "",
        "Weights as their authors published them, as safetensors.",
        "",
    ]
    lines += ["## Terms", "", *(f"* {one}" for one in licences), ""]
    if notes:
        lines += ["## Notes", "", *(f"* {one}" for one in notes), ""]
    return "\n".join(lines)
