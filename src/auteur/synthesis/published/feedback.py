"""Windows one after the other, each given the last pictures of the one before (Hallo, MEMO)."""

from collections.abc import Callable, Iterator
from typing import Literal, Protocol

import torch
from torch import Tensor

Tiling = Literal["published", "by_row"]
"""How rows of a batch of guidance are joined with contexts and reference features. "published": tiled, so
that row r takes row r mod 2, which mixes features made under the unconditional and the conditional context;
the originals do so by accident, and were trained with it. "by_row": each half takes its own."""


class Latents(Protocol):
    """Between pictures and latents; `synthesis.full.latents.LatentSpace` is one."""

    def encode(self, frames: Tensor) -> Tensor:
        """[B, F, 3, H, W] in [-1, 1] → [B, F, 4, h, w]."""
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """[B, F, 4, h, w] → [B, F, 3, H, W] in [-1, 1]."""
        ...


def reference_rows(rows: int, frames: int) -> Tensor:
    """Returns the number of the reference of each frame of the last row where they are tiled, [F]."""
    return ((rows - 1) * frames + torch.arange(frames)) % rows


def contexts_of(context: Tensor, pictures: int, tiling: Tiling) -> Tensor:
    """Returns the context [B, tokens, D] of each of B x `pictures` reference pictures."""
    if tiling == "published":
        return context.repeat(pictures, 1, 1)
    return context.repeat_interleave(pictures, 0)


def seen_by(features: Tensor, rows: int, frames: int, tiling: Tiling) -> Tensor:
    """Returns the portrait's tokens [F, pixels, C] of the conditional row.

    Args:
        features: Of B x (1 + P) pictures, [B * (1 + P), pixels, C]; the first of each row is the portrait.
        rows: B.
        frames: F.
        tiling: How rows are joined.
    """
    portraits = features.unflatten(0, (rows, -1))[:, 0]
    if tiling == "published":
        return portraits[reference_rows(rows, frames).to(features.device)]
    return portraits[-1:]


def with_feedback(
    portrait: Tensor,
    windows: int,
    past: int,
    latents: Latents,
    denoise: Callable[[int, Tensor], Tensor],
) -> Iterator[Tensor]:
    """Yields the pictures of each window, [F, 3, H, W] in [-1, 1].

    Args:
        portrait: [3, H, W] in [-1, 1]; in the first window it stands for the past pictures, too.
        windows: Their number.
        past: Number of pictures of the previous window that condition a window.
        latents: Decodes windows and encodes their last pictures again, as the originals do.
        denoise: (number of the window, latents [1 + past, 4, h, w] of portrait and past) → latents
            [1, F, 4, h, w].
    """
    before = portrait.expand(past, -1, -1, -1)
    for number in range(windows):
        pictures = torch.cat([portrait[None], before])
        made = latents.decode(denoise(number, latents.encode(pictures[None])[0]))[0]
        yield made
        before = made[len(made) - past :].to(portrait)
