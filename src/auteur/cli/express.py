"""`auteur express --emotion E --intensity I --seconds S -o TRACK`: an emotion as a trajectory."""

import json as json_text
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from auteur.cli.arguments import Flag, options
from auteur.cli.console import counted, note, one_thread
from auteur.cli.performance_arguments import EmotionName
from auteur.errors import UsageError
from auteur.expression.curve import EXTRAPOLATES, EmotionCurve, parse_curve

if TYPE_CHECKING:  # importing it takes torch
    import numpy as np

    from auteur.signals import LandmarkTrack

LONGEST_SEC = 3600.0


@options
class ExpressArguments:
    """Options of `auteur express`."""

    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """The track to write: .csv for the Action Units that the emotion adds (`auteur generate --track` plays
    it), .json for the whole trajectory as expression vectors."""
    emotion: EmotionName = None
    """The emotion throughout."""
    intensity: float = 1.0
    """How strong, 0 to 1.2; over 1 extrapolates."""
    emotion_curve: Annotated[str | None, tyro.conf.arg(metavar="CURVE")] = None
    """Emotions over time instead: "0s neutral, 1s happy:0.3, 3s happy:1, 5s sad:0.4+fear:0.3"."""
    seconds: float | None = None
    """How long; the speech's or the curve's length unless given."""
    speech: Path | None = None
    """Speech that the expression accompanies: a recording, or a video with sound."""
    subject: Path | None = None
    """Footage of one person in the emotion, tracked with `auteur track --dense`: this person's expression is
    used."""
    subject_neutral: Path | None = None
    """The same person at rest, tracked with --dense."""
    seed: int = 0
    """The same seed gives the same trajectory."""
    overwrite: Flag = False
    """Replace a file that exists."""
    json: Flag = False
    """End with one JSON object on standard output."""


def express(arguments: ExpressArguments) -> int:
    """Writes the expression of an emotion, or of a curve of emotions, over time.

    Examples:
        auteur express --emotion happy --intensity 0.7 --seconds 4 -o happy.csv
            Action Units, which `auteur generate --track happy.csv` plays
        auteur express --emotion-curve "0s neutral, 1s happy:1, 3s sad:0.5" --speech talk.wav -o mood.csv
            emotions that follow each other during the speech
    """
    from auteur.files import check_writable

    curve = requested_curve(arguments)
    if arguments.out.suffix.lower() not in (".csv", ".json"):
        raise UsageError(f"a track is written as .csv or .json, and {str(arguments.out)!r} ends in neither")
    check_writable(arguments.out, overwrite=arguments.overwrite)

    # It takes torch: not before the arguments have been checked.
    from auteur.expression.generator.emotion_control import CONTROL_RATE, EmotionControl, frames_of
    from auteur.media import read_speech

    one_thread()
    if curve.strongest > 1:
        note(EXTRAPOLATES)
    speech = None if arguments.speech is None else read_speech(arguments.speech)
    seconds = arguments.seconds
    if seconds is not None:
        frames = max(1, round(seconds * float(CONTROL_RATE)))
    else:
        frames = frames_of(speech) if speech else round(curve.duration_sec * float(CONTROL_RATE)) + 1
    control = EmotionControl.shipped(directions=own_directions(arguments, curve))
    made = control.direct(curve, frames, seed=arguments.seed, speech=speech)
    is_table = arguments.out.suffix.lower() == ".csv"
    track = made.units if is_table and made.units is not None else made.vectors
    track.save(arguments.out, overwrite=arguments.overwrite)
    result = {
        "output": str(arguments.out),
        "convention": track.convention,
        "frames": track.frames,
        "fps": str(track.rate),
        "emotions": list(curve.emotions),
        "strongest": round(float(made.strengths.sum(axis=1).max()), 4),
        "seed": arguments.seed,
    }
    print(json_text.dumps(result) if arguments.json else f"{arguments.out}: {counted(track.frames, 'frame')}")
    return 0


def requested_curve(arguments: ExpressArguments) -> EmotionCurve:
    """Returns the emotion curve of the arguments.

    Raises:
        UsageError: Neither or both of an emotion and a curve are given, a value is outside its range, the
            length is unknown, or the curve is malformed.
    """
    if (arguments.emotion is None) == (arguments.emotion_curve is None):
        raise UsageError("give either --emotion or --emotion-curve")
    if arguments.seconds is not None and not 0 < arguments.seconds <= LONGEST_SEC:
        raise UsageError(f"--seconds is {arguments.seconds:g}; it must be over 0 and at most {LONGEST_SEC:g}")
    if arguments.subject is None and arguments.subject_neutral is not None:
        raise UsageError("--subject-neutral needs --subject, the same person in the emotion")
    if arguments.emotion_curve is not None:
        return parse_curve(arguments.emotion_curve)
    if arguments.seconds is None and arguments.speech is None:
        raise UsageError("the length is unknown: give --seconds or --speech")
    return EmotionCurve.constant(arguments.emotion or "neutral", arguments.intensity)


def own_directions(arguments: ExpressArguments, curve: EmotionCurve) -> "dict[str, np.ndarray]":
    """Returns the subject's own direction of the one requested emotion; nothing without a subject.

    Raises:
        UsageError: More than one emotion is requested, or the footage holds no face.
    """
    if arguments.subject is None:
        return {}
    if len(curve.emotions) != 1:
        raise UsageError(
            f"--subject shows one emotion, and {len(curve.emotions)} are requested; request the one it shows"
        )
    import numpy as np

    from auteur.expression.generator.editing import subject_direction
    from auteur.expression.space import CompactExpressionSpace

    space = CompactExpressionSpace.shipped()
    rest = None
    if arguments.subject_neutral is not None:
        values = tracked_mesh(arguments.subject_neutral).values
        rest = np.nanmedian(values, axis=0)
    return {curve.emotions[0]: subject_direction(tracked_mesh(arguments.subject), space, neutral=rest)}


def tracked_mesh(path: Path) -> "LandmarkTrack":
    """Returns the mesh of an `auteur track --dense` table, or of a landmarks track in JSON.

    Raises:
        UsageError: The file holds no mesh.
        InputError: It cannot be read.
    """
    from auteur.formats import open_table, openface_tracks, read_openface
    from auteur.signals import LandmarkTrack, load_track

    if path.suffix.lower() == ".json":
        track = load_track(path)
        if isinstance(track, LandmarkTrack):
            return track
        raise UsageError(f"{str(path)!r} holds a track of kind {track.kind!r}; give landmarks")
    with open_table(path) as lines:
        mesh = openface_tracks(read_openface(lines, source=str(path))).mesh
    if mesh is None:
        raise UsageError(f"{str(path)!r} has no mesh; track it again with --dense")
    return mesh
