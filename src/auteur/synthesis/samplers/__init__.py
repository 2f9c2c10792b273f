"""Noising processes, samplers and distillation, as small functions with the papers' equations beside them."""

from auteur.errors import UsageError
from auteur.synthesis.samplers.ddim import Diffusion
from auteur.synthesis.samplers.flow import Flow
from auteur.synthesis.samplers.process import OnStep, Predict, Process, sample

__all__ = ["Diffusion", "Flow", "OnStep", "Predict", "Process", "process_named", "sample"]


def process_named(name: str, *, shift: float = 1.0) -> Process:
    """Returns the process of a denoiser's config.

    Args:
        name: "ddim" or "flow".
        shift: Of the flow's noise, see `Flow`.

    Raises:
        UsageError: There is none of that name, or it has no shift.
    """
    if name == Flow.name:
        return Flow(shift)
    if name == Diffusion.name and shift == 1:
        return Diffusion()
    if name == Diffusion.name:
        raise UsageError(f"shift is {shift}; only flow can be shifted, leave it at 1")
    raise UsageError(f'process {name!r} is unknown; choose "ddim" or "flow"')
