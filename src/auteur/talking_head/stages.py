"""The models of a system: the compact set, or those of a folder with the rest taken from the compact set.

A folder holds any of these, each as its recipe or `save_pretrained` writes it:

    speech_encoder/        a wav2vec 2.0, HuBERT or WavLM model of transformers, for models that read its
                           features
    audio_lm/              paper A's first stage: audio_lm.safetensors; a transformers model, with a LoRA
                           adapter in adapter/; or an adapter alone, whose base is in base/ or where
                           adapter_config.json says
    expression_generator/  paper B's: expression_generator.safetensors, with expression_space.safetensors if
                           its compact space is another one
    motion/                face_flow.safetensors or motion.safetensors (paper C); head_flow, au_basis and
                           habits if they are others than the compact set's
    denoiser/              denoiser.safetensors, with what a denoiser of the papers' size needs; or what
                           `auteur convert` wrote

Models fit by the names of what they read (speech features, expression space) and by their rate.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from auteur import weights
from auteur.errors import WeightsError
from auteur.files import read_json
from auteur.motion.au_basis import AUBasis
from auteur.motion.face_flow import FaceFlow
from auteur.motion.face_model import check_motion_rate
from auteur.motion.generator import MotionGenerator
from auteur.motion.head_flow import HeadFlow
from auteur.motion.idle_motion import IdleMotion
from auteur.motion.speech_motion import SpeechMotion
from auteur.painting.loading import DENOISER_FILE
from auteur.painting.registry import PUBLISHED_FILE
from auteur.provenance import hash_file
from auteur.speech.features import SpeechFeatures
from auteur.synthesis.denoiser.storage import read_header
from auteur.talking_head.motion_stage import SpeechEncoders
from auteur.talking_head.routes import RouteModel, Routes, auhead, emodiffhead
from auteur.weights import load_file, load_model, path_of

STAGES = ("speech_encoder", "audio_lm", "expression_generator", "motion", "denoiser")
"""Names of the folders."""

_NOT_THE_DENOISERS = frozenset(STAGES) - {"speech_encoder"}
PICTURE_MODELS = ("skin_shading", "matte")
"""Weights of the portrait warp."""
COMPACT_MODELS = ("speech_encoder", "lip_encoder", "face_flow", "head_flow", "au_basis", "habits")
"""Weights of the compact set's stages but the renderer."""
_SAVED = "model.safetensors"
_ADAPTER = "adapter_config.json"


@dataclass(frozen=True, eq=False)
class StageModels:
    """Every model before the renderer, and what the renderer is loaded from."""

    encoders: SpeechEncoders
    mover: SpeechMotion
    preset: Path | str
    """Of the renderer (`auteur.painting.registry.load_renderer`)."""
    renderer_speech: SpeechFeatures
    """Encoder for renderers that are conditioned on speech."""
    routes: Routes = field(default_factory=Routes)
    versions: Mapping[str, str] = field(default_factory=dict[str, str])
    """Version of each encoder and motion model, by name."""


def load_stages(preset: Path | str) -> StageModels:
    """Returns the models of a preset: of a folder with stages, or the compact set.

    Raises:
        WeightsError: A stage's file is missing, damaged, or does not fit the others; the message names
            what to change.
        UsageError: A library is not installed.
    """
    for name in PICTURE_MODELS:  # read with the first frame; refused now if damaged
        weights.WeightsFile(weights.path_of(name))
    of_picture = {name: weights.version(name) for name in PICTURE_MODELS}
    folder = Path(preset)
    if not is_stage_folder(folder):
        encoders = SpeechEncoders.shipped()
        compact = of_picture | {name: weights.version(name) for name in COMPACT_MODELS}
        return StageModels(encoders, SpeechMotion.shipped(), preset, encoders.phones, versions=compact)
    encoders, versions = _encoders(folder)
    mover, of_motion = _mover(folder / "motion")
    versions = of_picture | versions | of_motion
    _check_fit(mover, encoders, folder)
    routes, of_routes = _routes(folder)
    denoiser = _denoiser(folder)
    speech = _speech_of(denoiser, encoders)
    return StageModels(encoders, mover, denoiser, speech, Routes(routes, of_routes), versions)


def is_stage_folder(folder: Path) -> bool:
    """Returns whether a preset is a folder with stages, and not the folder of a denoiser alone."""
    if not folder.is_dir():
        return False
    present = {name for name in STAGES if (folder / name).is_dir()}
    is_denoiser = (folder / DENOISER_FILE).is_file() or (folder / PUBLISHED_FILE).is_file()
    return bool(present & _NOT_THE_DENOISERS if is_denoiser else present)


def _denoiser(folder: Path) -> Path | str:
    for place in (folder / "denoiser", folder):
        if (place / PUBLISHED_FILE).is_file():
            return place
        if (file := place / DENOISER_FILE).is_file():
            return place if (place / "vae").is_dir() else file
    if (folder / "denoiser").is_dir():
        raise WeightsError(
            f"{str(folder / 'denoiser')!r} holds neither {DENOISER_FILE} nor {PUBLISHED_FILE}; put there "
            "what auteur train denoiser or auteur convert wrote, or remove it to render with the compact set"
        )
    return "compact"


def _speech_of(denoiser: Path | str, encoders: SpeechEncoders) -> SpeechFeatures:
    """Returns the encoder whose features a denoiser reads; one that does not fit is refused when it loads."""
    if not encoders.others or not isinstance(denoiser, Path) or (denoiser / "speech_encoder").is_dir():
        return encoders.phones
    file = denoiser / DENOISER_FILE if denoiser.is_dir() else denoiser
    audio = read_header(file)[0].conditioners.get("audio") if file.is_file() else None
    if audio is None or (not audio.space and audio.features == encoders.phones.dim):
        return encoders.phones
    other = next(iter(encoders.others.values()))
    return encoders.others.get(audio.space, other)


def _encoders(folder: Path) -> tuple[SpeechEncoders, dict[str, str]]:
    encoders = SpeechEncoders.shipped()
    versions = {name: weights.version(name) for name in ("speech_encoder", "lip_encoder")}
    place = folder / "speech_encoder"
    if not place.is_dir():
        return encoders, versions
    from auteur.speech.pretrained import TransformersSpeechFeatures

    other = TransformersSpeechFeatures(place)
    files = sorted(place.glob("*.safetensors"))
    versions[f"speech_encoder {other.space}"] = hash_file(files[0])[:12]
    return SpeechEncoders(encoders.phones, encoders.lips, {other.space: other}), versions


def _mover(place: Path) -> tuple[SpeechMotion, dict[str, str]]:
    """The motion models of a folder; the compact set's where it has none."""
    versions: dict[str, str] = {}

    def path(name: str) -> Path:
        own = place / f"{name}.safetensors"
        found = own if own.is_file() else path_of(name)
        versions[name] = hash_file(found)[:12]
        return found

    face = _face(place, path, versions)
    head = load_model(path("head_flow"), HeadFlow)
    check_motion_rate(head.config.frames_per_sec, f"{str(place)!r}: head_flow.safetensors")
    basis, idle = load_file(AUBasis(), path("au_basis")), load_file(IdleMotion(), path("habits"))
    return SpeechMotion(face=face, head=head, basis=basis, idle=idle), versions


def _face(place: Path, path: Callable[[str], Path], versions: dict[str, str]) -> FaceFlow | MotionGenerator:
    if not place.is_dir():
        return load_model(path("face_flow"), FaceFlow)
    own = [
        file for name in ("face_flow", "motion", "model") if (file := place / f"{name}.safetensors").is_file()
    ]
    if len(own) != 1:
        found = " and ".join(file.name for file in own) or "none"
        raise WeightsError(
            f"{str(place)!r} needs one model of the face and has {found}; keep face_flow.safetensors (auteur "
            "train face-flow) or motion.safetensors (auteur train motion)"
        )
    face = load_model(own[0], FaceFlow, MotionGenerator)
    versions[face.kind] = hash_file(own[0])[:12]
    check_motion_rate(face.config.frames_per_sec, repr(str(own[0])))
    return face


def _check_fit(mover: SpeechMotion, encoders: SpeechEncoders, folder: Path) -> None:
    """Refuses motion models whose speech features no encoder gives."""
    widths = (
        (mover.face.speech_space, mover.face.speech_features),
        (mover.head.speech_space, mover.head.config.flow.speech_features),
    )
    for space, wanted in widths:
        found = encoders.dim(space)
        if found != wanted:
            raise WeightsError(
                f"motion/ of {str(folder)!r} reads {wanted} numbers of {space!r} speech features per frame "
                f"and the encoder gives {found}; put the encoder that it was trained with into "
                "speech_encoder/"
            )


def _routes(folder: Path) -> tuple[dict[str, Callable[[], RouteModel]], dict[str, Mapping[str, str]]]:
    """Builders of the routes whose model is in the folder, and the versions of those models."""
    routes: dict[str, Callable[[], RouteModel]] = {}
    versions: dict[str, Mapping[str, str]] = {}
    if (place := folder / "audio_lm").is_dir():
        model, adapter = audio_lm_of(place)
        routes["auhead"] = lambda: auhead(model, adapter)
        versions["auhead"] = {"audio_lm": version_of(place)}
    if (place := folder / "expression_generator").is_dir():
        file = _only(place, "expression_generator", "auteur train expression-generator")
        space = place / "expression_space.safetensors"
        own = space if space.is_file() else None
        routes["emodiffhead"] = lambda: emodiffhead(file, own)
        versions["emodiffhead"] = {"expression_generator": version_of(place)}
    return routes, versions


def audio_lm_of(place: Path) -> tuple[Path, Path | None]:
    """Returns model and LoRA adapter of a folder, as `SpeechToAU.from_path` takes them.

    Raises:
        WeightsError: The folder holds no such model, or the base of an adapter is not there.
    """
    for name in ("audio_lm", "regressor"):
        if (file := place / f"{name}.safetensors").is_file():
            return file, None
    if (place / _ADAPTER).is_file():
        return _base_of(place), place
    if (place / "config.json").is_file():
        if read_json(place / "config.json").get("library") == "auteur-face":
            return place / _SAVED, None
        adapter = place / "adapter"
        return place, adapter if adapter.is_dir() else None
    raise WeightsError(
        f"{str(place)!r} holds no audio-language model: neither audio_lm.safetensors, nor config.json of a "
        f"transformers model, nor {_ADAPTER} of auteur train audio-lm-lora; put one there or remove it"
    )


def _base_of(adapter: Path) -> Path:
    if (adapter / "base").is_dir():
        return adapter / "base"
    try:
        named = str(json.loads((adapter / _ADAPTER).read_text(encoding="utf-8"))["base_model_name_or_path"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(
            f"{str(adapter / _ADAPTER)!r} is damaged: {error}; train the adapter again"
        ) from error
    if not Path(named).is_dir():
        raise WeightsError(
            f"the base of the adapter {str(adapter)!r}, {named!r}, is no folder here; link the base model's "
            f"folder as {str(adapter / 'base')!r}"
        )
    return Path(named)


def _only(place: Path, name: str, recipe: str) -> Path:
    for file in (place / f"{name}.safetensors", place / _SAVED):
        if file.is_file():
            return file
    raise WeightsError(f"{str(place)!r} holds no {name}.safetensors; put there what {recipe} wrote")


def version_of(place: Path) -> str:
    """Returns the first digits of the hash of a folder's first weights file."""
    files = sorted(place.glob("*.safetensors")) or sorted(place.rglob("*.safetensors"))
    return hash_file(files[0])[:12] if files else "unknown"
