"""Expression vectors: paper B's conditional residual block (EMOdiffhead, arXiv 2409.07255)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from torch import Tensor, nn
from torch.nn import functional

from auteur.synthesis.conditioners.base import Conditioner, Entry, Given, Input, NetworkShape, SampleSize
from auteur.synthesis.conditioners.layers import Place, choose, null, per_place, zero


@dataclass(frozen=True, kw_only=True)
class ExpressionConfig:
    """Sizes of the expression conditioner."""

    coefficients: int = 50
    """E: FLAME's expression as DECA gives it."""
    space: str = "compact50"
    """Name of the vectors' space: "compact50", measured in the landmarks, or "flame50", predicted by an
    expression generator of that space. Spaces of one width differ in meaning."""
    dropout: float = 0.1


class ExpressionConditioner(Conditioner):
    """Scale and shift of every residual block, from time embedding + MLP(e_t).

    The paper's equation is not public; this is adaptive group normalisation (Dhariwal & Nichol 2021, eq. 1),
    h ← (1 + s) GroupNorm(h) + b with [s, b] = W SiLU(time + MLP(e_t)) and W zero at first.
    """

    name = "expression"
    inputs = (Input("expression", per_frame=True),)
    entry = Entry.RESIDUAL
    config_type = ExpressionConfig
    guided_by = "expression"
    optional = True

    def __init__(self, config: ExpressionConfig, places: Sequence[Place], *, time_width: int) -> None:
        super().__init__()
        self.config = config
        self.mlp = nn.Sequential(
            nn.Linear(config.coefficients, time_width), nn.SiLU(), nn.Linear(time_width, time_width)
        )
        self.null = null(time_width)
        self.projections = per_place(places, lambda at: zero(nn.Linear(time_width, 2 * at.channels)))

    @classmethod
    def build(cls, config: ExpressionConfig, network: NetworkShape) -> Self:
        """Returns a conditioner with new weights."""
        return cls(config, network.places, time_width=network.time_width)

    def shapes(self, sample: SampleSize, margin: int = 0) -> dict[str, tuple[int | None, ...]]:
        """Returns the shape of the vectors."""
        return {"expression": (sample.frames, self.config.coefficients)}

    def encode(self, given: Given, sample: SampleSize, time: Tensor) -> Tensor:
        """Returns SiLU(time + MLP(e_t)), [B * F, time_width], for a time embedding [B * F, time_width]."""
        vectors = given.get("expression")
        if vectors is None:
            return functional.silu(time + self.null)
        code = choose(given.present, self.mlp(vectors), self.null)
        return functional.silu(time + code.flatten(0, 1))

    def forward(self, place: str, value: tuple[Tensor, Tensor] | None, code: Tensor) -> tuple[Tensor, Tensor]:
        """Returns scale and shift of the second normalisation at a place, each [B * F, C, 1, 1]."""
        scale, shift = self.projections[place](code)[:, :, None, None].chunk(2, dim=1)
        return (scale, shift) if value is None else (value[0] + scale, value[1] + shift)
