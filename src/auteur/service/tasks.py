"""What processes of models do; each task takes a request and returns JSON values and perhaps bytes."""

import json
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from auteur.errors import InputError, UsageError
from auteur.provenance import Signing, consent_notes
from auteur.service.context import Context, Message
from auteur.service.problems import CallError

if TYPE_CHECKING:
    from auteur.batch.jobs import Job
    from auteur.signals import Track

Done = tuple[Message, bytes | None]

_TABLE_STARTS = (b"{", b"#", b"frame", b"timecode", b"sep=", b"face", b"confidence", b'"')
_MOST_TABLE_BYTES = 32_000_000


def probe(request: Message, context: Context) -> Done:
    """What a file holds: kind, sizes, length; checked by content."""
    from auteur.errors import MediaError
    from auteur.media import probe as probe_media

    path = Path(request["path"])
    with path.open("rb") as file:
        head = file.read(512)
    is_text = b"\0" not in head and head.lstrip(b"\xef\xbb\xbf \r\n\t").lower().startswith(_TABLE_STARTS)
    if is_text:
        return _probe_table(path, head), None
    try:
        info = probe_media(path)
    except MediaError as error:
        if "known kind" in str(error):
            raise CallError("bad_type", str(error)) from error
        raise
    kind = {"audio": "sound"}.get(info.kind, info.kind)
    return {
        "type": kind,
        "suffix": "",
        "duration_sec": None if info.duration_sec is None else float(info.duration_sec),
        "sample_rate_hz": info.audio_rate_hz,
        "width": info.width_px,
        "height": info.height_px,
        "frames": info.frames,
        "fps": None if info.frame_rate is None else str(info.frame_rate),
    }, None


def _probe_table(path: Path, head: bytes) -> Message:
    from auteur.formats import read_recorded
    from auteur.signals import load_track

    if path.stat().st_size > _MOST_TABLE_BYTES:
        raise InputError(f"the table is larger than {_MOST_TABLE_BYTES // 1_000_000} MB; split it")
    suffix = ".json" if head.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"{") else ".csv"
    named = path.rename(path.with_name(path.name + suffix)) if not path.suffix else path
    try:
        try:
            track: Track = read_recorded(named).action_units
        except InputError:
            if suffix != ".json":
                raise
            track = load_track(named)
    except UsageError:  # such as a rate that is missing: an error when it is used
        return {"type": "table", "suffix": suffix, **_NO_MEDIA}
    length = {"duration_sec": float(track.duration_sec), "frames": track.frames, "fps": str(track.rate)}
    return {"type": "table", "suffix": suffix, **_NO_MEDIA, **length}


_NO_MEDIA = dict.fromkeys(("duration_sec", "sample_rate_hz", "width", "height", "frames", "fps"))


def job_of_request(request: Message, context: Context) -> "Job":
    """Returns the job that a body requests; its files are those of the request, nothing else.

    Raises:
        UsageError: A key is unknown, or a value outside its range.
        InputError: A file is missing.
    """
    from auteur.batch.jobs import check_keys, job_of
    from auteur.painting.registry import denoiser_path

    body, files = dict(request["body"]), request["files"]
    track = None
    if isinstance(body.get("track"), dict):
        track = inline_track(body.pop("track"))
    values = check_keys({**body, **files})
    paints = denoiser_path(request["preset"], context.options["device"]) is not None
    return job_of(values, line=1, output=PurePosixPath("video.mp4"), place=Path, paints=paints, track=track)


def inline_track(document: Message) -> Any:
    """Returns an Action Unit track that a body holds itself.

    Raises:
        FormatError: It is none.
    """
    from auteur.signals import AUTrack

    return AUTrack.from_document(document, source="track")


def check(request: Message, context: Context) -> Done:
    """Checks a job before it is queued; the errors name what is wrong."""
    from auteur.media.frame_output import ENDINGS

    job = job_of_request(request, context)
    ending = f".{request['format']}"
    if ending not in ENDINGS:
        raise UsageError(f"format is {request['format']!r}; choose mp4, webm, mov or gif")
    if (signing := signing_of(context)) is not None:
        signing.check(Path(f"video{ending}"))
    if job.settings.background == "none" and ending not in (".webm", ".mov"):
        raise UsageError("background none needs the format webm or mov")
    return {}, None


def video(request: Message, context: Context) -> Done:
    """Makes a video and its tracks in the folder of its job."""
    from auteur.talking_head.talking_head import TalkingHead

    _one_thread()
    started, job = time.monotonic(), job_of_request(request, context)
    preset, device = request["preset"], context.options["device"]
    context.tell(stage="loading")
    head = context.kept(("head", preset), lambda: TalkingHead.from_pretrained(preset, device=device))
    context.tell(stage="motion")
    settings = replace(job.settings, signing=signing_of(context))
    made = head.perform(job.portrait, job.speech, job.requested, settings, face=job.face)
    context.tell(done=0, total=made.frame_count)
    folder = Path(request["folder"])
    path = folder / f"video.{request['format']}"
    made.save(path, overwrite=True, on_frame=lambda done: context.tell(done=done, total=made.frame_count))
    tracks = {"requested": made.au_track, "rendered": made.performed(), "head": made.head_track}
    for name, track in tracks.items():
        if track is not None:
            track.save(folder / f"{name}.json", overwrite=True)
    width, height = made.size_px
    return {
        "format": request["format"],
        "bytes": path.stat().st_size,
        "frames": made.frame_count,
        "fps": str(made.fps),
        "width": width,
        "height": height,
        "seed": made.seed,
        "seconds": round(time.monotonic() - started, 3),
        "models": made.models,
        "mark": made.mark.describe(),
        "notes": notes_of((*made.notes, *consent_notes(settings.consent)), request),
    }, None


def signing_of(context: Context) -> Signing | None:
    """Returns certificate and key of the service; None where videos are not signed."""
    paths = context.options.get("signing")
    return None if paths is None else Signing(*map(Path, paths))


def notes_of(notes: tuple[str, ...], request: Message) -> list[str]:
    """Notes for a client, without those on a track that was drawn as curves."""
    drawn = "curves" in request["body"] and "track" not in {**request["body"], **request["files"]}
    return [note for note in notes if not (drawn and note.startswith("the track "))]


def preview(request: Message, context: Context) -> Done:
    """One moment of a performance."""
    import numpy as np

    from auteur.media import jpeg_bytes
    from auteur.talking_head.preview import Previewer

    _one_thread()
    started, job = time.monotonic(), job_of_request(request, context)
    preset = request["preset"]
    previewer = context.kept(
        ("previewer", preset), lambda: Previewer.from_pretrained(preset, device=context.options["device"])
    )
    moment = previewer(
        job.portrait,
        job.speech,
        job.requested,
        replace(job.settings, seconds=None),
        request["time_sec"],
        quality=request["quality"],
        face=job.face,
    )
    result: Message = {
        "time_sec": request["time_sec"],
        "frame": moment.frame,
        "draft": moment.is_draft,
        "image_size_px": list(moment.size_px),
        "notes": list(moment.notes),
    }
    if moment.picture is None:
        result["landmarks"] = np.round(moment.landmarks.astype(np.float64), 1).tolist()
        return {**result, "seconds": round(time.monotonic() - started, 4)}, None
    picture = moment.picture
    if picture.shape[2] == 4:
        share = picture[..., 3:] / 255
        picture = np.rint(picture[..., :3] * share + 255 * (1 - share)).astype(np.uint8)
    content = jpeg_bytes(np.ascontiguousarray(picture), mark=moment.mark)
    return {**result, "seconds": round(time.monotonic() - started, 4)}, content


def listen(request: Message, context: Context) -> Done:
    """Emotion and Action Units of a speech: the first draft of a performance."""
    from auteur.talking_head.speech_content import SpeechContentReader

    _one_thread()
    listener = context.kept("listener", SpeechContentReader.shipped)
    return listener(Path(request["path"]), emotion=request.get("emotion")).to_json(), None


def track(request: Message, context: Context) -> Done:
    """Action Units, head and gaze in a video, a picture or a table."""
    from auteur.formats import TrackReading, read_recorded
    from auteur.motion.performance import as_specified

    path, face = Path(request["path"]), request.get("face")
    if request["type"] == "table":
        rate = request.get("track_rate")
        reading = TrackReading(rate=None if rate is None else Fraction(str(rate)), face=face)
        recorded = read_recorded(path, reading)
    else:
        from auteur.tracking.actor import track_actor

        _one_thread()
        recorded = track_actor(path, TrackReading(face=face))
    units = as_specified(recorded.action_units)
    return {
        "action_units": document(units),
        "head": None if recorded.head is None else document(recorded.head),
        "gaze": None if recorded.gaze is None else document(recorded.gaze),
        "frames": units.frames,
        "notes": list(recorded.notes),
    }, None


def convert(request: Message, context: Context) -> Done:
    """A track as the file of any program."""
    from auteur.formats import RecordedPerformance, read_recorded, write_recorded
    from auteur.signals.timebase import parse_rate

    if request.get("path"):
        recorded = read_recorded(request["path"])
    elif {"curves", "head_curves"} & request["track"].keys():
        recorded = _drawn(request["track"])
    else:
        recorded = RecordedPerformance(action_units=inline_track(request["track"]))
    kind, _, text = request["to"].partition(".")
    suffix = ".json" if kind == "arkit" or (kind == "auteur" and not text) else ".csv"
    out = Path(request["folder"]) / f"{kind}{suffix}"
    rate = request.get("rate")
    losses = write_recorded(
        recorded,
        out,
        kind,
        convention=request.get("convention"),
        rate=None if rate is None else parse_rate(str(rate)),
        overwrite=True,
    )
    content = out.read_bytes()
    out.unlink()
    return {"name": f"performance.{kind}{suffix}", "notes": [*recorded.notes, *losses]}, content


def _drawn(track: Message) -> Any:
    """Returns keyframes of controls and of the head as a recorded performance."""
    from auteur.batch.jobs import check_keys
    from auteur.expression.unit_curves import head_curves_track, unit_curves_track
    from auteur.formats import RecordedPerformance
    from auteur.motion.grid import MOTION_RATE

    curves = check_keys({name: track[name] for name in ("curves", "head_curves") if track.get(name)})
    length = float(track.get("duration_sec", 0))
    units = unit_curves_track(curves.get("curves", {}), rate=MOTION_RATE, duration_sec=length)
    if not curves.get("head_curves"):
        return RecordedPerformance(action_units=units)
    head = head_curves_track(curves["head_curves"], rate=MOTION_RATE)
    return RecordedPerformance(
        action_units=units, head=head.resample(MOTION_RATE, start_sec=0, frames=units.frames)
    )


def about(request: Message, context: Context) -> Done:
    """Names that a client may use, and the schema of a body."""
    from auteur.painting.registry import RENDERERS
    from auteur.service.schema import body_schema
    from auteur.synthesis.warp.mesh import face_triangles
    from auteur.talking_head.routes import ROUTES

    return {
        "presets": [name for name in ("compact", "fast", "warp") if name in RENDERERS],
        "routes": {"auto": "landmark with a request, else auhead"}
        | {name: route.summary for name, route in ROUTES.items()},
        "schema": body_schema(),
        "triangles": face_triangles().tolist(),
    }, None


def say(request: Message, context: Context) -> Done:
    """Text → speech in a file, with word times."""
    from auteur.voice import speak, voices

    known = voices()
    if not known:
        raise CallError("no_voice", "no voice is installed on this machine; see docs/service.md")
    if request.get("voice") not in (None, *known):  # also a path
        raise CallError(
            "bad_value", f"there is no such voice; choose one of {', '.join(known)}", field="voice"
        )
    spoken = speak(request["text"], Path(request["path"]), voice=request.get("voice"))
    return {"words": [word.to_json() for word in spoken.words], "voice": spoken.voice}, None


def document(track: "Track") -> Message:
    """Returns a track as the JSON object of its file."""
    return json.loads(track.to_text())


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


TASKS: dict[str, Callable[[Message, Context], Done]] = {
    "probe": probe,
    "check": check,
    "video": video,
    "preview": preview,
    "listen": listen,
    "track": track,
    "convert": convert,
    "about": about,
    "say": say,
}
