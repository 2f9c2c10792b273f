"""The compact audio-language model and its sizes in one safetensors file."""

import dataclasses
import json
from pathlib import Path

from auteur.errors import WeightsError
from auteur.expression.audio_lm.compact import AudioLM, AudioLMConfig
from auteur.expression.audio_lm.listener import ListenerConfig
from auteur.weights import load_file

_KEY = "audio_lm"


def config_to_metadata(config: AudioLMConfig) -> dict[str, str]:
    """Returns the safetensors metadata that keeps the model's sizes beside its weights."""
    return {_KEY: json.dumps(dataclasses.asdict(config))}


def load_audio_lm(path: Path | str, *, sha256: str | None = None) -> AudioLM:
    """Returns the model saved in a file, in evaluation mode.

    Raises:
        WeightsError: The file is missing, damaged, or was saved without or with another kind of config.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            saved = json.loads((file.metadata() or {})[_KEY])
        config = AudioLMConfig(**(saved | {"ear": ListenerConfig(**saved["ear"])}))
    except (OSError, SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
        raise WeightsError(
            f"{str(path)!r} holds no compact audio-language model: {error}; train it again"
        ) from error
    return load_file(AudioLM(config), path, sha256=sha256)
