"""Stages "landmarks", "units", "expression", "pose": every number about a face, by the name of its member."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auteur.expression.space import CompactExpressionSpace
from auteur.face import crops
from auteur.face.action_units import action_units, average_neutral, neutral_by_region
from auteur.face.crops import CropFrame
from auteur.face.gaze import gaze_angles_rad, gaze_directions
from auteur.face.pose import head_pose, without_pose
from auteur.facs import CONVENTIONS, MEDIAPIPE_BLENDSHAPES, convert
from auteur.lab.prepare.clips import Clip
from auteur.lab.prepare.external_measurements import UNIT_TOOLS, ExternalMeasurements, at_clip
from auteur.lab.prepare.neutral import NeutralFace
from auteur.lab.prepare.options import RATE

Floats = NDArray[np.floating]

POSE = ("pitch_rad", "yaw_rad", "roll_rad", "x_mm", "y_mm", "z_mm", "px_per_mm")
"""Columns of `pose.npy`; translations in millimetres of the canonical head, in the recording's picture."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """Inputs of the measures of one clip."""

    clip: Clip
    squares: list[CropFrame]
    size_px: int
    rest: NeutralFace | None
    others: ExternalMeasurements
    space: CompactExpressionSpace


@dataclass(frozen=True)
class Numbers:
    """Output of a stage: arrays by the name of their member, and entries of the record."""

    arrays: dict[str, Floats]
    notes: dict[str, Any] = field(default_factory=dict[str, Any])


def landmark_arrays(subject: Subject) -> Numbers:
    """Landmarks in the pixels of the crop, the maps from the recording's picture to it, and blendshapes."""
    matrices = np.stack([frame.matrix(subject.size_px) for frame in subject.squares])
    moved = [crops.apply(m, points) for m, points in zip(matrices, subject.clip.landmarks, strict=True)]
    return Numbers(
        {
            "landmarks": np.stack(moved),
            "affine": matrices,
            "blendshapes": subject.clip.blendshapes,
        }
    )


def unit_arrays(subject: Subject) -> Numbers:
    """Action Units in every convention; those of another tool where it was used and has the convention."""
    clip, rest = subject.clip, subject.rest
    if clip.recording.medium == "picture":
        neutral, origin = average_neutral(), "the average face"
    elif rest is None:
        neutral = neutral_by_region(clip.landmarks, clip.blendshapes)
        origin = "calmest frames of the clip"
    else:
        neutral, origin = rest.neutral, "a neutral recording of the person"
    own = action_units(clip.landmarks, clip.blendshapes, rate=RATE, neutral=neutral)
    arrays: dict[str, Floats] = {}
    sources: dict[str, str] = {}
    for convention in CONVENTIONS:
        tool = next((t for t in subject.others.units if convention in UNIT_TOOLS[t]), None)
        track = own if tool is None else at_clip(subject.others.units[tool], clip)
        arrays[f"au.{convention}"] = convert(track, convention).values
        sources[convention] = tool or "auteur"
    return Numbers(
        arrays,
        {
            "au_from": sources,
            "neutral": origin,
        },
    )


def expression_arrays(subject: Subject) -> Numbers:
    """The compact expression vector, and FLAME's where DECA, EMOCA or SMIRK measured it."""
    faces = without_pose(subject.clip.landmarks)
    space, rest = subject.space, subject.rest
    own = space.of_unknown_people(faces) if rest is None else space.encode(faces - rest.face_mm)
    arrays = {f"expression.{space.name}": own}
    notes = {"expression_from": {space.name: "auteur"}}
    if subject.others.expression is not None:
        tool, track, jaw = subject.others.expression
        arrays[f"expression.{track.convention}"] = at_clip(track, subject.clip).values
        notes["expression_from"][track.convention] = tool
        if jaw is not None:
            arrays["jaw"] = at_clip(jaw, subject.clip).values
    return Numbers(arrays, notes)


def pose_arrays(subject: Subject) -> Numbers:
    """Head pose and gaze."""
    pose = head_pose(subject.clip.landmarks)
    place = pose.shift / pose.scale[:, None]
    gaze = gaze_angles_rad(gaze_directions(subject.clip.landmarks, pose))
    columns = np.concatenate([pose.angles_rad, place, pose.scale[:, None]], axis=1)
    return Numbers({"pose": columns, "gaze": gaze})


def channels() -> dict[str, list[str]]:
    """Returns the column names of the members that have any."""
    named = {f"au.{name}.npy": list(convention.channels) for name, convention in CONVENTIONS.items()}
    return {**named, "blendshapes.npy": list(MEDIAPIPE_BLENDSHAPES), "pose.npy": list(POSE)}


FACE_STAGES: dict[str, Callable[[Subject], Numbers]] = {
    "landmarks": landmark_arrays,
    "units": unit_arrays,
    "expression": expression_arrays,
    "pose": pose_arrays,
}
"""The measuring stages of a clip."""
