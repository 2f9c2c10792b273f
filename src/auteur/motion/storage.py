"""A generator and its sizes in one safetensors file."""

import dataclasses
import json
from importlib import resources
from pathlib import Path

from auteur.errors import WeightsError
from auteur.motion.generator import MotionConfig, MotionGenerator

_KEY = "motion_generator"


def config_to_metadata(config: MotionConfig) -> dict[str, str]:
    """Returns the safetensors metadata that keeps a generator's sizes beside its weights."""
    return {_KEY: json.dumps(dataclasses.asdict(config))}


def load_generator(path: Path | str, *, sha256: str | None = None) -> MotionGenerator:
    """Returns the generator saved in a file, in evaluation mode.

    Raises:
        WeightsError: The file is missing, damaged, or was saved without or with another kind of config.
    """
    from safetensors import SafetensorError, safe_open

    from auteur.weights import load_file

    try:
        with safe_open(path, framework="pt") as file:
            config = MotionConfig(**json.loads((file.metadata() or {})[_KEY]))
    except (OSError, SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise WeightsError(
            f"{str(path)!r} holds no motion generator config: {error}; train it again"
        ) from error
    return load_file(MotionGenerator(config), path, sha256=sha256)


def shipped_path(name: str) -> Path:
    """Returns the path of shipped weights."""
    return Path(str(resources.files("auteur.weights").joinpath(f"{name}.safetensors")))
