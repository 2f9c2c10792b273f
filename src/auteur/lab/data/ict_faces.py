"""A linear face model: ICT-FaceKit, its parts and its shapes.

ICT-FaceKit: Li et al., "Learning Formation of Physically-Based Face Attributes", CVPR 2020; MIT licence.
Its axes: +x is the subject's left, +y up, +z out of the face; centimetres.
"""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auteur.errors import InputError

Floats = NDArray[np.floating[Any]]

PARTS = ("skin", "mouth", "tongue", "teeth", "eye", "lash", "hidden")
ICT_VERTICES = 26719
# Hidden: inner eyeballs, tear film, shading shells, and all lashes but one upper row (here they are opaque).
_ICT_STARTS = (
    *((0, "skin"), (11248, "mouth"), (13294, "mouth"), (14062, "tongue"), (17039, "teeth"), (21451, "eye")),
    *((22221, "hidden"), (23021, "eye"), (23791, "hidden"), (25351, "lash"), (25465, "hidden")),
    *((26035, "lash"), (26149, "hidden"), (ICT_VERTICES, "hidden")),
)


@dataclass(frozen=True, kw_only=True)
class FaceModel:
    """An average head whose vertices move linearly with expression."""

    neutral: Floats
    """Average head [V, 3], cm."""
    expression_names: tuple[str, ...]
    expression_deltas: Floats
    """Offsets [E, V, 3] at weight 1, cm."""
    part: NDArray[np.uint8]
    """Index into `PARTS` of each vertex [V]."""

    def is_part(self, *names: str) -> NDArray[np.bool_]:
        """Mask [V] of the vertices that belong to one of the named parts."""
        return np.isin(self.part, [PARTS.index(name) for name in names])


def load_ict(path: Path | str) -> FaceModel:
    """Returns ICT-FaceKit from an `.npz` with its arrays named as the fields of `FaceModel`.

    Raises:
        InputError: The file cannot be read, lacks an array or is of another topology.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            names = tuple(map(str, arrays["expression_names"]))
            neutral = arrays["neutral"].astype(np.float32)
            expressions = arrays["expression_deltas"].astype(np.float32)
    except (OSError, KeyError, ValueError) as error:
        message = f"cannot read a face model from {str(path)!r}: {error}; give ICT-FaceKit's npz"
        raise InputError(message) from error
    if neutral.shape != (ICT_VERTICES, 3):
        raise InputError(f"{str(path)!r} has vertices {neutral.shape}; ICT-FaceKit has ({ICT_VERTICES}, 3)")
    part = np.empty(ICT_VERTICES, np.uint8)
    for (start, name), (stop, _) in pairwise(_ICT_STARTS):
        part[start:stop] = PARTS.index(name)
    return FaceModel(neutral=neutral, expression_names=names, part=part, expression_deltas=expressions)
