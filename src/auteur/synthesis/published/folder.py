"""A converted folder of AniPortrait, Hallo or MEMO, opened."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from auteur.errors import UsageError, WeightsError
from auteur.synthesis.pretrained.folders import load_folder
from auteur.synthesis.pretrained.latents import LatentSpace
from auteur.synthesis.published.adapter import ADAPTER_FILE, load_adapter
from auteur.synthesis.published.checkpoints import LAYOUTS, Kind, Networks, blank
from auteur.synthesis.published.convert import DESCRIPTION, SIDE_PX


@dataclass(frozen=True, kw_only=True)
class PublishedModel:
    """The networks of one of the three models, with their encoders."""

    kind: Kind
    networks: Networks
    latents: LatentSpace
    image_encoder: Any = None
    """CLIP's, of transformers (AniPortrait)."""
    speech_encoder: Any = None
    """wav2vec 2.0, of transformers (Hallo, MEMO)."""
    version: str = ""
    """First digits of the hash of all files."""
    size_px: int = SIDE_PX
    """Side of the generated square, from `published.json`; a multiple of 64."""
    device: torch.device
    dtype: torch.dtype


def read_description(folder: Path) -> dict[str, Any]:
    """Returns the record that `convert_checkpoint` wrote of a folder.

    Raises:
        WeightsError: It is no such folder.
    """
    try:
        found = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        if found["model"] not in LAYOUTS:
            raise KeyError(found["model"])
        size = found.setdefault("size_px", SIDE_PX)
        if type(size) is not int or size % 64 or not 64 <= size <= 1024:
            raise ValueError(f"size_px is {size}, not a multiple of 64 up to 1024")
        return found
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise WeightsError(
            f"{str(folder)!r} was not written by auteur convert: {error}; convert the checkpoint again"
        ) from error


def open_published(
    folder: Path | str, *, device: torch.device | None = None, dtype: torch.dtype | None = None
) -> PublishedModel:
    """Returns the model of a converted folder.

    Args:
        folder: From `convert_checkpoint`.
        device: Where it runs; None: CUDA, which the full size needs.
        dtype: Of all numbers; None: bfloat16 on CUDA, float32 elsewhere.

    Raises:
        UsageError: There is no GPU or too little memory, or a library is missing; the message names what is
            needed.
        WeightsError: Files are missing, damaged or do not fit; every misfit is listed.
    """
    place = Path(folder)
    description = read_description(place)
    kind: Kind = description["model"]
    chosen = device or torch.device("cuda")
    number = dtype or (torch.bfloat16 if chosen.type == "cuda" else torch.float32)
    files = {name: place / f"{name}.safetensors" for name in LAYOUTS[kind].networks}
    shapes = {name: _shapes(path) for name, path in files.items()}
    model = blank(kind, shapes)
    _check_memory(model, chosen, number, place)
    problems = [
        p for name, path in files.items() for p in _misfits(model.get_submodule(name), shapes[name], path)
    ]
    if problems:
        raise WeightsError(f"{str(place)!r} does not fit: {'; '.join(sorted(problems))}")
    for name, path in files.items():
        _fill(model.get_submodule(name), path, chosen, number)
    if kind != "aniportrait" and (place / ADAPTER_FILE).is_file():
        unet = model.get_submodule(LAYOUTS[kind].unet)
        model.adapter = load_adapter(unet, place / ADAPTER_FILE).to(chosen, number)  # pyright: ignore
    extras = {
        name: load_folder(name, place / name, dtype=number).to(chosen)
        for name in LAYOUTS[kind].extras
        if name != "vae"
    }
    return PublishedModel(
        kind=kind,
        networks=model.eval().requires_grad_(False),
        latents=LatentSpace(place / "vae", device=chosen, dtype=number),
        version=str(description.get("sha256", ""))[:12],
        size_px=description["size_px"],
        device=chosen,
        dtype=number,
        **extras,
    )


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    try:
        with safe_open(path, framework="pt") as file:
            return {key: tuple(file.get_slice(key).get_shape()) for key in file.keys()}  # noqa: SIM118
    except OSError as error:
        raise WeightsError(f"cannot read the weights {str(path)!r}: {error}") from error
    except SafetensorError as error:
        raise WeightsError(f"{str(path)!r} is not a safetensors file: {error}") from error


def _misfits(network: torch.nn.Module, found: dict[str, tuple[int, ...]], path: Path) -> list[str]:
    needs = network.state_dict()
    problems = [f"{path.name}: {key} is missing" for key in needs.keys() - found.keys()]
    problems += [f"{path.name}: {key} is not part of it" for key in found.keys() - needs.keys()]
    problems += [
        f"{path.name}: {key} has shape {found[key]}, needs {tuple(needs[key].shape)}"
        for key in needs.keys() & found.keys()
        if found[key] != tuple(needs[key].shape)
    ]
    return problems


def _fill(network: torch.nn.Module, path: Path, device: torch.device, dtype: torch.dtype) -> None:
    """Reads a network's tensors, one at a time, into the place of those without numbers."""
    needs, tensors = network.state_dict(), dict[str, torch.Tensor]()
    with safe_open(path, framework="pt") as file:
        for key in file.keys():  # noqa: SIM118
            value = file.get_tensor(key)
            if value.is_floating_point() != needs[key].is_floating_point():
                raise WeightsError(f"{str(path)!r}: {key} has numbers of type {value.dtype}")
            tensors[key] = value.to(device, dtype if value.is_floating_point() else None)
    network.load_state_dict(tensors, assign=True)


def free_memory_bytes() -> int:
    """Returns the bytes that new arrays may take on this machine."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, StopIteration):  # another system than Linux
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _check_memory(model: Networks, device: torch.device, dtype: torch.dtype, place: Path) -> None:
    needed = sum(one.numel() for one in model.state_dict().values()) * dtype.itemsize
    if device.type == "cuda":
        if not torch.cuda.is_available():
            raise UsageError(
                f"the weights in {str(place)!r} need a CUDA GPU with {needed / 1e9:.1f} GB for its networks "
                "alone, and there is none here; --device cpu tries without, minutes per frame at full size"
            )
        free = torch.cuda.mem_get_info()[0]
    else:
        free = free_memory_bytes()
    if free < needed:
        raise UsageError(
            f"the networks in {str(place)!r} take {needed / 1e9:.1f} GB in "
            f"{str(dtype).removeprefix('torch.')} and {free / 1e9:.1f} GB are free on {device.type}; "
            "use a machine with more memory"
        )
