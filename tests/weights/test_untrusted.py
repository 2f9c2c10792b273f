"""Weights from strangers are not believed, and those that ship are checked at every door."""

import dataclasses
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file as tensors_of
from safetensors.torch import save_file
from torch import nn

from auteur import weights
from auteur.errors import UsageError, WeightsError
from auteur.expression.audio_lm.compact import AudioLMConfig
from auteur.expression.generator.network import GeneratorConfig
from auteur.expression.regressor import Regressor, RegressorConfig
from auteur.expression.speech_to_au import SpeechToAU
from auteur.motion.generator import MotionConfig, MotionGenerator
from auteur.speech.network import CompactSpeechConfig
from auteur.synthesis.denoiser.config import FileConfig, TemporalConfig
from auteur.talking_head.talking_head import MODELS, TalkingHead
from auteur.weights import SavedModel, WeightsFile, load_model, metadata_of
from auteur.weights.config import config_of
from auteur.weights.hub import _build

CONFIGS = {
    "audio_lm": AudioLMConfig(),
    "denoiser": FileConfig(temporal=TemporalConfig()),
    "expression_generator": GeneratorConfig(),
    "motion_generator": MotionConfig(),
    "regressor": RegressorConfig(),
    "speech_encoder": CompactSpeechConfig(),
}
HOSTILE = (
    *(-1, 0, 10**9, 10**40, 0.5, -1.5, 1e308, True, None, "x", "os:system", "a" * 1000, [], [[1]]),
    *([0], [-1], [10**9], ["a"], [1] * 1000, {"a": 1}),
)


@pytest.fixture
def package(tmp_path, monkeypatch) -> Path:
    """A copy of the shipped weights, which the package takes for its own."""
    folder = tmp_path / "weights"
    folder.mkdir()
    for path in Path(weights.__file__).parent.iterdir():
        if path.suffix in (".safetensors", ".json"):
            shutil.copy(path, folder)
    monkeypatch.setattr(weights, "resources", SimpleNamespace(files=lambda _: folder))
    weights.shipped.cache_clear()
    yield folder
    weights.shipped.cache_clear()


def flip(path: Path) -> None:
    """Changes one bit in the middle of the numbers: the file still loads, and means something else."""
    content = bytearray(path.read_bytes())
    content[-len(content) // 3] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("name", weights.shipped())
def test_a_flipped_bit_of_any_shipped_model_is_refused(package, name):
    flip(package / f"{name}.safetensors")
    with pytest.raises(WeightsError, match=r"SHA-256 .* reinstall"):
        _build(name, weights.path_of(name))
    with pytest.raises(WeightsError, match="SHA-256"):
        WeightsFile(weights.path_of(name))
    if name in ("audio_lm", "regressor"):
        with pytest.raises(WeightsError, match="SHA-256"):
            SpeechToAU.shipped(name)


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["compact", "fast"])
@pytest.mark.parametrize("name", ["denoiser", *MODELS])
def test_a_video_is_never_made_with_a_damaged_model(package, preset, name):
    flip(package / f"{name}.safetensors")
    with pytest.raises(WeightsError, match="SHA-256"):
        TalkingHead.from_pretrained(preset)


@pytest.mark.parametrize("index", ["{", "[]", '{"motion": 3}', "[" * 100_000, None])
def test_a_damaged_index_is_a_damaged_installation(package, index):
    (package / "index.json").unlink() if index is None else (package / "index.json").write_text(index)
    with pytest.raises(WeightsError, match="reinstall"):
        weights.path_of("motion")


def nested(config, path=()):
    for name, value in config.items():
        yield (*path, name)
        if isinstance(value, dict):
            yield from nested(value, (*path, name))


@pytest.mark.slow
@pytest.mark.parametrize("kind", CONFIGS)
def test_every_value_of_a_config_has_a_type_and_a_range(kind):
    config = CONFIGS[kind]
    plain = json.loads(metadata_of(kind, config)[kind])
    assert config_of(type(config), json.dumps(plain)) == config
    for *path, last in nested(plain):
        for value in HOSTILE:
            changed = json.loads(json.dumps(plain))
            holder = changed
            for step in path:
                holder = holder[step]
            holder[last] = value
            try:
                made = config_of(type(config), json.dumps(changed))
            except UsageError as error:
                assert "\n" not in str(error)
            else:  # what is taken is of the field's type: it is written as it was read
                again = json.loads(metadata_of(kind, made)[kind])
                assert again == {**json.loads(metadata_of(kind, config)[kind]), **changed}


@pytest.mark.parametrize(
    "text", ["{", "[]", "3", "null", "[" * 100_000, '{"width": 1, "smell": 2}', '{"width": NaN}']
)
def test_what_is_no_config_is_refused(text):
    with pytest.raises(UsageError):
        config_of(RegressorConfig, text)


@dataclasses.dataclass(frozen=True)
class Sizes:
    width: int = 4
    layers: int = 2


class Stack(SavedModel):
    kind = "stack"
    config_class = Sizes

    def __init__(self, config: Sizes) -> None:
        super().__init__()
        self.layers = nn.Sequential(*(nn.Linear(config.width, config.width) for _ in range(config.layers)))


@pytest.mark.parametrize(
    "change",
    [
        {"width": 60_000},
        pytest.param({"layers": 60_000}, marks=pytest.mark.slow),
        {"width": 5},
        {"layers": 3},
    ],
)
def test_a_model_larger_than_its_file_is_never_built(tmp_path, change):
    path = tmp_path / "stack.safetensors"
    save_file(Stack(Sizes()).state_dict(), path, metadata=metadata_of("stack", Sizes()))
    assert isinstance(load_model(path, Stack), Stack)
    metadata = metadata_of("stack", dataclasses.replace(Sizes(), **change))
    save_file(Stack(Sizes()).state_dict(), path, metadata=metadata)
    with pytest.raises(WeightsError):
        load_model(path, Stack)


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyError, RecursionError, AttributeError, MemoryError])
def test_whatever_a_builder_raises_is_the_files_fault(tmp_path, error):
    class Broken(Stack):
        def __init__(self, config: Sizes) -> None:
            raise error("oops")

    path = tmp_path / "stack.safetensors"
    save_file(Stack(Sizes()).state_dict(), path, metadata=metadata_of("stack", Sizes()))
    with pytest.raises(WeightsError, match="cannot be built"):
        load_model(path, Broken)


@pytest.mark.slow
def test_models_of_odd_sizes_come_back(tmp_path):
    regressor = Regressor(RegressorConfig(width=8, dilations=(1, 2))).eval()
    save_file(
        regressor.state_dict(),
        tmp_path / "r.safetensors",
        metadata=metadata_of("regressor", regressor.config),
    )
    assert load_model(tmp_path / "r.safetensors", Regressor).config == regressor.config
    motion = MotionGenerator(MotionConfig(code=8, hidden=8, latent=4, flow_hidden=6))
    path = tmp_path / "m.safetensors"
    save_file(motion.state_dict(), path, metadata=metadata_of("motion_generator", motion.config))
    loaded = load_model(path, MotionGenerator)
    assert all(torch.equal(v, tensors_of(path)[k]) for k, v in loaded.state_dict().items())
