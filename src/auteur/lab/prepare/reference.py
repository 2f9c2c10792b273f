"""Stage "reference": the picture that a model is shown of whoever it is to animate.

Taken from the clip itself it tells a model the emotion that it is to show; from a recording with another
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
from auteur.lab.data.motion_tracks import neutral_frames
from auteur.lab.prepare.clips import Clip
from auteur.lab.prepare.crops import squares
from auteur.lab.prepare.frames import Picture, pictures_of
from auteur.lab.prepare.options import PrepareOptions
from auteur.motion.mouth import lip_gap

Floats = NDArray[np.floating]

LOOKS = 10
EVERY = 5
"""Ten pictures, a fifth of a second apart, are looked at."""


@dataclass(frozen=True, eq=False)
class Reference:
    """A picture of a face and where the face is in it."""

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
    rest = neutral_frames(faces, clip.blendshapes)
    return int(rest[0]) if len(rest) else int(lip_gap(faces).argmin())


def reference_of(recording: Recording, backend: FaceBackend, options: PrepareOptions) -> Reference:
    """Returns the reference that a recording gives: the one with the most closed lips of its first ten looks.

    Raises:
        MediaError: The recording cannot be read.
        FaceError: No face is seen where it is looked for.
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
