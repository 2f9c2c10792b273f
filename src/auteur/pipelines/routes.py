"""Routes from speech to Action Units: what may stand before the motion generator."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from auteur.errors import UsageError
from auteur.expression.curve import DIALLED, EmotionCurve
from auteur.facs import convert
from auteur.signals import AUTrack, Sound

Floats = NDArray[np.floating]


@runtime_checkable
class Expression(Protocol):
    """The first stage of a route: what a face should show while it says something."""

    def __call__(self, speech: Sound, *, emotion: str | None, intensity: float) -> AUTrack:
        """Returns Action Units from time 0, any convention and rate, about as long as the speech.

        Args:
            speech: 16 kHz mono.
            emotion: What the user asked for, one of `auteur.facs.EMOTIONS`; None leaves it to the speech.
            intensity: Of the emotion, in [0, 1].
        """
        ...


@runtime_checkable
class ShapedExpression(Protocol):
    """A first stage that also says how the skin moves, which Action Units can only come near to."""

    def shaped(self, speech: Sound, *, curve: EmotionCurve) -> tuple[AUTrack, Floats, Floats]:
        """Returns Action Units as `Expression` does, then weights [T, E] of shapes [E, 478, 3] in mm.

        Args:
            speech: 16 kHz mono.
            curve: Emotions and strengths over time.
        """
        ...


@dataclass(frozen=True)
class Route:
    """One way from speech to motion."""

    summary: str
    """What it does, for messages and help."""
    expression: str | None
    """"module:function" that returns an `Expression`, imported when it is used; None where nothing stands
    before the motion and emotions are fixed prototypes."""
    weights: tuple[str, ...] = ()
    """Shipped weights of that stage."""

    def load(self) -> Expression | None:
        """Returns its first stage with the weights that ship with the package."""
        if self.expression is None:
            return None
        module, _, name = self.expression.partition(":")
        builder: Callable[[], Expression] = getattr(import_module(module), name)
        return builder()


ROUTES: dict[str, Route] = {
    "landmark": Route("speech and what is asked for drive the landmarks (paper C)", expression=None),
    "auhead": Route(
        "an audio-language model hears the emotion and writes Action Units (paper A)",
        expression="auteur.expression.director:expression",
        weights=("audio_lm",),
    ),
    "emodiffhead": Route(
        "an emotion and its strength drive an expression trajectory (paper B)",
        expression="auteur.expression.generator.dial:shipped_dial",
        weights=("expression_space", "expression_generator"),
    ),
}
"""Every route by name."""


def following(stage: Expression, speech: Sound, curve: EmotionCurve) -> AUTrack:
    """Returns what a first stage shows while emotions follow a curve, convention "facs".

    Linear editing (arXiv 2409.07255) between what the stage makes of the speech spoken neutrally and in each
    emotion; the stage is asked once for each of them.
    """
    calm = convert(stage(speech, emotion="neutral", intensity=1.0), "facs")
    strengths = curve.at(float(calm.start_sec) + np.arange(calm.frames) / float(calm.rate))
    values = np.array(calm.values, dtype=np.float64)
    for emotion in curve.emotions:
        full = convert(stage(speech, emotion=emotion, intensity=1.0), "facs")
        amount = strengths[:, DIALLED.index(emotion), None]
        values += amount * (np.asarray(full.values, dtype=np.float64) - calm.values)
    return calm.replace(values=np.clip(values, 0, 1))


HEARD, ASKED = "auhead", "landmark"
"""What "auto" means when nothing is asked for, and when something is."""


def find_route(name: str, *, asks_nothing: bool = False) -> Route:
    """Returns the route of a name. "auto" listens for the emotion unless the user says what to show.

    Raises:
        UsageError: There is no such route.
    """
    automatic = HEARD if asks_nothing else ASKED
    route = ROUTES.get(automatic if name == "auto" else name)
    if route is None:
        raise UsageError(f"there is no route {name!r}; choose one of auto, {', '.join(ROUTES)}")
    return route
