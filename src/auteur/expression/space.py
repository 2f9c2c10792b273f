"""Expression spaces: vectors of the expression of a face, independent of identity.

A space is linear, so a vector and its double are the same expression at two strengths, on which the linear
editing of paper B (EMOdiffhead, arXiv 2409.07255) rests. `CompactExpressionSpace` ships.

Axes: T frames, E numbers per expression, V vertices of the space's own mesh, C controls of the convention
"facs".
"""

from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from auteur.errors import UsageError
from auteur.face.pose import without_pose
from auteur.facs import CONTROLS, au_track
from auteur.signals import AUTrack, ExpressionTrack, LandmarkTrack
from auteur.signals.topology import LEFT_IRIS, MEDIAPIPE_COUNT, RIGHT_IRIS
from auteur.weights import load_file, load_shipped

Floats = NDArray[np.floating]

COMPACT_COEFFICIENTS = 50

_UPPER_INNER_LIP, _LOWER_INNER_LIP = 13, 14


@runtime_checkable
class ExpressionSpace(Protocol):
    """A linear space of expressions."""

    @property
    def name(self) -> str:
        """Convention of its tracks, such as "compact50" or "flame50"."""
        ...

    @property
    def coefficients(self) -> int:
        """E."""
        ...

    @property
    def vertices(self) -> int:
        """V: 478 of MediaPipe's mesh."""
        ...

    def encode(self, displacement_mm: Floats) -> Floats:
        """Returns the vectors [T, E] of displacement from the person's neutral [T, V, 3], pose-free, mm."""
        ...

    def decode(self, vectors: Floats) -> Floats:
        """Returns the displacement [T, V, 3] in mm of vectors [T, E]; 0 for the zero vector."""
        ...


def reconstruction_error_mm(space: ExpressionSpace, displacement_mm: Floats) -> Floats:
    """Returns the reconstruction error in mm, per frame [T], of displacement [T, V, 3]."""
    again = space.decode(space.encode(displacement_mm))
    return np.linalg.norm(again - displacement_mm, axis=-1).mean(axis=-1)


class CompactExpressionSpace(nn.Module):
    """The space that ships: 50 numbers about the 478-point mesh (`auteur.lab.train.expression_space`).

    Number 0 is how far the lips are parted, in its own standard deviations: the jaw apart from the rest, as
    FLAME keeps it, because speech owns it. The other 49 are a basis of what is left once the lips are brought
    together, each with mean square 1 on the footage of the recipe. Blinks and gaze are not in it.
    """

    opening: Tensor
    """[478, 3]: displacement per millimetre of lip gap."""
    gap_mm: Tensor
    """[1]: millimetres of lip gap per unit of number 0."""
    basis: Tensor
    """[49, 478, 3] mm."""
    inverse: Tensor
    """[478 * 3, 49]: weighted least squares."""
    average: Tensor
    """[478, 3]: mean of people's neutral faces, canonical millimetres."""
    share: Tensor
    """[50, 50]: the expression that is most likely in a face of an unknown person, given how much neutral
    faces differ and how much expressions move them (a Wiener filter)."""
    controls: Tensor
    """[C, 50]: vector of every control of the convention "facs" at intensity 1; zeros for lids, gaze and
    others that the space does not show."""
    measured: Tensor
    """[C, 50]: intensity of every control per unit of each number, fitted to the tracker's intensities."""

    def __init__(self) -> None:
        super().__init__()
        count, shape = COMPACT_COEFFICIENTS, (MEDIAPIPE_COUNT, 3)
        self.register_buffer("opening", torch.zeros(shape))
        self.register_buffer("gap_mm", torch.ones(1))
        self.register_buffer("basis", torch.zeros(count - 1, *shape))
        self.register_buffer("inverse", torch.zeros(MEDIAPIPE_COUNT * 3, count - 1))
        self.register_buffer("average", torch.zeros(shape))
        self.register_buffer("share", torch.zeros(count, count))
        self.register_buffer("controls", torch.zeros(len(CONTROLS), count))
        self.register_buffer("measured", torch.zeros(len(CONTROLS), count))

    @classmethod
    def shipped(cls) -> "CompactExpressionSpace":
        """Returns the space that comes with the package.

        Raises:
            WeightsError: The installation is damaged.
        """
        return load_shipped(cls(), "expression_space")

    @classmethod
    def from_file(cls, path: Path | str) -> "CompactExpressionSpace":
        """Returns the space saved in a safetensors file of the recipe.

        Raises:
            WeightsError: The file is missing, damaged or of another shape.
        """
        return load_file(cls(), path)

    @property
    def name(self) -> str:
        """Convention of its tracks."""
        return f"compact{COMPACT_COEFFICIENTS}"

    @property
    def coefficients(self) -> int:
        """E."""
        return COMPACT_COEFFICIENTS

    @property
    def vertices(self) -> int:
        """V."""
        return MEDIAPIPE_COUNT

    def encode(self, displacement_mm: Floats) -> Floats:
        """Returns the vectors [T, 50] of displacement [T, 478, 3] from the person's neutral, pose-free, mm.

        Raises:
            UsageError: The displacement has another shape.
        """
        moved = np.array(displacement_mm, dtype=np.float32)
        if moved.ndim != 3 or moved.shape[1:] != (MEDIAPIPE_COUNT, 3):
            raise UsageError(f"displacement has shape {list(moved.shape)}; it must be [T, 478, 3]")
        moved[:, [*RIGHT_IRIS, *LEFT_IRIS]] = 0
        gap = moved[:, _LOWER_INNER_LIP, 1] - moved[:, _UPPER_INNER_LIP, 1]
        shut = moved - gap[:, None, None] * self.opening.numpy()
        rest = shut.reshape(len(shut), MEDIAPIPE_COUNT * 3) @ self.inverse.numpy()
        return np.concatenate([gap[:, None] / self.gap_mm.numpy(), rest], axis=1).astype(np.float32)

    def decode(self, vectors: Floats) -> Floats:
        """Returns the displacement [T, 478, 3] in mm of vectors [T, 50]; lips may cross.

        Raises:
            UsageError: The vectors have another width.
        """
        given = self._checked(vectors)
        gap = given[:, 0] * self.gap_mm.numpy()
        rest = np.tensordot(given[:, 1:], self.basis.numpy(), axes=1)
        return gap[:, None, None] * self.opening.numpy() + rest

    def encode_landmarks(self, track: LandmarkTrack, *, neutral: Floats | None = None) -> ExpressionTrack:
        """Returns the expression of tracked footage.

        Args:
            track: Convention "mediapipe478" with depth; frames that were not measured stay so (NaN).
            neutral: The person at rest, landmarks [478, 3] in any pose; without it the part of each face that
                is more likely expression than anatomy counts (`of_unknown_people`).

        Raises:
            UsageError: The landmarks are of another kind.
        """
        if track.convention != "mediapipe478" or track.values.shape[2] != 3:
            raise UsageError(
                f"landmarks are {track.convention!r} with {track.values.shape[2]} coordinates; "
                "expressions need mediapipe478 with depth (auteur track --dense)"
            )
        seen = np.isfinite(track.values).all(axis=(1, 2))
        values = np.full((track.frames, COMPACT_COEFFICIENTS), np.nan, dtype=np.float32)
        if seen.any():
            faces = without_pose(np.asarray(track.values)[seen])
            known = neutral is not None
            values[seen] = (
                self.encode(faces - without_pose(neutral)) if known else self.of_unknown_people(faces)
            )
        return ExpressionTrack(
            values=values, rate=track.rate, start_sec=track.start_sec, convention=self.name
        )

    def of_unknown_people(self, faces_mm: Floats) -> Floats:
        """Returns the likely expressions [N, 50] of faces [N, 478, 3] whose neutral is not known.

        Args:
            faces_mm: Pose-free, in millimetres of the canonical head (`auteur.face.pose.without_pose`).
        """
        return self.encode(faces_mm - self.average.numpy()) @ self.share.numpy().T

    def action_unit_values(self, vectors: Floats) -> Floats:
        """Returns intensities [T, C] >= 0 of the "facs" controls in vectors [T, 50], as tracked.

        Linear, then cut off at 0: a vector at double strength has double intensities. Values over 1 stay.
        """
        return np.maximum(self._checked(vectors) @ self.measured.numpy().T, 0).astype(np.float64)

    def action_units(self, track: ExpressionTrack) -> AUTrack:
        """Returns the Action Units of a track, convention "facs", [0, 1]; what was not measured is NaN.

        Raises:
            UsageError: The track is of another space.
        """
        self._check_convention(track)
        seen = np.isfinite(track.values).all(axis=1)
        values = np.full((track.frames, len(CONTROLS)), np.nan)
        values[seen] = np.clip(self.action_unit_values(track.values[seen]), 0, 1)
        return au_track(values, convention="facs", rate=track.rate, start_sec=track.start_sec)

    def displacement(self, track: ExpressionTrack) -> Floats:
        """Returns the displacement [T, 478, 3] in mm of a track.

        Raises:
            UsageError: The track is of another space.
        """
        self._check_convention(track)
        return self.decode(track.values)

    def weights_mm(self) -> Floats:
        """Returns the displacement per unit of each number, [50] mm: root mean square over vertices."""
        moved = np.square(self.decode(np.eye(COMPACT_COEFFICIENTS, dtype=np.float32))).sum(axis=2)
        return np.sqrt(moved.mean(axis=1))

    def _check_convention(self, track: ExpressionTrack) -> None:
        if track.convention != self.name:
            raise UsageError(f"the track holds {track.convention!r} vectors; this space reads {self.name!r}")

    def _checked(self, vectors: Floats) -> Floats:
        given = np.asarray(vectors, dtype=np.float32)
        if given.ndim != 2 or given.shape[1] != COMPACT_COEFFICIENTS:
            raise UsageError(
                f"vectors have shape {list(given.shape)}; they must be [T, {COMPACT_COEFFICIENTS}]"
            )
        return given
