"""Inputs of AniPortrait, Hallo and MEMO, computed from a performed video."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil, floor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from auteur.errors import UsageError
from auteur.face.crops import CropFrame
from auteur.facs import PROTOTYPES, prototype
from auteur.media.resize import Kernel, resized
from auteur.painting.au_drawing import action_units_to_landmarks, draw_landmarks, drawing_frame
from auteur.painting.compositing import CropRegion
from auteur.painting.conditioning import unit_sequence
from auteur.painting.renderer import RenderInput
from auteur.signals import AUTrack, Sound
from auteur.synthesis.conditioners.au import AUConfig
from auteur.synthesis.published.checkpoints import Kind
from auteur.synthesis.published.control_picture import control_pictures
from auteur.synthesis.published.wav2vec import RATE_HZ, all_layers, normalised, windows_of

_ROOM = 2.0
"""Side of the square around a face, in those of a drawing: the head with hair and shoulders."""
_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_DEVIATION = (0.26862954, 0.26130258, 0.27577711)
_CLIP_SIDE = 224

PREPARED_BY: dict[Kind, Kernel] = {"aniportrait": "lanczos", "hallo": "bilinear", "memo": "bilinear"}
"""How each original resizes its portrait (theirs: diffusers' VaeImageProcessor, torchvision's Resize)."""

CLASS_OF = {
    "neutral": 4,
    "happy": 3,
    "sad": 6,
    "angry": 0,
    "fear": 2,
    "disgusted": 1,
    "surprised": 7,
    "contempt": 5,
}
"""emotion2vec's class of each of our emotions (`memo.EMOTION_CLASSES`); it has "other" for contempt."""
_WEAKEST = 0.15
"""Share of an emotion's apex below which a window counts as neutral."""

Bytes = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class HeadSquare:
    """The square of a portrait that is generated, with its pixels of the portrait."""

    region: CropRegion
    source: Bytes
    """The portrait, uint8 [H, W, 3], with black beyond its edges where the square goes there."""
    box: tuple[float, float, float, float]
    """Left, top, right and bottom edge of the square in it."""
    kernel: Kernel
    """Of the resampling."""

    @cached_property
    def picture(self) -> Bytes:
        """What the square shows, uint8 [S, S, 3], rounded as Pillow does it."""
        return resized(self.source, self.size_px, self.size_px, self.kernel, box=self.box)

    def showing(self, picture: Bytes) -> "HeadSquare":
        """Returns the same square of another picture of the portrait's size, uint8 [H, W, 3]."""
        height, width = picture.shape[:2]
        margin = (self.source.shape[0] - height) // 2
        if self.source.shape[:2] != (height + 2 * margin, width + 2 * margin):
            raise UsageError(f"a picture of {width} x {height} px has another size than the portrait")
        return replace(self, source=_with_margin(picture, margin))

    @property
    def size_px(self) -> int:
        """S."""
        return self.region.size_px

    @property
    def scaled(self) -> Tensor:
        """The portrait in [-1, 1], [3, S, S]."""
        return 2 * torch.from_numpy(self.picture).permute(2, 0, 1).float() / 255 - 1

    def clip_pixels(self, side: int = _CLIP_SIDE) -> Tensor:
        """Returns the input of CLIP's image encoder, [1, 3, side, side], from the portrait's own pixels."""
        pixels = resized(self.source, side, side, "bicubic", box=self.box)
        small = torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
        mean, deviation = (small.new_tensor(one)[:, None, None] for one in (_CLIP_MEAN, _CLIP_DEVIATION))
        return ((small - mean) / deviation)[None]

    def pasted(self, portrait: Tensor, made: Tensor) -> Bytes:
        """Returns the portrait uint8 [3, H, W] with a generated square [3, S, S] in [-1, 1], as [H, W, 3].

        The square's border is soft.
        """
        frame, box = portrait.clone(), (slice(None), *self.region.box)
        laid = self.region.over(frame[box].float(), 255 * (made.float() / 2 + 0.5).clamp(0, 1))
        frame[box] = laid.clamp(0, 255).round().byte()
        return frame.permute(1, 2, 0).contiguous().numpy()


def head_square(given: RenderInput, size_px: int, kernel: Kernel = "bilinear") -> HeadSquare:
    """Returns the head of a portrait with room for its motion, as far as the picture reaches.

    A square portrait that the head fills is taken whole, and is then prepared as the originals do it: they
    resize what they are given and keep no aspect.

    Args:
        given: The portrait.
        size_px: Side of the square in pixels of its own.
        kernel: Of the resampling; see `PREPARED_BY`.
    """
    return square_of(given.portrait, np.asarray(given.portrait_landmarks), size_px, kernel)


def square_of(
    portrait: Tensor, landmarks: NDArray[np.floating], size_px: int, kernel: Kernel = "bilinear"
) -> HeadSquare:
    """Returns the square around the head of a portrait uint8 [3, H, W] with landmarks [478, 3] px."""
    height, width = portrait.shape[1:]
    tight = drawing_frame(landmarks)
    side = min(_ROOM * tight.side_px, width, height)
    side = max(side, tight.side_px)
    x, y = (
        float(np.clip(middle, side / 2 - 0.5, size - 0.5 - side / 2)) if side <= size else (size - 1) / 2
        for middle, size in zip(tight.center_px, (width, height), strict=True)
    )
    region = CropRegion(CropFrame((x, y), side), size_px, width, height)
    # 0 is the centre of a pixel there, its edge here.
    left, top = x + 0.5 - side / 2, y + 0.5 - side / 2
    margin = max(0, -floor(min(left, top)), ceil(max(left + side - width, top + side - height)))
    source = _with_margin(portrait.permute(1, 2, 0).numpy(), margin)
    # Rounding must not lead beyond the edges.
    low, high = np.array([left, top]) + margin, np.array([left, top]) + margin + side
    limit = np.array([width, height]) + 2 * margin
    box = (*low.clip(0, limit).tolist(), *high.clip(0, limit).tolist())
    return HeadSquare(region, source, box, kernel)


def _with_margin(picture: Bytes, margin: int) -> Bytes:
    """A picture with black on all sides."""
    return np.pad(picture, ((margin, margin), (margin, margin), (0, 0)))


def control_pictures_of(given: RenderInput, square: HeadSquare) -> Callable[[Sequence[int]], Tensor]:
    """Returns a function from numbers of frames to control pictures, uint8 [n, S, S, 3]."""

    def drawings(numbers: Sequence[int]) -> Tensor:
        parts: list[NDArray[np.floating]] = []
        start = 0
        for end in range(1, len(numbers) + 1):  # runs of frames: a window may wrap around the video's end
            if end == len(numbers) or numbers[end] != numbers[end - 1] + 1:
                parts.append(np.asarray(given.landmarks(numbers[start], numbers[end - 1] + 1).values))
                start = end
        points = np.stack(
            [square.region.own_points(torch.from_numpy(frame)).numpy() for frame in np.concatenate(parts)]
        )
        # 0 is the centre of a pixel here, its edge there.
        shares = (points + 0.5) / square.size_px
        return control_pictures(shares, width_px=square.size_px, height_px=square.size_px)

    return drawings


def speech_windows(model: Any, speech: Sound, frames: int, rate: float, dtype: torch.dtype) -> Tensor:
    """Returns speech features around each frame, [frames, 5, layers, D].

    Args:
        model: A Wav2Vec2Model.
        speech: From the first frame on; silence follows where it is shorter than the frames.
        frames: Of the video, up to whole windows.
        rate: Frames per second.
        dtype: Of the model.
    """
    sound = speech.resample(RATE_HZ)
    samples = torch.from_numpy(np.asarray(sound.samples, dtype=np.float32).reshape(-1).copy())
    wanted = max(round(frames / rate * RATE_HZ), len(samples))
    padded = torch.nn.functional.pad(normalised(samples), (0, wanted - len(samples)))
    device = next(model.parameters()).device
    return windows_of(all_layers(model, padded.to(device, dtype), frames))


def emotion_class(track: AUTrack | None, first: int, stop: int) -> int:
    """Returns emotion2vec's class of a performance in some frames; neutral where it has no Action Units.

    Args:
        track: Convention "facs", or None.
        first: First frame.
        stop: Frame after the last.
    """
    if track is None:
        return CLASS_OF["neutral"]
    shown = np.nan_to_num(np.asarray(track.values))[first : max(stop, first + 1)].mean(0)
    length = float(np.linalg.norm(shown))
    best, likeness = "neutral", 0.0
    for emotion, code in _prototypes(track.channels):
        size = float(np.linalg.norm(code))
        along = float(shown @ code) / size
        if along / size >= _WEAKEST and along / length > likeness:
            best, likeness = emotion, along / length
    return CLASS_OF[best]


def _prototypes(channels: Sequence[str]) -> Iterator[tuple[str, NDArray[np.floating]]]:
    """Emotions but neutral and their units, by every table of them, in the order of the channels."""
    for table in PROTOTYPES:
        for emotion in CLASS_OF:
            units = prototype(emotion, convention="facs", table=table)
            code = np.array([units[channel] for channel in channels])
            if code.any():
                yield emotion, code


def adapter_input(
    given: RenderInput, square: HeadSquare, config: AUConfig, first: int, frames: int
) -> Tensor | None:
    """Returns what an Action Unit adapter reads of some frames, with its margin; None without a performance.

    Numbers [F + 2 margin, A], or drawings [F + 2 margin, 3, S, S].
    """
    if given.action_units is None:
        return None
    around = np.arange(first - config.margin, first + frames + config.margin)
    rows = around.clip(0, given.action_units.frames - 1)
    track = given.action_units.replace(values=given.action_units.values[rows])
    if config.form == "sequence":
        return unit_sequence(track, config.action_units)
    moved = action_units_to_landmarks(track, np.asarray(given.portrait_landmarks), given.basis)
    return draw_landmarks(moved, square.region.frame, form=config.form, size_px=square.size_px)
