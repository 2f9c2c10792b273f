"""FLAME's expression as an `ExpressionSpace`: DECA's 50 numbers, the jaw apart."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from auteur.errors import UsageError
from auteur.expression.flame.layer import FlameLayer
from auteur.formats.flame import DECA_EXPRESSION, FlameModel, read_flame_model

Floats = NDArray[np.floating]

_MM_PER_METRE = 1000.0
_RIDGE = 1e-6


class FlameExpressionSpace:
    """Displacement of FLAME's own mesh; the jaw, which is a joint there, is not part of it.

    Args:
        model: FLAME's tables (`auteur.formats.flame.read_flame_model`).
    """

    def __init__(self, model: FlameModel) -> None:
        self.layer = FlameLayer(model)
        self._directions = self.layer.expressions.numpy().astype(np.float64) * _MM_PER_METRE
        rows = self._directions.reshape(len(self._directions), -1)
        gram = rows @ rows.T
        ridge = _RIDGE * np.trace(gram) / len(gram)
        self._inverse = np.linalg.solve(gram + ridge * np.eye(len(gram)), rows)

    @classmethod
    def from_file(cls, path: Path | str, *, coefficients: int = DECA_EXPRESSION) -> "FlameExpressionSpace":
        """Returns the space of the user's licensed model file.

        Raises:
            InputError: The file is missing, or is a pickle of more than arrays; nothing is
            executed.
            FormatError: It is no FLAME model.
        """
        return cls(read_flame_model(path, expressions=coefficients))

    @property
    def name(self) -> str:
        """Convention of its tracks."""
        return f"flame{self.coefficients}"

    @property
    def coefficients(self) -> int:
        """E."""
        return len(self._directions)

    @property
    def vertices(self) -> int:
        """V."""
        return self._directions.shape[1]

    def encode(self, displacement_mm: Floats) -> Floats:
        """Returns the vectors [T, E] of displacement [T, V, 3] in mm: least squares.

        Raises:
            UsageError: The displacement has another shape.
        """
        moved = np.asarray(displacement_mm, dtype=np.float64)
        if moved.ndim != 3 or moved.shape[1:] != (self.vertices, 3):
            raise UsageError(
                f"displacement has shape {list(moved.shape)}; it must be [T, {self.vertices}, 3]"
            )
        return (moved.reshape(len(moved), -1) @ self._inverse.T).astype(np.float32)

    def decode(self, vectors: Floats) -> Floats:
        """Returns the displacement [T, V, 3] in mm of vectors [T, E].

        Raises:
            UsageError: The vectors have another width.
        """
        given = np.asarray(vectors, dtype=np.float32)
        if given.ndim != 2 or given.shape[1] != self.coefficients:
            raise UsageError(f"vectors have shape {list(given.shape)}; they must be [T, {self.coefficients}]")
        with torch.no_grad():
            moved = self.layer(expression=torch.from_numpy(given)) - self.layer.template
        return moved.numpy() * _MM_PER_METRE
