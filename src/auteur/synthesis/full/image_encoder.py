"""CLIP's image embedding of a portrait: `Conditions.identity` of the papers' size."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from auteur.errors import UsageError
from auteur.synthesis.full.folders import load_folder

_MEAN = (0.48145466, 0.4578275, 0.40821073)
_DEVIATION = (0.26862954, 0.26130258, 0.27577711)
"""Mean and deviation of CLIP's training pictures (arXiv 2103.00020): red, green, blue in [0, 1]."""


class PortraitEncoder:
    """A CLIP image encoder of transformers.

    Args:
        folder: What `save_pretrained` wrote.
        device: Where it runs.
        dtype: Of its parameters.

    Raises:
        UsageError: transformers is not installed.
        WeightsError: The folder holds no usable image encoder.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self._model: Any = load_folder("image_encoder", folder, dtype=dtype).to(device)

    @property
    def features(self) -> int:
        """Numbers per embedding: 768 for ViT-L/14."""
        return int(self._model.config.projection_dim)

    @torch.no_grad()
    def encode(self, portraits: Tensor) -> Tensor:
        """Returns the embeddings [B, 1, features] of portraits [B, 3, H, W] in [-1, 1].

        Raises:
            UsageError: They are no pictures.
        """
        if portraits.ndim != 4 or portraits.shape[1] != 3:
            raise UsageError(f"portraits have shape {list(portraits.shape)}; they must be [B, 3, H, W]")
        side = int(self._model.config.image_size)
        small = functional.interpolate(
            portraits.float(), (side, side), mode="bicubic", antialias=True, align_corners=False
        )
        mean, deviation = (small.new_tensor(one)[:, None, None] for one in (_MEAN, _DEVIATION))
        normal = ((small.clamp(-1, 1) + 1) / 2 - mean) / deviation
        embeddings = self._model(normal.to(self._model.device, self._model.dtype)).image_embeds
        return embeddings[:, None]
