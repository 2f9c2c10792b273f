"""Presets aniportrait, hallo and memo: a converted folder of published weights as a renderer."""

from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from auteur.errors import UsageError
from auteur.painting.face_embedding import face_embedding
from auteur.painting.published_inputs import (
    PREPARED_BY,
    HeadSquare,
    adapter_input,
    control_pictures_of,
    emotion_class,
    head_square,
    speech_windows,
)
from auteur.painting.published_options import WINDOW, PublishedOptions
from auteur.painting.renderer import Frames, RenderInput
from auteur.speech.features import SpeechFeatures
from auteur.synthesis.noise import frame_noise
from auteur.synthesis.published.aniportrait import AniPortrait
from auteur.synthesis.published.checkpoints import LAYOUTS
from auteur.synthesis.published.compilation import compiled
from auteur.synthesis.published.folder import PublishedModel, open_published
from auteur.synthesis.published.hallo import Hallo, HalloConditions
from auteur.synthesis.published.memo import PAST_FRAMES, Memo, MemoConditions
from auteur.synthesis.published.region_masks import region_masks

LONGEST = 960
"""Frames that AniPortrait denoises together; longer videos are made in pieces that overlap."""
OVERLAP = 4
"""Frames over which one piece goes over into the next."""
_DECODED_AT_ONCE = 16


class PublishedRenderer:
    """A `Renderer` around the networks of AniPortrait, Hallo or MEMO.

    AniPortrait draws the landmarks and so obeys the performance, head and gaze included. Hallo and MEMO are
    driven by speech; a performance reaches them through a trained Action Unit adapter in the folder, and MEMO
    through its emotion.

    Args:
        model: The networks and what stands around them.
        window: Frames of a window of Hallo and MEMO.
    """

    is_sequential = True

    def __init__(self, model: PublishedModel, *, window: int = WINDOW) -> None:
        self.model, self.size_px, self.window = model, model.size_px, window

    @property
    def models(self) -> dict[str, str]:
        """The folder's version under the model's name."""
        return {self.model.kind: self.model.version}

    def resolve(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the steps and guidance that the model runs with.

        Raises:
            UsageError: An option has no effect, or is out of range.
        """
        return self._options(options).record

    def notes(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """Returns sentences about where identity and emotion come from."""
        return self._options(options).notes(self.model.kind)

    def frames(
        self,
        given: RenderInput,
        *,
        first: int = 0,
        stop: int | None = None,
        only: Collection[int] | None = None,
    ) -> Generator[Frames]:
        """Yields the frames, uint8 [H, W, 3]: the portrait with the generated square in it.

        All frames up to the last that is yielded are denoised, also where `first` is not 0: a frame follows
        from those before it.

        Raises:
            UsageError: Memory does not suffice, or there is no compiler; the message names what to change.
        """
        end = given.frame_count if stop is None else min(stop, given.frame_count)
        unet = self.model.networks.get_submodule(LAYOUTS[self.model.kind].unet)
        options = self._options(given.options)
        square = head_square(given, self.size_px, PREPARED_BY[self.model.kind])
        made = (
            self._aniportrait(given, square)
            if self.model.kind == "aniportrait"
            else self._by_window(given, square)
        )
        try:
            for number in range(end):
                # Only while networks run: what the receiver of a frame does is not of concern.
                with compiled(unet) if options.is_compiled else nullcontext():
                    picture = next(made)
                if number >= first and (only is None or number in only):
                    yield square.pasted(given.portrait, picture.cpu())
        except torch.OutOfMemoryError as error:
            raise UsageError(
                f"the GPU's memory does not suffice for {self.model.kind} at {self.size_px} px; close other "
                "programs or use a larger one"
            ) from error

    def _options(self, options: Mapping[str, Any]) -> PublishedOptions:
        has_adapter = getattr(self.model.networks, "adapter", None) is not None
        return PublishedOptions.of(options, self.model.kind, has_adapter=has_adapter)

    def _noise(self, seed: int, first: int, stop: int) -> Tensor:
        side = self.size_px // self.model.latents.downscale
        return frame_noise(seed, first, stop, (4, side, side))[None].to(self.model.device, self.model.dtype)

    def _encoded(self, square: HeadSquare) -> Tensor:
        return self.model.latents.encode(square.scaled[None, None])[0]

    def _aniportrait(self, given: RenderInput, square: HeadSquare) -> Iterator[Tensor]:
        """Pictures [3, S, S] in [-1, 1]; pieces that overlap are cross-faded."""
        networks, drawings = self.model.networks, control_pictures_of(given, square)
        assert isinstance(networks, AniPortrait)  # noqa: S101 - by the kind of the model
        pixels = square.clip_pixels(int(self.model.image_encoder.config.image_size))
        with torch.no_grad():
            embedded = self.model.image_encoder(pixels.to(self.model.device, self.model.dtype)).image_embeds
        portrait = self._encoded(square)
        kept: list[Tensor] = []
        for first in range(0, max(1, given.frame_count - OVERLAP), LONGEST - OVERLAP):
            stop = min(first + LONGEST, given.frame_count)
            latents = networks.generate(
                self._noise(given.seed, first, stop),
                portrait=portrait,
                identity=embedded[:, None],
                drawings=lambda numbers, first=first: drawings([first + number for number in numbers]),
                settings=self._options(given.options).loop,
            )
            parts = latents.split(_DECODED_AT_ONCE, dim=1)
            pictures = (picture for part in parts for picture in self.model.latents.decode(part)[0])
            last = stop == given.frame_count
            for number, picture in enumerate(pictures, start=first):
                if kept:
                    before = kept.pop(0)
                    picture = torch.lerp(before, picture, (OVERLAP - len(kept)) / (OVERLAP + 1))
                if last or number < stop - OVERLAP:
                    yield picture
                else:
                    kept.append(picture)

    def _by_window(self, given: RenderInput, square: HeadSquare) -> Iterator[Tensor]:
        """Pictures [3, S, S] in [-1, 1] of Hallo or MEMO."""
        model, size = self.model, self.window
        count = -(-given.frame_count // size)
        audio = speech_windows(
            model.speech_encoder, given.speech, count * size, float(given.rate), model.dtype
        )
        common: dict[str, Any] = {
            "noise": lambda number: self._noise(given.seed, number * size, (number + 1) * size),
            "portrait": square.scaled.to(model.device, model.dtype),
            "latents": model.latents,
            "settings": self._options(given.options).loop,
        }
        if isinstance(model.networks, Hallo):
            conditions = self._of_hallo(model.networks, given, square, audio)
            windows = model.networks.generate(count, given=conditions, **common)
        else:
            assert isinstance(model.networks, Memo)  # noqa: S101 - by the kind of the model
            conditions = self._of_memo(model.networks, given, square, audio)
            past = min(PAST_FRAMES, size)
            windows = model.networks.generate(count, given=conditions, past=past, **common)
        for window in windows:
            yield from window

    def _of_hallo(
        self, networks: Hallo, given: RenderInput, square: HeadSquare, audio: Tensor
    ) -> Callable[[int], HalloConditions]:
        """(number of a window) → its conditions."""
        points = square.region.own_points(torch.as_tensor(np.asarray(given.portrait_landmarks))).numpy()
        masks = region_masks(points, self.size_px, self.size_px)
        box = masks.face_box.to(self.model.device, self.model.dtype)
        embedding = self._embedding(given, networks.imageproj.embedding)
        return lambda number: HalloConditions(
            embedding=embedding,
            audio=audio[number * self.window : (number + 1) * self.window],
            face_box=box,
            masks=masks.masks,
            adapter=self._adapter(given, square, number * self.window),
        )

    def _of_memo(
        self, networks: Memo, given: RenderInput, square: HeadSquare, audio: Tensor
    ) -> Callable[[int], MemoConditions]:
        """(number of a window) → its conditions."""
        size = self.window
        embedding = self._embedding(given, networks.image_proj.embedding)
        return lambda number: MemoConditions(
            embedding=embedding,
            audio=audio[number * size : (number + 1) * size],
            emotion=emotion_class(given.action_units, number * size, (number + 1) * size),
            adapter=self._adapter(given, square, number * size),
        )

    def _embedding(self, given: RenderInput, numbers: int) -> Tensor:
        """The face embedding [1, numbers] of the user's file; without one zeros.

        The originals take zeros where their face network, InsightFace's, finds no face.
        """
        identity = self._options(given.options).identity
        found = torch.zeros(1, numbers) if identity is None else face_embedding(identity, given, numbers)
        return found.to(self.model.device, self.model.dtype)

    def _adapter(self, given: RenderInput, square: HeadSquare, first: int) -> Tensor | None:
        adapter = getattr(self.model.networks, "adapter", None)
        if adapter is None:
            return None
        conditions = adapter_input(given, square, adapter.config, first, self.window)
        return None if conditions is None else conditions.to(self.model.device, self.model.dtype)


def load(path: Path | None, speech: SpeechFeatures, device: str | None) -> PublishedRenderer:
    """Returns the renderer of a folder that `auteur convert` wrote.

    Raises:
        UsageError: There is no such device, too little memory, or a library is missing.
        WeightsError: The weights are missing, damaged or do not fit.
    """
    assert path is not None  # noqa: S101 - the row is chosen by the folder
    if device not in (None, "cpu", "cuda"):
        raise UsageError(f"device is {device!r}; choose cpu or cuda")
    return PublishedRenderer(open_published(path, device=None if device is None else torch.device(device)))
