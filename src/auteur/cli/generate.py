"""`auteur generate PORTRAIT SPEECH -o OUT.mp4`: the main job."""

import json as json_text
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from auteur.cli.arguments import parse_pairs, parse_rate, track_reading
from auteur.cli.console import note, one_thread, progress
from auteur.cli.generate_batch import check_alone, generate_batch
from auteur.errors import UsageError

Flag = tyro.conf.FlagCreatePairsOff[bool]

if TYPE_CHECKING:  # importing it takes torch
    from auteur.pipelines.request import Performance
    from auteur.pipelines.talking_head import Settings, TalkingVideo

_ASKED, _DONE = "asked.json", "done.json"
_LANDMARKS, _LONG_LANDMARKS = "landmarks.json", "landmarks.csv"


@dataclass(frozen=True)
class GenerateArguments:
    """What `auteur generate` can be told."""

    portrait: Annotated[tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="PORTRAIT")] = None
    """A picture with a face, or a video: its first frame with one."""
    speech: Annotated[tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="SPEECH")] = None
    """A recording, or a video with sound."""
    out: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("out.mp4")
    """The MP4 to write; with --batch, the folder."""
    emotion: str | None = None
    """neutral, happy, sad, angry, fear, disgusted, surprised or contempt."""
    intensity: float = 1.0
    """Of the emotion, 0 to 1.2; over 1 extrapolates."""
    emotion_curve: str | None = None
    """Emotions over time instead: "0s neutral, 1s happy:0.3, 3s happy:1, 5s sad:0.4+fear:0.3"."""
    au: tuple[str, ...] = ()
    """Single controls, such as AU1=0.5 smile_left=0.3; 0 to 1."""
    track: Path | None = None
    """Action Unit curves: a CSV or JSON of any convention."""
    track_rate: str | None = None
    """Frames per second of a track that cannot say it, such as py-feat's or one without times."""
    track_face: int | None = None
    """Which face of a track of several."""
    track_start: float | None = None
    """Second of the speech at which the track's first row happens."""
    au_scale: tuple[str, ...] = ()
    """Factors on everything that is asked for, such as AU12=1.5; 0 to 4."""
    mute: tuple[str, ...] = ()
    """Controls to leave out of everything that is asked for, such as AU4."""
    route: str = "auto"
    """What turns speech into Action Units: landmark (what you ask for), auhead (hears the emotion) or
    emodiffhead (an emotion as a trajectory); auto: auhead where you ask for nothing, else landmark."""
    preset: str = "compact"
    """compact warps the portrait and paints what shows between the lips; fast paints every second frame, warp
    none; or a denoiser file, or a folder of the papers' size."""
    steps: int | None = None
    """Denoising steps, 1 to 1000; only with a denoiser, as audio guidance and window."""
    au_guidance: float | None = None
    """How much Action Units count, 0 to 20: 1 as asked, 0 not at all, 3.5 exaggerates."""
    audio_guidance: float | None = None
    """How much speech counts to the denoiser, 0 to 20: 1 as it learned."""
    window: int | None = None
    """Frames that are denoised together; fewer need less memory."""
    device: str | None = None
    """Where the denoiser runs: cpu or cuda."""
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
    plot: Path | None = None
    """Also draw what was asked for against what was done into this PNG; needs Matplotlib."""
    sheet: Path | None = None
    """Also put 12 frames and their mouths on one picture."""
    save_tracks: Path | None = None
    """Also write asked.json and done.json (Action Units; both fit --track) and landmarks into this folder."""
    batch: Path | None = None
    """Instead of PORTRAIT and SPEECH: JSONL with a video per line, such as {"portrait": "me.jpg", "speech":
    "talk.wav", "seed": 1}, with these options as keys; what is said here holds for lines that do not say
    otherwise. Run again, it goes on where it was. See docs/scale.md."""
    engine: str = "local"
    """What a batch runs on: local (processes of this machine) or ray (a cluster)."""
    workers: int | None = None
    """How many videos of a batch are made at the same time; one per core of this machine unless given."""
    ray_address: str | None = None
    """A running Ray cluster, such as auto or head:6379; else RAY_ADDRESS, else this machine."""
    overwrite: Flag = False
    """Replace files that exist."""
    json: Flag = False
    """End with one JSON object on standard output."""


def generate(arguments: tyro.conf.OmitArgPrefixes[GenerateArguments]) -> int:
    """Makes a portrait say a recording, with the emotion and the Action Units you ask for.

    Example: auteur generate me.jpg talk.wav -o out.mp4 --emotion happy --intensity 0.6 --au AU1=0.5
    """
    if arguments.batch is not None:
        return generate_batch(arguments)
    started_sec = time.monotonic()
    portrait, speech = check_alone(arguments)
    check_outputs(arguments)
    asked, settings = requests(arguments)

    # It takes torch: not before the arguments are known to be good.
    from auteur.pipelines.talking_head import TalkingHead

    one_thread()
    head = TalkingHead.from_pretrained(arguments.preset, device=arguments.device)
    video = head.perform(portrait, speech, asked, settings, face=arguments.face)
    for line in video.notes:
        note(line)
    with progress("rendering", video.frame_count) as advance:
        video.save(arguments.out, overwrite=arguments.overwrite, on_frame=advance)
    extras = save_extras(arguments, video)
    result = {
        "output": str(arguments.out),
        "frames": video.frame_count,
        "fps": str(settings.fps),
        "seconds": round(time.monotonic() - started_sec, 3),
        "seed": arguments.seed,
        "notes": list(video.notes),
        "route": settings.route,
        "preset": arguments.preset,
        "models": video.models,
        "also_written": [str(path) for path in extras],
    }
    print(json_text.dumps(result) if arguments.json else f"{arguments.out}: {video.frame_count} frames")
    return 0


def check_outputs(arguments: GenerateArguments) -> None:
    """Says what is wrong with any file to be written, before anything is computed.

    Raises:
        UsageError: A name has the wrong ending, or Matplotlib is needed and missing.
        InputError: A file cannot be written.
    """
    from auteur.files import check_writable

    if arguments.out.suffix.lower() != ".mp4":
        raise UsageError(f"the video {str(arguments.out)!r} must end in .mp4")
    check_writable(arguments.out, overwrite=arguments.overwrite)
    if arguments.plot is not None:
        from auteur.pipelines.plotting import check_plot

        check_plot(arguments.plot, overwrite=arguments.overwrite)
    if arguments.sheet is not None:
        if arguments.sheet.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
            raise UsageError(f"the sheet {str(arguments.sheet)!r} must end in .png, .jpg or .webp")
        check_writable(arguments.sheet, overwrite=arguments.overwrite)
    folder = arguments.save_tracks
    if folder is None:
        return
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"--save-tracks {str(folder)!r} is a file; name a folder")
    if not folder.exists():
        check_writable(folder)
        return
    for name in (_LANDMARKS, _LONG_LANDMARKS, _ASKED, _DONE):
        check_writable(folder / name, overwrite=arguments.overwrite)


def requests(arguments: GenerateArguments) -> "tuple[Performance, Settings]":
    """Returns what is asked for and how to generate it.

    Raises:
        UsageError: A value is outside its range or unknown.
    """
    controls = parse_pairs(arguments.au, "--au")
    scales = parse_pairs(arguments.au_scale, "--au-scale") | dict.fromkeys(arguments.mute, 0.0)
    fps = parse_rate(arguments.fps)

    from auteur.expression.curve import parse_curve
    from auteur.pipelines.request import Performance

    curve = None if arguments.emotion_curve is None else parse_curve(arguments.emotion_curve)
    asked = Performance(
        arguments.emotion,
        arguments.intensity,
        controls,
        arguments.track,
        scales,
        curve,
        track_reading(arguments.track_rate, arguments.track_face, arguments.track_start, arguments.track),
    )

    from auteur.pipelines.talking_head import Settings

    settings = Settings(
        seed=arguments.seed,
        fps=fps,
        head=arguments.head,
        blinks=arguments.blinks,
        gaze=arguments.gaze,
        route=arguments.route,
        steps=arguments.steps,
        au_guidance=arguments.au_guidance,
        audio_guidance=arguments.audio_guidance,
        window=arguments.window,
    )
    return asked, settings


def save_extras(arguments: GenerateArguments, video: "TalkingVideo") -> list[Path]:
    """Writes the plot, the sheet and the tracks that were asked for; returns their names."""
    from auteur.pipelines.moving import MOST_JSON_FRAMES, save_landmarks

    written: list[Path] = []
    if arguments.plot is not None:
        video.plot(arguments.plot, overwrite=arguments.overwrite)
        written.append(arguments.plot)
    if arguments.sheet is not None:
        video.save_sheet(arguments.sheet, overwrite=arguments.overwrite)
        written.append(arguments.sheet)
    folder = arguments.save_tracks
    if folder is not None:
        folder.mkdir(exist_ok=True)
        for name, track in ((_DONE, video.performed()), (_ASKED, video.au_track)):
            if track is not None:
                track.save(folder / name, overwrite=arguments.overwrite)
                written.append(folder / name)
        landmarks = folder / (_LANDMARKS if video.frame_count <= MOST_JSON_FRAMES else _LONG_LANDMARKS)
        save_landmarks(video, landmarks, overwrite=arguments.overwrite)
        written.append(landmarks)
    return written
