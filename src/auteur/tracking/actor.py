"""A video of an actor, tracked: the face, head, gaze and blinks that drive a portrait."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from auteur.face.auteur_backend import AuteurBackend
from auteur.formats import RecordedPerformance, TrackReading, read_recorded
from auteur.tracking.track_file import TrackOptions, track_file


def track_actor(path: Path, reading: TrackReading) -> RecordedPerformance:
    """Returns the performance in a video, measured by the shipped tracker.

    Args:
        path: A video with a face.
        reading: Which face (0 the largest), and at which second of the speech the video starts.

    Raises:
        MediaError: The file cannot be read.
        FaceError: It shows no face.
    """
    with TemporaryDirectory(prefix="auteur-") as folder:
        table = Path(folder) / "actor.csv"
        track_file(path, table, AuteurBackend(), TrackOptions(face=reading.face or 0))
        return read_recorded(table, replace(reading, face=None))
