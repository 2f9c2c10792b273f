"""Frames through a denoiser: the conditions of a performed video, window by window, and what comes of them.

A denoiser sees a square around the portrait's face, or squares that follow mouth and eyes, each a row of its
batch. One that is given the warped portrait paints mouth and eyes anew: what it changes is added to the warp,
which keeps the portrait's full resolution everywhere else. One that is not paints the whole square, which is
laid over the warp with a soft border.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from auteur.errors import UsageError, WeightsError
from auteur.expression.space import CompactExpressionSpace
from auteur.face import crops
from auteur.face.crops import CropFrame
from auteur.face.pose import without_pose
from auteur.facs import convert, find_convention
from auteur.motion.au_basis import AUBasis
from auteur.pipelines.pasting import Square, painted_mask
from auteur.pipelines.structure import action_units_to_landmarks, draw_landmarks, drawing_frame
from auteur.signals import AUTrack, LandmarkTrack
from auteur.speech.features import SpeechFeatures
from auteur.synthesis.areas import holes, lip_oval, oval
from auteur.synthesis.conditions import Conditions
from auteur.synthesis.denoiser.network import VideoDenoiser
from auteur.synthesis.full.image_encoder import PortraitEncoder
from auteur.synthesis.full.latents import LatentSpace
from auteur.synthesis.guidance import Guidance, check_supported
from auteur.synthesis.samplers import OnStep
from auteur.synthesis.views import view_frames
from auteur.synthesis.warp import PortraitWarper
from auteur.synthesis.warp.mesh import FACE_OVAL
from auteur.synthesis.windows import Video, WindowSettings, explained_memory, generate

Floats = NDArray[np.floating]
Frames = NDArray[np.uint8]
TrackOf = Callable[[int, int], LandmarkTrack]
"""(first frame, frame after the last) → their landmarks."""

SEQUENCE_CONVENTIONS = {24: "feafa24", 18: "openface18"}
"""What the numbers of a sequence mean, by how many there are: papers A and C."""

_HEAD = 1.6
"""Side of the square of a model that paints all of it, beside that of one that paints a face."""


@dataclass(frozen=True, kw_only=True)
class Painter:
    """A denoiser and what must stand around it."""

    denoiser: VideoDenoiser
    size_px: int
    """Side of the square that it paints."""
    latents: LatentSpace | None = None
    """None: it paints pixels."""
    image_encoder: PortraitEncoder | None = None
    speech: SpeechFeatures | None = None
    version: str = ""
    """Start of the hash of its file."""
    every: int = 1
    """2 paints every second frame of a video and goes over from change to change in between; for models that
    are given the warped portrait."""

    @property
    def side(self) -> int:
        """Height and width of the sample."""
        return self.size_px // (1 if self.latents is None else self.latents.downscale)

    def settings(
        self,
        *,
        steps: int | None = None,
        au_guidance: float | None = None,
        audio_guidance: float | None = None,
        window: int | None = None,
    ) -> WindowSettings:
        """Returns how windows are denoised; None is what suits the denoiser.

        Raises:
            UsageError: A value is out of range, or the denoiser has no plug for what is to be guided.
        """
        config, is_full = self.denoiser.config, self.latents is not None
        guidance = Guidance(
            au=1.0 if au_guidance is None else au_guidance,
            audio=1.0 if audio_guidance is None else audio_guidance,
        )
        check_supported(self.denoiser, guidance)
        if guidance.audio != 1 and config.audio is None:
            raise UsageError(
                f"audio guidance is {guidance.audio}, but this model does not listen (it takes "
                f"{', '.join(self.denoiser.condition_names)}); leave audio guidance at 1"
            )
        longest = 1 if config.temporal is None else config.temporal.longest_window
        if window is not None and not 1 <= window <= longest:
            raise UsageError(f"window is {window}; with this model it must be between 1 and {longest} frames")
        frames = window or min(16 if is_full else 8, longest)
        return WindowSettings(
            frames=frames,
            past=0 if config.past is None else min(config.past.frames, frames),
            steps=steps or config.paints_in or (25 if is_full else 4),
            guidance=guidance,
        )


class Painting:
    """One performed video to be painted.

    Args:
        painter: The denoiser.
        warper: The portrait's.
        portrait: uint8 [3, H, W].
        landmarks: The portrait's, [478, 3] px.
        basis: Displacement per Action Unit, for models that are shown drawings.
        asked: Action Units, convention "facs", one row per frame; None: nothing is said about the face.
        heard: Speech features, [T, D], one row per frame; None: nothing is heard.
    """

    def __init__(
        self,
        painter: Painter,
        warper: PortraitWarper,
        portrait: Tensor,
        landmarks: Floats,
        *,
        basis: AUBasis,
        asked: AUTrack | None = None,
        heard: Tensor | None = None,
    ) -> None:
        self._painter, self._warper, self._landmarks, self._basis = painter, warper, landmarks, basis
        self._config = painter.denoiser.config
        self._own_points = torch.from_numpy(np.asarray(landmarks))
        self._space = CompactExpressionSpace.shipped()
        self._heard, self._asked = heard, None if self._config.au is None else asked
        self._numbers = None
        if self._config.au is not None and asked is not None and self._config.au.form == "sequence":
            self._numbers = _sequence(asked, self._config.au.action_units)
        self._views: tuple[str | None, ...] = self._config.views or (None,)
        whole = _square(landmarks, portrait, is_whole=self._config.warped is None)
        self._whole = Square(whole, painter.size_px, portrait.shape[2], portrait.shape[1])
        self._still = self._still_conditions(portrait)
        self._shown = _Shown(torch.zeros(0), torch.zeros(0), [], [])
        self._last: Tensor | None = None

    def frames(
        self,
        landmarks: TrackOf,
        *,
        count: int,
        seed: int,
        settings: WindowSettings,
        on_step: OnStep | None = None,
    ) -> Iterator[Frames]:
        """Yields uint8 [H, W, 3]; the same ones for the same seed and settings.

        Args:
            landmarks: Of some frames.
            count: Frames of the video.
            seed: Of the noise; each frame has its own.
            settings: Windows without overlap.
            on_step: Told after each denoising step how many are done, of all; an error raised in it cancels.

        Raises:
            UsageError: Memory does not suffice; the message says what to lower.
        """
        shape = (self._config.channels, self._painter.side, self._painter.side)
        numbers = sorted({*range(0, count, self._painter.every), count - 1})
        self._last = None

        def conditions(first: int, stop: int) -> Conditions:
            start = numbers[first - 1] + 1 if first else 0
            track = landmarks(start, numbers[stop - 1] + 1)
            return self.conditions(track, start, picks=[number - start for number in numbers[first:stop]])

        video = Video(
            frames=len(numbers),
            shape=shape,
            seeds=(seed,) * len(self._views),
            noise_common=self._config.noise_common,
        )
        pieces = generate(
            self._painter.denoiser,
            conditions,
            video,
            process=self._config.noising,
            settings=replace(settings, overlap=0),
            on_step=on_step,
        )
        for piece in pieces:
            with explained_memory(settings, shape), torch.inference_mode():
                made = self._decoded(piece.frames).float().cpu()
                finished = list(self._finished(made))
            yield from finished

    def conditions(
        self, track: LandmarkTrack, first: int, *, picks: Sequence[int] | None = None
    ) -> Conditions:
        """Returns the conditions of frames that have these landmarks; a row per view.

        Args:
            track: Landmarks of the frames from `first` on.
            first: Number of the first.
            picks: Which of them are painted, by their place in the track; None: all.
        """
        config, values = self._config, np.array(track.values)
        rows, targets = len(self._views), torch.from_numpy(values)
        warped = self._warper.render(targets)
        moved = torch.stack([self._warper.mesh(one).landmarks for one in targets.float()])
        picks = list(range(len(values)) if picks is None else picks)
        self._shown = _Shown(warped, moved, [self._squares(moved, view) for view in self._views], picks)
        moved, numbers = moved[picks], first + np.array(picks)
        given: dict[str, Tensor] = {}
        if config.warped is not None:
            given["warped"] = torch.stack([self._warped_condition(row) for row in range(rows)])
        if config.landmarks is not None:
            frames = [[row[pick].frame for pick in picks] for row in self._shown.squares]
            given["landmarks"] = torch.stack([self._drawn(moved.numpy(), row) for row in frames])
        if self._asked is not None and config.au is not None:
            given["au"] = _for_each(rows, self._action_units(numbers, config.au.margin))
        if config.expression is not None:
            given["expression"] = _for_each(rows, self._expression(moved.numpy()))
        if config.audio is not None and self._heard is not None:
            given["audio"] = _for_each(rows, self._speech(numbers, config.audio.window))
            if config.audio.by_region:
                given["regions"] = self._regions().expand(rows, len(picks), -1, -1, -1)
        margin = config.au.margin if "au" in given and config.au is not None else 0
        moving: dict[str, Any] = {
            name: value.to(self._painter.denoiser.device) for name, value in given.items()
        }
        return Conditions(**moving, **self._still, au_margin=margin)

    def _squares(self, moved: Tensor, view: str | None) -> list[Square]:
        """Where a view is in each frame of landmarks [F, 478, 3] px."""
        if view is None:
            return [self._whole] * len(moved)
        size, whole = self._painter.size_px, self._whole
        return [
            Square(frame, size, whole.width_px, whole.height_px) for frame in view_frames(moved.numpy(), view)
        ]

    def _still_conditions(self, portrait: Tensor) -> dict[str, Any]:
        config, painter, device = self._config, self._painter, self._painter.denoiser.device
        own = torch.from_numpy(self._landmarks)[None]
        frames = [self._squares(own, view)[0].frame for view in self._views]
        cut = [crops.cut(portrait.permute(1, 2, 0), frame, painter.size_px) for frame in frames]
        pictures = 2 * torch.stack(cut) - 1
        given: dict[str, Any] = {}
        with torch.no_grad():
            if config.reference is not None:
                encoded = self._encoded(pictures[:, None])[:, 0]
                given["reference"] = painter.denoiser.reference_features(encoded)
            if config.identity is not None and painter.image_encoder is not None:
                given["identity"] = painter.image_encoder.encode(pictures).to(device)
            if config.landmarks is not None:
                drawn = [self._drawn(self._landmarks[None], [frame]) for frame in frames]
                given["landmarks_reference"] = torch.cat(drawn).to(device)
        return given

    def _warped_condition(self, row: int) -> Tensor:
        """[F, C + 1, H, W]: the warp, and 0 where it guesses: beyond the picture and in openings."""
        shown, size = self._shown, self._painter.size_px
        pictures: list[Tensor] = []
        valid: list[Tensor] = []
        for pick in shown.picks:
            square = shown.squares[row][pick]
            points = crops.apply(square.frame.matrix(size), shown.moved[pick, :, :2].numpy())
            pictures.append(square.cut(shown.warped[pick]))
            opening = holes(torch.from_numpy(points).float(), square.own_pixels)
            valid.append(square.in_picture * (1 - opening))
        encoded = self._encoded(2 * torch.stack(pictures)[None] - 1)[0]
        sides = (encoded.shape[-2], encoded.shape[-1])
        mask = functional.adaptive_avg_pool2d(torch.stack(valid)[:, None], sides)
        return torch.cat([encoded.cpu().float(), mask], dim=1)

    def _drawn(self, landmarks: Floats, frames: Sequence[CropFrame]) -> Tensor:
        """Drawings [F, 3, side, side] of the size that the model reads."""
        config = self._config
        side = self._painter.size_px
        if config.landmarks is not None:
            side = self._painter.side // config.patch * config.landmarks.downscale
        return draw_landmarks(landmarks, frames, size_px=side)

    def _expression(self, landmarks: Floats) -> Tensor:
        """Vectors [F, E] of what the landmarks show, whatever made them move."""
        return torch.from_numpy(self._space.of_unknown_people(without_pose(landmarks)).astype(np.float32))

    def _action_units(self, numbers: NDArray[np.integer], margin: int) -> Tensor:
        """Of frames [F]: numbers [F + 2 margin, A] or drawings; what lies beyond the video is as its ends."""
        assert self._asked is not None and self._config.au is not None  # noqa: S101 - for the type checker
        before, after = numbers[0] - np.arange(margin, 0, -1), numbers[-1] + np.arange(1, margin + 1)
        rows = np.clip(np.concatenate([before, numbers, after]), 0, self._asked.frames - 1)
        if self._numbers is not None:
            return self._numbers[rows]
        moved = action_units_to_landmarks(
            self._asked.replace(values=self._asked.values[rows]), self._landmarks, self._basis
        )
        form = "mesh" if self._config.au.form == "mesh" else "lines"
        return draw_landmarks(moved, self._whole.frame, form=form, size_px=self._painter.size_px)

    def _speech(self, numbers: NDArray[np.integer], window: int) -> Tensor:
        """What is heard around frames [F], [F, window, D]."""
        assert self._heard is not None  # noqa: S101 - for the type checker
        around = torch.from_numpy(numbers)[:, None] + torch.arange(window) - window // 2
        return self._heard[around.clamp(0, len(self._heard) - 1)]

    def _regions(self) -> Tensor:
        """Where the audio may act, [1, 1, 3, side, side]: beyond the face, on it, on the lips (Hallo)."""
        own = torch.from_numpy(
            crops.apply(self._whole.frame.matrix(self._painter.size_px), self._landmarks[:, :2])
        )
        positions = self._whole.own_pixels
        face = oval(own.float(), FACE_OVAL, 0.0, positions)
        lips = lip_oval(own.float(), positions)
        return torch.stack([1 - face, face * (1 - lips), lips])[None, None]

    def _encoded(self, pictures: Tensor) -> Tensor:
        latents = self._painter.latents
        return pictures if latents is None else latents.encode(pictures)

    def _decoded(self, sample: Tensor) -> Tensor:
        latents = self._painter.latents
        return sample.clamp(-1, 1) if latents is None else latents.decode(sample)

    def _finished(self, made: Tensor) -> Iterator[Frames]:
        """The full-size frames of a window whose painted ones are `made` [views, F, 3, S, S]."""
        start = 0
        for position, pick in enumerate(self._shown.picks):
            content = self._content(pick, (made[:, position] + 1) / 2)
            for index in range(start, pick):  # the square moves with the head, so this follows the motion
                share = (index - start + 1) / (pick - start + 1)
                between = content if self._last is None else torch.lerp(self._last, content, share)
                yield self._finish(index, between)
            yield self._finish(pick, content)
            self._last, start = content, pick + 1

    def _content(self, index: int, painted: Tensor) -> Tensor:
        """What is laid on, [views, 3, S, S]: the change from the warp, or all of it."""
        if self._config.warped is None:
            return painted
        warp, squares = self._shown.warped[index], [row[index] for row in self._shown.squares]
        return painted - torch.stack([square.cut(warp) for square in squares])

    def _finish(self, index: int, content: Tensor) -> Frames:
        """The full-size frame with what is laid on its squares, [views, 3, S, S]."""
        result, points = self._shown.warped[index].float(), self._shown.moved[index]
        for row, view in enumerate(self._views):
            square = self._shown.squares[row][index]
            rows, columns = square.box
            if self._config.warped is None:
                result[:, rows, columns] = square.over(result[:, rows, columns], 255 * content[row])
            else:
                mask = square.border * painted_mask(
                    points, self._own_points, square, view, self._config.paints
                )
                result[:, rows, columns] += mask * square.onto(255 * content[row])
        return result.clamp(0, 255).round().byte().permute(1, 2, 0).contiguous().numpy()


@dataclass(frozen=True, eq=False)
class _Shown:
    """The window that is being painted."""

    warped: Tensor
    """uint8 [F, 3, H, W]."""
    moved: Tensor
    """What the warp made of the landmarks, [F, 478, 3] px."""
    squares: list[list[Square]]
    """By view and frame."""
    picks: list[int]
    """Frames that are painted."""


def _for_each(rows: int, values: Tensor) -> Tensor:
    return values.expand(rows, *values.shape)


def _square(landmarks: Floats, portrait: Tensor, *, is_whole: bool) -> CropFrame:
    """The face with room for an open jaw; for a model that paints all, as much of the head as there is."""
    frame = drawing_frame(landmarks)
    if not is_whole:
        return frame
    x, y = frame.center_px
    room = 2 * min(x, y, portrait.shape[2] - x, portrait.shape[1] - y)
    return CropFrame(frame.center_px, max(frame.side_px, min(_HEAD * frame.side_px, room)))


def _sequence(asked: AUTrack, count: int) -> Tensor:
    """Numbers [T, A] in [0, 1] in the convention that a model of so many Action Units reads."""
    if count not in SEQUENCE_CONVENTIONS:
        known = ", ".join(f"{number} ({name})" for number, name in SEQUENCE_CONVENTIONS.items())
        raise WeightsError(f"the model reads {count} Action Units; what they mean is known for {known}")
    name = SEQUENCE_CONVENTIONS[count]
    full = np.array([channel.full for channel in find_convention(name).entries], dtype=np.float32)
    return torch.from_numpy(np.clip(np.nan_to_num(np.array(convert(asked, name).values)) / full, 0, 1))
