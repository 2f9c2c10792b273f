"""Frames through a denoiser: the scene of a performed video, window by window, and what comes of it.

A denoiser that is given the warped portrait paints mouth and eyes anew: what it changes is added to the warp,
which keeps the portrait's full resolution everywhere else. One that is not paints the whole square, which is
laid over the warp with a soft border.

A second thread warps the next window and makes its conditions while this one is painted: neither waits for
the other, so both cores of a small machine are used.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from auteur.pipelines.prefetch import prefetched
from auteur.pipelines.scene import Scene, Window
from auteur.pipelines.tones import tone_of
from auteur.signals import LandmarkTrack
from auteur.synthesis.conditions import Conditions
from auteur.synthesis.samplers import OnStep
from auteur.synthesis.windows import Video, WindowSettings, explained_memory, generate

Frames = NDArray[np.uint8]
TrackOf = Callable[[int, int], LandmarkTrack]
"""(first frame, frame after the last) → their landmarks."""


class Painting:
    """One performed video to be painted.

    Args:
        scene: What its denoiser is told.
    """

    def __init__(self, scene: Scene) -> None:
        self._scene, self._painter = scene, scene.painter
        self._config = scene.painter.denoiser.config
        self._tone = tone_of(scene.portrait, scene.landmarks)
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
            landmarks: Of some frames; asked by a second thread, at most three windows ahead.
            count: Frames of the video.
            seed: Of the noise; each frame has its own.
            settings: Windows without overlap.
            first: The first frame to paint; it is painted as if none came before it.
            on_step: Told after each denoising step how many are done, of all; an error raised in it cancels.

        Raises:
            UsageError: Memory does not suffice; the message says what to lower.
        """
        shape = (self._config.channels, self._painter.side, self._painter.side)
        settings = replace(settings, overlap=0)
        numbers = sorted({*range(first, count, self._painter.every), count - 1})
        self._last, windows = None, []
        video = Video(
            frames=len(numbers),
            shape=shape,
            seeds=(seed,) * len(self._scene.views),
            noise_common=self._config.noise_common,
        )
        with closing(prefetched(self._prepared(landmarks, numbers, settings.frames), ahead=1)) as prepared:

            def conditions(first: int, stop: int) -> Conditions:
                window, told = next(prepared)
                windows.append(window)
                return told

            pieces = generate(
                self._painter.denoiser,
                conditions,
                video,
                process=self._config.noising,
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
        torch.get_num_threads()  # a new thread takes the number that was set only once it is asked for
        for first in range(0, len(numbers), at_once):
            start = numbers[first - 1] + 1 if first else numbers[0]
            painted = numbers[first : first + at_once]
            with torch.no_grad():
                track = landmarks(start, painted[-1] + 1)
                window = self._scene.window(track, [number - start for number in painted])
                told = self._scene.conditions(window, start)
            yield window, told

    def _decoded(self, sample: Tensor) -> Tensor:
        latents = self._painter.latents
        return sample.clamp(-1, 1) if latents is None else latents.decode(sample)

    def _finished(self, window: Window, made: Tensor) -> Iterator[Frames]:
        """The full-size frames of a window whose painted ones are `made` [views, F, 3, S, S]."""
        start, content = 0, self._tone((made + 1) / 2)
        if self._config.warped is not None:  # the change from the warp is laid on, else all of it
            content = content - window.cut
        for position, pick in enumerate(window.picks):
            now = content[:, position]
            for index in range(start, pick):  # the square moves with the head, so this follows the motion
                share = (index - start + 1) / (pick - start + 1)
                between = now if self._last is None else torch.lerp(self._last, now, share)
                yield self._finish(window, index, between)
            yield self._finish(window, pick, now)
            self._last, start = now, pick + 1

    def _finish(self, window: Window, index: int, content: Tensor) -> Frames:
        """The full-size frame with what is laid on its squares, [views, 3, S, S]."""
        frame = window.warped[index]
        squares = [row[index] for row in window.squares]
        laid_on = [
            row for row, square in enumerate(squares) if not window.masks or window.masks[row][index].any()
        ]
        if laid_on:
            rows, columns = _around([squares[row].box for row in laid_on])
            part = frame[:, rows, columns].float()
            for row in laid_on:
                square = squares[row]
                box = (slice(None), *_within(square.box, (rows, columns)))
                if window.masks:
                    part[box] += window.masks[row][index] * square.onto(255 * content[row])
                else:
                    part[box] = square.over(part[box], 255 * content[row])
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
