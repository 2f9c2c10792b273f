"""A few seconds of real faces for look-alike corpora: made by our own `TalkingHead`, or anybody's clips.

Nothing is downloaded: the portrait is scikit-image's "astronaut", the speech is the one in `examples`.
"""

import io
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache, lru_cache
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from auteur.errors import InputError, UsageError
from auteur.lab.corpora.listing import files_below
from auteur.media import VIDEO_SUFFIXES, VideoReader, VideoWriter, read_speech, write_audio, write_image
from auteur.provenance import Mark
from auteur.signals import Waveform

EMOTIONS = ("neutral", "happy", "angry")
"""What each person of a look-alike corpus shows."""
RATE = Fraction(25)
SIDE_PX = 256
SPEECH = Path(__file__).parents[2] / "examples" / "speech.flac"

_MARK = Mark(settings={"made for": "look-alike corpora"}, watermark=False)
_SMALL_PX = 64
_LATE_SECONDS = 0.6


@dataclass(frozen=True, eq=False)
class Footage:
    """A short video in memory."""

    frames: NDArray[np.uint8]
    """[T, H, W, 3] at `RATE`, with an even number of pixels a side."""
    sound: Waveform

    @property
    def seconds(self) -> float:
        """How long it is."""
        return len(self.frames) / float(RATE)


@dataclass(frozen=True, eq=False)
class Clip:
    """Footage as it is written: coded once, put into any container."""

    content: bytes
    """A marked MP4 with sound."""
    sound: Waveform
    size_px: tuple[int, int]
    """Width and height."""
    seconds: float


@cache
def spoken(seconds: float) -> tuple[Footage, ...]:
    """Returns the astronaut speaking, once for each of `EMOTIONS`. The first call takes seconds, others none.

    Raises:
        UsageError: scikit-image or the speech is not there.
    """
    try:
        from skimage import data
    except ImportError as error:
        raise UsageError(
            "the portrait is scikit-image's: pip install 'auteur-face[dev]', or name clips of your own"
        ) from error
    if not SPEECH.is_file():
        raise UsageError(
            f"there is no {str(SPEECH)!r}: work in a copy of the repository, or name clips of your own"
        )
    from auteur.talking_head.talking_head import TalkingHead

    speech, head = read_speech(SPEECH), TalkingHead.from_pretrained("warp")
    longest = float(speech.duration_sec)
    if not 0.5 <= seconds <= longest:
        raise UsageError(f"seconds is {seconds}; it must be between 0.5 and {longest:g}")
    made: list[Footage] = []
    with tempfile.TemporaryDirectory() as place:
        portrait, words = Path(place, "portrait.png"), Path(place, "speech.wav")
        # Her face is 105 px large in a picture of 256.
        write_image(portrait, np.ascontiguousarray(data.astronaut()[:SIDE_PX, 96 : 96 + SIDE_PX]), mark=_MARK)
        for number, emotion in enumerate(EMOTIONS):
            start = (longest - seconds) * number / len(EMOTIONS)
            sound = speech.slice(start, start + seconds)
            write_audio(words, sound, mark=_MARK, overwrite=True)
            video = head(portrait, words, emotion=emotion)
            made.append(Footage(np.stack(list(video.frames())), sound))
    return tuple(made)


@lru_cache(maxsize=1)
def read_footage(folder: Path, seconds: float) -> tuple[Footage, ...]:
    """Returns the first `seconds` of as many clips as there are `EMOTIONS`, in the order of their names.

    Raises:
        InputError: There are none, or one cannot be read or has no sound.
    """
    clips = list(files_below(folder, VIDEO_SUFFIXES))
    if not clips:
        raise InputError(f"{str(folder)!r} holds no video; name a folder of clips that have sound")
    return tuple(_read(clips[number % len(clips)], seconds) for number in range(len(EMOTIONS)))


def _read(clip: Path, seconds: float) -> Footage:
    sound = read_speech(clip).slice(0, Fraction(seconds))
    frames: list[NDArray[np.uint8]] = []
    with VideoReader(clip) as video:
        for frame in video:
            # The frame that is shown at each instant of our rate.
            while len(frames) / RATE <= frame.time_sec and len(frames) < round(seconds * RATE):
                frames.append(frame.image)
            if len(frames) == round(seconds * RATE):
                break
    stack = np.stack(frames)
    return Footage(stack[:, : stack.shape[1] // 2 * 2, : stack.shape[2] // 2 * 2], sound)


def as_person(footage: Footage, number: int) -> Footage:
    """Returns the footage as another person's: every second person is mirrored, each two are darker."""
    frames = footage.frames[:, :, ::-1] if number % 2 else footage.frames
    if shade := number // 2:
        curve = 255 * np.linspace(0, 1, 256) ** (1 + 0.15 * shade)
        frames = curve.round().astype(np.uint8)[frames]
    return replace(footage, frames=np.ascontiguousarray(frames))


def _two_faces(footage: Footage) -> Footage:
    return replace(footage, frames=np.concatenate([footage.frames, footage.frames[:, :, ::-1]], axis=2))


def _no_face(footage: Footage) -> Footage:
    height, width = footage.frames.shape[1:3]
    wall = np.linspace(90, 160, width).astype(np.uint8)[None, None, :, None]
    return replace(footage, frames=np.broadcast_to(wall, (len(footage.frames), height, width, 3)).copy())


def _silence(footage: Footage) -> Footage:
    return replace(footage, sound=replace(footage.sound, samples=np.zeros_like(footage.sound.samples)))


def _low_resolution(footage: Footage) -> Footage:
    step = max(1, min(footage.frames.shape[1:3]) // _SMALL_PX)
    frames = np.ascontiguousarray(footage.frames[:, ::step, ::step])
    return replace(footage, frames=frames[:, : frames.shape[1] // 2 * 2, : frames.shape[2] // 2 * 2])


def _late_sound(footage: Footage) -> Footage:
    samples, late = footage.sound.samples, round(_LATE_SECONDS * footage.sound.rate_hz)
    moved = np.concatenate([np.zeros(late, samples.dtype), samples[:-late]])
    return replace(footage, sound=replace(footage.sound, samples=moved))


def _cut(footage: Footage) -> Footage:
    half, other = len(footage.frames) // 2, as_person(footage, 3).frames
    return replace(footage, frames=np.concatenate([footage.frames[:half], np.roll(other[half:], 40, axis=2)]))


def _same(footage: Footage) -> Footage:
    return footage


FAULTS: dict[str, Callable[[Footage], Footage]] = {
    "unreadable": _same,
    "no_sound": _same,
    "two_faces": _two_faces,
    "no_face": _no_face,
    "silence": _silence,
    "low_resolution": _low_resolution,
    "late_sound": _late_sound,
    "cut": _cut,
}
"""What can be wrong with a recording; the first two are done to its files."""


INTRO_SECONDS = 1


def _after_a_wall(footage: Footage) -> Footage:
    wall = _no_face(footage).frames[:1].repeat(round(INTRO_SECONDS * RATE), axis=0)
    samples = footage.sound.samples
    quiet = np.zeros(INTRO_SECONDS * footage.sound.rate_hz, samples.dtype)
    sound = replace(footage.sound, samples=np.concatenate([quiet, samples]))
    return Footage(np.concatenate([wall, footage.frames]), sound)


CHANGES = FAULTS | {"none": _same, "after_a_wall": _after_a_wall}
"""What is done to footage before it is coded; "after_a_wall": `INTRO_SECONDS` of a wall come before it."""


@cache
def clip_of(folder: Path | None, seconds: float, emotion: int, *, person: int, change: str) -> Clip:
    """Returns a clip, made or read, changed and coded; the second call for the same one takes no time.

    Args:
        folder: Clips to read; None: `spoken`.
        seconds: Its length before it is changed.
        emotion: Index into `EMOTIONS`.
        person: See `as_person`.
        change: One of `CHANGES`.

    Raises:
        UsageError: As `spoken`.
        InputError: As `read_footage`.
    """
    footage = spoken(seconds) if folder is None else read_footage(folder, seconds)
    return _coded(CHANGES[change](as_person(footage[emotion], person)))


def _coded(footage: Footage) -> Clip:
    size_px = (footage.frames.shape[2], footage.frames.shape[1])
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, "clip.mp4")
        with VideoWriter(path, size_px=size_px, rate=RATE, mark=_MARK, audio=footage.sound) as video:
            for frame in footage.frames:
                video.write(frame)
        return Clip(path.read_bytes(), footage.sound, size_px, footage.seconds)


def write_video(path: Path, clip: Clip, *, sound: bool) -> None:
    """Writes the pictures, and optionally the sound, into any container that takes H.264 and AAC."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _copy_streams(clip.content, path, ("video", "audio") if sound else ("video",))


def write_sound(path: Path, clip: Clip) -> None:
    """Writes the sound into an .m4a or a .wav."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix != ".wav":
        _copy_streams(clip.content, path, ("audio",))
        return
    with tempfile.TemporaryDirectory() as place:  # without the sidecar: published trees hold none
        write_audio(Path(place, "sound.wav"), clip.sound, mark=_MARK)
        path.write_bytes(Path(place, "sound.wav").read_bytes())


def _copy_streams(content: bytes, target: Path, kinds: tuple[str, ...]) -> None:
    """Copies coded streams into another container together with the mark."""
    with av.open(io.BytesIO(content), "r") as inside, av.open(str(target), "w") as outside:
        outside.metadata.update(inside.metadata)
        streams = [stream for stream in inside.streams if stream.type in kinds]
        copies = {stream.index: outside.add_stream_from_template(stream) for stream in streams}
        for packet in inside.demux(streams):
            if packet.dts is not None:
                packet.stream = copies[packet.stream.index]
                outside.mux(packet)


def cut_short(path: Path) -> None:
    """Leaves the first third of a file, as a broken download does."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 3])
