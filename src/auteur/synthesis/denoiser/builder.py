"""From a config to a network with new weights."""

import torch

from auteur.synthesis.denoiser.config import DenoiserConfig
from auteur.synthesis.denoiser.layers import UNet
from auteur.synthesis.denoiser.network import VideoDenoiser
from auteur.synthesis.denoiser.temporal import TemporalLayers, make_adapter
from auteur.synthesis.denoiser.unet import places_of


def build_denoiser(config: DenoiserConfig, *, seed: int | None = None) -> VideoDenoiser:
    """Returns a denoiser with new weights, in evaluation mode; the same ones for the same seed."""
    if seed is not None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return build_denoiser(config)
    unet = _new_unet(config)
    temporal = None
    if config.temporal is not None:
        adapter = make_adapter(config.temporal, config.unet.widths, config.unet.layers)
        temporal = TemporalLayers(adapter, config.temporal, places_of(unet))
    reference_unet = None if config.reference is None else _new_unet(config)
    return VideoDenoiser(config, unet, temporal=temporal, reference_unet=reference_unet).eval()


def _new_unet(config: DenoiserConfig) -> UNet:
    sizes = config.unet
    return UNet(
        channels=config.channels * config.patch**2,
        widths=sizes.widths,
        attends=sizes.attends,
        layers=sizes.layers,
        heads=sizes.heads,
        groups=sizes.groups,
        context_width=sizes.context_width,
    )
