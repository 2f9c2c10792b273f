"""A denoiser, or parts of one, in one safetensors file with its config beside the tensors."""

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file

from auteur.errors import WeightsError
from auteur.files import atomic_path
from auteur.synthesis.denoiser.builder import build_denoiser
from auteur.synthesis.denoiser.config import DenoiserConfig, FileConfig
from auteur.synthesis.denoiser.network import VideoDenoiser
from auteur.synthesis.denoiser.parts import part_names, parts, parts_in
from auteur.weights import WeightsFile

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
    file = WeightsFile(path, sha256=sha256)
    config, names = _header(file)
    if missing := set(parts_in(config)) - set(names):
        raise WeightsError(
            f"{str(path)!r} lacks {', '.join(sorted(missing))}; "
            "load it into a model that has them (load_parts)"
        )
    denoiser = file.build(lambda: build_denoiser(config))
    file.fill(parts(denoiser, part_names(denoiser)))
    return denoiser


def load_parts(
    denoiser: VideoDenoiser,
    path: Path | str,
    *,
    only: Sequence[str] | None = None,
    sha256: str | None = None,
) -> tuple[str, ...]:
    """Fills the parts of a denoiser that a file holds, and returns their names.

    Args:
        denoiser: Any.
        path: A safetensors file.
        only: Parts to read of those in the file; None: all.
        sha256: Of the file, if known.

    Raises:
        WeightsError: The file is missing, damaged, of another kind, or its parts have other sizes or are not
            in this model; all misfits are listed.
    """
    file = WeightsFile(path, sha256=sha256)
    config, names = _header(file)
    if only is not None:
        if absent := set(only) - set(names):
            raise WeightsError(
                f"{str(path)!r} lacks {', '.join(sorted(absent))}; it holds {', '.join(names)}"
            )
        names = tuple(only)
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
    file.fill(parts(denoiser, names), only=names)
    return names


def read_header(path: Path | str) -> tuple[DenoiserConfig, tuple[str, ...]]:
    """Returns the config of a file's denoiser and the names of the parts that it holds.

    Raises:
        WeightsError: The file is missing, damaged, or no denoiser's.
    """
    return _header(WeightsFile(path))


def _header(file: WeightsFile) -> tuple[DenoiserConfig, tuple[str, ...]]:
    if _PARTS not in file.metadata:
        raise WeightsError(f"{file.name} holds no denoiser: its metadata names no {_CONFIG} and {_PARTS}")
    config: DenoiserConfig = file.config(_CONFIG, FileConfig).config
    return config, tuple(file.metadata[_PARTS].split(","))
