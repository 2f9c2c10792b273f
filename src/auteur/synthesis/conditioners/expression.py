"""Expression vectors: paper B's conditional residual block (EMOdiffhead, arXiv 2409.07255)."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional

from auteur.errors import UsageError
from auteur.synthesis.conditioners.layers import Place, choose, null, per_place, zero
from auteur.synthesis.conditions import Conditions


@dataclass(frozen=True, kw_only=True)
class ExpressionConfig:
    """Sizes of the expression conditioner."""

    coefficients: int = 50
    """E: FLAME's expression as DECA gives it."""
    dropout: float = 0.1


class ExpressionConditioner(nn.Module):
    """Scale and shift of every residual block, from time embedding + MLP(e_t).

    The paper's equation is not public; this is adaptive group normalisation (Dhariwal & Nichol 2021, eq. 1),
    h ← (1 + s) GroupNorm(h) + b with [s, b] = W SiLU(time + MLP(e_t)) and W zero at first.
    """

    def __init__(self, config: ExpressionConfig, places: Sequence[Place], *, time_width: int) -> None:
        super().__init__()
        self.config = config
        self.mlp = nn.Sequential(
            nn.Linear(config.coefficients, time_width), nn.SiLU(), nn.Linear(time_width, time_width)
        )
        self.null = null(time_width)
        self.projections = per_place(places, lambda at: zero(nn.Linear(time_width, 2 * at.channels)))

    def encode(self, conditions: Conditions, time: Tensor, frames: int) -> Tensor:
        """Returns SiLU(time + MLP(e_t)), [B * F, time_width], for a time embedding [B * F, time_width]."""
        if conditions.expression is None:
            return functional.silu(time + self.null)
        given = conditions.expression
        if given.ndim != 3 or given.shape[1:] != (frames, self.config.coefficients):
            raise UsageError(
                f"expression has shape {list(given.shape)}; it must be "
                f"[B, {frames}, {self.config.coefficients}]"
            )
        code = choose(conditions.presence("expression"), self.mlp(given), self.null)
        return functional.silu(time + code.flatten(0, 1))

    def forward(self, place: str, code: Tensor) -> tuple[Tensor, Tensor]:
        """Returns scale and shift of the second normalisation at a place, each [B * F, C, 1, 1]."""
        scale, shift = self.projections[place](code)[:, :, None, None].chunk(2, dim=1)
        return scale, shift
