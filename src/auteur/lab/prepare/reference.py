"""Stage "reference": the picture of the person to animate.

Taken from the clip itself it leaks the target emotion to a model; from a recording with another
emotion it cannot (`Recording.reference`).
"""

from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from auteur.errors import FaceError
from auteur.face import crops
from auteur.face.backend import FaceBackend, FaceReading
from auteur.face.pose import without_pose
from auteur.face.tracker import FaceTracker
from auteur.lab.corpora import Recording
from auteur.lab.data.motion_tracks import resting_frames
from auteur.lab.prepare.clips import Clip
from auteur.lab.prepare.crops import squares
from auteur.lab.prepare.frames import Picture, pictures_of
from auteur.lab.prepare.options import PrepareOptions
from auteur.motion.mouth import lip_gap

Floats = NDArray[np.floating]

LOOKS = 10
EVERY = 5
"""Ten pictures, a fifth of a second apart, are searched."""


@dataclass(frozen=True, eq=False)
class Reference:
    """A picture of a face and its landmarks."""

    picture: Picture
    """The crop, [S, S, 3]."""
    landmarks: Floats
    """[478, 3] in pixels of the crop."""
    key: str
    """Recording it comes from."""
    frame: int
    """Number of the picture in that recording, at 25 per second."""


def most_neutral_frame(clip: Clip) -> int:
    """Returns the frame of a clip that shows the face most at rest."""
    faces = without_pose(clip.landmarks)
    rest = resting_frames(faces, clip.blendshapes)
    return int(rest[0]) if len(rest) else int(lip_gap(faces).argmin())


def reference_of(recording: Recording, backend: FaceBackend, options: PrepareOptions) -> Reference:
    """Returns the reference of a recording: the most closed lips among ten of its first pictures.

    Raises:
        MediaError: The recording cannot be read.
        FaceError: No face is found in these pictures.
    """
    tracker = FaceTracker(backend)
    found: list[tuple[float, int, Picture, FaceReading]] = []
    for number, picture in islice(enumerate(pictures_of(recording)), 0, LOOKS * EVERY, EVERY):
        reading = tracker.step(picture)
        if reading is not None:
            gap = float(lip_gap(without_pose(reading.landmarks)))
            found = [min([*found, (gap, number, picture, reading)], key=lambda each: each[:2])]
    if not found:
        raise FaceError(f"no reference: {tracker.problem(recording.video.name)}")
    _, number, picture, reading = found[0]
    [square] = squares(reading.landmarks[None].astype(np.float64), options)
    return Reference(
        picture=crops.cropped(picture, square, options.size_px),
        landmarks=crops.apply(square.matrix(options.size_px), reading.landmarks),
        key=recording.key,
        frame=number,
    )
