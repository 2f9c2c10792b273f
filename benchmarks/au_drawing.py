"""How well the Action Unit basis agrees with ICT-FaceKit's expression shapes, and how fast drawings are.

python benchmarks/au_drawing.py --ict ict_facekit.npz --indices ict_vertex_indices.json [--json OUT]

A unit's ICT movement is the sum of the shapes that `facs` maps it to, carried to our mesh by
`auteur.lab.data.ict_units`. Cosines compare the two displacement fields, millimetres, pose free. Units whose
basis takes part of ICT's movement (`auteur.lab.train.au_basis`) agree with it by construction.
"""

import argparse
import json
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from auteur.facs import CONTROLS, CONVENTIONS, au_track, convert
from auteur.lab.data.ict_faces import FaceModel, load_ict
from auteur.lab.data.ict_units import Correspondence
from auteur.motion.au_basis import BASIS_UNITS, AUBasis
from auteur.synthesis.drawing import draw_lines, draw_mesh
from auteur.synthesis.warp.mesh import generic_face
from auteur.weights import load_shipped

Floats = NDArray[np.floating]
MOVES_MM = 0.5
"""Vertices that neither model moves by this much do not count as moving."""


def ict_weights(model: FaceModel, number: int) -> dict[str, float]:
    """ICT's shapes for a unit at intensity 1 on both sides, by way of the ARKit shapes that `facs` names."""
    values = np.zeros((1, len(CONTROLS)))
    values[0, [i for i, c in enumerate(CONTROLS) if c.rstrip("LRTB") == f"AU{number}"]] = 1
    shapes = convert(au_track(values, convention="facs", rate=Fraction(25)), "arkit52").values[0]
    found: dict[str, float] = {}
    for name, weight in zip(CONVENTIONS["arkit52"].channels, shapes, strict=True):
        if not weight > 0.01:
            continue
        base = name.removesuffix("Left").removesuffix("Right")
        side = {"Left": ("_L",), "Right": ("_R",)}.get(name[len(base) :], ("", "_L", "_R"))
        for ict in (base + end for end in side):
            if ict in model.expression_names:
                found[ict] = max(found.get(ict, 0.0), float(weight))
    return found


def cosine(a: Floats, b: Floats) -> float:
    return float((a * b).sum() / np.sqrt((a**2).sum() * (b**2).sum()).clip(1e-9))


def compare(model: FaceModel, landmark_vertices: list[int], basis: AUBasis) -> list[dict]:
    found = Correspondence(model, landmark_vertices)
    away = found.distance_mm
    print(f"correspondence: median {np.median(away):.1f} mm, 95 % below {np.quantile(away, 0.95):.1f}")
    neutral = found.on_mesh(model.neutral)
    rows = []
    for number in sorted(BASIS_UNITS):
        ours = basis.control_displacement(f"AU{number}")[:468]
        weights = ict_weights(model, number)
        if not weights:
            rows.append({"unit": f"AU{number}", "shapes": "none"})
            continue
        theirs = found.movement(weights)[:468]
        theirs = theirs - rigid_part(neutral, theirs)
        moving = (np.linalg.norm(ours, axis=1) > MOVES_MM) | (np.linalg.norm(theirs, axis=1) > MOVES_MM)
        top = np.linalg.norm(theirs, axis=1) > 0.5 * np.linalg.norm(theirs, axis=1).max()
        each = [cosine(a, b) for a, b in zip(ours[top], theirs[top], strict=True)]
        rows.append(
            {
                "unit": f"AU{number}",
                "shapes": " ".join(f"{name}:{w:.1f}" for name, w in weights.items()),
                "cosine": round(cosine(ours, theirs), 2),
                "cosine_xy": round(cosine(ours[moving, :2], theirs[moving, :2]), 2),
                "same_way": round(float(np.mean(np.array(each) > 0)), 2),
                "ours_mm": round(float(np.linalg.norm(ours, axis=1).max()), 1),
                "ict_mm": round(float(np.linalg.norm(theirs, axis=1).max()), 1),
            }
        )
    return rows


def rigid_part(points: Floats, moved: Floats) -> Floats:
    """Mean shift of the vertices that hardly move: ICT's shapes have none, jaw shapes a little."""
    still = np.linalg.norm(moved, axis=1) < 0.05 * np.linalg.norm(moved, axis=1).max()
    return moved[still].mean(0) if still.any() else np.zeros(3)


def milliseconds(side_px: int, frames: int = 16) -> dict[str, float]:
    torch.set_num_threads(1)
    landmarks = (generic_face() * 0.26 * side_px + torch.tensor([0.5, 0.42, 0.0]) * side_px).repeat(
        frames, 1, 1
    )
    found = {}
    for name, draw in (("lines", draw_lines), ("mesh", draw_mesh)):
        draw(landmarks[:1], side_px, side_px)
        started = time.process_time()
        draw(landmarks, side_px, side_px)
        found[name] = round(1000 * (time.process_time() - started) / frames, 2)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--ict", type=Path, required=True)
    parser.add_argument("--indices", type=Path, required=True)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    landmark_vertices = json.loads(given.indices.read_text())["idx_to_landmark_verts"]
    basis = load_shipped(AUBasis(), "au_basis")
    rows = compare(load_ict(given.ict), landmark_vertices, basis)
    print("unit   cosine  in x, y  same way  ours mm  ICT mm  shapes")
    for row in rows:
        if "cosine" not in row:
            print(f"{row['unit']:6} has no ICT shape")
            continue
        numbers = f"{row['cosine']:6.2f} {row['cosine_xy']:8.2f} {row['same_way']:9.2f}"
        print(f"{row['unit']:6} {numbers} {row['ours_mm']:8.1f} {row['ict_mm']:7.1f}  {row['shapes']}")
    cosines = [row["cosine"] for row in rows if "cosine" in row]
    print(f"median cosine {np.median(cosines):.2f} over {len(cosines)} units")
    speed = {side: milliseconds(side) for side in (64, 128, 256, 512)}
    for side, found in speed.items():
        print(
            f"{side:4} px: lines {found['lines']:.1f} ms, mesh {found['mesh']:.1f} ms of one core per frame"
        )
    if given.json:
        given.json.write_text(json.dumps({"units": rows, "milliseconds_per_frame": speed}, indent=1))


if __name__ == "__main__":
    main()
