"""Marked frames after real codecs, with the pattern that was put into them: data of the watermark's detector.

    python -m auteur.lab.data.watermark_frames --manifests CLIPS.csv … --photos PHOTOS --out FRAMES

Every item is a short piece of a clip, or a photograph, at a random size, marked for a random run, encoded as
H.264, H.265, VP9 or JPEG of random quality and decoded. OUT gets training.safetensors and
validation.safetensors: `luma` uint8 [N, 256, 256], whose samples are those of
`auteur.watermark.detection.canonical`, and `pattern` int8 [N, 128, 128], the pattern times 32. Held-out
people (`auteur.lab.data.splits`) are in neither.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import av
import numpy as np
import tyro
from av.error import FFmpegError
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track
from safetensors.numpy import save_file

from auteur.errors import AuteurError, InputError
from auteur.files import atomic_path, make_folders
from auteur.lab.data.face_shards import is_validation
from auteur.lab.data.splits import is_held_out, person_of_photo
from auteur.media import read_image
from auteur.media.resize import resized
from auteur.signals.seeding import keyed_generator
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
_FRAMES_PER_PIECE = 5
_LONGEST_SKIP = 60
"""Frames of a clip before its piece."""

Picture = NDArray[np.uint8]
Item = tuple[Picture, NDArray[np.int8]]


@dataclass(frozen=True)
class WatermarkFrames:
    """Sources and amounts."""

    out: Path
    manifests: tuple[Path, ...] = ()
    """CSV files with the columns file (relative to the parent folder of the CSV's folder) and identity."""
    photos: Path | None = None
    """Folder of `Person_Name_0001.jpg`."""
    pieces_per_clip: int = 6
    photo_count: int = 600
    seed: int = 0


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


def pieces(path: Path, count: int, random: np.random.Generator) -> Iterator[list[Picture]]:
    """Yields pieces of consecutive frames of a clip, at random places near one another."""
    with av.open(str(path)) as container:
        frames = container.decode(video=0)
        for _ in range(count):
            skip, piece = int(random.integers(0, _LONGEST_SKIP)), list[Picture]()
            for number, frame in enumerate(frames):
                if number >= skip:
                    piece.append(np.asarray(frame.to_ndarray(format="rgb24"), np.uint8))
                if len(piece) == _FRAMES_PER_PIECE:
                    break
            if not piece:
                return
            yield piece


def _sources(recipe: WatermarkFrames) -> list[tuple[str, Path]]:
    """Returns (person, file) of all clips, and of photographs drawn at random."""
    sources: list[tuple[str, Path]] = []
    for manifest in recipe.manifests:
        with manifest.open(newline="", encoding="utf-8") as table:
            rows = list(csv.DictReader(table))
        sources += [(row["identity"], manifest.parents[1] / row["file"]) for row in rows]
    if recipe.photos is not None:
        every = sorted(recipe.photos.glob("*.jpg"))
        chosen = keyed_generator(f"{recipe.seed}:photos").permutation(len(every))[: recipe.photo_count]
        sources += [(person_of_photo(every[i].name), every[i]) for i in chosen]
    return [(person, path) for person, path in sources if not is_held_out(person)]


def main(recipe: WatermarkFrames) -> None:
    """Writes both files.

    Raises:
        InputError: There is no source.
    """
    found: dict[str, list[Item]] = {"training": [], "validation": []}
    for person, path in track(_sources(recipe), description="sources"):
        random = keyed_generator(f"{recipe.seed}:{path.name}")
        split = found["validation" if is_validation(person) else "training"]
        try:
            if path.suffix == ".jpg":
                split += items_of([read_image(path)], random)
                continue
            for piece in pieces(path, recipe.pieces_per_clip, random):
                split += items_of(piece, random)
        except (AuteurError, FFmpegError):  # no picture, or a clip that cannot be decoded
            continue
    if not all(found.values()):
        raise InputError("training or validation has no frames; name --manifests or --photos of more people")
    for name, items in found.items():
        write_items(recipe.out / f"{name}.safetensors", items)
        print(f"{name}: {len(items)} frames")  # noqa: T201 - a recipe talks to its user


def write_items(path: Path, items: Sequence[Item]) -> None:
    """Writes frames and patterns, whole or not at all."""
    make_folders(path.parent)
    luma, pattern = (np.ascontiguousarray(np.stack(part)) for part in zip(*items, strict=True))
    with atomic_path(path, overwrite=True) as temporary:
        save_file({"luma": luma, "pattern": pattern}, temporary)


if __name__ == "__main__":
    main(tyro.cli(WatermarkFrames))
