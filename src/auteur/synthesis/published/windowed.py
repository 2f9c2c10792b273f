"""Common base of Hallo and MEMO: windows conditioned on the last pictures of the window before."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Generic, TypeVar

import torch
from torch import Tensor, nn

from auteur.synthesis.published.adapter import Adapter
from auteur.synthesis.published.feedback import Latents, Tiling, with_feedback
from auteur.synthesis.published.memory import Memory
from auteur.synthesis.published.schedule import LoopSettings, Sampler, guided, guided_by_units
from auteur.synthesis.samplers import OnStep

Encoded = tuple[Tensor, Tensor, Tensor]
"""Context [B, tokens, D], audio [B, F, K, D], and a third tensor of the model's own."""


@dataclass(frozen=True, kw_only=True)
class WindowConditions:
    """Conditions of a window, without portrait and past frames."""

    embedding: Tensor
    """Of the face, [1, 512]; zeros where there is none."""
    audio: Tensor
    """Speech features around each frame, [F, 5, layers, D]."""
    adapter: Tensor | None = None
    """Input of an adapter for these frames; see `published.adapter`."""
    adapts_all_rows: bool = False
    """Whether the adapter acts in the unconditional row, too: the half of AU guidance with Action Units."""
    sees_portrait: bool = True
    """Whether the conditional row attends to the portrait; training an adapter leaves it out at random."""


Conditions = TypeVar("Conditions", bound=WindowConditions)


class WindowModel(nn.Module, ABC, Generic[Conditions]):
    """A denoiser of windows, with its loop over steps and the loop over windows.

    Args:
        tiling: See `feedback.Tiling`.
    """

    past_frames: ClassVar[int]
    """Number of past frames that condition a window."""

    def __init__(self, tiling: Tiling) -> None:
        super().__init__()
        self.tiling: Tiling = tiling
        self.adapter: Adapter | None = None

    @abstractmethod
    def sampler(self, settings: LoopSettings) -> Sampler:
        """Returns the sampler of a window."""

    @abstractmethod
    def portrait(self, latents: Tensor, context: Tensor) -> dict[str, Tensor]:
        """Returns the features of portrait and past pictures by layer.

        Args:
            latents: [1 + P, 4, h, w].
            context: [B, tokens, D].
        """

    @abstractmethod
    def encoded(self, given: Conditions, conditional: Sequence[bool]) -> Encoded:
        """Returns the encoded conditions.

        Args:
            given: Their source.
            conditional: For each of B rows, whether it has its conditions or the nulls of guidance.
        """

    @abstractmethod
    def prediction(
        self,
        sample: Tensor,
        time: float,
        encoded: Encoded,
        features: dict[str, Tensor],
        given: Conditions,
        memory: Memory,
    ) -> Tensor:
        """Returns v, or the velocity, of noisy latents [B, F, 4, h, w].

        Args:
            sample: Noisy latents.
            time: 0 to 1000.
            encoded: From `encoded`.
            features: From `portrait`.
            given: Everything else.
            memory: Of the windows before.
        """

    def predict_row(
        self, sample: Tensor, time: float, *, reference: Tensor, given: Conditions, conditional: bool
    ) -> Tensor:
        """Returns the prediction of noisy latents [1, F, 4, h, w] in the first window of a video.

        Gradients reach nothing before the UNet.

        Args:
            sample: Noisy latents.
            time: 0 to 1000.
            reference: Latents of portrait and past frames, [1 + P, 4, h, w].
            given: Everything else.
            conditional: False: the row is the unconditional one of guidance.
        """
        with torch.no_grad():
            encoded = self.encoded(given, (conditional,))
            features = self.portrait(reference, encoded[0])
        if not conditional:
            given = replace(given, adapter=None, sees_portrait=False)
        return self.prediction(sample, time, encoded, features, given, Memory())

    @torch.no_grad()
    def window(
        self,
        noise: Tensor,
        *,
        reference: Tensor,
        given: Conditions,
        settings: LoopSettings,
        memory: Memory | None = None,
        on_step: OnStep | None = None,
    ) -> Tensor:
        """Returns the latents [1, F, 4, h, w] of a window.

        Args:
            noise: [1, F, 4, h, w].
            reference: Latents of portrait and past frames, [1 + P, 4, h, w].
            given: Everything else.
            settings: Steps and guidance.
            memory: Of the windows before; updated. None: this is the first one.
            on_step: Called after each step with (done, total). Raise to cancel.
        """
        memory = Memory() if memory is None else memory
        encoded = self.encoded(given, settings.conditional)
        features = self.portrait(reference, encoded[0])
        sampler, sample = self.sampler(settings), noise
        for index, time in enumerate(sampler.times):
            memory.adds = memory.starts or index == 0
            rows = sample.expand(settings.rows, -1, -1, -1, -1)
            if settings.au is None or given.adapter is None:
                prediction = self.prediction(rows, time, encoded, features, given, memory)
                prediction = guided(prediction, settings.guidance)
            else:
                plain, adapted = replace(given, adapter=None), replace(given, adapts_all_rows=True)
                without = self.prediction(rows, time, encoded, features, plain, memory)
                memory.adds = False  # the past of this step is in it
                with_units = self.prediction(rows, time, encoded, features, adapted, memory)
                prediction = guided_by_units(without, with_units, settings)
            sample = sampler.step(sample, prediction, index)
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
        given: Callable[[int], Conditions],
        latents: Latents,
        settings: LoopSettings,
        past: int | None = None,
        on_step: OnStep | None = None,
    ) -> Iterator[Tensor]:
        """Yields the pictures [F, 3, H, W] in [-1, 1] of each window; its last ones are given to the next.

        Args:
            windows: Their number.
            noise: (number of a window) → [1, F, 4, h, w].
            portrait: [3, H, W] in [-1, 1].
            given: (number of a window) → its conditions.
            latents: Encodes and decodes.
            settings: Steps and guidance.
            past: Number of pictures of a window that condition the next; None: as published.
            on_step: As for `window`.
        """
        memory = Memory()

        def denoise(number: int, reference: Tensor) -> Tensor:
            return self.window(
                noise(number),
                reference=reference,
                given=given(number),
                settings=settings,
                memory=memory,
                on_step=on_step,
            )

        count = self.past_frames if past is None else past
        yield from with_feedback(portrait, windows, count, latents, denoise)
