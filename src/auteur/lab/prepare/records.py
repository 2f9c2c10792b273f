"""What the index and the record state of a sample."""

from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

from auteur.lab.corpora import Recording
from auteur.lab.prepare.clips import Clip
from auteur.lab.prepare.options import RATE
from auteur.lab.prepare.sound import ClipSound


class Stretch(Protocol):
    """A clip or a part of a sound."""

    @property
    def start_sec(self) -> Fraction:
        """When it begins, on the clock of the file."""
        ...

    @property
    def stop_sec(self) -> Fraction:
        """When it ends."""
        ...


def row_of(clip: Clip, sound: ClipSound | None) -> dict[str, Any]:
    """Returns the index's entry of a clip."""
    agreement = None if sound is None else sound.agreement
    return {
        **labels_of(clip.recording),
        "key": clip.key,
        "frames": clip.frames,
        "face_px": round(clip.face_px, 1),
        "seen": round(clip.seen, 4),
        "has_speech": sound is not None,
        "offset_frames": None if agreement is None else agreement.offset_frames,
        "agreement": None if agreement is None else round(agreement.correlation, 4),
    }


def labels_of(recording: Recording) -> dict[str, Any]:
    """Returns the person, the medium and the labels of a recording."""
    return {
        "medium": recording.medium,
        "person": recording.person,
        "held_out": recording.held_out,
        "emotion": recording.emotion,
        "perceived": recording.perceived,
        "intensity": recording.intensity,
        "view": recording.view,
    }


def origin_of(recording: Recording, stretch: Stretch, folder: Path) -> dict[str, Any]:
    """Returns entries of the record beyond the index."""
    return {
        "recording": recording.key,
        "video": relative(recording.video, folder),
        "audio": None if recording.audio is None else relative(recording.audio, folder),
        "box": None if recording.box is None else list(recording.box),
        "text": recording.text,
        "language": recording.language,
        "rate": str(RATE),
        "start_sec": str(stretch.start_sec),
        "stop_sec": str(stretch.stop_sec),
    }


def relative(path: Path, folder: Path) -> str:
    """Returns a file's path below the corpus, which stays true when the corpus is moved."""
    return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else str(path)
