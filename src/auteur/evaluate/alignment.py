"""Alignment of two videos: the compared crop, and the differences between the files."""

from auteur.errors import FaceError, MediaError
from auteur.evaluate.pairing import Clip
from auteur.evaluate.protocols import Protocol
from auteur.evaluate.views import face_crop, scaled
from auteur.face.backend import FaceBackend
from auteur.face.crops import CropFrame
from auteur.media import MediaInfo, probe

_SAME_SHAPE = 0.02
"""Largest difference of the sides' ratios of two videos that count as framed alike."""


def squares(
    clip: Clip, protocol: Protocol, backend: FaceBackend
) -> tuple[CropFrame, dict[str, CropFrame], list[str]]:
    """Returns the real video's square, every system's, and sentences about what differs.

    Videos of the real one's shape are cropped at the same place, so that a face that has moved counts as
    moved; others are cropped around their own face.

    Raises:
        FaceError: The real video shows no face.
        MediaError: A file is no video.
    """
    info = _probe(clip.reference)
    real = face_crop(clip.reference, backend, crop_to_face=protocol.crop_to_face)
    found: dict[str, CropFrame] = {}
    notes: list[str] = []
    for name, path in clip.videos.items():
        other = _probe(path)
        notes += [f"{clip.name}: {line}" for line in differences(name, other, info, protocol)]
        (width, height), (real_width, real_height) = _size(other), _size(info)
        found[name] = scaled(real, width / real_width)
        if clip.portrait is not None or abs(width * real_height / (real_width * height) - 1) > _SAME_SHAPE:
            notes.append(f"{clip.name}: {name} is framed differently; each is cropped around its own face")
            try:
                found[name] = face_crop(path, backend, crop_to_face=protocol.crop_to_face)
            except FaceError:
                notes.append(f"{clip.name}: {name} shows no face at all")
    return real, found, notes


def differences(name: str, made: MediaInfo, real: MediaInfo, protocol: Protocol) -> list[str]:
    """Returns a sentence for each way in which two videos differ that the comparison has to bridge."""
    lines: list[str] = []
    if made.frame_rate != real.frame_rate and made.frame_rate and real.frame_rate:
        lines.append(
            f"{name} has {float(made.frame_rate):g} frames/s, the real video {float(real.frame_rate):g}; "
            f"both are read by time at {float(protocol.fps):g}"
        )
    if made.duration_sec is not None and real.duration_sec is not None:
        seconds = [float(info.duration_sec or 0) for info in (made, real)]
        if abs(seconds[0] - seconds[1]) > 2 / float(protocol.fps):
            lines.append(
                f"{name} lasts {seconds[0]:.2f} s, the real video {seconds[1]:.2f} s; "
                f"the first {min(seconds):.2f} s are compared"
            )
    return lines


def _probe(path: object) -> MediaInfo:
    info = probe(str(path))
    if info.kind != "video":
        raise MediaError(f"{str(path)!r} is no video; give an MP4, MOV, MKV, WEBM, AVI, MPG or FLV file")
    return info


def _size(info: MediaInfo) -> tuple[int, int]:
    return info.width_px or 1, info.height_px or 1
