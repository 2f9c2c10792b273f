"""Validation of a denoiser on validation people: errors, and a sheet of pictures."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from auteur.lab.data.denoiser_clips import BatchOf, ClipBatch
from auteur.media import write_image
from auteur.provenance import Mark
from auteur.synthesis.denoiser.network import VideoDenoiser
from auteur.synthesis.losses import draw_noise
from auteur.synthesis.noise import step_generator
from auteur.synthesis.samplers import sample

_ROWS, _BATCHES = 8, 6
_SHEET_ROWS = 12


@dataclass(frozen=True)
class ImageScores:
    """PSNR in dB, weighted by the clips' `region`, and sharpness."""

    painted_db: float
    """Of the painted pictures."""
    warped_db: float
    """Of the warped portrait as it is, for comparison; NaN for a model without that condition."""
    sharpness: float
    """Mean gradient of the painted pictures, as a share of that of the real ones."""

    @property
    def score(self) -> float:
        """Smaller is better."""
        return -self.painted_db


class ValidationImages:
    """Paints clips of validation people, always the same ones from the same noise.

    Args:
        clips: Gives clips of people who choose checkpoints, in pixels.
        frames: Per clip.
        steps: Of the sampler.
    """

    def __init__(self, clips: BatchOf, *, frames: int, steps: int = 4) -> None:
        self._steps, self._painted = steps, list[Tensor]()
        self._batches = [clips(_ROWS, frames, step_generator(0, f"watch:{i}")) for i in range(_BATCHES)]

    @torch.inference_mode()
    def __call__(self, denoiser: VideoDenoiser) -> ImageScores:
        """Returns the scores of a denoiser in evaluation mode."""
        self._painted = []
        for number, batch in enumerate(self._batches):
            generator = step_generator(1, f"watch:{number}")
            noise = draw_noise(batch.clean, denoiser.config.noise_common, generator)
            self._painted.append(paint(denoiser, batch, noise, self._steps))
        painted = self._painted
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
        return ImageScores(
            painted_db=round(float(torch.cat(errors).mean()), 3),
            warped_db=round(float(torch.cat(before).mean()), 3) if before else float("nan"),
            sharpness=round(sharp / real, 3),
        )

    def draw(self, denoiser: VideoDenoiser, path: Path) -> None:
        """Writes a sheet of the last call: portrait, warp, painted and real picture in each row."""
        rows: list[Tensor] = []
        for made, batch in zip(self._painted, self._batches, strict=True):
            given = batch.conditions
            shown = [made[:, 0], batch.clean[:, 0]]
            if given.warped is not None:
                shown.insert(0, given.warped[:, 0, :3])
            if isinstance(given.reference, Tensor):
                shown.insert(0, given.reference)
            rows += torch.cat(shown, dim=-1).unbind(0)
        picture = (torch.cat(rows[:: max(1, len(rows) // _SHEET_ROWS)], dim=-2).clamp(-1, 1) + 1) / 2
        pixels = (255 * picture).round().byte().permute(1, 2, 0).contiguous().numpy()
        mark = Mark(tool="auteur.lab.train.denoiser", watermark=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_image(path, np.asarray(pixels), mark=mark, overwrite=True)


def paint(denoiser: VideoDenoiser, batch: ClipBatch, noise: Tensor, steps: int) -> Tensor:
    """Returns a denoiser's pictures of a batch, [B, F, C, H, W] in [-1, 1]."""
    conditions = denoiser.prepare(batch.conditions.to(denoiser.device))
    made = sample(
        denoiser.config.noising,
        lambda now, time: denoiser(now, time, conditions),
        noise.to(denoiser.device),
        steps,
    )
    return made.float().cpu().clamp(-1, 1)


def _decibels(made: Tensor, real: Tensor, region: Tensor | None) -> Tensor:
    """PSNR of rows [B], weighted by the region, for values in [-1, 1]."""
    weight = torch.ones_like(real[:, :, :1]) if region is None else (region > 0.5).float()
    error = ((made - real).square() * weight).flatten(1).sum(1)
    mean = error / (weight.flatten(1).sum(1) * real.shape[2]).clamp(min=1)
    return 10 * torch.log10(4 / mean.clamp(min=1e-8))


def _gradient(pictures: Tensor, region: Tensor | None) -> float:
    weight = torch.ones_like(pictures[:, :, :1]) if region is None else (region > 0.5).float()
    change = (pictures[..., 1:] - pictures[..., :-1]).abs() * weight[..., 1:]
    return float(change.sum() / weight.sum().clamp(min=1))
