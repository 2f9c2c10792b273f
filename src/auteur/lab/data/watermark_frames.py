"""Marked frames after real codecs, with the pattern that was put into them: data of the watermark's detector.

    auteur prepare -o SHARDS --features watermark

Every item is a short piece of a clip, or a photograph, at a random size, marked for a random run, encoded as
H.264, H.265, VP9 or JPEG of random quality and decoded.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image

from auteur.errors import InputError
from auteur.lab.data.shards import Corpora
from auteur.lab.data.splits import Part
from auteur.media.resize import resized
from auteur.watermark.detection import canonical
from auteur.watermark.embedding import embed
from auteur.watermark.pattern import UNITS, pattern_of

PATTERN_STEPS = 32
"""Steps per unit of the stored pattern."""

_CODECS = ("libx264", "libx264", "libx264", "libx265", "libvpx-vp9", "mjpeg")
_CRF = {"libx264": (16, 34), "libx265": (18, 34), "libvpx-vp9": (24, 44)}
_FAST = {
    "libx264": {"preset": "veryfast"},
    "libx265": {"preset": "ultrafast", "x265-params": "log-level=none:pools=none"},
    "libvpx-vp9": {"b": "0", "deadline": "realtime", "cpu-used": "8"},
}
_JPEG_QUALITY = (45, 96)
_SHORT_SIDE_PX = (224, 576)
FRAMES_PER_PIECE = 5
PIECES = 6
"""Per clip."""
_LONGEST_SKIP = 60
"""Frames of a clip before its piece."""

Picture = NDArray[np.uint8]
Item = tuple[Picture, NDArray[np.int8]]


def recoded(pictures: Sequence[Picture], codec: str, quality: int) -> list[Picture]:
    """Returns pictures [H, W, 3] of even sides after a codec.

    Args:
        pictures: Frames of a video at 25 frames/s.
        codec: libx264, libx265, libvpx-vp9, or mjpeg, which encodes each by itself.
        quality: Constant rate factor; of mjpeg, 1 to 100.
    """
    if codec == "mjpeg":
        return [_as_jpeg(picture, quality) for picture in pictures]
    out, options = io.BytesIO(), {"crf": str(quality), **_FAST[codec]}
    with av.open(out, "w", format="matroska") as container:
        # The stubs of `add_stream` know a few codecs by name and return any stream for others.
        stream = cast("VideoStream", container.add_stream(codec, rate=25, options=options))
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    with av.open(io.BytesIO(out.getvalue()), "r") as written:
        return [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in written.decode(video=0)]


def _as_jpeg(picture: Picture, quality: int) -> Picture:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "JPEG", quality=quality)
    return np.array(Image.open(out).convert("RGB"))


def items_of(pictures: Sequence[Picture], random: np.random.Generator) -> Iterator[Item]:
    """Yields the first and the last of some frames, marked and encoded, with their pattern."""
    height, width = pictures[0].shape[:2]
    short = int(random.integers(*_SHORT_SIDE_PX))
    scale = short / min(height, width)
    size = (2 * round(width * scale / 2), 2 * round(height * scale / 2))
    run_id = random.bytes(4).hex()
    marked = list(embed([resized(one, *size, "lanczos") for one in pictures], run_id))
    codec = str(random.choice(_CODECS))
    quality = int(random.integers(*_CRF.get(codec, _JPEG_QUALITY)))
    coded = recoded(marked, codec, quality)
    for one in (coded[0], coded[-1])[: len(coded)]:
        luma = canonical(one)[0, 0].numpy()
        pattern = pattern_of(run_id, (luma.shape[1] // 2, luma.shape[0] // 2))
        top, left = (2 * int(random.integers(0, (side - UNITS) // 2 + 1)) for side in luma.shape)
        half = UNITS // 2
        part = pattern[top // 2 :, left // 2 :][:half, :half]
        yield (
            np.rint(np.clip(luma[top:, left:][:UNITS, :UNITS], 0, 255)).astype(np.uint8),
            np.rint(np.clip(part * PATTERN_STEPS, -127, 127)).astype(np.int8),
        )


def pieces(frames: NDArray[np.uint8], random: np.random.Generator) -> Iterator[list[Picture]]:
    """Yields pieces of consecutive frames [T, H, W, 3] of a clip, at random places near one another."""
    first = 0
    for _ in range(PIECES):
        first += int(random.integers(0, max(1, min(_LONGEST_SKIP, len(frames) // PIECES) + 1)))
        piece = list(frames[first : first + FRAMES_PER_PIECE])
        if not piece:
            return
        yield piece
        first += len(piece)


@dataclass(frozen=True, eq=False)
class MarkedFrames:
    """Marked frames and their patterns."""

    luma: NDArray[np.uint8]
    """[N, 256, 256], whose samples are those of `auteur.watermark.detection.canonical`."""
    pattern: NDArray[np.int8]
    """[N, 128, 128], times `PATTERN_STEPS`."""


def read_marked_frames(corpora: Corpora) -> dict[Part, MarkedFrames]:
    """Returns the frames of people who train, and of those who choose checkpoints.

    Raises:
        UsageError: No folder is given, or one holds speech without pictures.
        InputError: The feature "watermark" is missing, or a part has no frames.
    """
    found: dict[Part, list[tuple[NDArray[np.uint8], NDArray[np.int8]]]] = {"train": [], "validation": []}
    for reader in corpora.readers(("watermark",), media=("video", "picture")):
        for sample in reader:
            if sample.has("watermark.luma"):
                both = sample.array("watermark.luma"), sample.array("watermark.pattern")
                found[sample.part].append(both)
    for part, items in found.items():
        if not items:
            what = "trains" if part == "train" else "chooses checkpoints"
            raise InputError(f"no frames of a person who {what}; prepare recordings of more people")
    return {
        part: MarkedFrames(*(np.concatenate(arrays) for arrays in zip(*items, strict=True)))
        for part, items in found.items()
    }
