"""A denoiser, or parts of one, in one safetensors file with its config beside the tensors."""

import math
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from auteur.errors import UsageError, WeightsError
from auteur.files import atomic_path
from auteur.synthesis.denoiser.builder import build_denoiser
from auteur.synthesis.denoiser.config import DenoiserConfig
from auteur.synthesis.denoiser.network import VideoDenoiser
from auteur.synthesis.denoiser.parts import part_names, parts, parts_in
from auteur.weights import load_file

_CONFIG = "denoiser"
_PARTS = "parts"


def save_denoiser(
    denoiser: VideoDenoiser,
    path: Path | str,
    *,
    only: Sequence[str] | None = None,
    dtype: torch.dtype | None = None,
    overwrite: bool = False,
) -> None:
    """Writes a denoiser, whole or not at all.

    Args:
        denoiser: Any.
        path: A safetensors file.
        only: Parts to write, such as ("au",) for an adapter; None: all.
        dtype: Type of the numbers in the file; None: as they are.
        overwrite: Whether a file of that name may be replaced.

    Raises:
        UsageError: There is no such part.
        InputError: The file exists or cannot be written.
    """
    names = part_names(denoiser) if only is None else tuple(only)
    tensors = {
        key: value.detach().to("cpu", dtype if value.is_floating_point() else None).contiguous()
        for key, value in parts(denoiser, names).state_dict().items()
    }
    metadata = {_CONFIG: denoiser.config.to_json(), _PARTS: ",".join(names)}
    with atomic_path(path, overwrite=overwrite) as temporary:
        save_file(tensors, temporary, metadata=metadata)


def load_denoiser(path: Path | str, *, sha256: str | None = None) -> VideoDenoiser:
    """Returns the denoiser of a file, in evaluation mode, in float32.

    Raises:
        WeightsError: The file is missing, damaged, of another kind or holds parts only; all misfits are
            listed.
    """
    config, names = read_header(path)
    if missing := set(parts_in(config)) - set(names):
        raise WeightsError(
            f"{str(path)!r} lacks {', '.join(sorted(missing))}; "
            "load it into a model that has them (load_parts)"
        )
    denoiser = _build(config, path)
    load_file(parts(denoiser, part_names(denoiser)), path, sha256=sha256)
    return denoiser


def load_parts(denoiser: VideoDenoiser, path: Path | str, *, sha256: str | None = None) -> tuple[str, ...]:
    """Fills the parts of a denoiser that a file holds, and returns their names.

    Raises:
        WeightsError: The file is missing, damaged, of another kind, or its parts have other sizes or are not
            in this model; all misfits are listed.
    """
    config, names = read_header(path)
    if unknown := set(names) - set(part_names(denoiser)):
        raise WeightsError(
            f"{str(path)!r} holds {', '.join(sorted(unknown))}, which this model has no part for; "
            f"it has {', '.join(part_names(denoiser))}"
        )
    other = [
        name
        for name in names
        if name in denoiser.condition_names and getattr(config, name) != getattr(denoiser.config, name)
    ]
    if other:
        differing = "; ".join(
            f"{name} is {getattr(config, name)} there and {getattr(denoiser.config, name)} here"
            for name in other
        )
        raise WeightsError(f"{str(path)!r} was saved with other settings: {differing}")
    load_file(parts(denoiser, names), path, sha256=sha256)
    return names


def _build(config: DenoiserConfig, path: Path | str) -> VideoDenoiser:
    try:
        with torch.device("meta"):  # A file must not make us fill the memory with what it does not hold.
            asked = sum(one.numel() for one in build_denoiser(config).state_dict().values())
    except (ValueError, TypeError, RuntimeError) as error:
        raise WeightsError(f"{str(path)!r} has a config that cannot be built: {error}") from error
    with safe_open(path, framework="pt") as file:
        held = sum(math.prod(file.get_slice(key).get_shape()) for key in file.keys())  # noqa: SIM118
    if asked > 2 * held:
        raise WeightsError(f"the config of {str(path)!r} asks for {asked} numbers; the file holds {held}")
    return build_denoiser(config)


def read_header(path: Path | str) -> tuple[DenoiserConfig, tuple[str, ...]]:
    """Returns the config of a file's denoiser and the names of the parts that it holds.

    Raises:
        WeightsError: The file is missing, damaged, or no denoiser's.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except OSError as error:
        raise WeightsError(f"cannot read the weights {str(path)!r}: {error}") from error
    except SafetensorError as error:
        raise WeightsError(f"{str(path)!r} is not a safetensors file: {error}") from error
    if not {_CONFIG, _PARTS} <= metadata.keys():
        raise WeightsError(f"{str(path)!r} holds no denoiser: its metadata names no {_CONFIG} and {_PARTS}")
    try:
        config = DenoiserConfig.from_json(metadata[_CONFIG])
    except (UsageError, ValueError, TypeError, RecursionError) as error:
        raise WeightsError(f"{str(path)!r} has a denoiser config that cannot be used: {error}") from error
    return config, tuple(metadata[_PARTS].split(","))
