"""A generator and its sizes in one safetensors file."""

from pathlib import Path

from auteur.motion.generator import MotionConfig, MotionGenerator
from auteur.weights import load_model, metadata_of

_KIND = "motion_generator"


def config_to_metadata(config: MotionConfig) -> dict[str, str]:
    """Returns the safetensors metadata that keeps a generator's sizes beside its weights."""
    return metadata_of(_KIND, config)


def load_generator(path: Path | str) -> MotionGenerator:
    """Returns the generator saved in a file, in evaluation mode.

    Raises:
        WeightsError: The file is missing, damaged, or was saved without or with another kind of config.
    """
    return load_model(path, _KIND, MotionConfig, MotionGenerator)
