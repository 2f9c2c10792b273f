"""The compact audio-language model and its sizes in one safetensors file."""

from pathlib import Path

from auteur.expression.audio_lm.compact import AudioLM, AudioLMConfig
from auteur.weights import load_model, metadata_of

_KIND = "audio_lm"


def config_to_metadata(config: AudioLMConfig) -> dict[str, str]:
    """Returns the safetensors metadata that keeps the model's sizes beside its weights."""
    return metadata_of(_KIND, config)


def load_audio_lm(path: Path | str) -> AudioLM:
    """Returns the model saved in a file, in evaluation mode.

    Raises:
        WeightsError: The file is missing, damaged, or was saved without or with another kind of config.
    """
    return load_model(path, _KIND, AudioLMConfig, AudioLM)
