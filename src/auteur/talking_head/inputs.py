"""Accepted kinds of portrait and speech in Python, and the keywords of `TalkingHead`."""

import difflib
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, TypedDict, cast

import numpy as np
import torch
from numpy.typing import NDArray

from auteur import provenance
from auteur.errors import UsageError
from auteur.expression.curve import EmotionCurve, parse_curve
from auteur.face.backend import FaceBackend, FaceReading
from auteur.media import (
    SPEECH_RATE_HZ,
    Soundtrack,
    SpeechNotes,
    is_pillow_image,
    open_speech,
    picture_from,
    probe,
    sound_from,
    sound_of_bytes,
)
from auteur.motion.performance import LipSource
from auteur.signals import AUTrack, PoseTrack, Sound, Waveform
from auteur.talking_head.portrait_checks import read_portrait
from auteur.talking_head.portrait_picture import fitted, open_portrait
from auteur.talking_head.request import PerformanceRequest
from auteur.talking_head.settings import Settings

Frames = NDArray[np.uint8]


class Options(TypedDict, total=False):
    """Keywords of `TalkingHead`: those of `Settings`, and what changes the performance as a whole."""

    seed: int
    fps: Fraction | int | float | str
    route: str
    head: float
    blinks: bool
    gaze: bool
    temperature: float
    liveliness: float
    steps: int
    au_guidance: float
    reference_guidance: float
    expression_guidance: float
    guidance_form: Literal["published", "nested"]
    audio_guidance: float
    window: int
    sampler: str
    compile: bool
    identity: str
    seconds: float
    crop: str
    size: int | str
    quality: str
    background: str
    consent: str
    signing: provenance.Signing
    watermark: bool
    face: int
    """Which face of the portrait: 0 the largest, 1 the next."""
    scales: dict[str, float]
    """Factor from 0 to 4 by control, on the whole performance."""
    mute: Iterable[str]
    """Controls that stay at rest."""
    drive: Path | str
    """A video of an actor, who is tracked, in place of a track."""
    lips: LipSource
    """What moves the lips: speech, track or both."""
    head_track: PoseTrack | Path | str
    """Head pose, a file of it, "track" or "none"."""
    gaze_track: Path | str
    """A file with gaze, "track" or "none"."""


_OF_THE_PERFORMANCE = ("face", "scales", "mute", "drive", "lips", "head_track", "gaze_track")


@dataclass(frozen=True, eq=False)
class Portrait:
    """A portrait as a picture."""

    picture: Frames
    """RGB [H, W, 3], at most 1920 px a side."""
    name: str
    """Its name in messages."""
    sha256: str
    """SHA-256 of the file's bytes; of the pixels [H, W, 3] where there is no file."""


@dataclass(frozen=True, eq=False)
class Speech:
    """Speech as the models read it, and as the video keeps it."""

    sound: Sound
    """At 16 kHz."""
    recording: Sound | Soundtrack
    """At its own rate; that of a file has its channels, too."""
    notes: SpeechNotes
    sha256: str
    """SHA-256 of the file's bytes; of the float32 samples where there is no file."""


def find_portrait(
    backend: FaceBackend, value: object, *, face: int = 0
) -> tuple[Portrait, FaceReading, tuple[str, ...]]:
    """Returns a portrait, its face, and warnings about what limits its quality.

    Args:
        backend: The face tracker.
        value: A path, or what `portrait_of` takes.
        face: Which face: 0 the largest, 1 the next.

    Raises:
        UsageError: The value is no portrait.
        MediaError: The file or its bytes cannot be read.
        FaceError: There is no usable face.
    """
    if isinstance(value, str | Path):
        picture, reading, seen = open_portrait(backend, Path(value), face=face)
        return Portrait(picture, Path(value).name, provenance.hash_file(value)), reading, seen
    portrait = portrait_of(value)
    return portrait, *read_portrait(backend, portrait.picture, face=face, name=portrait.name)


def portrait_of(value: object) -> Portrait:
    """Returns a portrait in memory: the bytes of a file, a Pillow image or an array.

    Raises:
        UsageError: It is none of these, or the array is no picture (`auteur.media.picture_from`).
        MediaError: The bytes cannot be read.
    """
    is_bytes = isinstance(value, bytes | bytearray | memoryview)
    is_array = isinstance(value, np.ndarray | torch.Tensor) or is_pillow_image(value)
    if not is_bytes and not is_array:
        raise UsageError(
            f"the portrait is {_kind(value)}; give a path, the bytes of a picture file, a Pillow image, a "
            "NumPy array or a tensor"
        )
    picture = picture_from(value, "the portrait")
    content = bytes(cast("bytes", value)) if is_bytes else picture.tobytes()
    return Portrait(fitted(picture), "the portrait", hashlib.sha256(content).hexdigest())


def speech_of(value: object) -> Speech:
    """Returns speech from a path, the bytes of a file, a `Waveform`, or (rate, samples).

    Raises:
        UsageError: It is none of these, or the samples are no sound (`auteur.media.sound_from`).
        MediaError: The file or its bytes cannot be read, or it is too short.
    """
    if isinstance(value, str | Path):
        voice, notes = open_speech(value)
        return Speech(voice, voice.soundtrack(), notes, provenance.hash_file(value))
    if isinstance(value, bytes | bytearray | memoryview):
        content = bytes(cast("bytes", value))
        wave, notes = sound_of_bytes(content, "the speech")
        return Speech(wave.resample(SPEECH_RATE_HZ), wave, notes, hashlib.sha256(content).hexdigest())
    if isinstance(value, Waveform):
        rate_hz, samples = value.rate_hz, value.samples
    elif isinstance(value, tuple) and len(cast("tuple[Any, ...]", value)) == 2:
        rate_hz, samples = cast("tuple[Any, Any]", value)
    else:
        raise UsageError(
            f"the speech is {_kind(value)}; give a path, the bytes of a sound file, a Waveform, "
            "or (rate, samples)"
        )
    wave, notes = sound_from(samples, rate_hz, "the speech")
    digest = hashlib.sha256(wave.samples.tobytes()).hexdigest()
    return Speech(wave.resample(SPEECH_RATE_HZ), wave, notes, digest)


def speech_without(request: PerformanceRequest) -> Speech:
    """Returns the speech of a request without one: the actor's sound, or silence as long as the track.

    Raises:
        UsageError: There is neither track nor actor.
        MediaError: The video cannot be read.
    """
    recorded = request.recorded
    if recorded is None:
        raise UsageError("there is no speech; give a recording, a track or a video of an actor")
    if request.drive is not None and probe(request.drive).audio_channels:
        return speech_of(request.drive)
    track = recorded.action_units
    seconds = track.start_sec + track.duration_sec
    samples = np.zeros(max(1, round(seconds * SPEECH_RATE_HZ)), dtype=np.float32)
    return speech_of(Waveform(samples=samples, rate_hz=SPEECH_RATE_HZ))


def check_keywords(options: Options) -> None:
    """Refuses keywords that do not exist.

    Raises:
        TypeError: One does not; the message names the nearest that does.
    """
    for name in options:
        if name not in Options.__annotations__:
            near = difflib.get_close_matches(name, Options.__annotations__, n=1, cutoff=0.5)
            hint = (
                f"did you mean {near[0]!r}?" if near else f"choose among {', '.join(Options.__annotations__)}"
            )
            raise TypeError(f"unknown keyword {name!r}; {hint}")


def settings_of(settings: Settings | None, options: Options) -> Settings:
    """Returns settings with the keywords that belong to them put in.

    Raises:
        UsageError: A value is outside its range.
    """
    own: dict[str, Any] = {name: value for name, value in options.items() if name not in _OF_THE_PERFORMANCE}
    if "fps" in own:
        own["fps"] = _rate(own["fps"])
    if "size" in own:
        own["size"] = str(own["size"])
    return replace(settings or Settings(), **own)


def scales_of(options: Options) -> dict[str, float]:
    """Returns the factor of every control in the keywords `scales` and `mute`."""
    mute = options.get("mute", ())
    names = [mute] if isinstance(mute, str) else mute
    return {**options.get("scales", {}), **dict.fromkeys(names, 0.0)}


def request_of(
    emotion: str | EmotionCurve | None,
    intensity: float,
    units: Mapping[str, float],
    track: AUTrack | Path | str | None,
    options: Options,
) -> PerformanceRequest:
    """Returns the performance that arguments and keywords of `TalkingHead` request.

    Raises:
        UsageError: A value is outside its range or unknown.
    """
    label, curve = label_or_curve(emotion)
    drive = options.get("drive")
    return PerformanceRequest(
        label,
        intensity,
        units,
        Path(track) if isinstance(track, str) else track,
        scales_of(options),
        curve,
        drive=None if drive is None else Path(drive),
        lips=options.get("lips"),
        head_track=_source(options.get("head_track", "track")),
        gaze_track=_source(options.get("gaze_track", "track")),
    )


def _source(value: Any) -> Any:
    """A text that names a file, as a path."""
    return Path(value) if isinstance(value, str) and value not in ("track", "none") else value


def label_or_curve(emotion: str | EmotionCurve | None) -> tuple[str | None, EmotionCurve | None]:
    """Returns a label or a curve; a text with a number in it is a curve.

    Raises:
        UsageError: The curve is malformed.
    """
    if isinstance(emotion, str) and any(map(str.isdigit, emotion)):
        return None, parse_curve(emotion)
    return (None, emotion) if isinstance(emotion, EmotionCurve) else (emotion, None)


def _rate(value: object) -> Fraction:
    """A float counts as the decimal that it prints as: 29.97 is 2997/100."""
    try:
        if isinstance(value, Fraction):
            return value
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            return Fraction(str(value))
    except (ValueError, ZeroDivisionError):
        pass
    raise UsageError(f"fps is {value!r}; give a number such as 25, or a Fraction such as 30000/1001")


def _kind(value: object) -> str:
    return "None" if value is None else f"an object of type {type(value).__name__}"


def seed_of(*hashes: str) -> int:
    """Returns the seed that follows from contents, by their SHA-256 in hexadecimal digits: 31 bits."""
    return int(hashlib.sha256("".join(hashes).encode()).hexdigest()[:8], 16) & 0x7FFFFFFF
