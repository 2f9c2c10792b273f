"""The ReferenceNet: features of the portrait in a UNet of the same shape (theirs: UNet2DConditionModel)."""

from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from auteur.synthesis.conditioners.reference import trimmed
from auteur.synthesis.denoiser.layers import UNet
from auteur.synthesis.denoiser.unet import attention_input, walk
from auteur.synthesis.published.sizes import UNetSizes


class ReferenceNet(UNet):
    """A UNet up to the input of its last self-attention; MEMO's file holds just that."""

    def __init__(self, sizes: UNetSizes) -> None:
        super().__init__(**sizes.of_unet())
        self.last = f"up_{len(sizes.widths) - 1}_{sizes.layers}"
        trimmed(self, self.last)

    def features(
        self, latents: Tensor, context: Tensor, *, lowest: bool = False, half: bool = False
    ) -> dict[str, Tensor]:
        """Returns the input of each self-attention, [N, pixels, C] by layer, at time 0.

        Args:
            latents: Of clean pictures, [N, 4, h, w].
            context: [N, tokens, width].
            lowest: Also the maps [N, C, h, w] of the layers without attention, after their residual block.
            half: Round to float16, as AniPortrait and Hallo do whatever the type of the rest.
        """
        found: dict[str, Tensor] = {}
        time = self.time_proj(torch.zeros(len(latents), device=latents.device)).to(latents.dtype)
        code, tokens = self.time_embedding(time), context.to(latents.dtype)

        def layer(place: str, resnet: nn.Module, attention: Any, hidden: Tensor) -> Tensor:
            hidden = resnet(hidden, code)
            if attention is None:
                if lowest and place != "mid_1":
                    found[place] = hidden
                return hidden
            found[place] = attention_input(attention, hidden)
            return hidden if place == self.last else attention(hidden, tokens, return_dict=False)[0]

        walk(self, self.conv_in(latents), layer, until=self.last)
        return {k: v.half().to(v.dtype) for k, v in found.items()} if half else found


def as_map(tokens: Tensor, like: Tensor) -> Tensor:
    """Returns tokens [..., pixels, C] as maps [..., C, h, w] of the size of `like`."""
    return rearrange(tokens, "... (h w) c -> ... c h w", h=like.shape[-2])
