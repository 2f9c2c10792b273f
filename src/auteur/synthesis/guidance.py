"""Guidance: predictions with and without conditions, combined to raise the effect of a condition.

With L(…) the prediction under the named conditions, φ nothing, H all conditions but Action Units:

    published   L(AU) + s_H [L(H) - L(φ)] + s_AU [L(H, AU) - L(H)]          (AUHead, arXiv 2602.09534, eq. 6)
    nested      L(φ)  + s_H [L(H) - L(φ)] + s_AU [L(H, AU) - L(H)]          (as FLOAT and Playmate have it)

At unit scales the nested form is the conditional prediction L(H, AU); the published one counts the Action
Units twice: L(H, AU) + L(AU) - L(φ). In both, H is itself a chain, each link with a scale of its own:

    s_H [L(H) - L(φ)]  →  s_R [L(R) - L(φ)] + s_A [L(R, A) - L(R)] + s_E [L(R, A, E) - L(R, A)]

with reference R, audio A, expression E; equal scales give back s_H. Terms that cancel are not evaluated.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from auteur.errors import UsageError
from auteur.synthesis.conditioners.base import GuidanceScale
from auteur.synthesis.conditioners.registry import CONDITIONERS
from auteur.synthesis.conditions import CONDITION_NAMES, Conditions, Denoiser
from auteur.synthesis.samplers.process import Predict

Form = Literal["published", "nested"]
Kept = frozenset[str]

CHAIN: tuple[tuple[GuidanceScale, tuple[str, ...]], ...] = tuple(
    (scale, tuple(name for name, kind in CONDITIONERS.items() if kind.guided_by == scale))
    for scale in get_args(GuidanceScale)
)
"""Scales in the order of the chain, and the conditions that each brings in.

Conditions of geometry (warped portrait, drawn landmarks, past frames) are in none of them: they
are never left out.
"""

LARGEST_SCALE = 20.0


@dataclass(frozen=True, kw_only=True)
class Guidance:
    """Scale of each condition: 1 as the network was trained, 0 off, above 1 exaggerated."""

    reference: float = 1.0
    """s_R."""
    audio: float = 1.0
    """s_A."""
    expression: float = 1.0
    """s_E."""
    au: float = 1.0
    """s_AU. AUHead's best: 3.5, out of 2 to 5."""
    form: Form = "nested"
    """"published" for AUHead's Eq. 6, "nested" for the form that leaves unit scales unguided."""

    def __post_init__(self) -> None:
        for name, _ in CHAIN:
            scale = getattr(self, name)
            if not 0 <= scale <= LARGEST_SCALE:
                raise UsageError(
                    f"{name} guidance is {scale}; it must be between 0 and {LARGEST_SCALE:g}, "
                    "1 is none and 3.5 is usual"
                )
        if self.form not in ("published", "nested"):
            raise UsageError(f'guidance form {self.form!r} is unknown; choose "published" or "nested"')

    @classmethod
    def auhead(cls, *, others: float = 3.5, au: float = 3.5, form: Form = "published") -> "Guidance":
        """Returns AUHead's guidance: one scale s_H for all conditions but Action Units, and s_AU."""
        return cls(reference=others, audio=others, expression=others, au=au, form=form)

    def terms(self, given: Kept = frozenset(CONDITION_NAMES)) -> Mapping[Kept, float]:
        """Returns the factor of every prediction with a factor other than 0, by its conditions of `CHAIN`.

        Args:
            given: Conditions of the batch; terms that differ only in others are equal and are merged.
        """
        groups = [frozenset(names) & given for _, names in CHAIN]
        first: Kept = groups[-1] if self.form == "published" else frozenset()
        factors: dict[Kept, float] = {first: 1.0}
        without: Kept = frozenset()
        for (name, _), group in zip(CHAIN, groups, strict=True):
            scale, with_it = getattr(self, name), without | group
            if group:
                factors[with_it] = factors.get(with_it, 0.0) + scale
                factors[without] = factors.get(without, 0.0) - scale
            without = with_it
        return {kept: factor for kept, factor in factors.items() if factor != 0}


def guided_prediction(
    denoiser: Denoiser, conditions: Conditions, guidance: Guidance, *, at_once: bool = True
) -> Predict:
    """Returns the guided prediction as a function of sample and time, for one batch of conditions.

    Args:
        denoiser: The network.
        conditions: Of the batch.
        guidance: Scales and form.
        at_once: Whether all evaluations are rows of one forward pass; one after the other needs less memory.

    Raises:
        UsageError: Action Units are to be guided, but the network has no conditioner for them.
    """
    check_supported(denoiser, guidance)
    terms = guidance.terms(given_anywhere(conditions))
    factors = list(terms.values())
    parts = [_keeping(conditions, kept) for kept in terms]

    def evaluate(sample: Tensor, time: Tensor, part: Conditions) -> Tensor:
        # Samples stay in their own precision between steps, whatever the network computes in.
        return denoiser(sample.to(denoiser.dtype), time, part).to(sample.dtype)

    if len(parts) == 1:  # factors sum to 1, so this one is 1
        return lambda sample, time: evaluate(sample, time, parts[0])
    if not at_once:
        return lambda sample, time: combine([evaluate(sample, time, part) for part in parts], factors)
    stacked = Conditions.stack(parts)

    def predict(sample: Tensor, time: Tensor) -> Tensor:
        rows = sample.repeat(len(parts), *([1] * (sample.ndim - 1)))
        together = evaluate(rows, time.repeat(len(parts)), stacked)
        return combine(list(together.chunk(len(parts))), factors)

    return predict


def combine(predictions: list[Tensor], factors: list[float]) -> Tensor:
    """Returns the weighted sum of predictions."""
    total = factors[0] * predictions[0]
    for prediction, factor in zip(predictions[1:], factors[1:], strict=True):
        total = torch.add(total, prediction, alpha=factor)
    return total


def check_supported(denoiser: Denoiser, guidance: Guidance) -> None:
    """Refuses scales of conditions that the network has no conditioner for.

    Raises:
        UsageError: A scale is not 1 and its conditioner is missing.
    """
    for name, names in CHAIN:
        scale = getattr(guidance, name)
        if name == "au" and scale != 1 and not set(names) & set(denoiser.condition_names):
            raise UsageError(
                f"{name} guidance is {scale}, but this model has no conditioner for it (it takes "
                f"{', '.join(denoiser.condition_names) or 'no conditions'}); "
                f"leave {name} guidance at 1 or choose a model that takes Action Units, such as auhead"
            )


def given_anywhere(conditions: Conditions) -> Kept:
    """Returns the conditions that at least one row has."""
    found = ((name, conditions.presence(name)) for name in conditions.names)
    return frozenset(name for name, flags in found if flags is not None and bool(flags.any()))


def _keeping(conditions: Conditions, kept: Kept) -> Conditions:
    left_out = [name for _, names in CHAIN for name in names if name not in kept]
    return conditions.without(*left_out)
