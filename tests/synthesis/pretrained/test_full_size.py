"""The papers' size, on folders of the published layout that hold tiny random models of the real classes."""

import json

import pytest
import torch
from denoiser_samples import TINY, conditions_of, sample_of, times

from auteur.errors import UsageError, WeightsError
from auteur.synthesis.conditions import Conditions
from auteur.synthesis.denoiser.parts import train_only
from auteur.synthesis.denoiser.presets import DENOISER_PRESETS
from auteur.synthesis.denoiser.storage import load_denoiser, load_parts, save_denoiser
from auteur.synthesis.pretrained.device import full_size_device, parameter_counts
from auteur.synthesis.pretrained.folders import load_folder
from auteur.synthesis.pretrained.image_encoder import PortraitEncoder
from auteur.synthesis.pretrained.latents import LatentSpace
from auteur.synthesis.pretrained.loading import BaseFolders, load_base

pytestmark = pytest.mark.slow

diffusers = pytest.importorskip("diffusers", reason="needs pip install 'auteur-face[full]'")
transformers = pytest.importorskip("transformers", reason="needs pip install 'auteur-face[full]'")

PAPERS = ("auhead", "emodiffhead", "landmark")
UNET = {
    # As in Stable Diffusion 1.5's unet/config.json, with less of everything.
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": (8, 16),
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
    "layers_per_block": 1,
    "attention_head_dim": 2,
    "norm_num_groups": 4,
    "cross_attention_dim": 8,
    "sample_size": 8,
}
MOTION = {
    "block_out_channels": (8, 16),
    "motion_layers_per_block": 1,
    "motion_num_attention_heads": 2,
    "motion_norm_num_groups": 4,
    "motion_max_seq_length": 8,
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    diffusers.UNet2DConditionModel(**UNET).save_pretrained(root / "stable-diffusion" / "unet")
    adapter = diffusers.MotionAdapter(**MOTION)
    for parameter in adapter.parameters():
        torch.nn.init.normal_(parameter, 0, 0.2)
    adapter.save_pretrained(root / "motion-adapter")
    diffusers.AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 8),
        norm_num_groups=4,
        latent_channels=4,
    ).save_pretrained(root / "vae")
    clip = transformers.CLIPVisionConfig(
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=32,
        patch_size=16,
        projection_dim=5,
    )
    transformers.CLIPVisionModelWithProjection(clip).save_pretrained(root / "image_encoder")
    return root


def base_of(folders, name):
    return load_base(
        TINY[name],
        BaseFolders(unet=folders / "stable-diffusion", motion_adapter=folders / "motion-adapter"),
    )


@torch.no_grad()
def test_a_loaded_base_computes_what_diffusers_computes(folders):
    """UNet and motion adapter, loaded by their own classes, give what our denoiser gives."""
    config = TINY["landmark"].changed(reference=None, past=None, identity=None, landmarks=None)
    model = load_base(
        config, BaseFolders(unet=folders / "stable-diffusion", motion_adapter=folders / "motion-adapter")
    )
    unet = diffusers.UNet2DConditionModel.from_pretrained(folders / "stable-diffusion" / "unet")
    adapter = diffusers.MotionAdapter.from_pretrained(folders / "motion-adapter")
    theirs = diffusers.UNetMotionModel.from_unet2d(unet, adapter).eval()
    sample = sample_of(config)
    context = model.context.expand(len(sample) * sample.shape[1], -1, -1)
    wanted = theirs(sample.transpose(1, 2), times(), context).sample.transpose(1, 2)
    assert torch.allclose(model(sample, times(), Conditions()), wanted, atol=1e-5)


@pytest.mark.parametrize("name", PAPERS)
def test_load_train_a_step_save_reload(folders, tmp_path, name):
    model = base_of(folders, name)
    assert model.config.unet.attends == (True, False)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    for phase in range(len(DENOISER_PRESETS[name].phases)):
        learning = train_only(model, DENOISER_PRESETS[name].phases[phase])
        optimiser = torch.optim.AdamW(learning.values(), lr=0.01)
        for _ in range(2):  # After the first step, what is behind the zero layers learns too.
            optimiser.zero_grad()
            model(sample_of(model.config), times(), conditions_of(model.config)).square().mean().backward()
            optimiser.step()
    changed = {key.split(".")[0] for key, value in model.state_dict().items() if not value.equal(before[key])}
    assert changed == (
        {"conditioners"} if name == "auhead" else {"unet", "context", "temporal", "conditioners"}
    )
    save_denoiser(model, tmp_path / "all.safetensors")
    conditions, sample = conditions_of(model.config), sample_of(model.config)
    with torch.no_grad():
        wanted = model(sample, times(), conditions)
        reloaded = load_denoiser(tmp_path / "all.safetensors")
        assert torch.allclose(reloaded(sample, times(), conditions), wanted, atol=1e-5)
    mine, theirs = model.state_dict(), reloaded.state_dict()
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[key], theirs[key]) for key in mine)


def test_auhead_trains_and_ships_its_adapter_alone(folders, tmp_path):
    model = base_of(folders, "auhead")
    learning = train_only(model, DENOISER_PRESETS["auhead"].phases[0])
    assert {name.split(".")[0] for name in learning} == {"au"}
    with torch.no_grad():
        for parameter in learning.values():
            parameter += 0.1
    save_denoiser(model, tmp_path / "au.safetensors", only=["au"])
    other = base_of(folders, "auhead")
    load_parts(other, tmp_path / "au.safetensors")
    mine, theirs = model.conditioners["au"].state_dict(), other.conditioners["au"].state_dict()
    assert all(torch.equal(mine[key], theirs[key]) for key in mine)


def test_motion_modules_start_new_without_an_adapter(folders):
    model = load_base(TINY["landmark"], BaseFolders(unet=folders / "stable-diffusion" / "unet"))
    assert model.temporal is not None
    frames, sample = [], sample_of(model.config)
    with torch.no_grad():
        whole = model(sample, times(), Conditions())
        frames = [model(sample[:, i : i + 1], times(), Conditions()) for i in range(sample.shape[1])]
    assert torch.allclose(torch.cat(frames, 1), whole, atol=1e-5)


def test_folders_that_do_not_fit_are_named_all_at_once(folders, tmp_path):
    from safetensors.torch import load_file, save_file

    place = tmp_path / "unet"
    diffusers.UNet2DConditionModel(**UNET).save_pretrained(place)
    weights = place / "diffusion_pytorch_model.safetensors"
    tensors = load_file(weights)
    del tensors["conv_in.bias"]
    tensors["conv_out.bias"] = torch.zeros(7)
    tensors["smell"] = torch.zeros(1)
    save_file(tensors, weights, metadata={"format": "pt"})
    with pytest.raises(WeightsError) as caught:
        load_folder("unet", place)
    message = str(caught.value)
    assert "\n" not in message
    for part in ("conv_in.bias is missing", "conv_out.bias has shape (7,), needs (4,)", "smell is not part"):
        assert part in message
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(WeightsError, match="no usable UNet2DConditionModel"):
        load_folder("unet", place)
    weights.unlink()
    torch.save(tensors, place / "diffusion_pytorch_model.bin")
    with pytest.raises(WeightsError, match="no usable UNet2DConditionModel"):
        load_folder("unet", place)
    with pytest.raises(WeightsError, match=r"no config\.json"):
        load_folder("vae", tmp_path / "nothing")


def test_other_kinds_of_unet_are_refused(folders, tmp_path):
    other = tmp_path / "unet"
    diffusers.UNet2DConditionModel(**UNET, use_linear_projection=True, act_fn="gelu").save_pretrained(other)
    with pytest.raises(WeightsError, match=r"act_fn is 'gelu'.*use_linear_projection is True"):
        load_base(TINY["landmark"], BaseFolders(unet=other))
    wide = tmp_path / "wide"
    diffusers.UNet2DConditionModel(**{**UNET, "in_channels": 9}).save_pretrained(wide)
    with pytest.raises(WeightsError, match="takes 9 channels; 4 are needed"):
        load_base(TINY["landmark"], BaseFolders(unet=wide))
    larger = tmp_path / "larger"
    diffusers.UNet2DConditionModel(**{**UNET, "block_out_channels": (8, 8)}).save_pretrained(larger)
    with pytest.raises(WeightsError, match="other sizes than the UNet"):
        load_base(TINY["landmark"], BaseFolders(unet=folders / "stable-diffusion", reference=larger))
    with pytest.raises(WeightsError, match=r"motion adapter .* does not fit"):
        load_base(TINY["landmark"], BaseFolders(unet=larger, motion_adapter=folders / "motion-adapter"))


def test_class_names_in_folders_choose_nothing(folders, tmp_path):
    place = tmp_path / "unet"
    diffusers.UNet2DConditionModel(**UNET).save_pretrained(place)
    config = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps({**config, "_class_name": "os.system"}))
    assert type(load_folder("unet", place)).__name__ == "UNet2DConditionModel"


def test_latents_do_not_depend_on_frames_at_once(folders):
    frames = torch.rand(2, 3, 3, 16, 16) * 2 - 1
    one, many = (LatentSpace(folders / "vae", frames_at_once=count) for count in (1, 6))
    latents = one.encode(frames)
    assert latents.shape == (2, 3, 4, 8, 8)
    assert torch.allclose(latents, many.encode(frames), atol=1e-5)
    back = many.decode(latents)
    assert back.shape == frames.shape
    assert back.abs().max() <= 1
    assert torch.allclose(back, one.decode(latents), atol=1e-4)
    with pytest.raises(UsageError, match="multiples of 2"):
        one.encode(frames[..., :-1])
    with pytest.raises(UsageError, match="frames_at_once is 0"):
        LatentSpace(folders / "vae", frames_at_once=0)


def test_portraits_become_tokens_at_any_size(folders):
    encoder = PortraitEncoder(folders / "image_encoder")
    portrait = torch.rand(2, 3, 64, 64) * 2 - 1
    tokens = encoder.encode(portrait)
    assert tokens.shape == (2, 1, encoder.features) == (2, 1, 5)
    assert torch.isfinite(tokens).all()
    assert not torch.allclose(tokens[0], tokens[1])
    with pytest.raises(UsageError, match="portraits have shape"):
        encoder.encode(portrait[0])


def test_without_a_gpu_the_message_names_the_memory_needed(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match=r"needs a CUDA GPU.*GB in bfloat16.*--preset compact"):
        full_size_device(TINY["auhead"])


def test_parts_are_counted_without_memory():
    counts = parameter_counts(DENOISER_PRESETS["auhead"].config)
    # Stable Diffusion 1.5's UNet has 859.5 M parameters; four context tokens are added.
    assert counts["base"] == 859_520_964 + 4 * 768
    assert sum(counts.values()) < 3e9
