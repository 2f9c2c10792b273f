"""GIF out: one palette for the whole video, taken from its first frames; memory does not grow with length."""

# PyAV's stubs leave the kind of a packet open.
# pyright: reportUnknownMemberType=false

from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.container import OutputContainer
from av.error import BlockingIOError as NothingYet
from av.error import EOFError as AtEnd
from av.error import FFmpegError
from av.filter import Graph
from av.filter.context import FilterContext
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from auteur.errors import UsageError
from auteur.media.frame_writer import FrameWriter, check_frame
from auteur.media.output import marked_file
from auteur.provenance.mark import Mark

MOST_GIF_RATE = 50
"""Frames per second; browsers slow down frames that last less than 0.02 s."""

_CLOCK = Fraction(1, 100)
"""GIF counts hundredths of a second."""
_PALETTE_FRAMES, _PALETTE_BYTES = 50, 128_000_000
_HEADER_BYTES = 13
_LONGEST_BLOCK = 255


def check_gif_rate(rate: Fraction) -> None:
    """Refuses frame rates that GIFs cannot play.

    Raises:
        UsageError: More than 50 frames per second.
    """
    if rate > MOST_GIF_RATE:
        raise UsageError(
            f"the frame rate is {float(rate):g}; GIFs play at most {MOST_GIF_RATE} frames/s; lower it"
        )


class GifWriter(FrameWriter):
    """Writes a marked, endlessly looping GIF of 256 colours and its sidecar; both appear when the block ends.

    Each frame begins at its time to the hundredth of a second, so that speed is right at any rate. Sound is
    left out: GIF has none. The colours are those of the first 50 frames (fewer for large ones).
    """

    def __init__(
        self,
        path: Path | str,
        *,
        size_px: tuple[int, int],
        rate: Fraction | int,
        mark: Mark,
        overwrite: bool = False,
    ) -> None:
        """Checks the settings; nothing is written before the block is entered.

        Args:
            path: Where to write, ending in .gif; `<path>.json` is written beside it.
            size_px: (width, height) of the frames, 16 to 8192 each.
            rate: Frames per second, above 0 up to 50.
            mark: How the video was made.
            overwrite: Whether a file of that name may be replaced.

        Raises:
            UsageError: A setting is outside its range.
        """
        super().__init__(path, size_px, rate, mark, overwrite=overwrite)
        if self._path.suffix.lower() != ".gif":
            raise UsageError(f"{self._path.name!r} does not end in .gif")
        check_gif_rate(self._rate)
        self._waiting: list[VideoFrame] = []
        self._most_waiting = max(1, min(_PALETTE_FRAMES, _PALETTE_BYTES // (3 * size_px[0] * size_px[1])))

    @contextmanager
    def _output(self) -> Generator[None]:
        with (
            marked_file(self._path, mark=self._mark, overwrite=self._overwrite) as temporary,
            self._encoding(temporary),
        ):
            yield

    def write(self, image: NDArray[np.uint8]) -> None:
        """Appends one frame, uint8 RGB [H, W, 3].

        Raises:
            UsageError: The array is no picture or not of the stated size.
            MediaError: The encoder fails, for instance because the disk is full.
        """
        check_frame(image, self._size_px, number=self.frames)
        frame = av.VideoFrame.from_ndarray(self._watermarked(image), format="rgb24")
        frame.pts, frame.time_base = round(self.frames / self._rate / _CLOCK), _CLOCK
        self.frames += 1
        with self._encoder_errors():
            if self._pictures is None:
                self._waiting.append(frame)
                if len(self._waiting) >= self._most_waiting:
                    self._begin()
            else:
                self._encode(frame)

    @contextmanager
    def _encoding(self, temporary: Path) -> Generator[None]:
        self._pictures: FilterContext | None = None
        last_ticks = str(max(1, round(1 / self._rate / _CLOCK)))
        with self._encoder_errors():
            # An absolute path can never be read as an address.
            self._container: OutputContainer = av.open(
                str(temporary.absolute()), "w", options={"final_delay": last_ticks}
            )
        try:
            with self._encoder_errors():
                self._stream = self._container.add_stream("gif", rate=100)
                self._stream.width, self._stream.height = self._size_px
                self._stream.pix_fmt = "pal8"
                self._stream.codec_context.time_base = _CLOCK
            yield
            self._finish()
        finally:
            # After a failure the trailer cannot be written either; the temporary file is thrown away.
            with suppress(FFmpegError):
                self._container.close()
        _add_comment(temporary, self._mark.container_text())

    def _finish(self) -> None:
        self._check_frames()
        with self._encoder_errors():
            if self._pictures is None:
                self._begin()
            self._encode(None)
            self._container.mux(self._stream.encode(None))
            self._container.close()

    def _begin(self) -> None:
        """Makes the palette of the frames that wait, and encodes them."""
        palette = _palette(self._waiting, self._size_px)
        graph = Graph()
        pictures = _source(graph, self._size_px, "rgb24")
        colours = _source(graph, (palette.width, palette.height), palette.format.name)
        use = graph.add("paletteuse", "dither=sierra2_4a:diff_mode=rectangle")
        sink = graph.add("buffersink")
        pictures.link_to(use, 0, 0)
        colours.link_to(use, 0, 1)
        use.link_to(sink)
        graph.configure()
        colours.push(palette)
        colours.push(None)
        self._graph, self._pictures, self._sink = graph, pictures, sink
        waiting, self._waiting = self._waiting, []
        for frame in waiting:
            self._encode(frame)

    def _encode(self, frame: VideoFrame | None) -> None:
        assert self._pictures is not None  # noqa: S101 - for the type checker
        self._pictures.push(frame)
        for indexed in _pulled(self._sink):
            self._container.mux(self._stream.encode(indexed))


def _palette(frames: list[VideoFrame], size_px: tuple[int, int]) -> VideoFrame:
    """The 256 colours that show some frames best, as a picture of 16 x 16 px."""
    graph = Graph()
    pictures = _source(graph, size_px, "rgb24")
    generator, sink = (
        graph.add("palettegen", "stats_mode=full:reserve_transparent=1"),
        graph.add("buffersink"),
    )
    pictures.link_to(generator)
    generator.link_to(sink)
    graph.configure()
    for frame in frames:
        pictures.push(frame)
    pictures.push(None)
    return next(_pulled(sink))


def _source(graph: Graph, size_px: tuple[int, int], pixel_format: str) -> FilterContext:
    width_px, height_px = size_px
    kind = av.VideoFormat(pixel_format, width_px, height_px)
    return graph.add_buffer(width=width_px, height=height_px, format=kind, time_base=_CLOCK)


def _pulled(sink: FilterContext) -> Iterator[VideoFrame]:
    while True:
        try:
            yield cast("VideoFrame", sink.pull())
        except (NothingYet, AtEnd):
            return


def _add_comment(path: Path, text: str) -> None:
    """Puts a comment block behind the header of a GIF (GIF89a §24); FFmpeg writes none."""
    content = path.read_bytes()
    flags = content[10]
    palette_bytes = 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0
    start = _HEADER_BYTES + palette_bytes
    raw = text.encode("ascii")
    pieces = [raw[i : i + _LONGEST_BLOCK] for i in range(0, len(raw), _LONGEST_BLOCK)]
    block = b"\x21\xfe" + b"".join(bytes([len(piece)]) + piece for piece in pieces) + b"\0"
    path.write_bytes(content[:start] + block + content[start:])
