"""Facts about a media file, from its header and its first pictures."""

# PyAV's stubs leave the kind of a packet open.
# pyright: reportUnknownMemberType=false

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame as DecodedFrame
from av.video.stream import VideoStream

from auteur.errors import MediaError
from auteur.media import orientation
from auteur.media.audio import open_audio
from auteur.media.budget import DEFAULT_BUDGET, Budget
from auteur.media.container import audio_stream, fraction_of, open_container, stream_sec, video_stream
from auteur.media.image import exif_orientation, open_image
from auteur.media.source import Source, open_source

VIDEO_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".m4v", ".flv")
"""Names that are taken for videos in a folder; whether one can be read is seen when it is opened."""

_SPACING_PACKETS = 240
_REORDERED_PACKETS = 16
_PIXEL_ASPECT_RANGE = (Fraction(1, 4), Fraction(4))


@dataclass(frozen=True, kw_only=True)
class MediaInfo:
    """Facts about a picture, sound or video. Sizes are those of the upright picture with square pixels."""

    path: Path
    kind: Literal["image", "audio", "video"]
    width_px: int | None = None
    height_px: int | None = None
    rotation_deg: int = 0
    """Clockwise turn that makes the stored picture upright: 0, 90, 180 or 270. The readers apply it."""
    frame_rate: Fraction | None = None
    """Average frames per second, exactly as stored."""
    frames: int | None = None
    """Number of frames: the header's count, or its duration times its rate. An estimate."""
    is_variable_rate: bool = False
    """Whether the first frames are unevenly spaced; then frames have the times of their time stamps only."""
    duration_sec: Fraction | None = None
    """Length that the header states."""
    audio_rate_hz: int | None = None
    audio_channels: int | None = None


def probe(path: Path | str, *, budget: Budget = DEFAULT_BUDGET) -> MediaInfo:
    """What a picture, sound or video holds. Reads the header and the first second or so of frames.

    Raises:
        MediaError: The file is missing, damaged, of a refused kind or over the budget.
    """
    with open_source(path, budget) as source:
        if source.family == "image":
            return _probe_image(Path(path), source, budget)
        if source.family == "container":
            with open_container(source, budget) as container:
                stream = video_stream(container, source.name)
                if stream is not None:
                    return _probe_video(Path(path), container, stream, source.name, budget)
            source.file.seek(0)
        with open_audio(source, budget) as audio:
            return MediaInfo(
                path=Path(path),
                kind="audio",
                duration_sec=audio.duration_sec,
                audio_rate_hz=audio.rate_hz,
                audio_channels=audio.channels,
            )


def _probe_image(path: Path, source: Source, budget: Budget) -> MediaInfo:
    with open_image(source, budget) as image:
        turn = exif_orientation(image)
        width_px, height_px = image.size[::-1] if orientation.swaps_sides(turn) else image.size
        return MediaInfo(
            path=path,
            kind="image",
            width_px=width_px,
            height_px=height_px,
            rotation_deg=orientation.rotation_deg(turn),
        )


def _probe_video(
    path: Path, container: InputContainer, stream: VideoStream, name: str, budget: Budget
) -> MediaInfo:
    rate = stream_frame_rate(stream, name, budget)
    sound = audio_stream(container, name)
    duration_sec = stream_sec(stream, stream.duration)
    if duration_sec is None and container.duration is not None:
        duration_sec = Fraction(container.duration, 1_000_000)
    frames = stream.frames or (None if duration_sec is None else round(duration_sec * rate))
    if frames is not None:
        budget.check_frames(name, frames)
    first, is_variable_rate = _first_frame(container, stream, name, budget)
    turn = frame_orientation(first, name)
    width_px, height_px = square_size(stream, first, name, budget)
    if orientation.swaps_sides(turn):
        width_px, height_px = height_px, width_px
    return MediaInfo(
        path=path,
        kind="video",
        width_px=width_px,
        height_px=height_px,
        rotation_deg=orientation.rotation_deg(turn),
        frame_rate=rate,
        frames=frames,
        is_variable_rate=is_variable_rate,
        duration_sec=duration_sec,
        audio_rate_hz=None if sound is None else sound.rate,
        audio_channels=None if sound is None else sound.channels,
    )


def _first_frame(
    container: InputContainer, stream: VideoStream, name: str, budget: Budget
) -> tuple[DecodedFrame, bool]:
    limit_pixels(stream, name, budget)
    first: DecodedFrame | None = None
    ticks: list[int] = []
    for packet in container.demux(stream):
        if packet.pts is not None:
            ticks.append(packet.pts)
        if first is None:
            first = next(iter(stream.decode(packet)), None)
        if first is not None and len(ticks) >= _SPACING_PACKETS:
            # The latest stamps may lack a neighbour that is stored after them.
            ticks = sorted(ticks)[:-_REORDERED_PACKETS]
            break
    if first is None:
        raise MediaError(f"{name} holds no picture that can be decoded; it is damaged or cut short")
    return first, _is_uneven(ticks)


def _is_uneven(ticks: list[int]) -> bool:
    # A clock that cannot express the rate rounds each stamp, which moves a gap by one tick either way.
    gaps = np.diff(np.sort(np.array(ticks, dtype=np.int64)))
    return gaps.size > 1 and int(gaps.max() - gaps.min()) > 2


def limit_pixels(stream: VideoStream, name: str, budget: Budget) -> None:
    """Refuses a stream by its stated size, and limits the decoder to it for sizes that are not stated."""
    budget.check_frame(name, stream.width, stream.height)
    stream.codec_context.options = {"max_pixels": str(budget.max_frame_pixels)}


def stream_frame_rate(stream: VideoStream, name: str, budget: Budget) -> Fraction:
    """Average frames per second as stored.

    Raises:
        MediaError: The header gives none, or one over the budget.
    """
    rate = fraction_of(stream.average_rate) or fraction_of(stream.guessed_rate)
    if rate is None or rate < 0:
        raise MediaError(f"{name} states no frame rate; convert it to MP4 first")
    budget.check_frame_rate(name, rate)
    return rate


def frame_orientation(frame: DecodedFrame, name: str) -> int:
    """EXIF orientation of a video frame, from its display matrix; 1 if it has none."""
    matrix = frame.side_data.get("DISPLAYMATRIX")
    return 1 if matrix is None else orientation.from_display_matrix(np.frombuffer(matrix, np.int32), name)


def square_size(stream: VideoStream, frame: DecodedFrame, name: str, budget: Budget) -> tuple[int, int]:
    """(width, height) of a frame once its pixels are stretched to squares; nothing is ever shrunk.

    Raises:
        MediaError: The pixels are stretched by more than 4, or the size is over the budget.
    """
    aspect = fraction_of(stream.sample_aspect_ratio) or Fraction(1)
    least, most = _PIXEL_ASPECT_RANGE
    if not least <= aspect <= most:
        raise MediaError(f"{name} has pixels of shape {aspect}; only {least} to {most} are read; convert it")
    width_px = round(frame.width * max(aspect, Fraction(1)))
    height_px = round(frame.height / min(aspect, Fraction(1)))
    budget.check_frame(name, width_px, height_px)
    return width_px, height_px
