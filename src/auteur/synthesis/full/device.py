"""Whether this machine can run a model of the papers' size."""

import torch

from auteur.errors import UsageError
from auteur.synthesis.denoiser.builder import build_denoiser
from auteur.synthesis.denoiser.config import DenoiserConfig


def parameter_counts(config: DenoiserConfig) -> dict[str, int]:
    """Returns the number of parameters of each part, without holding any of them in memory."""
    from auteur.synthesis.denoiser.parts import part_names, parts

    with torch.device("meta"):
        denoiser = build_denoiser(config)
    return {
        name: sum(one.numel() for one in parts(denoiser, (name,)).parameters())
        for name in part_names(denoiser)
    }


def full_size_device(config: DenoiserConfig) -> torch.device:
    """Returns the CUDA device to run a full-size denoiser on.

    Raises:
        UsageError: There is none; the message names the memory it would need.
    """
    needed_gb = 2 * sum(parameter_counts(config).values()) / 1e9
    need = (
        f"its denoiser alone holds {needed_gb:.1f} GB in bfloat16; "
        "use a machine with a CUDA GPU, or --preset compact, which needs none"
    )
    if not torch.cuda.is_available():
        raise UsageError(f"the full size needs a CUDA GPU and there is none here: {need}")
    free_gb = torch.cuda.mem_get_info()[0] / 1e9
    if free_gb < needed_gb:
        raise UsageError(f"the full size does not fit the {free_gb:.1f} GB that the GPU has free: {need}")
    return torch.device("cuda")
