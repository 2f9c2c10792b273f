"""Frames in: right way up, right shape, right time."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from media_samples import encode, gradient, write_clip

from auteur.errors import MediaError, UsageError
from auteur.media import VideoReader, probe
from auteur.provenance import Mark

SHARED = Path(__file__).parents[3] / "shared" / "data" / "clips"


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mp4", "libx264"),
        ("a.mov", "libx264"),
        ("a.mkv", "libx264"),
        ("a.mp4", "libx265"),
        ("a.webm", "libvpx"),
        ("a.webm", "libvpx-vp9"),
        ("a.avi", "mpeg4"),
        ("a.mpg", "mpeg1video"),
    ],
)
def test_containers(tmp_path: Path, name: str, codec: str) -> None:
    path = encode(tmp_path / name, codec=codec)
    with VideoReader(path) as video:
        frames = list(video)
    assert video.frame_rate == 25
    assert [frame.index for frame in frames] == list(range(10))
    for frame in frames:
        assert abs(frame.time_sec - Fraction(frame.index, 25)) <= Fraction(1, 1000)
        assert frame.image.shape == (48, 64, 3)
        assert frame.image.dtype == np.uint8
        # The means of frames differ; 4:2:0 and the codecs blur the rest.
        difference = frame.image.mean(axis=(0, 1)) - gradient(shift=20 * frame.index).mean(axis=(0, 1))
        assert np.abs(difference).max() < 8


@pytest.mark.parametrize(("rotation_deg", "turns"), [(0, 0), (90, 1), (180, 2), (270, 3)])
def test_rotation_flag_is_applied(tmp_path: Path, rotation_deg: int, turns: int) -> None:
    path = encode(tmp_path / "a.mp4", rotation_deg=rotation_deg)
    info = probe(path)
    with VideoReader(path) as video:
        image = next(iter(video)).image
    expected = np.rot90(gradient(), turns)
    assert image.shape == expected.shape
    assert (info.width_px, info.height_px) == (expected.shape[1], expected.shape[0])
    assert info.rotation_deg == (-rotation_deg) % 360
    assert np.abs(image.astype(int) - expected).mean() < 6


def test_odd_angles_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="quarter turns"):
        VideoReader(encode(tmp_path / "a.mp4", rotation_deg=30))


@pytest.mark.parametrize(
    ("aspect", "size_px"), [(Fraction(4, 3), (85, 48)), (Fraction(1, 2), (64, 96)), (Fraction(1), (64, 48))]
)
def test_pixels_become_square(tmp_path: Path, aspect: Fraction, size_px: tuple[int, int]) -> None:
    with VideoReader(encode(tmp_path / "a.mp4", pixel_aspect=aspect)) as video:
        assert video.size_px == size_px
        assert next(iter(video)).image.shape == (size_px[1], size_px[0], 3)


def test_absurd_pixels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="shape 8"):
        probe(encode(tmp_path / "a.mp4", pixel_aspect=Fraction(8)))


def test_variable_rate_times_are_kept(tmp_path: Path) -> None:
    ticks = [0, 40, 80, 200, 210, 500, 540, 900]
    path = encode(tmp_path / "a.mp4", ticks=ticks, time_base=Fraction(1, 1000))
    with VideoReader(path) as video:
        assert video.info.is_variable_rate
        assert [frame.time_sec for frame in video] == [Fraction(tick, 1000) for tick in ticks]
        shown = [round(float(frame.image[:, :, 2].mean()) / 20) for frame in video.frames_at(10)]
    # At 0, 0.1, ... the frame that is on screen: 0.1 s shows the one of 0.08 s, and so on.
    assert shown[:10] == [0, 2, 3, 4, 4, 5, 6, 6, 6, 7]


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_constant_rate_is_not_called_variable(tmp_path: Path, name: str) -> None:
    assert not probe(
        encode(tmp_path / name, ticks=list(range(60)), time_base=Fraction(1001, 30000))
    ).is_variable_rate


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi"])
@pytest.mark.parametrize("rate", [Fraction(24), Fraction(30000, 1001), Fraction(60)])
def test_resampling_to_the_own_rate_changes_nothing(tmp_path: Path, name: str, rate: Fraction) -> None:
    path = encode(tmp_path / name, codec="mpeg4", ticks=list(range(40)), time_base=1 / rate)
    with VideoReader(path) as video:
        own = [frame.image.tobytes() for frame in video]
        resampled = [frame.image.tobytes() for frame in video.frames_at(rate)]
    assert resampled == own


@pytest.mark.parametrize(("rate", "expected"), [(50, 20), (Fraction(25, 2), 5), (30, 12)])
def test_resampled_times_are_a_grid(tmp_path: Path, rate: Fraction, expected: int) -> None:
    with VideoReader(encode(tmp_path / "a.mp4")) as video:
        frames = list(video.frames_at(rate))
        times_sec = [frame.time_sec for frame in frames]
    assert times_sec == [index / Fraction(rate) for index in range(expected)]
    for frame in frames:
        assert round(float(frame.image[:, :, 2].mean()) / 20) == int(frame.time_sec * 25 + Fraction(1, 100))


@pytest.mark.parametrize("rate", [0, -25, 1000])
def test_resampling_rates_are_bounded(tmp_path: Path, rate: int) -> None:
    with VideoReader(encode(tmp_path / "a.mp4")) as video, pytest.raises(UsageError, match="rate is"):
        video.frames_at(rate)


def test_a_reader_can_be_iterated_again_and_left_early(tmp_path: Path, mark: Mark) -> None:
    with VideoReader(write_clip(tmp_path / "a.mp4", mark)) as video:
        for frame in video:
            if frame.index == 3:
                break
        assert len(list(video)) == 10
        unfinished = iter(video)
        next(unfinished)
    assert list(unfinished) == []


def test_size_change_midway_is_refused(tmp_path: Path) -> None:
    first, second = encode(tmp_path / "a.mpg", codec="mpeg1video"), tmp_path / "b.mpg"
    import av

    with av.open(str(second), "w") as container:
        stream = container.add_stream("mpeg1video", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 80, "yuv420p"
        for index in range(10):
            frame = av.VideoFrame.from_ndarray(gradient(96, 80)).reformat(format="yuv420p")
            frame.pts = index
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    (tmp_path / "c.mpg").write_bytes(first.read_bytes() + second.read_bytes())
    with VideoReader(tmp_path / "c.mpg") as video, pytest.raises(MediaError, match="changes its size"):
        list(video)


@pytest.mark.shared
@pytest.mark.parametrize("name", ["grid_bbaf2n.mpg", "iplap_129.mp4"])
def test_real_clips(name: str) -> None:
    if not (SHARED / name).is_file():
        pytest.skip("the optional data folder is not there")
    with VideoReader(SHARED / name) as video:
        frames = sum(1 for _ in video)
    assert video.info.frames is not None
    assert abs(frames - video.info.frames) <= 1
