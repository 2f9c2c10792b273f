"""Frames out: as many as went in, at the exact rate, in step with the sound, whole or not at all."""

import json
import subprocess
import sys
import textwrap
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from media_samples import gradient, tone, write_clip

from auteur.errors import InputError, MediaError, UsageError
from auteur.media import VideoReader, VideoWriter, probe, read_audio
from auteur.provenance import Mark, Verdict, verify
from auteur.signals import Waveform

RATES = [Fraction(24), Fraction(25), Fraction(30000, 1001), Fraction(30), Fraction(50), Fraction(60000, 1001)]


@pytest.mark.parametrize("rate", RATES, ids=str)
@pytest.mark.parametrize("frames", [1, 2, 37])
def test_rate_and_count_are_exact(tmp_path: Path, mark: Mark, rate: Fraction, frames: int) -> None:
    path = write_clip(tmp_path / "a.mp4", mark, rate=rate, frames=frames)
    with VideoReader(path) as video:
        assert video.frame_rate == rate
        assert [frame.time_sec for frame in video] == [index / rate for index in range(frames)]
    samples, rate_hz = read_audio(path)
    assert abs(Fraction(len(samples), rate_hz) - frames / rate) <= Fraction(1, 1000)


@pytest.mark.slow
@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30000, 1001)], ids=str)
@pytest.mark.parametrize("rate_hz", [16_000, 44_100, 48_000, 50_000])
def test_sound_stays_in_step(tmp_path: Path, mark: Mark, rate: Fraction, rate_hz: int) -> None:
    frames, flashes = 250, [20, 101, 240]
    wave = np.zeros(round(frames / rate * rate_hz), np.float32)
    for index in flashes:
        start = round(index / rate * rate_hz)
        wave[start : start + rate_hz // 50] = 0.5 * np.sin(np.arange(rate_hz // 50))
    audio = Waveform(samples=wave, rate_hz=rate_hz)
    with VideoWriter(tmp_path / "a.mp4", size_px=(32, 32), rate=rate, mark=mark, audio=audio) as video:
        for index in range(frames):
            video.write(np.full((32, 32, 3), 255 if index in flashes else 0, np.uint8))
    with VideoReader(tmp_path / "a.mp4") as reader:
        seen_sec = [float(frame.time_sec) for frame in reader if frame.image.mean() > 128]
    samples, heard_hz = read_audio(tmp_path / "a.mp4")
    loud = np.flatnonzero(np.abs(samples[:, 0]) > 0.1) / heard_hz
    heard_sec = loud[np.insert(np.diff(loud) > 0.5, 0, True)]
    assert len(seen_sec) == len(flashes)
    np.testing.assert_allclose(heard_sec, seen_sec, atol=0.005)


def test_sound_beyond_the_last_frame_is_cut(tmp_path: Path, mark: Mark) -> None:
    with VideoWriter(tmp_path / "a.mp4", size_px=(32, 32), rate=25, mark=mark, audio=tone(5.0)) as video:
        for _ in range(10):
            video.write(gradient(32, 32))
    samples, rate_hz = read_audio(tmp_path / "a.mp4")
    assert 0.4 <= len(samples) / rate_hz <= 0.44 + 1024 / 16_000


@pytest.mark.parametrize("size_px", [(65, 47), (64, 47), (65, 48), (17, 17)])
def test_odd_sizes_are_padded_at_the_far_edges(tmp_path: Path, mark: Mark, size_px: tuple[int, int]) -> None:
    image = gradient(*size_px)
    with VideoWriter(tmp_path / "a.mp4", size_px=size_px, rate=25, mark=mark, quality_crf=4) as video:
        video.write(image)
    even = (size_px[0] + size_px[0] % 2, size_px[1] + size_px[1] % 2)
    assert video.size_px == even
    with VideoReader(tmp_path / "a.mp4") as reader:
        assert reader.size_px == even
        written = next(iter(reader)).image
    assert np.abs(written[: size_px[1], : size_px[0]].astype(int) - image).mean() < 5


def test_colours_survive(tmp_path: Path, mark: Mark) -> None:
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (200, 150, 120)]
    with VideoWriter(tmp_path / "a.mp4", size_px=(32, 32), rate=25, mark=mark) as video:
        for colour in colours:
            video.write(np.full((32, 32, 3), colour, np.uint8))
    with VideoReader(tmp_path / "a.mp4") as reader:
        for frame, colour in zip(reader, colours, strict=True):
            assert np.abs(frame.image.mean(axis=(0, 1)) - colour).max() < 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rate": 0}, "rate is 0"),
        ({"rate": 29.97}, "30000/1001"),
        ({"rate": Fraction(10**9, 10**8 + 7)}, "terms"),
        ({"rate": 1000}, "at most 240"),
        ({"size_px": (0, 48)}, "16 to 8192"),
        ({"size_px": (64, 10_000)}, "16 to 8192"),
        ({"quality_crf": 52}, "0 .lossless. to 51"),
        ({"path": "a.avi"}, ".mp4"),
    ],
)
def test_settings_are_checked(tmp_path: Path, mark: Mark, change: dict[str, object], message: str) -> None:
    given = {"path": "a.mp4", "size_px": (64, 48), "rate": 25} | change
    path = tmp_path / given.pop("path")
    with pytest.raises(UsageError, match=message):
        VideoWriter(path, mark=mark, **given)


@pytest.mark.parametrize("failure", ["no frames", "wrong size", "error of the caller"])
def test_failed_writes_leave_nothing(tmp_path: Path, mark: Mark, failure: str) -> None:
    expected = {"no frames": MediaError, "wrong size": UsageError}.get(failure, KeyError)
    with (
        pytest.raises(expected),
        VideoWriter(tmp_path / "a.mp4", size_px=(64, 48), rate=25, mark=mark, audio=tone()) as video,
    ):
        if failure != "no frames":
            video.write(gradient())
            video.write(gradient(32, 32) if failure == "wrong size" else gradient())
            raise KeyError("x")
    assert list(tmp_path.iterdir()) == []


def test_existing_files_are_kept_without_overwrite(tmp_path: Path, mark: Mark) -> None:
    path = write_clip(tmp_path / "a.mp4", mark)
    before = path.read_bytes()
    with (
        pytest.raises(InputError, match="overwrite"),
        VideoWriter(path, size_px=(64, 48), rate=25, mark=mark),
    ):
        pass
    with (
        pytest.raises(UsageError),
        VideoWriter(path, size_px=(64, 48), rate=25, mark=mark, overwrite=True) as video,
    ):
        video.write(gradient(16, 16))
    assert path.read_bytes() == before
    assert verify(path).verdict is Verdict.INTACT


@pytest.mark.parametrize("name", ["missing/a.mp4", "x" * 251 + ".mp4"])
def test_places_that_cannot_be_written_fail_before_any_work(tmp_path: Path, mark: Mark, name: str) -> None:
    with pytest.raises(InputError), VideoWriter(tmp_path / name, size_px=(64, 48), rate=25, mark=mark):
        pytest.fail("the block was entered")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["-o.mp4", "a b.mp4", "é 'q'.mp4", "line\nbreak.mp4", "http:.mp4", "%03d.mp4"]
)
def test_odd_names_are_written(tmp_path: Path, mark: Mark, monkeypatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    write_clip(Path(name), mark, frames=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, f"{name}.json"])
    assert probe(name).frames == 2


def test_same_frames_give_the_same_file(tmp_path: Path, mark: Mark) -> None:
    first, second = (write_clip(tmp_path / name, mark) for name in ("a.mp4", "b.mp4"))
    assert first.read_bytes() == second.read_bytes()


CHILD = """
    import sys
    import numpy as np
    from auteur.media import VideoWriter
    from auteur.provenance import Mark
    noise = np.random.default_rng(0).integers(0, 255, (128, 128, 3), dtype=np.uint8)
    print("ready", flush=True)
    while True:
        with VideoWriter(sys.argv[1], size_px=(128, 128), rate=25, mark=Mark(), overwrite=True) as video:
            for _ in range(5):
                video.write(noise)
"""


@pytest.mark.slow
def test_kill_leaves_a_whole_marked_file_or_none(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    chance = np.random.default_rng(0)
    for _ in range(5):
        child = subprocess.Popen([sys.executable, "-c", textwrap.dedent(CHILD), path], stdout=subprocess.PIPE)
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(chance.uniform(0.0, 0.15))
        child.kill()
        child.communicate()
        if path.exists():
            with VideoReader(path) as video:
                assert sum(1 for _ in video) == 5
            report = verify(path)
            assert report.metadata is not None
            assert report.sidecar is not None


FULL_DISK = """
    import resource, signal, sys
    import numpy as np
    from auteur.errors import InputError
    from auteur.media import VideoWriter
    from auteur.provenance import Mark
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    noise = np.random.default_rng(0)
    try:
        with VideoWriter(sys.argv[1], size_px=(128, 128), rate=25, mark=Mark()) as video:
            for _ in range(100):
                video.write(noise.integers(0, 255, (128, 128, 3), dtype=np.uint8))
    except InputError as error:
        print(error)
"""


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-c", textwrap.dedent(FULL_DISK), tmp_path / "a.mp4"]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    assert "cannot write" in done.stdout
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_a_sidecar_left_by_a_killed_run_is_replaced(tmp_path: Path, mark: Mark) -> None:
    path = write_clip(tmp_path / "a.mp4", mark)
    path.unlink()
    write_clip(path, mark, frames=3)
    assert verify(path).verdict is Verdict.INTACT


MEMORY = """
    import resource, sys
    import numpy as np
    from auteur.media import VideoReader, VideoWriter
    from auteur.provenance import Mark
    from auteur.signals import Waveform
    frames = int(sys.argv[2])
    noise = np.random.default_rng(0).integers(0, 255, (144, 176, 3), dtype=np.uint8)
    with VideoWriter(sys.argv[1], size_px=(176, 144), rate=25, mark=Mark()) as video:
        for _ in range(frames):
            video.write(noise)
    assert sum(1 for _ in VideoReader(sys.argv[1])) == frames
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_length(tmp_path: Path) -> None:
    used = []
    for frames in (150, 900):
        command = [sys.executable, "-c", textwrap.dedent(MEMORY), tmp_path / f"{frames}.mp4", str(frames)]
        used.append(json.loads(subprocess.run(command, capture_output=True, check=True).stdout))
    assert used[1] < 1.1 * used[0]
