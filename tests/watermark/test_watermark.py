"""The watermark in pictures and files: invisible, found after changes, and not found where there is none."""

import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from auteur.errors import MediaError, UsageError
from auteur.media import open_frames, read_image, read_mark_text, write_audio, write_image
from auteur.provenance import Mark, read_sidecar, verify
from auteur.signals import Waveform
from auteur.watermark import Embedder, detect, embed, read_watermark
from auteur.watermark.pattern import pattern_of

MARK = Mark(settings={"made for": "a test"}, seed=3)
Picture = NDArray[np.uint8]


def scene(width: int = 320, height: int = 256, *, seed: int = 0) -> Picture:
    """Soft shapes with some grain, as a photograph has."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(50, 205, (9, 12, 3)).astype(np.uint8))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC), np.float32)
    return np.clip(smooth + random.normal(0, 4, (height, width, 1)), 0, 255).astype(np.uint8)


SCENE = scene()
MARKED = Embedder(MARK.run_id, (320, 256))(SCENE)


def psnr_db(a: Picture, b: Picture) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(np.float32) - b) ** 2)))


@pytest.mark.parametrize(
    "picture",
    [
        SCENE,
        np.full((256, 256, 3), 255, np.uint8),
        np.zeros((97, 301, 3), np.uint8),
        scene(200, 1000, seed=2),
    ],
)
def test_the_mark_stays_42_db_below(picture: Picture):
    marked = Embedder("00c0ffee", (picture.shape[1], picture.shape[0]))(picture)
    assert marked.shape == picture.shape and marked.dtype == np.uint8
    assert psnr_db(marked, picture) >= 42
    assert np.array_equal(marked, Embedder("00c0ffee", (picture.shape[1], picture.shape[0]))(picture))


def slowly_marked(picture: Picture, run_id: str) -> NDArray[np.floating]:
    """Returns the marked picture by the definition, cell by cell, before rounding."""
    height, width = picture.shape[:2]
    side = min(height, width)
    step, factor = max(1, round(side / 256)), min(max(512 / side, 1), 1.6)
    rows, columns = (math.ceil(length / (4 * step)) for length in (height, width))
    activity, visible = np.zeros((rows, columns)), np.zeros((rows, columns))
    for i, j in np.ndindex(rows, columns):
        places = [
            np.minimum((np.arange(4) + 4 * k) * step, (math.ceil(length / step) - 1) * step)
            for k, length in ((i, height), (j, width))
        ]
        samples = picture[np.ix_(*places)][..., 1].astype(float)
        activity[i, j] = samples.std()
        visible[i, j] = min(max(min((samples.mean() + 20) / 90, (279 - samples.mean()) / 48), 0.3), 1)
    flat = 0.55 * factor * visible
    activity = np.minimum(np.minimum(activity, mean_of_nine(activity)), 25)
    texture = mean_of_nine(np.sqrt(activity)) * visible
    shares = np.linspace(0, 0.5 * factor, 2001)
    within = [np.mean((flat + share * texture) ** 2) <= 1.95**2 for share in shares]
    strength = flat + shares[np.flatnonzero(within)[-1]] * texture
    full = strength.repeat(4 * step, 0).repeat(4 * step, 1)[:height, :width]
    return np.clip(picture + (full * pattern_of(run_id, (width, height)))[..., None], 0, 255)


def mean_of_nine(values: NDArray[np.floating]) -> NDArray[np.floating]:
    padded = np.pad(values, 1, mode="edge")
    return np.lib.stride_tricks.sliding_window_view(padded, (3, 3)).mean((2, 3))


@pytest.mark.parametrize("size_px", [(320, 256), (97, 131), (512, 384), (517, 771)])
def test_the_fast_embedding_is_the_definition(size_px: tuple[int, int]):
    embedder = Embedder(MARK.run_id, size_px)
    pictures = [scene(*size_px, seed=seed) for seed in range(2)]
    pictures[1] = np.clip(pictures[1].astype(int) * 3 - 250, 0, 255).astype(np.uint8)  # black, white, busy
    first = embedder(pictures[0])
    copy = first.copy()
    for picture, marked in zip(pictures, (first, Embedder(MARK.run_id, size_px)(pictures[1])), strict=True):
        slow = slowly_marked(picture, MARK.run_id)
        assert np.abs(marked - slow).max() < 0.75  # rounding, and strength in steps of a sixteenth
        assert np.mean(marked == np.rint(slow)) > 0.9
    embedder(pictures[1])
    assert np.array_equal(first, copy)  # memory that is used again is not what was returned


def test_opacity_stays_and_the_input_is_not_changed():
    picture = np.dstack([SCENE, np.arange(320, dtype=np.uint8)[None].repeat(256, 0)])
    before = picture.copy()
    (marked,) = embed([picture], MARK.run_id)
    assert np.array_equal(picture, before)
    assert np.array_equal(marked[..., 3], picture[..., 3])
    assert np.array_equal(marked[..., :3], MARKED)


def test_a_still_part_has_a_still_mark():
    frames = [SCENE.copy() for _ in range(4)]
    for seed, frame in enumerate(frames):
        frame[:, 260:] = scene(60, 256, seed=seed) if seed % 2 else 128
    marks = [
        marked.astype(int) - frame for marked, frame in zip(embed(frames, MARK.run_id), frames, strict=True)
    ]
    for later in marks[2:]:
        assert np.array_equal(later[:, :240], marks[1][:, :240])


CHANGES = {
    "none": lambda p: p,
    "grey": lambda p: p.convert("L"),
    "half": lambda p: p.resize((160, 128)),
    "double": lambda p: p.resize((640, 512), Image.Resampling.BICUBIC),
    "crop": lambda p: p.crop((9, 20, 297, 251)),
    "turned": lambda p: p.rotate(-2, Image.Resampling.BICUBIC),
    "square": lambda p: p.crop((32, 0, 288, 256)),
}


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_picture_is_identified(change: str):
    reading = detect([np.array(CHANGES[change](Image.fromarray(MARKED)).convert("RGB"))])
    assert (reading.found, reading.tool, reading.run_id) == (True, "Auteur", MARK.run_id)
    assert 0.6 < reading.confidence <= 1
    assert reading.frames_read == 1


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.mp4", "a.webm", "a.gif", "frames", "a.png", "a.jpg", "a.webp"])
def test_written_files_carry_the_run_of_their_sidecar(tmp_path: Path, name: str):
    path = tmp_path / name
    if path.suffix in (".png", ".jpg", ".webp"):
        write_image(path, SCENE, mark=MARK)
    else:
        with open_frames(path, size_px=(320, 256), rate=Fraction(25), mark=MARK) as video:
            for shift in range(6):
                video.write(np.roll(SCENE, shift, axis=1))
    sidecar = read_sidecar(path)
    assert sidecar is not None and sidecar.mark.watermark
    assert read_watermark(path).run_id == sidecar.mark.run_id == MARK.run_id


@pytest.mark.slow
def test_switched_off_nothing_is_embedded_and_the_sidecar_records_it(tmp_path: Path):
    write_image(tmp_path / "a.png", SCENE, mark=replace(MARK, watermark=False))
    assert np.array_equal(read_image(tmp_path / "a.png"), SCENE)
    sidecar = read_sidecar(tmp_path / "a.png")
    assert sidecar is not None and not sidecar.mark.watermark
    reading = read_watermark(tmp_path / "a.png")
    assert (reading.found, reading.run_id, reading.confidence) == (False, None, 0)


@pytest.mark.slow
def test_of_two_marks_one_is_read_and_a_foreign_pattern_is_none():
    other = Embedder("00c0ffee", (320, 256))(MARKED)
    assert detect([other]).run_id in ("00c0ffee", MARK.run_id)
    foreign = np.random.default_rng(4).integers(-3, 4, (64, 80)).repeat(4, 0).repeat(4, 1)[..., None]
    assert not detect([np.clip(SCENE + foreign, 0, 255).astype(np.uint8)]).found


def test_what_cannot_carry_a_mark_is_named(tmp_path: Path):
    small = scene(90, 120)
    write_image(tmp_path / "small.png", small, mark=MARK)
    assert np.array_equal(read_image(tmp_path / "small.png"), small)
    assert "90x120" in str(read_watermark(tmp_path / "small.png").problem)
    write_audio(tmp_path / "a.wav", Waveform(samples=np.zeros(800, np.float32), rate_hz=16_000), mark=MARK)
    assert "sound" in str(read_watermark(tmp_path / "a.wav").problem)
    assert detect([]).problem == "there is no frame"


@pytest.mark.parametrize(
    ("name", "side_px", "carries"),
    [
        ("a.png", 96, True),
        ("a.png", 95, False),
        ("a.jpg", 64, False),
        ("a.mp4", 96, True),
        ("a.mp4", 94, False),
        ("a.gif", 64, False),
        ("a.wav", 0, False),
        ("a.flac", 0, False),
        ("frames", 96, True),
        ("frames", 64, False),
    ],
)
def test_the_record_names_the_watermark_only_where_there_is_one(
    tmp_path: Path, name: str, side_px: int, carries: bool
):
    path, sound = tmp_path / name, Waveform(samples=np.zeros(800, np.float32), rate_hz=16_000)
    picture = scene(120, side_px) if side_px else SCENE
    if not side_px:
        write_audio(path, sound, mark=MARK)
    elif path.suffix in (".png", ".jpg"):
        write_image(path, picture, mark=MARK)
    else:
        audio = None if path.suffix == ".gif" else sound
        with open_frames(path, size_px=(120, side_px), rate=25, mark=MARK, audio=audio) as video:
            video.write(picture)
    sidecar, text = read_sidecar(path), read_mark_text(path)
    assert sidecar is not None and sidecar.mark.watermark is carries
    assert (MARK.run_id in str(text)) is carries
    if name == "frames":
        assert MARK.run_id not in str(read_mark_text(path / "sound.wav"))
        assert verify(path).verdict == "intact"
    if path.suffix == ".png":
        assert np.array_equal(read_image(path), picture) is not carries


def test_damaged_and_missing_files_are_refused(tmp_path: Path):
    write_image(tmp_path / "a.png", SCENE, mark=MARK)
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:5000])
    for name in ("cut.png", "missing.mp4"):
        with pytest.raises(MediaError):
            read_watermark(tmp_path / name)


def test_frames_of_another_size_are_refused():
    with pytest.raises(UsageError, match="256"):
        Embedder(MARK.run_id, (320, 256))(scene(300, 256))


def test_the_run_id_names_the_run():
    assert MARK.run_id == replace(MARK).run_id == Mark(settings={"made for": "a test"}, seed=3).run_id
    assert MARK.run_id != Mark(settings={"made for": "a test"}, seed=4).run_id
    with pytest.raises(UsageError, match="eight digits"):
        Mark(run_id="xyz")
