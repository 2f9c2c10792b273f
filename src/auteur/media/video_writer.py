"""Video out: frames and sound stream to MP4, MOV or WebM; memory does not grow with length."""

# PyAV's stubs leave the kind of a packet open.
# pyright: reportUnknownMemberType=false

import math
from collections.abc import Generator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.error import FFmpegError
from av.video.stream import VideoStream
from numpy.typing import NDArray

from auteur.media.frame_writer import FrameWriter, check_frame
from auteur.media.output import marked_file
from auteur.media.soundtrack import Soundtrack
from auteur.media.video_formats import check_crf, format_of
from auteur.provenance.mark import Mark
from auteur.signals import Sound

_BT709 = 1
_LIMITED_RANGE = 1


class VideoWriter(FrameWriter):
    """Writes a marked video and its sidecar; both appear when the block ends well.

    .mp4 and .mov hold H.264 4:2:0 and AAC, .webm VP9 and Opus. With transparency .webm holds VP9 with alpha
    and .mov ProRes 4444 and PCM.

    As many frames come out as went in, at exactly the rate given. An odd width or height is made even by
    repeating the last column or row. Sound starts with the first frame and is not changed in time; what would
    outlast the last frame by more than one frame is cut. A sample rate that the sound's codec lacks
    becomes 48 kHz.

    Example:
        with VideoWriter("out.mp4", size_px=(512, 512), rate=25, mark=mark, audio=speech) as video:
            for image in images:
                video.write(image)
    """

    def __init__(
        self,
        path: Path | str,
        *,
        size_px: tuple[int, int],
        rate: Fraction | int,
        mark: Mark,
        audio: Sound | Soundtrack | None = None,
        overwrite: bool = False,
        quality_crf: int = 18,
        is_transparent: bool = False,
    ) -> None:
        """Checks the settings; nothing is written before the block is entered.

        Args:
            path: Where to write, ending in .mp4, .mov or .webm; `<path>.json` is written beside it.
            size_px: (width, height) of the frames, 16 to 8192 each.
            rate: Frames per second, above 0 up to 240; 29.97 is `Fraction(30000, 1001)`.
            mark: How the video was made.
            audio: Its sound, mono, or a recording's own sound (`SpeechFile.soundtrack`), mono or stereo; read
                along with the frames, a piece at a time.
            overwrite: Whether a file of that name may be replaced.
            quality_crf: H.264 constant rate factor, 0 (lossless) to 51 (worst); VP9 takes what looks about
                the same, ProRes has one quality.
            is_transparent: Whether frames are RGBA; .webm and .mov only.

        Raises:
            UsageError: A setting is outside its range.
        """
        super().__init__(path, size_px, rate, mark, overwrite=overwrite)
        self._format = format_of(self._path, is_transparent=is_transparent)
        self._is_transparent = is_transparent
        self._codec = (self._format.transparent if is_transparent else None) or self._format.opaque
        self._crf = check_crf(quality_crf)
        self._audio = None if audio is None else _at_known_rate(audio, self._format.sound_rates_hz)
        self._layout = "stereo" if audio is not None and channels_of(audio) == 2 else "mono"
        self._samples = 0
        self._waiting = np.zeros((0, 1), np.float32)

    @contextmanager
    def _output(self) -> Generator[None]:
        with ExitStack() as stack:
            temporary = stack.enter_context(
                marked_file(self._path, mark=self._mark, overwrite=self._overwrite)
            )
            if self._audio is not None:
                self._pieces = stack.enter_context(closing(sound_blocks(self._audio)))
            stack.enter_context(self._encoding(temporary))
            yield

    @property
    def size_px(self) -> tuple[int, int]:
        """(width, height) of the video: the frames' own, made even."""
        width_px, height_px = self._size_px
        return width_px + width_px % 2, height_px + height_px % 2

    def write(self, image: NDArray[np.uint8]) -> None:
        """Appends one frame, uint8 RGB [H, W, 3]; RGBA [H, W, 4], not premultiplied, with transparency.

        Raises:
            UsageError: The array is no picture or not of the stated size.
            MediaError: The encoder fails, for instance because the disk is full.
        """
        check_frame(image, self._size_px, number=self.frames, is_transparent=self._is_transparent)
        image = self._watermarked(image)
        width_px, height_px = self.size_px
        missing = (height_px - image.shape[0], width_px - image.shape[1])
        if any(missing):
            image = np.pad(image, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(image, format="rgba" if self._is_transparent else "rgb24")
        pixel_format = self._codec.pixel_format
        frame = frame.reformat(format=pixel_format, dst_colorspace="ITU709", dst_color_range="MPEG")
        frame.pts, frame.time_base = self.frames, 1 / self._rate
        with self._encoder_errors():
            self._container.mux(self._video.encode(frame))
            self.frames += 1
            self._write_audio(Fraction(self.frames) / self._rate)

    @contextmanager
    def _encoding(self, temporary: Path) -> Generator[None]:
        with self._encoder_errors():
            options = dict(self._format.container_options)
            if "movflags" in options:
                options["movie_timescale"] = str(self._timescale())
            # An absolute path can never be read as an address.
            self._container: OutputContainer = av.open(str(temporary.absolute()), "w", options=options)
        try:
            with self._encoder_errors():
                self._container.metadata["comment"] = self._mark.container_text()
                self._video = self._add_video()
                self._sound = self._add_sound()
            yield
            self._finish()
        finally:
            # After a failure the trailer cannot be written either; the temporary file is thrown away.
            with suppress(FFmpegError):
                self._container.close()

    def _finish(self) -> None:
        self._check_frames()
        with self._encoder_errors():
            self._write_audio(Fraction(self.frames + 1) / self._rate)
            self._container.mux(self._video.encode(None))
            if self._sound is not None:
                self._container.mux(self._sound.encode(None))
            self._container.close()

    def _timescale(self) -> int:
        # The clock in which MP4 states when a stream ends: fine enough for a single sample and for 1/1.001
        # rates.
        return self._audio.rate_hz if self._audio is not None else self._rate.numerator

    def _add_video(self) -> VideoStream:
        # The stubs of `add_stream` list a few codecs by name and return any stream for others.
        options = self._codec.options_at(self._crf)
        stream = cast(
            "VideoStream", self._container.add_stream(self._codec.name, self._rate, options=options)
        )
        stream.width, stream.height = self.size_px
        stream.pix_fmt = self._codec.pixel_format
        if self._is_transparent:
            stream.metadata["alpha_mode"] = "1"  # by which players of WebM recognise it
        context = stream.codec_context
        context.time_base = 1 / self._rate
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = _LIMITED_RANGE
        return stream

    def _add_sound(self) -> AudioStream | None:
        if self._audio is None:
            return None
        name = self._format.sound_of_transparent if self._is_transparent else self._format.sound
        added = self._container.add_stream(name, rate=self._audio.rate_hz, layout=self._layout)
        stream = cast("AudioStream", added)
        mono_rate = min(128_000, 4 * self._audio.rate_hz)
        if not name.startswith("pcm"):
            stream.bit_rate = mono_rate if self._layout == "mono" else mono_rate * 3 // 2
        return stream

    def _write_audio(self, until_sec: Fraction) -> None:
        if self._audio is None or self._sound is None:
            return
        rate_hz = self._audio.rate_hz
        stop = min(self._audio.sample_count, math.ceil(until_sec * rate_hz))
        while self._samples < stop:
            if not self._waiting.size:
                self._waiting = next(self._pieces)
                continue
            part, self._waiting = np.split(self._waiting, [stop - self._samples])
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(part.T), "fltp", self._layout)
            frame.sample_rate = rate_hz
            frame.pts, frame.time_base = self._samples, Fraction(1, rate_hz)
            self._container.mux(self._sound.encode(frame))
            self._samples += len(part)


def channels_of(audio: Sound | Soundtrack) -> int:
    """Returns 1 for mono, 2 for stereo."""
    return audio.channels if isinstance(audio, Soundtrack) else 1


def sound_blocks(audio: Sound | Soundtrack) -> Generator[NDArray[np.float32]]:
    """Yields a sound in order, [S, channels] at a time."""
    if isinstance(audio, Soundtrack):
        yield from audio.blocks()
        return
    for _, samples in audio.pieces(audio.rate_hz):
        yield samples[:, None]


def _at_known_rate(audio: Sound | Soundtrack, rates_hz: tuple[int, ...]) -> Sound | Soundtrack:
    if audio.rate_hz in rates_hz:
        return audio
    return replace(audio, rate_hz=48_000) if isinstance(audio, Soundtrack) else audio.resample(48_000)
