"""Face embeddings of the user's own, and portraits prepared as the originals do it."""

import sys
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from parity import EXACT, assert_near, needs_parity, numbers
from safetensors.torch import save_file
from skimage import data

from auteur.errors import AuteurError, InputError, UsageError
from auteur.face import crops
from auteur.motion.au_basis import AUBasis
from auteur.painting.face_embedding import _PLACES, aligned_face, face_embedding, similarity_frame
from auteur.painting.published_inputs import HeadSquare, square_of
from auteur.painting.published_options import PublishedOptions
from auteur.painting.renderer import RenderInput
from auteur.signals import Waveform
from auteur.synthesis.published.schedule import LoopSettings


@pytest.fixture(scope="module")
def given() -> RenderInput:
    """A portrait with five points of a face in it."""
    landmarks = np.zeros((478, 3), np.float32)
    landmarks[:, :2] = np.random.default_rng(0).uniform(60, 180, (478, 2))
    turn = np.array([[0.9, -0.3], [0.3, 0.9]])
    moved = 1.5 * (_PLACES @ turn.T) + [40, 20]
    landmarks[[468, 473, 1, 61, 291], :2] = moved
    return RenderInput(
        portrait=torch.from_numpy(np.ascontiguousarray(data.astronaut()[:256, 96:352])).permute(2, 0, 1),
        portrait_landmarks=landmarks,
        landmarks=lambda first, stop: None,
        frame_count=1,
        rate=Fraction(25),
        speech=Waveform(samples=np.zeros(640, np.float32), rate_hz=16000),
        basis=AUBasis(),
    )


def test_a_face_is_turned_to_where_networks_expect_it(given) -> None:
    frame = similarity_frame(given.portrait_landmarks[[468, 473, 1, 61, 291], :2].astype(np.float64))
    places = crops.apply(frame.matrix(112), given.portrait_landmarks[[468, 473, 1, 61, 291], :2])
    np.testing.assert_allclose(places, _PLACES, atol=1e-3)
    assert aligned_face(given).shape == (112, 112, 3)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".safetensors"])
def test_embeddings_of_files(suffix: str, given, tmp_path: Path) -> None:
    wanted = np.random.default_rng(1).normal(size=512).astype(np.float32)
    path = tmp_path / f"me{suffix}"
    if suffix == ".npy":
        np.save(path, wanted[None])
    elif suffix == ".npz":
        np.savez(path, face=wanted)
    else:
        save_file({"face": torch.from_numpy(wanted)}, path)
    found = face_embedding(path, given, 512)
    assert found.shape == (1, 512)
    np.testing.assert_array_equal(found[0].numpy(), wanted)


def test_a_face_network_reads_the_aligned_face_through_onnxruntime(
    given, tmp_path: Path, monkeypatch
) -> None:
    seen: list[np.ndarray] = []

    class Session:
        def __init__(self, path: str, providers: list[str]) -> None:
            if Path(path).read_bytes() != b"network":
                raise RuntimeError("not a protobuf")

        def get_inputs(self):
            return [type("Input", (), {"name": "input.1"})()]

        def run(self, _, inputs):
            seen.append(inputs["input.1"])
            return [np.arange(4, dtype=np.float32)[None]]

    path = tmp_path / "glintr100.onnx"
    path.write_bytes(b"network")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UsageError, match="needs onnxruntime; run: pip install onnxruntime"):
        face_embedding(path, given, 4)
    runtime = ModuleType("onnxruntime")
    runtime.InferenceSession = Session
    monkeypatch.setitem(sys.modules, "onnxruntime", runtime)
    assert face_embedding(path, given, 4).tolist() == [[0, 1, 2, 3]]
    wanted = (aligned_face(given).astype(np.float32).transpose(2, 0, 1)[None] - 127.5) / 127.5
    np.testing.assert_array_equal(seen[0], wanted)
    path.write_bytes(b"something else")
    with pytest.raises(InputError, match=r"no face network .*not a protobuf"):
        face_embedding(path, given, 4)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.npy", np.zeros(128, np.float32), "an embedding of 128 numbers; these weights read 512"),
        ("a.npy", np.full(512, np.nan), "NaN or infinity"),
        ("a.npy", np.array(["x"] * 512), "holds no numbers"),
        ("a.npz", {"a": np.zeros(512), "b": np.zeros(512)}, "holds 2 arrays"),
        ("a.npy", np.array([{}] * 512, dtype=object), "cannot be read as .npy"),
        ("a.safetensors", b"\x00" * 20, "cannot be read as .safetensors"),
        ("a.npz", b"PK", "cannot be read as .npz"),
        ("a.pkl", b"", r"must end in .npy, .npz, .safetensors or .onnx"),
    ],
)
def test_files_that_are_no_embedding_are_named(name, content, message, given, tmp_path: Path) -> None:
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, dict):
        np.savez(path, **content)
    else:
        np.save(path, content, allow_pickle=True)
    with pytest.raises(AuteurError, match=message):
        face_embedding(path, given, 512)


def test_options_are_recorded_and_noted(tmp_path: Path) -> None:
    path = tmp_path / "me.npy"
    np.save(path, np.zeros(512))
    given = {"sampler": "dpm", "compile": True, "identity": str(path), "au_guidance": 2.0}
    options = PublishedOptions.of(given, "hallo")
    assert options.loop == LoopSettings(steps=10, sampler="dpm")
    assert options.record.keys() == {
        "steps",
        "audio_guidance",
        "sampler",
        "compile",
        "identity",
        "au_guidance",
    }
    assert len(options.record["identity"]) == 64
    assert options.notes("hallo") == ("the face embedding is that of me.npy",)
    plain = PublishedOptions.of({}, "memo")
    assert plain.loop == LoopSettings(steps=20)
    assert "zeros" in plain.notes("memo")[0]
    assert "emotion2vec" in plain.notes("memo")[1]
    assert PublishedOptions.of({}, "aniportrait").notes("aniportrait") == ()


@pytest.mark.parametrize(
    ("kind", "given", "message"),
    [
        ("aniportrait", {"identity": "me.npy"}, "identity: no effect with aniportrait"),
        ("memo", {"identity": "absent.npy"}, "'absent.npy' does not exist"),
        ("hallo", {"sampler": "heun"}, "sampler is 'heun'"),
        ("hallo", {"steps": 0}, "steps is 0"),
    ],
)
def test_options_that_do_not_go_are_refused(kind, given, message) -> None:
    with pytest.raises(AuteurError, match=message):
        PublishedOptions.of(given, kind)


def whole(portrait: np.ndarray, size_px: int, kernel) -> HeadSquare:
    """The square of a face that fills a square portrait."""
    side = len(portrait)
    landmarks = np.zeros((478, 3), np.float32)
    landmarks[:, :2] = np.random.default_rng(0).uniform(0.25 * side, 0.75 * side, (478, 2))
    landmarks[33, :2], landmarks[263, :2] = (0.3 * side, 0.4 * side), (0.7 * side, 0.4 * side)
    return square_of(torch.from_numpy(portrait).permute(2, 0, 1), landmarks, size_px, kernel)


@needs_parity
def test_a_portrait_that_the_head_fills_is_prepared_as_aniportrait_does() -> None:
    stored = numbers("aniportrait", "pipeline")
    square = whole(stored["portrait_uint8"].numpy(), 128, "lanczos")
    assert_near(square.scaled[None], stored["short.reference_pixels"], EXACT)
    assert_near(square.clip_pixels(), stored["short.clip_pixels"], EXACT)


def test_squares_beyond_the_picture_are_black_there() -> None:
    portrait = np.full((40, 100, 3), 200, np.uint8)
    square = whole(np.full((100, 100, 3), 200, np.uint8), 64, "bilinear")
    assert square.picture.min() == 200
    landmarks = np.zeros((478, 3), np.float32)
    landmarks[:, :2] = np.random.default_rng(0).uniform([20, 0], [80, 40], (478, 2))
    landmarks[33, :2], landmarks[263, :2] = (30, 20), (70, 20)
    beyond = square_of(torch.from_numpy(portrait).permute(2, 0, 1), landmarks, 64, "bilinear")
    assert beyond.picture[0].max() == 0
    assert beyond.picture[32].min() == 200
    other = np.full((40, 100, 3), 90, np.uint8)
    assert beyond.showing(other).picture[32].max() == 90
    with pytest.raises(UsageError, match="another size than the portrait"):
        beyond.showing(portrait[:30])
