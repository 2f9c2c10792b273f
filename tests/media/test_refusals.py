"""What must never be read: addresses, playlists, scripts, pipes, damaged bytes, files over the budget."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from av.error import FFmpegError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from media_samples import encode, gradient, tone, write_clip
from PIL import Image

from auteur.errors import MediaError
from auteur.media import (
    Budget,
    VideoReader,
    probe,
    read_audio,
    read_image,
    read_mark_text,
    read_speech,
    write_audio,
    write_image,
)
from auteur.media.channels import to_stereo
from auteur.media.container import _SeekableInput, open_container
from auteur.media.source import Source
from auteur.provenance import Mark


def read_frames(path: Path | str) -> int:
    with VideoReader(path) as video:
        return sum(1 for _ in video)


READERS = [probe, read_image, read_frames, read_audio, read_speech, read_mark_text]


def refuse(path: Path | str) -> None:
    for reader in READERS:
        with pytest.raises(MediaError) as error:
            reader(path)
        assert "\n" not in str(error.value)


@pytest.mark.slow
@pytest.mark.parametrize(
    "form",
    [
        "{}",
        "concat:{}|{}",
        "subfile,,start,0,end,9,,:{}",
        "async:{}",
        "cache:{}",
        "crypto:{}",
        "hls+{}",
        "data:,{}",
    ],
)
def test_addresses_are_file_names(requests, form: str) -> None:
    address, received = requests
    refuse(form.replace("{}", address))
    assert received == []


def playlists(address: str, neighbour: Path) -> dict[str, bytes]:
    return {
        "hls": f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{address}\n#EXT-X-ENDLIST\n".encode(),
        "hls-file": f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile://{neighbour}\n".encode(),
        "ffconcat": f"ffconcat version 1.0\nfile '{neighbour.name}'\n".encode(),
        "ffconcat-url": f"ffconcat version 1.0\nfile '{address}'\n".encode(),
        "dash": f"<?xml version='1.0'?><MPD><Period><BaseURL>{address}</BaseURL></Period></MPD>".encode(),
        "sdp": f"v=0\ns=x\na=control:{address}\nm=video 5004 RTP/AVP 96\n".encode(),
        "ffmetadata": b";FFMETADATA1\ntitle=x\n",
        "script": b"#!/bin/sh\ntouch here\n",
        "csv": b"frame, timestamp, AU01_r\n1, 0.0, 0.5\n",
        "svg": f"<svg xmlns='http://www.w3.org/2000/svg'><image href='{address}'/></svg>".encode(),
    }


@pytest.mark.slow
@pytest.mark.parametrize("kind", playlists("", Path("/")))
@pytest.mark.parametrize("name", ["clip.mp4", "clip.m3u8", "clip.png"])
def test_playlists_and_scripts_are_refused(
    tmp_path: Path, mark: Mark, requests, kind: str, name: str
) -> None:
    address, received = requests
    neighbour = write_clip(tmp_path / "neighbour.mp4", mark, frames=2)
    (tmp_path / name).write_bytes(playlists(address, neighbour)[kind])
    refuse(tmp_path / name)
    assert received == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", playlists("", Path("/")))
def test_ffmpeg_itself_refuses_playlists(
    tmp_path: Path, mark: Mark, requests, monkeypatch, kind: str
) -> None:
    """The second wall: as if the check of the first bytes had been passed."""
    address, received = requests
    neighbour = write_clip(tmp_path / "neighbour.mp4", mark, frames=2)
    monkeypatch.chdir(tmp_path)
    source = Source(io.BytesIO(playlists(address, neighbour)[kind]), "container", "upload")
    with pytest.raises(MediaError), open_container(source, Budget()):
        pass
    assert received == []


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    for path in (
        tmp_path,
        tmp_path / "pipe.mp4",
        Path("/dev/zero"),
        tmp_path / "missing.mp4",
        "",
        "a\0b",
        "x" * 300,
    ):
        refuse(path)


@pytest.mark.parametrize(
    "name", ["-i", "a b.mp4", "é 'q' \"d\".mp4", "line\nbreak.mp4", "%03d.mp4", "x" * 251 + ".mp4"]
)
def test_odd_names_are_read(tmp_path: Path, mark: Mark, monkeypatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    write_clip(tmp_path / "clip.mp4", mark, frames=2).rename(tmp_path / name)
    assert read_frames(name) == 2
    (tmp_path / name).write_bytes(b"not a video")
    with pytest.raises(MediaError) as error:
        probe(name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.98])
@pytest.mark.parametrize("suffix", ["mp4", "png", "jpg", "flac"])
def test_truncated_files_are_refused(tmp_path: Path, mark: Mark, suffix: str, share: float) -> None:
    path = tmp_path / f"a.{suffix}"
    if suffix == "mp4":
        write_clip(path, mark)
    elif suffix == "flac":
        write_audio(path, tone(), mark=mark)
    else:
        noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
        write_image(path, noise, mark=mark)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    reader = {"mp4": read_frames, "flac": read_audio}.get(suffix, read_image)
    with pytest.raises(MediaError):
        reader(path)


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        (Budget(max_frame_pixels=64 * 48 - 1), "64x48 pixels"),
        (Budget(max_side_px=63), "64x48 pixels"),
        (Budget(max_frames=9), "10 frames"),
        (Budget(max_frame_rate=24), "25 frames/s"),
        (Budget(max_duration_sec=0), "0.4 s"),
        (Budget(max_streams=1), "2 streams"),
        (Budget(max_file_bytes=99), "99 bytes"),
    ],
)
def test_budgets_are_checked_from_the_header(
    tmp_path: Path, mark: Mark, budget: Budget, message: str
) -> None:
    path = write_clip(tmp_path / "a.mp4", mark)
    with pytest.raises(MediaError, match=message):
        probe(path, budget=budget)


def test_sound_budgets(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros((16_000, 2)), 16_000)
    for budget, message in (
        (Budget(max_channels=1), "2 channels"),
        (Budget(max_duration_sec=0), "1 s"),
        (Budget(max_audio_values=31_999), "32000 samples"),
    ):
        with pytest.raises(MediaError, match=message):
            read_audio(tmp_path / "a.wav", budget=budget)


def test_a_lying_header_is_stopped_while_decoding(tmp_path: Path, mark: Mark) -> None:
    path = write_clip(tmp_path / "a.mp4", mark)
    reader = VideoReader(path, budget=Budget(max_frames=10, max_duration_sec=1))
    lying = encode(tmp_path / "b.mp4", ticks=[0, 1, 2, 40, 41])
    assert len(list(reader)) == 10
    lying.replace(path)
    with pytest.raises(MediaError, match=r"1\.6|1 s are read"):
        list(reader)
    encode(path, ticks=list(range(12)))
    with pytest.raises(MediaError, match="11 frames"):
        list(reader)


def test_a_lying_picture_size_is_stopped(tmp_path: Path, mark: Mark) -> None:
    content = bytearray(write_clip(tmp_path / "a.mp4", mark).read_bytes())
    box = content.index(b"avc1", content.index(b"stsd"))
    assert content[box + 28 : box + 32] == bytes((0, 64, 0, 48))
    content[box + 28 : box + 32] = bytes((0, 16, 0, 16))
    (tmp_path / "b.mp4").write_bytes(content)
    with pytest.raises(MediaError):
        VideoReader(tmp_path / "b.mp4", budget=Budget(max_frame_pixels=2000))


SUFFIXES = (
    *(".mp4", ".mkv", ".wav", ".flac", ".png", ".jpg", ".webp", ".csv"),
    *(".aiff", ".caf", ".au", ".gif", ".bmp", ".tiff", ".avif"),
)


@pytest.fixture(scope="module")
def originals(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("originals")
    mark = Mark()
    write_clip(folder / "a.mp4", mark)
    encode(folder / "a.mkv", sound=("pcm_s16le", 16_000, "mono"))
    write_audio(folder / "a.wav", tone(0.3), mark=mark)
    write_audio(folder / "a.flac", tone(0.3), mark=mark)
    for suffix in ("png", "jpg", "webp"):
        write_image(folder / f"a.{suffix}", gradient(32, 24), mark=mark)
    for suffix in ("aiff", "caf", "au"):
        soundfile.write(folder / f"a.{suffix}", tone(0.3).samples, 16_000)
    for suffix in ("gif", "bmp", "tiff", "avif"):
        Image.fromarray(gradient(32, 24)).save(folder / f"a.{suffix}")
    (folder / "a.csv").write_bytes(b"frame, timestamp, AU01_r\n1, 0.0, 0.5\n" * 20)
    return {path.suffix: path.read_bytes() for path in folder.iterdir() if path.suffix != ".json"}


@pytest.mark.slow
@pytest.mark.parametrize("place", range(40, 72))
def test_sizes_that_send_a_demuxer_before_the_start_are_damage(tmp_path: Path, place: int) -> None:
    path = tmp_path / "damaged.caf"
    soundfile.write(path, tone(0.3).samples, 16_000)
    for value in (1, 0x80, 0xFF):
        content = bytearray(path.read_bytes())
        content[place] = value
        (tmp_path / "again.caf").write_bytes(content)
        for reader in READERS:
            try:
                reader(tmp_path / "again.caf")
            except MediaError as error:
                assert "again.caf" in str(error)


def test_a_sound_without_channels_is_damage() -> None:
    with pytest.raises(MediaError, match="a sound of 0 channels; it is damaged"):
        to_stereo("mono", 0, "'a.wav'")


@pytest.mark.parametrize("place", [(-1, 0), (-5, 2), (1 << 70, 0)])
def test_a_place_outside_an_input_is_an_error_of_the_decoder(tmp_path: Path, place: tuple[int, int]) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    with (tmp_path / "a").open("rb") as file:
        for source in (file, io.BytesIO(b"abc")):
            if place == (-5, 2) and source is not file:
                continue  # bytes take it for their start
            with pytest.raises(FFmpegError, match="a place outside the file"):
                _SeekableInput(source).seek(*place)


@pytest.mark.slow
@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(max_examples=30, deadline=5000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_bytes_raise_media_errors_only(
    tmp_path: Path, originals, suffix: str, data: st.DataObject
) -> None:
    content = bytearray(originals[suffix])
    header = min(len(content), 2048)
    places = st.one_of(st.integers(0, header - 1), st.integers(0, len(content) - 1))
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=12)):
        content[place] = value
    keep = data.draw(st.one_of(st.just(len(content)), st.integers(0, len(content))))
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(content[:keep])
    for reader in READERS:
        try:
            reader(path)
        except MediaError as error:
            assert str(path) in str(error)
            assert "\n" not in str(error)


def test_a_picture_is_no_recording_and_a_recording_no_picture(tmp_path: Path, mark: Mark) -> None:
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    write_audio(tmp_path / "a.wav", tone(), mark=mark)
    for reader, name in (
        (read_audio, "a.png"),
        (VideoReader, "a.png"),
        (read_image, "a.wav"),
        (VideoReader, "a.wav"),
    ):
        with pytest.raises(MediaError, match=r"picture|no video"):
            reader(tmp_path / name)
