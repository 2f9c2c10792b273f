"""Routes: optional stages before the motion that predict a performance from speech and a request."""

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
from auteur.motion.grid import MOTION_RATE
from auteur.motion.performance import ExpressionShapes, Performance, as_specified
from auteur.signals import AUTrack, ExpressionTrack, Sound, measured
from auteur.speech.features import frames_at
from auteur.talking_head.request import PerformanceRequest
from auteur.weights import load_shipped, version

if TYPE_CHECKING:
    from auteur.expression.space import CompactExpressionSpace

Floats = NDArray[np.floating[Any]]


class RouteModel(Protocol):
    """The model of a route: speech and a request → what it specifies of the performance."""

    def __call__(self, speech: Sound, request: PerformanceRequest) -> Performance:
        """Returns a performance as long as the speech; `performance_of_route` makes one of Action Units.

        It may fill `acted` (NaN where not specified), `expression`, `trajectory`, `head`, `gaze_rad` and
        `notes`. Without `acted`, fixed prototypes of the emotions move the landmarks. Everything else of the
        request (track, single units, scales, lips) is applied afterwards, by `motion_stage.performance_of`.

        Args:
            speech: 16 kHz mono.
            request: Its `emotions` are the requested emotions over time; None leaves them to the speech.
        """
        ...


@dataclass(frozen=True)
class Route:
    """One row of the table."""

    summary: str
    """One line for messages and help."""
    model: str | None
    """"module:function" that returns a `RouteModel`, imported when it is used; None for a route without one,
    in which emotions are fixed prototypes."""
    weights: tuple[str, ...] = ()
    """Names of the shipped weights that it loads."""

    def load(self) -> RouteModel | None:
        """Returns the route with the weights that ship with the package."""
        if self.model is None:
            return None
        module, _, name = self.model.partition(":")
        builder: Callable[[], RouteModel] = getattr(import_module(module), name)
        return builder()


ROUTES: dict[str, Route] = {
    "landmark": Route("speech and the request drive the landmarks (paper C)", model=None),
    "auhead": Route(
        "an audio-language model recognises the emotion and writes Action Units (paper A)",
        model="auteur.talking_head.routes:auhead",
        weights=("audio_lm",),
    ),
    "emodiffhead": Route(
        "an emotion and its strength drive an expression trajectory (paper B)",
        model="auteur.talking_head.routes:emodiffhead",
        weights=("expression_space", "expression_generator"),
    ),
}
"""Every route by name."""


_UNCLEAR = 0.4
"""Probability of a recognised emotion below which a note says so."""


def auhead(path: Path | None = None, adapter: Path | None = None) -> RouteModel:
    """Returns paper A's first stage.

    An emotion that the model recognises, and no request names, counts by its probability: what is shown is
    the expectation over it and a neutral face, so that a voice of which little is known does not frown.

    Args:
        path: Weights file or folder of an audio-language model; None: the shipped one.
        adapter: LoRA adapter of such a folder.
    """
    from auteur.expression.speech_to_au import SpeechToAU

    model = SpeechToAU.shipped() if path is None else SpeechToAU.from_path(path, adapter=adapter)

    def perform(speech: Sound, request: PerformanceRequest) -> Performance:
        notes: dict[str, None] = {}

        def units(speech: Sound, emotion: str | None, intensity: float) -> AUTrack:
            result = model(speech, emotion=emotion, intensity=intensity)
            notes.update(dict.fromkeys(result.notes))
            if emotion is not None:
                return result.track
            if result.emotion != "neutral" and result.probability < _UNCLEAR:
                likeliest = f"{result.emotion}, {result.probability:.0%}"
                notes[f"the emotion of the voice is unclear ({likeliest}); --emotion names one"] = None
            return result.track.replace(values=np.asarray(result.track.values) * result.probability)

        action_units = expressed_units(units, speech, request.emotions)
        return performance_of_route(speech, action_units, notes=tuple(notes))

    return perform


def emodiffhead(path: Path | None = None, space: Path | None = None) -> RouteModel:
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

    def perform(speech: Sound, request: PerformanceRequest) -> Performance:
        curve = request.emotions or EmotionCurve.constant("neutral", 0.0)
        made = control.direct(curve, frames_of(speech), speech=speech)
        shapes = control.shapes
        finer = None
        if shapes is not None:
            weights = np.asarray(made.edit.values, dtype=np.float64)
            if beyond is not None:
                weights = np.concatenate([weights, made.strengths], axis=1)
                shapes = np.concatenate([shapes, beyond])
            finer = ExpressionShapes(weights=weights, shapes=shapes, space=made.edit.convention)
        return performance_of_route(speech, made.units, expression=finer, trajectory=made.vectors)

    return perform


def performance_of_route(
    speech: Sound,
    action_units: AUTrack | None,
    *,
    expression: ExpressionShapes | None = None,
    trajectory: ExpressionTrack | None = None,
    notes: tuple[str, ...] = (),
) -> Performance:
    """Returns predictions as a performance as long as the speech, on the motion grid.

    Args:
        speech: The speech that they are predicted from.
        action_units: From time 0, any convention and rate, about as long as the speech; NaN where not
            specified. None for a space of expressions without Action Units.
        expression: The same as mesh shapes, from routes that predict more than Action Units can express.
        trajectory: The same as expression vectors, for denoisers that are conditioned on vectors of this
            space.
        notes: Sentences about rules that applied.
    """
    frames = max(1, frames_at(speech, MOTION_RATE))
    acted = None
    if action_units is not None:
        acted = as_specified(measured(action_units)).resample(MOTION_RATE, start_sec=0, frames=frames)
    return Performance(frames=frames, acted=acted, expression=expression, trajectory=trajectory, notes=notes)


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


def route_name(name: str, *, without_request: bool = False) -> str:
    """Returns the name of a row. "auto" takes the emotion from the speech unless there is a request.

    Raises:
        UsageError: There is no such route.
    """
    automatic = AUTOMATIC_FROM_SPEECH if without_request else AUTOMATIC_BY_REQUEST
    found = automatic if name == "auto" else name
    if found not in ROUTES:
        raise UsageError(f"there is no route {name!r}; choose one of auto, {', '.join(ROUTES)}")
    return found


def find_route(name: str, *, without_request: bool = False) -> Route:
    """Returns the route of a name; see `route_name`."""
    return ROUTES[route_name(name, without_request=without_request)]


@dataclass(frozen=True)
class Routes:
    """The rows of the table with the models of a folder of stages in place of shipped ones."""

    own: Mapping[str, Callable[[], RouteModel]] = field(default_factory=dict[str, Callable[[], RouteModel]])
    """Builders by the name of the route."""
    versions: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    """Versions of their models, by the name of the route, then of the model."""

    def load(self, name: str, *, without_request: bool = False) -> RouteModel | None:
        """Returns the stage before the motion; None for a route without one.

        Raises:
            UsageError: There is no such route.
            WeightsError: Its model is missing, damaged or does not fit.
        """
        found = route_name(name, without_request=without_request)
        return self.own[found]() if found in self.own else ROUTES[found].load()

    def models(self, name: str, *, without_request: bool = False) -> dict[str, str]:
        """Returns the version of every model of a route, by the name of the model."""
        found = route_name(name, without_request=without_request)
        if found in self.own:
            return dict(self.versions[found])
        return {one: version(one) for one in ROUTES[found].weights}
