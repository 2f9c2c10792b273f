"""Options that `auteur generate` and `auteur move` share: the requested performance and idle motion."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from auteur.cli.arguments import Pairs, Rate, choice, options, parse_pairs
from auteur.errors import UsageError

if TYPE_CHECKING:
    from auteur.talking_head.request import PerformanceRequest

EMOTIONS = ("neutral", "happy", "sad", "angry", "fear", "disgusted", "surprised", "contempt")
"""`auteur.facs.EMOTIONS`, written out: importing it takes half of the time until a bad input is named."""

ROUTES = ("auto", "landmark", "auhead", "emodiffhead")
"""Names of `auteur.talking_head.routes.ROUTES`, written out for the same reason."""

CONVENTIONS = ("feafa24", "openface17", "openface18", "arkit52", "pyfeat20", "facs")
"""Names of `auteur.facs.CONVENTIONS`, written out for the same reason."""

EmotionName = Annotated[str | None, choice(*EMOTIONS)]


@options
class PerformanceOptions:
    """What the face shows; all of it adds up. `auteur units` lists the controls."""

    emotion: EmotionName = None
    """The emotion throughout."""
    intensity: float = 1.0
    """How strong the emotion is, 0 to 1.2; over 1 extrapolates."""
    emotion_curve: Annotated[str | None, tyro.conf.arg(metavar="CURVE")] = None
    """Emotions over time instead: "0s neutral, 1s happy:0.3, 3s happy:1, 5s sad:0.4+fear:0.3"."""
    au: Pairs = ()
    """Single controls, such as AU1=0.5 smile_left=0.3; 0 to 1."""
    track: Path | None = None
    """Action Unit curves: a CSV or JSON of any convention."""
    track_rate: Rate | None = None
    """Frames per second of a track that does not state it, such as py-feat's or one without times."""
    track_face: int | None = None
    """Which face of a track of several."""
    track_start: float | None = None
    """Second of the speech at which the track's first row happens."""
    drive: Path | None = None
    """A video of an actor, who is tracked: face, head, gaze and blinks drive the portrait; the sound, too,
    unless SPEECH is given."""
    lips: Annotated[str | None, choice("speech", "track", "both")] = None
    """Source of the lips; the track or actor unless given, where it measures how far the mouth opens."""
    head_track: Annotated[str, tyro.conf.arg(metavar="FILE|track|none")] = "track"
    """Where head motion comes from: the track's own, if it has any; another table; or none of them."""
    gaze_track: Annotated[str, tyro.conf.arg(metavar="FILE|track|none")] = "track"
    """Where gaze comes from, as --head-track."""
    au_scale: Pairs = ()
    """Factors on single controls in all of the above, such as AU12=1.5; 0 to 4."""
    mute: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ...")] = ()
    """Controls that stay still, such as AU4."""
    route: Annotated[str, choice(*ROUTES)] = "auto"
    """Model that turns speech into Action Units. landmark: none, the options above; auhead: the emotion in
    the speech;
    emodiffhead: an emotion as a trajectory; auto: landmark with any option above, else auhead."""

    def files(self) -> tuple[Path, ...]:
        """Returns the files that the options name."""
        named = (self.track, self.drive, _source(self.head_track), _source(self.gaze_track))
        return tuple(one for one in named if isinstance(one, Path))

    def performance(self) -> "PerformanceRequest":
        """Returns the options as one object.

        Raises:
            UsageError: A value is outside its range or unknown.
        """
        controls = parse_pairs(self.au, "--au")
        scales = parse_pairs(self.au_scale, "--au-scale") | dict.fromkeys(self.mute, 0.0)
        from auteur.expression.curve import parse_curve
        from auteur.formats import TrackReading
        from auteur.signals.timebase import parse_rate
        from auteur.talking_head.request import PerformanceRequest

        rate = None if self.track_rate is None else parse_rate(self.track_rate, "--track-rate")
        reading = TrackReading(rate=rate, face=self.track_face, start_sec=self.track_start)
        if not self.files() and reading.given():
            option = next(iter(reading.given())).replace("_sec", "").replace("_", "-")
            raise UsageError(f"--{option} sets how a track is read, and there is none; name it with --track")
        curve = None if self.emotion_curve is None else parse_curve(self.emotion_curve)
        return PerformanceRequest(
            self.emotion,
            self.intensity,
            controls,
            self.track,
            scales,
            curve,
            track_reading=reading,
            drive=self.drive,
            lips=self.lips,  # pyright: ignore[reportArgumentType]  # judged there
            head_track=_source(self.head_track),  # pyright: ignore[reportArgumentType]
            gaze_track=_source(self.gaze_track),  # pyright: ignore[reportArgumentType]
        )


@options
class MotionOptions:
    """What the face does by itself; each is a field of `Settings`, too."""

    seed: int | None = None
    """The same seed gives the same motion; unless given, it follows from what portrait and speech hold."""
    liveliness: float = 1.0
    """How lively face and head move: 0 calm, 1 like most people, 2 like the liveliest."""
    head: float = 1.0
    """Factor on head motion, drawn or tracked; 0 keeps the head still."""
    blinks: bool = True
    """Blink."""
    gaze: bool = True
    """Let the eyes wander a little."""


def _source(text: str) -> "Path | str":
    return text if text in ("track", "none") else Path(text)
