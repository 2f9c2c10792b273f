"""Identity: CLIP's image embedding as tokens in place of Stable Diffusion's text (AniPortrait)."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Self

from torch import Tensor, nn

from auteur.synthesis.conditioners.base import Conditioner, Entry, Given, Input, NetworkShape, SampleSize
from auteur.synthesis.conditioners.layers import zero


@dataclass(frozen=True, kw_only=True)
class IdentityConfig:
    """Sizes of the identity conditioner."""

    features: int = 768
    """Numbers of one image embedding: CLIP ViT-L/14's."""
    dropout: float = 0.05


class IdentityConditioner(Conditioner):
    """Projects image embeddings onto the tokens that stand in for a text, as IP-Adapter does.

    Its null is the base's own context, which is learned.
    """

    name = "identity"
    inputs = (Input("identity", per_frame=False),)
    entry = Entry.CONTEXT
    config_type = IdentityConfig
    guided_by = "reference"

    def __init__(self, config: IdentityConfig, *, tokens: int, width: int) -> None:
        super().__init__()
        self.config = config
        self.project = zero(nn.Linear(config.features, tokens * width))

    @classmethod
    def build(cls, config: IdentityConfig, network: NetworkShape) -> Self:
        """Returns a conditioner with new weights."""
        return cls(config, tokens=network.context_tokens, width=network.context_width or 0)

    @classmethod
    def misfit(cls, others: Collection[str], context_width: int | None) -> str | None:
        """Returns why a network without tokens in place of a text cannot have it."""
        return (
            "identity stands in for a text; set the UNet's context_width" if context_width is None else None
        )

    def shapes(self, sample: SampleSize, margin: int = 0) -> dict[str, tuple[int | None, ...]]:
        """Returns the shape of the embeddings, of which there may be several."""
        return {"identity": (None, self.config.features)}

    def encode(self, given: Given, sample: SampleSize, time: Tensor) -> Given:
        """Returns the embeddings and the rows that have them."""
        return given

    def forward(self, place: str, value: Tensor, code: Given) -> Tensor:
        """Returns the context [B, tokens, width], moved by the identity where a row has one."""
        embeddings = code.get("identity")
        if embeddings is None or code.present is None:
            return value
        moved = value + self.project(embeddings.mean(1)).unflatten(1, value.shape[1:])
        return moved.where(code.present[:, None, None], value)
