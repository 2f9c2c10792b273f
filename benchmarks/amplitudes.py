r"""Measures what every Action Unit at intensity 1 does to pictures: the table of weights/au_basis.md.

    python benchmarks/amplitudes.py --portraits face1.jpg face2.jpg --teacher face_landmarker.task \
        --out amplitudes.json --sheets SHEETS

Each portrait, its lips brought together, is warped by one unit at a time and read by MediaPipe's landmarker,
which shares nothing with the tracker that ships: change of the unit's own blendshape, and of those that
belong to other parts of the face. MediaPipe sees less than half of a brow's movement in warped pictures and a
sixth of an upper lid's, and reads nothing from some units of the mouth; these are judged on the sheets.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from auteur.face.auteur_backend import AuteurBackend
from auteur.face.mediapipe_backend import MediaPipeBackend
from auteur.facs import MEDIAPIPE_BLENDSHAPES
from auteur.media import read_image
from auteur.motion.au_basis import BASIS_UNITS, AUBasis
from auteur.motion.portrait import apply_to
from auteur.motion.portrait_expression import closing, portrait_expression
from auteur.signals import LandmarkTrack
from auteur.synthesis.warp import PortraitWarper
from auteur.talking_head.au_readback import SkinUnits
from auteur.weights import load_file, load_shipped

Floats = NDArray[np.floating[Any]]
Picture = NDArray[np.uint8]

SEEN_AS: dict[int, str] = {
    1: "browInnerUp", 2: "browOuterUp", 4: "browDown", 5: "eyeWide", 6: "cheekSquint", 7: "eyeSquint",
    9: "noseSneer", 10: "mouthUpperUp", 12: "mouthSmile", 14: "mouthDimple", 15: "mouthFrown",
    16: "mouthLowerDown", 17: "mouthShrugLower", 18: "mouthPucker", 20: "mouthStretch", 22: "mouthFunnel",
    23: "mouthPress", 24: "mouthPress", 25: "mouthLowerDown", 26: "jawOpen", 28: "mouthRoll",
    34: "cheekPuff", 45: "eyeBlink",
}  # fmt: skip
"""First letters of the blendshapes that a unit should change."""
UPPER = ("brow", "eyeBlink", "eyeSquint", "eyeWide")
LOWER = ("jaw", "mouth")
UPPER_UNITS = (1, 2, 4, 5, 6, 7, 45)
BETWEEN_UNITS = (6, 9)
"""Raised cheeks and a wrinkled nose belong to both halves."""
SHOWN_PX = (300, 360)
COLUMNS = 8


@dataclass(frozen=True)
class Benchmark:
    """Where things are."""

    portraits: tuple[Path, ...]
    teacher: Path
    """MediaPipe's `face_landmarker.task`."""
    out: Path
    basis: Path | None = None
    """Weights of the basis; the shipped ones unless given."""
    sheets: Path | None = None
    """Folder for a contact sheet of every portrait."""
    units: tuple[int, ...] = BASIS_UNITS


class WarpedPortrait:
    """A portrait with its lips brought together, moved by displacement."""

    def __init__(self, path: Path, basis: AUBasis) -> None:
        self.name, picture = path.stem, read_image(path)
        (face, *_) = AuteurBackend().find(picture)
        self.landmarks = face.landmarks
        own = portrait_expression(face.landmarks, face.blendshapes)
        self._shut = closing(face.landmarks, basis, own.jaw_share)
        pixels = torch.from_numpy(picture).permute(2, 0, 1).contiguous()
        self._warper = PortraitWarper(pixels, torch.from_numpy(face.landmarks))
        self._size_px = (picture.shape[1], picture.shape[0])
        self._shading = SkinUnits(face.landmarks, face.landmarks, basis)

    def moved(self, displacement_mm: Floats, lids: Floats | None = None) -> Picture:
        """Returns the picture [H, W, 3] under displacement [478, 3]."""
        moved = apply_to(self.landmarks, displacement_mm[None], removed_mm=-self._shut, lids=lids)
        width, height = self._size_px
        track = LandmarkTrack(
            values=moved.astype(np.float32),
            rate=Fraction(25),
            convention="mediapipe478",
            image_size_px=(width, height),
        )
        frame = self._warper.render(torch.from_numpy(track.values), self._shading(track))[0]
        return frame.permute(1, 2, 0).contiguous().numpy()

    def shown(self, picture: Picture, title: str) -> Picture:
        """Returns the face, cut out and named, [360, 300, 3]."""
        left, top = np.maximum(self.landmarks[:, :2].min(axis=0) - (30, 60), 0).astype(int)
        right, bottom = (self.landmarks[:, :2].max(axis=0) + 30).astype(int)
        cut = Image.fromarray(picture[top:bottom, left:right]).resize(SHOWN_PX)
        ImageDraw.Draw(cut).text((6, 6), title, fill=(255, 255, 0))
        return np.array(cut)


def mean_of(blendshapes: Floats, beginning: str) -> float:
    """Mean of the blendshapes whose names begin so: both sides, both lips."""
    return float(np.mean([v for n, v in zip(MEDIAPIPE_BLENDSHAPES, blendshapes, strict=True)
                          if n.startswith(beginning)]))  # fmt: skip


def elsewhere(unit: int, change: Floats) -> float:
    """Largest |change| of a blendshape of the other half of the face."""
    if unit in BETWEEN_UNITS:
        return 0.0
    others = LOWER if unit in UPPER_UNITS else UPPER
    return max(
        abs(float(value))
        for name, value in zip(MEDIAPIPE_BLENDSHAPES, change, strict=True)
        if name.startswith(others)
    )


def pictures(
    portrait: WarpedPortrait, basis: AUBasis, units: tuple[int, ...]
) -> Iterator[tuple[int, Picture]]:
    """Yields (unit, picture at intensity 1)."""
    for unit in units:
        if unit == 45:  # lids meet on the portrait's own geometry
            yield unit, portrait.moved(np.zeros((478, 3)), np.ones((1, 2)))
        else:
            yield unit, portrait.moved(basis.control_displacement(f"AU{unit}"))


def measure(run: Benchmark) -> dict[str, Any]:
    """Returns the change of every unit's blendshape on every portrait."""
    basis = load_shipped(AUBasis(), "au_basis") if run.basis is None else load_file(AUBasis(), run.basis)
    teacher = MediaPipeBackend(run.teacher, max_faces=1)
    changes: dict[int, dict[str, float]] = {unit: {} for unit in run.units}
    others: dict[int, list[float]] = {unit: [] for unit in run.units}
    for path in run.portraits:
        portrait = WarpedPortrait(path, basis)
        still = portrait.moved(np.zeros((478, 3)))
        rest, tiles = teacher.find(still), [portrait.shown(still, portrait.name)]
        for unit, picture in pictures(portrait, basis, run.units):
            tiles.append(portrait.shown(picture, f"AU{unit}"))
            found = teacher.find(picture)
            if found and rest:
                change = found[0].blendshapes - rest[0].blendshapes
                changes[unit][portrait.name] = mean_of(change, SEEN_AS[unit])
                others[unit].append(elsewhere(unit, change))
        if run.sheets is not None:
            run.sheets.mkdir(parents=True, exist_ok=True)
            tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % COLUMNS)
            rows = [np.concatenate(tiles[i : i + COLUMNS], axis=1) for i in range(0, len(tiles), COLUMNS)]
            Image.fromarray(np.concatenate(rows)).save(run.sheets / f"{portrait.name}.png")
    return {
        f"AU{unit}": {
            "blendshape": SEEN_AS[unit],
            "median": float(np.median(list(changes[unit].values()))),
            "least": min(changes[unit].values()),
            "elsewhere": float(np.median(others[unit])),
            "largest_mm": float(np.linalg.norm(basis.control_displacement(f"AU{unit}"), axis=1).max()),
            "portraits": changes[unit],
        }
        for unit in run.units
    }


def main() -> None:
    run = tyro.cli(Benchmark)
    table = measure(run)
    run.out.write_text(json.dumps(table, indent=1), encoding="utf-8")
    print("unit  blendshape        median  least  elsewhere  largest mm")
    for unit, row in table.items():
        print(
            f"{unit:5s} {row['blendshape']:16s}  {row['median']:+.2f}   {row['least']:+.2f}  "
            f"{row['elsewhere']:.2f}       {row['largest_mm']:.1f}"
        )


if __name__ == "__main__":
    main()
