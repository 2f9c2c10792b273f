r"""What the compact denoiser makes of mouths in photographs of people it never saw, beside the warp.

    python benchmarks/painted_photos.py --views PHOTO_VIEWS --denoiser FILE [--clips 256] [--sheet FILE.png]

`PHOTO_VIEWS` are prepared photographs with the feature "views": lips brought together by the warp and opened
again; the photograph is what should have come of it. Printed for warp and paint: decibels of what shows
between the lips, and the auteur perceptual distance of the square around the mouth; means over clips drawn
with a fixed seed.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from torch import Tensor
from torch.nn import functional

from auteur.evaluate.face_features import FaceFeatureNet, perceptual_distance
from auteur.face.landmarker import CROP_SIZE_PX
from auteur.lab.data.denoiser_clips import ClipFolder
from auteur.lab.data.face_views import REGION_FLOOR
from auteur.lab.data.shards import Corpora
from auteur.lab.train.validation_images import paint
from auteur.media import write_image
from auteur.provenance import Mark
from auteur.synthesis.denoiser.storage import load_denoiser
from auteur.synthesis.losses import draw_noise
from auteur.synthesis.noise import step_generator

ROWS = 16


@dataclass(frozen=True)
class Recipe:
    """What to measure."""

    views: Path
    denoiser: Path
    clips: int = 256
    sheet: Path | None = None
    """PNG file for a few mouths: warp, paint, photograph."""


def main(recipe: Recipe) -> None:
    torch.set_num_threads(1)
    denoiser, net = load_denoiser(recipe.denoiser), FaceFeatureNet()
    held = ClipFolder(
        Corpora(shards=(recipe.views,)), names=denoiser.condition_names, part="test", medium="picture"
    )
    found: dict[tuple[str, str], list[Tensor]] = defaultdict(list)
    shown: list[Tensor] = []
    for number in range(-(-recipe.clips // ROWS)):
        batch = held.batch(ROWS, 1, step_generator(0, f"photos:{number}"))
        noise = draw_noise(batch.clean, denoiser.config.noise_common, step_generator(1, f"photos:{number}"))
        with torch.inference_mode():
            painted = paint(denoiser, batch, noise, denoiser.config.paints_in or 4)[:, 0]
        assert batch.region is not None and batch.conditions.warped is not None  # noqa: S101 - as views are made
        mask = ((batch.region[:, 0] - REGION_FLOOR) / (1 - REGION_FLOOR)).clamp(0, 1)
        real, warped = batch.clean[:, 0], batch.conditions.warped[:, 0, :3]
        laid = torch.lerp(warped, painted, mask)
        for name, made in (("warp", warped), ("painted", laid)):
            error = ((made - real).square() * (mask > 0.5)).flatten(1).sum(1)
            pixels = 3 * (mask > 0.5).flatten(1).sum(1).clamp(min=1)
            found[name, "opening_psnr_db"].append(10 * torch.log10(4 * pixels / error.clamp(min=1e-6)))
            found[name, "mouth_distance"].append(distance(net, made, real))
        if number == 0:
            shown = [torch.cat(row, dim=-1) for row in zip(warped, laid, real, strict=True)]
    for (name, measure), values in found.items():
        print(f"{name:8s} {measure:16s} {float(torch.cat(values).mean()):.4f}")
    if recipe.sheet is not None:
        write_sheet(recipe.sheet, shown)


def distance(net: FaceFeatureNet, made: Tensor, real: Tensor) -> Tensor:
    """The auteur perceptual distance [B] of squares [B, 3, S, S] with values in [-1, 1]."""
    sides = (CROP_SIZE_PX, CROP_SIZE_PX)
    one, other = (
        net.describe(functional.interpolate((p.clamp(-1, 1) + 1) / 2, sides, mode="bilinear"))
        for p in (made, real)
    )
    return torch.from_numpy(perceptual_distance(one, other))


def write_sheet(path: Path, rows: Sequence[Tensor]) -> None:
    """Rows of pictures [3, S, W], below one another."""
    pixels = (255 * (torch.cat(list(rows), dim=-2).clamp(-1, 1) + 1) / 2).round().byte()
    write_image(
        path, pixels.permute(1, 2, 0).contiguous().numpy(), mark=Mark(tool="benchmarks"), overwrite=True
    )


if __name__ == "__main__":
    main(tyro.cli(Recipe))
