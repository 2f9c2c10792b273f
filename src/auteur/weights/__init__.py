"""The weights that ship with the package, and the one way from tensors in a file to a model."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load
from torch import Tensor, nn

from auteur.errors import InputError, UsageError, WeightsError
from auteur.files import open_input, read_json
from auteur.weights.config import config_of
from auteur.weights.extent import at_most

Model = TypeVar("Model", bound=nn.Module)
Config = TypeVar("Config")


@cache
def shipped() -> dict[str, str]:
    """Returns the name and SHA-256 of every weights file in the package.

    Raises:
        WeightsError: The installation is damaged.
    """
    path = Path(str(resources.files("auteur.weights").joinpath("index.json")))
    try:
        index = read_json(path)
    except InputError as error:
        raise WeightsError(f"the installation is damaged: {error}; reinstall the package") from error
    if not isinstance(index, dict) or not all(isinstance(digest, str) for digest in index.values()):
        raise WeightsError(f"the installation is damaged: {str(path)!r} is no index; reinstall the package")
    return index


def version(name: str) -> str:
    """Returns the version of a shipped model in outputs: the first digits of its hash."""
    return shipped()[name][:12]


def load_shipped(model: Model, name: str) -> Model:
    """Fills `model` with the shipped weights `name` and returns it in evaluation mode.

    Raises:
        WeightsError: There are none of that name, or they are missing, damaged or not of this shape.
    """
    return load_file(model, path_of(name))


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


class WeightsFile:
    """A safetensors file, opened: the one way that numbers from a file get into a model.

    One that ships with the package must have the hash that the index records. Any other is untrusted: its
    config has types and ranges (`auteur.weights.config`), and a model that is larger than the tensors of the
    file is never built.

    Args:
        path: The file.
        sha256: The hash that it must have; None: that of the index if it ships, else any.

    Raises:
        WeightsError: The file is missing, damaged or has another hash.
    """

    def __init__(self, path: Path | str, *, sha256: str | None = None) -> None:
        self.name, self._path = repr(str(path)), Path(path)
        try:
            with open_input(path) as file:
                expected = sha256 or _shipped_hash(self._path)
                found = expected and hashlib.file_digest(file, "sha256").hexdigest()
        except InputError as error:
            raise WeightsError(f"cannot read the weights: {error}") from error
        except OSError as error:
            raise WeightsError(f"cannot read the weights {self.name}: {error.strerror}") from error
        self._is_trusted = expected is not None
        if found and expected and found != expected:
            raise WeightsError(
                f"the weights {self.name} have SHA-256 {found[:12]}…, expected {expected[:12]}…; "
                "reinstall the package"
            )
        try:
            with safe_open(path, framework="pt") as file:
                self.metadata: dict[str, str] = file.metadata() or {}
                shapes = [file.get_slice(key).get_shape() for key in file.keys()]  # noqa: SIM118
        except (SafetensorError, OSError, ValueError) as error:
            raise WeightsError(f"{self.name} is not a safetensors file: {error}") from error
        self._tensors, self._numbers = len(shapes), sum(map(math.prod, shapes))

    def config(self, kind: str, config_class: type[Config]) -> Config:
        """Returns the config that `metadata_of` kept.

        Args:
            kind: What kind of model it must be.
            config_class: A dataclass.

        Raises:
            WeightsError: There is none of this kind, or it cannot be used.
        """
        what = kind.replace("_", " ")
        if kind not in self.metadata:
            raise WeightsError(f"{self.name} holds no {what} config; train it again")
        try:
            return config_of(config_class, self.metadata[kind])
        except UsageError as error:
            raise WeightsError(f"{self.name} has a {what} config that cannot be used: {error}") from error

    def build(self, make: Callable[[], Model]) -> Model:
        """Returns an empty model, unless it would be larger than the file.

        Args:
            make: Builds it from the file's config.

        Raises:
            WeightsError: It cannot be built.
        """
        try:
            if not self._is_trusted:
                with at_most(self._numbers, self._tensors), torch.device("meta"):
                    make()
            return make()
        except Exception as error:  # any error here comes from the config in the file
            raise WeightsError(f"{self.name} has a config that cannot be built: {error}") from error

    def fill(self, model: Model, *, only: Sequence[str] | None = None) -> Model:
        """Puts the tensors into `model` and returns it in evaluation mode, in float32.

        Args:
            model: Any.
            only: Names of submodules to which the tensors that are read belong; None: all are read.

        Raises:
            WeightsError: They do not fit; every misfit is listed.
        """
        try:
            tensors = load(self._path.read_bytes())
        except (OSError, SafetensorError, ValueError) as error:
            raise WeightsError(f"{self.name} is not a safetensors file: {error}") from error
        if only is not None:
            tensors = {key: value for key, value in tensors.items() if key.partition(".")[0] in only}
        _check(model, tensors, self.name)
        model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in tensors.items()})
        return model.eval()


class SavedModel(nn.Module):
    """A network whose sizes are saved in the file of its weights."""

    kind: ClassVar[str]
    """Name of the model in files."""
    config_class: ClassVar[type[Any]]
    """Dataclass of the sizes, the only argument that makes an empty model."""


Saved = TypeVar("Saved", bound=SavedModel)


def load_model(path: Path | str, *models: type[Saved]) -> Saved:
    """Returns the model in a file, in evaluation mode, in float32.

    Args:
        path: The safetensors file.
        models: Classes that it may hold; the kind of config in the file decides.

    Raises:
        WeightsError: The file is missing, damaged, or was saved without or with another kind of config.
    """
    file = WeightsFile(path)
    model = next((one for one in models if one.kind in file.metadata), models[0])
    config = file.config(model.kind, model.config_class)
    return file.fill(file.build(lambda: model(config)))


def load_file(model: Model, path: Path | str, *, sha256: str | None = None) -> Model:
    """Fills `model` with the tensors of a safetensors file and returns it in evaluation mode, in float32.

    Raises:
        WeightsError: The file is missing, damaged, has another hash, or does not fit; every misfit is listed.
    """
    return WeightsFile(path, sha256=sha256).fill(model)


def _shipped_hash(path: Path) -> str | None:
    """The hash that a file of the package must have; None for other files."""
    if path.resolve().parent != Path(str(resources.files("auteur.weights"))).resolve():
        return None
    return shipped().get(path.stem)


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
        raise WeightsError(f"{name} does not fit: " + "; ".join(sorted(problems)))


def _is_finite(tensor: Tensor) -> bool:
    # Eight-bit floats have no isfinite of their own.
    return bool(torch.isfinite(tensor.float() if tensor.is_floating_point() else tensor).all())
