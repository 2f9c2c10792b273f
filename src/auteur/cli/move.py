"""`auteur move SPEECH --portrait PORTRAIT -o LANDMARKS`: speech and Action Units → landmarks, mouth cues."""

import json as json_text
import time
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from auteur.cli.arguments import Flag, Rate, check_readable, options
from auteur.cli.console import counted, note, one_thread, progress, working
from auteur.cli.performance_arguments import MotionOptions, PerformanceOptions
from auteur.errors import UsageError
from auteur.signals.timebase import parse_rate

if TYPE_CHECKING:
    from auteur.talking_head.request import PerformanceRequest


@options
class MoveArguments:
    """Options of `auteur move`."""

    speech: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="SPEECH")]
    """A recording, or a video with sound."""
    portrait: Path | None = None
    """The picture whose face moves, or a video: its first frame with one; --cues alone needs none."""
    out: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    """The landmarks to write: .json (a track) or .csv (an OpenFace table with the dense mesh)."""
    cues: Path | None = None
    """Mouth cues to write in a format of Rhubarb Lip Sync: .json, .tsv, .xml or .dat (frames of --fps)."""
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
    """Writes the landmarks of a portrait that speaks a recording, frame by frame, without rendering it.

    Examples:
        auteur move talk.wav --portrait me.jpg -o landmarks.json
            478 landmarks per frame, in pixels of the portrait
        auteur move talk.wav --portrait me.jpg --track performance.csv -o landmarks.csv
            with a performance, as an OpenFace table
        auteur move talk.wav --cues cues.json
            mouth shapes A to H and X for 2-D animation, as Rhubarb Lip Sync writes them
    """
    started_sec = time.monotonic()
    check_readable(arguments.speech, arguments.portrait, *arguments.performance.files())
    fps, requested = parse_rate(arguments.fps, "--fps"), arguments.performance.performance()
    if arguments.out is None and arguments.cues is None:
        raise UsageError("nothing to write: give -o LANDMARKS with --portrait, or --cues CUES")
    if (arguments.out is None) != (arguments.portrait is None):
        raise UsageError("-o and --portrait go together: landmarks are points on a portrait")
    check_outputs(arguments, fps)
    result: dict[str, Any] = {"seed": arguments.motion.seed, "notes": []}
    lines: list[str] = []
    if arguments.out is not None and arguments.portrait is not None:
        lines.append(write_landmarks(arguments, arguments.portrait, arguments.out, requested, fps, result))
    if arguments.cues is not None:  # after the landmarks, whose seed depends on the portrait
        lines.append(write_cues(arguments, arguments.cues, requested, fps, result))
    result["seconds"] = round(time.monotonic() - started_sec, 3)
    print(json_text.dumps(result) if arguments.json else "\n".join(lines))
    return 0


def check_outputs(arguments: MoveArguments, fps: Fraction) -> None:
    """Checks early that all files can be written.

    Raises:
        UsageError: A name has the wrong ending, or cues cannot have such a rate.
        InputError: A file cannot be written.
    """
    if arguments.cues is not None:
        from auteur.signals.timebase import exact_rate
        from auteur.talking_head.mouth_cues import check_cues

        check_cues(arguments.cues, overwrite=arguments.overwrite)
        exact_rate(fps)
    if arguments.out is not None:
        from auteur.talking_head.moving import check_landmarks

        check_landmarks(arguments.out, overwrite=arguments.overwrite)


def write_cues(
    arguments: MoveArguments,
    path: Path,
    requested: "PerformanceRequest",
    fps: Fraction,
    result: dict[str, Any],
) -> str:
    """Writes the mouth cues and adds them to the result; returns the line about them."""
    with working(f"reading {arguments.speech.name}"):
        from auteur.files import write_text
        from auteur.formats import cues_text
        from auteur.provenance import hash_file
        from auteur.talking_head.inputs import seed_of
        from auteur.talking_head.mouth_cues import mouth_cues

        one_thread()
        if result["seed"] is None:
            result["seed"] = seed_of(hash_file(arguments.speech))
        cues, content = mouth_cues(arguments.speech, requested, seed=result["seed"])
    text = cues_text(cues, path.suffix.lower(), sound=arguments.speech.name, rate=fps)
    write_text(path, text, overwrite=arguments.overwrite)
    if arguments.out is None:  # else the notes on the landmarks are the same
        for line in content.lines():
            note(line)
        result["notes"] = list(content.lines())
    result |= {"cues": str(path), "cue_count": len(cues), "cues_end_sec": round(float(cues[-1].end_sec), 6)}
    return f"{path}: {counted(len(cues), 'mouth cue')}"


def write_landmarks(
    arguments: MoveArguments,
    portrait: Path,
    out: Path,
    requested: "PerformanceRequest",
    fps: Fraction,
    result: dict[str, Any],
) -> str:
    """Writes the landmarks and adds them to the result; returns the line about them."""
    with working(f"reading {portrait.name} and {arguments.speech.name}"):
        # It takes torch: not before the arguments have been checked.
        from auteur.talking_head.moving import save_landmarks
        from auteur.talking_head.talking_head import Settings, TalkingHead

        settings = Settings(**vars(arguments.motion), fps=fps, route=arguments.performance.route)
        one_thread()
        head = TalkingHead.from_pretrained("warp")
        video = head.perform(portrait, arguments.speech, requested, settings, face=arguments.face)
    for line in video.notes:
        note(line)
    with progress("moving", video.frame_count) as advance:
        save_landmarks(video, out, overwrite=arguments.overwrite, on_frame=advance)
    result |= {
        "output": str(out),
        "frames": video.frame_count,
        "seed": video.seed,
        "fps": str(settings.fps),
        "notes": list(video.notes),
    }
    return f"{out}: {counted(video.frame_count, 'frame')}"
