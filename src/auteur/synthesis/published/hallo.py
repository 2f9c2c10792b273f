"""Hallo v1: from a portrait and speech to a video (theirs: FaceAnimatePipeline).

github.com/fudan-generative-vision/hallo, commit 8fd7c57, MIT; arXiv 2406.08801. Settings of its inference:
512 pixels a side, 40 steps, guidance 3.5, windows of 16 frames after 2 motion frames, 25 frames a second.

Its published inference leaves the network in training mode with gradient checkpointing, and its training ran
so: there the lowest level has no motion modules, and motion frames stand before the others in all higher
ones. That is what is computed here.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from auteur.synthesis.published.adapter import Adapter, added_by
from auteur.synthesis.published.face_locator import FaceLocator
from auteur.synthesis.published.feedback import Latents, Tiling, contexts_of, seen_by, with_feedback
from auteur.synthesis.published.motion import MotionModule
from auteur.synthesis.published.projections import AudioProjection, ImageProjection
from auteur.synthesis.published.reference import ReferenceNet, as_map
from auteur.synthesis.published.region_audio import RegionAudio
from auteur.synthesis.published.schedule import LoopSettings, guided
from auteur.synthesis.published.sizes import UNetSizes
from auteur.synthesis.published.solver import diffusion_sampler
from auteur.synthesis.published.unet import VideoUNet
from auteur.synthesis.samplers import OnStep

PAST_FRAMES = 2
"""Motion frames before each window."""


@dataclass(frozen=True, kw_only=True)
class HalloConditions:
    """What a window is generated from, but for portrait and past."""

    embedding: Tensor
    """Of the face, [1, 512]; zeros where there is none."""
    audio: Tensor
    """Speech features around each frame, [F, 5, layers, D]."""
    face_box: Tensor
    """1 in the box around the face, 0 elsewhere, [1, 3, H, W]."""
    masks: Sequence[Tensor]
    """For each level, how much pose, face and lips count at each pixel, [3, pixels]."""
    scales: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Factors on pose, face and lips."""
    adapter: Tensor | None = None
    """What an adapter reads of these frames; see `published.adapter`."""
    sees_portrait: bool = True
    """Whether the conditional row attends to the portrait; training an adapter leaves it out at random."""


class Hallo(nn.Module):
    """All networks of `hallo/net.pth`, under its prefixes.

    Args:
        sizes: Of both UNets.
        locator: Arguments of the face locator.
        image: Of the projection of embeddings.
        audio: Of the projection of speech.
        half_features: Whether the ReferenceNet's features are rounded to float16, as the original does.
        tiling: See `feedback.Tiling`.
    """

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
        super().__init__()
        self.half_features = half_features
        self.tiling: Tiling = tiling
        self.denoising_unet = VideoUNet(
            sizes,
            lambda width: MotionModule(width, sizes.longest),
            lambda width, inner, _: RegionAudio(width, inner, sizes.audio_width),
        )
        self.reference_unet = ReferenceNet(sizes)
        self.face_locator = FaceLocator(**(locator or {}))  # pyright: ignore[reportArgumentType]
        self.imageproj = ImageProjection(**(image or {}))
        self.audioproj = AudioProjection(**(audio or {}))
        self.adapter: Adapter | None = None

    def portrait(self, latents: Tensor, context: Tensor) -> dict[str, Tensor]:
        """Returns features [B * (1 + P), pixels, C] by layer.

        Args:
            latents: Of portrait and motion frames, [1 + P, 4, h, w].
            context: [B, tokens, D].
        """
        given = contexts_of(context, len(latents), self.tiling)
        repeated = latents.repeat(len(context), 1, 1, 1)
        return self.reference_unet.features(repeated, given, half=self.half_features)

    def predict(
        self,
        sample: Tensor,
        time: float,
        *,
        context: Tensor,
        features: dict[str, Tensor],
        audio: Tensor,
        located: Tensor,
        given: HalloConditions,
    ) -> Tensor:
        """Returns v of noisy latents [B, F, 4, h, w]; of two rows the first is unconditional.

        Args:
            sample: Noisy latents.
            time: 0 to 999.
            context: Tokens of each row, [B, tokens, D].
            features: What `portrait` returned.
            audio: Tokens of each row and frame, [B, F, K, D].
            located: What the locator made, for each row, [B, F, C, h, w] or F = 1.
            given: Masks, scales and what the adapter reads.
        """
        rows, frames = sample.shape[:2]
        unet, heard = self.denoising_unet, audio.flatten(0, 1)
        added = added_by(self.adapter, given.adapter, rows, frames)
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

    def encoded(self, given: HalloConditions, conditional: Sequence[bool]) -> tuple[Tensor, Tensor, Tensor]:
        """Returns context [B, tokens, D], audio [B, F, K, D] and located face [B, 1, C, h, w].

        Args:
            given: What they are made of.
            conditional: For each of B rows, whether it has its conditions or the nulls of guidance.
        """
        audio, located = self.audioproj(given.audio)[None], self.face_locator(given.face_box)[:, None]
        null = torch.zeros_like(given.embedding)
        return (
            torch.cat([self.imageproj(given.embedding if has else null) for has in conditional]),
            torch.cat([audio if has else torch.zeros_like(audio) for has in conditional]),
            torch.cat([located if has else torch.zeros_like(located) for has in conditional]),
        )

    def predict_row(
        self, sample: Tensor, time: float, *, reference: Tensor, given: HalloConditions, conditional: bool
    ) -> Tensor:
        """Returns v of noisy latents [1, F, 4, h, w]; gradients reach nothing before the UNet.

        Args:
            sample: Noisy latents.
            time: 0 to 999.
            reference: Latents of portrait and motion frames, [1 + P, 4, h, w].
            given: Everything else.
            conditional: False: the row is the unconditional one of guidance.
        """
        with torch.no_grad():
            context, audio, located = self.encoded(given, (conditional,))
            features = self.portrait(reference, context)
        if not conditional:
            given = replace(given, adapter=None, sees_portrait=False)
        return self.predict(
            sample, time, context=context, features=features, audio=audio, located=located, given=given
        )

    @torch.no_grad()
    def window(
        self,
        noise: Tensor,
        *,
        reference: Tensor,
        given: HalloConditions,
        settings: LoopSettings,
        on_step: OnStep | None = None,
    ) -> Tensor:
        """Returns the latents [1, F, 4, h, w] of a window.

        Args:
            noise: [1, F, 4, h, w].
            reference: Latents of portrait and motion frames, [1 + P, 4, h, w].
            given: Everything else.
            settings: Steps and guidance.
            on_step: Called after each step with (done, total). Raise to cancel.
        """
        context, audio, located = self.encoded(given, settings.conditional)
        features = self.portrait(reference, context)
        sampler, sample = diffusion_sampler(settings), noise
        for index, time in enumerate(sampler.times):
            rows = sample.expand(settings.rows, -1, -1, -1, -1)
            prediction = self.predict(
                rows, time, context=context, features=features, audio=audio, located=located, given=given
            )
            sample = sampler.step(sample, guided(prediction, settings.guidance), index)
            if on_step is not None:
                on_step(index + 1, settings.steps)
        return sample

    def generate(
        self,
        windows: int,
        *,
        noise: Callable[[int], Tensor],
        portrait: Tensor,
        given: Callable[[int], HalloConditions],
        latents: Latents,
        settings: LoopSettings,
        on_step: OnStep | None = None,
    ) -> Iterator[Tensor]:
        """Yields the pictures [F, 3, H, W] in [-1, 1] of each window; the last two are given to the next.

        Args:
            windows: How many.
            noise: (number of a window) → [1, F, 4, h, w].
            portrait: [3, H, W] in [-1, 1].
            given: (number of a window) → its conditions.
            latents: Encodes and decodes.
            settings: Steps and guidance.
            on_step: As for `window`.
        """

        def denoise(number: int, reference: Tensor) -> Tensor:
            return self.window(
                noise(number), reference=reference, given=given(number), settings=settings, on_step=on_step
            )

        yield from with_feedback(portrait, windows, PAST_FRAMES, latents, denoise)
