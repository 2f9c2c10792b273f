"""Sheets of validation pictures for the trackers: predictions over labels, on people not trained on."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from auteur.face.crops import CropFrame
from auteur.face.detector import decode_cells
from auteur.lab.data.face_crops import Shard
from auteur.lab.train.tracking_errors import read_crops
from auteur.media import write_image
from auteur.provenance import Mark

COLUMNS, PICTURES = 4, 8
TRUE_COLOUR, PREDICTED_COLOUR = (255, 80, 60), (60, 255, 90)

Picture = NDArray[np.uint8]


def write_sheet(path: Path, pictures: Sequence[Picture]) -> None:
    """Writes pictures of one size in rows of four, as a marked PNG; an older file is replaced."""
    blank = np.zeros_like(pictures[0])
    filled = [*pictures, *[blank] * (-len(pictures) % COLUMNS)]
    rows = [np.concatenate(filled[i : i + COLUMNS], axis=1) for i in range(0, len(filled), COLUMNS)]
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet = np.ascontiguousarray(np.concatenate(rows))
    write_image(
        path,
        sheet,
        mark=Mark(settings={"made for": "the validation of a training run"}, watermark=False),
        overwrite=True,
    )


def draw_landmarks(model: nn.Module, shards: Sequence[Shard], path: Path) -> None:
    """Draws the landmarks of some faces (green) over those of the teacher (red).

    Args:
        model: A landmarker in evaluation mode, on the CPU.
        shards: Labelled faces.
        path: PNG to write.
    """
    drawn: list[Picture] = []
    for shard in shards:
        rows = np.unique(np.linspace(0, len(shard.landmarks) - 1, PICTURES // 2).astype(int))
        some = Shard(
            name=shard.name,
            identities=tuple(shard.identities[i] for i in rows),
            pictures=np.asarray(shard.pictures)[rows],
            landmarks=shard.landmarks[rows],
            blendshapes=shard.blendshapes[rows],
        )
        predicted = read_crops(model, some)[0]
        for picture, true, found in zip(some.pictures, some.landmarks, predicted, strict=True):
            canvas = np.ascontiguousarray(picture)
            _dots(canvas, true, TRUE_COLOUR)
            _dots(canvas, found, PREDICTED_COLOUR)
            drawn.append(canvas)
    write_sheet(path, drawn[: 2 * PICTURES])


def _dots(canvas: Picture, points: NDArray[np.floating], colour: tuple[int, int, int]) -> None:
    """Colours the pixels under points that lie inside, in place."""
    at = points[:, :2].round().astype(int)
    inside = ((at >= 0) & (at < canvas.shape[:2][::-1])).all(axis=1)
    canvas[at[inside, 1], at[inside, 0]] = colour


@torch.inference_mode()
def draw_detections(
    model: nn.Module, pictures: Tensor, faces: Sequence[Sequence[CropFrame]], path: Path
) -> None:
    """Draws the faces that a detector finds (green) over the labelled ones (red).

    Args:
        model: A detector in evaluation mode, on the CPU.
        pictures: uint8 [N, 3, H, W].
        faces: Those of each picture.
        path: PNG to write.
    """
    some = pictures[:PICTURES]
    drawn: list[Picture] = []
    for picture, cells, known in zip(some, model(some.float() / 255), faces, strict=False):
        canvas = np.ascontiguousarray(picture.permute(1, 2, 0).numpy())
        for frame in known:
            _box(canvas, frame, TRUE_COLOUR)
        for found in decode_cells(cells, scale=1.0):
            _box(canvas, found.frame, PREDICTED_COLOUR)
        drawn.append(canvas)
    write_sheet(path, drawn)


def _box(canvas: Picture, frame: CropFrame, colour: tuple[int, int, int]) -> None:
    corners = cv2.boxPoints((frame.center_px, (frame.side_px, frame.side_px), np.degrees(frame.roll_rad)))
    cv2.polylines(canvas, [corners.round().astype(np.int32)], True, colour, 1)
