"""AniPortrait's second stage: from control pictures and a portrait to a video (theirs: Pose2VideoPipeline).

github.com/Zejun-Yang/AniPortrait, commit 7f6593f, Apache-2.0; arXiv 2403.17694. Settings of its inference:
512 pixels a side, 25 steps, guidance 3.5, windows of 16 frames that overlap by 4.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from auteur.synthesis.published.motion import MotionModule
from auteur.synthesis.published.pose_guider import PoseGuider, Statistics, drawn_input
from auteur.synthesis.published.reference import ReferenceNet
from auteur.synthesis.published.schedule import LoopSettings, guided
from auteur.synthesis.published.sizes import UNetSizes
from auteur.synthesis.published.solver import diffusion_sampler
from auteur.synthesis.published.unet import VideoUNet
from auteur.synthesis.published.windows import wrapping_windows
from auteur.synthesis.samplers import OnStep

Drawings = Callable[[Sequence[int]], Tensor]
"""Numbers of frames → their control pictures, uint8 [n, H, W, 3]."""

_WINDOWS_KEPT = 32
"""Windows whose maps are kept from step to step: 64 MB each at the published size in bfloat16."""


class AniPortrait(nn.Module):
    """Denoising UNet, ReferenceNet and pose guider.

    Args:
        sizes: Of both UNets.
        guider: Arguments of the pose guider.
        half_features: Whether the ReferenceNet's features are rounded to float16, as the original does.
    """

    def __init__(
        self, sizes: UNetSizes, guider: dict[str, int] | None = None, *, half_features: bool = True
    ) -> None:
        super().__init__()
        self.half_features = half_features
        self.denoising_unet = VideoUNet(sizes, lambda width: MotionModule(width, sizes.longest))
        self.reference_unet = ReferenceNet(sizes)
        self.pose_guider = PoseGuider(**(guider or {}))

    def portrait(self, latents: Tensor, identity: Tensor) -> dict[str, Tensor]:
        """Returns the portrait's tokens by layer, of its latents [1, 4, h, w] and identity [1, 1, D]."""
        return self.reference_unet.features(latents, identity, half=self.half_features)

    def predict(
        self,
        sample: Tensor,
        time: float,
        *,
        identity: Tensor,
        portrait: dict[str, Tensor] | None,
        maps: Sequence[Tensor] | None,
    ) -> Tensor:
        """Returns v of noisy latents [B, F, 4, h, w]; of two rows the first is unconditional.

        Args:
            sample: Noisy latents.
            time: 0 to 999.
            identity: The CLIP embedding as the one token of the context, [1, 1, D]. The unconditional row has
                zeros.
            portrait: From `portrait`; not used in the unconditional row.
            maps: The pose guider's maps of the window's drawings, for both rows; None: none.
        """
        rows, frames = sample.shape[:2]
        unet = self.denoising_unet
        context = torch.cat([torch.zeros_like(identity)] * (rows - 1) + [identity])

        def after(place: str, hidden: Tensor) -> Tensor:
            return unet.module_at("motion_modules", place)(hidden, frames)

        def enter(index: int, hidden: Tensor) -> Tensor:
            return hidden if maps is None else hidden + maps[index].repeat(rows, 1, 1, 1)

        return unet(sample, time, context, portrait=portrait, after=after, enter=enter)

    @torch.no_grad()
    def generate(
        self,
        noise: Tensor,
        *,
        portrait: Tensor,
        identity: Tensor,
        drawings: Drawings,
        settings: LoopSettings,
        statistics: Statistics = "window",
        on_step: OnStep | None = None,
    ) -> Tensor:
        """Returns the latents [1, F, 4, h, w] of a video; all its frames go through each step together.

        Args:
            noise: [1, F, 4, h, w].
            portrait: Latents of the portrait, [1, 4, h, w].
            identity: Its CLIP embedding, [1, 1, D].
            drawings: (numbers of frames) → their control pictures.
            settings: Steps and guidance.
            statistics: See `PoseGuider.forward`.
            on_step: Called after each window of each step with (done, total). Raise to cancel.
        """
        features = self.portrait(portrait, identity)
        sampler, windows = diffusion_sampler(settings), wrapping_windows(noise.shape[1])
        kept: dict[int, list[Tensor]] = {}
        sample, total, done = noise, settings.steps * len(windows), 0
        for index, time in enumerate(sampler.times):
            summed = torch.zeros(settings.rows, *sample.shape[1:], dtype=sample.dtype, device=sample.device)
            count = torch.zeros(sample.shape[1], dtype=sample.dtype, device=sample.device)
            for number, window in enumerate(windows):
                maps = kept.get(number)
                if maps is None:
                    drawn = drawn_input(drawings(window)).to(sample)
                    maps = self.pose_guider(drawn, statistics=statistics)
                    if len(windows) <= _WINDOWS_KEPT:
                        kept[number] = maps
                part = sample[:, window].expand(settings.rows, -1, -1, -1, -1)
                summed[:, window] += self.predict(part, time, identity=identity, portrait=features, maps=maps)
                count[window] += 1
                done += 1
                if on_step is not None:
                    on_step(done, total)
            prediction = guided(summed / count[None, :, None, None, None], settings.guidance)
            sample = sampler.step(sample, prediction, index)
        return sample
