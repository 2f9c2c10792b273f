"""Every renderer, one row each: what `--preset` names."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from auteur import weights
from auteur.errors import UsageError
from auteur.files import check_name

if TYPE_CHECKING:  # the rows are read before anything is rendered; torch takes seconds
    from auteur.painting.renderer import Renderer
    from auteur.speech.features import SpeechFeatures

    Loader = Callable[[Path | None, SpeechFeatures, str | None], Renderer]


@dataclass(frozen=True)
class RendererRow:
    """One way to render."""

    summary: str
    """One line for messages and help."""
    load: str
    """"module:function" with the parameters (file or folder of its weights, the compact speech encoder,
    "cpu", "cuda" or None) that returns a `Renderer`; imported when it is used."""
    weights: str | None = None
    """Shipped weights that it loads; None: it has none."""
    takes_device: bool = False
    """Whether it can run elsewhere than on the CPU."""

    def loader(self) -> "Loader":
        """Returns the function that `load` names."""
        module, _, name = self.load.partition(":")
        return getattr(import_module(module), name)


RENDERERS: dict[str, RendererRow] = {
    "compact": RendererRow(
        "warps the portrait and paints what shows between the lips",
        load="auteur.painting.inpaint_renderer:load",
        weights="denoiser",
    ),
    "fast": RendererRow(
        "the same, painting every second frame",
        load="auteur.painting.inpaint_renderer:load_every_second",
        weights="denoiser",
    ),
    "warp": RendererRow("warps the portrait and paints nothing", load="auteur.painting.warp_renderer:load"),
    "full": RendererRow(
        "the papers' size, whose weights are not shipped: name their folder instead",
        load="auteur.painting.inpaint_renderer:load",
        takes_device=True,
    ),
}
"""By the name of the preset."""

PUBLISHED = {
    name: RendererRow(
        f"{title} with its published weights: name the folder that auteur convert wrote instead",
        load="auteur.painting.published_renderer:load",
        takes_device=True,
    )
    for name, title in (("aniportrait", "AniPortrait"), ("hallo", "Hallo"), ("memo", "MEMO"))
}
RENDERERS |= PUBLISHED

PUBLISHED_FILE = "published.json"
"""Is in every folder that `auteur convert` wrote of published weights, and names the model."""

OF_FILE = RendererRow(
    "a denoiser's file, or a folder of the papers' size",
    load="auteur.painting.inpaint_renderer:load",
    takes_device=True,
)
"""For presets that are paths."""


def denoiser_path(preset: Path | str, device: str | None) -> Path | None:
    """Returns the file or folder with the weights of a preset's renderer; None where it has none.

    Raises:
        UsageError: There is no such preset, it is "full", or the device has no effect on it.
    """
    row = RENDERERS.get(str(preset))
    if row is None:
        path = check_name(preset)
        if not path.exists() and path.suffix != ".safetensors" and len(path.parts) < 2:
            raise UsageError(
                f"there is no preset {str(preset)!r}; choose one of {', '.join(RENDERERS)}, or name a "
                "denoiser file"
            )
        return path
    if device not in (None, "cpu") and not row.takes_device:
        raise UsageError(f"device {device!r} has no effect: the preset {preset} runs on the CPU")
    if preset in PUBLISHED:
        raise UsageError(
            f"the weights of {preset} are not shipped: download them, run "
            "auteur convert DOWNLOADED -o FOLDER, and name FOLDER as preset"
        )
    if preset == "full":
        from auteur.painting.loading import say_what_full_needs

        raise say_what_full_needs()
    return None if row.weights is None else weights.path_of(row.weights)


def load_renderer(preset: Path | str, *, speech: "SpeechFeatures", device: str | None = None) -> "Renderer":
    """Returns the renderer of a preset, with its weights.

    Args:
        preset: A name of `RENDERERS`, or the path of a denoiser's file or folder.
        speech: The compact speech encoder, for renderers that are conditioned on speech.
        device: "cpu" or "cuda"; None: CUDA where there is one and the renderer can use it.

    Raises:
        UsageError: There is no such preset or device, or something must be installed.
        WeightsError: The weights are missing, damaged or do not fit.
    """
    path = denoiser_path(preset, device)
    row = RENDERERS.get(str(preset), OF_FILE)
    if path is not None and (path / PUBLISHED_FILE).is_file():
        row = next(iter(PUBLISHED.values()))  # the file names the model
    return row.loader()(path, speech, device)
