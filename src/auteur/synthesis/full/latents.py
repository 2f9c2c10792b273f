"""Between pixels and Stable Diffusion's latents (sd-vae-ft-mse)."""

from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from auteur.errors import UsageError
from auteur.synthesis.full.folders import load_folder


class LatentSpace:
    """An `AutoencoderKL` for videos, a few frames at a time.

    Args:
        folder: What `save_pretrained` wrote.
        device: Where it runs.
        dtype: Of its parameters.
        frames_at_once: Fewer need less memory; the result does not depend on it.

    Raises:
        UsageError: diffusers is not installed, or `frames_at_once` is less than 1.
        WeightsError: The folder holds no usable autoencoder.
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        frames_at_once: int = 4,
    ) -> None:
        if frames_at_once < 1:
            raise UsageError(f"frames_at_once is {frames_at_once}; it must be 1 or more")
        self._vae: Any = load_folder("vae", folder, dtype=dtype).to(device)
        self._count = frames_at_once

    @property
    def downscale(self) -> int:
        """Pixels per latent on a side: 8 for Stable Diffusion's."""
        return 2 ** (len(self._vae.config["block_out_channels"]) - 1)

    @torch.no_grad()
    def encode(self, frames: Tensor) -> Tensor:
        """Returns the scaled mean latents [B, F, C, H / 8, W / 8] of frames [B, F, 3, H, W] in [-1, 1].

        Raises:
            UsageError: Sizes are not multiples of `downscale`.
        """
        if frames.ndim != 5 or frames.shape[-1] % self.downscale or frames.shape[-2] % self.downscale:
            raise UsageError(
                f"frames have shape {list(frames.shape)}; they must be [B, F, 3, H, W] "
                f"with H and W multiples of {self.downscale}"
            )
        flat = rearrange(frames, "b f c h w -> (b f) c h w").to(self._vae.device, self._vae.dtype)
        parts = [self._vae.encode(part).latent_dist.mode() for part in flat.split(self._count)]
        return (torch.cat(parts) * self._vae.config["scaling_factor"]).unflatten(0, frames.shape[:2])

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Returns the frames [B, F, 3, 8 h, 8 w], in [-1, 1], of latents [B, F, C, h, w]."""
        flat = rearrange(latents, "b f c h w -> (b f) c h w").to(self._vae.device, self._vae.dtype)
        scaled = flat / self._vae.config["scaling_factor"]
        parts = [self._vae.decode(part).sample for part in scaled.split(self._count)]
        return torch.cat(parts).clamp(-1, 1).unflatten(0, latents.shape[:2])
