"""FFmpeg with its doors shut: no addresses, no playlists, no scripts, a short list of formats and codecs."""

import errno
import os
from collections.abc import Generator
from contextlib import contextmanager
from fractions import Fraction
from numbers import Rational
from typing import Any, BinaryIO

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.error import ArgumentError, FFmpegError
from av.stream import Disposition
from av.video.stream import VideoStream

from auteur.errors import MediaError
from auteur.media.budget import Budget
from auteur.media.flv import check_flv_whole
from auteur.media.source import Source

_OPTIONS = {
    # FFmpeg reads from our open file, so no protocol is ever needed: the list names none that exists.
    "protocol_whitelist": "none",
    # None of these opens another file, however it is made.
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpeg,mpegts,asf,flv,"
    "mp3,aac,wav,ogg,flac,aiff,caf,au,amr,ac3,eac3",
}
_VIDEO_CODECS = frozenset(
    (
        *("h264", "hevc", "vp8", "vp9", "av1", "mpeg1video", "mpeg2video", "mpeg4", "msmpeg4v3"),
        *("mjpeg", "prores", "h263", "flv1", "vp6f"),
    )
)
_AUDIO_CODECS = frozenset(
    (
        *("aac", "mp3", "mp2", "ac3", "eac3", "opus", "vorbis", "flac", "alac", "speex"),
        *("wmav1", "wmav2", "wmapro", "wmavoice", "wmalossless", "amr_nb", "amr_wb", "gsm", "gsm_ms"),
        *("adpcm_ms", "adpcm_ima_wav", "adpcm_ima_qt"),
    )
)
# Text that is not UTF-8 must not stop a file from being read: PyAV 18 has a keyword for that; from 19 on it
# keeps such bytes as surrogates by itself and refuses the keyword.
_IS_PYAV_18 = int(av.__version__.split(".")[0]) < 19
_TEXT: dict[str, Any] = {"metadata_errors": "surrogateescape"} if _IS_PYAV_18 else {}


@contextmanager
def open_container(source: Source, budget: Budget) -> Generator[InputContainer]:
    """Opens a video or compressed sound; errors of the decoder inside the block become `MediaError`.

    Raises:
        MediaError: The content is damaged, of a refused format, or over the budget.
    """
    size_bytes = source.file.seek(0, os.SEEK_END)
    check_flv_whole(source.file, size_bytes, source.name)
    source.file.seek(0)
    with (
        decoder_errors(source.name),
        av.open(_SeekableInput(source.file), "r", options=_OPTIONS, **_TEXT) as container,
    ):
        budget.check_streams(source.name, len(container.streams))
        for stream in (*container.streams.video, *container.streams.audio):
            _check_whole(stream, size_bytes, source.name)
        if container.duration is not None:
            budget.check_duration(source.name, Fraction(container.duration, av.time_base))
        yield container


class _SeekableInput:
    """A file for FFmpeg, in which a seek to a place that does not exist is FFmpeg's error, not the system's.

    Damaged sizes send demuxers to before the start of a file (`OSError` of files, `ValueError` of bytes) or
    beyond 64 bits (`OverflowError`).
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.read, self.tell = file.read, file.tell

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Returns the new place.

        Raises:
            ArgumentError: There is no such place.
        """
        try:
            return self._file.seek(offset, whence)
        except (OSError, ValueError, OverflowError) as error:
            raise ArgumentError(errno.EINVAL, "a place outside the file") from error


@contextmanager
def decoder_errors(name: str) -> Generator[None]:
    """Turns the errors that FFmpeg raises on damaged content into one `MediaError`.

    Raises:
        MediaError: The decoder failed inside the block.
    """
    try:
        yield
    except FFmpegError as error:
        raise MediaError(
            f"{name} cannot be decoded ({error.strerror}); it is damaged or of a refused kind"
        ) from error


def video_stream(container: InputContainer, name: str) -> VideoStream | None:
    """The first stream of moving pictures; cover pictures do not count.

    Raises:
        MediaError: Its codec is not one that is read.
    """
    for stream in _moving_pictures(container):
        _check_codec(stream, _VIDEO_CODECS, name)
        return stream
    return None


def audio_stream(container: InputContainer, name: str) -> AudioStream | None:
    """The stream of sound that players take: the one marked as default, else the first.

    Raises:
        MediaError: Its codec is not one that is read.
    """
    streams = container.streams.audio
    marked = (stream for stream in streams if stream.disposition & Disposition.default)
    stream = next(marked, streams[0] if streams else None)
    if stream is not None:
        _check_codec(stream, _AUDIO_CODECS, name)
    return stream


def start_sec(container: InputContainer) -> Fraction:
    """Time stamp of the earliest picture or sound: zero of the times that Auteur gives to both."""
    streams = (*_moving_pictures(container), *container.streams.audio)
    return min(
        (stream_sec(stream, stream.start_time) or Fraction(0) for stream in streams), default=Fraction(0)
    )


def stream_sec(stream: VideoStream | AudioStream, ticks: int | None) -> Fraction | None:
    """`ticks` of the stream's clock in seconds."""
    tick_sec = fraction_of(stream.time_base)
    return None if ticks is None or tick_sec is None else ticks * tick_sec


def comment_of(container: InputContainer) -> str | None:
    """The comment of a file, with U+FFFD for what is not UTF-8, or None if it has none."""
    for key, text in container.metadata.items():
        if key.lower() == "comment":
            return text.encode(errors="surrogateescape").decode(errors="replace")
    return None


def fraction_of(ratio: Rational | None) -> Fraction | None:
    """An exact fraction of any ratio that PyAV gives, or None where the file states none.

    PyAV 18 has a `Fraction` or None; 19 has a type of its own, whose products are rounded to 32 bits and for
    which "not stated" is 0/1, 1/0 or 0/0.
    """
    return Fraction(int(ratio.numerator), int(ratio.denominator)) if ratio else None


def _check_whole(stream: VideoStream | AudioStream, size_bytes: int, name: str) -> None:
    # MP4 and AVI list where every frame lies; FFmpeg ends quietly when the file ends before the list does.
    entries = stream.index_entries
    last = entries[len(entries) - 1] if len(entries) else None
    if last is not None and last.pos + last.size > size_bytes:
        raise MediaError(f"{name} is cut short: it ends before its last frame; copy it again")


def _moving_pictures(container: InputContainer) -> list[VideoStream]:
    return [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]


def _check_codec(stream: VideoStream | AudioStream, allowed: frozenset[str], name: str) -> None:
    # Streams that FFmpeg has no decoder for have no codec context, unlike in the type stubs.
    codec = stream.codec_context.codec.canonical_name if stream.codec_context else "unknown"
    if codec not in allowed and not (stream.type == "audio" and codec.startswith("pcm_")):
        raise MediaError(
            f"{name} holds {stream.type} of codec {codec!r}; convert it to one of "
            f"{', '.join(sorted(allowed))}"
        )
