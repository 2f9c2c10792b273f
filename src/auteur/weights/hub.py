"""Models as folders that Hugging Face's Hub understands: save, push and load again.

A folder holds `model.safetensors`, `config.json` and a card, `README.md`. Nothing else is written
and nothing else is fetched: a repository's code and pickles are never read.

    from auteur.weights.hub import from_pretrained, push_to_hub

    push_to_hub("motion", "me/my-motion", file="motion.safetensors", card="motion.md")
    generator = from_pretrained("motion", "me/my-motion")
"""

import hashlib
import json
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module, resources
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import safe_open

import auteur
from auteur.errors import InputError, UsageError, WeightsError
from auteur.files import atomic_path, read_json, write_text
from auteur.weights import load_file, load_model, path_of

if TYPE_CHECKING:
    from huggingface_hub import HfApi

WEIGHTS, CONFIG, CARD = "model.safetensors", "config.json", "README.md"

BLANKS: dict[str, str] = {
    "au_basis": "auteur.motion.au_basis:AUBasis",
    "detector": "auteur.face.detector:FaceDetector",
    "expression_space": "auteur.expression.space:CompactExpressionSpace",
    "habits": "auteur.motion.idle_motion:IdleMotion",
    "landmarker": "auteur.face.auteur_backend:blank_landmarker",
    "matte": "auteur.synthesis.matte.network:blank_segmenter",
    "skin_shading": "auteur.synthesis.warp.skin_shading:SkinShading",
    "watermark": "auteur.watermark.network:PatternEstimator",
}
"""Builders of empty models of one size. Named, not imported: models stand above their weights."""

LOADERS: dict[str, str] = {
    "denoiser": "auteur.synthesis.denoiser.storage:load_denoiser",
    "lip_encoder": "auteur.speech.features:CompactSpeechFeatures.from_file",
    "speech_encoder": "auteur.speech.features:CompactSpeechFeatures.from_file",
}
"""Loaders of models that keep more than their sizes in the file; each takes its path."""

SAVED: dict[str, str] = {
    "audio_lm": "auteur.expression.audio_lm.compact:AudioLM",
    "expression_generator": "auteur.expression.generator.network:ExpressionGenerator",
    "face_flow": "auteur.motion.face_flow:FaceFlow",
    "head_flow": "auteur.motion.head_flow:HeadFlow",
    "motion": "auteur.motion.generator:MotionGenerator",
    "regressor": "auteur.expression.regressor:Regressor",
}
"""Classes of models that keep their sizes in the file."""

NON_COMMERCIAL = "non-commercial"
"""The licence of weights whose card states none: part of what ours learned from is for research only."""

_LICENCE = re.compile(r"^Licence: *(\S[^\n]*?)\.?$", re.MULTILINE)
_HUB_LICENCES = (
    *("apache-2.0", "mit", "cc0-1.0"),
    *("cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0"),
)
"""Licences with their names on the Hub; any other one is written as it is stated."""
_REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_RELATIVE_LINK = re.compile(r"\[([^\]]+)\]\((?!https?://)[^)]*\)")


def save_pretrained(
    name: str,
    folder: Path | str,
    *,
    file: Path | str | None = None,
    card: Path | str | None = None,
    overwrite: bool = False,
) -> Path:
    """Writes a model as a folder and returns it.

    Args:
        name: Which model it is, one of `BLANKS`, `SAVED` and `LOADERS`.
        folder: Where; made if missing.
        file: Weights that a recipe wrote; None: those that ship with the package.
        card: Markdown about their training data and quality; a line "Licence: cc-by-nc-4.0"
            is taken into the front matter. None: the card of shipped weights; others get a card that states
            that there is none.
        overwrite: Whether files in the folder may be replaced.

    Raises:
        WeightsError: There is no such model, or `file` cannot be loaded as one.
        InputError: The card cannot be read, or the folder cannot be written to.
    """
    source = path_of(name) if file is None else Path(file)
    _build(name, source)
    content, place = source.read_bytes(), Path(folder)
    config = {
        "library": "auteur-face",
        "version": auteur.__version__,
        "model": name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "config": _config_of(source),
    }
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {str(place)!r}: {error.strerror}") from error
    write_text(place / CARD, _readme(name, _card_text(name, file, card)), overwrite=overwrite)
    with atomic_path(place / WEIGHTS, overwrite=overwrite) as temporary:
        temporary.write_bytes(content)
    # Last: a folder with a config is whole.
    write_text(place / CONFIG, json.dumps(config, indent=2) + "\n", overwrite=overwrite)
    return place


def push_to_hub(
    name: str,
    repo_id: str,
    *,
    file: Path | str | None = None,
    card: Path | str | None = None,
    token: str | None = None,
    private: bool = False,
    api: "HfApi | None" = None,
) -> str:
    """Uploads a model to the Hub, making the repository if need be, and returns the address of the commit.

    Args:
        name: As `save_pretrained`, like the next two.
        repo_id: Such as "me/my-motion".
        file: Weights; None: the shipped ones.
        card: Their card.
        token: Of an account that may write there; None: the one that `hf auth login` keeps.
        private: Whether a repository that is made is private.
        api: Client of the Hub, or of another server with its protocol; None: huggingface.co.

    Raises:
        UsageError: huggingface_hub is not installed, or `repo_id` is no name of a repository.
        WeightsError: As `save_pretrained`, or the Hub refuses or cannot be reached.
    """
    if not _REPOSITORY.fullmatch(repo_id):
        raise UsageError(f"repo_id is {repo_id!r}; write OWNER/NAME")
    hub = _hub(api, token)
    with tempfile.TemporaryDirectory() as place, _hub_errors(f"push to {repo_id!r}"):
        save_pretrained(name, place, file=file, card=card)
        hub.create_repo(repo_id, private=private, exist_ok=True)
        commit = hub.upload_folder(
            repo_id=repo_id,
            folder_path=place,
            commit_message=f"{name}, auteur-face {auteur.__version__}",
            allow_patterns=[WEIGHTS, CONFIG, CARD],
        )
    return str(commit.commit_url)


def from_pretrained(
    name: str,
    source: Path | str,
    *,
    revision: str | None = None,
    token: str | None = None,
    api: "HfApi | None" = None,
) -> Any:
    """Returns a model from a folder or from the Hub, ready to be used.

    Args:
        name: Which model it must be, one of `BLANKS`, `SAVED` and `LOADERS`.
        source: A folder that `save_pretrained` wrote, or a repository such as "me/my-motion".
        revision: Branch, tag or commit of the repository; name a commit to get the same weights tomorrow.
        token: Of an account that may read it.
        api: As `push_to_hub`.

    Returns:
        An `nn.Module` in evaluation mode; for "speech_encoder" the `CompactSpeechFeatures` that hold one.

    Raises:
        UsageError: huggingface_hub is not installed.
        WeightsError: There is no such model, folder or repository, the Hub cannot be reached, or what is
            there is damaged or another model.
    """
    place = Path(source)
    if not place.is_dir():
        if not _REPOSITORY.fullmatch(str(source)):
            raise WeightsError(f"{str(source)!r} is neither a folder nor a repository such as OWNER/NAME")
        place = _fetched(str(source), revision, _hub(api, token))
    config = _read_config(place)
    if config.get("model") != name:
        raise WeightsError(f"{str(source)!r} holds the model {config.get('model')!r}, not {name!r}")
    path = place / WEIGHTS
    _check_hash(path, str(config.get("sha256")))
    return _build(name, path)


def _build(name: str, path: Path) -> Any:
    if name in BLANKS:
        return load_file(_named(BLANKS[name])(), path)
    if name in SAVED:
        return load_model(path, _named(SAVED[name]))
    if name in LOADERS:
        return _named(LOADERS[name])(path)
    raise WeightsError(f"there is no model {name!r}; there are {', '.join(sorted(BLANKS | SAVED | LOADERS))}")


def _named(address: str) -> Any:
    module, _, what = address.partition(":")
    return attrgetter(what)(import_module(module))


def _config_of(path: Path) -> dict[str, Any]:
    """Returns the metadata of a weights file."""
    with safe_open(path, framework="np") as file:
        metadata: dict[str, str] = file.metadata() or {}
    return {key: _plain(text) for key, text in metadata.items()}


def _plain(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return text


def _read_config(place: Path) -> dict[str, Any]:
    try:
        config = read_json(place / CONFIG)
    except InputError as error:
        raise WeightsError(
            f"{str(place)!r} has no {CONFIG} of ours: {error}; save the model again"
        ) from error
    if not isinstance(config, dict):
        raise WeightsError(f"{str(place / CONFIG)!r} holds no object; save the model again")
    return config


def _check_hash(path: Path, wanted: str) -> None:
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise WeightsError(f"cannot read the weights {str(path)!r}: {error.strerror}") from error
    if found != wanted:
        raise WeightsError(
            f"{str(path)!r} has SHA-256 {found[:12]}…, its config has {wanted[:12]}…; get it again"
        )


def _card_text(name: str, file: Path | str | None, card: Path | str | None) -> str:
    if card is not None:
        try:
            return Path(card).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot read the card {str(card)!r}: {error}") from error
    if file is None:
        return resources.files("auteur.weights").joinpath(f"{name}.md").read_text(encoding="utf-8")
    return f"# {name}\n\nThe training data and the quality of these weights are not documented.\n"


def _readme(name: str, card: str) -> str:
    """Returns a card in the Hub's format: front matter, the card, how to load the model."""
    stated = _LICENCE.search(card)
    licence = stated[1].strip().lower() if stated else NON_COMMERCIAL
    front = ["library_name: auteur-face", "tags: [auteur, talking-head, action-units]"]
    if licence in _HUB_LICENCES:
        front.insert(0, f"license: {licence}")
    else:
        front[:0] = ["license: other", f"license_name: {re.sub(r'[^a-z0-9.]+', '-', licence).strip('-')}"]
    said = "" if stated else "For non-commercial use only: the card below names the training data.\n\n"
    # Cards link to their neighbours in the package, which are not here.
    text = _RELATIVE_LINK.sub(r"\1", card).strip()
    usage = (
        f"## Use\n\n```python\nfrom auteur.weights.hub import from_pretrained\n\n"
        f'model = from_pretrained("{name}", "OWNER/NAME")  # pip install "auteur-face[full]"\n```\n'
    )
    return "---\n" + "\n".join(front) + f"\n---\n\n{said}{text}\n\n{usage}"


def _hub(api: "HfApi | None", token: str | None) -> "HfApi":
    if api is not None:
        return api
    try:
        from huggingface_hub import HfApi
    except ImportError as error:
        raise UsageError("huggingface_hub is not installed; run: pip install 'auteur-face[full]'") from error
    return HfApi(token=token, library_name="auteur-face", library_version=auteur.__version__)


def _fetched(repository: str, revision: str | None, hub: "HfApi") -> Path:
    with _hub_errors(f"fetch {repository!r}"):
        return Path(hub.snapshot_download(repository, revision=revision, allow_patterns=[WEIGHTS, CONFIG]))


@contextmanager
def _hub_errors(what: str) -> Iterator[None]:
    from huggingface_hub import errors

    # The error of a failed connection; it belongs to the client that huggingface_hub brings.
    no_connection: type[Exception] = getattr(errors, "HTTPError", errors.HfHubHTTPError)
    try:
        yield
    except (InputError, UsageError):
        raise
    except (no_connection, OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise WeightsError(f"cannot {what}: {reason}; check name, network and token") from error
