"""Models of diffusers and transformers out of local folders: safetensors only, nothing downloaded."""

import contextlib
import logging
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from auteur.errors import UsageError, WeightsError

FOLDER_KINDS = {
    "unet": ("diffusers", "UNet2DConditionModel"),
    "motion_adapter": ("diffusers", "MotionAdapter"),
    "vae": ("diffusers", "AutoencoderKL"),
    "image_encoder": ("transformers", "CLIPVisionModelWithProjection"),
    "speech_encoder": ("transformers", "Wav2Vec2Model"),
}
"""Library and class by kind; a name in a folder never chooses a class."""


def load_folder(kind: str, folder: Path | str, *, dtype: torch.dtype | None = None) -> Any:
    """Returns the model of a folder that `save_pretrained` wrote, in evaluation mode, frozen.

    Args:
        kind: A key of `FOLDER_KINDS`.
        folder: Holds config.json and safetensors weights, or a sub-folder of the name `kind` that does.
        dtype: Of the parameters; None: float32.

    Raises:
        UsageError: The library is not installed.
        WeightsError: The folder holds no such model, or its weights do not fit; every misfit is listed.
    """
    library, name = FOLDER_KINDS[kind]
    place = Path(folder)
    if (place / kind / "config.json").is_file():
        place = place / kind
    if not (place / "config.json").is_file():
        raise WeightsError(f"{str(folder)!r} holds no {name}: there is no config.json in it or in {kind}/")
    model_class = getattr(require(library), name)
    try:
        with _quiet(library):
            model, found = model_class.from_pretrained(
                str(place),
                local_files_only=True,
                use_safetensors=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
                torch_dtype=dtype or torch.float32,
            )
    except Exception as error:
        # Both libraries raise what they happen to meet: OSError, ValueError, SafetensorError, KeyError, ….
        raise WeightsError(f"{str(place)!r} holds no usable {name}: {_first_line(error)}") from error
    _check(found, place, name)
    return model.eval().requires_grad_(False)


def _check(found: dict[str, Any], place: Path, name: str) -> None:
    problems = [f"{key} is missing" for key in found.get("missing_keys", ())]
    problems += [f"{key} is not part of {name}" for key in found.get("unexpected_keys", ())]
    for misfit in found.get("mismatched_keys", ()):
        key, given, wanted = misfit if isinstance(misfit, tuple | list) else (misfit, "another shape", "")
        problems.append(f"{key} has shape {_shape(given)}, needs {_shape(wanted)}")
    if problems:
        raise WeightsError(f"the weights in {str(place)!r} do not fit: " + "; ".join(sorted(problems)))


def _shape(shape: Any) -> str:
    return str(tuple(shape)) if isinstance(shape, torch.Size | tuple | list) else str(shape)


def require(library: str) -> Any:
    """Returns a library that only the papers' size needs.

    Raises:
        UsageError: It is not installed.
    """
    try:
        return import_module(library)
    except ImportError as error:
        raise UsageError(f"{library} is not installed; run: pip install 'auteur-face[full]'") from error


@contextlib.contextmanager
def _quiet(library: str) -> Iterator[None]:
    """The libraries warn of what `_check` reports as an error."""
    logger = logging.getLogger(library)
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
