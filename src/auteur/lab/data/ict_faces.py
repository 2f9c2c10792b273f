"""A linear face model (ICT-FaceKit) and random looks for it: identity, expression, pose, gaze.

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

# Shapes that occur together; a name without a side stands for its _L and _R shapes.
_MIXES: tuple[tuple[float, dict[str, float]], ...] = (
    (0.25, {"eyeBlink": 1.0}),
    (0.20, {"eyeWide": 1.0, "browOuterUp": 0.5}),
    (0.20, {"eyeSquint": 1.0, "cheekSquint": 0.6}),
    (0.20, {"browDown": 1.0}),
    (0.25, {"browInnerUp": 1.0}),
    (0.20, {"browOuterUp": 1.0}),
    (0.45, {"jawOpen": 0.9}),
    (0.10, {"jawOpen": 0.5, "mouthClose": 0.5}),
    (0.10, {"jawLeft": 0.8}),
    (0.10, {"jawRight": 0.8}),
    (0.10, {"jawForward": 0.8}),
    (0.35, {"mouthSmile": 1.0, "cheekSquint": 0.5, "mouthDimple": 0.3}),
    (0.15, {"mouthFrown": 1.0}),
    (0.15, {"mouthPucker": 1.0}),
    (0.15, {"mouthFunnel": 1.0}),
    (0.15, {"mouthStretch": 0.9}),
    (0.15, {"mouthUpperUp": 0.9, "noseSneer": 0.5}),
    (0.15, {"mouthLowerDown": 0.9}),
    (0.10, {"mouthPress": 0.9}),
    (0.10, {"mouthRollLower": 0.8, "mouthRollUpper": 0.8}),
    (0.10, {"mouthShrugLower": 0.8, "mouthShrugUpper": 0.6}),
    (0.10, {"mouthLeft": 0.8}),
    (0.10, {"mouthRight": 0.8}),
    (0.10, {"noseSneer": 1.0}),
    (0.10, {"cheekPuff": 0.8}),
)
_SIDES = ((1.0, 1.0), (1.0, 0.0), (0.0, 1.0))
_SIDE_CHANCES = (0.6, 0.2, 0.2)


@dataclass(frozen=True, kw_only=True)
class FaceModel:
    """A head as a quad mesh whose vertices move linearly with identity and expression."""

    neutral: Floats
    """Average head [V, 3], cm."""
    quads: NDArray[np.int32]
    """Vertex indices [Q, 4], counter-clockwise seen from outside."""
    expression_names: tuple[str, ...]
    expression_deltas: Floats
    """Offsets [E, V, 3] at weight 1, cm."""
    identity_deltas: Floats
    """Offsets [I, V, 3] at one standard deviation, cm."""
    part: NDArray[np.uint8]
    """Index into `PARTS` of each vertex [V]."""

    def is_part(self, *names: str) -> NDArray[np.bool_]:
        """Mask [V] of the vertices that belong to one of the named parts."""
        return np.isin(self.part, [PARTS.index(name) for name in names])


@dataclass(frozen=True, kw_only=True)
class Look:
    """Parameters of one picture. Angles: +pitch up, +yaw and +roll to the subject's left."""

    identity: Floats
    """Identity coefficients [I], standard deviations."""
    expression: dict[str, float]
    """Weights of expression shapes, 0 to 1; shapes that the model lacks are ignored."""
    pose_rad: tuple[float, float, float]
    """Pitch, yaw, roll of the head."""
    gaze_rad: tuple[float, float]
    """Pitch, yaw of both eyes in the head."""
    distance_cm: float
    """From the camera to the middle of the face."""
    face_share: float
    """Height of the average face, chin to brows, as a share of the picture's height."""
    size_px: int
    paint_seed: int
    """Seed of colours, hair, light and background."""


def load_ict(path: Path | str) -> FaceModel:
    """Returns ICT-FaceKit from an `.npz` with its arrays named as the fields of `FaceModel`.

    Raises:
        InputError: The file cannot be read, lacks an array or is of another topology.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            quads, names = arrays["quads"].astype(np.int32), tuple(map(str, arrays["expression_names"]))
            neutral = arrays["neutral"].astype(np.float32)
            expressions = arrays["expression_deltas"].astype(np.float32)
            identities = arrays["identity_deltas"].astype(np.float32)
    except (OSError, KeyError, ValueError) as error:
        message = f"cannot read a face model from {str(path)!r}: {error}; give ICT-FaceKit's npz"
        raise InputError(message) from error
    if neutral.shape != (ICT_VERTICES, 3):
        raise InputError(f"{str(path)!r} has vertices {neutral.shape}; ICT-FaceKit has ({ICT_VERTICES}, 3)")
    part = np.empty(ICT_VERTICES, np.uint8)
    for (start, name), (stop, _) in pairwise(_ICT_STARTS):
        part[start:stop] = PARTS.index(name)
    return FaceModel(
        neutral=neutral, quads=quads, expression_names=names, part=part,
        expression_deltas=expressions, identity_deltas=identities,
    )  # fmt: skip


def sample_look(model: FaceModel, generator: np.random.Generator) -> Look:
    """Returns a random look: any identity, a sparse mix of shapes, yaw within 40°, pitch 25°, roll 15°."""
    limits = np.radians([25.0, 40.0, 15.0])
    pitch, yaw, roll = (float(angle) for angle in generator.uniform(-limits, limits))
    return Look(
        identity=generator.normal(0.0, 0.8, len(model.identity_deltas)).astype(np.float32),
        expression=_sample_expression(generator),
        pose_rad=(pitch, yaw, roll),
        gaze_rad=(float(generator.uniform(-0.35, 0.3)), float(generator.uniform(-0.5, 0.5))),
        distance_cm=float(generator.uniform(40.0, 140.0)),
        face_share=float(generator.uniform(0.3, 0.5)),
        size_px=int(generator.integers(256, 321)),
        paint_seed=int(generator.integers(2**31)),
    )


def _sample_expression(generator: np.random.Generator) -> dict[str, float]:
    weights: dict[str, float] = {}
    for chance, mix in _MIXES:
        if generator.random() > chance:
            continue
        strength = float(generator.uniform(0.2, 1.0)) if generator.random() < 0.6 else 1.0
        left, right = _SIDES[generator.choice(len(_SIDES), p=_SIDE_CHANCES)]
        for shape, weight in mix.items():
            for name, share in ((shape, 1.0), (f"{shape}_L", left), (f"{shape}_R", right)):
                weights[name] = max(weights.get(name, 0.0), strength * weight * share)
    return weights
