"""Sizes of published networks, read from the shapes of their tensors."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from auteur.errors import WeightsError
from auteur.synthesis.denoiser.layers import UNet

Shapes = Mapping[str, tuple[int, ...]]

HEADS, GROUPS = 8, 32
"""Of attention and of normalisation in all three; no shape shows them."""


@dataclass(frozen=True, kw_only=True)
class UNetSizes:
    """A UNet of Stable Diffusion 1.5's kind."""

    widths: tuple[int, ...] = (320, 640, 1280, 1280)
    """Channels by level."""
    attends: tuple[bool, ...] = (True, True, True, False)
    """Which levels have attention."""
    layers: int = 2
    """Residual blocks of a level on the way down."""
    context_width: int = 768
    """Numbers per context token."""
    channels: int = 4
    """Of the latents."""
    longest: int = 0
    """Frames with positions in the motion modules; 0: there are none."""
    audio_width: int = 0
    """Numbers per audio token; 0: there is no audio module."""

    def new_unet(self) -> UNet:
        """Returns a UNet of these sizes without modules for motion or audio."""
        return UNet(**self.of_unet())

    def of_unet(self) -> dict[str, Any]:
        """Returns the arguments of `UNet`."""
        return {
            "channels": self.channels,
            "widths": self.widths,
            "attends": self.attends,
            "layers": self.layers,
            "heads": HEADS,
            "groups": GROUPS,
            "context_width": self.context_width,
        }


def unet_sizes(shapes: Shapes, source: str) -> UNetSizes:
    """Returns the sizes of a UNet with the tensors `shapes`; audio and motion where it has such modules.

    Args:
        shapes: Shape by name.
        source: Begins the message.

    Raises:
        WeightsError: There is no UNet of Stable Diffusion 1.5's kind.
    """
    levels = _count(shapes, "down_blocks.{}.resnets.0.conv2.weight")
    layers = _count(shapes, "down_blocks.0.resnets.{}.conv2.weight")
    attends = tuple(f"down_blocks.{level}.attentions.0.norm.weight" in shapes for level in range(levels))
    try:
        if not any(attends):
            raise KeyError("attentions")
        where = f"down_blocks.{attends.index(True)}."
        context = shapes[f"{where}attentions.0.transformer_blocks.0.attn2.to_k.weight"][1]
        block = f"{where}motion_modules.0.temporal_transformer.transformer_blocks.0."
        positions = shapes.get(f"{block}attention_blocks.0.pos_encoder.pe", (0, 0))[1]
        return UNetSizes(
            widths=tuple(shapes[f"down_blocks.{i}.resnets.0.conv2.weight"][0] for i in range(levels)),
            attends=attends,
            layers=layers,
            context_width=context,
            channels=shapes["conv_in.weight"][1],
            longest=positions,
            audio_width=_audio_width(shapes, f"{where}audio_modules.0.transformer_blocks.0."),
        )
    except (KeyError, IndexError) as error:
        raise WeightsError(
            f"{source} holds no UNet of Stable Diffusion 1.5's kind: {error} is missing"
        ) from error


def _audio_width(shapes: Shapes, block: str) -> int:
    for name in ("attn2_0.to_k.weight", "audio_attn1.to_q.weight"):  # Hallo's, MEMO's
        if block + name in shapes:
            return shapes[block + name][1]
    return 0


def _count(shapes: Shapes, name: str) -> int:
    count = 0
    while name.format(count) in shapes:
        count += 1
    return count
