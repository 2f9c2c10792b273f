"""The rendered performance: Action Units fitted to generated landmarks, on the scale of requests."""

from collections.abc import Iterable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from auteur.errors import UsageError
from auteur.face.pose import without_pose
from auteur.facs import ACTION_UNITS, CONTROLS, au_track
from auteur.motion.au_basis import BASIS_UNITS, AUBasis
from auteur.motion.grid import MOTION_RATE
from auteur.motion.performance import Origin, Performance
from auteur.motion.speech_motion import Motion
from auteur.signals import AUTrack, LandmarkTrack
from auteur.synthesis.warp.skin_shading import SHADING_CONTROLS

Floats = NDArray[np.floating]

_SPARSITY = 0.02
"""Intensity, of a unit alone, under which the fit leaves it out: few units explain most of what faces do."""
_SWEEPS = 60
_SKIN_VERTICES = 468


def performed(blocks: Iterable[LandmarkTrack], at_rest: Floats, basis: AUBasis) -> AUTrack:
    """Returns the Action Units in generated landmarks, convention "facs", [0, 1].

    They are the non-negative intensities whose displacements fit the displacement of the mesh best, all units
    together. Single distances, as in `auteur.face.action_units`, do not separate a smile's wide mouth from a
    stretched one without blendshapes, which generated landmarks do not have. Units without a displacement
    are 0; `with_eyes` adds lids and gaze, which the motion has exactly.

    Args:
        blocks: Consecutive landmarks in pixels, convention "mediapipe478".
        at_rest: The same face at rest, [478, 3] px.
        basis: Displacement of the mesh per unit.

    Raises:
        UsageError: There is no block.
    """
    rest, shapes = without_pose(at_rest), _shapes_of(basis)
    first, found = None, []
    for block in blocks:
        first = block if first is None else first
        found.append(_fitted(np.asarray(block.values), rest, shapes))
    if first is None:
        raise UsageError("there are no landmarks to read")
    values = np.concatenate(found)
    return au_track(values, convention="facs", rate=first.rate, start_sec=first.start_sec)


def with_eyes(track: AUTrack, lids: Floats, gaze_rad: Floats) -> AUTrack:
    """Returns the track with closed lids (AU45) and gaze (AU61 to AU64) as the motion has them.

    Args:
        track: Convention "facs", T frames.
        lids: How far each eye is closed, [T, 2] right, left, 0 to 1.
        gaze_rad: Turn of the eyes [T, 2]: x (+ to the picture's right), y (+ down). Half a radian is 1.
    """
    values = np.array(track.values)
    across, down = 2 * gaze_rad[:, 0], 2 * gaze_rad[:, 1]
    for eye, side in enumerate("RL"):
        turns = {61: across, 62: -across, 63: -down, 64: down, 45: lids[:, eye]}
        for number, turn in turns.items():
            values[:, track.channels.index(f"AU{number}{side}")] = np.clip(turn, 0, 1)
    return track.replace(values=values)


def with_eyes_of(track: AUTrack, motion: Motion) -> AUTrack:
    """Returns the track with lids and gaze of a motion; see `with_eyes`."""
    places = np.arange(track.frames) * float(MOTION_RATE / track.rate)
    eyes = np.concatenate([motion.lids, motion.gaze_rad], axis=1)
    at = np.stack([np.interp(places, np.arange(len(eyes)), column) for column in eyes.T], axis=1)
    return with_eyes(track, at[:, :2], at[:, 2:])


def rendered_performance(units: AUTrack, motion: Motion) -> Performance:
    """Returns the rendered performance: units in the landmarks at 25 fps, head and gaze of the motion."""
    return Performance(
        frames=motion.frames,
        acted=units,
        head=motion.head,
        gaze_rad=motion.gaze_rad,
        lips="track",
        origins=dict.fromkeys(units.channels, Origin.REQUESTED),
    )


class SkinUnits:
    """Action Units of generated landmarks that shade the skin, relative to the portrait: a `ShadingOf`.

    Args:
        portrait_landmarks: [478, 3] px.
        at_rest: The same face at rest, [478, 3] px.
        basis: Displacement of the mesh per unit.
        eyes_shown: Visibility of each eyeball in the portrait, [2] right, left, 0 to 1. A face with shut eyes
            keeps its light: what is put on its lids reads as an open eye.
    """

    def __init__(
        self, portrait_landmarks: Floats, at_rest: Floats, basis: AUBasis, eyes_shown: Floats | None = None
    ) -> None:
        self._rest, self._shapes = without_pose(at_rest), _shapes_of(basis)
        self._share = 1.0 if eyes_shown is None else float(np.min(eyes_shown))
        self._own = self._read(portrait_landmarks[None])

    def __call__(self, track: LandmarkTrack) -> Tensor:
        """Returns intensities [T, C] of `SHADING_CONTROLS`, in [-1, 1]."""
        return (self._read(np.asarray(track.values)) - self._own) * self._share

    def _read(self, landmarks: Floats) -> Tensor:
        values = _fitted(landmarks, self._rest, self._shapes)
        return torch.from_numpy(values[:, [CONTROLS.index(name) for name in SHADING_CONTROLS]]).float()


def _shapes_of(basis: AUBasis) -> tuple[list[int], Floats]:
    """Places of the controls that the basis moves in the convention "facs", and their displacement [U, N]."""
    names = [name for unit in ACTION_UNITS.values() if unit.number in BASIS_UNITS for name in unit.controls]
    shapes = np.stack([basis.control_displacement(name)[:_SKIN_VERTICES] for name in names])
    return [CONTROLS.index(name) for name in names], shapes.reshape(len(names), -1).astype(np.float64)


def _fitted(landmarks: Floats, rest: Floats, shapes: tuple[list[int], Floats]) -> Floats:
    """Intensities of all controls [T, C] in landmarks [T, 478, 3]; 0 where a control moves nothing."""
    columns, matrix = shapes
    moved = without_pose(landmarks)[:, :_SKIN_VERTICES] - rest[:_SKIN_VERTICES]
    values = np.zeros((len(landmarks), len(CONTROLS)))
    values[:, columns] = _intensities(moved.reshape(len(moved), -1), matrix)
    return values


def _intensities(moved: Floats, matrix: Floats) -> Floats:
    """Returns the intensities [T, U] in [0, 1] that fit displacements [T, N] with rows of `matrix` [U, N].

    Coordinate descent on least squares with a small constant price per intensity (lasso; Friedman et al.,
    "Pathwise coordinate optimization", 2007).
    """
    gram, wanted = matrix @ matrix.T, matrix @ moved.T
    size = np.maximum(np.diag(gram), 1e-9)[:, None]
    # In units of their own size, those of the other units taken out: a step is then a product and its bounds.
    others, alone = gram / size, wanted / size - _SPARSITY
    np.fill_diagonal(others, np.diag(others) - 1)
    result = np.zeros_like(wanted)
    for _ in range(_SWEEPS):
        before = result.copy()
        for own, others_of, fit in zip(result, others, alone, strict=True):
            np.subtract(fit, others_of @ result, out=own)
            np.maximum(own, 0, out=own)
            np.minimum(own, 1, out=own)
        if np.array_equal(before, result):  # and so would be after every further sweep
            break
    return result.T
