"""`auteur direct SPEECH -o TRACK`: speech → emotion and Action Unit track."""

import json as json_text
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from auteur.cli.arguments import Flag, Pairs, check_readable, choice, options, parse_pairs
from auteur.cli.console import counted, note, one_thread, working
from auteur.cli.performance_arguments import CONVENTIONS, EMOTIONS

if TYPE_CHECKING:  # importing it takes torch
    from auteur.expression.speech_to_au import SpeechToAU

_SHIPPED = {"compact": "audio_lm", "regressor": "regressor"}


@options
class DirectArguments:
    """Options of `auteur direct`."""

    speech: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="SPEECH")]
    """A recording, or a video with sound; any length from 0.1 s."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """The track to write: .json, or .csv (a table that can be edited)."""
    model: Annotated[str, choice("compact", "regressor", other="FILE")] = "compact"
    """compact (an audio-language model) or regressor (the control). Or a weights file, or the folder of a
    transformers audio-language model."""
    adapter: Path | None = None
    """LoRA adapter for such a folder."""
    emotion: Annotated[str | None, choice(*EMOTIONS, "calm", "bored")] = None
    """Emotion to use instead of the one in the voice."""
    intensity: float = 1.0
    """Intensity of the emotion, 0 to 1."""
    au_scale: Pairs = ()
    """Factors on single controls, such as AU12=1.5 brow_lower=0.5; 0 to 10."""
    au_offset: Pairs = ()
    """Added to single controls, such as AU1=0.2; -1 to 1."""
    mute: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME ...")] = ()
    """Controls that must not move, such as AU4."""
    smooth: float = 0.0
    """Smoothing over time: standard deviation in seconds, 0 to 10."""
    convention: Annotated[str, choice(*CONVENTIONS)] = "feafa24"
    """Convention of the track (docs/action_units.md)."""
    plot: Path | None = None
    """Also draw the curves into this PNG."""
    overwrite: Flag = False
    """Replace files that exist."""
    json: Flag = False
    """End with one JSON object on standard output."""


def direct(arguments: DirectArguments) -> int:
    """Writes the Action Units over time that fit the emotion in a recording.

    Examples:
        auteur direct talk.wav -o talk.csv
        auteur direct talk.wav -o talk.csv --emotion happy --au-scale AU12=1.5 --mute AU4
            happy whatever the voice, with a wider smile and no frown
    """
    started_sec = time.monotonic()
    scale = parse_pairs(arguments.au_scale, "--au-scale")
    offset = parse_pairs(arguments.au_offset, "--au-offset")
    check_readable(arguments.speech)

    # Most of it takes torch: not before the arguments have been checked.
    from auteur.expression.adjust import Adjustment
    from auteur.expression.audio_lm.prompts import find_voice_emotion
    from auteur.facs import convert, find_convention
    from auteur.files import check_writable
    from auteur.media import examine_speech
    from auteur.plots.track_plot import check_plot, plot_track

    adjustment = Adjustment(scale=scale, offset=offset, mute=arguments.mute, smooth_sec=arguments.smooth)
    emotion = None if arguments.emotion is None else find_voice_emotion(arguments.emotion)
    find_convention(arguments.convention)
    check_writable(arguments.out, overwrite=arguments.overwrite)
    if arguments.plot is not None:
        check_plot(arguments.plot, overwrite=arguments.overwrite)
    with working(f"directing {arguments.speech.name}"):
        speech, content = examine_speech(arguments.speech)
        one_thread()
        model = _model(arguments.model, arguments.adapter)
        predicted = model(speech, emotion=emotion, intensity=arguments.intensity, adjustment=adjustment)
    for line in (*content.lines(), *predicted.notes):
        note(line)
    track = convert(predicted.track, arguments.convention)
    track.save(arguments.out, overwrite=arguments.overwrite)
    if arguments.plot is not None:
        plot_track(arguments.out, arguments.plot, overwrite=arguments.overwrite)
    result = {
        "output": str(arguments.out),
        "emotion": predicted.emotion,
        "probability": round(predicted.probability, 3),
        "frames": track.frames,
        "fps": str(track.rate),
        "convention": track.convention,
        "seconds": round(time.monotonic() - started_sec, 3),
        "probabilities": {word: round(value, 3) for word, value in predicted.probabilities.items()},
    }
    label = "as requested" if emotion is not None else f"{predicted.probability:.0%}"
    text = f"{arguments.out}: {predicted.emotion} ({label}), {counted(track.frames, 'frame')}"
    print(json_text.dumps(result) if arguments.json else text)
    return 0


def _model(model: str, adapter: Path | None) -> "SpeechToAU":
    from auteur.expression.speech_to_au import SpeechToAU

    if model in _SHIPPED and adapter is None:
        return SpeechToAU.shipped(_SHIPPED[model])
    return SpeechToAU.from_path(Path(model), adapter=adapter)
