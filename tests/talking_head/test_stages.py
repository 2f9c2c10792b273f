"""A folder of stages: what is there is used, the rest is the compact set's, what does not fit is named."""

import json
import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from auteur import provenance
from auteur.errors import UsageError, WeightsError
from auteur.expression.generator.network import ExpressionGenerator, GeneratorConfig
from auteur.facs import EMOTIONS
from auteur.media import write_audio, write_image
from auteur.motion.conditional_flow import FlowConfig
from auteur.motion.face_flow import CONDITIONING_CONTROLS, FaceFlow, FaceFlowConfig
from auteur.motion.face_model import FaceConditions
from auteur.motion.generator import MotionConfig, MotionGenerator
from auteur.motion.speech_motion import PERFORMANCE_SAMPLING
from auteur.motion.style import STYLE_STATISTICS, style_of_liveliness
from auteur.signals import Waveform
from auteur.talking_head.stages import audio_lm_of, is_stage_folder, load_stages
from auteur.talking_head.talking_head import Settings, TalkingHead
from auteur.weights import metadata_of, path_of
from support import qwen_audio

SMALL = MotionConfig(
    speech_features=172, coefficients=6, code=8, hidden=8, latent=4, encoder_layers=2, decoder_layers=2,
    flow_hidden=6, flow_layers=2,
)  # fmt: skip


def written(model: torch.nn.Module, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
        if hasattr(model, "basis"):
            model.basis.copy_(torch.randn(model.basis.shape, generator=torch.Generator().manual_seed(2)))
    save_file(model.state_dict(), path, metadata=metadata_of(model.kind, model.config))
    return path


def flow_of(space: str, features: int) -> FaceFlow:
    sizes = FlowConfig(
        channels=6, style=len(STYLE_STATISTICS), speech_features=features,
        action_units=len(CONDITIONING_CONTROLS), code=8, hidden=8, dilations=(1, 2),
    )  # fmt: skip
    return FaceFlow(FaceFlowConfig(flow=sizes, speech_space=space))


def drawn(model, **given) -> torch.Tensor:
    conditions = FaceConditions(**{"speech": None, "units": None, **given})
    return model.draw(
        conditions, style=style_of_liveliness(1.0), seed=0, purpose="motion", sampling=PERFORMANCE_SAMPLING
    )


def test_paper_c_generator_moves_the_face_and_the_rest_is_compact(tmp_path):
    written(MotionGenerator(SMALL), tmp_path / "motion" / "motion.safetensors")
    assert is_stage_folder(tmp_path)
    made = load_stages(tmp_path)
    assert isinstance(made.mover.face, MotionGenerator) and made.preset == "compact"
    assert "motion_generator" in made.versions and "head_flow" in made.versions
    speech = torch.randn(20, 172, generator=torch.Generator().manual_seed(0))
    units = torch.full((20, len(CONDITIONING_CONTROLS)), torch.nan)
    alone = drawn(made.mover.face, speech=speech, units=units)
    units[:, CONDITIONING_CONTROLS.index("AU12L")] = 0.9
    assert alone.shape == (20, 6)
    assert not torch.allclose(drawn(made.mover.face, speech=speech, units=units), alone)


@pytest.mark.parametrize("condition", ["label", "audio_emotion"])
def test_the_condition_of_the_generator_is_that_of_its_config(condition):
    torch.manual_seed(0)
    model = MotionGenerator(replace(SMALL, condition=condition)).eval()
    assert model.au_code[0].in_features == len(EMOTIONS)
    speech, labels = torch.randn(12, 172), torch.zeros(12, len(EMOTIONS))
    labels[:, 1] = 1
    plain, labelled = drawn(model, speech=speech), drawn(model, speech=speech, emotions=labels)
    assert torch.equal(plain, labelled) == (condition == "audio_emotion"), "the head reads the speech alone"


def test_expression_vectors_of_flame_reach_the_denoiser_and_no_others(tmp_path):
    from auteur.talking_head.motion_stage import performance_of
    from auteur.talking_head.request import PerformanceRequest

    config = replace(GeneratorConfig.full(), hidden=8, emotion=8, noise=4)
    file = tmp_path / "expression_generator" / "expression_generator.safetensors"
    written(ExpressionGenerator(config), file)
    route = load_stages(tmp_path).routes.load("emodiffhead")
    assert route is not None
    speech = Waveform(samples=np.zeros(16_000, np.float32), rate_hz=16_000)
    made = route(speech, PerformanceRequest("happy"))
    assert made.acted is None and made.trajectory is not None and made.trajectory.convention == "flame50"
    performance = performance_of(PerformanceRequest("happy"), made, 25, Settings(route="emodiffhead"))
    assert performance.trajectory is made.trajectory and performance.added is not None, (
        "prototypes move the face"
    )


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (replace(SMALL, frames_per_sec=30), "trained at 30 frames per second; motion runs at 25"),
        (replace(SMALL, speech_space="hubert"), r"reads 'hubert' .*speech_encoder/"),
        (replace(SMALL, speech_features=80), "reads 80 numbers of 'lips91"),
    ],
)
def test_a_motion_model_of_another_rate_or_space_is_refused(config, message, tmp_path):
    written(MotionGenerator(config), tmp_path / "motion" / "motion.safetensors")
    with pytest.raises(WeightsError, match=message):
        load_stages(tmp_path)


def test_missing_and_ambiguous_files_are_named(tmp_path):
    (tmp_path / "motion").mkdir()
    with pytest.raises(WeightsError, match=r"needs one model of the face and has none"):
        load_stages(tmp_path)
    for name in ("face_flow", "motion"):
        shutil.copy(path_of("face_flow"), tmp_path / "motion" / f"{name}.safetensors")
    with pytest.raises(WeightsError, match=r"face_flow\.safetensors and motion\.safetensors"):
        load_stages(tmp_path)
    shutil.rmtree(tmp_path / "motion")
    for stage, message in (
        ("denoiser", r"denoiser\.safetensors nor published\.json"),
        ("expression_generator", r"no expression_generator\.safetensors"),
        ("audio_lm", "holds no audio-language model"),
    ):
        (tmp_path / stage).mkdir()
        with pytest.raises(WeightsError, match=message):
            load_stages(tmp_path)
        (tmp_path / stage).rmdir()


def test_other_expression_spaces_are_refused_by_name(tmp_path):
    config = GeneratorConfig(space="smirk50", hidden=8)
    written(
        ExpressionGenerator(config), tmp_path / "expression_generator" / "expression_generator.safetensors"
    )
    with pytest.raises(WeightsError, match=r"'smirk50' expression vectors; there are compact50 and FLAME's"):
        load_stages(tmp_path).routes.load("emodiffhead")


def test_the_base_of_an_adapter_is_found_or_named_in_an_error(tmp_path):
    adapter = tmp_path / "audio_lm"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "nowhere/base"}))
    with pytest.raises(WeightsError, match="link the base model's folder"):
        audio_lm_of(adapter)
    (adapter / "base").mkdir()
    assert audio_lm_of(adapter) == (adapter / "base", adapter)


def test_a_qwen_without_audio_is_refused_by_name(tmp_path):
    pytest.importorskip("transformers", reason="needs pip install 'auteur-face[full]'")
    place = tmp_path / "audio_lm"
    place.mkdir()
    (place / "config.json").write_text(json.dumps({"model_type": "qwen"}))
    with pytest.raises(WeightsError, match="name the folder of Qwen-Audio-Chat"):
        load_stages(tmp_path).routes.load("auhead")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory, astronaut) -> tuple[Path, Path]:
    place, mark = tmp_path_factory.mktemp("inputs"), provenance.Mark()
    write_image(place / "me.png", np.ascontiguousarray(astronaut[0:257, 96:353]), mark=mark)
    random = np.random.default_rng(0)
    speech = Waveform(samples=random.normal(0, 0.05, 8 * 640).astype(np.float32), rate_hz=16_000)
    write_audio(place / "talk.wav", speech, mark=mark)
    return place / "me.png", place / "talk.wav"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["Hubert", "Wav2Vec2"])
def test_hubert_and_wav2vec_are_speech_features_of_motion(kind, tmp_path, inputs):
    transformers = pytest.importorskip("transformers", reason="needs pip install 'auteur-face[full]'")
    torch.manual_seed(0)
    config = getattr(transformers, f"{kind}Config")(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, conv_dim=(8,) * 7,
        num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    getattr(transformers, f"{kind}Model")(config).save_pretrained(tmp_path / "speech_encoder")
    written(flow_of(kind.lower(), 16), tmp_path / "motion" / "face_flow.safetensors")
    head = TalkingHead.from_pretrained(tmp_path)
    video = head(*inputs, settings=Settings(seed=1, route="landmark"))
    assert next(video.frames()).shape == (257, 257, 3)
    assert f"speech_encoder {kind.lower()}" in video.models and "face_flow" in video.models
    written(flow_of("wavlm", 16), tmp_path / "motion" / "face_flow.safetensors")
    with pytest.raises(WeightsError, match=f"'wavlm' speech features and the encoders give .*{kind.lower()}"):
        TalkingHead.from_pretrained(tmp_path)


@pytest.mark.slow
def test_qwen_audio_chat_with_its_lora_drives_a_video(tmp_path, inputs):
    """Paper A's own base and an adapter of its published modules, in their published layout."""
    for package in ("transformers", "peft"):
        pytest.importorskip(package, reason="needs pip install 'auteur-face[full]'")
    base = qwen_audio.write_folder(tmp_path / "base")
    qwen_audio.write_adapter(tmp_path / "all" / "audio_lm")
    (tmp_path / "all" / "audio_lm" / "base").symlink_to(base)
    head = TalkingHead.from_pretrained(tmp_path / "all")
    video = head(*inputs, settings=Settings(seed=1, route="auhead"))
    assert next(video.frames()).shape == (257, 257, 3)
    assert "audio_lm" in video.models


@pytest.mark.slow
def test_every_stage_is_swapped_in_one_video(tmp_path, inputs):
    """LoRA on a Qwen2-Audio, a generator, paper C's motion, and a denoiser that paints pixels."""
    for package in ("transformers", "peft", "accelerate"):
        pytest.importorskip(package, reason="an extra")
    from auteur.lab.train.audio_lm_lora import train
    from auteur.lab.train.smoke.language import audio_lm_lora
    from auteur.synthesis.denoiser.builder import build_denoiser
    from auteur.synthesis.denoiser.presets import preset
    from auteur.synthesis.denoiser.storage import save_denoiser

    recipe = replace(audio_lm_lora(tmp_path / "lora").recipe, epochs=1, out=tmp_path / "all" / "audio_lm")
    train(recipe)
    written(MotionGenerator(SMALL), tmp_path / "all" / "motion" / "motion.safetensors")
    shutil.copytree(
        path_of("expression_generator").parent, tmp_path / "all" / "expression_generator",
        ignore=lambda _, names: [n for n in names if n != "expression_generator.safetensors"],
    )  # fmt: skip
    (tmp_path / "all" / "denoiser").mkdir()
    save_denoiser(
        build_denoiser(preset("compact").config, seed=0),
        tmp_path / "all" / "denoiser" / "denoiser.safetensors",
    )
    head, shipped = TalkingHead.from_pretrained(tmp_path / "all"), TalkingHead.from_pretrained()
    for route, model in (("auhead", "audio_lm"), ("emodiffhead", "expression_generator")):
        options = {"emotion": "happy", "settings": Settings(seed=1, route=route)}
        video, usual = head(*inputs, **options), shipped(*inputs, **options)
        assert next(video.frames()).shape == (257, 257, 3)
        assert "motion_generator" in video.models and "face_flow" not in video.models
        assert (video.models[model] == usual.models[model]) == (route == "emodiffhead"), "a copy has its hash"
        assert video.models["denoiser"] != usual.models["denoiser"]


def test_a_denoiser_of_flame_vectors_refuses_a_performance_without_them():
    from auteur.painting.conditioning import ConditionBuilder
    from auteur.signals import ExpressionTrack
    from auteur.synthesis.conditioners.expression import ExpressionConfig

    class Reader:
        config = type("C", (), {"expression": ExpressionConfig(space="flame50")})

    track = ExpressionTrack(values=np.ones((3, 50)), rate=Fraction(25), convention="flame50")
    assert ConditionBuilder._vectors_of(Reader, track).shape == (3, 50)
    for other in (None, track.replace(convention="compact50")):
        with pytest.raises(UsageError, match=r"reads flame50 .*--route emodiffhead"):
            ConditionBuilder._vectors_of(Reader, other)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("audio", "wanted"),
    [
        ({"features": 80}, "compact"),
        ({"features": 16, "space": "hubert"}, "hubert"),
        ({"features": 16}, "hubert"),
        (None, "compact"),
    ],
)
def test_a_denoiser_reads_the_features_that_it_names_and_not_those_of_the_motion(audio, wanted, tmp_path):
    transformers = pytest.importorskip("transformers", reason="needs pip install 'auteur-face[full]'")
    from auteur.lab.train.smoke.spots import shrunk
    from auteur.synthesis.conditioners.audio import AudioConfig
    from auteur.synthesis.denoiser.builder import build_denoiser
    from auteur.synthesis.denoiser.presets import preset
    from auteur.synthesis.denoiser.storage import save_denoiser

    hubert = transformers.HubertConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, conv_dim=(8,) * 7,
        num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    transformers.HubertModel(hubert).save_pretrained(tmp_path / "speech_encoder")
    sizes = {"hidden": 16, "tokens": 2, "width": 16, "head": 8, "by_region": False}
    config = shrunk(preset("compact").config)
    config = config.changed(audio=None if audio is None else AudioConfig(**sizes, **audio))
    (tmp_path / "denoiser").mkdir()
    save_denoiser(build_denoiser(config, seed=0), tmp_path / "denoiser" / "denoiser.safetensors")
    made = load_stages(tmp_path)
    assert made.renderer_speech is {"compact": made.encoders.phones, **made.encoders.others}[wanted]
