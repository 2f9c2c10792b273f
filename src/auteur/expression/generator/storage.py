"""A generator and its sizes in one safetensors file."""

import dataclasses
import json
from importlib import resources
from pathlib import Path

from auteur.errors import WeightsError
from auteur.expression.generator.network import ExpressionGenerator, GeneratorConfig
from auteur.weights import load_file, shipped

_KEY = "expression_generator"


def config_to_metadata(config: GeneratorConfig) -> dict[str, str]:
    """Returns the safetensors metadata that keeps a generator's sizes beside its weights."""
    return {_KEY: json.dumps(dataclasses.asdict(config))}


def load_generator(path: Path | str, *, sha256: str | None = None) -> ExpressionGenerator:
    """Returns the generator saved in a file, in evaluation mode.

    Raises:
        WeightsError: The file is missing, damaged, or was saved without or with another kind of config.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            config = GeneratorConfig(**json.loads((file.metadata() or {})[_KEY]))
    except (OSError, SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise WeightsError(
            f"{str(path)!r} holds no expression generator config: {error}; train it again"
        ) from error
    return load_file(ExpressionGenerator(config), path, sha256=sha256)


def shipped_generator() -> ExpressionGenerator:
    """Returns the generator that comes with the package.

    Raises:
        WeightsError: The installation is damaged.
    """
    if _KEY not in shipped():
        raise WeightsError(f"no weights {_KEY!r} ship with this version; there are {', '.join(shipped())}")
    path = Path(str(resources.files("auteur.weights").joinpath(f"{_KEY}.safetensors")))
    return load_generator(path, sha256=shipped()[_KEY])
