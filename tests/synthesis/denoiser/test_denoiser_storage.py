import json
import shutil
import subprocess
import sys

import pytest
import torch
from denoiser_samples import TINY, conditions_of, loud, sample_of, times
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from auteur.errors import InputError, UsageError, WeightsError
from auteur.synthesis.denoiser.builder import build_denoiser
from auteur.synthesis.denoiser.config import DenoiserConfig
from auteur.synthesis.denoiser.storage import load_denoiser, load_parts, save_denoiser

CONFIG = TINY["auhead"]


@pytest.fixture(scope="module")
def model():
    return loud(CONFIG)


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    save_denoiser(model, path)
    return path


def rewritten(source, path, *, tensors=None, **metadata):
    with safe_open(source, framework="pt") as file:
        kept = file.metadata()
    save_file(load_file(source) if tensors is None else tensors, path, metadata={**kept, **metadata})
    return path


@pytest.mark.parametrize("config", TINY.values(), ids=TINY)
def test_configs_survive_json(config):
    assert DenoiserConfig.from_json(config.to_json()) == config


@pytest.mark.slow
def test_half_precision_files_are_half_as_large_and_nearly_the_same(model, saved, tmp_path):
    path = tmp_path / "half.safetensors"
    save_denoiser(model, path, dtype=torch.float16)
    assert path.stat().st_size < 0.6 * saved.stat().st_size
    loaded, given, sample = load_denoiser(path), conditions_of(CONFIG), sample_of(CONFIG)
    with torch.no_grad():
        one, other = model(sample, times(), given), loaded(sample, times(), given)
    assert loaded.dtype == torch.float32
    assert (one - other).abs().max() < 0.02 * one.abs().max()


@pytest.mark.slow
def test_an_adapter_alone(model, tmp_path):
    path = tmp_path / "au.safetensors"
    save_denoiser(model, path, only=["au"])
    assert {name.split(".")[0] for name in load_file(path)} == {"au"}
    other = build_denoiser(CONFIG, seed=3)
    base = other.unet.conv_in.weight.clone()
    assert load_parts(other, path) == ("au",)
    assert torch.equal(other.conditioners["au"].null, model.conditioners["au"].null)
    assert torch.equal(other.unet.conv_in.weight, base)
    with pytest.raises(WeightsError, match=r"lacks .*base.*load_parts"):
        load_denoiser(path)
    with pytest.raises(WeightsError, match="holds au, which this model has no part for"):
        load_parts(build_denoiser(TINY["landmark"]), path)
    with pytest.raises(WeightsError, match="other settings: au is"):
        load_parts(build_denoiser(TINY["compact"]), path)
    with pytest.raises(UsageError, match="no part 'smell'"):
        save_denoiser(model, tmp_path / "x.safetensors", only=["smell"])


def test_nothing_is_overwritten_by_default(model, saved):
    with pytest.raises(InputError, match="exists already"):
        save_denoiser(model, saved)


def test_missing_truncated_and_foreign_files(saved, tmp_path):
    with pytest.raises(WeightsError, match="cannot read"):
        load_denoiser(tmp_path / "nothing.safetensors")
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(saved.read_bytes()[: saved.stat().st_size // 2])
    with pytest.raises(WeightsError, match="not a safetensors file"):
        load_denoiser(cut)
    unsafe = tmp_path / "unsafe.safetensors"
    torch.save({"weight": torch.zeros(3)}, unsafe)
    with pytest.raises(WeightsError, match="not a safetensors file"):
        load_denoiser(unsafe)
    other = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(3)}, other)
    with pytest.raises(WeightsError, match="holds no denoiser"):
        load_denoiser(other)
    changed = tmp_path / "changed.safetensors"
    shutil.copy(saved, changed)
    with pytest.raises(WeightsError, match="SHA-256"):
        load_denoiser(changed, sha256="0" * 64)


@pytest.mark.slow
def test_all_misfits_are_listed_at_once(saved, tmp_path):
    tensors = load_file(saved)
    tensors["au.null"] = torch.zeros(1, 2)
    tensors["smell"] = torch.zeros(1)
    tensors["base.unet.conv_in.bias"][0] = float("nan")
    del tensors["base.context"]
    path = rewritten(saved, tmp_path / "bad.safetensors", tensors=tensors)
    with pytest.raises(WeightsError) as caught:
        load_denoiser(path)
    message = str(caught.value)
    assert "\n" not in message
    for part in ("au.null has shape (1, 2)", "smell is not part", "base.context is missing", "NaN"):
        assert part in message


@pytest.mark.slow
@pytest.mark.parametrize(
    "change",
    [
        {"smell": 1},
        {"unet": {"smell": 1}},
        {"unet": {"widths": [10**6]}},
        {"unet": {"widths": ["a"]}},
        {"unet": []},
        {"au": {"form": "os.system"}},
        {"reference": "module:Class"},
        {"process": 3},
        {"patch": 10**6},
        {"au": {"width": 10**7}},
        {"au": {"width": -8}},
    ],
    ids=str,
)
def test_configs_in_files_are_checked(saved, tmp_path, change):
    values = {**json.loads(CONFIG.to_json()), **change}
    path = rewritten(saved, tmp_path / "bad.safetensors", denoiser=json.dumps(values))
    with pytest.raises(WeightsError) as caught:
        load_denoiser(path)
    assert "\n" not in str(caught.value)
    broken = rewritten(saved, tmp_path / "broken.safetensors", denoiser="{")
    with pytest.raises(WeightsError, match="cannot be used"):
        load_denoiser(broken)


@pytest.mark.slow
def test_loading_imports_no_compiler_and_no_model_library():
    """Each takes as long as painting some seconds of video."""
    script = (
        "import sys\n"
        "from auteur.synthesis.denoiser.storage import load_denoiser\n"
        "from auteur.weights import path_of\n"
        "load_denoiser(path_of('denoiser'))\n"
        "heavy = ('diffusers', 'transformers', 'torch._dynamo', 'sympy')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
