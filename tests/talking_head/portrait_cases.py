"""Portraits that are hard to animate, made of one photograph by moving it and painting on it."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from auteur.face.backend import FaceReading
from auteur.face.pose import HeadPose, head_pose, rotation_of, with_pose, without_pose
from auteur.motion.au_basis import AUBasis
from auteur.motion.portrait import apply_to
from auteur.synthesis.warp import PortraitWarper
from auteur.weights import load_shipped

Picture = NDArray[np.uint8]
Points = NDArray[np.floating]

MASK = (234, 116, 50, 195, 280, 345, 454, 361, 365, 152, 136, 132)
BEARD = (*MASK[:3], 165, 39, 0, 269, 391, *MASK[4:])
"""Outlines of what covers a face from its cheeks down."""


def hard_portraits(photo: Picture, reading: FaceReading) -> dict[str, Picture]:
    """Returns pictures uint8 [H, W, 3] by what is hard about them."""
    own = reading.landmarks
    basis = load_shipped(AUBasis(), "au_basis")
    still = np.zeros((1, 478, 3))
    shout = basis.displacement({"AU25": 1.0, "AU26": 1.0})[None] + basis.displacement({"AU26": 1.0})[None]
    return {
        "eyes closed": _moved(photo, own, apply_to(own, still, lids=np.ones((1, 2)))[0]),
        "mouth open": _moved(photo, own, apply_to(own, shout)[0]),
        "turned": _turned(*_turned(photo, own, yaw=-32.0), yaw=-8.0)[0],
        "head back": _turned(photo, own, pitch=20.0)[0],
        "glasses": _painted(photo, lambda pen, k: _glasses(pen, own * k), (25, 22, 20)),
        "beard": _painted(photo, lambda pen, k: _beard(pen, own * k), (60, 42, 30), grain=18),
        "microphone": _painted(photo, lambda pen, k: _microphone(pen, own * k), (45, 45, 48), grain=12),
        "mask": _painted(photo, lambda pen, k: _around(pen, own * k, MASK), (170, 200, 215), grain=3),
        "greyscale": _toned(photo, (1.0, 1.0, 1.0)),
        "sepia": _toned(photo, (1.07, 0.9, 0.68)),
        "drawing": _drawn(photo),
        "face of 60 px": _sized(photo, 60 / reading.size_px),
        "large face": _sized(photo, 4.0),
        "two faces": np.concatenate([photo, _sized(photo, 0.8, onto=photo.shape[0])], axis=1),
    }


def _moved(photo: Picture, own: Points, landmarks: Points) -> Picture:
    warper = PortraitWarper(torch.from_numpy(photo).permute(2, 0, 1).contiguous(), torch.from_numpy(own))
    moved = warper.render(torch.from_numpy(landmarks.astype(np.float32))[None])[0]
    return moved.permute(1, 2, 0).contiguous().numpy()


def _turned(photo: Picture, own: Points, *, yaw: float = 0.0, pitch: float = 0.0) -> tuple[Picture, Points]:
    pose = head_pose(own)
    rotation = rotation_of(pose.angles_rad + np.radians([pitch, yaw, 0.0]))
    landmarks = with_pose(without_pose(own, pose), HeadPose(rotation, pose.scale, pose.shift))
    landmarks = landmarks.astype(np.float32)
    return _moved(photo, own, landmarks), landmarks


def _painted(
    photo: Picture,
    draw: Callable[[ImageDraw.ImageDraw, int], None],
    colour: tuple[int, int, int],
    grain: float = 0,
) -> Picture:
    """The photograph with what `draw` draws at four times its size, in a colour with some grain."""
    times = 4
    mask = Image.new("L", (photo.shape[1] * times, photo.shape[0] * times))
    draw(ImageDraw.Draw(mask), times)
    mask = mask.resize((photo.shape[1], photo.shape[0]), Image.Resampling.BOX).filter(
        ImageFilter.GaussianBlur(0.6)
    )
    cover = np.asarray(mask)[..., None] / 255
    paint = np.array(colour) + np.random.default_rng(0).normal(0, grain, photo.shape)
    return np.clip(photo * (1 - cover) + paint * cover, 0, 255).astype(np.uint8)


def _around(pen: ImageDraw.ImageDraw, own: Points, outline: tuple[int, ...], fill: int = 255) -> None:
    pen.polygon([(float(x), float(y)) for x, y, *_ in own[list(outline)]], fill=fill)


def _beard(pen: ImageDraw.ImageDraw, own: Points) -> None:
    _around(pen, own, BEARD, 220)
    _around(
        pen,
        own,
        (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146),
        0,
    )


def _glasses(pen: ImageDraw.ImageDraw, own: Points) -> None:
    unit = float(np.linalg.norm(own[33, :2] - own[263, :2]))
    for corners in ((33, 133), (362, 263)):
        x, y = own[list(corners), :2].mean(0)
        box = (x - 0.23 * unit, y - 0.17 * unit, x + 0.23 * unit, y + 0.17 * unit)
        pen.ellipse(box, outline=255, width=max(1, round(0.03 * unit)))
    bridge = [(float(own[i, 0]), float(own[i, 1])) for i in (133, 362)]
    pen.line(bridge, fill=255, width=max(1, round(0.025 * unit)))


def _microphone(pen: ImageDraw.ImageDraw, own: Points) -> None:
    unit = float(np.linalg.norm(own[33, :2] - own[263, :2]))
    x, y = own[14, :2] + np.array([0.1, 0.22]) * unit
    pen.ellipse((x - 0.3 * unit, y - 0.3 * unit, x + 0.3 * unit, y + 0.3 * unit), fill=255)
    pen.rectangle((x - 0.12 * unit, y, x + 0.12 * unit, y + 4 * unit), fill=255)


def _toned(photo: Picture, tone: tuple[float, float, float]) -> Picture:
    grey = photo @ np.array([0.299, 0.587, 0.114])
    return np.clip(grey[..., None] * np.array(tone), 0, 255).astype(np.uint8)


def _drawn(photo: Picture) -> Picture:
    """A pencil drawing: what is darker than its surroundings."""
    grey = Image.fromarray(photo).convert("L")
    around = np.asarray(grey.filter(ImageFilter.GaussianBlur(5)), dtype=float) + 1
    lines = np.clip(255 * (np.asarray(grey) / around) ** 1.8, 0, 255).astype(np.uint8)
    return np.repeat(lines[..., None], 3, axis=2)


def _sized(photo: Picture, times: float, *, onto: int | None = None) -> Picture:
    size = (round(photo.shape[1] * times), round(photo.shape[0] * times))
    small = np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.LANCZOS))
    if onto is None:
        return np.array(small)
    whole = np.full((onto, onto, 3), 128, np.uint8)
    whole[: small.shape[0], : small.shape[1]] = small
    return whole
