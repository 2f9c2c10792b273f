"""The conditions of a performed video for a denoiser, window by window.

A model works on a square around the portrait's face, or on squares that follow mouth and eyes, each a row of
its batch. The input of each conditioner is computed by one function of `ONCE`, `PER_WINDOW` or both.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from auteur.errors import UsageError, WeightsError
from auteur.expression.space import COMPACT_COEFFICIENTS, CompactExpressionSpace
from auteur.face import crops
from auteur.face.crops import CropFrame
from auteur.face.pose import without_pose
from auteur.facs import convert, find_convention
from auteur.motion.au_basis import AUBasis
from auteur.painting.au_drawing import action_units_to_landmarks, draw_landmarks, drawing_frame
from auteur.painting.compositing import CropRegion, mouth_openings, painted_masks
from auteur.painting.loading import DenoiserBundle
from auteur.painting.renderer import ShadingOf
from auteur.signals import AUTrack, ExpressionTrack, LandmarkTrack
from auteur.signals.topology import FACE_OVAL
from auteur.synthesis.canonical_crops import crop_frames
from auteur.synthesis.conditions import Conditions
from auteur.synthesis.masks import holes, lip_oval, oval
from auteur.synthesis.warp import PortraitWarper

Floats = NDArray[np.floating]
Numbers = NDArray[np.integer]

SEQUENCE_CONVENTIONS = {24: "feafa24", 18: "openface18"}
"""Convention of the numbers of a sequence, by how many there are: papers A and C."""

_HEAD = 1.6
"""Side of the square of a model that paints all of it, beside that of one that paints a face."""


@dataclass(frozen=True, eq=False)
class Window:
    """Frames before they are painted."""

    warped: Tensor
    """uint8 [F, 3, H, W]."""
    moved: Tensor
    """Landmarks as the warp moved them, [F, 478, 3] px."""
    regions: list[list[CropRegion]]
    """By view and frame."""
    picks: list[int]
    """Frames that are painted."""
    cut: Tensor
    """Crops of the warp in the painted frames, [views, P, 3, S, S] in [0, 1]."""
    masks: list[list[Tensor]]
    """Share of the change that is added, by view and frame, [h, w] of the region's box; empty for models that
    paint all of their square."""
    openings: list[Tensor | None]
    """What shows between the lips, by view and painted frame, [P, S, S] in the pixels of the square; None for
    squares without a mouth of their own. Empty as `masks` is."""


class ConditionBuilder:
    """Makes the conditions of one performed video.

    Args:
        bundle: The denoiser and what it needs around it.
        warper: The portrait's.
        portrait: uint8 [3, H, W].
        landmarks: The portrait's, [478, 3] px.
        basis: Displacement per Action Unit, for models that are conditioned on drawings of them.
        action_units: Convention "facs", one row per frame; None: absent.
        expression: Vectors of a route, one row per frame, for models that read vectors of another space than
            the one that is measured in landmarks.
        speech_features: [T, D], one row per frame; None: absent.

    Raises:
        WeightsError: The model reads Action Units of an unknown convention.
        UsageError: It reads expression vectors of a space that no stage before it predicts.
    """

    def __init__(
        self,
        bundle: DenoiserBundle,
        warper: PortraitWarper,
        portrait: Tensor,
        landmarks: Floats,
        *,
        basis: AUBasis,
        action_units: AUTrack | None = None,
        expression: ExpressionTrack | None = None,
        speech_features: Tensor | None = None,
    ) -> None:
        self.bundle, self.portrait, self.landmarks, self.basis = bundle, portrait, landmarks, basis
        self.shading: ShadingOf | None = None
        """Of `RenderInput`; None: the portrait's own light."""
        self.action_units, self.speech_features = action_units, speech_features
        self.config = bundle.denoiser.config
        self.vectors = self._vectors_of(expression)
        """Predicted expression vectors [T, E]; None where they are measured in the landmarks."""
        self._warper = warper
        self._own_points = torch.from_numpy(np.asarray(landmarks))
        self._is_residual = "warped" in self.config.conditioners
        self.sequence = self._sequence_of(action_units)
        """Action Units as numbers [T, A] in the model's own convention; None where it reads none."""
        self.views: tuple[str | None, ...] = self.config.painting.views or (None,)
        """Of `synthesis.canonical_crops`; None is the square around the whole face."""
        whole = _square(landmarks, portrait, is_whole=not self._is_residual)
        self.whole = CropRegion(whole, bundle.size_px, portrait.shape[2], portrait.shape[1])
        self._still = self._made_once()

    @cached_property
    def space(self) -> CompactExpressionSpace:
        """The expression space, loaded when a model is conditioned on expressions."""
        return CompactExpressionSpace.shipped()

    def window(self, track: LandmarkTrack, picks: Sequence[int] | None = None) -> Window:
        """Returns frames that have these landmarks, warped.

        Args:
            track: Their landmarks.
            picks: Which of them are painted, by their place in the track; None: all.
        """
        targets = torch.from_numpy(np.array(track.values))
        shading = None if self.shading is None else self.shading(track)
        warped, moved = self._warper.render_with_landmarks(targets, shading)
        picks = list(range(len(targets)) if picks is None else picks)
        regions = [self.regions(moved, view) for view in self.views]
        cut = torch.stack([torch.stack([row[pick].cut(warped[pick]) for pick in picks]) for row in regions])
        masks: list[list[Tensor]] = []
        openings: list[Tensor | None] = []
        for row, view in zip(regions, self.views, strict=True) if self._is_residual else ():
            opening = mouth_openings(moved, row) if view == "mouth" else None
            paints = self.config.painting.paints
            masks.append(painted_masks(moved, self._own_points, row, view, paints, openings=opening))
            openings.append(None if opening is None else opening[picks])
        return Window(warped, moved, regions, picks, cut, masks, openings)

    def conditions(self, window: Window, first: int) -> Conditions:
        """Returns the conditions of the painted frames of a window; a row per view.

        Args:
            window: The frames.
            first: Number of its first frame.
        """
        given: dict[str, Tensor] = {}
        numbers = first + np.array(window.picks)
        for name, make in PER_WINDOW.items():
            if name in self.config.conditioners:
                given |= make(self, window, numbers)
        moving = {name: value.to(self.bundle.denoiser.device) for name, value in given.items()}
        margins = {"au": self.config.au.margin} if "au" in given else {}
        return Conditions(**moving, **self._still, margins=margins)

    def regions(self, moved: Tensor, view: str | None) -> list[CropRegion]:
        """Returns the square of a view in each frame of landmarks [F, 478, 3] px."""
        if view is None:
            return [self.whole] * len(moved)
        size, whole = self.bundle.size_px, self.whole
        return [
            CropRegion(frame, size, whole.width_px, whole.height_px)
            for frame in crop_frames(moved.numpy(), view)
        ]

    def encoded(self, pictures: Tensor) -> Tensor:
        """Returns pictures [B, F, 3, S, S] in [-1, 1] in the space of the sample."""
        latents = self.bundle.latents
        return pictures if latents is None else latents.encode(pictures)

    def drawn(self, landmarks: Floats, frames: Sequence[CropFrame]) -> Tensor:
        """Returns drawings [F, 3, side, side] of landmarks [F, 478, 3] px, of the size for the model."""
        side = self.bundle.side // self.config.network.patch * self.config.landmarks.downscale
        return draw_landmarks(landmarks, frames, size_px=side)

    def _made_once(self) -> dict[str, Any]:
        """Conditions of the portrait, the same in all windows."""
        own = torch.from_numpy(self.landmarks)[None]
        frames = [self.regions(own, view)[0].frame for view in self.views]
        cut = [crops.cut(self.portrait.permute(1, 2, 0), frame, self.bundle.size_px) for frame in frames]
        pictures = 2 * torch.stack(cut) - 1
        given: dict[str, Any] = {}
        with torch.no_grad():
            for name, make in ONCE.items():
                if name in self.config.conditioners:
                    given |= make(self, pictures, frames)
        return given

    def _vectors_of(self, expression: ExpressionTrack | None) -> Tensor | None:
        config = self.config.expression
        if config is None or config.space == f"compact{COMPACT_COEFFICIENTS}":
            return None
        found = "none" if expression is None else expression.convention
        if expression is None or found != config.space:
            raise UsageError(
                f"the denoiser reads {config.space} expression vectors and the performance has {found}; use "
                f"--route emodiffhead with a folder whose expression_generator/ predicts {config.space}"
            )
        return torch.from_numpy(np.array(expression.values, dtype=np.float32))

    def _sequence_of(self, action_units: AUTrack | None) -> Tensor | None:
        config = self.config.au
        if config is None or action_units is None or config.form != "sequence":
            return None
        return unit_sequence(action_units, config.action_units)


def _reference(builder: ConditionBuilder, pictures: Tensor, frames: Sequence[CropFrame]) -> dict[str, Any]:
    encoded = builder.encoded(pictures[:, None])[:, 0]
    return {"reference": builder.bundle.denoiser.reference_features(encoded)}


def _identity(builder: ConditionBuilder, pictures: Tensor, frames: Sequence[CropFrame]) -> dict[str, Any]:
    encoder = builder.bundle.image_encoder
    return (
        {} if encoder is None else {"identity": encoder.encode(pictures).to(builder.bundle.denoiser.device)}
    )


def _own_drawing(builder: ConditionBuilder, pictures: Tensor, frames: Sequence[CropFrame]) -> dict[str, Any]:
    drawn = [builder.drawn(builder.landmarks[None], [frame]) for frame in frames]
    return {"landmarks_reference": torch.cat(drawn).to(builder.bundle.denoiser.device)}


def _warped(builder: ConditionBuilder, window: Window, numbers: Numbers) -> dict[str, Tensor]:
    """[views, F, C + 1, H, W]: the warp, and 0 where it guesses: beyond the picture and in openings."""
    size, rows = builder.bundle.size_px, []
    for row, regions in enumerate(window.regions):
        valid: list[Tensor] = []
        for pick in window.picks:
            region = regions[pick]
            points = crops.apply(region.frame.matrix(size), window.moved[pick, :, :2].numpy())
            opening = holes(torch.from_numpy(points).float(), region.own_pixels)
            valid.append(region.in_picture * (1 - opening))
        encoded = builder.encoded(2 * window.cut[row][None] - 1)[0]
        sides = (encoded.shape[-2], encoded.shape[-1])
        mask = torch.stack(valid)[:, None]
        if sides != (size, size):
            mask = functional.adaptive_avg_pool2d(mask, sides)
        rows.append(torch.cat([encoded.cpu().float(), mask], dim=1))
    return {"warped": torch.stack(rows)}


def _drawing(builder: ConditionBuilder, window: Window, numbers: Numbers) -> dict[str, Tensor]:
    moved = window.moved[window.picks].numpy()
    frames = [[row[pick].frame for pick in window.picks] for row in window.regions]
    return {"landmarks": torch.stack([builder.drawn(moved, row) for row in frames])}


def _action_units(builder: ConditionBuilder, window: Window, numbers: Numbers) -> dict[str, Tensor]:
    """Numbers [views, F + 2 margin, A] or drawings; frames beyond the video are as its first and last."""
    track, config = builder.action_units, builder.config.au
    if track is None:
        return {}
    before = numbers[0] - np.arange(config.margin, 0, -1)
    after = numbers[-1] + np.arange(1, config.margin + 1)
    rows = np.clip(np.concatenate([before, numbers, after]), 0, track.frames - 1)
    if builder.sequence is not None:
        return {"au": _for_each_view(builder, builder.sequence[rows])}
    moved = action_units_to_landmarks(
        track.replace(values=track.values[rows]), builder.landmarks, builder.basis
    )
    size = builder.bundle.size_px
    return {
        "au": _for_each_view(
            builder, draw_landmarks(moved, builder.whole.frame, form=config.form, size_px=size)
        )
    }


def _expression(builder: ConditionBuilder, window: Window, numbers: Numbers) -> dict[str, Tensor]:
    """Vectors [views, F, E] of the expression: predicted, or measured in the landmarks."""
    if builder.vectors is not None:
        rows = np.clip(numbers, 0, len(builder.vectors) - 1)
        return {"expression": _for_each_view(builder, builder.vectors[rows])}
    moved = window.moved[window.picks].numpy()
    vectors = builder.space.of_unknown_people(without_pose(moved)).astype(np.float32)
    return {"expression": _for_each_view(builder, torch.from_numpy(vectors))}


def _speech(builder: ConditionBuilder, window: Window, numbers: Numbers) -> dict[str, Tensor]:
    """Features around each frame, [views, F, W, D]; with regions: beyond the face, face, lips (Hallo)."""
    features, config = builder.speech_features, builder.config.audio
    if features is None:
        return {}
    around = torch.from_numpy(numbers)[:, None] + torch.arange(config.window) - config.window // 2
    given = {"audio": _for_each_view(builder, features[around.clamp(0, len(features) - 1)])}
    if config.by_region:
        own = crops.apply(builder.whole.frame.matrix(builder.bundle.size_px), builder.landmarks[:, :2])
        points, positions = torch.from_numpy(own).float(), builder.whole.own_pixels
        face, lips = oval(points, FACE_OVAL, 0.0, positions), lip_oval(points, positions)
        regions = torch.stack([1 - face, face * (1 - lips), lips])[None, None]
        given["regions"] = regions.expand(len(builder.views), len(numbers), -1, -1, -1)
    return given


ONCE: Mapping[str, Callable[[ConditionBuilder, Tensor, Sequence[CropFrame]], dict[str, Any]]] = {
    "reference": _reference,
    "identity": _identity,
    "landmarks": _own_drawing,
}
"""Functions that compute a conditioner's inputs from the portrait, by conditioner.

Each function takes the builder, the portrait's squares [views, 3, S, S] in [-1, 1] and where they are.
"""

PER_WINDOW: Mapping[str, Callable[[ConditionBuilder, Window, Numbers], dict[str, Tensor]]] = {
    "warped": _warped,
    "landmarks": _drawing,
    "au": _action_units,
    "expression": _expression,
    "audio": _speech,
}
"""Functions that compute a conditioner's inputs from a window, by conditioner; `past` is filled by sampling.

Each function takes the builder, the window and the numbers of its painted frames [F] in the video.
"""


def _for_each_view(builder: ConditionBuilder, values: Tensor) -> Tensor:
    return values.expand(len(builder.views), *values.shape)


def _square(landmarks: Floats, portrait: Tensor, *, is_whole: bool) -> CropFrame:
    """The face with room for an open jaw; for a model that paints all, as much of the head as there is."""
    frame = drawing_frame(landmarks)
    if not is_whole:
        return frame
    x, y = frame.center_px
    room = 2 * min(x, y, portrait.shape[2] - x, portrait.shape[1] - y)
    return CropFrame(frame.center_px, max(frame.side_px, min(_HEAD * frame.side_px, room)))


def unit_sequence(action_units: AUTrack, count: int) -> Tensor:
    """Returns numbers [T, A] in [0, 1] in the convention that a model of so many Action Units reads.

    Raises:
        WeightsError: No convention has so many.
    """
    if count not in SEQUENCE_CONVENTIONS:
        known = ", ".join(f"{number} ({name})" for number, name in SEQUENCE_CONVENTIONS.items())
        raise WeightsError(f"the model reads {count} Action Units; what they mean is known for {known}")
    name = SEQUENCE_CONVENTIONS[count]
    full = np.array([channel.full for channel in find_convention(name).entries], dtype=np.float32)
    return torch.from_numpy(np.clip(convert(action_units, name).values / full, 0, 1))
