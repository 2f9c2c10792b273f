r"""What Action Units do to pixels by shading alone: the tables of weights/skin_shading.md.

    python benchmarks/skin_shading.py --portraits face1.jpg face2.jpg [--shards SHARDS] [--sheet SHEET.png]

Paint alone: the geometry stays that of the portrait, one unit rises from 0 to 1 in quarters. Read is the edge
energy (mean gradient of luminance, blurred by a hundredth of the eye distance) of the region in which FACS
describes furrows or folds of the unit. Regions are polygons of mesh vertices, drawn before the first reading.

With shards: clips of held-out people on the mean face. The frame at rest, shaded by the measured units of
every other frame, against that frame: squared error of the logarithm relative to that of no shading.
"""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import tyro
from numpy.typing import NDArray

from auteur.face.auteur_backend import AuteurBackend
from auteur.face.pose import MIRROR
from auteur.lab.data.shards import Corpora
from auteur.lab.train.skin_shading import clips_of
from auteur.media import read_image, write_image
from auteur.provenance import Mark
from auteur.signals.topology import LEFT_IRIS, RIGHT_IRIS
from auteur.synthesis.warp import PortraitWarper
from auteur.synthesis.warp.skin_shading import (
    COLUMNS,
    ROWS,
    SHADED_UNITS,
    SHADING_CONTROLS,
    SkinShading,
    texture_vertices,
)
from auteur.weights import load_shipped

Floats = NDArray[np.floating]

REGIONS: dict[int, tuple[tuple[int, ...], ...]] = {
    1: ((67, 297, 337, 9, 108, 107, 336, 104, 333),),
    4: ((107, 336, 285, 168, 55),),
    6: ((226, 111, 117, 118, 119, 120, 23, 110, 25),),
    9: ((55, 285, 417, 456, 236, 193), (193, 245, 114, 217, 198)),
    10: ((129, 203, 206, 92, 165, 98),),
    12: ((203, 205, 187, 207, 216, 206),),
    15: ((57, 186, 212, 202, 204, 43),),
    17: ((83, 313, 421, 199, 201),),
}
"""Vertices around furrows of the middle and the right side; the left one is their mirror image."""
MUST_RISE = (4, 6, 9, 10, 12, 17)
LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Benchmark:
    """Where things are."""

    portraits: tuple[Path, ...] = ()
    shards: tuple[Path, ...] = ()
    """Of `python -m auteur.lab.data.face_teacher`."""
    sheet: Path | None = None


def mask_of(unit: int, points: Floats, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """The region of a unit in a picture of this shape, for landmarks [478, 3] px."""
    mask = np.zeros(shape, np.uint8)
    for outline in REGIONS[unit]:
        for vertices in (list(outline), [int(MIRROR[vertex]) for vertex in outline]):
            hull = cv2.convexHull(points[vertices, :2].astype(np.float32))
            cv2.fillConvexPoly(mask, np.round(hull).astype(np.int32), 1)
    return mask > 0


def edge_energy(picture: NDArray[np.uint8], mask: NDArray[np.bool_], sigma_px: float) -> float:
    """Mean gradient of luminance in the mask, grey levels per pixel."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    grey = cv2.GaussianBlur(grey, (0, 0), max(0.6, sigma_px))
    down, across = np.gradient(grey)
    return float(np.hypot(down, across)[mask].mean())


def paint_alone(path: Path) -> tuple[dict[int, list[float]], NDArray[np.uint8]]:
    """Edge energy of every unit's region at `LEVELS`, and the portrait with each unit at 1, side by side."""
    picture = read_image(path)
    (face, *_) = AuteurBackend().find(picture)
    points = torch.from_numpy(face.landmarks).float()
    warper = PortraitWarper(torch.from_numpy(picture).permute(2, 0, 1).contiguous(), points)
    eyes_px = float((points[LEFT_IRIS[0], :2] - points[RIGHT_IRIS[0], :2]).norm())
    found, tiles = dict[int, list[float]](), [picture]
    for unit in REGIONS:
        mask = mask_of(unit, face.landmarks, picture.shape[:2])
        columns = [i for i, name in enumerate(SHADING_CONTROLS) if name.rstrip("LR") == f"AU{unit}"]
        units = torch.zeros(len(LEVELS), len(SHADING_CONTROLS))
        units[:, columns] = torch.tensor(LEVELS)[:, None]
        frames = warper.render(points[None].expand(len(LEVELS), -1, -1), units).permute(0, 2, 3, 1).numpy()
        if not np.array_equal(frames[0], picture):
            raise SystemExit(f"{path}: Action Units of 0 change the picture")
        found[unit] = [edge_energy(frame, mask, 0.01 * eyes_px) for frame in frames]
        tiles.append(frames[-1])
    low, high = face.landmarks[:468, :2].min(0).astype(int), face.landmarks[:468, :2].max(0).astype(int)
    cut = [cv2.resize(t[max(0, low[1]) : high[1], max(0, low[0]) : high[0]], (200, 240)) for t in tiles]
    return found, np.concatenate(cut, axis=1)


def explained(shards: tuple[Path, ...]) -> dict[int, tuple[float, int]]:
    """Squared error with shading relative to without: median of held-out people and their number, by unit."""
    model = load_shipped(SkinShading(), "skin_shading")
    whole = torch.cat([model.ratios, model.ratios.flip(-1)], dim=-1).reshape(len(SHADED_UNITS), -1).numpy()
    vertices = np.zeros((478, 3))
    vertices[:468] = texture_vertices().numpy()
    masks = {unit: mask_of(unit, vertices, (ROWS, COLUMNS)).reshape(-1) for unit in REGIONS}
    people: dict[str, dict[int, list[float]]] = {}
    for clip in clips_of(Corpora(shards=shards), 3, part="held_out"):
        rest = int(clip.units.sum(1).argmin())
        change = clip.logarithms.mean(1) - clip.logarithms.mean(1)[rest]
        predicted = (clip.units - clip.units[rest]) @ whole
        for unit, mask in masks.items():
            if np.ptp(clip.units[:, SHADED_UNITS.index(unit)]) < 0.2:  # the unit does not move in this clip
                continue
            share = np.square(change - predicted)[:, mask].mean() / np.square(change)[:, mask].mean()
            people.setdefault(clip.person, {}).setdefault(unit, []).append(float(share))
    table: dict[int, tuple[float, int]] = {}
    for unit in masks:
        shares = [np.mean(found[unit]) for found in people.values() if unit in found]
        table[unit] = (float(np.median(shares)) if shares else float("nan"), len(shares))
    return table


def main(run: Benchmark) -> None:
    """Prints both tables."""
    rises: dict[int, list[list[float]]] = {unit: [] for unit in REGIONS}
    rows: list[NDArray[np.uint8]] = []
    for path in run.portraits:
        found, row = paint_alone(path)
        rows.append(row)
        for unit, energies in found.items():
            rises[unit].append(energies)
    for unit, energies in rises.items():
        if energies:
            table = np.array(energies)
            monotonic = (np.diff(table, axis=1) > 0).all(1)
            gain = table[:, -1] / table[:, 0]
            needed = " (must)" if unit in MUST_RISE else ""
            print(
                f"AU{unit}{needed}: edge energy x {np.median(gain):.2f}, least {gain.min():.2f}; higher on "
                f"{(gain > 1).mean():.0%} of {len(table)}, with every step on {monotonic.mean():.0%}"
            )
    if run.sheet is not None and rows:
        mark = Mark(tool="benchmarks/skin_shading.py")
        write_image(run.sheet, np.concatenate(rows), mark=mark, overwrite=True)
    if run.shards:
        for unit, (share, people) in explained(run.shards).items():
            print(f"AU{unit:<3} squared error {share:.3f} of that without shading, {people} held-out people")


if __name__ == "__main__":
    main(tyro.cli(Benchmark))
