"""The UNet over a window of frames that all three models share (theirs: UNet3DConditionModel).

A layer is a residual block, attention to own pixels and the portrait's and to the context, then the additions
of the model adds: audio and motion modules, whose places this UNet holds and whose use its model decides.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from auteur.synthesis.conditioners.reference import ReferenceAttention
from auteur.synthesis.denoiser.layers import UNet
from auteur.synthesis.denoiser.unet import Enter, walk
from auteur.synthesis.published.sizes import UNetSizes

After = Callable[[str, Tensor], Tensor]
"""(place, feature map [B * F, C, h, w] after its attention) → feature map."""

MakeMotion = Callable[[int], nn.Module]
"""(channels) → motion module."""
MakeAudio = Callable[[int, int, bool], nn.Module]
"""(channels, width inside, whether it is the last of all) → audio module."""


class VideoUNet(UNet):
    """Stable Diffusion's UNet with motion modules after all layers and audio modules after all attentions.

    Args:
        sizes: Of all layers.
        motion: Makes the motion modules.
        audio: Makes the audio modules; None: there are none.
    """

    def __init__(self, sizes: UNetSizes, motion: MakeMotion, audio: MakeAudio | None = None) -> None:
        super().__init__(**sizes.of_unet())
        self.sizes = sizes
        levels = range(len(sizes.widths))
        runs = [(self.down_blocks[level], level, sizes.layers) for level in levels]
        runs += [(self.mid_block, levels[-1], 1)]
        runs += [(self.up_blocks[i], level, sizes.layers + 1) for i, level in enumerate(reversed(levels))]
        for index, (block, level, count) in enumerate(runs):
            holder: Any = block
            width = sizes.widths[level]
            holder.motion_modules = nn.ModuleList([motion(width) for _ in range(count)])
            if audio is None or not (sizes.attends[level] or block is self.mid_block):
                continue
            is_last = block is self.up_blocks[levels[-1]]
            above = sizes.widths[max(level - 1, 0)]
            holder.audio_modules = nn.ModuleList(
                [
                    # On the way up, and first on the way down, the originals are as wide as the level above.
                    audio(
                        width,
                        width if block is self.mid_block or (index < levels[-1] and layer) else above,
                        is_last and layer == count - 1,
                    )
                    for layer in range(count)
                ]
            )
        for module in self.modules():
            attention = getattr(module, "attn1", None)
            if attention is not None and getattr(module, "attn2", None) is not None:
                attention.set_processor(ReferenceAttention())

    def module_at(self, kind: str, place: str) -> Any:
        """Returns the module of "motion_modules" or "audio_modules" that follows a layer, or None."""
        block, *index = place.split("_")
        is_mid = block == "mid"
        holder: Any = self.mid_block if is_mid else getattr(self, f"{block}_blocks")[int(index[0])]
        modules = getattr(holder, kind, None)
        return None if modules is None else modules[0 if is_mid else int(index[1])]

    def level_of(self, place: str) -> int:
        """Returns the level of a layer: its pixels are 2^level times as large as the latents'."""
        block, *index = place.split("_")
        last = len(self.sizes.widths) - 1
        return {"down": int(index[0]), "mid": last, "up": last - int(index[0])}[block]

    def forward(
        self,
        sample: Tensor,
        time: float,
        context: Tensor,
        *,
        portrait: Mapping[str, Tensor] | None,
        after: After,
        enter: Enter | None = None,
    ) -> Tensor:
        """Returns the prediction [B, F, 4, h, w].

        Args:
            sample: Noisy latents [B, F, 4, h, w]. The last row attends to the portrait; rows before it, the
                unconditional ones of guidance, to their own pixels only.
            time: 0 (clean) to 1000 (noise).
            context: [B, tokens, width].
            portrait: By layer, the portrait's tokens [1, pixels, C], or [F, pixels, C] where each frame has
                its own; None: no row attends to it.
            after: Runs the model's additions to a layer.
            enter: Changes what enters a block; see `denoiser.unet.walk`.
        """
        rows, frames = sample.shape[:2]
        unseen = (rows - 1) * frames
        hidden = self.conv_in(sample.flatten(0, 1))
        times = torch.full((1,), time, device=sample.device, dtype=torch.float32)
        code = self.time_embedding(self.time_proj(times).to(sample.dtype)).expand(rows * frames, -1)
        tokens = context.to(sample.dtype).repeat_interleave(frames, 0)

        def attended(attention: Any, hidden: Tensor, tokens: Tensor, seen: Tensor | None) -> Tensor:
            given = {"reference": seen, "gate": None}
            return attention(hidden, tokens, cross_attention_kwargs=given, return_dict=False)[0]

        def layer(place: str, resnet: nn.Module, attention: Any, hidden: Tensor) -> Tensor:
            hidden = resnet(hidden, code)
            if place == "mid_1":
                return hidden
            if attention is not None and (portrait is None or not unseen):
                seen = None if portrait is None else portrait[place]
                hidden = attended(attention, hidden, tokens, seen)
            elif attention is not None and portrait is not None:
                alone = attended(attention, hidden[:unseen], tokens[:unseen], None)
                seen = attended(attention, hidden[unseen:], tokens[unseen:], portrait[place])
                hidden = torch.cat([alone, seen])
            return after(place, hidden)

        out = walk(self, hidden, layer, enter=enter)
        return self.conv_out(self.conv_act(self.conv_norm_out(out))).unflatten(0, (rows, frames))
