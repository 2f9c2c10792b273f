r"""More mouths for the compact denoiser: photographs of people who show their teeth.

    python -m auteur.lab.data.photo_views --photos PHOTOS --out VIEWS

Footage has few people. A photograph adds one more, at one moment: its lips are brought together by the
warp, and from there warped open again, so that what shows between them is the warp's own, as it is for every
portrait with closed lips. The photograph is the target. The lips themselves are unchanged by closing and
opening, so only the inside of the mouth counts. The files are clips of one frame, as those of
`auteur.lab.data.face_views`, each once more in a mirror.
"""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor

from auteur.errors import AuteurError, InputError
from auteur.expression.space import CompactExpressionSpace
from auteur.face.auteur_backend import AuteurBackend
from auteur.face.backend import FaceReading
from auteur.face.pose import head_pose, with_pose, without_pose
from auteur.lab.data.denoiser_clips import write_clips
from auteur.lab.data.face_views import FacePiece, mirrored, views_of
from auteur.lab.data.splits import person_of_photo
from auteur.media import read_image
from auteur.motion.mouth import lip_gap
from auteur.motion.portrait_expression import closing, portrait_expression
from auteur.motion.speech_motion import SpeechMotion
from auteur.synthesis.warp import PortraitWarper

_VIEWS, _PAINTS = ("mouth",), "openings"
_FEWEST_PX = 70.0
"""Across a face that is large enough to show teeth."""
_MOST_TURNED_RAD = 0.6


@dataclass(frozen=True)
class PhotoViewsRecipe:
    """Path of the photographs, and which of them are used."""

    photos: Path
    """Folder of `Person_Name_0001.jpg`."""
    out: Path
    """Folder for the shards."""
    size_px: int = 128
    least_gap_mm: float = 3.0
    """Between the lips; photographs of mouths less open are left out."""
    workers: int = 1


def photo_piece(path: Path, picture: NDArray[np.uint8], reading: FaceReading) -> FacePiece:
    """Returns a piece of two frames: a photograph with its lips brought together, and as it is.

    Raises:
        InputError: The face cannot be warped.
    """
    landmarks = reading.landmarks.astype(np.float32)
    jaw_share = portrait_expression(landmarks, reading.blendshapes).jaw_share
    shift_mm = closing(landmarks, SpeechMotion.shipped().basis, jaw_share)
    closed = with_pose(without_pose(landmarks) + shift_mm, head_pose(landmarks)).astype(np.float32)
    warper = PortraitWarper(
        torch.from_numpy(picture).permute(2, 0, 1).contiguous(), torch.from_numpy(landmarks)
    )
    shut, shown = warper.render_with_landmarks(torch.from_numpy(closed)[None])
    both = np.stack([shown[0].numpy(), landmarks])
    return FacePiece(
        name=path.stem,
        person=person_of_photo(path.name),
        pictures=np.stack([shut[0].permute(1, 2, 0).numpy(), picture]),
        landmarks=both,
        units=np.zeros((2, 24), np.float32),
        expression=CompactExpressionSpace.shipped().of_unknown_people(without_pose(both)).astype(np.float32),
        speech=None,
    )


def render(path: Path, recipe: PhotoViewsRecipe) -> list[tuple[str, str, dict[str, Tensor]]]:
    """Returns name, person and tensors of the clips of a photograph: 2, or none if it is not usable."""
    torch.set_num_threads(1)
    made: list[tuple[str, str, dict[str, Tensor]]] = []
    try:
        picture = read_image(path)
        reading = next(iter(AuteurBackend().find(picture)), None)
        if reading is None or not _is_useful(reading, recipe.least_gap_mm):
            return []
        piece = photo_piece(path, picture, reading)
        for one in (piece, mirrored(piece)):
            seen = views_of(one, slice(1, 2), 0, views=_VIEWS, size_px=recipe.size_px, paints=_PAINTS)
            for view, clip in seen:
                del clip["au"]  # a single photograph has no neutral to differ from
                made.append((slug(f"{one.name}_{view}"), one.person, clip))
    except AuteurError:  # no picture, or a face that cannot be warped
        return []
    return made


def slug(name: str) -> str:
    """Returns a name without what the key of a sample may not hold."""
    return name.replace(".", "-")


def _is_useful(reading: FaceReading, least_gap_mm: float) -> bool:
    rotation = head_pose(reading.landmarks).rotation
    turned = np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))
    gap_mm = float(lip_gap(without_pose(reading.landmarks)))
    return reading.size_px >= _FEWEST_PX and turned <= _MOST_TURNED_RAD and gap_mm >= least_gap_mm


def main(recipe: PhotoViewsRecipe) -> None:
    """Renders all photographs into shards."""
    photos = sorted(recipe.photos.glob("*.jpg"))
    if not photos:
        raise InputError(f"{str(recipe.photos)!r} holds no .jpg")
    with ProcessPoolExecutor(recipe.workers, mp_context=get_context("spawn")) as pool:
        made = pool.map(partial(render, recipe=recipe), photos, chunksize=16)
        shown = track(made, description="photos", total=len(photos))
        write_clips(recipe.out, (clip for clips in shown for clip in clips))


if __name__ == "__main__":
    main(tyro.cli(PhotoViewsRecipe))
