"""Parts of a denoiser by name, for training and for files."""

from collections.abc import Iterable
from typing import Any

from torch import nn

from auteur.errors import UsageError
from auteur.synthesis.denoiser.config import DenoiserConfig
from auteur.synthesis.denoiser.network import VideoDenoiser


def parts_in(config: DenoiserConfig) -> tuple[str, ...]:
    """Returns "base" (the UNet and its context), "temporal" and "finish" if there, and the conditioners."""
    network = config.network
    others = [name for name in ("temporal", "finish") if getattr(network, name) is not None]
    return ("base", *others, *config.condition_names)


def part_names(denoiser: VideoDenoiser) -> tuple[str, ...]:
    """Returns the parts of a denoiser; see `parts_in`."""
    return parts_in(denoiser.config)


def parts(denoiser: VideoDenoiser, names: Iterable[str]) -> nn.ModuleDict:
    """Returns parts by name; they are the denoiser's own, not copies.

    Raises:
        UsageError: There is no such part.
    """
    chosen: dict[str, nn.Module] = {}
    for name in names:
        if name not in part_names(denoiser):
            raise UsageError(f"this model has no part {name!r}; it has {', '.join(part_names(denoiser))}")
        if name == "base":
            base: Any = nn.Module()
            base.unet, base.context = denoiser.unet, denoiser.context
            chosen[name] = base
        else:
            own = {"temporal": denoiser.temporal, "finish": denoiser.finish}
            part = own[name] if name in own else denoiser.conditioners[name]
            assert part is not None  # noqa: S101 - part_names looked
            chosen[name] = part
    return nn.ModuleDict(chosen)


def train_only(denoiser: VideoDenoiser, names: Iterable[str]) -> dict[str, nn.Parameter]:
    """Freezes everything but the named parts, and returns their parameters for an optimiser.

    Raises:
        UsageError: There is no such part.
    """
    chosen = parts(denoiser, names)
    for parameter in denoiser.parameters():
        parameter.requires_grad_(False)
    for parameter in chosen.parameters():
        parameter.requires_grad_(True)
    return dict(chosen.named_parameters())
