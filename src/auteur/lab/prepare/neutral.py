"""Stage "neutral": a person at rest, from a recording labelled neutral, once per person and view.

A clip that is angry throughout has an angry resting face, so intensities measured from the clip's own
calm frames come out too small. Each view has its own, since landmarks err alike only from the same side.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from auteur.errors import AuteurError
from auteur.face.action_units import Neutral, neutral_of
from auteur.face.backend import FaceBackend
from auteur.face.pose import without_pose
from auteur.face.smoothing import smooth_readings
from auteur.face.tracker import FaceTracker
from auteur.files import atomic_path
from auteur.lab.corpora import Recording
from auteur.lab.data.motion_tracks import resting_frames
from auteur.lab.prepare.frames import pictures_of
from auteur.lab.prepare.options import RATE

Floats = NDArray[np.floating]

CANDIDATES = 3
"""Neutral recordings that are tried before a person counts as one without any."""

LONGEST_SEC = 10
FEWEST_FRAMES = 20


@dataclass(frozen=True, eq=False)
class NeutralFace:
    """A person at rest."""

    face_mm: Floats
    """[478, 3], pose-free, millimetres of the canonical head."""
    blendshapes: Floats
    """[52]."""

    @property
    def neutral(self) -> Neutral:
        """Neutral from which Action Units are measured."""
        return neutral_of(self.face_mm[None], self.blendshapes[None])


def neutral_recordings(recordings: Iterable[Recording]) -> dict[tuple[str, str | None], list[Recording]]:
    """Returns the first few recordings labelled neutral of every person and view."""
    found: dict[tuple[str, str | None], list[Recording]] = {}
    for recording in recordings:
        if recording.emotion == "neutral" and recording.medium == "video":
            group = found.setdefault((recording.person, recording.view), [])
            if len(group) < CANDIDATES:
                group.append(recording)
    return found


def neutral_face(recording: Recording, backend: FaceBackend) -> NeutralFace | None:
    """Returns a recording's resting face, or None where too few frames have a face.

    Raises:
        AuteurError: It cannot be read.
    """
    pictures = islice(pictures_of(recording), LONGEST_SEC * int(RATE))
    seen = [r for r in smooth_readings(FaceTracker(backend).track(pictures)) if r is not None]
    if len(seen) < FEWEST_FRAMES:
        return None
    faces = without_pose(np.stack([reading.landmarks for reading in seen]))
    blendshapes = np.stack([reading.blendshapes for reading in seen])
    rest = resting_frames(faces, blendshapes)
    return NeutralFace(np.median(faces[rest], axis=0), np.median(blendshapes[rest], axis=0))


def find_neutral(candidates: Sequence[Recording], backend: FaceBackend) -> NeutralFace | None:
    """Returns the resting face of the first usable recording; unreadable ones are skipped here."""
    for recording in candidates:
        try:
            rest = neutral_face(recording, backend)
        except AuteurError:  # the recording itself is reported when its turn comes
            continue
        if rest is not None:
            return rest
    return None


def save_neutral(path: Path, rest: NeutralFace | None) -> None:
    """Writes a rest, or that there is none, whole or not at all."""
    arrays = {} if rest is None else {"face_mm": rest.face_mm, "blendshapes": rest.blendshapes}
    with atomic_path(path, overwrite=True) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def load_neutral(path: Path) -> NeutralFace | None:
    """Reads what `save_neutral` wrote."""
    with np.load(path, allow_pickle=False) as file:
        return NeutralFace(file["face_mm"], file["blendshapes"]) if file.files else None
