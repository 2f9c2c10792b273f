"""`auteur move SPEECH --portrait PORTRAIT -o LANDMARKS`: speech and Action Units → landmarks."""

import json as json_text
import time
from pathlib import Path
from typing import Annotated

import tyro

from auteur.cli.arguments import Flag, Rate, check_readable, options, parse_rate
from auteur.cli.console import counted, note, one_thread, progress, working
from auteur.cli.performance_arguments import MotionOptions, PerformanceOptions


@options
class MoveArguments:
    """Everything that `auteur move` takes."""

    speech: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="SPEECH")]
    """A recording, or a video with sound."""
    portrait: Path
    """The picture whose face moves: PNG, JPEG or WEBP."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """The landmarks to write: .json (a track) or .csv (an OpenFace table with the dense mesh)."""
    fps: Rate = "25"
    """Frames per second; 30000/1001 for 29.97."""
    face: int = 0
    """Which face of the portrait: 0 is the largest."""
    overwrite: Flag = False
    """Replace a file that exists."""
    json: Flag = False
    """End with one JSON object on standard output."""
    performance: PerformanceOptions = PerformanceOptions()
    motion: MotionOptions = MotionOptions()


def move(arguments: MoveArguments) -> int:
    """Writes how a portrait's face moves while it speaks a recording, frame by frame, without rendering it.

    Examples:
        auteur move talk.wav --portrait me.jpg -o landmarks.json
            478 landmarks per frame, in pixels of the portrait
        auteur move talk.wav --portrait me.jpg --track performance.csv -o landmarks.csv
            with a performance, as an OpenFace table
    """
    started_sec = time.monotonic()
    check_readable(arguments.speech, arguments.portrait, arguments.performance.track)
    fps, asked = parse_rate(arguments.fps), arguments.performance.performance()

    with working(f"reading {arguments.portrait.name} and {arguments.speech.name}"):
        # It takes torch: not before the arguments are known to be well formed.
        from auteur.pipelines.moving import check_landmarks, save_landmarks
        from auteur.pipelines.talking_head import Settings, TalkingHead

        check_landmarks(arguments.out, overwrite=arguments.overwrite)
        motion = arguments.motion
        settings = Settings(
            seed=motion.seed,
            fps=fps,
            head=motion.head,
            blinks=motion.blinks,
            gaze=motion.gaze,
            route=arguments.performance.route,
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
        "seed": motion.seed,
        "notes": list(video.notes),
    }
    print(
        json_text.dumps(result)
        if arguments.json
        else f"{arguments.out}: {counted(video.frame_count, 'frame')}"
    )
    return 0
