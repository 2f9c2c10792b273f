"""Displacement of the mesh per Action Unit: a basis, linear but for AU1+4, for both sides or one at a time.

Fitted by ridge regression of measured displacement on measured AUs (`auteur.lab.train.au_basis`), then kept
to the unit's own region, so that a requested unit moves nothing else.
"""

from collections.abc import Mapping
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from auteur.face.pose import canonical_face
from auteur.facs import ACTION_UNITS, convert
from auteur.facs.controls import resolve
from auteur.signals import AUTrack, measured
from auteur.signals.topology import LEFT_IRIS, MEDIAPIPE_COUNT, RIGHT_IRIS

Floats = NDArray[np.floating]

BASIS_UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 14, 15, 17, 20, 23, 25, 26, 45, 28, 16, 18, 22, 24, 34)
"""OpenFace's 18 in their order, then five that blendshapes separate. AU43 acts like AU45."""

OBLIQUE_BROW = (1, 4)
"""Units whose combination is no sum: the corrugator (AU4) pulls brows together and down, the frontalis
(AU1) holds their inner ends up against it. Alone AU4 would take back what AU1 raises; together inner ends are
high and near each other and brows are oblique (Ekman, Friesen & Hager, FACS, 2002: AU1+4, a distinctive
combination)."""
_HELD_UP = 1.0
"""Part of the lowering by AU4 at the inner ends that AU1 holds up."""
_DRAWN = 0.8
"""Part of the drawing together by AU4 that is added, since inner ends meet without the weight of the brow."""
_INNER_MM, _OUTER_MM = 24.0, 44.0
"""Distance from the midline up to which ends of brows are inner ones, and from which none of it is left."""
_CREASE_MM, _BROW_MM = 32.0, 38.0
"""Heights over the origin of the canonical face: up to the first lids and their crease, from the second on
brows."""

_SIDE_BLEND_MM = 4.0
"""Scale of the logistic transition between the sides of the face, in mm."""


@cache
def left_share() -> Floats:
    """Returns the weight of the subject's left side per vertex [478], 0 to 1, one half on the midline."""
    x = np.zeros(MEDIAPIPE_COUNT)
    x[:468] = canonical_face()[:, 0]
    x[list(RIGHT_IRIS)], x[list(LEFT_IRIS)] = -30, 30
    return 1 / (1 + np.exp(-x / _SIDE_BLEND_MM))


@cache
def _inner_share() -> Floats:
    """Returns the share of the inner ends of the brows per vertex [478], 1 near the midline to 0; no lids."""
    away, height = np.full(MEDIAPIPE_COUNT, _OUTER_MM), np.zeros(MEDIAPIPE_COUNT)
    away[:468], height[:468] = np.abs(canonical_face()[:, 0]), -canonical_face()[:, 1]
    inwards = np.clip((_OUTER_MM - away) / (_OUTER_MM - _INNER_MM), 0, 1)
    upwards = np.clip((height - _CREASE_MM) / (_BROW_MM - _CREASE_MM), 0, 1)
    return inwards**2 * (3 - 2 * inwards) * upwards**2 * (3 - 2 * upwards)


class AUBasis(nn.Module):
    """Displacement of the mesh per Action Unit."""

    basis: Tensor
    """[units, 478, 3]: millimetres of the canonical head at intensity 1, both sides."""

    opening: Tensor
    """[478, 3]: how the face moves per millimetre of lip gap (vertices 13, 14) when people open their
    mouths."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("opening", torch.zeros(MEDIAPIPE_COUNT, 3))
        self.register_buffer("basis", torch.zeros(len(BASIS_UNITS), MEDIAPIPE_COUNT, 3))

    def control_displacement(self, control: str) -> Floats:
        """Returns the displacement [478, 3] in mm of a control such as "AU12" or "AU12L" at intensity 1.

        Units without a basis (gaze, and `auteur.facs.UNSHOWN_UNITS`) do not move the mesh: zeros.
        """
        found = resolve(control)
        number = 45 if found.number == 43 else found.number
        if number not in BASIS_UNITS:
            return np.zeros((MEDIAPIPE_COUNT, 3), dtype=np.float32)
        whole = self.basis[BASIS_UNITS.index(number)].numpy()
        if found.side in ("L", "R"):
            share = left_share() if found.side == "L" else 1 - left_share()
            return (whole * share[:, None]).astype(np.float32)
        return whole / len(found.unit.sides) if found.side else whole

    def oblique_brow_displacement(self, side: str) -> Floats:
        """Returns what AU1 and AU4 of a side, "L" or "R", do together beyond their sum, [478, 3] mm.

        At intensity 1 of both; of weaker ones the smaller intensity is the factor.
        """
        lowered = self.control_displacement(f"AU{OBLIQUE_BROW[1]}{side}") * _inner_share()[:, None]
        return lowered * np.array([_DRAWN, -_HELD_UP, 0], dtype=np.float32)

    def displacement(self, intensities: Mapping[str, float]) -> Floats:
        """Returns the displacement [478, 3] in mm of intensities such as {"AU12L": 0.5}.

        Units add up but AU1 and AU4 (`oblique_brow_displacement`); the sum is homogeneous: half of all
        intensities displaces half as far.
        """
        total = np.zeros((MEDIAPIPE_COUNT, 3), dtype=np.float32)
        by_channel: dict[str, float] = {}
        for control, intensity in intensities.items():
            total += intensity * self.control_displacement(control)
            for channel in resolve(control).channels:
                by_channel[channel] = by_channel.get(channel, 0.0) + intensity
        for side in "LR":
            both = min(by_channel.get(f"AU{number}{side}", 0.0) for number in OBLIQUE_BROW)
            if both > 0:
                total += both * self.oblique_brow_displacement(side)
        return total

    def track_displacement(self, track: AUTrack) -> Floats:
        """Returns the displacement [T, 478, 3] in mm of a track in any convention, its holes filled.

        Raises:
            UsageError: The convention is unknown or the values are outside its range.
        """
        values = convert(measured(track), "facs").values
        controls = [control for unit in ACTION_UNITS.values() for control in unit.controls]
        per_control = np.stack([self.control_displacement(control) for control in controls])
        moved = np.einsum("tc,cpd->tpd", values, per_control)
        for side in "LR":
            columns = [controls.index(f"AU{number}{side}") for number in OBLIQUE_BROW]
            both = np.clip(values[:, columns].min(axis=1), 0, None)
            if both.any():
                moved += both[:, None, None] * self.oblique_brow_displacement(side)
        return moved.astype(np.float32)
