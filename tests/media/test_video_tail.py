"""The end of a video is the end of the video: the same frames, bit for bit, wherever decoding begins."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from auteur.media import VideoReader
from auteur.media.video_tail import VideoTail

FRAMES, RATE, GROUP = 60, 25, 12
OPEN = f"open-gop=1:keyint={GROUP}:scenecut=0:bframes=3:b-pyramid=normal:ref=4"
KINDS = {
    "closed.mp4": ("libx264", {"g": str(GROUP), "bf": "3"}),
    "open.mp4": ("libx264", {"x264-params": OPEN}),
    "open.mkv": ("libx264", {"x264-params": OPEN}),
    "refresh.mp4": ("libx264", {"x264-params": f"intra-refresh=1:keyint={GROUP}:bframes=0"}),
    "hevc.mp4": ("libx265", {"x265-params": f"keyint={GROUP}:open-gop=1:bframes=4:log-level=none"}),
    "vp9.webm": ("libvpx-vp9", {"g": str(GROUP), "lag-in-frames": "10", "auto-alt-ref": "1"}),
    "simple.mov": ("mpeg4", {"g": str(GROUP), "bf": "2"}),
    "simple.avi": ("mpeg4", {"g": str(GROUP)}),
    "flash.flv": ("flv", {"g": str(GROUP)}),
    "stream.mpg": ("mpeg2video", {"g": str(GROUP), "bf": "2"}),
}
SEEKABLE = ("closed.mp4", "open.mp4", "open.mkv", "hevc.mp4", "vp9.webm")


def film(path: Path, codec: str, options: dict[str, str], *, ticks: list[int] | None = None) -> Path:
    """A texture that moves, so that every frame needs the ones before it."""
    texture = np.random.default_rng(0).integers(0, 255, (48, 64, 3)).astype(np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(FRAMES):
            picture = np.roll(texture, 3 * number, axis=1)
            frame = av.VideoFrame.from_ndarray(picture).reformat(format="yuv420p")
            frame.pts, frame.time_base = number if ticks is None else ticks[number], Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def same(found, wanted) -> bool:
    return len(found) == len(wanted) and all(
        one.time_sec == other.time_sec and np.array_equal(one.image, other.image)
        for one, other in zip(found, wanted, strict=True)
    )


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    for name, (codec, options) in KINDS.items():
        film(folder / name, codec, options)
    # Frames come early, late, and not for two seconds.
    uneven = [2 * k + (k % 3 == 0) + 50 * (k > 40) for k in range(FRAMES)]
    film(folder / "uneven.mp4", *KINDS["closed.mp4"], ticks=uneven)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", [*KINDS, "uneven.mp4"])
@pytest.mark.parametrize("rate", [25, 10])
def test_the_same_frames_at_a_rate(films: Path, name: str, rate: int) -> None:
    whole = list(VideoReader(films / name).frames_at(rate))
    for first in (0, 1, 7, 11, 12, 13, 25, 36, len(whole) - 1, len(whole), len(whole) + 9):
        with VideoTail(films / name, start_sec=Fraction(first, rate)) as video:
            tail = [frame for frame in video.frames_at(rate) if frame.index >= first]
        assert [frame.index for frame in tail] == list(range(first, len(whole)))
        assert same(tail, whole[first:])


@pytest.mark.slow
@pytest.mark.parametrize("name", [*KINDS, "uneven.mp4"])
def test_the_same_frames_as_they_are(films: Path, name: str) -> None:
    whole = list(VideoReader(films / name))
    for start in (Fraction(-1), Fraction(0), Fraction(1, 3), Fraction(5, 4), Fraction(2), Fraction(99)):
        video = VideoTail(films / name, start_sec=start)
        tail = list(video)
        assert same(tail, whole[len(whole) - len(tail) :])
        assert tail[0].time_sec <= max(start, whole[0].time_sec)
        assert same(list(video), tail)


@pytest.mark.slow
@pytest.mark.parametrize("name", SEEKABLE)
def test_what_comes_before_is_not_decoded(films: Path, name: str) -> None:
    video = VideoTail(films / name, start_sec=2)
    assert next(iter(video)).time_sec >= 2 - Fraction(GROUP, RATE)
    video.close()
