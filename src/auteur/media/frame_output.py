"""The writer of frames by the name of the output: a video file, a GIF, or a folder of pictures."""

from fractions import Fraction
from functools import partial
from pathlib import Path

from auteur.errors import UsageError
from auteur.files import check_folder_writable
from auteur.media.frame_folder import FrameFolderWriter
from auteur.media.frame_writer import FrameWriter
from auteur.media.gif_writer import GifWriter
from auteur.media.output import check_marked, is_frame_folder
from auteur.media.soundtrack import Soundtrack
from auteur.media.video_formats import VIDEO_FORMATS, format_of
from auteur.media.video_writer import VideoWriter
from auteur.provenance.mark import Mark
from auteur.signals import Sound

_GIF = ".gif"
ENDINGS = (*VIDEO_FORMATS, _GIF)
"""Endings of videos that are written; a name without one is a folder of PNGs."""


def open_frames(
    path: Path | str,
    *,
    size_px: tuple[int, int],
    rate: Fraction | int,
    mark: Mark,
    audio: Sound | Soundtrack | None = None,
    overwrite: bool = False,
    quality_crf: int = 18,
    is_transparent: bool = False,
) -> FrameWriter:
    """Returns the writer for a name: `VideoWriter`, `GifWriter`; without an ending, `FrameFolderWriter`.

    Raises:
        UsageError: The ending is none of `ENDINGS`, or a setting is outside its range.
    """
    path = Path(path)
    check_ending(path, is_transparent=is_transparent)
    if path.suffix.lower() == _GIF:
        return GifWriter(path, size_px=size_px, rate=rate, mark=mark, overwrite=overwrite)
    writer = partial(VideoWriter, quality_crf=quality_crf) if path.suffix else FrameFolderWriter
    return writer(
        path,
        size_px=size_px,
        rate=rate,
        mark=mark,
        audio=audio,
        overwrite=overwrite,
        is_transparent=is_transparent,
    )


def check_frames_output(path: Path, *, overwrite: bool = False, is_transparent: bool = False) -> None:
    """Raises early what `open_frames` and its writer would raise for a name.

    Raises:
        UsageError: The ending is none of `ENDINGS`, or has no transparency where that is needed.
        InputError: The name cannot be written.
    """
    check_ending(path, is_transparent=is_transparent)
    if path.suffix:
        check_marked(path, overwrite=overwrite)
    else:
        check_folder_writable(path, overwrite=overwrite, is_replaceable=is_frame_folder)


def check_ending(path: Path, *, is_transparent: bool = False) -> None:
    """Refuses names of other kinds.

    Raises:
        UsageError: The ending is none of `ENDINGS`, or has no transparency where that is needed.
    """
    suffix = path.suffix.lower()
    if suffix and suffix not in ENDINGS:
        raise UsageError(
            f"{str(path)!r} does not end in one of {', '.join(ENDINGS)}; choose one of them, or a name "
            "without ending for a folder of PNGs"
        )
    if suffix == _GIF and is_transparent:
        raise UsageError(
            ".gif has no soft transparency; choose .webm, .mov, or a folder of PNGs, or give a background"
        )
    if suffix in VIDEO_FORMATS:
        format_of(path, is_transparent=is_transparent)


def has_sound(path: Path) -> bool:
    """Returns whether what is written under a name can hold sound; GIFs cannot."""
    return path.suffix.lower() != _GIF
