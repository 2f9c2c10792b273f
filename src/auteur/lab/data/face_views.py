"""Clips of the compact denoiser: a face, and the same frames warped from another moment.

A sample of prepared shards is cut into spans. For each, some other frame of the sample is taken as the
portrait and warped to the span's landmarks; both are cut to the views that the denoiser paints. All of it is
done once more in a mirror, with left and right Action Units exchanged. Pictures are bytes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from auteur.errors import InputError
from auteur.expression.space import CompactExpressionSpace
from auteur.face import crops
from auteur.face.crops import CropFrame
from auteur.face.pose import MIRROR, head_pose, without_pose
from auteur.facs import au_track, mirror
from auteur.lab.data.motion_tracks import RATE
from auteur.lab.data.shards import Sample
from auteur.painting.au_drawing import draw_landmarks
from auteur.painting.compositing import CropRegion, painted_areas
from auteur.synthesis.canonical_crops import crop_frames
from auteur.synthesis.conditioners.audio import windows_around
from auteur.synthesis.masks import holes
from auteur.synthesis.warp import PortraitWarper

Floats = NDArray[np.floating]
Clip = Mapping[str, Tensor]

AUDIO_WINDOW = 5
REGION_FLOOR = 0.05
"""Weight of pixels that are not painted in the end, relative to those that are."""
_MOST_TURNED_RAD = 0.6
"""Between the portrait and the middle of a span; beyond, the warp has too little of the far side."""
_TRIES = 20


@dataclass(frozen=True)
class ViewSettings:
    """How a face is cut."""

    size_px: int = 128
    span_frames: int = 40
    views: tuple[str, ...] = ("mouth",)
    """Of `auteur.synthesis.canonical_crops`."""
    paints: str = "lips"
    """As in the config of the denoiser: openings or lips."""
    least_painted: float = 0.01
    """Least painted share of the square; spans below, such as those of closed mouths, are left out."""
    seed: int = 0


@dataclass(frozen=True, kw_only=True, eq=False)
class FacePiece:
    """A face without a cut, T frames at 25 per second."""

    name: str
    person: str
    pictures: NDArray[np.uint8]
    """[T, S, S, 3]."""
    landmarks: NDArray[np.float32]
    """[T, 478, 3] px of the pictures."""
    units: NDArray[np.float32]
    """Action Units in [0, 1], convention "feafa24", [T, 24]."""
    expression: NDArray[np.float32]
    """Vectors of the compact space, [T, 50]."""
    speech: NDArray[np.float32] | None
    """Features of the compact encoder, [T, 80]; None without speech."""


def piece_of(sample: Sample) -> FacePiece:
    """Returns the face of a sample."""
    return FacePiece(
        name=sample.key,
        person=sample.record["person"],
        pictures=sample.frames(),
        landmarks=sample.array("landmarks"),
        units=np.clip(sample.array("au.feafa24"), 0, 1),
        expression=sample.array("expression.compact50"),
        speech=sample.array("speech") if sample.has("speech") else None,
    )


def mirrored(piece: FacePiece) -> FacePiece:
    """Returns the piece in a mirror."""
    side = piece.pictures.shape[2]
    landmarks = piece.landmarks[:, MIRROR].copy()
    landmarks[..., 0] = side - 1 - landmarks[..., 0]
    space = CompactExpressionSpace.shipped()
    return replace(
        piece,
        name=f"{piece.name}_mirrored",
        pictures=np.ascontiguousarray(piece.pictures[:, :, ::-1]),
        landmarks=landmarks,
        units=np.array(mirror(au_track(piece.units, convention="feafa24", rate=RATE)).values),
        expression=space.of_unknown_people(without_pose(landmarks)).astype(np.float32),
    )


def clips_of(piece: FacePiece, recipe: ViewSettings, random: Generator) -> Iterator[tuple[str, Clip]]:
    """Yields name and tensors of every span and view of a piece."""
    length = len(piece.landmarks)
    turned = head_pose(piece.landmarks).rotation
    for first in range(0, length, recipe.span_frames):
        stop = min(first + recipe.span_frames, length)
        if stop - first < recipe.span_frames // 2 and first:
            continue
        portrait = _portrait_for(turned, (first + stop) // 2, random)
        seen = views_of(
            piece,
            slice(first, stop),
            portrait,
            views=recipe.views,
            size_px=recipe.size_px,
            paints=recipe.paints,
        )
        try:
            for view, clip in seen:
                if clip["region"].float().mean() / 255 >= REGION_FLOOR + recipe.least_painted:
                    yield f"{piece.name}_{first:04d}_{view}", clip
        except InputError:  # a face so turned that it cannot be warped
            continue


def views_of(
    piece: FacePiece, span: slice, portrait: int, *, views: Sequence[str], size_px: int, paints: str
) -> Iterator[tuple[str, dict[str, Tensor]]]:
    """Yields views and the tensors of a clip: frames of a piece, and one of its frames warped to them.

    Args:
        piece: The face.
        span: Its frames.
        portrait: The frame that is warped.
        views: Of `auteur.synthesis.canonical_crops`.
        size_px: Side of their squares.
        paints: As in the config of the denoiser.

    Raises:
        InputError: The portrait cannot be warped.
    """
    warper = PortraitWarper(
        torch.from_numpy(piece.pictures[portrait]).permute(2, 0, 1).contiguous(),
        torch.from_numpy(piece.landmarks[portrait]),
    )
    warped, moved = warper.render_with_landmarks(torch.from_numpy(piece.landmarks[span]))
    for view in views:
        yield view, _Seen(piece, view, size_px, paints).clip(span, portrait, warped, moved)


class _Seen:
    """A piece through one view."""

    def __init__(self, piece: FacePiece, view: str, size_px: int, paints: str) -> None:
        self._piece, self._view, self._size, self._paints = piece, view, size_px, paints

    def clip(self, span: slice, portrait: int, warped: Tensor, moved: Tensor) -> dict[str, Tensor]:
        """Returns the tensors of a span: warped pictures [T, 3, H, W], the warp's landmarks [T, 478, 3]."""
        piece, size = self._piece, self._size
        frames = crop_frames(moved.numpy(), self._view)
        own = crop_frames(piece.landmarks[portrait][None], self._view)
        clip = {
            "clean": self._cut(piece.pictures[span], frames),
            "warped": torch.cat(
                [self._cut(warped.permute(0, 2, 3, 1).numpy(), frames), self._valid(moved, frames)], dim=1
            ),
            "landmarks": _bytes(draw_landmarks(moved.numpy(), frames, size_px=size)),
            "region": self._region(moved, frames, torch.from_numpy(piece.landmarks[portrait])),
            "reference": self._cut(piece.pictures[portrait][None], own)[0],
            "landmarks_reference": _bytes(draw_landmarks(piece.landmarks[portrait][None], own, size_px=size))[
                0
            ],
            "au": torch.from_numpy(piece.units[span]),
            "expression": torch.from_numpy(piece.expression[span]),
        }
        if piece.speech is not None:
            windows = windows_around(torch.from_numpy(piece.speech), AUDIO_WINDOW)
            clip["audio"] = windows[span].half()
        return clip

    def _cut(self, pictures: NDArray[np.uint8], frames: list[CropFrame]) -> Tensor:
        cut = [crops.cut(torch.from_numpy(p), f, self._size) for p, f in zip(pictures, frames, strict=True)]
        return _bytes(torch.stack(cut))

    def _places(self, moved: Tensor, frames: list[CropFrame]) -> Iterator[tuple[CropFrame, Tensor]]:
        """The squares, and the landmarks in their pixels."""
        for frame, points in zip(frames, moved.numpy(), strict=True):
            yield frame, torch.from_numpy(crops.apply(frame.matrix(self._size), points[:, :2])).float()

    def _valid(self, moved: Tensor, frames: list[CropFrame]) -> Tensor:
        height, width = self._piece.pictures.shape[1:3]
        valid: list[Tensor] = []
        for frame, points in self._places(moved, frames):
            region = CropRegion(frame, self._size, width, height)
            valid.append(region.in_picture * (1 - holes(points, region.own_pixels)))
        return _bytes(torch.stack(valid)[:, None])

    def _region(self, moved: Tensor, frames: list[CropFrame], own: Tensor) -> Tensor:
        """Weights of the pixels: 1 where they are painted in the end, small elsewhere."""
        height, width = self._piece.pictures.shape[1:3]
        regions = [CropRegion(frame, self._size, width, height) for frame in frames]
        painted = painted_areas(moved, own, regions, self._view, self._paints, inside=[1.0] * len(regions))
        return _bytes(REGION_FLOOR + (1 - REGION_FLOOR) * painted[:, None])


def _bytes(shares: Tensor) -> Tensor:
    return (255 * shares).clamp(0, 255).round().byte()


def _portrait_for(rotations: Floats, middle: int, random: Generator) -> int:
    """A frame at random that is not turned too far from the middle of the span."""
    chosen = int(random.integers(len(rotations)))
    for _ in range(_TRIES):
        between = np.trace(rotations[chosen].T @ rotations[middle])
        if np.arccos(np.clip((between - 1) / 2, -1, 1)) <= _MOST_TURNED_RAD:
            break
        chosen = int(random.integers(len(rotations)))
    return chosen


def views_of_sample(sample: Sample, settings: ViewSettings) -> Iterator[tuple[str, Clip]]:
    """Yields name and tensors of every clip of a sample and of its mirror image."""
    piece = piece_of(sample)
    for one in (piece, mirrored(piece)):
        random = np.random.default_rng([settings.seed, crc32(one.name.encode())])
        for name, clip in clips_of(one, settings, random):
            yield name.removeprefix(f"{sample.key}_"), clip
