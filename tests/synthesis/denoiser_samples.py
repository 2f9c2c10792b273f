"""Tiny denoisers of every preset's kind, and conditions for them."""

from dataclasses import replace

import torch

from auteur.synthesis.conditions import Conditions
from auteur.synthesis.denoiser.builder import build_denoiser
from auteur.synthesis.denoiser.config import DenoiserConfig, TemporalConfig, UNetConfig
from auteur.synthesis.denoiser.network import VideoDenoiser
from auteur.synthesis.denoiser.presets import DENOISER_PRESETS

ROWS, FRAMES, SIDE = 2, 3, 8
PATCH = 2

_UNET = UNetConfig(
    widths=(8, 16), attends=(True, True), layers=1, heads=2, groups=4, context_width=8, context_tokens=2
)


def shrunk(config: DenoiserConfig) -> DenoiserConfig:
    """The same parts as a preset's, as small as they come."""
    small = config.changed(
        patch=1 if config.patch == 1 else PATCH,
        unet=replace(_UNET, context_width=None if config.unet.context_width is None else 8),
        temporal=TemporalConfig(levels=(True, True), heads=2, groups=4, longest_window=8),
    )
    if config.identity:
        small = small.changed(identity=replace(config.identity, features=5))
    if config.landmarks:
        landmarks = replace(config.landmarks, downscale=2, stem=(4, 8), attending_levels=1, head=4)
        small = small.changed(landmarks=landmarks)
    if config.au:
        small = small.changed(au=replace(config.au, action_units=6, width=8, grid=2, head=4))
    if config.expression:
        small = small.changed(expression=replace(config.expression, coefficients=7))
    if config.audio:
        small = small.changed(audio=replace(config.audio, features=5, hidden=8, tokens=3, width=8, head=4))
    if config.past:
        small = small.changed(past=replace(config.past, head=4))
    return small


TINY = {name: shrunk(preset.config) for name, preset in DENOISER_PRESETS.items()}


def loud(config: DenoiserConfig, seed: int = 0) -> VideoDenoiser:
    """A denoiser none of whose layers is zero."""
    model = build_denoiser(config, seed=seed)
    generator = torch.Generator().manual_seed(seed + 1)
    for parameter in model.parameters():
        if not parameter.any():
            parameter.data.normal_(0, 0.3, generator=generator)
    return model


def sample_of(config: DenoiserConfig, seed: int = 0, rows: int = ROWS, frames: int = FRAMES) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, frames, config.channels, SIDE, SIDE, generator=generator)


def conditions_of(
    config: DenoiserConfig, seed: int = 0, rows: int = ROWS, frames: int = FRAMES
) -> Conditions:
    """Everything that a model takes, random."""
    generator = torch.Generator().manual_seed(100 + seed)

    def some(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator)

    unet_side = SIDE // config.patch
    drawn_side = unet_side * (config.landmarks.downscale if config.landmarks else 1)
    shapes: dict[str, tuple[int, ...]] = {
        "reference": (rows, config.channels, SIDE, SIDE),
        "warped": (rows, frames, config.channels + 1, SIDE, SIDE),
        "landmarks": (rows, frames, 3, drawn_side, drawn_side),
        "past": (rows, config.past.frames if config.past else 0, config.channels, SIDE, SIDE),
    }
    if config.identity:
        shapes["identity"] = (rows, 1, config.identity.features)
    if config.au:
        is_sequence = config.au.form == "sequence"
        shapes["au"] = (rows, frames, config.au.action_units) if is_sequence else (rows, frames, 3, 32, 32)
    if config.expression:
        shapes["expression"] = (rows, frames, config.expression.coefficients)
    if config.audio:
        shapes["audio"] = (rows, frames, config.audio.window, config.audio.features)
    given = {name: some(*shapes[name]) for name in config.condition_names}
    if config.landmarks:
        given["landmarks_reference"] = some(rows, 3, drawn_side, drawn_side)
    if config.audio:
        given["regions"] = some(rows, frames, 3, SIDE, SIDE)
    return Conditions(**given)


def times(rows: int = ROWS) -> torch.Tensor:
    return torch.linspace(20, 980, rows)
