"""Portrait + speech + performance → talking video: paper C's route, rendered by warping the portrait."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
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
from auteur.facs import find_emotion
from auteur.media import SpeechNotes, VideoWriter, examine_speech, read_image, read_speech, write_image
from auteur.motion.own_expression import own_expression
from auteur.motion.speech_motion import MOTION_RATE, Habits, Motion, SpeechCues, SpeechMotion
from auteur.pipelines.contact_sheet import contact_sheet, spread
from auteur.pipelines.performed import performed, with_eyes
from auteur.pipelines.plotting import plot_performance
from auteur.pipelines.request import Performance
from auteur.pipelines.routes import find_route
from auteur.signals import AUTrack, LandmarkTrack, Waveform
from auteur.speech.features import CompactSpeechFeatures
from auteur.synthesis.warp import PortraitWarper

LONGEST_SIDE_PX = 1920
FRAMES_AT_ONCE = 16
"""Frames rendered together; memory does not grow with length, and no frame depends on it."""

MOTION_BLOCK = 16
"""Motion frames computed together."""

_READ_AT_ONCE = 256

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
    route: str = "auto"
    """What makes Action Units of the speech (`auteur.pipelines.routes.ROUTES`)."""

    def __post_init__(self) -> None:
        find_route(self.route)
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
        self._own = own_expression(face.landmarks, face.blendshapes)
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
            own=self._own,
            first=start,
            stop=start + MOTION_BLOCK,
        )

    def performed(self) -> AUTrack:
        """Returns what the motion does as Action Units, convention "facs", one row per frame.

        Mouth units hold what speech does too, so it is no copy of `au_track`; as a `track` for silence it
        gives the same face again.
        """
        starts = range(0, self.frame_count, _READ_AT_ONCE)
        blocks = (self.landmarks(start, start + _READ_AT_ONCE) for start in starts)
        done = performed(blocks, self._mover.at_rest(self._face.landmarks, self._own), self._mover.basis)
        places = np.arange(self.frame_count) * float(MOTION_RATE / self._settings.fps)
        eyes = np.concatenate([self._motion.lids, self._motion.gaze_rad], axis=1)
        at = np.stack([np.interp(places, np.arange(len(eyes)), column) for column in eyes.T], axis=1)
        return with_eyes(done, at[:, :2], at[:, 2:])

    def frames(self) -> Iterator[Frames]:
        """Yields the video's frames, uint8 [H, W, 3]."""
        for first in range(0, self.frame_count, FRAMES_AT_ONCE):
            yield from self._rendered(self.landmarks(first, first + FRAMES_AT_ONCE))

    @cached_property
    def _warper(self) -> PortraitWarper:
        return PortraitWarper(self._portrait, torch.from_numpy(self._face.landmarks))

    def _rendered(self, track: LandmarkTrack) -> Frames:
        rendered = self._warper.render(torch.from_numpy(np.array(track.values)))
        return rendered.permute(0, 2, 3, 1).contiguous().numpy()

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

    def plot(self, path: Path | str, *, overwrite: bool = False) -> None:
        """Draws what was asked for against what the motion did into a marked PNG; needs Matplotlib.

        Raises:
            UsageError: Matplotlib is not installed, or `path` does not end in .png.
            InputError: The file cannot be written.
        """
        plot_performance(self.au_track, self.performed(), Path(path), mark=self._mark, overwrite=overwrite)

    def save_sheet(self, path: Path | str, *, overwrite: bool = False) -> None:
        """Writes a marked picture of 12 frames and their mouths at full size.

        Raises:
            UsageError: `path` ends in none of .png, .jpg and .webp.
            InputError: The file cannot be written.
        """
        tracks = [self.landmarks(number, number + 1) for number in spread(self.frame_count)]
        frames = [self._rendered(track)[0] for track in tracks]
        sheet = contact_sheet(frames, np.concatenate([track.values for track in tracks]))
        write_image(path, sheet, mark=self._mark, overwrite=overwrite)


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
            raise UsageError(f"there is no preset {preset!r}; choose one of {', '.join(PRESETS)}")
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
        motion = self._perform(waveform, asked, settings)
        notes = _notes(heard, asked, waveform.duration_sec)
        if heard.source_rate_hz != waveform.rate_hz:
            waveform = read_speech(speech, rate_hz=None)  # the video keeps the recording's own rate
        return TalkingVideo(
            portrait=torch.from_numpy(picture).permute(2, 0, 1).contiguous(),
            face=reading,
            motion=motion,
            mover=self._mover,
            settings=settings,
            voice=waveform,
            mark=_mark(portrait, speech, asked, settings),
            notes=notes,
        )

    def _perform(self, speech: Waveform, asked: Performance, settings: Settings) -> Motion:
        analysis = self._speech.analyse(speech, MOTION_RATE)
        frames = len(analysis.features)
        stage = find_route(settings.route).load()
        emotion = None if asked.emotion is None else find_emotion(asked.emotion)
        expression = None if stage is None else stage(speech, emotion=emotion, intensity=asked.intensity)
        motion = self._mover.generate(
            analysis.features,
            cues=SpeechCues.of_analysis(analysis),
            asked=asked.on_grid(frames, MOTION_RATE, expression=expression),
            seed=settings.seed,
            temperature=settings.temperature,
            habits=Habits(blinks=settings.blinks, gaze=settings.gaze, head=settings.head),
        )
        # What a route makes of the speech directs the whole face, as a track does.
        return replace(motion, takeover=asked.takeover(frames) if stage is None else np.ones(frames))


def fitted(picture: Frames) -> Frames:
    """Returns a picture [H, W, 3] whose longer side is at most 1920 px."""
    scale = LONGEST_SIDE_PX / max(picture.shape[:2])
    if scale >= 1:
        return picture
    size = (round(picture.shape[0] * scale), round(picture.shape[1] * scale))
    pixels = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    smaller = functional.interpolate(pixels, size, mode="area")[0]
    return smaller.round().byte().permute(1, 2, 0).contiguous().numpy()


def _notes(heard: SpeechNotes, asked: Performance, speech_sec: Fraction) -> tuple[str, ...]:
    notes = list(heard.lines())
    curves = asked.curves()
    if curves is not None and curves.duration_sec < speech_sec:
        notes.append(
            f"the track covers {float(curves.duration_sec):.2f} s of {float(speech_sec):.2f} s of "
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
            "scales": dict(asked.scales),
            "route": settings.route,
            "fps": str(settings.fps),
            "head": settings.head,
            "blinks": settings.blinks,
            "gaze": settings.gaze,
            "temperature": settings.temperature,
        },
        seed=settings.seed,
    )
