"""More mouths for the compact denoiser: photographs of people who show their teeth.

    auteur prepare PHOTOS --kind photos -o PHOTO_SHARDS --features views

Footage has few people. A photograph adds one more, at one moment: its lips are brought together by the
warp, and from there warped open again, so that what shows between them is the warp's own, as it is for every
portrait with closed lips. The photograph is the target. The lips themselves are unchanged by closing and
opening, so only the inside of the mouth counts. A photograph gives clips of one frame, as those of
`auteur.lab.data.face_views`: one, and one in a mirror.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from auteur.errors import InputError
from auteur.expression.space import CompactExpressionSpace
from auteur.face.pose import head_pose, with_pose, without_pose
from auteur.lab.data.face_views import Clip, FacePiece, ViewSettings, mirrored, views_of
from auteur.lab.data.shards import Sample
from auteur.motion.mouth import lip_gap
from auteur.motion.portrait_expression import closing, portrait_expression
from auteur.motion.speech_motion import SpeechMotion
from auteur.synthesis.warp import PortraitWarper

LEAST_GAP_MM = 3.0
"""Between the lips; photographs of mouths less open are left out."""
_VIEWS, _PAINTS = ("mouth",), "openings"
_FEWEST_PX = 70.0
"""Across a face that is large enough to show teeth."""
_MOST_TURNED_RAD = 0.6


def photo_piece(sample: Sample) -> FacePiece:
    """Returns a piece of two frames: a photograph with its lips brought together, and as it is.

    Raises:
        InputError: The face cannot be warped.
    """
    (picture,) = sample.frames()
    (landmarks,) = sample.array("landmarks").astype(np.float32)
    jaw_share = portrait_expression(landmarks, sample.array("blendshapes")[0]).jaw_share
    shift_mm = closing(landmarks, SpeechMotion.shipped().basis, jaw_share)
    closed = with_pose(without_pose(landmarks) + shift_mm, head_pose(landmarks)).astype(np.float32)
    warper = PortraitWarper(
        torch.from_numpy(picture).permute(2, 0, 1).contiguous(), torch.from_numpy(landmarks)
    )
    shut, shown = warper.render_with_landmarks(torch.from_numpy(closed)[None])
    both = np.stack([shown[0].numpy(), landmarks])
    return FacePiece(
        name=sample.key,
        person=sample.record["person"],
        pictures=np.stack([shut[0].permute(1, 2, 0).numpy(), picture]),
        landmarks=both,
        units=np.zeros((2, 24), np.float32),
        expression=CompactExpressionSpace.shipped().of_unknown_people(without_pose(both)).astype(np.float32),
        speech=None,
    )


def views_of_photograph(
    sample: Sample, settings: ViewSettings, *, least_gap_mm: float = LEAST_GAP_MM
) -> Iterator[tuple[str, Clip]]:
    """Yields name and tensors of the clip of a photograph and of its mirror image.

    Raises:
        InputError: Its mouth is too far closed, its head turned too far or its face too small.
    """
    _check(sample, least_gap_mm)
    piece = photo_piece(sample)
    for suffix, one in (("", piece), ("_mirrored", replace(mirrored(piece), name=piece.name))):
        seen = views_of(one, slice(1, 2), 0, views=_VIEWS, size_px=settings.size_px, paints=_PAINTS)
        for view, clip in seen:
            # A single photograph has no neutral to differ from.
            yield f"{view}{suffix}", {name: tensor for name, tensor in clip.items() if name != "au"}


def _check(sample: Sample, least_gap_mm: float) -> None:
    (landmarks,) = sample.array("landmarks")
    rotation = head_pose(landmarks).rotation
    turned_rad = float(np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1)))
    gap_mm = float(lip_gap(without_pose(landmarks)))
    extent = landmarks[:, :2].max(axis=0) - landmarks[:, :2].min(axis=0)
    if float(extent.max()) < _FEWEST_PX:
        raise InputError(f"the face is {extent.max():.0f} px large; at least {_FEWEST_PX:.0f} px are needed")
    if turned_rad > _MOST_TURNED_RAD:
        raise InputError(f"the head is turned by {turned_rad:.2f} rad; at most {_MOST_TURNED_RAD} are used")
    if gap_mm < least_gap_mm:
        raise InputError(f"the lips are {gap_mm:.1f} mm apart; at least {least_gap_mm:g} mm show teeth")
