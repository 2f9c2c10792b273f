"""Portrait + speech + performance → talking video: paper C's route, rendered by warping the portrait."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from auteur import provenance, weights
from auteur.errors import UsageError
from auteur.face.auteur_backend import AuteurBackend
from auteur.face.backend import FaceBackend, FaceReading
from auteur.face.tracker import find_face
from auteur.media import SpeechNotes, VideoWriter, examine_speech, read_image, read_speech
from auteur.motion.speech_motion import MOTION_RATE, Habits, Motion, SpeechCues, SpeechMotion
from auteur.pipelines.request import Performance
from auteur.signals import AUTrack, LandmarkTrack, Waveform
from auteur.speech.features import CompactSpeechFeatures
from auteur.synthesis.warp import PortraitWarper

LONGEST_SIDE_PX = 1920
FRAMES_AT_ONCE = 16
"""Frames rendered together; memory does not grow with length, and no frame depends on it."""

MOTION_BLOCK = 16
"""Motion frames computed together."""

PRESETS = ("compact",)
MODELS = ("detector", "landmarker", "speech_encoder", "motion", "au_basis", "habits")

Frames = NDArray[np.uint8]


@dataclass(frozen=True)
class Settings:
    """How to generate, whatever is performed."""

    seed: int = 0
    """Of motion, blinks, gaze and head: the same seed gives the same frames."""
    fps: Fraction = MOTION_RATE
    """Frames per second of the video."""
    head: float = 1.0
    """Factor on head motion; 0 keeps the head still."""
    blinks: bool = True
    gaze: bool = True
    temperature: float = 0.3
    """How freely the mouth varies, in [0, 2]."""

    def __post_init__(self) -> None:
        if not 1 <= self.fps <= 120:
            raise UsageError(f"fps is {float(self.fps):g}; it must be between 1 and 120")
        if not 0 <= self.head <= 3:
            raise UsageError(f"head is {self.head}; it must be between 0 and 3")


class TalkingVideo:
    """A performance ready to be rendered; frames are made when they are asked for.

    Attributes:
        au_track: What was asked for, convention "facs", or None.
        frame_count: round(duration of the speech × fps).
        notes: Sentences about how the inputs were understood.
    """

    def __init__(
        self,
        *,
        portrait: torch.Tensor,
        face: FaceReading,
        motion: Motion,
        mover: SpeechMotion,
        settings: Settings,
        voice: Waveform,
        mark: provenance.Mark,
        notes: tuple[str, ...],
    ) -> None:
        self._portrait, self._face, self._motion, self._mover = portrait, face, motion, mover
        self._settings, self._voice, self._mark = settings, voice, mark
        self.notes = notes
        self.au_track: AUTrack | None = motion.asked
        self.frame_count = max(1, round(voice.duration_sec * settings.fps))

    @property
    def size_px(self) -> tuple[int, int]:
        """Width and height of the frames."""
        return self._portrait.shape[2], self._portrait.shape[1]

    def landmarks(self, first: int = 0, stop: int | None = None) -> LandmarkTrack:
        """Returns what the motion stage made of some frames: [frames, 478, 3] px of the portrait."""
        stop = self.frame_count if stop is None else min(stop, self.frame_count)
        rate, last = self._settings.fps, self._motion.frames
        begin = min(math.floor(first / rate * MOTION_RATE), last - 1)
        end = min(math.ceil((stop - 1) / rate * MOTION_RATE) + 1, last)
        # On a fixed grid of blocks: sums round by the size of their batch, frames must not depend on pieces.
        starts = range(begin - begin % MOTION_BLOCK, max(end, begin + 1), MOTION_BLOCK)
        track = self._motion_block(starts[0])
        for start in starts[1:]:
            track = track.concatenate(self._motion_block(start))
        return track.resample(rate, start_sec=first / rate, frames=stop - first)

    def _motion_block(self, start: int) -> LandmarkTrack:
        return self._mover.landmarks_on(
            self._motion,
            self._face.landmarks,
            image_size_px=self.size_px,
            first=start,
            stop=start + MOTION_BLOCK,
        )

    def frames(self) -> Iterator[Frames]:
        """Yields the video's frames, uint8 [H, W, 3]."""
        warper = PortraitWarper(self._portrait, torch.from_numpy(self._face.landmarks))
        for first in range(0, self.frame_count, FRAMES_AT_ONCE):
            track = self.landmarks(first, first + FRAMES_AT_ONCE)
            rendered = warper.render(torch.from_numpy(np.array(track.values)))
            yield from rendered.permute(0, 2, 3, 1).contiguous().numpy()

    def save(
        self, path: Path | str, *, overwrite: bool = False, on_frame: Callable[[int], None] | None = None
    ) -> None:
        """Writes a marked MP4 with the speech, whole or not at all.

        Args:
            path: Ends in .mp4.
            overwrite: Whether it may replace a file.
            on_frame: Called with the number of frames done; raising an error in it cancels, leaving nothing.

        Raises:
            InputError: The file cannot be written.
        """
        writer = VideoWriter(
            path,
            size_px=self.size_px,
            rate=self._settings.fps,
            mark=self._mark,
            audio=self._voice,
            overwrite=overwrite,
        )
        with writer as video:
            for done, frame in enumerate(self.frames(), start=1):
                video.write(frame)
                if on_frame:
                    on_frame(done)


class TalkingHead:
    """The compact system: our own tracker, speech encoder, motion generator and portrait warp.

    Example:
        head = TalkingHead.from_pretrained("compact")
        video = head("portrait.jpg", "speech.wav", emotion="happy", intensity=0.8)
        video.save("out.mp4")
    """

    def __init__(self, backend: FaceBackend, speech: CompactSpeechFeatures, mover: SpeechMotion) -> None:
        self._backend, self._speech, self._mover = backend, speech, mover

    @classmethod
    def from_pretrained(cls, preset: str = "compact") -> "TalkingHead":
        """Returns the system of a preset with the weights that ship with the package.

        Raises:
            UsageError: There is no such preset.
            WeightsError: The installation is damaged.
        """
        if preset not in PRESETS:
            raise UsageError(f"preset {preset!r} is unknown; there is {', '.join(PRESETS)}")
        return cls(AuteurBackend(), CompactSpeechFeatures.shipped(), SpeechMotion.shipped())

    def __call__(
        self,
        portrait: Path | str,
        speech: Path | str,
        *,
        emotion: str | None = None,
        intensity: float = 1.0,
        au: dict[str, float] | None = None,
        track: AUTrack | Path | None = None,
        settings: Settings | None = None,
        face: int = 0,
    ) -> TalkingVideo:
        """Returns the video in which the portrait says the speech, ready to be rendered.

        Args:
            portrait: PNG, JPEG or WEBP file.
            speech: Sound file, or a video with sound.
            emotion: Label, such as "happy".
            intensity: Of the emotion, in [0, 1].
            au: Intensities by control, such as {"AU1": 0.5, "smile": 0.3}.
            track: Action Unit curves, or a file of them.
            settings: Seed, frame rate and habits.
            face: Which face of the portrait: 0 the largest, 1 the next.

        Raises:
            UsageError: A value is outside its range or unknown.
            MediaError: A file cannot be read.
            FaceError: The portrait holds no usable face.
        """
        asked = Performance(emotion=emotion, intensity=intensity, action_units=au or {}, track=track)
        return self.perform(Path(portrait), Path(speech), asked, settings or Settings(), face=face)

    def perform(
        self, portrait: Path, speech: Path, asked: Performance, settings: Settings, *, face: int = 0
    ) -> TalkingVideo:
        """As calling it, with the performance and the settings as objects."""
        picture = fitted(read_image(portrait))
        reading = find_face(self._backend, picture, face=face, name=portrait.name)
        waveform, heard = examine_speech(speech)
        analysis = self._speech.analyse(waveform, MOTION_RATE)
        frames = len(analysis.features)
        motion = self._mover.generate(
            analysis.features,
            cues=SpeechCues.of_analysis(analysis),
            asked=asked.on_grid(frames, MOTION_RATE),
            seed=settings.seed,
            temperature=settings.temperature,
            habits=Habits(blinks=settings.blinks, gaze=settings.gaze, head=settings.head),
        )
        return TalkingVideo(
            portrait=torch.from_numpy(picture).permute(2, 0, 1).contiguous(),
            face=reading,
            motion=motion,
            mover=self._mover,
            settings=settings,
            voice=read_speech(speech, rate_hz=None),
            mark=_mark(portrait, speech, asked, settings),
            notes=_notes(heard, asked, waveform),
        )


def fitted(picture: Frames) -> Frames:
    """Returns a picture [H, W, 3] whose longer side is at most 1920 px."""
    scale = LONGEST_SIDE_PX / max(picture.shape[:2])
    if scale >= 1:
        return picture
    size = (round(picture.shape[0] * scale), round(picture.shape[1] * scale))
    pixels = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    smaller = functional.interpolate(pixels, size, mode="area")[0]
    return smaller.round().byte().permute(1, 2, 0).contiguous().numpy()


def _notes(heard: SpeechNotes, asked: Performance, speech: Waveform) -> tuple[str, ...]:
    notes = list(heard.lines())
    curves = asked.curves()
    if curves is not None and curves.duration_sec < speech.duration_sec:
        notes.append(
            f"the track covers {float(curves.duration_sec):.2f} s of {float(speech.duration_sec):.2f} s of "
            "speech; its last value holds to the end"
        )
    if curves is not None and curves.rate != MOTION_RATE:
        notes.append(f"the track has {float(curves.rate):g} frames/s; it was resampled by time")
    return tuple(notes)


def _mark(portrait: Path, speech: Path, asked: Performance, settings: Settings) -> provenance.Mark:
    inputs = {"portrait": provenance.hash_file(portrait), "speech": provenance.hash_file(speech)}
    if isinstance(asked.track, Path):
        inputs["track"] = provenance.hash_file(asked.track)
    return provenance.Mark(
        models={name: weights.version(name) for name in MODELS},
        inputs=inputs,
        settings={
            "emotion": asked.emotion,
            "intensity": asked.intensity,
            "action_units": dict(asked.action_units),
            "fps": str(settings.fps),
            "head": settings.head,
            "blinks": settings.blinks,
            "gaze": settings.gaze,
            "temperature": settings.temperature,
        },
        seed=settings.seed,
    )
