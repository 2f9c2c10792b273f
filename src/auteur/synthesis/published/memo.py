"""MEMO: from a portrait, speech and an emotion to a video (theirs: VideoPipeline).

github.com/memoavatar/memo, commit a5aee30, Apache-2.0; arXiv 2412.04448. Settings of its inference: 512
pixels a side, 20 steps of rectified flow, guidance 3.5, windows of 16 frames after 16 past ones, 30 frames a
second.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from auteur.synthesis.published.adapter import Adapter, added_by
from auteur.synthesis.published.feedback import Latents, Tiling, contexts_of, seen_by, with_feedback
from auteur.synthesis.published.joint_audio import NULL_EMOTION, JointAudio
from auteur.synthesis.published.memory import Memory, MemoryMotion
from auteur.synthesis.published.projections import AudioProjection, ImageProjection
from auteur.synthesis.published.reference import ReferenceNet, as_map
from auteur.synthesis.published.schedule import LoopSettings, guided
from auteur.synthesis.published.sizes import UNetSizes
from auteur.synthesis.published.solver import flow_sampler
from auteur.synthesis.published.unet import VideoUNet
from auteur.synthesis.samplers import OnStep

PAST_FRAMES = 16
"""Of the window before that each window is given."""

EMOTION_CLASSES = (
    *("angry", "disgusted", "fearful", "happy", "neutral"),
    *("other", "sad", "surprised", "unknown"),
)
"""emotion2vec's, in the order of the table."""


@dataclass(frozen=True, kw_only=True)
class MemoConditions:
    """What a window is generated from, but for portrait and past."""

    embedding: Tensor
    """Of the face, [1, 512]; zeros where there is none."""
    audio: Tensor
    """Speech features around each frame, [F, 5, layers, D]."""
    emotion: int
    """One of `EMOTION_CLASSES`, by number."""
    adapter: Tensor | None = None
    """What an adapter reads of these frames; see `published.adapter`."""
    sees_portrait: bool = True
    """Whether the conditional row attends to the portrait; training an adapter leaves it out at random."""


class Memo(nn.Module):
    """Diffusion network, ReferenceNet and the two projections, under the names of their folders.

    Args:
        sizes: Of both UNets.
        image: Of the projection of embeddings.
        audio: Of the projection of speech.
        tiling: See `feedback.Tiling`.
    """

    def __init__(
        self,
        sizes: UNetSizes,
        *,
        image: dict[str, int] | None = None,
        audio: dict[str, int] | None = None,
        tiling: Tiling = "published",
    ) -> None:
        super().__init__()
        self.tiling: Tiling = tiling
        self.diffusion_net = VideoUNet(
            sizes,
            lambda width: MemoryMotion(width, sizes.longest),
            lambda width, inner, last: JointAudio(width, inner, sizes.audio_width, answers=not last),
        )
        self.reference_net = ReferenceNet(sizes)
        self.image_proj = ImageProjection(**(image or {}))
        self.audio_proj = AudioProjection(**(audio or {}))
        self.adapter: Adapter | None = None

    def portrait(self, latents: Tensor, context: Tensor) -> dict[str, Tensor]:
        """Returns features of B x (1 + P) pictures by layer: tokens, and maps where there is no attention.

        Args:
            latents: Of portrait and past frames, [1 + P, 4, h, w].
            context: [B, tokens, D].
        """
        given = contexts_of(context, len(latents), self.tiling)
        return self.reference_net.features(latents.repeat(len(context), 1, 1, 1), given, lowest=True)

    def predict(
        self,
        sample: Tensor,
        time: float,
        *,
        context: Tensor,
        features: dict[str, Tensor],
        audio: Tensor,
        emotions: Tensor,
        memory: Memory,
        given: MemoConditions | None = None,
    ) -> Tensor:
        """Returns the velocity of noisy latents [B, F, 4, h, w]; of two rows the first is unconditional.

        Args:
            sample: Noisy latents.
            time: 0 to 1000.
            context: Tokens of each row, [B, tokens, D].
            features: What `portrait` returned.
            audio: Tokens of each row and frame, [B, F, K, D].
            emotions: Class of each row, [B].
            memory: Read, and updated.
            given: What an adapter reads, and whether the portrait is seen; None: no adapter, and it is.
        """
        rows, frames = sample.shape[:2]
        unet, heard = self.diffusion_net, audio.flatten(0, 1)
        added = added_by(self.adapter, None if given is None else given.adapter, rows, frames)
        seen = {
            place: seen_by(found, rows, frames, self.tiling)
            for place, found in features.items()
            if found.ndim == 3
        }

        def after(place: str, hidden: Tensor) -> Tensor:
            nonlocal heard
            listens = unet.module_at("audio_modules", place)
            if listens is not None:
                hidden, answer = listens(hidden, heard, emotions)
                heard = heard if answer is None else answer
            hidden = added(place, hidden)
            before = features[place].unflatten(0, (rows, -1))[:, 1:]
            past = as_map(before, hidden) if before.ndim == 4 else before
            return unet.module_at("motion_modules", place).remember(hidden, frames, past, place, memory)

        portrait = seen if given is None or given.sees_portrait else None
        return unet(sample, time, context, portrait=portrait, after=after)

    def encoded(self, given: MemoConditions, conditional: Sequence[bool]) -> tuple[Tensor, Tensor, Tensor]:
        """Returns context [B, tokens, D], audio [B, F, K, D] and emotions [B].

        Args:
            given: What they are made of.
            conditional: For each of B rows, whether it has its conditions or the nulls of guidance.
        """
        audio, null = self.audio_proj(given.audio)[None], torch.zeros_like(given.embedding)
        return (
            torch.cat([self.image_proj(given.embedding if has else null) for has in conditional]),
            torch.cat([audio if has else torch.zeros_like(audio) for has in conditional]),
            torch.tensor(
                [given.emotion if has else NULL_EMOTION for has in conditional], device=audio.device
            ),
        )

    def predict_row(
        self, sample: Tensor, time: float, *, reference: Tensor, given: MemoConditions, conditional: bool
    ) -> Tensor:
        """Returns the velocity of noisy latents [1, F, 4, h, w] in the first window of a video.

        Gradients reach nothing before the UNet.

        Args:
            sample: Noisy latents.
            time: 0 to 1000.
            reference: Latents of portrait and past frames, [1 + P, 4, h, w].
            given: Everything else.
            conditional: False: the row is the unconditional one of guidance.
        """
        with torch.no_grad():
            context, audio, emotions = self.encoded(given, (conditional,))
            features = self.portrait(reference, context)
        if not conditional:
            given = replace(given, adapter=None, sees_portrait=False)
        return self.predict(
            sample,
            time,
            context=context,
            features=features,
            audio=audio,
            emotions=emotions,
            memory=Memory(),
            given=given,
        )

    @torch.no_grad()
    def window(
        self,
        noise: Tensor,
        *,
        reference: Tensor,
        given: MemoConditions,
        memory: Memory,
        settings: LoopSettings,
        on_step: OnStep | None = None,
    ) -> Tensor:
        """Returns the latents [1, F, 4, h, w] of a window.

        Args:
            noise: [1, F, 4, h, w].
            reference: Latents of portrait and past frames, [1 + P, 4, h, w].
            given: Everything else.
            memory: Of the windows before; updated.
            settings: Steps and guidance.
            on_step: Called after each step with (done, total). Raise to cancel.
        """
        context, audio, emotions = self.encoded(given, settings.conditional)
        features = self.portrait(reference, context)
        sampler, sample = flow_sampler(settings), noise
        for index, time in enumerate(sampler.times):
            memory.adds = memory.starts or index == 0
            prediction = self.predict(
                sample.expand(settings.rows, -1, -1, -1, -1),
                time,
                context=context,
                features=features,
                audio=audio,
                emotions=emotions,
                memory=memory,
                given=given,
            )
            sample = sampler.step(sample, guided(prediction, settings.guidance), index)
            if on_step is not None:
                on_step(index + 1, settings.steps)
        memory.starts = False
        return sample

    def generate(
        self,
        windows: int,
        *,
        noise: Callable[[int], Tensor],
        portrait: Tensor,
        given: Callable[[int], MemoConditions],
        latents: Latents,
        settings: LoopSettings,
        past: int = PAST_FRAMES,
        on_step: OnStep | None = None,
    ) -> Iterator[Tensor]:
        """Yields the pictures [F, 3, H, W] in [-1, 1] of each window; its last ones are given to the next.

        Args:
            windows: How many.
            noise: (number of a window) → [1, F, 4, h, w].
            portrait: [3, H, W] in [-1, 1].
            given: (number of a window) → its conditions.
            latents: Encodes and decodes.
            settings: Steps and guidance.
            past: Pictures of a window that the next is given.
            on_step: As for `window`.
        """
        memory = Memory()

        def denoise(number: int, reference: Tensor) -> Tensor:
            return self.window(
                noise(number),
                reference=reference,
                given=given(number),
                memory=memory,
                settings=settings,
                on_step=on_step,
            )

        yield from with_feedback(portrait, windows, past, latents, denoise)
