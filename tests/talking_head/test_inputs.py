"""What a caller may hand over: every kind gives the same portrait and speech; what is neither is named."""

import io
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from auteur import provenance
from auteur.errors import MediaError, UsageError
from auteur.media import Soundtrack, read_speech, write_audio, write_image
from auteur.signals import Waveform
from auteur.talking_head.inputs import check_keywords, portrait_of, scales_of, settings_of, speech_of
from auteur.talking_head.settings import Settings

PIXELS = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
SAMPLES = (0.3 * np.sin(np.arange(24_000) / 9)).astype(np.float32)


@pytest.fixture
def picture_file(tmp_path: Path) -> Path:
    write_image(tmp_path / "me.png", PIXELS, mark=provenance.Mark(watermark=False))
    return tmp_path / "me.png"


@pytest.fixture
def sound_file(tmp_path: Path) -> Path:
    write_audio(
        tmp_path / "talk.wav",
        Waveform(samples=SAMPLES, rate_hz=24_000),
        mark=provenance.Mark(watermark=False),
    )
    return tmp_path / "talk.wav"


PORTRAITS = {
    "bytes": lambda file: file.read_bytes(),
    "bytearray": lambda file: bytearray(file.read_bytes()),
    "Pillow": lambda _: Image.fromarray(PIXELS),
    "Pillow with alpha": lambda _: Image.fromarray(PIXELS).convert("RGBA"),
    "array": lambda _: PIXELS,
    "array, channels first": lambda _: np.ascontiguousarray(PIXELS.transpose(2, 0, 1)),
    "array of floats": lambda _: PIXELS / 255,
    "array of 16 bits": lambda _: PIXELS.astype(np.uint16) * 257,
    "array with alpha": lambda _: np.dstack([PIXELS, np.full((40, 30), 255, np.uint8)]),
    "tensor": lambda _: torch.from_numpy(PIXELS).permute(2, 0, 1),
    "tensor of floats, channels last, batch of one": lambda _: torch.from_numpy(PIXELS)[None].float() / 255,
    "tensor with a gradient": lambda _: (torch.from_numpy(PIXELS).double() / 255).requires_grad_(),
}


@pytest.mark.parametrize("kind", PORTRAITS)
def test_every_kind_of_portrait_is_the_same_picture(picture_file: Path, kind: str) -> None:
    portrait = portrait_of(PORTRAITS[kind](picture_file))
    assert np.array_equal(portrait.picture, PIXELS)
    assert portrait.picture.dtype == np.uint8 and portrait.picture.flags.c_contiguous
    if kind in ("bytes", "bytearray"):
        assert portrait.sha256 == provenance.hash_file(picture_file)


def test_grey_and_transparent_pictures_become_rgb() -> None:
    assert np.array_equal(portrait_of(PIXELS[..., 0]).picture, np.repeat(PIXELS[..., :1], 3, axis=2))
    clear = np.dstack([PIXELS, np.zeros((40, 30), np.uint8)])
    for value in (clear, Image.fromarray(clear)):
        assert (portrait_of(value).picture == 255).all()


def test_a_pillow_image_is_turned_by_its_exif_orientation() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    content = io.BytesIO()
    Image.fromarray(PIXELS).save(content, "PNG", exif=exif)
    turned = Image.open(io.BytesIO(content.getvalue()))
    assert portrait_of(turned).picture.shape == (30, 40, 3)
    assert np.array_equal(portrait_of(turned).picture, portrait_of(content.getvalue()).picture)


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (None, UsageError, "None"),
        (7, UsageError, "int"),
        (["me.png"], UsageError, "list"),
        (b"", MediaError, "empty"),
        (b"GIF", MediaError, "known kind"),
        (b"fLaC" + bytes(20), MediaError, "no picture"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), MediaError, "portrait"),
        ("me.png", UsageError, "str"),
        (np.zeros((0, 5, 3), np.uint8), UsageError, "shape"),
        (np.zeros((5, 5, 2), np.uint8), UsageError, "shape"),
        (np.zeros((2, 9, 9, 3), np.uint8), UsageError, "shape"),
        (np.zeros(9, np.uint8), UsageError, "shape"),
        (np.zeros((9, 9, 3), np.int64), UsageError, "int64"),
        (np.zeros((9, 9, 3), bool), UsageError, "bool"),
        (np.zeros((9, 9, 3), complex), UsageError, "complex"),
        (np.array([[["a"]]]), UsageError, "array of numbers"),
        (np.full((9, 9, 3), np.nan), UsageError, "NaN"),
        (np.full((9, 9, 3), np.inf), UsageError, "infinity"),
        (np.full((9, 9, 3), 128.0), UsageError, r"\[0, 1\]"),
        (np.full((9, 9, 3), -0.5), UsageError, "-0.5"),
        (torch.full((3, 9, 9), torch.nan), UsageError, "NaN"),
        (np.zeros((20_000, 1, 3), np.uint8), MediaError, "pixels"),
    ],
)
def test_what_is_no_portrait_is_refused_by_name(value: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        portrait_of(value)


STEREO = np.stack([SAMPLES, SAMPLES], axis=1)
SPEECHES = {
    "path": lambda file: file,
    "name": str,
    "bytes": lambda file: file.read_bytes(),
    "Waveform": lambda _: Waveform(samples=SAMPLES, rate_hz=24_000),
    "floats": lambda _: (24_000, SAMPLES),
    "doubles": lambda _: (24_000, SAMPLES.astype(np.float64)),
    "16 bits": lambda _: (24_000, np.rint(SAMPLES * 32768).astype(np.int16)),
    "32 bits": lambda _: (24_000, np.rint(SAMPLES.astype(np.float64) * 2**31).astype(np.int32)),
    "stereo": lambda _: (24_000, STEREO),
    "stereo, channels first": lambda _: (24_000, STEREO.T),
    "tensor, batch of one": lambda _: (24_000, torch.from_numpy(STEREO.T.copy())[None]),
    "rate of NumPy": lambda _: (np.int64(24_000), SAMPLES),
}


@pytest.mark.parametrize("kind", SPEECHES)
def test_every_kind_of_speech_is_the_same_sound(sound_file: Path, kind: str) -> None:
    speech = speech_of(SPEECHES[kind](sound_file))
    assert speech.sound.rate_hz == 16_000
    if kind in ("path", "name"):
        assert isinstance(speech.recording, Soundtrack) and speech.recording.channels == 1
    else:
        assert speech.recording.rate_hz == 24_000
        np.testing.assert_allclose(speech.recording.samples, SAMPLES, atol=1 / 32768)
    np.testing.assert_allclose(speech.sound.samples, read_speech(sound_file).samples, atol=1e-4)
    assert not speech.notes.is_silent
    if kind in ("path", "name", "bytes"):
        assert speech.sha256 == provenance.hash_file(sound_file)


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (None, UsageError, "None"),
        (SAMPLES, UsageError, "ndarray"),
        ((24_000,), UsageError, "tuple"),
        (b"", MediaError, "empty"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), MediaError, "picture"),
        ("missing.wav", MediaError, "missing.wav"),
        ((24_000.0, SAMPLES), UsageError, "whole number"),
        ((True, SAMPLES), UsageError, "whole number"),
        ((0, SAMPLES), MediaError, "8000 to 192000"),
        ((-1, SAMPLES), MediaError, "8000 to 192000"),
        ((500_000, SAMPLES), MediaError, "8000 to 192000"),
        ((24_000, np.zeros(0, np.float32)), UsageError, "shape"),
        ((24_000, np.zeros((9, 9, 9), np.float32)), UsageError, "shape"),
        ((24_000, np.zeros((24_000, 9), np.float32)), UsageError, "channels"),
        ((24_000, SAMPLES[:100]), MediaError, "0.1"),
        ((24_000, np.full(24_000, np.nan)), MediaError, "NaN"),
        ((24_000, np.full(24_000, 3000.0)), MediaError, "full scale"),
        ((24_000, np.zeros(24_000, np.int64)), UsageError, "int64"),
        ((24_000, np.zeros(24_000, bool)), UsageError, "bool"),
        ((24_000, ["a"] * 9), UsageError, "numbers"),
    ],
)
def test_what_is_no_speech_is_refused_by_name(value: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        speech_of(value)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.lists(st.integers(0, 5), max_size=5),
    dtype=st.sampled_from(["u1", "u2", "i2", "i8", "f2", "f4", "f8", "c8", "?", "S3", "O"]),
)
def test_any_array_is_a_portrait_or_refused(shape: list[int], dtype: str) -> None:
    array = np.zeros(shape, dtype)
    try:
        assert portrait_of(array).picture.shape[2] == 3
    except (UsageError, MediaError) as error:
        assert "portrait" in str(error)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.lists(st.integers(0, 3000), max_size=2),
    dtype=st.sampled_from(["u1", "u2", "i2", "i4", "f2", "f8", "c8", "?", "O"]),
    rate=st.one_of(st.integers(-5, 200_000), st.floats(), st.none(), st.booleans()),
)
def test_any_array_is_speech_or_refused(shape: list[int], dtype: str, rate: object) -> None:
    try:
        speech_of((rate, np.zeros(shape, dtype)))
    except (UsageError, MediaError) as error:
        assert "speech" in str(error)


def test_keywords_win_over_settings() -> None:
    made = settings_of(Settings(seed=1, head=0.5), {"seed": 4, "fps": 29.97, "size": 720, "face": 1})
    assert (made.seed, made.head, made.fps, made.size) == (4, 0.5, Fraction(2997, 100), "720")
    assert settings_of(None, {"fps": "30000/1001"}).fps == Fraction(30000, 1001)
    assert settings_of(None, {"fps": Fraction(24)}).fps == 24
    assert scales_of({"scales": {"AU12": 1.5}, "mute": ["AU4"]}) == {"AU12": 1.5, "AU4": 0.0}
    assert scales_of({"mute": "AU4"}) == {"AU4": 0.0}


@pytest.mark.parametrize(("name", "near"), [("sed", "seed"), ("backgroud", "background"), ("xyz", "choose")])
def test_unknown_keywords_name_the_nearest(name: str, near: str) -> None:
    with pytest.raises(TypeError, match=near):
        check_keywords({name: 1})  # type: ignore[typeddict-unknown-key]


@pytest.mark.parametrize("fps", [True, None, "fast", float("nan"), float("inf"), [25]])
def test_bad_rates_are_refused(fps: object) -> None:
    with pytest.raises(UsageError, match="fps"):
        settings_of(None, {"fps": fps})  # type: ignore[typeddict-item]


def test_every_keyword_of_the_settings_is_one_of_the_call() -> None:
    from dataclasses import fields

    from auteur.talking_head.inputs import Options

    performance = {"face", "scales", "mute", "drive", "lips", "head_track", "gaze_track"}
    assert {field.name for field in fields(Settings)} | performance == set(Options.__annotations__)
