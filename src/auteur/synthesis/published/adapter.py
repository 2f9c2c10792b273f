"""The Action Unit adapter of AUHead (arXiv 2602.09534) inside a published UNet.

It acts after audio and before motion. New, its last layers are zero: the base's numbers are changed by no
bit.
"""

from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from auteur.files import atomic_path
from auteur.synthesis.conditioners.au import AUConditioner, AUConfig
from auteur.synthesis.conditioners.base import Given, SampleSize
from auteur.synthesis.denoiser.unet import places_of
from auteur.synthesis.published.sizes import GROUPS
from auteur.synthesis.published.unet import VideoUNet
from auteur.weights import WeightsFile, metadata_of

Adapter = AUConditioner

ADAPTER_FILE = "au_adapter.safetensors"
"""Name of the file of a trained adapter in a converted folder."""

_KIND = "au_adapter"


def new_adapter(unet: VideoUNet, config: AUConfig | None = None) -> Adapter:
    """Returns a new adapter for a UNet, which adds nothing before it is trained."""
    return AUConditioner(config or AUConfig(), places_of(unet), groups=GROUPS)


def save_adapter(adapter: Adapter, path: Path | str, *, overwrite: bool = False) -> None:
    """Writes an adapter with its config, whole or not at all.

    As `au_adapter.safetensors` in a converted folder it is loaded with it.
    """
    metadata = metadata_of(_KIND, adapter.config)
    with atomic_path(path, overwrite=overwrite) as temporary:
        save_file(
            {key: value.contiguous() for key, value in adapter.state_dict().items()}, temporary, metadata
        )


def load_adapter(unet: VideoUNet, path: Path | str) -> Adapter:
    """Returns the adapter of a file, for a UNet.

    Raises:
        WeightsError: The file is missing, damaged or of another UNet; every misfit is listed.
    """
    file = WeightsFile(path)
    config = file.config(_KIND, AUConfig)
    return file.fill(file.build(lambda: new_adapter(unet, config)))


def added_by(
    adapter: nn.Module | None, given: Tensor | None, rows: int, frames: int, *, in_all_rows: bool = False
) -> Callable[[str, Tensor], Tensor]:
    """Returns (place, feature map) → feature map, as the adapter changes it.

    Args:
        adapter: None changes nothing.
        given: Its input for the conditional row, with its margin: [F + 2 margin, …]; None: its null. The
            unconditional row of guidance has the null.
        rows: Of the batch.
        frames: Of the window.
        in_all_rows: Whether the unconditional row has it, too.
    """
    if adapter is None:
        return lambda _, hidden: hidden
    assert isinstance(adapter, AUConditioner)  # noqa: S101 - for the type checker
    size = SampleSize(rows=rows, frames=frames, channels=0, height=0, width=0)
    inputs = Given()
    if given is not None:
        inputs = Given(
            tensors={"au": given.expand(rows, *given.shape)},
            present=(torch.arange(rows, device=given.device) == rows - 1) | in_all_rows,
            margin=(len(given) - frames) // 2,
        )
    tokens = adapter.encode(inputs, size, torch.zeros(rows))
    return lambda place, hidden: adapter(place, hidden, tokens)
