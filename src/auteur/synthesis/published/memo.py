"""MEMO: from a portrait, speech and an emotion to a video (theirs: VideoPipeline).

github.com/memoavatar/memo, commit a5aee30, Apache-2.0; arXiv 2412.04448. Settings of its inference: 512
pixels a side, 20 steps of rectified flow, guidance 3.5, windows of 16 frames after 16 past ones, 30 frames a
second.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from auteur.synthesis.published.adapter import added_by
from auteur.synthesis.published.feedback import Tiling, contexts_of, seen_by
from auteur.synthesis.published.joint_audio import NULL_EMOTION, JointAudio
from auteur.synthesis.published.memory import Memory, MemoryMotion
from auteur.synthesis.published.projections import AudioProjection, ImageProjection
from auteur.synthesis.published.reference import ReferenceNet, as_map
from auteur.synthesis.published.schedule import LoopSettings, Sampler
from auteur.synthesis.published.sizes import UNetSizes
from auteur.synthesis.published.solver import flow_sampler
from auteur.synthesis.published.unet import VideoUNet
from auteur.synthesis.published.windowed import Encoded, WindowConditions, WindowModel

PAST_FRAMES = 16
"""Number of past frames that condition a window."""

EMOTION_CLASSES = (
    *("angry", "disgusted", "fearful", "happy", "neutral"),
    *("other", "sad", "surprised", "unknown"),
)
"""emotion2vec's, in the order of the table."""


@dataclass(frozen=True, kw_only=True)
class MemoConditions(WindowConditions):
    """Conditions of a window, without portrait and past frames."""

    emotion: int
    """One of `EMOTION_CLASSES`, by number."""


class Memo(WindowModel[MemoConditions]):
    """Diffusion network, ReferenceNet and the two projections, under the names of their folders.

    Args:
        sizes: Of both UNets.
        image: Of the projection of embeddings.
        audio: Of the projection of speech.
        tiling: See `feedback.Tiling`.
    """

    past_frames = PAST_FRAMES

    def __init__(
        self,
        sizes: UNetSizes,
        *,
        image: dict[str, int] | None = None,
        audio: dict[str, int] | None = None,
        tiling: Tiling = "published",
    ) -> None:
        super().__init__(tiling)
        self.diffusion_net = VideoUNet(
            sizes,
            lambda width: MemoryMotion(width, sizes.longest),
            lambda width, inner, last: JointAudio(width, inner, sizes.audio_width, answers=not last),
        )
        self.reference_net = ReferenceNet(sizes)
        self.image_proj = ImageProjection(**(image or {}))
        self.audio_proj = AudioProjection(**(audio or {}))

    def sampler(self, settings: LoopSettings) -> Sampler:
        """Returns the published sampler."""
        return flow_sampler(settings)

    def portrait(self, latents: Tensor, context: Tensor) -> dict[str, Tensor]:
        """Returns features of B x (1 + P) pictures by layer: tokens, and maps where there is no attention.

        Args:
            latents: Of portrait and past frames, [1 + P, 4, h, w].
            context: [B, tokens, D].
        """
        given = contexts_of(context, len(latents), self.tiling)
        return self.reference_net.features(latents.repeat(len(context), 1, 1, 1), given, lowest=True)

    def encoded(self, given: MemoConditions, conditional: Sequence[bool]) -> Encoded:
        """Returns context [B, tokens, D], audio [B, F, K, D] and emotions [B].

        Args:
            given: Their source.
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

    def prediction(
        self,
        sample: Tensor,
        time: float,
        encoded: Encoded,
        features: dict[str, Tensor],
        given: MemoConditions,
        memory: Memory,
    ) -> Tensor:
        """Returns the velocity of noisy latents [B, F, 4, h, w]; of two rows the first is unconditional.

        Args:
            sample: Noisy latents.
            time: 0 to 1000.
            encoded: Of each row: tokens [B, tokens, D], audio [B, F, K, D], class of emotion [B].
            features: From `portrait`.
            given: Input of an adapter, and whether the portrait is used.
            memory: Read, and updated.
        """
        context, audio, emotions = encoded
        rows, frames = sample.shape[:2]
        unet, heard = self.diffusion_net, audio.flatten(0, 1)
        added = added_by(self.adapter, given.adapter, rows, frames, in_all_rows=given.adapts_all_rows)
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

        portrait = seen if given.sees_portrait else None
        return unet(sample, time, context, portrait=portrait, after=after)
