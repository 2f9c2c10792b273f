"""Hallo v1: from a portrait and speech to a video (theirs: FaceAnimatePipeline).

github.com/fudan-generative-vision/hallo, commit 8fd7c57, MIT; arXiv 2406.08801. Settings of its inference:
512 pixels a side, 40 steps, guidance 3.5, windows of 16 frames after 2 motion frames, 25 frames a second.

Its published inference leaves the network in training mode with gradient checkpointing, and its training ran
so: there the lowest level has no motion modules, and motion frames stand before the others in all higher
ones. That is what is computed here.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from auteur.synthesis.published.adapter import added_by
from auteur.synthesis.published.face_locator import FaceLocator
from auteur.synthesis.published.feedback import Tiling, contexts_of, seen_by
from auteur.synthesis.published.memory import Memory
from auteur.synthesis.published.motion import MotionModule
from auteur.synthesis.published.projections import AudioProjection, ImageProjection
from auteur.synthesis.published.reference import ReferenceNet, as_map
from auteur.synthesis.published.region_audio import RegionAudio
from auteur.synthesis.published.schedule import LoopSettings, Sampler
from auteur.synthesis.published.sizes import UNetSizes
from auteur.synthesis.published.solver import diffusion_sampler
from auteur.synthesis.published.unet import VideoUNet
from auteur.synthesis.published.windowed import Encoded, WindowConditions, WindowModel

PAST_FRAMES = 2
"""Motion frames before each window."""


@dataclass(frozen=True, kw_only=True)
class HalloConditions(WindowConditions):
    """Conditions of a window, without portrait and past frames."""

    face_box: Tensor
    """1 in the box around the face, 0 elsewhere, [1, 3, H, W]."""
    masks: Sequence[Tensor]
    """For each level, weights of pose, face and lips at each pixel, [3, pixels]."""
    scales: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Factors on pose, face and lips."""


class Hallo(WindowModel[HalloConditions]):
    """All networks of `hallo/net.pth`, under its prefixes.

    Args:
        sizes: Of both UNets.
        locator: Arguments of the face locator.
        image: Of the projection of embeddings.
        audio: Of the projection of speech.
        half_features: Whether the ReferenceNet's features are rounded to float16, as the original does.
        tiling: See `feedback.Tiling`.
    """

    past_frames = PAST_FRAMES

    def __init__(
        self,
        sizes: UNetSizes,
        *,
        locator: dict[str, int | tuple[int, ...]] | None = None,
        image: dict[str, int] | None = None,
        audio: dict[str, int] | None = None,
        half_features: bool = True,
        tiling: Tiling = "published",
    ) -> None:
        super().__init__(tiling)
        self.half_features = half_features
        self.denoising_unet = VideoUNet(
            sizes,
            lambda width: MotionModule(width, sizes.longest),
            lambda width, inner, _: RegionAudio(width, inner, sizes.audio_width),
        )
        self.reference_unet = ReferenceNet(sizes)
        self.face_locator = FaceLocator(**(locator or {}))  # pyright: ignore[reportArgumentType]
        self.imageproj = ImageProjection(**(image or {}))
        self.audioproj = AudioProjection(**(audio or {}))

    def sampler(self, settings: LoopSettings) -> Sampler:
        """Returns the published sampler."""
        return diffusion_sampler(settings)

    def portrait(self, latents: Tensor, context: Tensor) -> dict[str, Tensor]:
        """Returns features [B * (1 + P), pixels, C] by layer.

        Args:
            latents: Of portrait and motion frames, [1 + P, 4, h, w].
            context: [B, tokens, D].
        """
        given = contexts_of(context, len(latents), self.tiling)
        repeated = latents.repeat(len(context), 1, 1, 1)
        return self.reference_unet.features(repeated, given, half=self.half_features)

    def encoded(self, given: HalloConditions, conditional: Sequence[bool]) -> Encoded:
        """Returns context [B, tokens, D], audio [B, F, K, D] and located face [B, 1, C, h, w].

        Args:
            given: Their source.
            conditional: For each of B rows, whether it has its conditions or the nulls of guidance.
        """
        audio, located = self.audioproj(given.audio)[None], self.face_locator(given.face_box)[:, None]
        null = torch.zeros_like(given.embedding)
        return (
            torch.cat([self.imageproj(given.embedding if has else null) for has in conditional]),
            torch.cat([audio if has else torch.zeros_like(audio) for has in conditional]),
            torch.cat([located if has else torch.zeros_like(located) for has in conditional]),
        )

    def prediction(
        self,
        sample: Tensor,
        time: float,
        encoded: Encoded,
        features: dict[str, Tensor],
        given: HalloConditions,
        memory: Memory,
    ) -> Tensor:
        """Returns v of noisy latents [B, F, 4, h, w]; of two rows the first is unconditional.

        Args:
            sample: Noisy latents.
            time: 0 to 999.
            encoded: Of each row: tokens [B, tokens, D], audio [B, F, K, D], maps of the locator
                [B, F, C, h, w] or F = 1.
            features: From `portrait`.
            given: Masks, scales and the input of the adapter.
            memory: Not used: past frames are among the features.
        """
        context, audio, located = encoded
        rows, frames = sample.shape[:2]
        unet, heard = self.denoising_unet, audio.flatten(0, 1)
        added = added_by(self.adapter, given.adapter, rows, frames, in_all_rows=given.adapts_all_rows)
        seen = {place: seen_by(tokens, rows, frames, self.tiling) for place, tokens in features.items()}

        def enter(index: int, hidden: Tensor) -> Tensor:
            return hidden if index else hidden + located.expand(-1, frames, -1, -1, -1).flatten(0, 1)

        def after(place: str, hidden: Tensor) -> Tensor:
            listens = unet.module_at("audio_modules", place)
            if listens is None:  # the lowest level
                return added(place, hidden)
            masks = given.masks[unet.level_of(place)].to(hidden)
            hidden = added(place, listens(hidden, heard, masks, given.scales))
            past = as_map(features[place].unflatten(0, (rows, -1))[:, 1:], hidden)
            return unet.module_at("motion_modules", place)(hidden, frames, past)

        portrait = seen if given.sees_portrait else None
        return unet(sample, time, context, portrait=portrait, after=after, enter=enter)
