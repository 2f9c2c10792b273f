"""Frames through a denoiser: conditions of a performed video window by window, and the painted result.

A denoiser that is conditioned on the warped portrait paints mouth and eyes: its change is added to the warp,
which keeps the portrait's full resolution everywhere else. Any other paints the whole square, which is
laid over the warp with a soft border.

A second thread warps the next window and makes its conditions while this one is painted, so that both cores
of a small machine are used.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace

import torch
from torch import Tensor

from auteur.painting.conditioning import ConditionBuilder, Window
from auteur.painting.renderer import Frames, TrackOf
from auteur.painting.tone_matching import tone_of
from auteur.prefetch import prefetched
from auteur.synthesis.conditions import Conditions
from auteur.synthesis.contrast import with_contrast
from auteur.synthesis.samplers import OnStep
from auteur.synthesis.windows import Video, WindowSettings, explained_memory, generate


class Inpainter:
    """One performed video to be painted.

    Args:
        builder: Makes the conditions of its frames.
    """

    def __init__(self, builder: ConditionBuilder) -> None:
        self._builder, self._bundle = builder, builder.bundle
        self._config = builder.bundle.denoiser.config
        self._is_residual = "warped" in self._config.conditioners
        self._tone = tone_of(builder.portrait, builder.landmarks)
        self._last: Tensor | None = None

    def frames(
        self,
        landmarks: TrackOf,
        *,
        count: int,
        seed: int,
        settings: WindowSettings,
        first: int = 0,
        on_step: OnStep | None = None,
    ) -> Generator[Frames]:
        """Yields uint8 [H, W, 3]; the same ones for the same seed and settings.

        Args:
            landmarks: Of some frames; called by a second thread, at most three windows ahead.
            count: Frames of the video.
            seed: Of the noise; each frame has its own.
            settings: Windows without overlap.
            first: The first frame to paint; it is painted as if none came before it.
            on_step: Called after each denoising step with (done, total). Raise to cancel.

        Raises:
            UsageError: Memory does not suffice; the message names what to lower.
        """
        shape = (self._config.network.channels, self._bundle.side, self._bundle.side)
        settings = replace(settings, overlap=0)
        numbers = sorted({*range(first, count, self._bundle.every), count - 1})
        self._last, windows = None, []
        video = Video(
            frames=len(numbers),
            shape=shape,
            seeds=(seed,) * len(self._builder.views),
            noise_common=self._config.diffusion.noise_common,
        )
        with closing(prefetched(self._prepared(landmarks, numbers, settings.frames), ahead=1)) as prepared:

            def conditions_of(first: int, stop: int) -> Conditions:
                window, conditions = next(prepared)
                windows.append(window)
                return conditions

            pieces = generate(
                self._bundle.denoiser,
                conditions_of,
                video,
                process=self._config.diffusion.noising,
                settings=settings,
                on_step=on_step,
            )
            for piece in pieces:
                with explained_memory(settings, shape), torch.inference_mode():
                    made = self._decoded(piece.frames).float().cpu()
                    finished = list(self._finished(windows.pop(), made))
                yield from finished

    def _prepared(
        self, landmarks: TrackOf, numbers: list[int], at_once: int
    ) -> Iterator[tuple[Window, Conditions]]:
        """Windows of the frames `numbers`, so many painted in each, and what lies between; for a thread."""
        torch.get_num_threads()  # a new thread uses the number that was set only after it has been read
        for first in range(0, len(numbers), at_once):
            start = numbers[first - 1] + 1 if first else numbers[0]
            painted = numbers[first : first + at_once]
            with torch.no_grad():
                track = landmarks(start, painted[-1] + 1)
                window = self._builder.window(track, [number - start for number in painted])
                conditions = self._builder.conditions(window, start)
            yield window, conditions

    def _decoded(self, sample: Tensor) -> Tensor:
        latents = self._bundle.latents
        return sample.clamp(-1, 1) if latents is None else latents.decode(sample)

    def _finished(self, window: Window, made: Tensor) -> Iterator[Frames]:
        """The full-size frames of a window whose painted ones are `made` [views, F, 3, S, S]."""
        start, content = 0, self._tone(self._contrasted(window, (made + 1) / 2))
        if self._is_residual:  # the change to the warp is added, else the square is laid over it
            content = content - window.cut
        for position, pick in enumerate(window.picks):
            now = content[:, position]
            for index in range(start, pick):  # the square moves with the head, so this follows the motion
                share = (index - start + 1) / (pick - start + 1)
                between = now if self._last is None else torch.lerp(self._last, now, share)
                yield self._finish(window, index, between)
            yield self._finish(window, pick, now)
            self._last, start = now, pick + 1

    def _contrasted(self, window: Window, content: Tensor) -> Tensor:
        """Squares [views, F, 3, S, S] in [0, 1] with the contrast of real mouths between the lips."""
        gains = self._config.painting.contrast
        if not gains or not window.openings:
            return content
        rows = [
            row if opening is None else with_contrast(row, opening[:, None], gains)
            for row, opening in zip(content, window.openings, strict=True)
        ]
        return torch.stack(rows)

    def _finish(self, window: Window, index: int, content: Tensor) -> Frames:
        """The full-size frame with what is laid on its squares, [views, 3, S, S]."""
        frame = window.warped[index]
        regions = [row[index] for row in window.regions]
        laid_on = [
            row for row, region in enumerate(regions) if not window.masks or window.masks[row][index].any()
        ]
        if laid_on:
            rows, columns = _around([regions[row].box for row in laid_on])
            part = frame[:, rows, columns].float()
            for row in laid_on:
                region = regions[row]
                box = (slice(None), *_within(region.box, (rows, columns)))
                if window.masks:
                    part[box] += window.masks[row][index] * region.onto(255 * content[row])
                else:
                    part[box] = region.over(part[box], 255 * content[row])
            frame[:, rows, columns] = part.clamp(0, 255).round().byte()
        return frame.permute(1, 2, 0).contiguous().numpy()


def _around(boxes: Sequence[tuple[slice, slice]]) -> tuple[slice, slice]:
    """The rows and columns that hold all boxes."""
    rows, columns = (
        slice(min(side.start for side in sides), max(side.stop for side in sides))
        for sides in zip(*boxes, strict=True)
    )
    return rows, columns


def _within(box: tuple[slice, slice], outer: tuple[slice, slice]) -> tuple[slice, slice]:
    """Rows and columns of a box in an array that covers another."""
    rows, columns = (
        slice(side.start - around.start, side.stop - around.start)
        for side, around in zip(box, outer, strict=True)
    )
    return rows, columns
