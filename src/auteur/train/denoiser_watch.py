"""How a denoiser does on people it never saw, while it trains: errors, and a sheet of pictures to look at."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from auteur.data.denoiser_clips import BatchOf, ClipBatch
from auteur.media import write_image
from auteur.provenance import Mark
from auteur.synthesis.denoiser.network import VideoDenoiser
from auteur.synthesis.losses import draw_noise
from auteur.synthesis.noise import step_generator
from auteur.synthesis.samplers import sample
from auteur.train.denoiser_state import Average

_ROWS, _BATCHES = 8, 6
_SHEET_ROWS = 12


@dataclass(frozen=True)
class Seen:
    """What a look found; errors are decibels (PSNR) where the clips' `region` counts."""

    painted_db: float
    """Of what was painted."""
    warped_db: float
    """Of the warped portrait as it is, for comparison; NaN for a model that is given none."""
    sharpness: float
    """Mean gradient of what was painted, as a share of the real pictures'."""


class Watch:
    """Looks at held-out people, always at the same ones with the same noise.

    Args:
        held: Gives clips of people who are held out, in pixels.
        frames: Per clip.
        folder: Where sheets go.
        steps: In which pictures are painted.
    """

    def __init__(self, held: BatchOf, *, frames: int, folder: Path, steps: int = 4) -> None:
        self._folder, self._steps = folder, steps
        self._batches = [held(_ROWS, frames, step_generator(0, f"watch:{i}")) for i in range(_BATCHES)]

    def look(self, denoiser: VideoDenoiser, name: str) -> Seen:
        """Paints with the weights as they are, writes the sheet NAME.png and returns the errors."""
        painted: list[Tensor] = []
        with torch.inference_mode():
            for number, batch in enumerate(self._batches):
                chance = step_generator(1, f"watch:{number}")
                noise = draw_noise(batch.clean, denoiser.config.noise_common, chance)
                painted.append(paint(denoiser, batch, noise, self._steps))
        errors = [
            _decibels(made, batch.clean, batch.region)
            for made, batch in zip(painted, self._batches, strict=True)
        ]
        warped = [batch.conditions.warped for batch in self._batches]
        before = [
            _decibels(w[:, :, :3], batch.clean, batch.region)
            for w, batch in zip(warped, self._batches, strict=True)
            if w is not None
        ]
        sharp = sum(_gradient(made, b.region) for made, b in zip(painted, self._batches, strict=True))
        real = sum(_gradient(b.clean, b.region) for b in self._batches)
        self._sheet(painted, name)
        return Seen(
            painted_db=round(float(torch.cat(errors).mean()), 3),
            warped_db=round(float(torch.cat(before).mean()), 3) if before else float("nan"),
            sharpness=round(sharp / real, 3),
        )

    def _sheet(self, painted: list[Tensor], name: str) -> None:
        rows: list[Tensor] = []
        for made, batch in zip(painted, self._batches, strict=True):
            given = batch.conditions
            shown = [made[:, 0], batch.clean[:, 0]]
            if given.warped is not None:
                shown.insert(0, given.warped[:, 0, :3])
            if isinstance(given.reference, Tensor):
                shown.insert(0, given.reference)
            rows += torch.cat(shown, dim=-1).unbind(0)
        picture = (torch.cat(rows[:: max(1, len(rows) // _SHEET_ROWS)], dim=-2).clamp(-1, 1) + 1) / 2
        pixels = (255 * picture).round().byte().permute(1, 2, 0).contiguous().numpy()
        mark = Mark(tool="auteur.train.denoiser")
        write_image(self._folder / f"{name}.png", np.asarray(pixels), mark=mark, overwrite=True)


def paint(denoiser: VideoDenoiser, batch: ClipBatch, noise: Tensor, steps: int) -> Tensor:
    """Returns what a denoiser makes of a batch's conditions, [B, F, C, H, W] in [-1, 1]."""
    conditions = denoiser.prepare(batch.conditions.to(denoiser.device))
    made = sample(
        denoiser.config.noising,
        lambda now, time: denoiser(now, time, conditions),
        noise.to(denoiser.device),
        steps,
    )
    return made.float().cpu().clamp(-1, 1)


@contextmanager
def averaged(
    denoiser: VideoDenoiser, parameters: Mapping[str, nn.Parameter], average: Average
) -> Iterator[None]:
    """Puts the averaged weights in place of the parameters that learn for a while, ready for use."""
    kept = {name: parameter.detach().clone() for name, parameter in parameters.items()}
    was_training = denoiser.training
    average.copy_to(parameters)
    try:
        denoiser.eval()
        yield
    finally:
        denoiser.train(was_training)
        with torch.no_grad():
            for name, parameter in parameters.items():
                parameter.copy_(kept[name])


def _decibels(made: Tensor, real: Tensor, region: Tensor | None) -> Tensor:
    """PSNR of rows [B] where the region counts, for values in [-1, 1]."""
    weight = torch.ones_like(real[:, :, :1]) if region is None else (region > 0.5).float()
    error = ((made - real).square() * weight).flatten(1).sum(1)
    mean = error / (weight.flatten(1).sum(1) * real.shape[2]).clamp(min=1)
    return 10 * torch.log10(4 / mean.clamp(min=1e-8))


def _gradient(pictures: Tensor, region: Tensor | None) -> float:
    weight = torch.ones_like(pictures[:, :, :1]) if region is None else (region > 0.5).float()
    change = (pictures[..., 1:] - pictures[..., :-1]).abs() * weight[..., 1:]
    return float(change.sum() / weight.sum().clamp(min=1))
