"""Motion modules: attention over the frames of every pixel (AnimateDiff, arXiv 2307.04725)."""

from typing import Any

from torch import Tensor, nn

from auteur.errors import UsageError
from auteur.synthesis.blocks import AnimateDiffTransformer3D
from auteur.synthesis.conditioners.layers import Place, zero
from auteur.synthesis.denoiser.config import TemporalConfig
from auteur.synthesis.denoiser.layers import Adapter


class TemporalLayers(nn.Module):
    """The motion modules of an AnimateDiff adapter, by the place that they stand after."""

    def __init__(self, adapter: Any, config: TemporalConfig, places: list[Place]) -> None:
        """Takes the modules out of an `Adapter`, or a `MotionAdapter` of diffusers."""
        super().__init__()
        self.longest_window = config.longest_window
        modules: dict[str, nn.Module] = {}
        for place in places:
            kind, block, layer = place.name.split("_") if place.name.count("_") == 2 else ("mid", "0", "0")
            if place.name == "mid_1" or not (config.middle if kind == "mid" else config.levels[place.level]):
                continue
            owner = adapter.mid_block if kind == "mid" else getattr(adapter, f"{kind}_blocks")[int(block)]
            modules[place.name] = owner.motion_modules[int(layer)]
        self.modules_by_place = nn.ModuleDict(modules)

    def forward(self, place: str, hidden: Tensor, frames: int) -> Tensor:
        """[B * F, C, h, w] → the same, after attention between the frames."""
        if place not in self.modules_by_place:
            return hidden
        if frames > self.longest_window:
            raise UsageError(
                f"a window of {frames} frames is longer than the positions of the motion modules; "
                f"lower it to {self.longest_window}"
            )
        return self.modules_by_place[place](hidden, num_frames=frames)


def make_adapter(config: TemporalConfig, widths: tuple[int, ...], layers: int) -> Adapter:
    """Returns new motion modules whose outputs start at zero."""
    adapter = Adapter(
        widths,
        layers,
        heads=config.heads,
        groups=config.groups,
        longest=config.longest_window,
        middle=config.middle,
    )
    for module in adapter.modules():
        if isinstance(module, AnimateDiffTransformer3D):
            zero(module.proj_out)
    return adapter
