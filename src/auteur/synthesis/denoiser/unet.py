"""A UNet, ours or diffusers', layer by layer, so that conditioners can act inside.

`UNet2DConditionModel.forward` has no place for the additions of papers A, B and C between its layers, so its
loop is written out here over modules of its names; without conditioners the result is the same bit for bit
(tested).
"""

from collections.abc import Callable
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from auteur.errors import UsageError
from auteur.synthesis.conditioners.layers import Place

RunLayer = Callable[[str, nn.Module, nn.Module | None, Tensor], Tensor]
"""(place, residual block, attention, feature map) → feature map."""

Enter = Callable[[int, Tensor], Tensor]
"""(which down block; their number for the middle, feature map that enters it) → feature map."""


def walk(
    unet: Any, hidden: Tensor, layer: RunLayer, *, enter: Enter | None = None, until: str | None = None
) -> Tensor:
    """Runs all layers of a UNet between its first and its last convolution; down, middle, up.

    Args:
        unet: A `UNet2DConditionModel`, or a `denoiser.layers.UNet`.
        hidden: Output of `conv_in`, [N, C, h, w].
        layer: Runs one.
        enter: Changes what enters a down block or the middle.
        until: The place after which to stop.
    """
    skips = [hidden] if enter is None else [hidden := enter(0, hidden)]
    for index, block in enumerate(unet.down_blocks):
        if index and enter is not None:
            hidden = enter(index, hidden)
        for number, (resnet, attention) in enumerate(_layers(block)):
            hidden = layer(f"down_{index}_{number}", resnet, attention, hidden)
            skips.append(hidden)
        if block.downsamplers is not None:
            hidden = block.downsamplers[0](hidden)
            skips.append(hidden)
    if enter is not None:
        hidden = enter(len(unet.down_blocks), hidden)
    middle = unet.mid_block
    hidden = layer("mid_0", middle.resnets[0], middle.attentions[0], hidden)
    hidden = layer("mid_1", middle.resnets[1], None, hidden)
    for index, block in enumerate(unet.up_blocks):
        for number, (resnet, attention) in enumerate(_layers(block)):
            name = f"up_{index}_{number}"
            hidden = layer(name, resnet, attention, torch.cat([hidden, skips.pop()], dim=1))
            if name == until:
                return hidden
        if block.upsamplers is not None:
            hidden = block.upsamplers[0](hidden, None)
    return hidden


def _layers(block: Any) -> list[tuple[nn.Module, nn.Module | None]]:
    attentions = getattr(block, "attentions", None) or [None] * len(block.resnets)
    return list(zip(block.resnets, attentions, strict=True))


def residual_block(
    block: Any, hidden: Tensor, time: Tensor, scale_shift: tuple[Tensor, Tensor] | None
) -> Tensor:
    """Returns diffusers' `ResnetBlock2D` of a feature map, its second normalisation scaled and shifted.

    Args:
        block: A `ResnetBlock2D` that adds its time embedding.
        hidden: [N, C, h, w].
        time: Time embedding, [N, T].
        scale_shift: Each [N, C', 1, 1]; see `conditioners.expression`.
    """
    if scale_shift is None:
        return block(hidden, time)
    scale, shift = scale_shift
    inner = block.conv1(block.nonlinearity(block.norm1(hidden)))
    inner = inner + block.time_emb_proj(block.nonlinearity(time))[:, :, None, None]
    inner = block.norm2(inner) * (1 + scale) + shift
    inner = block.conv2(block.dropout(block.nonlinearity(inner)))
    if block.conv_shortcut is not None:
        hidden = block.conv_shortcut(hidden)
    return (hidden + inner) / block.output_scale_factor


def attention_input(attention: Any, hidden: Tensor) -> Tensor:
    """Returns what self-attention in diffusers' `Transformer2DModel` reads of a map: [N, h * w, C]."""
    tokens = rearrange(attention.proj_in(attention.norm(hidden)), "n c h w -> n (h w) c")
    return attention.transformer_blocks[0].norm1(tokens)


def places_of(unet: Any) -> list[Place]:
    """Returns the layers of a UNet in the order they run."""
    places: list[Place] = []
    levels = len(unet.down_blocks)
    runs = [(f"down_{index}", block, index) for index, block in enumerate(unet.down_blocks)]
    ups = [(f"up_{index}", block, levels - 1 - index) for index, block in enumerate(unet.up_blocks)]
    for name, block, level in (*runs, ("mid", unet.mid_block, levels - 1), *ups):
        attends = bool(getattr(block, "attentions", None))
        for number, resnet in enumerate(block.resnets):
            is_last = number == len(block.resnets) - 1
            if name == "mid":  # One attention, after the first of two residual blocks.
                attends, closes = number == 0, number == 0
            else:
                closes = is_last
            places.append(Place(f"{name}_{number}", resnet.out_channels, level, attends, closes))
    return places


def entries_of(unet: Any) -> list[tuple[int, int]]:
    """Returns channels and level of what enters each down block, and then the middle."""
    widths = [unet.conv_in.out_channels, *(block.resnets[-1].out_channels for block in unet.down_blocks)]
    levels = [*range(len(unet.down_blocks)), len(unet.down_blocks) - 1]
    return list(zip(widths, levels, strict=True))


_REQUIRED = {
    "act_fn": "silu",
    "mid_block_type": "UNetMidBlock2DCrossAttn",
    "resnet_time_scale_shift": "default",
    "time_embedding_type": "positional",
    "transformer_layers_per_block": 1,
    "use_linear_projection": False,
    "only_cross_attention": False,
    "dual_cross_attention": False,
    "class_embed_type": None,
    "addition_embed_type": None,
    "encoder_hid_dim_type": None,
    "time_cond_proj_dim": None,
    "time_embedding_act_fn": None,
    "center_input_sample": False,
    "attention_type": "default",
    "num_attention_heads": None,
    "upcast_attention": False,
    "cross_attention_norm": None,
    "resnet_out_scale_factor": 1.0,
    "resnet_skip_time_act": False,
    "mid_block_scale_factor": 1,
    "norm_eps": 1e-5,
    "dropout": 0.0,
    "downsample_padding": 1,
    "conv_in_kernel": 3,
    "conv_out_kernel": 3,
    "time_embedding_dim": None,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
}
"""Settings that `denoiser.config.UNetConfig` leaves at the values of Stable Diffusion 1.5."""


def check_kind(unet: Any, source: str) -> None:
    """Refuses UNets that are not of Stable Diffusion 1.5's kind.

    Raises:
        UsageError: It is not; everything that differs is listed.
    """
    config = unet.config
    problems = [
        f"{key} is {config[key]!r}, not {wanted!r}"
        for key, wanted in _REQUIRED.items()
        if config[key] != wanted
    ]
    kinds = {*config["down_block_types"], *config["up_block_types"]}
    known = {"CrossAttnDownBlock2D", "DownBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"}
    problems += [f"block {kind!r} is unknown" for kind in sorted(kinds - known)]
    problems += [
        f"{key} is {config[key]!r}, not one number for all levels"
        for key in ("layers_per_block", "attention_head_dim", "cross_attention_dim")
        if not isinstance(config[key], int)
    ]
    if problems:
        raise UsageError(f"{source} is not of Stable Diffusion 1.5's kind: " + "; ".join(problems))
