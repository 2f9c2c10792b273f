"""The Action Unit adapter of AUHead (arXiv 2602.09534) inside a published UNet.

It acts after audio and before motion. New, its last layers are zero: the base's numbers are changed by no
bit.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from auteur.synthesis.conditioners.au import AUConditioner, AUConfig
from auteur.synthesis.conditions import Conditions
from auteur.synthesis.denoiser.unet import places_of
from auteur.synthesis.published.sizes import GROUPS
from auteur.synthesis.published.unet import VideoUNet

Adapter = AUConditioner


def new_adapter(unet: VideoUNet, config: AUConfig | None = None) -> Adapter:
    """Returns a new adapter for a UNet, which adds nothing before it is trained."""
    return AUConditioner(config or AUConfig(), places_of(unet), groups=GROUPS)


def added_by(
    adapter: nn.Module | None, given: Tensor | None, rows: int, frames: int
) -> Callable[[str, Tensor], Tensor]:
    """Returns (place, feature map) → feature map, as the adapter changes it.

    Args:
        adapter: None changes nothing.
        given: What it reads, for the conditional row, with its margin: [F + 2 margin, …]; None: its null. The
            unconditional row of guidance has the null.
        rows: Of the batch.
        frames: Of the window.
    """
    if adapter is None:
        return lambda _, hidden: hidden
    assert isinstance(adapter, AUConditioner)  # noqa: S101 - for the type checker
    if given is None:
        tokens = adapter.encode(Conditions(), rows, frames)
    else:
        present = torch.arange(rows, device=given.device) == rows - 1
        told = Conditions(
            au=given.expand(rows, *given.shape),
            au_margin=(len(given) - frames) // 2,
            present={"au": present},
        )
        tokens = adapter.encode(told, rows, frames)
    return lambda place, hidden: adapter(place, hidden, tokens)
