"""`auteur direct SPEECH -o TRACK`: speech → emotion and Action Unit track."""

import json as json_text
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from auteur.cli.arguments import parse_pairs
from auteur.cli.console import note, one_thread, progress

Flag = tyro.conf.FlagCreatePairsOff[bool]

if TYPE_CHECKING:  # importing it takes torch
    from auteur.expression.director import Director

_SHIPPED = {"compact": "audio_lm", "regressor": "regressor"}


@dataclass(frozen=True)
class DirectArguments:
    """What `auteur direct` can be told."""

    speech: tyro.conf.Positional[Path]
    """A recording, or a video with sound; any length from 0.1 s."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """The track to write: .json, or .csv (a table that can be edited)."""
    model: str = "compact"
    """compact (an audio-language model), regressor (the control), a weights file, or the folder of a
    transformers audio-language model."""
    adapter: Path | None = None
    """LoRA adapter for such a folder."""
    emotion: str | None = None
    """Instead of what is heard: neutral, happy, sad, angry, fear, disgusted, surprised, contempt, calm or
    bored."""
    intensity: float = 1.0
    """Of the emotion, 0 to 1."""
    au_scale: tuple[str, ...] = ()
    """Factors on single controls, such as AU12=1.5 brow_lower=0.5; 0 to 10."""
    au_offset: tuple[str, ...] = ()
    """Added to single controls, such as AU1=0.2; -1 to 1."""
    mute: tuple[str, ...] = ()
    """Controls that must not move, such as AU4."""
    smooth: float = 0.0
    """Smoothing over time: standard deviation in seconds, 0 to 10."""
    convention: str = "feafa24"
    """Convention of the track: feafa24, facs, arkit52, openface17 or openface18."""
    plot: Path | None = None
    """Also draw the curves into this PNG."""
    overwrite: Flag = False
    """Replace files that exist."""
    json: Flag = False
    """End with one JSON object on standard output."""


def direct(arguments: tyro.conf.OmitArgPrefixes[DirectArguments]) -> int:
    """Hears the emotion in a recording and writes what the face should show.

    Example: auteur direct talk.wav -o talk.csv --emotion happy --au-scale AU12=1.5 --mute AU4
    """
    started_sec = time.monotonic()
    scale = parse_pairs(arguments.au_scale, "--au-scale")
    offset = parse_pairs(arguments.au_offset, "--au-offset")

    # Most of it takes torch: not before the arguments are known to be well formed.
    from auteur.expression.adjust import Adjustment
    from auteur.expression.audio_lm.prompts import find_heard_emotion
    from auteur.facs import convert, find_convention
    from auteur.files import check_writable
    from auteur.media import examine_speech
    from auteur.pipelines.plotting import check_plot, plot_track

    adjustment = Adjustment(scale=scale, offset=offset, mute=arguments.mute, smooth_sec=arguments.smooth)
    emotion = None if arguments.emotion is None else find_heard_emotion(arguments.emotion)
    find_convention(arguments.convention)
    check_writable(arguments.out, overwrite=arguments.overwrite)
    if arguments.plot is not None:
        check_plot(arguments.plot, overwrite=arguments.overwrite)
    speech, heard = examine_speech(arguments.speech)
    one_thread()
    director = _director(arguments.model, arguments.adapter)
    with progress("directing", None):
        direction = director(speech, emotion=emotion, intensity=arguments.intensity, adjustment=adjustment)
    for line in (*heard.lines(), *direction.notes):
        note(line)
    track = convert(direction.track, arguments.convention)
    track.save(arguments.out, overwrite=arguments.overwrite)
    if arguments.plot is not None:
        plot_track(arguments.out, arguments.plot, overwrite=arguments.overwrite)
    result = {
        "output": str(arguments.out),
        "emotion": direction.emotion,
        "probability": round(direction.probability, 3),
        "frames": track.frames,
        "fps": str(track.rate),
        "convention": track.convention,
        "seconds": round(time.monotonic() - started_sec, 3),
        "probabilities": {word: round(value, 3) for word, value in direction.probabilities.items()},
    }
    said = "as asked" if emotion is not None else f"{direction.probability:.0%}"
    text = f"{arguments.out}: {direction.emotion} ({said}), {track.frames} frames"
    print(json_text.dumps(result) if arguments.json else text)
    return 0


def _director(model: str, adapter: Path | None) -> "Director":
    from auteur.expression.director import Director

    if model in _SHIPPED and adapter is None:
        return Director.shipped(_SHIPPED[model])
    return Director.from_path(Path(model), adapter=adapter)
