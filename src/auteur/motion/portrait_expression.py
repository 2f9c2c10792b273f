"""The portrait's own expression, and how much of it a performance replaces.

A picture with a smile and parted lips is no neutral face: without this, a sad portrait would smile
and a silent one would keep its mouth open.
"""

from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from auteur.errors import UsageError
from auteur.face.action_units import action_units
from auteur.face.pose import without_pose
from auteur.facs import ACTION_UNITS, CONTROLS, MEDIAPIPE_BLENDSHAPES, au_track
from auteur.motion.au_basis import AUBasis
from auteur.motion.mouth import LID_PAIRS, LIP_PAIRS, lip_gap
from auteur.signals import AUTrack

Floats = NDArray[np.floating]

SHOWN_FROM: dict[int, float] = {
    1: 0.45,
    2: 0.45,
    **dict.fromkeys((4, 6, 7, 9, 10, 14, 15, 17, 20, 23), 0.2),
    12: 0.1,
}
"""Units of a portrait's own expression, and the measured intensity from which they count: below, it is
anatomy or tracking error. Brow height is anatomy more than the rest. Lids, gaze and the
opening of the lips are not in it: they have rules of their own."""

_AS_READ: dict[int, float] = {4: 9.2 / 11.5, 10: 10.0 / 11.8, 20: 12.6 / 15.5}
"""Displacement of a face that is read at 1, as a share of the basis's at 1 (largest of the mesh, mm/mm; the
table of `weights/au_basis.md`); 1 for other units. These three were raised to the strongest that people show,
the readings of a portrait were not, and a smile would be taken out by more than is there."""

_JAW_IS_OPEN = 0.35
"""The blendshape jawOpen at which an open mouth is all jaw; at 0 only the lips are apart."""
_LIPS_ALONE_MM = 8.0
"""Largest gap of the lips without the jaw (AU25); beyond it the jaw counts as open at any jawOpen."""
_EYE_IS_SHUT, _EYE_IS_OPEN = 0.10, 0.16
"""Lid gap, in widths of the eye and without what blinking takes away, up to which a portrait shows nothing of
the eyeball, and from which it shows enough. Open eyes have 0.25 to 0.35; lowered lids and eyes shut in
laughter up to 0.12 (photographs in the wild, read by the shipped tracker, looked through by eye)."""
_BLINK_FROM, _BLINK_TAKES = 0.3, 0.25
"""Blendshape eyeBlink from which it counts, and the gap that it subtracts per unit: lashes of a closed
eye look like a gap to the landmarks."""
_EYE_CORNERS = ((33, 133), (263, 362))
_LEAST_SHARE = 0.3
"""Smallest gap of the opening's profile by which a gap is divided, in mm per mm at the middle."""

_MOUTH = frozenset(
    name for unit in ACTION_UNITS.values() if unit.region in ("mouth", "jaw") for name in unit.controls
)


@dataclass(frozen=True, kw_only=True, eq=False)
class PortraitExpression:
    """The expression of a portrait.

    Attributes:
        intensities: Of every control of the convention "facs", [C] in [0, 1].
        jaw_share: Share of the gap between its lips that the jaw makes, 0 to 1.
        eyes_shown: Visibility of each eyeball, [2] right, left, 0 to 1.
            At 0 the eye neither opens nor blinks nor moves.
    """

    intensities: Floats
    jaw_share: float
    eyes_shown: Floats = field(default_factory=lambda: np.ones(2))

    def replaced_by(self, requested: AUTrack | None, override: Floats) -> AUTrack:
        """Returns the intensities that a performance replaces, T frames at 25 frames/s, convention "facs".

        A performance of the whole face (an emotion, a track) replaces all of them. Where only single units
        are requested, those of the mouth are replaced by the largest requested intensity of the mouth, so
        that a requested smile replaces a smile, and upper-face units add to the portrait's own.

        Args:
            requested: Requested units, T frames, convention "facs".
            override: Weight of a performance of the whole face, [T] in [0, 1].
        """
        way = np.repeat(np.asarray(override, dtype=np.float64)[:, None], len(CONTROLS), axis=1)
        if requested is not None:
            mouth = np.array([name in _MOUTH for name in CONTROLS])
            columns = [i for i, name in enumerate(requested.channels) if name in _MOUTH]
            if columns:
                strongest = requested.values[:, columns].max(axis=1)
                way[:, mouth] = np.maximum(way[:, mouth], strongest[:, None])
        return au_track(way * self.intensities, convention="facs", rate=Fraction(25))


def portrait_expression(landmarks: Floats, blendshapes: Floats) -> PortraitExpression:
    """Returns the expression of a portrait, measured against the mean neutral face.

    Args:
        landmarks: [478, 3] px.
        blendshapes: [52].

    Raises:
        UsageError: An array has another shape.
    """
    if landmarks.ndim != 2 or blendshapes.ndim != 1:
        raise UsageError("a portrait has landmarks [478, 3] and blendshapes [52]")
    seen = action_units(landmarks[None], blendshapes[None], rate=Fraction(25))
    values = np.zeros(len(CONTROLS))
    for number, least in SHOWN_FROM.items():
        for name in ACTION_UNITS[number].controls:
            value = float(seen.channel(name)[0])
            values[CONTROLS.index(name)] = max(0.0, value - least) / (1 - least) * _AS_READ.get(number, 1)
    jaw = float(blendshapes[MEDIAPIPE_BLENDSHAPES.index("jawOpen")])
    return PortraitExpression(
        intensities=values,
        jaw_share=min(1.0, max(0.0, jaw / _JAW_IS_OPEN)),
        eyes_shown=_eyes_shown(without_pose(landmarks), blendshapes),
    )


def _eyes_shown(face: Floats, blendshapes: Floats) -> Floats:
    open_by: list[float] = []
    for side, pairs, (outer, inner) in zip(("Right", "Left"), LID_PAIRS, _EYE_CORNERS, strict=True):
        upper, lower = pairs[len(pairs) // 2]
        gap = (face[lower, 1] - face[upper, 1]) / max(float(np.linalg.norm(face[outer] - face[inner])), 1e-3)
        blink = float(blendshapes[MEDIAPIPE_BLENDSHAPES.index(f"eyeBlink{side}")])
        gap -= _BLINK_TAKES * max(0.0, blink - _BLINK_FROM)
        open_by.append(float(np.clip((gap - _EYE_IS_SHUT) / (_EYE_IS_OPEN - _EYE_IS_SHUT), 0, 1)))
    return np.array([share**2 * (3 - 2 * share) for share in open_by])


def closing(portrait: Floats, basis: AUBasis, jaw_share: float) -> Floats:
    """Returns the displacement [478, 3] in mm that brings the portrait's lips together, all along the mouth.

    Args:
        portrait: [478, 3] px.
        basis: Displacement of parting lips (AU25) and of the dropping jaw.
        jaw_share: Share of the gap that the jaw makes, 0 to 1.
    """
    face = without_pose(portrait)
    upper, lower = [pair[0] for pair in LIP_PAIRS], [pair[1] for pair in LIP_PAIRS]
    gaps = np.maximum(face[lower, 1] - face[upper, 1], 0)
    jaw_share = max(jaw_share, 1 - _LIPS_ALONE_MM / max(float(gaps.max()), 1e-3))
    lips = basis.control_displacement("AU25")
    lips = lips / max(float(lip_gap(lips)), 1e-3)
    way = jaw_share * basis.opening.numpy() + (1 - jaw_share) * lips
    profile = np.maximum(way[lower, 1] - way[upper, 1], _LEAST_SHARE)
    places = (face[lower, 0] + face[upper, 0]) / 2
    order = np.argsort(places)
    amount = np.interp(face[:, 0], places[order], (gaps / profile)[order])
    return -amount[:, None] * way
