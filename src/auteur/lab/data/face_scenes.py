"""Training pictures for the face detector: labelled scenes, scaled, turned, degraded, side by side."""

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch.utils.data import IterableDataset, get_worker_info

from auteur.errors import InputError
from auteur.face import crops
from auteur.face.crops import CropFrame
from auteur.face.detector import target_cells
from auteur.lab.data.face_crops import Picture, spoil
from auteur.lab.data.splits import is_held_out

CANVAS_SIZE_PX = 256
SMALLEST_FACE_PX = 9.0


@dataclass(frozen=True)
class LabelledScene:
    """A picture on disk and the faces in it."""

    path: Path
    identity: str
    faces: tuple[CropFrame, ...]


def read_scenes(labels: Path) -> tuple[list[LabelledScene], list[LabelledScene]]:
    """Returns (training, held-out) scenes of a label folder, split by person."""
    faces: dict[str, list[CropFrame]] = {}
    person: dict[str, str] = {}
    with (labels / "scenes.csv").open(encoding="utf-8") as table:
        for row in csv.DictReader(table):
            person[row["file"]] = row["identity"]
            found = faces.setdefault(row["file"], [])
            if row["side"]:
                center = (float(row["center_x"]), float(row["center_y"]))
                found.append(CropFrame(center, float(row["side"]), float(row["roll"])))
    scenes = [
        LabelledScene(labels / "scenes" / name, person[name], tuple(found)) for name, found in faces.items()
    ]
    held_out = [scene for scene in scenes if is_held_out(scene.identity)]
    return [scene for scene in scenes if not is_held_out(scene.identity)], held_out


class SceneMosaics(IterableDataset[dict[str, torch.Tensor]]):
    """An endless stream of 256 × 256 canvases: up to four scenes at any scale, some with all faces erased."""

    def __init__(self, scenes: list[LabelledScene], *, seed: int) -> None:
        self.scenes, self.seed = scenes, seed
        identities = [scene.identity for scene in scenes]
        _, inverse, counts = np.unique(identities, return_inverse=True, return_counts=True)
        weights = 1 / np.sqrt(counts[inverse])
        # Photographs are closely cropped faces of thousands of people; clips show bodies and rooms.
        clips = counts[inverse] > 5
        weights[clips] *= 0.4 * weights.sum() / weights[clips].sum() if clips.any() else 1
        self.weights = weights / weights.sum()

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        worker = get_worker_info()
        random = np.random.default_rng([self.seed, worker.id if worker else 0])
        cv2.setNumThreads(0)
        while True:
            yield self.sample(random)

    def sample(self, random: Generator) -> dict[str, torch.Tensor]:
        """Returns a canvas with its target: `picture` [3, 256, 256], `cells` and `counts`."""
        canvas, faces = self.mosaic(random)
        cells, counts = target_cells(faces, CANVAS_SIZE_PX)
        picture = torch.from_numpy(np.ascontiguousarray(spoil(canvas, random).transpose(2, 0, 1)))
        return {"picture": picture, "cells": cells, "counts": counts}

    def mosaic(self, random: Generator) -> tuple[Picture, list[CropFrame]]:
        """Returns a canvas [256, 256, 3] and the visible faces on it."""
        canvas = background(random) if random.random() < 0.35 else self.face_free(random)
        faces: list[CropFrame] = []
        for pick in random.choice(len(self.scenes), size=int(random.choice([1, 1, 1, 2, 4])), p=self.weights):
            faces = self.paste(canvas, faces, self.scenes[pick], random)
        if random.random() < 0.2:
            for face in faces:
                erase(canvas, face, random)
            faces = []
        return canvas, faces

    def face_free(self, random: Generator) -> Picture:
        """Returns a canvas cut from beside the faces of a scene: walls, rooms, clothes, hair."""
        scene = self.scenes[int(random.integers(len(self.scenes)))]
        picture = _read(scene.path, half=True)
        height, width = picture.shape[:2]
        for _ in range(8):
            side = int(random.uniform(0.15, 0.6) * min(height, width))
            x, y = int(random.integers(width - side)), int(random.integers(height - side))
            if not any(_overlaps(face, 2 * x, 2 * y, 2 * side) for face in scene.faces):
                patch = np.ascontiguousarray(picture[y : y + side, x : x + side])
                return cv2.resize(patch, (CANVAS_SIZE_PX, CANVAS_SIZE_PX))
        return background(random)

    def paste(
        self, canvas: Picture, faces: list[CropFrame], scene: LabelledScene, random: Generator
    ) -> list[CropFrame]:
        """Lays a scene onto the canvas and returns its visible faces."""
        largest = max((face.side_px for face in scene.faces), default=300.0)
        size = math.exp(random.uniform(math.log(SMALLEST_FACE_PX), math.log(0.9 * CANVAS_SIZE_PX)))
        half = size < 0.5 * largest
        picture = _read(scene.path, half=half)
        own = [_scaled(face, 0.5) for face in scene.faces] if half else list(scene.faces)
        if random.random() < 0.5:
            picture, own = mirrored(picture, own)
        frame = CropFrame((0.0, 0.0), 1.0, float(random.normal(0, 0.15)))
        matrix = frame.matrix(1) * size / (0.5 * largest if half else largest)
        anchor = own[0].center_px if own else (picture.shape[1] / 2, picture.shape[0] / 2)
        room = min(0.5 * size, 0.45 * CANVAS_SIZE_PX)
        matrix[:, 2] = random.uniform(room, CANVAS_SIZE_PX - room, 2) - matrix[:, :2] @ anchor
        shown = np.full(picture.shape[:2], 255, np.uint8)
        if own and random.random() < 0.4:  # the head alone, without its rectangle
            shown = _head(shown, own)
        covered = _lay(canvas, np.ascontiguousarray(picture), shown, matrix)
        still_seen = [face for face in faces if not _mostly(covered, face)]
        moved = [_moved(face, matrix) for face in own]
        return still_seen + [face for face in moved if face.side_px >= 0.8 * SMALLEST_FACE_PX]


def _read(path: Path, *, half: bool) -> Picture:
    """Returns a scene in RGB, at half its size if requested (JPEG does that while decoding, for less)."""
    picture = cv2.imread(str(path), cv2.IMREAD_REDUCED_COLOR_2 if half else cv2.IMREAD_COLOR)
    if picture is None:
        raise InputError(f"cannot read the scene {str(path)!r}; label the pictures again")
    return picture[..., ::-1]


def _scaled(face: CropFrame, scale: float) -> CropFrame:
    return CropFrame(
        (face.center_px[0] * scale, face.center_px[1] * scale), face.side_px * scale, face.roll_rad
    )


def _overlaps(face: CropFrame, x: float, y: float, side: float) -> bool:
    reach = 0.6 * face.side_px
    apart_x = face.center_px[0] + reach < x or face.center_px[0] - reach > x + side
    apart_y = face.center_px[1] + reach < y or face.center_px[1] - reach > y + side
    return not (apart_x or apart_y)


def _head(shown: Picture, faces: list[CropFrame]) -> Picture:
    mask = np.zeros_like(shown)
    for face in faces:
        center = (round(face.center_px[0]), round(face.center_px[1] - 0.1 * face.side_px))
        axes = (round(0.55 * face.side_px), round(0.75 * face.side_px))
        cv2.ellipse(mask, center, axes, math.degrees(face.roll_rad), 0, 360, 255, -1)
    return mask


def _moved(face: CropFrame, matrix: NDArray[np.floating]) -> CropFrame:
    scale = math.sqrt(abs(np.linalg.det(matrix[:, :2])))
    center = crops.apply(matrix, np.array(face.center_px))
    eye_line = matrix[:, :2] @ np.array([math.cos(face.roll_rad), math.sin(face.roll_rad)])
    return CropFrame(
        (float(center[0]), float(center[1])), face.side_px * scale, math.atan2(eye_line[1], eye_line[0])
    )


def _lay(
    canvas: Picture, picture: Picture, shown: Picture, matrix: NDArray[np.floating]
) -> NDArray[np.bool_]:
    """Draws what is `shown` of a picture onto the canvas and returns the pixels it covers."""
    scale = math.sqrt(abs(np.linalg.det(matrix[:, :2])))
    if scale < 0.7:  # average first, so that small faces do not alias
        size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
        ratio = np.array([size[0] / picture.shape[1], size[1] / picture.shape[0]])
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        shown = cv2.resize(shown, size, interpolation=cv2.INTER_AREA)
        linear = matrix[:, :2] / ratio
        # A pixel centre p of the large picture is the point (p + 0.5) * ratio - 0.5 of the small one.
        matrix = np.concatenate([linear, (matrix[:, 2] + linear @ (0.5 - 0.5 * ratio))[:, None]], axis=1)
    drawn = cv2.warpAffine(picture, matrix, (CANVAS_SIZE_PX,) * 2, borderMode=cv2.BORDER_REPLICATE)
    opacity = cv2.warpAffine(shown, matrix, (CANVAS_SIZE_PX,) * 2)[..., None].astype(np.float32) / 255
    canvas[:] = (canvas * (1 - opacity) + drawn * opacity + 0.5).astype(np.uint8)
    return opacity[..., 0] > 0.5


def _mostly(covered: NDArray[np.bool_], face: CropFrame) -> bool:
    x, y = face.center_px
    reach = 0.35 * face.side_px
    rows = slice(max(0, int(y - reach)), max(0, int(y + reach) + 1))
    columns = slice(max(0, int(x - reach)), max(0, int(x + reach) + 1))
    part = covered[rows, columns]
    return bool(part.size and part.mean() > 0.3)


def mirrored(picture: Picture, faces: list[CropFrame]) -> tuple[Picture, list[CropFrame]]:
    """Returns a picture and its faces as a mirror shows them."""
    width = picture.shape[1]
    turned = [CropFrame((width - 1 - f.center_px[0], f.center_px[1]), f.side_px, -f.roll_rad) for f in faces]
    return np.ascontiguousarray(picture[:, ::-1]), turned


def background(random: Generator) -> Picture:
    """Returns a face-free canvas: a colour, a gradient or noise of any grain."""
    cells = int(random.choice([1, 2, 4, 12, 40, 128]))
    noise = random.integers(0, 256, (cells, cells, 3)).astype(np.uint8)
    mode = cv2.INTER_CUBIC if random.random() < 0.7 else cv2.INTER_NEAREST
    return cv2.resize(noise, (CANVAS_SIZE_PX, CANVAS_SIZE_PX), interpolation=mode)


def erase(canvas: Picture, face: CropFrame, random: Generator) -> None:
    """Replaces a face by its own mean colour, by noise, or by a shuffled version of itself."""
    x, y, reach = *face.center_px, 0.6 * face.side_px
    rows = slice(max(0, int(y - reach)), max(0, int(y + reach) + 1))
    columns = slice(max(0, int(x - reach)), max(0, int(x + reach) + 1))
    part = canvas[rows, columns]
    if not part.size:
        return
    kind = random.random()
    if kind < 0.4:
        canvas[rows, columns] = cv2.GaussianBlur(part, (0, 0), max(1.0, 0.35 * face.side_px))
    elif kind < 0.7:
        canvas[rows, columns] = cv2.resize(background(random), (part.shape[1], part.shape[0]))
    else:
        pieces = np.array_split(random.permutation(part.shape[0]), 6)
        canvas[rows, columns] = part[np.concatenate([np.sort(piece) for piece in pieces])]
