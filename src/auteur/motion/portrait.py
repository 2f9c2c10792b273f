"""Motion applied to a portrait's own geometry."""

import numpy as np
from numpy.typing import NDArray

from auteur.face.gaze import EYEBALL_RADIUS_MM
from auteur.face.pose import MIRROR, HeadPose, head_pose, rotation_of, with_pose, without_pose
from auteur.motion.mouth import LID_PAIRS, LIP_PAIRS, kept_apart, lip_gap
from auteur.signals import PoseTrack
from auteur.signals.topology import LEFT_EYE, LEFT_IRIS, RIGHT_EYE, RIGHT_IRIS

Floats = NDArray[np.floating]

_LID_RING = {246: 247, 161: 30, 160: 29, 159: 27, 158: 28, 157: 56, 173: 190}
"""The vertex above each of the right upper lid's, which folds with it."""
_RING_SHARE = 0.45
_UPPER_SHARE = 0.88
"""Part of the way that the upper lid goes when the lids meet."""
_LID_FOLLOWS_GAZE = 0.6


def apply_to(
    portrait: Floats,
    displacement_mm: Floats,
    *,
    closure: Floats | None = None,
    lids: Floats | None = None,
    gaze_rad: Floats | None = None,
    head: PoseTrack | None = None,
    opening: Floats | None = None,
    taken_mm: Floats | None = None,
) -> Floats:
    """Returns the portrait's landmarks in motion, [T, 478, 3] px.

    Motion starts from the portrait's own shape, expression and pose: zero displacement gives the
    portrait back, unless something of its expression is taken out.

    Args:
        portrait: [478, 3] px.
        displacement_mm: [T, 478, 3], pose-free, in millimetres of the canonical head.
        closure: Closure of the lips, [T] 0 to 1; it also closes the gap of the portrait's own mouth.
        lids: Closure of each eye, [T, 2] right, left, 0 to 1.
        gaze_rad: Turn of the eyes, [T, 2]: x (+ to the picture's right), y (+ down).
        head: Motion relative to the portrait's pose (`auteur.motion.habits`), T frames.
        opening: Movement per millimetre of lip gap [478, 3]; needed with `closure`.
        taken_mm: Displacement of the portrait's own expression that is removed, [478, 3] or [T, 478, 3]
            (`auteur.motion.own_expression`).
    """
    pose = head_pose(portrait)
    neutral = without_pose(portrait, pose)
    rest = neutral if taken_mm is None else neutral - taken_mm
    face = rest + displacement_mm
    if closure is not None and opening is not None:
        face = face - (np.maximum(lip_gap(rest), 0) * closure)[:, None, None] * opening
    face = kept_apart(face, LIP_PAIRS, _own_least(neutral, LIP_PAIRS))
    if gaze_rad is not None:
        face = _with_gaze(face, gaze_rad)
    if lids is not None:
        face = _with_lids(face, lids)
    for pairs in LID_PAIRS:
        face = kept_apart(face, pairs, _own_least(neutral, pairs))
    return with_pose(face, pose if head is None else moved_pose(pose, head)).astype(np.float32)


def with_eyes_held(moved: Floats, portrait: Floats, shown: Floats, head: PoseTrack | None = None) -> Floats:
    """Returns landmarks in motion, [T, 478, 3] px, with the portrait's own lids where its eyes are closed.

    Args:
        moved: What `apply_to` returns.
        portrait: [478, 3] px.
        shown: Share of each eye's motion that is applied, [2] right, left, 0 to 1
            (`auteur.motion.own_expression`).
        head: As for `apply_to`.
    """
    pose = head_pose(portrait)
    still = with_pose(without_pose(portrait, pose), pose if head is None else moved_pose(pose, head))
    result = np.array(moved)
    for share, eye in zip(shown, (RIGHT_EYE + RIGHT_IRIS, LEFT_EYE + LEFT_IRIS), strict=True):
        points = list(eye)
        result[..., points, :] += (1 - share) * (still[..., points, :] - result[..., points, :])
    return result


def moved_pose(pose: HeadPose, head: PoseTrack) -> HeadPose:
    """Returns the portrait's pose moved by T frames of relative head motion."""
    values = head.values.astype(np.float64)
    rotation = rotation_of(pose.angles_rad + values[:, :3])
    still = rotation_of(pose.angles_rad)
    rotation = rotation @ still.T @ pose.rotation  # exact for zero motion, whatever the angles round off
    scale = np.broadcast_to(pose.scale, len(values))
    return HeadPose(rotation, scale, pose.shift + pose.scale * values[:, 3:])


def _own_least(neutral: Floats, pairs: tuple[tuple[int, int], ...]) -> Floats:
    return np.array([min(neutral[lower, 1] - neutral[upper, 1], 0.0) for upper, lower in pairs])


def _with_lids(face: Floats, lids: Floats) -> Floats:
    result = np.array(face)
    for eye, pairs in enumerate(LID_PAIRS):
        for upper, lower in pairs:
            way = (face[:, lower] - face[:, upper]) * lids[:, eye, None]
            result[:, upper] += _UPPER_SHARE * way
            result[:, lower] -= (1 - _UPPER_SHARE) * way
            ring = _LID_RING[upper] if eye == 0 else int(MIRROR[_LID_RING[int(MIRROR[upper])]])
            result[:, ring] += _RING_SHARE * way
    return result


def _with_gaze(face: Floats, gaze_rad: Floats) -> Floats:
    result = np.array(face)
    shift = EYEBALL_RADIUS_MM * np.sin(gaze_rad)
    for iris in (RIGHT_IRIS, LEFT_IRIS):
        result[:, list(iris), :2] += shift[:, None]
    for pairs in LID_PAIRS:  # upper lids go along when the eyes look up or down
        result[:, [upper for upper, _ in pairs], 1] += _LID_FOLLOWS_GAZE * shift[:, 1:]
    return result
