"""FLV, as CREMA-D is published: read like any other video, and refused where it is damaged or lies."""

import itertools
import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from media_samples import encode

from auteur.errors import MediaError
from auteur.media import Budget, VideoReader, probe, read_audio, read_speech

HEAD_BYTES, SIZE_BYTES = 11, 4


def flv(path: Path, codec: str = "flv", sound: str = "mp3", **more) -> Path:
    return encode(path, codec=codec, sound=(sound, 44_100, "mono"), **more)


def tags(content: bytes) -> list[int]:
    """Where each tag begins, and the end."""
    places = [9 + SIZE_BYTES]
    while places[-1] < len(content):
        start = places[-1]
        places.append(start + HEAD_BYTES + int.from_bytes(content[start + 1 : start + 4], "big") + SIZE_BYTES)
    return places


@pytest.mark.parametrize(("codec", "sound"), [("flv", "mp3"), ("flv", "pcm_s16le"), ("libx264", "aac")])
def test_pictures_and_sound_are_read(tmp_path: Path, codec: str, sound: str) -> None:
    path = flv(tmp_path / "a.flv", codec, sound)
    info = probe(path)
    assert (info.kind, info.width_px, info.height_px, info.frame_rate) == ("video", 64, 48, 25)
    assert (info.audio_rate_hz, info.is_variable_rate) == (44_100, False)
    frames = list(VideoReader(path))
    assert len(frames) == 10
    steps = {later.time_sec - sooner.time_sec for sooner, later in itertools.pairwise(frames)}
    assert steps == {Fraction(1, 25)}
    assert [frame.image[..., 2].mean() for frame in frames] == sorted(f.image[..., 2].mean() for f in frames)
    samples, rate_hz = read_audio(path)
    assert len(samples) / rate_hz == pytest.approx(0.5, abs=0.06)
    assert float(np.abs(samples).max()) > 0.3
    assert read_speech(path).rate_hz == 16_000


def test_its_name_does_not_matter(tmp_path: Path) -> None:
    path = flv(tmp_path / "a.flv").rename(tmp_path / "a.mp4")
    assert probe(path).frame_rate == 25


@pytest.mark.parametrize("name", ["adpcm_swf", "nellymoser"])
def test_other_sound_is_refused(tmp_path: Path, name: str) -> None:
    if name == "adpcm_swf":
        path = flv(tmp_path / "a.flv", sound=name)
    else:  # The codec is the upper half of the first byte of a tag of sound.
        content = bytearray(flv(tmp_path / "a.flv").read_bytes())
        for place in tags(content)[:-1]:
            if content[place] == 8:
                content[place + HEAD_BYTES] = (6 << 4) | 6
        path = tmp_path / "b.flv"
        path.write_bytes(content)
    with pytest.raises(MediaError, match=name):
        read_audio(path)


def test_screen_video_is_refused(tmp_path: Path) -> None:
    content = bytearray(flv(tmp_path / "a.flv").read_bytes())
    for place in tags(content)[:-1]:
        if content[place] == 9:
            content[place + HEAD_BYTES] = 0x10 | 3
    (tmp_path / "b.flv").write_bytes(content)
    with pytest.raises(MediaError, match="flashsv"):
        VideoReader(tmp_path / "b.flv")


@pytest.mark.slow
def test_a_file_cut_anywhere_inside_a_tag_is_refused(tmp_path: Path) -> None:
    content = flv(tmp_path / "a.flv").read_bytes()
    ends = tags(content)
    assert ends[-1] == len(content)
    whole = {end - left_out for end in ends for left_out in (0, SIZE_BYTES)}
    path = tmp_path / "b.flv"
    for length in range(14, len(content), 7):
        if length not in whole:
            path.write_bytes(content[:length])
            with pytest.raises(MediaError):
                list(VideoReader(path))


def test_the_last_size_may_be_missing_and_zeros_may_follow(tmp_path: Path) -> None:
    content = flv(tmp_path / "a.flv").read_bytes()
    for odd in (content[:-SIZE_BYTES], content + bytes(100)):
        (tmp_path / "b.flv").write_bytes(odd)
        assert len(list(VideoReader(tmp_path / "b.flv"))) == 10


@pytest.mark.parametrize("length", [4, 9, 13, 20])
def test_a_bare_head_is_refused(tmp_path: Path, length: int) -> None:
    path = tmp_path / "b.flv"
    path.write_bytes(flv(tmp_path / "a.flv").read_bytes()[:length])
    for reader in (probe, VideoReader, read_audio):
        with pytest.raises(MediaError) as error:
            reader(path)
        assert "\n" not in str(error.value)


def test_endless_small_tags_are_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("auteur.media.flv._LONGEST_WALK", 1000)
    head = flv(tmp_path / "a.flv").read_bytes()[:13]
    (tmp_path / "b.flv").write_bytes(head + (bytes([18]) + bytes(14)) * 2000 + b"x")
    with pytest.raises(MediaError, match="1000 tags"):
        probe(tmp_path / "b.flv")


def test_budgets_hold(tmp_path: Path) -> None:
    path = flv(tmp_path / "a.flv")
    for budget, message in (
        (Budget(max_frame_pixels=64 * 48 - 1), "64x48 pixels"),
        (Budget(max_duration_sec=0), r"0\.5"),
        (Budget(max_frame_rate=24), "25 frames/s"),
        (Budget(max_streams=1), "2 streams"),
        (Budget(max_file_bytes=99), "bytes"),
    ):
        with pytest.raises(MediaError, match=message):
            probe(path, budget=budget)


@pytest.mark.parametrize("value", [0.0, 1e300, -5.0, float("nan"), float("inf")])
def test_a_lying_duration_does_no_harm(tmp_path: Path, value: float) -> None:
    content = bytearray(flv(tmp_path / "a.flv").read_bytes())
    place = content.index(b"duration") + len("duration")
    assert content[place] == 0  # A number.
    content[place + 1 : place + 9] = struct.pack(">d", value)
    path = tmp_path / "b.flv"
    path.write_bytes(content)
    try:
        assert len(list(VideoReader(path))) == 10
    except MediaError as error:
        assert "duration" in str(error)


def test_a_late_time_stamp_is_stopped_while_decoding(tmp_path: Path) -> None:
    content = bytearray(flv(tmp_path / "a.flv").read_bytes())
    last = [place for place in tags(content)[:-1] if content[place] == 9][-1]
    content[last + 7] = 1  # The highest byte of the time: 4.7 hours.
    (tmp_path / "b.flv").write_bytes(content)
    with pytest.raises(MediaError):
        list(VideoReader(tmp_path / "b.flv"))


@pytest.fixture(scope="module")
def original(tmp_path_factory) -> bytes:
    return flv(tmp_path_factory.mktemp("flv") / "a.flv").read_bytes()


@pytest.mark.slow
@settings(max_examples=60, deadline=5000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_bytes_raise_media_errors_only(tmp_path: Path, original: bytes, data: st.DataObject) -> None:
    content = bytearray(original)
    places = st.one_of(st.integers(0, 511), st.integers(0, len(content) - 1))
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=12)):
        content[place] = value
    path = tmp_path / "damaged.flv"
    path.write_bytes(content)
    for reader in (probe, lambda p: list(VideoReader(p)), read_audio):
        try:
            reader(path)
        except MediaError as error:
            assert str(path) in str(error)
            assert "\n" not in str(error)
