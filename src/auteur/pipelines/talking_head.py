"""Portrait + speech + performance → talking video: paper C's route, rendered by warping the portrait."""

import math
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from auteur import provenance, weights
from auteur.expression.curve import EmotionCurve, parse_curve
from auteur.face.auteur_backend import AuteurBackend
from auteur.face.backend import FaceBackend, FaceReading
from auteur.facs import find_emotion
from auteur.media import SpeechFile, VideoWriter, open_speech, write_image
from auteur.motion.guidance import guided
from auteur.motion.own_expression import own_expression
from auteur.motion.speech_motion import MOTION_RATE, AddedShape, Habits, Motion, SpeechCues, SpeechMotion
from auteur.pipelines import heap
from auteur.pipelines.contact_sheet import contact_sheet, spread
from auteur.pipelines.notes import notes_of
from auteur.pipelines.performed import performed, with_eyes
from auteur.pipelines.plotting import plot_performance
from auteur.pipelines.portrait_picture import open_portrait
from auteur.pipelines.prefetch import prefetched
from auteur.pipelines.request import Performance
from auteur.pipelines.routes import ShapedExpression, find_route, following
from auteur.pipelines.settings import EVERY, Settings, denoiser_path, mark_of, painting_of
from auteur.signals import AUTrack, LandmarkTrack, Sound
from auteur.speech.features import CompactSpeechFeatures
from auteur.synthesis.warp import PortraitWarper

if TYPE_CHECKING:  # the portrait warp alone needs none of it
    from auteur.pipelines.painters import Painter

FRAMES_AT_ONCE = 16
"""Frames rendered together; memory does not grow with length, and no frame depends on it."""

MOTION_BLOCK = 16
"""Motion frames computed together."""

_READ_AT_ONCE = 256

MODELS = ("detector", "landmarker", "speech_encoder", "motion", "au_basis", "habits")

Frames = NDArray[np.uint8]


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
        voice: Sound,
        mark: provenance.Mark,
        notes: tuple[str, ...],
    ) -> None:
        self._portrait, self._face, self._motion, self._mover = portrait, face, motion, mover
        self._settings, self._voice, self._mark = settings, voice, mark
        self.notes = notes
        self.au_track: AUTrack | None = motion.asked if motion.shown is None else motion.shown
        self._own = own_expression(face.landmarks, face.blendshapes)
        self.frame_count = max(1, round(voice.duration_sec * settings.fps))
        self._painter: Painter | None = None
        self._for_sheet: dict[int, Frames] = {}

    def paint_with(self, painter: "Painter") -> "TalkingVideo":
        """Has the frames painted by a denoiser on top of the warp; returns itself."""
        self._painter = painter
        return self

    @property
    def models(self) -> dict[str, str]:
        """Version of every model that had a part in it, by name."""
        return dict(self._mark.models)

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

    def frames(self) -> Generator[Frames]:
        """Yields the video's frames, uint8 [H, W, 3]; a second thread makes the next ones meanwhile."""
        if self._painter is not None:
            yield from self._painted(self._painter)
            return
        heap.keep()
        with closing(prefetched(self._pieces(), ahead=1)) as pieces:
            for piece in pieces:
                yield from piece

    def _pieces(self) -> Iterator[Frames]:
        torch.get_num_threads()  # a new thread takes the number that was set only once it is asked for
        for first in range(0, self.frame_count, FRAMES_AT_ONCE):
            yield self._rendered(self.landmarks(first, first + FRAMES_AT_ONCE))

    @cached_property
    def _warper(self) -> PortraitWarper:
        return PortraitWarper(self._portrait, torch.from_numpy(self._face.landmarks))

    def _painted(self, painter: "Painter") -> Iterator[Frames]:
        from auteur.pipelines.painting import Painting
        from auteur.pipelines.scene import Scene

        rate, count, asked = self._settings.fps, self.frame_count, self.au_track
        scene = Scene(
            painter,
            self._warper,
            self._portrait,
            self._face.landmarks,
            basis=self._mover.basis,
            asked=None if asked is None else asked.resample(rate, start_sec=0, frames=count),
            heard=None if painter.speech is None else painter.speech.encode(self._voice, rate),
        )
        heap.give_back()  # what the speech took to be heard
        heap.keep()
        settings = painter.settings(**self._settings.painting)
        chosen = set(spread(count))
        painting, kept = Painting(scene), dict[int, Frames]()
        made = painting.frames(self.landmarks, count=count, seed=self._settings.seed, settings=settings)
        for number, frame in enumerate(made):
            if number in chosen:
                kept[number] = frame
            yield frame
        self._for_sheet = kept

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
            audio=self._voice.soundtrack() if isinstance(self._voice, SpeechFile) else self._voice,
            overwrite=overwrite,
        )
        with writer as video, closing(self.frames()) as frames:
            for done, frame in enumerate(frames, start=1):
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
        if self._painter is None:
            frames = [self._rendered(track)[0] for track in tracks]
        else:
            if not self._for_sheet:  # painted in order, each window after the one before
                deque(self.frames(), maxlen=0)
            frames = [self._for_sheet[number] for number in spread(self.frame_count)]
        sheet = contact_sheet(frames, np.concatenate([track.values for track in tracks]))
        write_image(path, sheet, mark=self._mark, overwrite=overwrite)


class TalkingHead:
    """The compact system: our own tracker, speech encoder, motion generator and portrait warp.

    Example:
        head = TalkingHead.from_pretrained("compact")
        video = head("portrait.jpg", "speech.wav", emotion="happy", intensity=0.8)
        video.save("out.mp4")
    """

    def __init__(
        self,
        backend: FaceBackend,
        speech: CompactSpeechFeatures,
        mover: SpeechMotion,
        *,
        painter: "Painter | None" = None,
    ) -> None:
        self._backend, self._speech, self._mover, self._painter = backend, speech, mover, painter

    @classmethod
    def from_pretrained(cls, preset: Path | str = "compact", *, device: str | None = None) -> "TalkingHead":
        """Returns the system of a preset, with the weights that ship with the package.

        Args:
            preset: "compact", which warps the portrait and paints what shows between the lips; "fast", which
                paints every second frame; "warp", which paints nothing; or a denoiser file or folder of the
                papers' size (docs/denoiser.md).
            device: Where the denoiser runs, "cpu" or "cuda"; None: CUDA where there is one.

        Raises:
            UsageError: There is no such preset or device, or something must be installed.
            WeightsError: The weights are missing, damaged or do not fit.
        """
        path = denoiser_path(preset, device)
        speech = CompactSpeechFeatures.shipped()
        painter = None
        if path is not None:
            from auteur.pipelines.painters import load_painter

            painter = load_painter(path, speech=speech, device=device, every=EVERY.get(str(preset), 1))
        return cls(AuteurBackend(), speech, SpeechMotion.shipped(), painter=painter)

    @property
    def models(self) -> dict[str, str]:
        """Version of every model by name, as it is written into outputs."""
        denoiser = {} if self._painter is None else {"denoiser": self._painter.version}
        return {name: weights.version(name) for name in MODELS} | denoiser

    def __call__(
        self,
        portrait: Path | str,
        speech: Path | str,
        *,
        emotion: str | EmotionCurve | None = None,
        intensity: float = 1.0,
        au: dict[str, float] | None = None,
        track: AUTrack | Path | None = None,
        settings: Settings | None = None,
        face: int = 0,
    ) -> TalkingVideo:
        """Returns the video in which the portrait says the speech, ready to be rendered.

        Args:
            portrait: A picture, or a video whose first usable frame is taken.
            speech: Sound file, or a video with sound.
            emotion: Label, such as "happy", or emotions over time: a curve, or a text with times such as
                "0s neutral, 2s happy:0.8".
            intensity: Of an emotion given as a label, in [0, 1.2]; over 1 extrapolates.
            au: Intensities by control, such as {"AU1": 0.5, "smile": 0.3}.
            track: Action Unit curves, or a file of them.
            settings: Seed, frame rate and habits.
            face: Which face of the portrait: 0 the largest, 1 the next.

        Raises:
            UsageError: A value is outside its range or unknown.
            MediaError: A file cannot be read.
            FaceError: The portrait holds no usable face.
        """
        label, curve = told_apart(emotion)
        asked = Performance(label, intensity, au or {}, track, emotion_curve=curve)
        return self.perform(Path(portrait), Path(speech), asked, settings or Settings(), face=face)

    def perform(
        self, portrait: Path, speech: Path, asked: Performance, settings: Settings, *, face: int = 0
    ) -> TalkingVideo:
        """As calling it, with the performance and the settings as objects."""
        painting = painting_of(settings, self._painter)
        picture, reading, seen = open_portrait(self._backend, portrait, face=face)
        voice, heard = open_speech(speech)
        asked.check_covers(voice.duration_sec)
        motion = self._perform(voice, asked, settings)
        heap.give_back()
        video = TalkingVideo(
            portrait=torch.from_numpy(picture).permute(2, 0, 1).contiguous(),
            face=reading,
            motion=motion,
            mover=self._mover,
            settings=settings,
            voice=voice,
            mark=mark_of(portrait, speech, asked, settings, models=self.models, painting=painting),
            notes=(*seen, *notes_of(heard, asked, voice.duration_sec, motion)),
        )
        return video if self._painter is None else video.paint_with(self._painter)

    def _perform(self, speech: Sound, asked: Performance, settings: Settings) -> Motion:
        analysis = self._speech.analyse(speech, MOTION_RATE)
        features, cues = analysis.features, SpeechCues.of_analysis(analysis)
        del analysis  # the phones
        frames = len(features)
        heap.give_back()
        stage = find_route(settings.route, asks_nothing=asked.asks_nothing).load()
        emotion = None if asked.emotion is None else find_emotion(asked.emotion)
        expression, shape = None, None
        if isinstance(stage, ShapedExpression):
            curve = asked.emotions or EmotionCurve.constant("neutral", 0.0)
            expression, weights, shapes = stage.shaped(speech, curve=curve)
            shape = AddedShape(weights=weights, shapes=shapes) if asked.leaves_alone(expression) else None
        elif stage is not None and asked.emotions is not None and (emotion is None or asked.intensity > 1):
            expression = following(stage, speech, asked.emotions)
        elif stage is not None:
            expression = stage(speech, emotion=emotion, intensity=asked.intensity)
        shown = asked.on_grid(frames, MOTION_RATE, expression=expression)
        on_top = replace(asked, emotion=None, intensity=1.0, emotion_curve=None).on_grid(frames, MOTION_RATE)
        motion = self._mover.generate(
            features,
            cues=cues,
            asked=guided(shown if shape is None else on_top, settings.au_scale),
            seed=settings.seed,
            temperature=settings.temperature,
            habits=Habits(blinks=settings.blinks, gaze=settings.gaze, head=settings.head),
        )
        # What a named route makes of the speech directs the whole face, as a track does; what is only heard
        # leaves the portrait's own expression where it is.
        is_named = stage is not None and settings.route != "auto"
        takeover = np.ones(frames) if is_named else asked.takeover(frames)
        return replace(motion, takeover=takeover, shape=shape, shown=shown)


def told_apart(emotion: str | EmotionCurve | None) -> tuple[str | None, EmotionCurve | None]:
    """Returns a label or a curve; a text with a number in it is a curve.

    Raises:
        UsageError: The curve is malformed.
    """
    if isinstance(emotion, str) and any(map(str.isdigit, emotion)):
        return None, parse_curve(emotion)
    return (None, emotion) if isinstance(emotion, EmotionCurve) else (emotion, None)
