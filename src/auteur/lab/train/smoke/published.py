"""The recipe `au-adapter` on a published base: a tiny folder of Hallo, as `auteur convert` writes them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from auteur.lab.data.denoiser_clips import ClipFolder, write_clips
from auteur.lab.data.shards import Corpora
from auteur.lab.data.splits import part_of
from auteur.lab.train.clip_batches import DrawnClips
from auteur.lab.train.denoiser_recipe import DenoiserRecipe
from auteur.lab.train.published_adapter import AdaptedBase, adapter_loss, train_adapter
from auteur.lab.train.smoke.trial import Trial, people
from auteur.synthesis.conditioners.au import AUConfig
from auteur.synthesis.noise import step_generator
from auteur.synthesis.pretrained.folders import require
from auteur.synthesis.published.adapter import ADAPTER_FILE
from auteur.synthesis.published.convert import DESCRIPTION
from auteur.synthesis.published.folder import open_published
from auteur.synthesis.published.hallo import PAST_FRAMES, Hallo
from auteur.synthesis.published.sizes import UNetSizes

SIDE_PX, FRAMES, STEPS = 64, 16, 8
_LAYERS, _WIDTH = 2, 16
_TINY = AUConfig(width=16, grid=2, head=16)


def published_adapter(folder: Path) -> Trial:
    """The adapter of a tiny Hallo with random weights, on latents that are bright where drawings are."""
    base, clips = write_base(folder / "hallo"), write_spots(folder / "shards")
    recipe = DenoiserRecipe(
        out=folder / "published",
        preset="auhead",
        published=base,
        data=Corpora(shards=(clips,)),
        steps=(STEPS,),
        batch_size=(2,),
        learning_rate=1e-2,
        warm_up_steps=2,
        average_decay=0.5,
        save_every_steps=STEPS,
        log_every_steps=1,
    )

    def train() -> None:
        train_adapter(recipe, _TINY)

    return Trial(recipe, train=train, fitted=lambda: losses(recipe, _TINY))


def losses(recipe: DenoiserRecipe, sizes: AUConfig | None = None) -> tuple[float, float]:
    """Returns the losses of the same clips, times and noise with a new adapter and with the trained one.

    Args:
        recipe: Of a finished run on a published base.
        sizes: Of the new adapter; None: AUHead's.
    """
    assert recipe.published is not None  # noqa: S101 - for the type checker
    base = AdaptedBase(open_published(recipe.published, device=torch.device("cpu")))
    source, loss = (
        ClipFolder(recipe.data, features=("published",), past=PAST_FRAMES),
        adapter_loss(base, recipe),
    )

    def of(*start: Path) -> float:
        adapter = base.adapt(replace(recipe, start=start), sizes)
        generator = step_generator(0, "smoke")
        drawn = DrawnClips(source.batch(2, 4, generator), generator)
        with torch.no_grad():
            value = loss(adapter, drawn, 0)
        assert isinstance(value, Tensor)  # noqa: S101 - it has one term
        return float(value)

    return of(), of(recipe.out / ADAPTER_FILE)


def write_base(folder: Path) -> Path:
    """Writes a folder of Hallo with tiny random networks, and returns it."""
    folder.mkdir(parents=True)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        networks = Hallo(
            UNetSizes(widths=(32, 32, 32, 32), context_width=_WIDTH, longest=24, audio_width=_WIDTH),
            locator={"leaving": 32, "channels": (4, 8, 8, 16)},
            image={"embedding": 8, "tokens": 4, "width": _WIDTH},
            audio={"entering": 5 * _LAYERS * _WIDTH, "hidden": 16, "tokens": 4, "width": _WIDTH},
        )
        _write_encoders(folder)
    for name, network in networks.named_children():
        tensors: dict[str, Tensor] = {k: v.contiguous() for k, v in network.state_dict().items()}
        save_file(tensors, folder / f"{name}.safetensors")
    description = {"model": "hallo", "size_px": SIDE_PX, "sha256": "smoke"}
    (folder / DESCRIPTION).write_text(json.dumps(description), encoding="utf-8")
    return folder


def _write_encoders(folder: Path) -> None:
    diffusers: Any = require("diffusers")
    transformers: Any = require("transformers")
    diffusers.AutoencoderKL(
        block_out_channels=(8, 8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=4,
        layers_per_block=1,
        scaling_factor=0.18215,
    ).save_pretrained(folder / "vae")
    config = transformers.Wav2Vec2Config(
        hidden_size=_WIDTH, num_hidden_layers=_LAYERS, num_attention_heads=2, intermediate_size=16,
        conv_dim=(8,) * 7, num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    transformers.Wav2Vec2Model(config).save_pretrained(folder / "speech_encoder")


def write_spots(folder: Path) -> Path:
    """Writes shards of two people whose latents are bright as their drawings are, and returns the folder."""
    clips: list[tuple[str, str, dict[str, Tensor]]] = []
    side = SIDE_PX // 8
    for number, person in enumerate(people(lambda name: part_of(name) == "train", 2)):
        generator = torch.Generator().manual_seed(number)
        shown = torch.rand(FRAMES, 1, 1, 1, generator=generator)
        spot = torch.zeros(1, 1, side, side)
        spot[..., 2:6, 2:6] = 1
        portrait = 0.3 * torch.randn(4, side, side, generator=generator)
        regions = torch.zeros(FRAMES, 3, side, side)
        regions[:, 0] = 1
        regions[:, :, 2:6, 2:6] = torch.tensor([0.0, 1.0, 0.0])[:, None, None]
        tensors = {
            "clean": portrait + 2 * shown * spot,
            "reference": portrait,
            "audio": torch.randn(FRAMES, 5, _LAYERS * _WIDTH, generator=generator),
            "regions": regions,
            "au": (255 * shown * torch.ones(FRAMES, 3, SIDE_PX, SIDE_PX)).byte(),
        }
        clips.append((person, person, tensors))
    return write_clips(folder, clips, feature="published")
