"""Routes: optional stages before the motion that predict an expression from speech and emotions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from auteur.errors import UsageError
from auteur.expression.curve import NON_NEUTRAL_EMOTIONS, EmotionCurve
from auteur.facs import convert, prototype
from auteur.motion.performance import ExpressionShapes
from auteur.signals import AUTrack, ExpressionTrack, Sound
from auteur.weights import load_shipped, version

if TYPE_CHECKING:
    from auteur.expression.space import CompactExpressionSpace

Floats = NDArray[np.floating[Any]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Expressed:
    """Prediction of a route from speech and emotion."""

    action_units: AUTrack | None
    """From time 0, any convention and rate, about as long as the speech; NaN where not specified. None for a
    space of expressions without Action Units: fixed prototypes of the emotions then move the landmarks."""
    shapes: ExpressionShapes | None = None
    """The same as mesh shapes, from routes that predict more than Action Units can express."""
    notes: tuple[str, ...] = ()
    """Sentences about rules that applied."""
    vectors: ExpressionTrack | None = None
    """The same as expression vectors, for denoisers that are conditioned on vectors of this space."""


class Expression(Protocol):
    """A route: speech and emotions → expression over time."""

    def __call__(self, speech: Sound, emotions: EmotionCurve | None) -> Expressed:
        """Returns the expression.

        Args:
            speech: 16 kHz mono.
            emotions: Requested emotions over time; None leaves them to the speech.
        """
        ...


@dataclass(frozen=True)
class Route:
    """One row of the table."""

    summary: str
    """One line for messages and help."""
    expression: str | None
    """"module:function" that returns an `Expression`, imported when it is used; None for a route without a
    model, in which emotions are fixed prototypes."""
    weights: tuple[str, ...] = ()
    """Names of the shipped weights that it loads."""

    def load(self) -> Expression | None:
        """Returns the route with the weights that ship with the package."""
        if self.expression is None:
            return None
        module, _, name = self.expression.partition(":")
        builder: Callable[[], Expression] = getattr(import_module(module), name)
        return builder()


ROUTES: dict[str, Route] = {
    "landmark": Route("speech and the request drive the landmarks (paper C)", expression=None),
    "auhead": Route(
        "an audio-language model recognises the emotion and writes Action Units (paper A)",
        expression="auteur.talking_head.routes:auhead",
        weights=("audio_lm",),
    ),
    "emodiffhead": Route(
        "an emotion and its strength drive an expression trajectory (paper B)",
        expression="auteur.talking_head.routes:emodiffhead",
        weights=("expression_space", "expression_generator"),
    ),
}
"""Every route by name."""


def auhead(path: Path | None = None, adapter: Path | None = None) -> Expression:
    """Returns paper A's first stage.

    Args:
        path: Weights file or folder of an audio-language model; None: the shipped one.
        adapter: LoRA adapter of such a folder.
    """
    from auteur.expression.speech_to_au import SpeechToAU

    model = SpeechToAU.shipped() if path is None else SpeechToAU.from_path(path, adapter=adapter)

    def express(speech: Sound, emotions: EmotionCurve | None) -> Expressed:
        notes: dict[str, None] = {}

        def units(speech: Sound, emotion: str | None, intensity: float) -> AUTrack:
            result = model(speech, emotion=emotion, intensity=intensity)
            notes.update(dict.fromkeys(result.notes))
            return result.track

        action_units = expressed_units(units, speech, emotions)
        return Expressed(action_units=action_units, notes=tuple(notes))

    return express


def emodiffhead(path: Path | None = None, space: Path | None = None) -> Expression:
    """Returns paper B's first stage: an expression generator and its linear editing.

    Args:
        path: Weights file of a generator; None: the shipped one.
        space: Weights file of its compact expression space; None: the shipped one.
    """
    from auteur.expression.generator.emotion_control import emotion_control, frames_of

    control = emotion_control(path, space)
    # A generator of the user's has apexes of its own, of which nothing is known to be missing.
    is_shipped = path is None and space is None
    beyond = _beyond_space(control.space) if is_shipped and control.space is not None else None

    def express(speech: Sound, emotions: EmotionCurve | None) -> Expressed:
        curve = emotions or EmotionCurve.constant("neutral", 0.0)
        made = control.direct(curve, frames_of(speech), speech=speech)
        shapes = control.shapes
        finer = None
        if shapes is not None:
            weights = np.asarray(made.edit.values, dtype=np.float64)
            if beyond is not None:
                weights = np.concatenate([weights, made.strengths], axis=1)
                shapes = np.concatenate([shapes, beyond])
            finer = ExpressionShapes(weights=weights, shapes=shapes, space=made.edit.convention)
        return Expressed(action_units=made.units, shapes=finer, vectors=made.vectors)

    return express


def _beyond_space(space: "CompactExpressionSpace") -> Floats:
    """Returns what the space cannot show of the prototype of each emotion, [7, 478, 3] mm.

    The shipped apexes are prototypes, encoded. The space is a basis of talking people, who hardly ever draw
    raised brows together; added in proportion to the strengths, faces are those of every other route.
    """
    from auteur.motion.au_basis import AUBasis

    basis = load_shipped(AUBasis(), "au_basis")
    whole = np.stack([basis.displacement(prototype(e, convention="facs")) for e in NON_NEUTRAL_EMOTIONS])
    return whole - space.decode(space.encode(whole))


def expressed_units(
    units: Callable[[Sound, str | None, float], AUTrack], speech: Sound, emotions: EmotionCurve | None
) -> AUTrack:
    """Returns the Action Units of an emotion curve from a model that takes one emotion at a time.

    Linear editing (arXiv 2409.07255) between the model's prediction for neutral speech and the one for each
    emotion, over time and beyond full strength; the model runs once for each of them.

    Args:
        units: Model: (speech, emotion or None for the speech's own, strength in [0, 1]) → Action Units.
        speech: 16 kHz mono.
        emotions: Requested emotions; None leaves them to the speech.
    """
    if emotions is None:
        return units(speech, None, 1.0)
    if len(emotions.keys) == 1 and len(emotions.emotions) <= 1 and emotions.strongest <= 1:
        return units(speech, (*emotions.emotions, "neutral")[0], emotions.strongest or 1.0)
    neutral = convert(units(speech, "neutral", 1.0), "facs")
    strengths = emotions.at(float(neutral.start_sec) + np.arange(neutral.frames) / float(neutral.rate))
    values = np.array(neutral.values, dtype=np.float64)
    for emotion in emotions.emotions:
        full = convert(units(speech, emotion, 1.0), "facs")
        amount = strengths[:, NON_NEUTRAL_EMOTIONS.index(emotion), None]
        values += amount * (np.asarray(full.values, dtype=np.float64) - neutral.values)
    return neutral.replace(values=np.clip(values, 0, 1))


AUTOMATIC_FROM_SPEECH, AUTOMATIC_BY_REQUEST = "auhead", "landmark"
"""Routes that "auto" stands for: without a request, and with one."""


def route_name(name: str, *, asks_nothing: bool = False) -> str:
    """Returns the name of a row. "auto" takes the emotion from the speech unless there is a request.

    Raises:
        UsageError: There is no such route.
    """
    automatic = AUTOMATIC_FROM_SPEECH if asks_nothing else AUTOMATIC_BY_REQUEST
    found = automatic if name == "auto" else name
    if found not in ROUTES:
        raise UsageError(f"there is no route {name!r}; choose one of auto, {', '.join(ROUTES)}")
    return found


def find_route(name: str, *, asks_nothing: bool = False) -> Route:
    """Returns the route of a name; see `route_name`."""
    return ROUTES[route_name(name, asks_nothing=asks_nothing)]


@dataclass(frozen=True)
class Routes:
    """The rows of the table with the models of a folder of stages in place of shipped ones."""

    own: Mapping[str, Callable[[], Expression]] = field(default_factory=dict[str, Callable[[], Expression]])
    """Builders by the name of the route."""
    versions: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    """Versions of their models, by the name of the route, then of the model."""

    def load(self, name: str, *, asks_nothing: bool = False) -> Expression | None:
        """Returns the stage before the motion; None for a route without one.

        Raises:
            UsageError: There is no such route.
            WeightsError: Its model is missing, damaged or does not fit.
        """
        found = route_name(name, asks_nothing=asks_nothing)
        return self.own[found]() if found in self.own else ROUTES[found].load()

    def models(self, name: str, *, asks_nothing: bool = False) -> dict[str, str]:
        """Returns the version of every model of a route, by the name of the model."""
        found = route_name(name, asks_nothing=asks_nothing)
        if found in self.own:
            return dict(self.versions[found])
        return {one: version(one) for one in ROUTES[found].weights}
