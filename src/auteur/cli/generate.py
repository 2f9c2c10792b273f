"""`auteur generate PORTRAIT SPEECH -o OUT.mp4`: portrait, speech and request → video."""

import json as json_text
import time
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auteur.cli.arguments import check_readable
from auteur.cli.console import counted, note, one_thread, progress, working
from auteur.cli.generate_arguments import GenerateArguments
from auteur.cli.generate_batch import check_alone, generate_batch
from auteur.errors import UsageError

if TYPE_CHECKING:  # importing it takes torch
    from auteur.talking_head.settings import Settings
    from auteur.talking_head.talking_head import TalkingVideo

_REQUESTED, _RENDERED, _HEAD = "requested_aus.json", "rendered_aus.json", "rendered_head.json"
_LANDMARKS, _LONG_LANDMARKS = "landmarks.json", "landmarks.csv"


def generate(arguments: GenerateArguments) -> int:
    """Makes a portrait speak a recording, with the emotion and the Action Units you choose.

    Examples:
        auteur generate me.jpg talk.wav -o out.mp4
            the emotion in the voice moves the face
        auteur generate me.jpg talk.wav -o out.mp4 --emotion happy --intensity 0.6 --au AU1=0.5 --mute AU4
            a mild smile with raised inner brows, and no frown
        auteur generate me.jpg talk.wav -o out.mp4 --emotion-curve "0s neutral, 2s surprised:1, 4s happy:0.5"
            emotions that come and go
        auteur generate me.jpg talk.wav -o out.mp4 --track performance.csv --save-tracks tracks/
            curves from a file (`auteur track`, `auteur express` or `auteur convert` writes one)
        auteur generate me.jpg --drive actor.mp4 -o out.mp4
            an actor's face, head, eyes and voice
        auteur generate me.jpg --say "Hello, this is text." -o out.mp4 --srt out.srt
            a voice of this machine speaks, with captions (docs/service.md says which voices)
        auteur generate --batch jobs.jsonl -o videos/
            a video for every line of a file
    """
    if arguments.batch.batch is not None:
        return generate_batch(arguments)
    portrait, speech = check_alone(arguments)
    if arguments.voice.say is None:
        return generate_one(arguments, portrait, speech)
    from auteur.cli.spoken_text import spoken_text

    with spoken_text(arguments, portrait) as spoken:
        code = generate_one(arguments, portrait, spoken.path)
        spoken.write_captions()
    return code


def generate_one(arguments: GenerateArguments, portrait: Path, speech: Path | None) -> int:
    """Makes one video and prints what came of it."""
    started_sec = time.monotonic()
    check_readable(portrait, speech, *arguments.performance.files())
    # NumPy comes with it: not before the files have been checked.
    from auteur.media.gif_writer import check_gif_rate
    from auteur.provenance import consent_notes
    from auteur.signals.timebase import parse_rate

    fps = parse_rate(arguments.rendering.fps, "--fps")
    check_outputs(arguments)
    requested = arguments.performance.performance()

    with working(f"reading {portrait.name} and {(speech or requested.source or portrait).name}"):
        settings = settings_of(arguments, fps)
        # It takes torch: not before the arguments have been checked.
        from auteur.talking_head.talking_head import TalkingHead

        one_thread()
        head = TalkingHead.from_pretrained(arguments.rendering.preset, device=arguments.rendering.device)
        video = head.perform(portrait, speech, requested, settings, face=arguments.rendering.face)
    if arguments.out.suffix.lower() == ".gif":
        check_gif_rate(fps)
    notes = [*video.notes, *consent_notes(settings.consent)]
    for line in notes:
        note(line)
    with progress("rendering", video.frame_count) as advance:
        video.save(arguments.out, overwrite=arguments.overwrite, on_frame=advance)
    extras = save_extras(arguments, video)
    result = {
        "output": str(arguments.out),
        "frames": video.frame_count,
        "fps": str(settings.fps),
        "seconds": round(time.monotonic() - started_sec, 3),
        "seed": video.seed,
        "notes": notes,
        "route": settings.route,
        "preset": arguments.rendering.preset,
        "models": video.models,
        "also_written": [str(path) for path in extras],
    }
    print(
        json_text.dumps(result)
        if arguments.json
        else f"{arguments.out}: {counted(video.frame_count, 'frame')}"
    )
    return 0


def check_outputs(arguments: GenerateArguments) -> None:
    """Checks all files to be written before anything is computed.

    Raises:
        UsageError: A name has the wrong ending, or Matplotlib is needed and missing.
        InputError: A file cannot be written.
    """
    from auteur.files import check_folder
    from auteur.media import check_frames_output, check_marked
    from auteur.provenance import check_consent

    check_frames_output(
        arguments.out,
        overwrite=arguments.overwrite,
        is_transparent=arguments.rendering.background == "none",
    )
    check_consent(arguments.record.consent)
    signing = arguments.record.signing()
    if signing is not None:
        signing.check(arguments.out)
    if arguments.extras.plot is not None:
        from auteur.plots.track_plot import check_plot

        check_plot(arguments.extras.plot, overwrite=arguments.overwrite)
    if arguments.extras.sheet is not None:
        if arguments.extras.sheet.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
            raise UsageError(f"the sheet {str(arguments.extras.sheet)!r} must end in .png, .jpg or .webp")
        check_marked(arguments.extras.sheet, overwrite=arguments.overwrite)
    if arguments.extras.save_tracks is not None:
        if arguments.extras.save_tracks.is_file():
            raise UsageError(f"--save-tracks {str(arguments.extras.save_tracks)!r} is a file; name a folder")
        names = (_LANDMARKS, _LONG_LANDMARKS, _REQUESTED, _RENDERED, _HEAD)
        check_folder(arguments.extras.save_tracks, overwrite=arguments.overwrite, names=names)
        for path in arguments.performance.files():
            if path in {arguments.extras.save_tracks / name for name in names}:
                raise UsageError(f"--save-tracks would replace the track {str(path)!r}; name another folder")


def settings_of(arguments: GenerateArguments, fps: Fraction) -> "Settings":
    """Returns the settings of the arguments.

    Raises:
        UsageError: A value is outside its range or unknown.
    """
    from auteur.talking_head.settings import Settings

    values: dict[str, Any] = {**vars(arguments.motion), **vars(arguments.rendering)}
    for name in ("preset", "face", "device"):
        del values[name]  # of the models and the portrait
    identity = arguments.rendering.identity
    return Settings(
        **values
        | {
            "fps": fps,
            "identity": None if identity is None else str(identity),
            "route": arguments.performance.route,
            "consent": arguments.record.consent,
            "signing": arguments.record.signing(),
        }
    )


def save_extras(arguments: GenerateArguments, video: "TalkingVideo") -> list[Path]:
    """Writes the requested plot, sheet and tracks; returns their names."""
    from auteur.files import make_folder
    from auteur.talking_head.moving import MOST_JSON_FRAMES, save_landmarks

    written: list[Path] = []
    if arguments.extras.plot is not None:
        video.plot(arguments.extras.plot, overwrite=arguments.overwrite)
        written.append(arguments.extras.plot)
    if arguments.extras.sheet is not None:
        video.save_sheet(arguments.extras.sheet, overwrite=arguments.overwrite)
        written.append(arguments.extras.sheet)
    folder = arguments.extras.save_tracks
    if folder is not None:
        make_folder(folder)
        rendered = ((_RENDERED, video.performed()), (_REQUESTED, video.au_track), (_HEAD, video.head_track))
        for name, track in rendered:
            if track is not None:
                track.save(folder / name, overwrite=arguments.overwrite)
                written.append(folder / name)
        landmarks = folder / (_LANDMARKS if video.frame_count <= MOST_JSON_FRAMES else _LONG_LANDMARKS)
        save_landmarks(video, landmarks, overwrite=arguments.overwrite)
        written.append(landmarks)
    return written
