"""`auteur move SPEECH --portrait PORTRAIT -o LANDMARKS`: speech and Action Units → landmarks."""

import json as json_text
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from auteur.cli.arguments import parse_pairs, parse_rate, track_reading
from auteur.cli.console import note, one_thread, progress

Flag = tyro.conf.FlagCreatePairsOff[bool]


@dataclass(frozen=True)
class MoveArguments:
    """What `auteur move` can be told."""

    speech: tyro.conf.Positional[Path]
    """A recording, or a video with sound."""
    portrait: Path
    """The picture whose face moves, or a video: its first frame with one."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """The landmarks to write: .json (a track) or .csv (an OpenFace table with the dense mesh)."""
    track: Path | None = None
    """Action Unit curves: a CSV or JSON of any convention."""
    track_rate: str | None = None
    """Frames per second of a track that cannot say it, such as py-feat's or one without times."""
    track_face: int | None = None
    """Which face of a track of several."""
    track_start: float | None = None
    """Second of the speech at which the track's first row happens."""
    emotion: str | None = None
    """neutral, happy, sad, angry, fear, disgusted, surprised or contempt."""
    intensity: float = 1.0
    """Of the emotion, 0 to 1.2; over 1 extrapolates."""
    au: tuple[str, ...] = ()
    """Single controls, such as AU1=0.5 smile_left=0.3; 0 to 1."""
    seed: int = 0
    """The same seed gives the same motion."""
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
    overwrite: Flag = False
    """Replace a file that exists."""
    json: Flag = False
    """End with one JSON object on standard output."""


def move(arguments: tyro.conf.OmitArgPrefixes[MoveArguments]) -> int:
    """Writes how a portrait's face moves while it says a recording, frame by frame, without rendering it.

    Example: auteur move talk.wav --portrait me.jpg --track performance.csv -o landmarks.json
    """
    started_sec = time.monotonic()
    controls, fps = parse_pairs(arguments.au, "--au"), parse_rate(arguments.fps)

    # It takes torch: not before the arguments are known to be well formed.
    from auteur.pipelines.moving import check_landmarks, save_landmarks
    from auteur.pipelines.request import Performance
    from auteur.pipelines.talking_head import Settings, TalkingHead

    check_landmarks(arguments.out, overwrite=arguments.overwrite)
    reading = track_reading(
        arguments.track_rate, arguments.track_face, arguments.track_start, arguments.track
    )
    asked = Performance(
        arguments.emotion, arguments.intensity, controls, arguments.track, track_reading=reading
    )
    settings = Settings(
        seed=arguments.seed,
        fps=fps,
        head=arguments.head,
        blinks=arguments.blinks,
        gaze=arguments.gaze,
    )
    one_thread()
    head = TalkingHead.from_pretrained("warp")
    video = head.perform(arguments.portrait, arguments.speech, asked, settings, face=arguments.face)
    for line in video.notes:
        note(line)
    with progress("moving", video.frame_count) as advance:
        save_landmarks(video, arguments.out, overwrite=arguments.overwrite, on_frame=advance)
    result = {
        "output": str(arguments.out),
        "frames": video.frame_count,
        "fps": str(settings.fps),
        "seconds": round(time.monotonic() - started_sec, 3),
        "seed": arguments.seed,
        "notes": list(video.notes),
    }
    print(json_text.dumps(result) if arguments.json else f"{arguments.out}: {video.frame_count} frames")
    return 0
