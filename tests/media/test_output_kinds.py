"""Every kind of output: what is in it, that it is marked, and that it appears whole or not at all."""

import hashlib
import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from media_samples import gradient, tone
from PIL import Image

from auteur.errors import InputError, MediaError, UsageError
from auteur.media import QUALITIES, check_frames_output, has_sound, open_frames, probe, read_audio, read_image
from auteur.provenance import Mark, Verdict, sidecar_path, verify

FRAMES = 12
KINDS = ["a.mp4", "a.mov", "a.webm", "a.gif", "frames"]
WITH_ALPHA = ["a.mov", "a.webm", "frames"]
DECODERS = {"a.webm": "libvpx-vp9", "a.mov": "prores"}
"""FFmpeg's own decoder of VP9 leaves transparency out."""


def write(path: Path, mark: Mark, *, frames: int = FRAMES, rate: Fraction = Fraction(25), **options) -> Path:
    sound = tone(frames / float(rate), 48_000) if has_sound(path) else None
    with open_frames(path, size_px=(64, 48), rate=rate, mark=mark, audio=sound, **options) as video:
        for index in range(frames):
            image = gradient(shift=20 * index)
            if options.get("is_transparent"):
                image = np.dstack([image, np.full((48, 64), 20 * index, np.uint8)])
            video.write(image)
    return path


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30000, 1001)], ids=str)
def test_each_kind_holds_every_frame_at_its_time(tmp_path: Path, mark: Mark, name: str, rate) -> None:
    path = write(tmp_path / name, mark, rate=rate)
    if name == "frames":
        names = [f"{number:05d}.png" for number in range(1, FRAMES + 1)]
        assert sorted(entry.name for entry in path.iterdir()) == [*names, "sound.wav"]
        assert np.array_equal(read_image(path / "00003.png"), gradient(shift=40))
        return
    tick = {"a.gif": Fraction(1, 100), "a.webm": Fraction(1, 1000)}.get(name, Fraction(0))
    with av.open(str(path)) as container:
        decoded = list(container.decode(video=0))
    assert len(decoded) == FRAMES
    for index, frame in enumerate(decoded):
        assert abs(frame.pts * frame.time_base - index / rate) <= tick / 2
    shown = decoded[6].to_ndarray(format="rgb24").astype(int)
    assert np.abs(shown - gradient(shift=120)).mean() < (24 if name == "a.gif" else 8)  # 256 colours for all


@pytest.mark.parametrize(
    ("name", "codecs"),
    [("a.mp4", ["h264", "aac"]), ("a.mov", ["h264", "aac"]), ("a.webm", ["vp9", "opus"]), ("a.gif", ["gif"])],
)
def test_codecs_are_those_that_players_support(
    tmp_path: Path, mark: Mark, name: str, codecs: list[str]
) -> None:
    with av.open(str(write(tmp_path / name, mark))) as container:
        assert [stream.codec_context.codec.canonical_name for stream in container.streams] == codecs


@pytest.mark.parametrize("name", KINDS)
def test_each_kind_is_marked_and_verified(tmp_path: Path, mark: Mark, name: str) -> None:
    path = write(tmp_path / name, mark)
    report = verify(path)
    assert report.verdict is Verdict.INTACT
    assert report.metadata is not None and report.metadata.models == mark.models
    assert sorted(entry.name for entry in tmp_path.iterdir()) == sorted([name, f"{name}.json"])


@pytest.mark.parametrize("name", [name for name in KINDS if name != "frames"])
def test_the_same_frames_give_the_same_file(tmp_path: Path, mark: Mark, name: str) -> None:
    first = write(tmp_path / name, mark).read_bytes()
    assert write(tmp_path / name, mark, overwrite=True).read_bytes() == first


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.webm", "frames"])
def test_sound_goes_with_the_frames(tmp_path: Path, mark: Mark, name: str) -> None:
    path = write(tmp_path / name, mark, frames=25)
    samples, rate_hz = read_audio(path / "sound.wav" if name == "frames" else path)
    assert rate_hz == 48_000
    assert len(samples) / rate_hz == pytest.approx(1.0, abs=0.021)
    middle = samples[rate_hz // 4 : 3 * rate_hz // 4]
    assert np.sqrt((middle**2).mean()) == pytest.approx(0.5 / np.sqrt(2), abs=0.02)


@pytest.mark.parametrize("name", WITH_ALPHA)
def test_transparency_survives(tmp_path: Path, mark: Mark, name: str) -> None:
    path = write(tmp_path / name, mark, is_transparent=True)
    assert verify(path).verdict is Verdict.INTACT
    if name == "frames":
        alpha = [np.array(Image.open(path / f"{n:05d}.png"))[..., 3].mean() for n in range(1, FRAMES + 1)]
    else:
        decoder = av.CodecContext.create(DECODERS[name], "r")
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            decoder.extradata = stream.codec_context.extradata
            decoder.width, decoder.height = 64, 48
            frames = [frame for packet in container.demux(stream) for frame in decoder.decode(packet)]
        assert all("a" in frame.format.name for frame in frames)
        alpha = [frame.to_ndarray(format="rgba")[..., 3].mean() for frame in frames]
    np.testing.assert_allclose(alpha, 20 * np.arange(FRAMES), atol=3)


@pytest.mark.parametrize("name", ["a.mp4", "a.gif"])
def test_kinds_without_transparency_are_refused(tmp_path: Path, mark: Mark, name: str) -> None:
    with pytest.raises(UsageError, match="webm"):
        write(tmp_path / name, mark, is_transparent=True)
    with pytest.raises(UsageError, match="webm"):
        check_frames_output(tmp_path / name, is_transparent=True)


@pytest.mark.parametrize("name", ["a.avi", "a.png", "a.mp4.zip", "a.MKV", "frames.v2"])
def test_other_endings_are_refused(tmp_path: Path, mark: Mark, name: str) -> None:
    for refuse in (lambda: write(tmp_path / name, mark), lambda: check_frames_output(tmp_path / name)):
        with pytest.raises(UsageError, match="ending"):
            refuse()


def test_gifs_end_at_fifty_frames_a_second(tmp_path: Path, mark: Mark) -> None:
    with pytest.raises(UsageError, match="at most 50"):
        write(tmp_path / "a.gif", mark, rate=Fraction(60))


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(frames=st.integers(1, 60), rate=st.fractions(1, 50, max_denominator=1001))
def test_gifs_keep_the_time(tmp_path_factory, frames: int, rate: Fraction) -> None:
    path = write(tmp_path_factory.mktemp("gif") / "a.gif", Mark(), frames=frames, rate=rate)
    with Image.open(path) as image:
        assert image.n_frames == frames
        lasts_ms = 0
        for index in range(frames):
            image.seek(index)
            assert abs(lasts_ms - 1000 * index / rate) <= 5
            lasts_ms += image.info["duration"]


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("failure", ["no frames", "wrong size", "error of the caller"])
def test_failed_writes_leave_nothing(tmp_path: Path, mark: Mark, name: str, failure: str) -> None:
    expected = {"no frames": MediaError, "wrong size": UsageError}.get(failure, KeyError)
    with (
        pytest.raises(expected),
        open_frames(tmp_path / name, size_px=(64, 48), rate=25, mark=mark) as video,
    ):
        if failure != "no frames":
            video.write(gradient())
            video.write(gradient(32, 32) if failure == "wrong size" else gradient())
            raise KeyError("x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", KINDS)
def test_what_is_there_stays_unless_replaced(tmp_path: Path, mark: Mark, name: str) -> None:
    path = write(tmp_path / name, mark)
    for refuse in (lambda: write(path, mark), lambda: check_frames_output(path)):
        with pytest.raises(InputError, match="overwrite"):
            refuse()
    write(path, mark, frames=3, overwrite=True)
    assert verify(path).verdict is Verdict.INTACT
    if name == "frames":
        assert len(list(path.iterdir())) == 4


def test_a_folder_with_other_files_is_never_replaced(tmp_path: Path, mark: Mark) -> None:
    path = write(tmp_path / "frames", mark)
    (path / "notes.txt").write_text("mine")
    for refuse in (
        lambda: write(path, mark, overwrite=True),
        lambda: check_frames_output(path, overwrite=True),
    ):
        with pytest.raises(InputError, match="holds more"):
            refuse()
    assert (path / "notes.txt").read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 2


def test_an_empty_folder_is_filled_and_a_file_is_in_the_way(tmp_path: Path, mark: Mark) -> None:
    (tmp_path / "empty").mkdir()
    assert verify(write(tmp_path / "empty", mark)).verdict is Verdict.INTACT
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is a file"):
        write(tmp_path / "file", mark, overwrite=True)
    with pytest.raises(InputError, match="does not exist"):
        write(tmp_path / "missing" / "frames", mark)


@pytest.mark.parametrize("change", ["removed", "added", "edited", "unmarked", "folder"])
def test_changed_folders_are_reported(tmp_path: Path, mark: Mark, change: str) -> None:
    path = write(tmp_path / "frames", mark)
    if change == "removed":
        (path / "00002.png").unlink()
    elif change == "added":
        (path / "00099.png").write_bytes((path / "00001.png").read_bytes())
    elif change == "folder":
        (path / "more").mkdir()
    else:
        other = Mark(models={"other": "1"}) if change == "edited" else None
        picture = Image.fromarray(gradient())
        picture.save(path / "00002.png")
        if other is not None:
            (path / "00002.png").write_bytes((path / "00001.png").read_bytes())
    assert verify(path).verdict is Verdict.CHANGED


def test_the_hash_of_a_folder_is_the_documented_one(tmp_path: Path, mark: Mark) -> None:
    path = write(tmp_path / "frames", mark, frames=2)
    lines = [f"{hashlib.sha256(f.read_bytes()).hexdigest()}  {f.name}\n" for f in sorted(path.iterdir())]
    stored = json.loads(sidecar_path(path).read_text())["output"]
    assert stored["sha256"] == hashlib.sha256("".join(lines).encode()).hexdigest()
    assert stored["bytes"] == sum(f.stat().st_size for f in path.iterdir())


def test_an_empty_folder_has_no_mark(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    with pytest.raises(MediaError, match="no frames"):
        verify(tmp_path / "frames")


@pytest.mark.parametrize("name", ["a.mp4", "a.webm"])
def test_better_quality_takes_more_bytes(tmp_path: Path, mark: Mark, name: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    sizes = []
    for quality, crf in QUALITIES.items():
        path = tmp_path / f"{quality}-{name}"
        with open_frames(path, size_px=(64, 48), rate=25, mark=mark, quality_crf=crf) as video:
            for index in range(5):
                video.write(np.roll(noise, index, axis=0))
        sizes.append(path.stat().st_size)
    assert sizes == sorted(sizes)
    assert sizes[-1] > 1.5 * sizes[0]


def test_a_gif_is_a_picture_of_its_first_frame(tmp_path: Path, mark: Mark) -> None:
    path = write(tmp_path / "a.gif", mark)
    assert np.abs(read_image(path).astype(int) - gradient()).mean() < 24
    assert probe(path).kind == "image"
