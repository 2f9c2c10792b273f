"""Displacement of the mesh per Action Unit: a linear basis, for both sides or one at a time.

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

_SIDE_BLEND_MM = 4.0
"""Scale of the logistic transition between the sides of the face, in mm."""


@cache
def left_share() -> Floats:
    """Returns the weight of the subject's left side per vertex [478], 0 to 1, one half on the midline."""
    x = np.zeros(MEDIAPIPE_COUNT)
    x[:468] = canonical_face()[:, 0]
    x[list(RIGHT_IRIS)], x[list(LEFT_IRIS)] = -30, 30
    return 1 / (1 + np.exp(-x / _SIDE_BLEND_MM))


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

    def displacement(self, intensities: Mapping[str, float]) -> Floats:
        """Returns the displacement [478, 3] in mm of intensities such as {"AU12L": 0.5}."""
        total = np.zeros((MEDIAPIPE_COUNT, 3), dtype=np.float32)
        for control, intensity in intensities.items():
            total += intensity * self.control_displacement(control)
        return total

    def track_displacement(self, track: AUTrack) -> Floats:
        """Returns the displacement [T, 478, 3] in mm of a track in any convention, its holes filled.

        Raises:
            UsageError: The convention is unknown or the values are outside its range.
        """
        values = convert(measured(track), "facs").values
        controls = [control for unit in ACTION_UNITS.values() for control in unit.controls]
        per_control = np.stack([self.control_displacement(control) for control in controls])
        return np.einsum("tc,cpd->tpd", values, per_control).astype(np.float32)
