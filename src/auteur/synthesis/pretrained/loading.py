"""A denoiser of the papers' size from a Stable Diffusion 1.5 UNet and an AnimateDiff motion adapter."""

import copy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from auteur.errors import UsageError, WeightsError
from auteur.synthesis.denoiser.builder import build_denoiser
from auteur.synthesis.denoiser.config import DenoiserConfig, NetworkConfig, TemporalConfig, UNetConfig
from auteur.synthesis.denoiser.network import VideoDenoiser
from auteur.synthesis.denoiser.temporal import TemporalLayers
from auteur.synthesis.denoiser.unet import check_kind, places_of
from auteur.synthesis.pretrained.folders import load_folder


@dataclass(frozen=True, kw_only=True)
class BaseFolders:
    """Folders of the published parts of a denoiser."""

    unet: Path | str
    """A Stable Diffusion 1.5 folder, or its UNet's."""
    motion_adapter: Path | str | None = None
    """An AnimateDiff motion adapter for it; None: motion modules start new, with outputs of zero."""
    reference: Path | str | None = None
    """The UNet that the ReferenceNet starts from; None: the same UNet, as the papers do."""


def load_base(
    config: DenoiserConfig, folders: BaseFolders, *, dtype: torch.dtype = torch.float32
) -> VideoDenoiser:
    """Returns a preset's denoiser on published weights; its conditioners are new and change nothing yet.

    Args:
        config: Such as `DENOISER_PRESETS["auhead"].config`; UNet and motion sizes are taken from the folders.
        folders: Where the parts are.
        dtype: Of all parameters.

    Raises:
        UsageError: diffusers is not installed.
        WeightsError: A folder holds no such model, or the parts do not fit each other.
    """
    unet = _load_unet(folders.unet, dtype)
    network = config.network
    sizes = _unet_sizes(unet, network.unet.context_tokens)
    if unet.config["in_channels"] != network.channels * network.patch**2:
        raise WeightsError(
            f"the UNet in {str(folders.unet)!r} takes {unet.config['in_channels']} channels; "
            f"{network.channels * network.patch**2} are needed"
        )
    temporal = None
    if network.temporal is None:
        config = config.changed(unet=sizes)
    elif folders.motion_adapter is not None:
        adapter = load_folder("motion_adapter", folders.motion_adapter, dtype=dtype)
        motion = _temporal_sizes(adapter, sizes, folders.motion_adapter)
        config = config.changed(unet=sizes, temporal=motion)
        temporal = TemporalLayers(adapter, motion, places_of(unet))
    else:
        motion = replace(network.temporal, levels=(True,) * len(sizes.widths))
        config = config.changed(unet=sizes, temporal=motion)
        temporal = build_denoiser(_bare(config.network)).temporal
    reference_unet = None
    if "reference" in config.conditioners:
        reference_unet = (
            copy.deepcopy(unet) if folders.reference is None else _load_unet(folders.reference, dtype)
        )
        if _unet_sizes(reference_unet, sizes.context_tokens) != sizes:
            raise WeightsError(
                f"the reference UNet in {str(folders.reference)!r} has other sizes than the UNet; "
                "their features could not be joined"
            )
    denoiser = VideoDenoiser(config, unet, temporal=temporal, reference_unet=reference_unet)
    return denoiser.to(dtype=dtype).requires_grad_(True).eval()


def _bare(network: NetworkConfig) -> DenoiserConfig:
    """The UNet and its motion modules, nothing else."""
    return DenoiserConfig(network=replace(network, finish=None, conditioners={}))


def _load_unet(folder: Path | str, dtype: torch.dtype) -> Any:
    unet = load_folder("unet", folder, dtype=dtype)
    try:
        check_kind(unet, f"the UNet in {str(folder)!r}")
    except UsageError as error:
        raise WeightsError(str(error)) from error
    return unet


def _unet_sizes(unet: Any, context_tokens: int) -> UNetConfig:
    sizes = unet.config
    return UNetConfig(
        widths=tuple(sizes["block_out_channels"]),
        attends=tuple(kind == "CrossAttnDownBlock2D" for kind in sizes["down_block_types"]),
        layers=sizes["layers_per_block"],
        heads=sizes["attention_head_dim"],  # The number of heads, in spite of its name.
        groups=sizes["norm_num_groups"],
        context_width=sizes["cross_attention_dim"],
        context_tokens=context_tokens,
    )


def _temporal_sizes(adapter: Any, unet: UNetConfig, folder: Path | str) -> TemporalConfig:
    sizes = adapter.config
    wanted = {
        "block_out_channels": unet.widths,
        "motion_layers_per_block": unet.layers,
        "motion_mid_block_layers_per_block": 1,
        "conv_in_channels": None,
    }
    problems = [
        f"{key} is {sizes[key]}, not {value}"
        for key, value in wanted.items()
        if (tuple(sizes[key]) if isinstance(sizes[key], list) else sizes[key]) != value
    ]
    if problems:
        raise WeightsError(
            f"the motion adapter in {str(folder)!r} does not fit the UNet: {'; '.join(problems)}"
        )
    return TemporalConfig(
        levels=(True,) * len(unet.widths),
        middle=sizes["use_motion_mid_block"],
        heads=sizes["motion_num_attention_heads"],
        groups=sizes["motion_norm_num_groups"],
        longest_window=sizes["motion_max_seq_length"],
    )
