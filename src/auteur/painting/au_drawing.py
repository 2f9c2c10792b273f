"""Action Units → structured 2-D face (paper A): moved on the portrait's own mesh, then drawn.

AUHead leaves the map from Action Units to a face open. Here it is linear, L(au) = L_portrait + Σ au_i D_i
with the displacement basis D of `auteur.motion.au_basis`; lids close on the portrait's own geometry.
Identity, pose and framing are the portrait's, so the drawing and the picture share one camera.
"""

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from auteur.errors import UsageError
from auteur.face import crops
from auteur.face.crops import CropFrame
from auteur.facs import convert
from auteur.motion.au_basis import AUBasis
from auteur.motion.portrait import apply_to
from auteur.signals import AUTrack, measured
from auteur.synthesis.drawing import draw_lines, draw_mesh

Floats = NDArray[np.floating]
Form = Literal["lines", "mesh"]

DRAW: dict[Form, Callable[[Tensor, int, int], Tensor]] = {"lines": draw_lines, "mesh": draw_mesh}
"""LMK and RoM of paper A."""

CROP_TO_FACE = 1.5
"""Side of the drawing in face sizes, with room for an open jaw."""

_LID_UNITS = ("AU45", "AU43")
_FRAMES_AT_ONCE = 16


def drawing_frame(portrait: Floats) -> CropFrame:
    """Returns the upright square around a portrait's landmarks [478, 3] px that drawings show."""
    frame = crops.frame_of_landmarks(portrait, crop_to_face=CROP_TO_FACE)
    low, high = portrait[:, :2].min(axis=0), portrait[:, :2].max(axis=0)
    middle = (low + high) / 2
    return CropFrame((float(middle[0]), float(middle[1])), frame.side_px)


def action_units_to_landmarks(track: AUTrack, portrait: Floats, basis: AUBasis) -> Floats:
    """Returns the portrait's landmarks under the track's Action Units, [T, 478, 3] px, head still.

    Args:
        track: Any convention; its holes are filled; units that it does not measure do not move.
        portrait: [478, 3] px.
        basis: Displacement per unit.

    Raises:
        UsageError: The convention is unknown or the values are outside its range.
    """
    controls = convert(measured(track), "facs")
    values = np.array(controls.values)
    columns = {side: [controls.channels.index(f"{unit}{side}") for unit in _LID_UNITS] for side in ("R", "L")}
    lids = np.stack([values[:, columns[side]].max(axis=1) for side in ("R", "L")], axis=1)
    for column in (*columns["R"], *columns["L"]):  # lids meet on the portrait's own geometry instead
        values[:, column] = 0
    displacement = basis.track_displacement(controls.replace(values=values))
    return apply_to(portrait, displacement, lids=np.clip(lids, 0, 1))


def draw_landmarks(
    landmarks: Floats, frame: CropFrame | Sequence[CropFrame], *, form: Form = "lines", size_px: int = 512
) -> Tensor:
    """Returns drawings [T, 3, size_px, size_px] in [0, 1] of landmarks [T, 478, 3] px of a picture.

    Args:
        landmarks: In pixels of the picture that `frame` lies in.
        frame: What the drawings show; one for all, or one for each.
        form: "lines" (LMK) or "mesh" (RoM).
        size_px: Side of the drawing.

    Raises:
        InputError: The landmarks have another shape or are not finite.
        UsageError: The form is unknown or the size out of range.
    """
    if form not in DRAW:
        raise UsageError(f"form {form!r} is unknown; choose {' or '.join(DRAW)}")
    moved = np.asarray(landmarks)
    if isinstance(frame, CropFrame):
        moved = crops.apply(frame.matrix(size_px), moved)
    elif len(moved):
        pairs = zip(frame, moved, strict=True)
        moved = np.stack([crops.apply(one.matrix(size_px), points) for one, points in pairs])
    points = torch.from_numpy(np.ascontiguousarray(moved, dtype=np.float32))
    blocks = [DRAW[form](block, size_px, size_px) for block in points.split(_FRAMES_AT_ONCE)]
    return torch.cat(blocks) if blocks else torch.zeros(0, 3, size_px, size_px)
