"""`auteur generate PORTRAIT SPEECH -o OUT.mp4`: the main job."""

import json as json_text
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import tyro

from auteur.cli.console import note, one_thread, progress
from auteur.errors import UsageError

Flag = tyro.conf.FlagCreatePairsOff[bool]

_LANDMARKS, _ASKED = "landmarks.json", "asked.json"


@dataclass(frozen=True)
class GenerateArguments:
    """What `auteur generate` can be told."""

    portrait: tyro.conf.Positional[Path]
    """A picture with a face: PNG, JPEG or WEBP."""
    speech: tyro.conf.Positional[Path]
    """A recording, or a video with sound."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("out.mp4")
    """The MP4 to write."""
    emotion: str | None = None
    """neutral, happy, sad, angry, fear, disgusted, surprised or contempt."""
    intensity: float = 1.0
    """Of the emotion, 0 to 1."""
    au: tuple[str, ...] = ()
    """Single controls, such as AU1=0.5 smile_left=0.3; 0 to 1."""
    track: Path | None = None
    """Action Unit curves: a CSV or JSON of any convention."""
    seed: int = 0
    """The same seed gives the same frames."""
    fps: str = "25"
    """Frames per second; 30000/1001 for 29.97."""
    head: float = 1.0
    """Factor on head motion; 0 keeps the head still."""
    blinks: bool = True
    """Blink."""
    gaze: bool = True
    """Let the eyes wander a little."""
    face: int = 0
    """Which face of the portrait: 0 is the largest."""
    save_tracks: Path | None = None
    """Also write asked.json (what was asked for) and landmarks.json into this folder."""
    overwrite: Flag = False
    """Replace files that exist."""
    json: Flag = False
    """End with one JSON object on standard output."""


def generate(arguments: tyro.conf.OmitArgPrefixes[GenerateArguments]) -> int:
    """Makes a portrait say a recording, with the emotion and the Action Units you ask for.

    Example: auteur generate me.jpg talk.wav -o out.mp4 --emotion happy --intensity 0.6 --au AU1=0.5
    """
    started_sec = time.monotonic()
    controls = parse_controls(arguments.au)
    fps = parse_rate(arguments.fps)

    # It takes torch: not before the arguments are known to be good.
    from auteur.files import check_writable
    from auteur.pipelines.request import Performance
    from auteur.pipelines.talking_head import MODELS, Settings, TalkingHead
    from auteur.weights import version

    check_writable(arguments.out, overwrite=arguments.overwrite)
    folder = arguments.save_tracks
    if folder is not None:
        if folder.exists() and not folder.is_dir():
            raise UsageError(f"--save-tracks {str(folder)!r} is a file; name a folder")
        folder.mkdir(parents=True, exist_ok=True)
        for name in (_LANDMARKS, _ASKED):
            check_writable(folder / name, overwrite=arguments.overwrite)
    asked = Performance(arguments.emotion, arguments.intensity, controls, arguments.track)
    settings = Settings(
        seed=arguments.seed,
        fps=fps,
        head=arguments.head,
        blinks=arguments.blinks,
        gaze=arguments.gaze,
    )
    one_thread()
    head = TalkingHead.from_pretrained()
    video = head.perform(arguments.portrait, arguments.speech, asked, settings, face=arguments.face)
    for line in video.notes:
        note(line)
    with progress("rendering", video.frame_count) as advance:
        video.save(arguments.out, overwrite=arguments.overwrite, on_frame=advance)
    if folder is not None:
        video.landmarks().save(folder / _LANDMARKS, overwrite=arguments.overwrite)
        if video.au_track is not None:
            video.au_track.save(folder / _ASKED, overwrite=arguments.overwrite)
    result = {
        "output": str(arguments.out),
        "frames": video.frame_count,
        "fps": str(fps),
        "seconds": round(time.monotonic() - started_sec, 3),
        "seed": arguments.seed,
        "models": {name: version(name) for name in MODELS},
    }
    print(json_text.dumps(result) if arguments.json else f"{arguments.out}: {video.frame_count} frames")
    return 0


def parse_controls(pairs: tuple[str, ...]) -> dict[str, float]:
    """Returns {"AU12": 0.6} for ("AU12=0.6",).

    Raises:
        UsageError: A pair has no "=" or no number behind it.
    """
    controls: dict[str, float] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        try:
            controls[name] = float(text)
        except ValueError:
            equals = ""
        if not equals or not name:
            raise UsageError(f"--au {pair!r} is not NAME=VALUE, such as AU12=0.6 or smile=0.6")
    return controls


def parse_rate(text: str) -> Fraction:
    """Returns a frame rate such as "25", "29.97" or "30000/1001" exactly.

    Raises:
        UsageError: It is not a number.
    """
    try:
        return Fraction(text)
    except (ValueError, ZeroDivisionError) as error:
        raise UsageError(f"--fps is {text!r}; give a number such as 25 or 30000/1001") from error
