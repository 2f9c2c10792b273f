"""Noising processes, samplers and distillation, as small functions with the papers' equations beside them."""

from auteur.errors import UsageError
from auteur.synthesis.samplers.ddim import Diffusion
from auteur.synthesis.samplers.flow import Flow, sample_heun
from auteur.synthesis.samplers.process import OnStep, Predict, Process, sample

__all__ = ["Diffusion", "Flow", "OnStep", "Predict", "Process", "process_named", "sample", "sample_heun"]


def process_named(name: str) -> Process:
    """Returns the process that a denoiser's config names.

    Raises:
        UsageError: There is none of that name.
    """
    for process in (Diffusion(), Flow()):
        if process.name == name:
            return process
    raise UsageError(f'process {name!r} is unknown; choose "ddim" or "flow"')
