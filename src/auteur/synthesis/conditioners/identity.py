"""Who it is, in a few tokens: CLIP's image embedding in place of Stable Diffusion's text (AniPortrait)."""

from dataclasses import dataclass

from torch import Tensor, nn

from auteur.errors import UsageError
from auteur.synthesis.conditioners.layers import zero
from auteur.synthesis.conditions import Conditions


@dataclass(frozen=True, kw_only=True)
class IdentityConfig:
    """Sizes of the identity conditioner."""

    features: int = 768
    """Of one image embedding: CLIP ViT-L/14's."""
    dropout: float = 0.05


class IdentityConditioner(nn.Module):
    """Projects image embeddings onto the tokens that stand in for a text, as IP-Adapter does.

    Its null is the base's own context, which is learned.
    """

    def __init__(self, config: IdentityConfig, *, tokens: int, width: int) -> None:
        super().__init__()
        self.config = config
        self.project = zero(nn.Linear(config.features, tokens * width))

    def forward(self, base: Tensor, conditions: Conditions, rows: int) -> Tensor:
        """Returns the context [B, tokens, width]: the base's own [tokens, width], moved by the identity."""
        given = conditions.identity
        if given is None:
            return base.expand(rows, -1, -1)
        if given.ndim != 3 or given.shape[-1] != self.config.features:
            raise UsageError(
                f"identity has shape {list(given.shape)}; it must be [B, tokens, {self.config.features}]"
            )
        moved = base + self.project(given.mean(1)).unflatten(1, base.shape)
        present = conditions.presence("identity")
        assert present is not None  # noqa: S101 - given above
        return moved.where(present[:, None, None], base)
