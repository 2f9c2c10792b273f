"""The renderer protocol: from a portrait and its moving landmarks to frames. docs/adding_a_renderer.md."""

from collections.abc import Callable, Collection, Generator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from auteur.motion.au_basis import AUBasis
from auteur.motion.performance import Performance
from auteur.signals import AUTrack, ExpressionTrack, LandmarkTrack, Sound
from auteur.speech.features import SpeechFeatures
from auteur.synthesis.matte import PortraitMatte
from auteur.synthesis.warp import PortraitWarper

Floats = NDArray[np.floating]
Frames = NDArray[np.uint8]
TrackType = TypeVar("TrackType", AUTrack, ExpressionTrack)
TrackOf = Callable[[int, int], LandmarkTrack]
"""(first frame, frame after the last) → their landmarks, [frames, 478, 3] px of the portrait."""
ShadingOf = Callable[[LandmarkTrack], Tensor]
"""Landmarks → Action Units in them that shade the skin, relative to the portrait, [frames, C] as for
`PortraitWarper.render`."""


def portrait_warper(portrait: Tensor, landmarks: Floats, *, holds_background: bool) -> PortraitWarper:
    """Returns the warp of a portrait, uint8 [3, H, W], with landmarks [478, 3] px.

    Raises:
        InputError: The face cannot be warped.
        WeightsError: The matte's weights are damaged.
    """
    points = torch.from_numpy(np.asarray(landmarks))
    matte = PortraitMatte.shipped().person(portrait, points) if holds_background else None
    return PortraitWarper(portrait, points, matte=matte)


@dataclass(frozen=True, kw_only=True, eq=False)
class RenderInput:
    """One performed video before it is rendered."""

    portrait: Tensor
    """uint8 [3, H, W]; frames have its size."""
    portrait_landmarks: Floats
    """[478, 3] px."""
    landmarks: TrackOf
    """Landmarks of the frames, made when they are needed; may be called from another thread."""
    frame_count: int
    rate: Fraction
    """Frames per second."""
    speech: Sound
    """At any rate, from the first frame on."""
    basis: AUBasis
    """Displacement of the landmarks per Action Unit."""
    performance: Performance | None = None
    """The requested performance, as the motion followed it; None: there is none."""
    shading: ShadingOf | None = None
    """None: the portrait's own light."""
    holds_background: bool = False
    """Whether what is behind the person stays still; else all around the head moves with it."""
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options that are set (`Settings.render_options`); `Renderer.resolve` refuses those without effect."""

    _encoded: dict[int, Tensor] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def action_units(self) -> AUTrack | None:
        """The requested Action Units, convention "facs", one row per frame; None: there are none."""
        return self._per_frame(None if self.performance is None else self.performance.action_units)

    @cached_property
    def expression(self) -> ExpressionTrack | None:
        """Expression vectors that a route predicts, one row per frame; None: there are none."""
        return self._per_frame(None if self.performance is None else self.performance.trajectory)

    def _per_frame(self, track: TrackType | None) -> TrackType | None:
        return None if track is None else track.resample(self.rate, start_sec=0, frames=self.frame_count)

    @cached_property
    def warper(self) -> PortraitWarper:
        """The portrait's warp, built when it is first used."""
        return portrait_warper(self.portrait, self.portrait_landmarks, holds_background=self.holds_background)

    def speech_features(self, encoder: SpeechFeatures) -> Tensor:
        """Returns the speech as an encoder reads it, [T, D], one row per frame; computed once."""
        if id(encoder) not in self._encoded:
            self._encoded[id(encoder)] = encoder.encode(self.speech, self.rate)
        return self._encoded[id(encoder)]


class HasNotes(Protocol):
    """A renderer with notes for users about a video before it is rendered."""

    def notes(self, options: Mapping[str, Any]) -> tuple[str, ...]:
        """Returns one sentence per note."""
        ...


def renderer_notes(renderer: object, options: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the notes of a renderer about a video; () from one without `notes`."""
    notes = getattr(renderer, HasNotes.notes.__name__, None)
    return () if notes is None else notes(options)


class Renderer(Protocol):
    """A way from landmarks to frames, with its models loaded and without state of a video.

    `frames` makes the pictures; the other members fill the mark of the output.
    """

    @property
    def models(self) -> Mapping[str, str]:
        """Version of each model that it renders with, by name; empty for one without weights."""
        ...

    @property
    def is_sequential(self) -> bool:
        """Whether a frame depends on those before it, so that single frames cost as much as all."""
        ...

    def resolve(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the options with defaults filled in, as they are written into outputs.

        Raises:
            UsageError: An option has no effect on this renderer or is out of range.
        """
        ...

    def frames(
        self,
        given: RenderInput,
        *,
        first: int = 0,
        stop: int | None = None,
        only: Collection[int] | None = None,
    ) -> Generator[Frames]:
        """Yields the frames uint8 [H, W, 3] in order, each as soon as it is made.

        The same input gives the same frames, however many are taken and whether `only` is given.

        Args:
            given: The video.
            first: Number of the first frame, which is rendered as if none came before it.
            stop: Number of the frame after the last; None: to the end.
            only: Numbers of the frames to yield; None: all.

        Raises:
            AuteurError: Rendering failed; frames before that one have been yielded.
        """
        ...
