"""Preparation of a portrait before it is rendered: size, crop, background, and the models for these."""

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from auteur import weights
from auteur.face.auteur_backend import AuteurBackend
from auteur.face.backend import FaceBackend, FaceReading
from auteur.talking_head.backdrop import Backdrop, backdrop_colours
from auteur.talking_head.finishing import Finishing
from auteur.talking_head.framing import View
from auteur.talking_head.settings import Settings

Frames = NDArray[np.uint8]

TRACKER_MODELS = ("detector", "landmarker")


def staged(
    picture: Frames, reading: FaceReading, settings: Settings
) -> tuple[Frames, FaceReading, Finishing]:
    """Returns the portrait to render, its face, and the finishing of the frames.

    A portrait that is written smaller is reduced first, which saves the time of rendering what is thrown
    away. With another background its colours are those of the person alone, continued beyond the outline, so
    that no rim of the old background shows.

    Args:
        picture: RGB [H, W, 3].
        reading: Its face.
        settings: Part, size and background.
    """
    height, width = picture.shape[:2]
    view = settings.framing.view(width, height, reading.center_px)
    scale = view.size_px[0] / view.width
    if scale < 1:
        small = (max(view.size_px[0], round(width * scale)), max(view.size_px[1], round(height * scale)))
        picture = reduced(picture, *small)
        reading = scaled_reading(reading, small[0] / width, small[1] / height)
        left = min(round(view.left * scale), small[0] - view.size_px[0])
        top = min(round(view.top * scale), small[1] - view.size_px[1])
        view = View(left, top, *view.size_px, view.size_px)
    if settings.background is None:
        return picture, reading, Finishing(view)

    from auteur.synthesis.matte import PortraitMatte
    from auteur.synthesis.warp import PortraitWarper

    pixels = torch.from_numpy(picture).permute(2, 0, 1).contiguous()
    person, matte = PortraitMatte.shipped().cut_out(pixels, torch.from_numpy(reading.landmarks))
    backdrop = Backdrop(
        matte,
        PortraitWarper(person, torch.from_numpy(reading.landmarks)),
        backdrop_colours(settings.background, view.width, view.height),
    )
    return person.permute(1, 2, 0).contiguous().numpy(), reading, Finishing(view, backdrop)


def reduced(picture: Frames, width_px: int, height_px: int) -> Frames:
    """Returns a picture [H, W, 3] at a smaller size, each pixel the mean of those that it covers."""
    pixels = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    smaller = functional.interpolate(pixels, (max(1, height_px), max(1, width_px)), mode="area")[0]
    return smaller.round().byte().permute(1, 2, 0).contiguous().numpy()


def scaled_reading(reading: FaceReading, across: float, down: float) -> FaceReading:
    """Returns a face in a picture of another size; pixel centres are at whole numbers."""
    points = np.array(reading.landmarks)
    points[:, 0] = (points[:, 0] + 0.5) * across - 0.5
    points[:, 1] = (points[:, 1] + 0.5) * down - 0.5
    points[:, 2] *= across
    return replace(reading, landmarks=points)


def tracker_models(backend: FaceBackend) -> dict[str, str]:
    """Returns name and version of the tracker that read the portrait's face."""
    if isinstance(backend, AuteurBackend):
        return {name: weights.version(name) for name in TRACKER_MODELS}
    return {f"face backend {backend.name}": str(getattr(backend, "version", "unknown"))}
