"""The portrait: a ReferenceNet whose features stand beside the UNet's own keys and values (papers A, B, C).

Animate Anyone (arXiv 2311.17117, section 3.2.1) and Hallo: a UNet of the same shape reads the clean portrait,
and the inputs of its self-attentions are appended to those of the denoiser. It runs once per video.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from auteur.errors import UsageError
from auteur.synthesis.conditioners.base import (
    Conditioner,
    Entry,
    Given,
    Input,
    NetworkShape,
    ReferenceFeatures,
    SampleSize,
)
from auteur.synthesis.conditioners.layers import Place, choose, null
from auteur.synthesis.denoiser.unet import attention_input, walk


@dataclass(frozen=True, kw_only=True)
class ReferenceConfig:
    """The reference conditioner; its network is shaped like the UNet."""

    gated: bool = True
    """Blend attention without and with the portrait by a gate that starts at zero, so that a trained base is
    left as it is. False: append and nothing else, as Hallo does, which changes the base from the start."""
    dropout: float = 0.05


class ReferenceConditioner(Conditioner):
    """The ReferenceNet, a gate per attention, and a null for an absent portrait."""

    name = "reference"
    inputs = (Input("reference", per_frame=False, bytes_mean="signed"),)
    entry = Entry.SELF_ATTENTION
    config_type = ReferenceConfig
    guided_by = "reference"

    def __init__(self, config: ReferenceConfig, network: Any, places: Sequence[Place], *, patch: int) -> None:
        """Takes a UNet, ours or diffusers', of which it keeps the layers that its features depend on."""
        super().__init__()
        self.config = config
        self.patch = patch
        attending = [place for place in places if place.attends]
        self.last = attending[-1].name
        self._places = {place.name: place for place in attending}
        self.network: Any = trimmed(network, self.last)
        self.nulls = nn.ParameterDict({place.name: null(place.channels) for place in attending})
        gates = {place.name: nn.Parameter(torch.zeros(place.channels)) for place in attending}
        self.gates = nn.ParameterDict(gates if config.gated else {})

    def features(self, portrait: Tensor, context: Tensor | None) -> ReferenceFeatures:
        """Returns the network's features of clean pictures [B, C, H, W], at time 0."""
        found: dict[str, Tensor] = {}
        pixels = functional.pixel_unshuffle(portrait, self.patch)
        if context is not None:
            context = context.expand(len(pixels), -1, -1)
        zero_time = torch.zeros(len(pixels), device=pixels.device)
        time = self.network.time_embedding(self.network.time_proj(zero_time).to(pixels.dtype))

        def layer(name: str, resnet: nn.Module, attention: Any, hidden: Tensor) -> Tensor:
            hidden = resnet(hidden, time)
            if attention is None:
                return hidden
            found[name] = attention_input(attention, hidden)
            return hidden if name == self.last else attention(hidden, context, return_dict=False)[0]

        walk(self.network, self.network.conv_in(pixels), layer, until=self.last)
        return ReferenceFeatures(found)

    @classmethod
    def build(cls, config: ReferenceConfig, network: NetworkShape) -> Self:
        """Returns a conditioner around `network.reference_unet`."""
        return cls(config, network.reference_unet, network.places, patch=network.patch)

    def shapes(self, sample: SampleSize, margin: int = 0) -> dict[str, tuple[int | None, ...]]:
        """Returns the shape of the portrait."""
        return {"reference": (sample.channels, sample.height, sample.width)}

    def check(self, given: Given, sample: SampleSize) -> None:
        """Refuses a portrait that does not fit a sample, or features of another network.

        Raises:
            UsageError: It does not fit.
        """
        features = given.get("reference")
        if isinstance(features, ReferenceFeatures) and (
            missing := self.nulls.keys() - features.layers.keys()
        ):
            raise UsageError(f"the reference features are of another network: {sorted(missing)} are missing")
        super().check(given, sample)

    def prepare(self, value: Tensor, features_of: Callable[[Tensor], ReferenceFeatures]) -> ReferenceFeatures:
        """Returns the ReferenceNet's features of a portrait [B, C, H, W]."""
        return features_of(value)

    def encode(self, given: Given, sample: SampleSize, time: Tensor) -> dict[str, Tensor]:
        """Returns keys and values to append by place, [B, pixels, channels]."""
        features: ReferenceFeatures | None = given.get("reference")
        if features is None:
            return {
                name: absent.expand(sample.rows, sample.pixels_at(self._places[name]), -1)
                for name, absent in self.nulls.items()
            }
        return {
            name: choose(given.present, features.layers[name], absent) for name, absent in self.nulls.items()
        }

    def forward(self, place: str, value: dict[str, Any], code: dict[str, Tensor]) -> dict[str, Any]:
        """Returns the arguments of `ReferenceAttention` at a place."""
        gate = self.gates[place] if self.config.gated else None
        return {**value, "reference": code[place], "gate": gate}


def set_attention_processors(unet: nn.Module) -> None:
    """Makes every attention of a UNet, ours or diffusers', read a reference.

    Raises:
        UsageError: The network has no attention that takes a processor.
    """
    attentions = [module for module in unet.modules() if hasattr(module, "set_processor")]
    if not attentions:
        raise UsageError("the network has no attention that takes a processor (set_processor)")
    for attention in attentions:
        attention.set_processor(ReferenceAttention())  # pyright: ignore[reportCallIssue]


class ReferenceAttention:
    """Attention processor, as diffusers calls them: self-attention over [own pixels ; the portrait's pixels].

    softmax(Q [K ; K_ref]ᵀ / √d) [V ; V_ref]; with a gate g, the mean of this and of attention without the
    portrait, weighted g and 1 - g. Cross-attention, and self-attention without a portrait, are as ever.
    """

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        temb: Tensor | None = None,
        reference: Tensor | None = None,  # [B, M, C]
        gate: Tensor | None = None,  # [C]
    ) -> Tensor:
        """Returns the attended hidden states, [B * F, N, C]."""
        own = hidden_states if encoder_hidden_states is None else encoder_hidden_states
        query, key, value = (
            _by_head(projected, attn.heads)
            for projected in (attn.to_q(hidden_states), attn.to_k(own), attn.to_v(own))
        )
        attend = functional.scaled_dot_product_attention
        if reference is None or encoder_hidden_states is not None:
            result = attend(query, key, value)
        else:
            frames = len(hidden_states) // len(reference)
            joint_key, joint_value = (
                torch.cat(
                    [mine, _by_head(project(reference), attn.heads).repeat_interleave(frames, 0)], dim=2
                )
                for mine, project in ((key, attn.to_k), (value, attn.to_v))
            )
            result = attend(query, joint_key, joint_value)
            if gate is not None:
                without = attend(query, key, value)
                result = without + _by_head(gate[None, None], attn.heads) * (result - without)
        return attn.to_out[1](attn.to_out[0](rearrange(result, "b h n d -> b n (h d)")))


def _by_head(tokens: Tensor, heads: int) -> Tensor:
    return rearrange(tokens, "b n (h d) -> b h n d", h=heads)


def trimmed(network: Any, last: str) -> nn.Module:
    """Returns the UNet up to the input of its last self-attention; later layers would get no gradient.

    Raises:
        UsageError: The UNet has no attention on its way up.
    """
    kind, block, layer = last.split("_")
    if kind == "up":
        final = network.up_blocks[int(block)]
        del network.up_blocks[int(block) + 1 :], final.resnets[int(layer) + 1 :]
        del final.attentions[int(layer) + 1 :]
        attention = final.attentions[int(layer)]
        final.upsamplers = None
    else:
        raise UsageError("the UNet must have attention on its way up; give it one level that attends")
    network.conv_norm_out = network.conv_act = network.conv_out = None
    attention.proj_out = None
    transformer = attention.transformer_blocks[0]
    transformer.attn1 = transformer.attn2 = transformer.norm2 = transformer.norm3 = transformer.ff = None
    return network
