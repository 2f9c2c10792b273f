"""From a config to a network with new weights."""

import torch

from auteur.synthesis.denoiser.config import DenoiserConfig, NetworkConfig
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
    network = config.network
    unet = _new_unet(network)
    temporal = None
    if network.temporal is not None:
        adapter = make_adapter(network.temporal, network.unet.widths, network.unet.layers)
        temporal = TemporalLayers(adapter, network.temporal, places_of(unet))
    reference_unet = _new_unet(network) if "reference" in network.conditioners else None
    return VideoDenoiser(config, unet, temporal=temporal, reference_unet=reference_unet).eval()


def _new_unet(config: NetworkConfig) -> UNet:
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
