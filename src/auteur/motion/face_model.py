"""The protocol of models that draw the motion of a face: the shipped flow, paper C's generator, yours.

Axes: T frames at 25 per second, S speech features, A controls of `CONDITIONING_CONTROLS`, K coefficients.
"""

from typing import NamedTuple, Protocol

from torch import Tensor

from auteur.errors import WeightsError
from auteur.facs import ACTION_UNITS, CONTROLS
from auteur.motion.conditional_flow import FlowSampling
from auteur.motion.grid import MOTION_RATE

_BY_OTHERS = (43, 45, 46, 61, 62, 63, 64)
CONDITIONING_CONTROLS = tuple(
    name
    for name in CONTROLS
    if not any(name in ACTION_UNITS[n].controls for n in _BY_OTHERS if n in ACTION_UNITS)
)
"""Controls of the convention "facs" that condition the face: all but lids and gaze, which have models of
their own."""


class FaceConditions(NamedTuple):
    """Conditions of a whole recording; None is not given."""

    speech: Tensor | None
    """[T, S], in the model's own speech space."""
    units: Tensor | None
    """[T, A] in [0, 1]; NaN where a unit is not specified."""
    emotions: Tensor | None = None
    """[T, 8]: strength of each of `auteur.facs.EMOTIONS`, for models that are conditioned on labels."""

    @property
    def frames(self) -> int:
        """T.

        Raises:
            ValueError: Nothing is given, so that the length is unknown.
        """
        for one in self:
            if one is not None:
                return len(one)
        raise ValueError("give speech features, Action Units or emotions")


class FaceModel(Protocol):
    """Speech, Action Units and emotions in, coefficients of mesh displacement out."""

    basis: Tensor
    """[K, 478, 3] in millimetres of the canonical head, per unit of each coefficient."""

    @property
    def speech_space(self) -> str:
        """Name of its speech features: "lips91+logmel81", or a kind of transformers model, "hubert"."""
        ...

    @property
    def speech_features(self) -> int:
        """S."""
        ...

    def draw(
        self,
        given: FaceConditions,
        *,
        style: Tensor,
        seed: int,
        purpose: str,
        sampling: FlowSampling,
        window_frames: int = 1024,
    ) -> Tensor:
        """Returns coefficients [T, K], the same for every window size.

        Args:
            given: Conditions of every frame.
            style: Statistics of how much a person moves (`auteur.motion.style`); [C].
            seed: The user's.
            purpose: Name of the noise; every purpose has its own, independent numbers.
            sampling: Temperature; steps and guidance where the model has them.
            window_frames: Frames computed at once; it changes memory, not the result.
        """
        ...

    def displacement(self, coefficients: Tensor) -> Tensor:
        """Returns the displacement from neutral [..., 478, 3] in millimetres of coefficients [..., K]."""
        ...


def check_motion_rate(frames_per_sec: int, name: str) -> None:
    """Refuses a model of another rate.

    Raises:
        WeightsError: Its rate is not that of the motion grid.
    """
    if frames_per_sec != MOTION_RATE:
        raise WeightsError(
            f"{name} was trained at {frames_per_sec} frames per second; motion runs at {MOTION_RATE}: train "
            f"it on tracks at {MOTION_RATE} frames per second"
        )
