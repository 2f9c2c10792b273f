"""What a denoiser is told about a performed video: window by window, the conditions of its frames.

A model is shown a square around the portrait's face, or squares that follow mouth and eyes, each a row of its
batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from auteur.errors import WeightsError
from auteur.expression.space import CompactExpressionSpace
from auteur.face import crops
from auteur.face.crops import CropFrame
from auteur.face.pose import without_pose
from auteur.facs import convert, find_convention
from auteur.motion.au_basis import AUBasis
from auteur.pipelines.painters import Painter
from auteur.pipelines.pasting import Square, painted_masks
from auteur.pipelines.structure import action_units_to_landmarks, draw_landmarks, drawing_frame
from auteur.signals import AUTrack, LandmarkTrack
from auteur.synthesis.areas import holes, lip_oval, oval
from auteur.synthesis.conditions import Conditions
from auteur.synthesis.views import view_frames
from auteur.synthesis.warp import PortraitWarper
from auteur.synthesis.warp.mesh import FACE_OVAL

Floats = NDArray[np.floating]

SEQUENCE_CONVENTIONS = {24: "feafa24", 18: "openface18"}
"""What the numbers of a sequence mean, by how many there are: papers A and C."""

_HEAD = 1.6
"""Side of the square of a model that paints all of it, beside that of one that paints a face."""


@dataclass(frozen=True, eq=False)
class Window:
    """Frames before they are painted."""

    warped: Tensor
    """uint8 [F, 3, H, W]."""
    moved: Tensor
    """What the warp made of the landmarks, [F, 478, 3] px."""
    squares: list[list[Square]]
    """By view and frame."""
    picks: list[int]
    """Frames that are painted."""
    cut: Tensor
    """What the squares show of the warp, of the painted frames, [views, P, 3, S, S] in [0, 1]."""
    masks: list[list[Tensor]]
    """Where changes are laid on, by view and frame, [h, w] of the square's box; nothing for models that paint
    all of their square."""


class Scene:
    """One performed video as a denoiser is told about it.

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
        self.painter, self.portrait, self.landmarks = painter, portrait, landmarks
        self._warper, self._basis = warper, basis
        self._config = painter.denoiser.config
        self._own_points = torch.from_numpy(np.asarray(landmarks))
        self._space = CompactExpressionSpace.shipped()
        self._heard, self._asked = heard, None if self._config.au is None else asked
        self._numbers = None
        if self._config.au is not None and asked is not None and self._config.au.form == "sequence":
            self._numbers = _sequence(asked, self._config.au.action_units)
        self.views: tuple[str | None, ...] = self._config.views or (None,)
        """Of `synthesis.views`; None is the square around the whole face."""
        whole = _square(landmarks, portrait, is_whole=self._config.warped is None)
        self.whole = Square(whole, painter.size_px, portrait.shape[2], portrait.shape[1])
        self._still = self._still_conditions(portrait)

    def window(self, track: LandmarkTrack, picks: Sequence[int] | None = None) -> Window:
        """Returns frames that have these landmarks, warped.

        Args:
            track: Their landmarks.
            picks: Which of them are painted, by their place in the track; None: all.
        """
        targets = torch.from_numpy(np.array(track.values))
        warped, moved = self._warper.render_with_landmarks(targets)
        picks = list(range(len(targets)) if picks is None else picks)
        squares = [self._squares(moved, view) for view in self.views]
        cut = torch.stack([torch.stack([row[pick].cut(warped[pick]) for pick in picks]) for row in squares])
        masks: list[list[Tensor]] = []
        if self._config.warped is not None:
            masks = [
                painted_masks(moved, self._own_points, row, view, self._config.paints)
                for row, view in zip(squares, self.views, strict=True)
            ]
        return Window(warped, moved, squares, picks, cut, masks)

    def conditions(self, window: Window, first: int) -> Conditions:
        """Returns the conditions of the painted frames of a window; a row per view.

        Args:
            window: The frames.
            first: Number of its first frame.
        """
        config, rows, picks = self._config, len(self.views), window.picks
        moved, numbers = window.moved[picks], first + np.array(picks)
        given: dict[str, Tensor] = {}
        if config.warped is not None:
            given["warped"] = torch.stack([self._warped_condition(window, row) for row in range(rows)])
        if config.landmarks is not None:
            frames = [[row[pick].frame for pick in picks] for row in window.squares]
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
            name: value.to(self.painter.denoiser.device) for name, value in given.items()
        }
        return Conditions(**moving, **self._still, au_margin=margin)

    def _squares(self, moved: Tensor, view: str | None) -> list[Square]:
        """Where a view is in each frame of landmarks [F, 478, 3] px."""
        if view is None:
            return [self.whole] * len(moved)
        size, whole = self.painter.size_px, self.whole
        return [
            Square(frame, size, whole.width_px, whole.height_px) for frame in view_frames(moved.numpy(), view)
        ]

    def _still_conditions(self, portrait: Tensor) -> dict[str, Any]:
        config, painter, device = self._config, self.painter, self.painter.denoiser.device
        own = torch.from_numpy(self.landmarks)[None]
        frames = [self._squares(own, view)[0].frame for view in self.views]
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
                drawn = [self._drawn(self.landmarks[None], [frame]) for frame in frames]
                given["landmarks_reference"] = torch.cat(drawn).to(device)
        return given

    def _warped_condition(self, window: Window, row: int) -> Tensor:
        """[F, C + 1, H, W]: the warp, and 0 where it guesses: beyond the picture and in openings."""
        size, valid = self.painter.size_px, []
        for pick in window.picks:
            square = window.squares[row][pick]
            points = crops.apply(square.frame.matrix(size), window.moved[pick, :, :2].numpy())
            opening = holes(torch.from_numpy(points).float(), square.own_pixels)
            valid.append(square.in_picture * (1 - opening))
        encoded = self._encoded(2 * window.cut[row][None] - 1)[0]
        sides = (encoded.shape[-2], encoded.shape[-1])
        mask = functional.adaptive_avg_pool2d(torch.stack(valid)[:, None], sides)
        return torch.cat([encoded.cpu().float(), mask], dim=1)

    def _drawn(self, landmarks: Floats, frames: Sequence[CropFrame]) -> Tensor:
        """Drawings [F, 3, side, side] of the size that the model reads."""
        config = self._config
        side = self.painter.size_px
        if config.landmarks is not None:
            side = self.painter.side // config.patch * config.landmarks.downscale
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
            self._asked.replace(values=self._asked.values[rows]), self.landmarks, self._basis
        )
        form = "mesh" if self._config.au.form == "mesh" else "lines"
        return draw_landmarks(moved, self.whole.frame, form=form, size_px=self.painter.size_px)

    def _speech(self, numbers: NDArray[np.integer], window: int) -> Tensor:
        """What is heard around frames [F], [F, window, D]."""
        assert self._heard is not None  # noqa: S101 - for the type checker
        around = torch.from_numpy(numbers)[:, None] + torch.arange(window) - window // 2
        return self._heard[around.clamp(0, len(self._heard) - 1)]

    def _regions(self) -> Tensor:
        """Where the audio may act, [1, 1, 3, side, side]: beyond the face, on it, on the lips (Hallo)."""
        own = torch.from_numpy(
            crops.apply(self.whole.frame.matrix(self.painter.size_px), self.landmarks[:, :2])
        )
        positions = self.whole.own_pixels
        face = oval(own.float(), FACE_OVAL, 0.0, positions)
        lips = lip_oval(own.float(), positions)
        return torch.stack([1 - face, face * (1 - lips), lips])[None, None]

    def _encoded(self, pictures: Tensor) -> Tensor:
        latents = self.painter.latents
        return pictures if latents is None else latents.encode(pictures)


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
    return torch.from_numpy(np.clip(convert(asked, name).values / full, 0, 1))
