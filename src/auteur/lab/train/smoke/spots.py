"""A preset as small as it comes and clips made of nothing, to try a whole training run in seconds."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from auteur.lab.data.denoiser_clips import ClipBatch
from auteur.synthesis.conditions import Conditions
from auteur.synthesis.denoiser.config import DenoiserConfig, TemporalConfig, UNetConfig

SIDE = 8
"""Of the sample; pixels of the smallest UNet."""


def shrunk(config: DenoiserConfig) -> DenoiserConfig:
    """Returns a config with the same parts, as small as they come."""
    network = config.network
    small = config.changed(
        patch=1 if network.patch == 1 else 2,
        unet=UNetConfig(
            widths=(16, 32),
            attends=(False, True),
            layers=1,
            heads=2,
            groups=4,
            context_width=None if network.unet.context_width is None else 8,
            context_tokens=2,
        ),
        temporal=None
        if network.temporal is None
        else TemporalConfig(levels=(False, True), heads=2, groups=4, longest_window=16),
    )
    sizes = {
        "identity": {"features": 6},
        "landmarks": {"downscale": 2, "stem": (4, 8), "attending_levels": 1, "head": 8},
        "au": {"action_units": 6, "width": 16, "grid": 2, "head": 8},
        "expression": {"coefficients": 7},
        "audio": {"features": 5, "hidden": 16, "tokens": 2, "width": 16, "head": 8},
        "past": {"head": 8},
    }
    parts = {name: replace(one, **sizes.get(name, {})) for name, one in config.conditioners.items()}
    return small.changed(**parts)


class MovingSpots:
    """Clips whose frames follow from their conditions: a soft spot that Action Units, speech and all move.

    Args:
        config: Of the denoiser, `shrunk`.
        people: Number of different clips.
    """

    def __init__(self, config: DenoiserConfig, people: int = 4) -> None:
        self._config, self._people = config, people

    def batch(self, rows: int, frames: int, generator: torch.Generator) -> ClipBatch:
        """Returns random windows, [rows, frames, …], with every condition that the network takes."""
        who = torch.randint(self._people, (rows,), generator=generator)
        start = torch.randint(100, (rows,), generator=generator)
        drive = torch.sin(0.4 * (start[:, None] + torch.arange(frames)) + who[:, None])  # [B, F]
        config = self._config
        clean = self._picture(drive, who)
        given: dict[str, Any] = {}
        still = self._picture(torch.zeros(rows, 1), who)[:, 0]
        if config.reference:
            given["reference"] = still
        if config.identity:
            codes = torch.sin(1.0 + torch.outer(who.float(), torch.arange(config.identity.features).float()))
            given["identity"] = codes[:, None]
        if config.warped:
            valid = torch.ones(rows, frames, 1, SIDE, SIDE)
            given["warped"] = torch.cat([still[:, None].expand_as(clean), valid], dim=2)
        if config.landmarks:
            side = SIDE // config.patch * config.landmarks.downscale
            given["landmarks"] = _bars(drive, side)
            given["landmarks_reference"] = _bars(torch.zeros(rows, 1), side)[:, 0]
        if config.au:
            is_sequence = config.au.form == "sequence"
            given["au"] = (
                _waves(drive, config.au.action_units) * 0.5 + 0.5 if is_sequence else _bars(drive, 32)
            )
        if config.expression:
            given["expression"] = _waves(drive, config.expression.coefficients)
        if config.audio:
            wide = _waves(drive, config.audio.features)[:, :, None]
            given["audio"] = wide.expand(-1, -1, config.audio.window, -1).contiguous()
        if config.past:
            earlier = torch.sin(0.4 * (start[:, None] + torch.arange(-config.past.frames, 0)) + who[:, None])
            given["past"] = self._picture(earlier, who)
        return ClipBatch(clean, Conditions(**given))

    def _picture(self, drive: Tensor, who: Tensor) -> Tensor:
        """Frames [B, F, C, SIDE, SIDE] in [-1, 1] with a spot at the height `drive` [B, F]."""
        rows = torch.linspace(-1, 1, SIDE)[:, None]
        columns = torch.linspace(-1, 1, SIDE)[None]
        spot = torch.exp(-4 * ((rows - 0.6 * drive[..., None, None]) ** 2 + columns**2))  # [B, F, S, S]
        tone = torch.sin(who[:, None] + torch.arange(self._config.channels))  # [B, C]
        return (2 * spot - 1)[:, :, None] * tone[:, None, :, None, None]


def _waves(drive: Tensor, count: int) -> Tensor:
    return torch.sin(drive[..., None] + torch.arange(count))


def _bars(drive: Tensor, side: int) -> Tensor:
    rows = torch.linspace(-1, 1, side)[:, None]
    bar = torch.exp(-20 * (rows - 0.6 * drive[..., None, None]) ** 2).expand(*drive.shape, side, side)
    return bar[:, :, None].expand(-1, -1, 3, -1, -1).contiguous()
