"""The weights that ship with the package, and the one way to put tensors from a file into a model."""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load
from torch import Tensor, nn

from auteur.errors import WeightsError

Model = TypeVar("Model", bound=nn.Module)
Config = TypeVar("Config")


@cache
def shipped() -> dict[str, str]:
    """Returns the name and SHA-256 of every weights file in the package."""
    text = resources.files("auteur.weights").joinpath("index.json").read_text(encoding="utf-8")
    return json.loads(text)


def version(name: str) -> str:
    """Returns what is written into outputs as the version of a shipped model: the start of its hash."""
    return shipped()[name][:12]


def load_shipped(model: Model, name: str) -> Model:
    """Fills `model` with the shipped weights `name` and returns it in evaluation mode.

    Raises:
        WeightsError: There are none of that name, or they are missing, damaged or not of this shape.
    """
    return load_file(model, path_of(name), sha256=shipped()[name])


def path_of(name: str) -> Path:
    """Returns the path of shipped weights.

    Raises:
        WeightsError: There are none of that name.
    """
    if name not in shipped():
        raise WeightsError(f"no weights {name!r} ship with this version; there are {', '.join(shipped())}")
    return Path(str(resources.files("auteur.weights").joinpath(f"{name}.safetensors")))


def metadata_of(kind: str, config: Any) -> dict[str, str]:
    """Returns the safetensors metadata that keeps a model's config, a dataclass, beside its weights."""
    return {kind: json.dumps(dataclasses.asdict(config))}


def read_config(path: Path | str, kind: str, build: Callable[[dict[str, Any]], Config]) -> Config:
    """Returns the config that `metadata_of` kept in a weights file.

    Args:
        path: The safetensors file.
        kind: What kind of model it must be.
        build: Makes the config of what was saved.

    Raises:
        WeightsError: The file is missing, is no safetensors file, or holds no config of this kind.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return build(json.loads((file.metadata() or {})[kind]))
    except (OSError, SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
        what = kind.replace("_", " ")
        raise WeightsError(f"{str(path)!r} holds no {what} config: {error}; train it again") from error


def load_file(model: Model, path: Path | str, *, sha256: str | None = None) -> Model:
    """Fills `model` with the tensors of a safetensors file and returns it in evaluation mode, in float32.

    Raises:
        WeightsError: The file is missing, damaged, has another hash, or does not fit; every misfit is listed.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise WeightsError(f"cannot read the weights {str(path)!r}: {error.strerror}") from error
    found = hashlib.sha256(content).hexdigest()
    if sha256 is not None and found != sha256:
        raise WeightsError(
            f"the weights {str(path)!r} have SHA-256 {found[:12]}…, expected {sha256[:12]}…; "
            "reinstall the package"
        )
    try:
        tensors = load(content)
    except SafetensorError as error:
        raise WeightsError(f"{str(path)!r} is not a safetensors file: {error}") from error
    _check(model, tensors, str(path))
    model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in tensors.items()})
    return model.eval()


def _check(model: nn.Module, tensors: dict[str, Tensor], name: str) -> None:
    wanted = model.state_dict()
    problems = [f"{key} is missing" for key in wanted.keys() - tensors.keys()]
    problems += [f"{key} is not part of {type(model).__name__}" for key in tensors.keys() - wanted.keys()]
    problems += [
        f"{key} has shape {tuple(tensors[key].shape)}, needs {tuple(wanted[key].shape)}"
        for key in wanted.keys() & tensors.keys()
        if tensors[key].shape != wanted[key].shape
    ]
    problems += [
        f"{key} has numbers of type {tensors[key].dtype}, needs {wanted[key].dtype}"
        for key in wanted.keys() & tensors.keys()
        if tensors[key].is_floating_point() != wanted[key].is_floating_point()
    ]
    problems += [f"{key} holds NaN or infinity" for key, v in tensors.items() if not _is_finite(v)]
    if problems:
        raise WeightsError(f"{name!r} does not fit: " + "; ".join(sorted(problems)))


def _is_finite(tensor: Tensor) -> bool:
    # Eight-bit floats have no isfinite of their own.
    return bool(torch.isfinite(tensor.float() if tensor.is_floating_point() else tensor).all())
