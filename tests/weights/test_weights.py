"""Weights files: damage of every kind is named, and nothing but `WeightsError` comes out."""

import hashlib
from contextlib import suppress

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from auteur import weights
from auteur.errors import WeightsError


def model() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


@pytest.fixture
def saved(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "tiny.safetensors"
    save_file(model().state_dict(), path)
    return path


def sha256(path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_tensors_arrive_in_evaluation_mode(saved):
    torch.manual_seed(0)
    wanted = model().state_dict()
    filled = weights.load_file(model(), saved, sha256=sha256(saved))
    assert not filled.training
    for name, tensor in filled.state_dict().items():
        assert torch.equal(tensor, wanted[name])


def test_half_precision_becomes_single(tmp_path):
    path = tmp_path / "half.safetensors"
    save_file({k: v.half() if v.is_floating_point() else v for k, v in model().state_dict().items()}, path)
    filled = weights.load_file(model(), path)
    assert {v.dtype for v in filled.state_dict().values()} == {torch.float32, torch.int64}


def test_a_missing_file(tmp_path):
    with pytest.raises(WeightsError, match="nothing"):
        weights.load_file(model(), tmp_path / "nothing.safetensors")


def test_a_wrong_hash(saved):
    with pytest.raises(WeightsError, match=r"have SHA-256 .*, expected 000000000000.*reinstall"):
        weights.load_file(model(), saved, sha256="0" * 64)


def test_every_misfit_is_listed(tmp_path):
    tensors = model().state_dict()
    del tensors["0.bias"]
    tensors["0.weight"] = torch.zeros(4, 5)
    tensors["surplus"] = torch.zeros(1)
    tensors["1.running_var"] = torch.tensor([1.0, float("nan"), 1.0, 1.0])
    tensors["1.running_mean"] = torch.tensor([1.0, float("inf"), 1.0, 1.0])
    path = tmp_path / "wrong.safetensors"
    save_file(tensors, path)
    with pytest.raises(WeightsError) as caught:
        weights.load_file(model(), path)
    for cause in (
        "0.bias is missing",
        "0.weight has shape (4, 5), needs (4, 3)",
        "surplus is not part of Sequential",
        "1.running_var holds NaN or infinity",
        "1.running_mean holds NaN or infinity",
    ):
        assert cause in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kept", [0, 4, 8, 60, -1])
def test_a_truncated_file(saved, kept):
    saved.write_bytes(saved.read_bytes()[:kept])
    with pytest.raises(WeightsError, match="not a safetensors file"):
        weights.load_file(model(), saved)


@pytest.mark.slow
@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_flipped_bit_is_noticed_by_the_hash_and_never_crashes_without_it(saved, data):
    content = bytearray(saved.read_bytes())
    expected = sha256(saved)
    header = 8 + int.from_bytes(content[:8], "little")
    place = data.draw(st.one_of(st.integers(0, header - 1), st.integers(0, len(content) - 1)))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    flipped = saved.with_name("flipped.safetensors")
    flipped.write_bytes(content)
    with pytest.raises(WeightsError, match="SHA-256"):
        weights.load_file(model(), flipped, sha256=expected)
    with suppress(WeightsError):  # nothing else may come out
        weights.load_file(model(), flipped)


@pytest.mark.parametrize("kind", [torch.float8_e4m3fn, torch.bfloat16, torch.bool, torch.complex64])
def test_other_number_formats_load_or_are_refused(tmp_path, kind):
    path = tmp_path / "other.safetensors"
    tensors = model().state_dict() | {"0.bias": torch.zeros(4).to(kind)}
    save_file(tensors, path)
    try:
        weights.load_file(model(), path)
    except WeightsError as error:
        assert "0.bias" in str(error)


def test_shipped_weights_are_those_of_the_index():
    from pathlib import Path

    folder = Path(weights.__file__).parent
    assert set(weights.shipped()) == {path.stem for path in folder.glob("*.safetensors")}
    for name, digest in weights.shipped().items():
        assert sha256(folder / f"{name}.safetensors") == digest
        assert weights.version(name) == digest[:12]
    assert sum(path.stat().st_size for path in folder.glob("*.safetensors")) <= 40_000_000
