"""A generator and its sizes in one safetensors file."""

from pathlib import Path

from auteur.expression.generator.network import ExpressionGenerator, GeneratorConfig
from auteur.weights import load_model, metadata_of, path_of

_KIND = "expression_generator"


def config_to_metadata(config: GeneratorConfig) -> dict[str, str]:
    """Returns the safetensors metadata that keeps a generator's sizes beside its weights."""
    return metadata_of(_KIND, config)


def load_generator(path: Path | str) -> ExpressionGenerator:
    """Returns the generator saved in a file, in evaluation mode.

    Raises:
        WeightsError: The file is missing, damaged, or was saved without or with another kind of config.
    """
    return load_model(path, _KIND, GeneratorConfig, ExpressionGenerator)


def shipped_generator() -> ExpressionGenerator:
    """Returns the generator that comes with the package.

    Raises:
        WeightsError: The installation is damaged.
    """
    return load_generator(path_of(_KIND))
