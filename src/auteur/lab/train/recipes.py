"""Every recipe by name: its model, its data, and its trial.

This table imports no recipe, so that it can be listed at once.
"""

import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, is_dataclass, make_dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from auteur.errors import InputError, UsageError
from auteur.files import make_folders


@dataclass(frozen=True)
class Recipe:
    """One row of the table."""

    sentence: str
    """One sentence about its model."""
    module: str
    """In `auteur.lab.train`; holds `train`, which takes the settings."""
    config: str
    """Name of the dataclass of its settings."""
    data: str
    """Where its data come from."""
    smoke: str
    """Function in `auteur.lab.train.smoke` that makes look-alike data and small settings: "file:function"."""
    writes_folder: bool = False
    """Whether it writes a folder rather than one weights file."""
    preset: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Settings that the name fixes."""
    extra: str = ""
    """Extra that it needs beyond the core."""


_TRACKS = "shards of auteur prepare with --features motion,speech"
_LABELS = "python -m auteur.lab.data.face_teacher labels clips and photographs with MediaPipe"
_PERFORMANCES = (
    "shards of auteur prepare, and what python -m auteur.lab.data.performances and emotion_units make of them"
)
_CLIPS = (
    "shards of auteur prepare with --features views (compact) or latents and those of the preset's conditions"
)

_SMOKE_MARK = ".auteur-smoke"
"""File that shows that a folder was made by a smoke run."""

RECIPES: dict[str, Recipe] = {
    "detector": Recipe(
        "Finds faces in pictures: mosaics of labelled scenes.",
        "detector", "DetectorRecipe", _LABELS, "faces:detector", extra="train",
    ),
    "landmarker": Recipe(
        "Predicts 478 landmarks and 52 blendshapes of a crop; MediaPipe and warped faces are the labels.",
        "landmarker", "LandmarkerRecipe", _LABELS, "faces:landmarker", extra="train",
    ),
    "speech-encoder": Recipe(
        "The compact speech encoder: phones and articulation, of any speaker in any room.",
        "speech_encoder", "SpeechEncoderRecipe", "shards of auteur prepare with --features phones",
        "speech:speech_encoder",
    ),
    "speech-lips": Recipe(
        "Trains the speech encoder on the lips of real video beside its phones.",
        "speech_lips", "SpeechLipsRecipe", f"as speech-encoder; {_TRACKS}", "speech:speech_lips",
    ),
    "lip-encoder": Recipe(
        "Trains the speech encoder further on gap, width and shape of the lips, for the flow of the face.",
        "lip_encoder", "LipEncoderRecipe", _TRACKS, "tracks:lip_encoder",
    ),
    "face-flow": Recipe(
        "The shipped motion of the face: speech, Action Units and style to a face with people's spread.",
        "face_flow", "FaceFlowRecipe", _TRACKS, "tracks:face_flow",
    ),
    "head-flow": Recipe(
        "Head motion of talking people.",
        "head_flow", "HeadFlowRecipe", _TRACKS, "tracks:head_flow",
    ),
    "motion": Recipe(
        "Paper C's variational motion generator: speech and Action Units to facial motion.",
        "motion", "MotionRecipe", _TRACKS, "tracks:motion",
    ),
    "au-basis": Recipe(
        "Fits the displacement basis of the Action Units.",
        "au_basis", "AUBasisRecipe", _TRACKS, "tracks:au_basis",
    ),
    "skin-shading": Recipe(
        "Fits the shading of the skin by Action Units: furrows and folds.",
        "skin_shading", "SkinShadingRecipe", "shards of auteur prepare", "faces:skin_shading", extra="train",
    ),
    "habits": Recipe(
        "Statistics of blinks and gaze while people talk.",
        "idle_motion", "IdleMotionRecipe", _TRACKS, "tracks:habits",
    ),
    "denoiser": Recipe(
        "The diffusion synthesiser of papers A, B and C, in the phases of its preset.",
        "denoiser", "DenoiserRecipe", _CLIPS, "diffusion:denoiser", writes_folder=True, extra="full",
    ),
    "au-adapter": Recipe(
        "Paper A's Action Unit conditioner on a trained base, or on published weights of Hallo or MEMO.",
        "denoiser", "DenoiserRecipe", _CLIPS, "diffusion:au_adapter", writes_folder=True,
        preset={"preset": "auhead"}, extra="full",
    ),
    "denoiser-distill": Recipe(
        "Few-step students of a trained denoiser, by progressive distillation.",
        "denoiser_distill", "DistillRecipe", _CLIPS, "diffusion:distill", writes_folder=True,
        extra="full",
    ),
    "denoiser-adversarial": Recipe(
        "A one-step student of a trained denoiser, by adversarial distillation.",
        "denoiser_adversarial", "AdversarialRecipe", _CLIPS, "diffusion:adversarial",
        writes_folder=True,
    ),
    "listener": Recipe(
        "The emotion classifiers of the compact audio-language model, one per fold of speakers.",
        "emotion_classifier", "EmotionClassifierRecipe", "shards of auteur prepare with --features voice",
        "performances:listener", writes_folder=True,
    ),
    "audio-lm": Recipe(
        "Paper A's first stage, compact: speech to an emotion, then Action Units as text.",
        "audio_lm", "AudioLMRecipe", _PERFORMANCES, "performances:audio_lm",
    ),
    "audio-lm-lora": Recipe(
        "Paper A's first stage at full size: LoRA on a published audio-language model.",
        "audio_lm_lora", "LoRARecipe", "shards of auteur prepare with emotions, such as MEAD's",
        "language:audio_lm_lora", writes_folder=True, extra="full",
    ),
    "regressor": Recipe(
        "The control for paper A: the same data, Action Units as numbers.",
        "regressor", "RegressorRecipe", _PERFORMANCES, "performances:regressor",
    ),
    "expression-space": Recipe(
        "Fits the compact expression vectors of paper B.",
        "expression_space", "ExpressionSpaceRecipe", f"{_TRACKS}; photographs; ICT-FaceKit",
        "expression:space",
    ),
    "expression-generator": Recipe(
        "Paper B's expression generator against its two discriminators.",
        "expression_generator", "ExpressionGeneratorRecipe",
        f"{_TRACKS}, and photographs; or shards with FLAME's numbers",
        "expression:generator",
    ),
    "watermark": Recipe(
        "Estimates the watermark's pattern in a picture, after codecs.",
        "watermark", "WatermarkRecipe", "shards of auteur prepare with --features watermark",
        "watermark:watermark",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class SmokeReport:
    """Losses of a recipe on look-alike data."""

    first_loss: float
    last_loss: float
    seconds: float
    files: tuple[str, ...]
    """Written by it, relative to the folder."""


def recipe_named(name: str) -> Recipe:
    """Returns a recipe.

    Raises:
        UsageError: There is none of that name; the nearest is suggested.
    """
    import difflib

    if name not in RECIPES:
        near = difflib.get_close_matches(name.replace("_", "-"), RECIPES, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(RECIPES)}"
        raise UsageError(f"there is no recipe {name!r}; {hint}")
    return RECIPES[name]


def config_class(name: str) -> type:
    """Returns the dataclass of a recipe's settings.

    Raises:
        UsageError: There is no such recipe, or a package that it needs is missing.
    """
    recipe = recipe_named(name)
    try:
        kind = getattr(import_module(f"auteur.lab.train.{recipe.module}"), recipe.config)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("auteur"):
            raise
        raise _missing(name, recipe, error) from error
    if not recipe.preset:
        return kind
    changed = [(key, type(value), field(default=value)) for key, value in recipe.preset.items()]
    return make_dataclass(kind.__name__, changed, bases=(kind,), frozen=True)


def train(name: str, config: Any) -> dict[str, Any]:
    """Runs a recipe and returns its report.

    Args:
        name: Of the recipe.
        config: Its settings; `out` is the folder of the run, created if missing.

    Raises:
        InputError: Data or checkpoints cannot be used.
        DivergedError: The loss became NaN or infinite.
    """
    recipe, folder = recipe_named(name), config.out
    result = folder if recipe.writes_folder else folder / f"{name.replace('-', '_')}.safetensors"
    make_folders(folder)
    report = _run(recipe, replace(config, out=result))
    seen = asdict(report) if is_dataclass(report) and not isinstance(report, type) else {}
    return {"recipe": name, "out": str(result), **seen}


def smoke(name: str, folder: Path | None = None) -> SmokeReport:
    """Runs a recipe on look-alike data made in `folder` (a temporary one unless given), for seconds.

    A folder that an earlier smoke run made is emptied first.

    Raises:
        UsageError: A package that it needs is missing.
        InputError: The folder cannot be made, or holds something else.
    """
    recipe = recipe_named(name)
    config_class(name)
    place = Path(tempfile.mkdtemp(prefix="auteur-smoke-")) if folder is None else _emptied(folder)
    started = time.monotonic()
    try:
        file, function = recipe.smoke.split(":")
        try:
            trial = getattr(import_module(f"auteur.lab.train.smoke.{file}"), function)(place)
        except ModuleNotFoundError as error:
            raise _missing(name, recipe, error) from error
        if trial.train is None:
            _run(recipe, trial.recipe)
        else:
            trial.train()
        first, last = trial.losses()
        written = sorted(str(p.relative_to(trial.recipe.out.parent)) for p in _written(trial.recipe.out))
        return SmokeReport(first, last, round(time.monotonic() - started, 2), tuple(written))
    finally:
        if folder is None:
            shutil.rmtree(place, ignore_errors=True)


def _emptied(folder: Path) -> Path:
    """The folder of a smoke run, without what an earlier one left, finished or not."""
    mark = folder / _SMOKE_MARK
    if folder.is_dir() and any(folder.iterdir()):
        if not mark.is_file():
            raise InputError(f"{str(folder)!r} holds something other than a smoke run; choose another folder")
        shutil.rmtree(folder)
    make_folders(folder)
    mark.touch()
    return folder


def _written(out: Path) -> list[Path]:
    return [out] if out.is_file() else [path for path in out.glob("*") if path.is_file()]


def _run(recipe: Recipe, config: Any) -> Any:
    function = import_module(f"auteur.lab.train.{recipe.module}").train
    try:
        return function(config)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise InputError(f"there is no {str(error.filename)!r}; data: {recipe.data}") from error


def _missing(name: str, recipe: Recipe, error: ModuleNotFoundError) -> UsageError:
    extra = recipe.extra or "train"
    return UsageError(f"{name} needs {error.name}; run: pip install 'auteur-face[{extra}]'")


def listing() -> str:
    """Returns one recipe per line."""
    width = max(map(len, RECIPES))
    return "\n".join(f"{name:<{width}}  {recipe.sentence}" for name, recipe in RECIPES.items())


def description(name: str) -> str:
    """Returns the text above the settings in `auteur train NAME --help`."""
    recipe = recipe_named(name)
    return (
        f"{recipe.sentence}\nData: {recipe.data}.\n\n"
        f"Try it in seconds, on made-up data: auteur train {name} --smoke\n"
        f"On several GPUs or machines: accelerate launch -m auteur.cli train {name} …\n\n"
        "A killed run resumes when the same command is given again."
    )
