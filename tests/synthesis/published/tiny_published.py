"""Checkpoints of tiny networks in the layout that the three models are published in, with hashed weights."""

from pathlib import Path

import pytest
import torch
from parity import weight
from safetensors.torch import save_file
from torch import Tensor, nn

from auteur.synthesis.published.aniportrait import AniPortrait
from auteur.synthesis.published.checkpoints import Kind, Networks
from auteur.synthesis.published.hallo import Hallo
from auteur.synthesis.published.memo import Memo
from auteur.synthesis.published.sizes import UNetSizes

SIZES = {"widths": (32, 32, 32, 32), "context_width": 16, "longest": 24}
AUDIO = {"entering": 5 * 2 * 16, "hidden": 16, "tokens": 4, "width": 16}
IMAGE = {"embedding": 20, "tokens": 4, "width": 16}


def tiny(kind: Kind, **given: bool) -> Networks:
    """Networks of a model, new."""
    torch.manual_seed(0)
    if kind == "aniportrait":
        return AniPortrait(
            UNetSizes(**SIZES | {"widths": (32, 64, 128, 128)}), {"channels": 32, "inner": 16}, **given
        )
    sizes = UNetSizes(**SIZES, audio_width=16)
    if kind == "hallo":
        locator = {"leaving": 32, "channels": (4, 8, 8, 16)}
        return Hallo(sizes, locator=locator, image=IMAGE, audio=AUDIO, **given)
    return Memo(sizes, image=IMAGE, audio=AUDIO)


def hashed(net: str, module: nn.Module) -> dict[str, Tensor]:
    """Weights by their names; positions and counters as the module makes them."""
    found = module.state_dict()
    return {
        key: value if key.endswith(("pe", "num_batches_tracked")) else weight(net, key, tuple(value.shape))
        for key, value in found.items()
    }


def weighted(kind: Kind, dtype: torch.dtype = torch.float64, **given: bool) -> Networks:
    """Networks of a model with hashed weights."""
    made = tiny(kind, **given)
    for name, module in made.named_children():
        module.load_state_dict(hashed(name, module))
    return made.to(dtype).eval().requires_grad_(False)


def write_checkpoint(kind: Kind, folder: Path) -> dict[str, dict[str, Tensor]]:
    """Writes a checkpoint in its published layout, and returns the tensors of each network."""
    networks = {name: hashed(name, module) for name, module in tiny(kind).named_children()}
    folder.mkdir(parents=True)
    if kind == "aniportrait":
        unet = networks["denoising_unet"]
        motion = {key: value for key, value in unet.items() if "motion_modules" in key}
        torch.save({k: v for k, v in unet.items() if k not in motion}, folder / "denoising_unet.pth")
        torch.save(motion, folder / "motion_module.pth")
        torch.save(networks["reference_unet"] | unused_of(networks), folder / "reference_unet.pth")
        torch.save(networks["pose_guider"], folder / "pose_guider.pth")
    elif kind == "hallo":
        (folder / "hallo").mkdir()
        whole = networks | {"reference_unet": networks["reference_unet"] | unused_of(networks)}
        torch.save(
            {f"{name}.{key}": value for name, one in whole.items() for key, value in one.items()},
            folder / "hallo" / "net.pth",
        )
    else:
        for name, tensors in networks.items():
            (folder / name).mkdir()
            save_file(tensors, folder / name / "diffusion_pytorch_model.safetensors")
    write_extras(kind, folder)
    return networks


def unused_of(networks: dict[str, dict[str, Tensor]]) -> dict[str, Tensor]:
    """What a published ReferenceNet holds behind its last features."""
    place = "up_blocks.3.attentions.2."
    known = networks["reference_unet"].keys()
    return {
        key: torch.ones_like(value)
        for key, value in networks["denoising_unet"].items()
        if key.startswith(place) and key not in known
    }


def write_extras(kind: Kind, folder: Path) -> None:
    """Writes tiny models of diffusers and transformers as they lie beside a checkpoint."""
    diffusers = pytest.importorskip("diffusers")
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(1)
    diffusers.AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=4,
        layers_per_block=1,
        scaling_factor=0.18215,
    ).save_pretrained(folder / "sd-vae-ft-mse")
    if kind == "aniportrait":
        config = transformers.CLIPVisionConfig(
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            patch_size=56,
            projection_dim=16,
        )
        transformers.CLIPVisionModelWithProjection(config).save_pretrained(folder / "image_encoder")
        return
    config = transformers.Wav2Vec2Config(
        hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16, conv_dim=(8,) * 7,
        num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    transformers.Wav2Vec2Model(config).save_pretrained(folder / "wav2vec" / "wav2vec2-base-960h")
