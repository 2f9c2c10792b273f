"""The compact audio-language model and its sizes in one safetensors file."""

from pathlib import Path
from typing import Any

from auteur.expression.audio_lm.compact import AudioLM, AudioLMConfig
from auteur.expression.audio_lm.listener import ListenerConfig
from auteur.weights import load_file, metadata_of, read_config

_KIND = "audio_lm"


def config_to_metadata(config: AudioLMConfig) -> dict[str, str]:
    """Returns the safetensors metadata that keeps the model's sizes beside its weights."""
    return metadata_of(_KIND, config)


def load_audio_lm(path: Path | str, *, sha256: str | None = None) -> AudioLM:
    """Returns the model saved in a file, in evaluation mode.

    Raises:
        WeightsError: The file is missing, damaged, or was saved without or with another kind of config.
    """
    return load_file(AudioLM(read_config(path, _KIND, _config)), path, sha256=sha256)


def _config(saved: dict[str, Any]) -> AudioLMConfig:
    saved["ear"] = ListenerConfig(**saved["ear"])
    return AudioLMConfig(**saved)
