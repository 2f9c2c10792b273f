"""The published files of each network, and the tensors that a network must have."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from auteur.errors import WeightsError
from auteur.synthesis.published.aniportrait import AniPortrait
from auteur.synthesis.published.face_locator import FaceLocator
from auteur.synthesis.published.hallo import Hallo
from auteur.synthesis.published.memo import Memo
from auteur.synthesis.published.pose_guider import guider_sizes
from auteur.synthesis.published.projections import AudioProjection, ImageProjection
from auteur.synthesis.published.sizes import Shapes, UNetSizes, unet_sizes

Kind = Literal["aniportrait", "hallo", "memo"]

Networks = AniPortrait | Hallo | Memo


@dataclass(frozen=True)
class Source:
    """A file of a checkpoint, or the part of it under a prefix."""

    file: str
    """Its last parts, such as "reference_net/diffusion_pytorch_model.safetensors"."""
    prefix: str = ""


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The layout of a checkpoint."""

    title: str
    networks: Mapping[str, tuple[Source, ...]]
    """Files of each network; of several the last one counts."""
    unet: str
    """The network whose shapes give the sizes of the UNets."""
    reference: str
    """The ReferenceNet."""
    build: Callable[[UNetSizes, Mapping[str, Shapes]], Networks]
    """(sizes of the UNets, shapes of all networks) → the networks."""
    extras: tuple[str, ...]
    """Models of diffusers and transformers beside them, keys of `EXTRAS`."""
    licence: str
    """Terms of the weights, as far as they are known."""


@dataclass(frozen=True)
class Extra:
    """A model of diffusers or transformers."""

    kind: str
    """A key of `pretrained.folders.FOLDER_KINDS`."""
    words: tuple[str, ...]
    """Words that the name of its folder may contain."""
    weights: tuple[str, ...]
    """Names of its weights, the preferred first."""
    licence: str


_BIN = ("model.safetensors", "pytorch_model.bin")
EXTRAS: dict[str, Extra] = {
    "vae": Extra(
        "vae",
        ("vae",),
        ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"),
        "sd-vae-ft-mse: MIT",
    ),
    "image_encoder": Extra(
        "image_encoder",
        ("image_encoder",),
        _BIN,
        "CLIP image encoder of sd-image-variations: CreativeML Open RAIL-M",
    ),
    "speech_encoder": Extra(
        "speech_encoder", ("wav2vec", "speech_encoder"), _BIN, "wav2vec2-base-960h: Apache-2.0"
    ),
}

RAIL_M = (
    "fine-tuned from Stable Diffusion 1.5: the use restrictions of the CreativeML Open RAIL-M licence "
    "(attachment A) travel along and must be passed on"
)


def _aniportrait(sizes: UNetSizes, shapes: Mapping[str, Shapes]) -> Networks:
    return AniPortrait(sizes, guider_sizes(shapes["pose_guider"]))


def _hallo(sizes: UNetSizes, shapes: Mapping[str, Shapes]) -> Networks:
    return Hallo(
        sizes,
        locator=FaceLocator.sizes(shapes["face_locator"]),
        image=ImageProjection.sizes(shapes["imageproj"]),
        audio=AudioProjection.sizes(shapes["audioproj"]),
    )


def _memo(sizes: UNetSizes, shapes: Mapping[str, Shapes]) -> Networks:
    return Memo(
        sizes,
        image=ImageProjection.sizes(shapes["image_proj"]),
        audio=AudioProjection.sizes(shapes["audio_proj"]),
    )


def _folder(name: str) -> tuple[Source, ...]:
    return (Source(f"{name}/diffusion_pytorch_model.safetensors"),)


LAYOUTS: dict[Kind, Layout] = {
    "aniportrait": Layout(
        title="AniPortrait",
        networks={
            "denoising_unet": (Source("motion_module.pth"), Source("denoising_unet.pth")),
            "reference_unet": (Source("reference_unet.pth"),),
            "pose_guider": (Source("pose_guider.pth"),),
        },
        unet="denoising_unet",
        reference="reference_unet",
        build=_aniportrait,
        extras=("vae", "image_encoder"),
        licence="AniPortrait's code is Apache-2.0; read the terms of the weights where they were got from",
    ),
    "hallo": Layout(
        title="Hallo",
        networks={
            name: (Source("net.pth", f"{name}."),)
            for name in ("denoising_unet", "reference_unet", "face_locator", "imageproj", "audioproj")
        },
        unet="denoising_unet",
        reference="reference_unet",
        build=_hallo,
        extras=("vae", "speech_encoder"),
        licence="Hallo's code is MIT; read the terms of the weights where they were got from",
    ),
    "memo": Layout(
        title="MEMO",
        networks={
            name: _folder(name) for name in ("diffusion_net", "reference_net", "image_proj", "audio_proj")
        },
        unet="diffusion_net",
        reference="reference_net",
        build=_memo,
        extras=("vae", "speech_encoder"),
        licence="MEMO's code is Apache-2.0, its ethics note says for research; read the terms of the weights",
    ),
}


def blank(kind: Kind, shapes: Mapping[str, Shapes]) -> Networks:
    """Returns networks without numbers ("meta"), of the sizes that follow from shapes.

    Args:
        kind: Name of the model.
        shapes: By network, those of its tensors.

    Raises:
        WeightsError: The shapes are of no such networks.
    """
    layout = LAYOUTS[kind]
    sizes = unet_sizes(shapes[layout.unet], f"{layout.title}'s {layout.unet}")
    try:
        with torch.device("meta"):
            return layout.build(sizes, shapes).eval().requires_grad_(False)
    except (KeyError, IndexError, ValueError, ZeroDivisionError, RuntimeError) as error:
        raise WeightsError(f"these are no weights of {layout.title}: {error} does not fit") from error


def wanted(network: nn.Module) -> dict[str, torch.Tensor]:
    """Returns the tensors that a network needs, without their numbers."""
    return dict(network.state_dict())


def unused(kind: Kind, name: str, shapes: Mapping[str, Shapes]) -> dict[str, tuple[int, ...]]:
    """Returns the names of tensors that a file may hold and no computation reads, after the last features."""
    layout = LAYOUTS[kind]
    if name != layout.reference:
        return {}
    sizes = unet_sizes(shapes[layout.unet], layout.title)
    with torch.device("meta"):
        whole = sizes.new_unet().state_dict()
    return {key: tuple(value.shape) for key, value in whole.items()}


def recognised(names: set[str]) -> str:
    """Returns the model that such tensors resemble, for messages; "" for none."""
    signs = {
        "AniPortrait's pose_guider.pth": any(name.startswith("cross_attn1.") for name in names),
        "Hallo's net.pth": any(name.startswith("denoising_unet.") for name in names),
        "a motion module": bool(names) and all("motion_modules" in name for name in names),
        "a denoising UNet": "conv_in.weight" in names and "conv_out.weight" in names,
        "a ReferenceNet": "conv_in.weight" in names and "mid_block.resnets.0.norm1.weight" in names,
        "an autoencoder": "decoder.conv_in.weight" in names,
        "a projection of speech": "proj3.weight" in names,
        "a projection of embeddings": "proj.weight" in names,
    }
    return next((sign for sign, fits in signs.items() if fits), "")
