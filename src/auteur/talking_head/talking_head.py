"""Portrait + speech + requested performance → talking video: motion, then a renderer."""

import math
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Unpack

import numpy as np
import torch

from auteur import malloc, provenance, weights
from auteur.expression.curve import EmotionCurve
from auteur.face.auteur_backend import AuteurBackend
from auteur.face.backend import FaceBackend, FaceReading
from auteur.media import write_image
from auteur.motion.grid import MOTION_RATE
from auteur.motion.performance import Performance
from auteur.motion.portrait_expression import portrait_expression
from auteur.motion.speech_motion import Motion, SpeechMotion
from auteur.painting.registry import load_renderer
from auteur.painting.renderer import Frames, Renderer, RenderInput, renderer_notes
from auteur.painting.warp_renderer import WarpRenderer
from auteur.plots.contact_sheet import contact_sheet, spread
from auteur.signals import AUTrack, LandmarkTrack, PoseTrack
from auteur.talking_head.au_readback import SkinUnits, performed, rendered_performance, with_eyes_of
from auteur.talking_head.finishing import Finishing
from auteur.talking_head.inputs import (
    Options,
    Speech,
    check_keywords,
    find_portrait,
    request_of,
    seed_of,
    settings_of,
    speech_of,
    speech_without,
)
from auteur.talking_head.motion_stage import SpeechEncoders, requested_motion
from auteur.talking_head.notes import notes_of
from auteur.talking_head.request import PerformanceRequest
from auteur.talking_head.routes import Routes
from auteur.talking_head.settings import Settings, mark_of
from auteur.talking_head.stages import COMPACT_MODELS, PICTURE_MODELS, load_stages
from auteur.talking_head.staging import TRACKER_MODELS, staged, tracker_models
from auteur.talking_head.talking_video import FrameSequence

MOTION_BLOCK = 16
"""Motion frames computed together."""

_READ_AT_ONCE = 256

MODELS = (*TRACKER_MODELS, *COMPACT_MODELS, *PICTURE_MODELS)


@dataclass(frozen=True)
class Stages:
    """The models that move the landmarks and render the frames."""

    mover: SpeechMotion
    renderer: Renderer


class TalkingVideo(FrameSequence):
    """A video ready to be rendered; each frame is made when it is read.

    Attributes:
        requested: The requested performance at 25 fps, as motion and renderer get it.
        au_track: Its Action Units, convention "facs", or None.
        frame_count: round(duration of the speech × fps), or of the seconds that the settings allow.
        notes: Sentences about how the inputs were understood.
    """

    def __init__(
        self,
        *,
        portrait: torch.Tensor,
        face: FaceReading,
        motion: Motion,
        stages: Stages,
        settings: Settings,
        voice: Speech,
        mark: provenance.Mark,
        finishing: Finishing,
    ) -> None:
        super().__init__(settings=settings, sound=voice.recording, mark=mark, finishing=finishing)
        self._portrait, self._face, self._motion = portrait, face, motion
        self._mover, self._renderer = stages.mover, stages.renderer
        self.notes: tuple[str, ...] = ()
        self.requested: Performance = motion.performance
        self.au_track: AUTrack | None = self.requested.action_units
        self._own = portrait_expression(face.landmarks, face.blendshapes)
        self._voice = voice.sound
        seconds = voice.sound.duration_sec
        if settings.seconds is not None:
            seconds = min(seconds, Fraction(settings.seconds))
        self.frame_count = max(1, round(seconds * settings.fps))
        self._for_sheet: dict[int, Frames] = {}

    @property
    def models(self) -> dict[str, str]:
        """Version of every model that takes part, by name."""
        return dict(self.mark.models)

    def landmarks(self, first: int = 0, stop: int | None = None) -> LandmarkTrack:
        """Returns the generated landmarks of some frames: [frames, 478, 3] px of the portrait as rendered.

        `landmarks_in_view` has them in pixels of the video, which may be cropped or of another size.
        """
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
            image_size_px=(self._portrait.shape[2], self._portrait.shape[1]),
            own=self._own,
            first=start,
            stop=start + MOTION_BLOCK,
        )

    @cached_property
    def rendered(self) -> Performance:
        """The rendered performance: Action Units in the motion at 25 fps, with its head and gaze."""
        blocks = map(self._motion_block, range(0, self._motion.frames, MOTION_BLOCK))
        return rendered_performance(self._units_of(blocks), self._motion)

    def performed(self) -> AUTrack:
        """Returns the Action Units of the rendered performance, convention "facs", one row per frame.

        Mouth units include the motion of the speech, so it differs from `au_track`; as a `track` for silence
        it gives the same face again.
        """
        starts = range(0, self.frame_count, _READ_AT_ONCE)
        blocks = (self.landmarks(start, start + _READ_AT_ONCE) for start in starts)
        return self._units_of(blocks)

    def _units_of(self, blocks: Iterable[LandmarkTrack]) -> AUTrack:
        at_rest = self._mover.at_rest(self._face.landmarks, self._own)
        return with_eyes_of(performed(blocks, at_rest, self._mover.basis), self._motion)

    @property
    def head_track(self) -> PoseTrack:
        """Head motion relative to the portrait, one row per frame of the video."""
        return self._motion.head.resample(self._settings.fps, start_sec=0, frames=self.frame_count)

    @property
    def seed(self) -> int:
        """Seed of motion and painting: the given one, or the hash of the inputs."""
        return self._settings.seed or 0

    def landmarks_in_view(self, first: int = 0, stop: int | None = None) -> LandmarkTrack:
        """Returns the landmarks of some frames where they are in the video: [frames, 478, 3] px."""
        return self._finishing.view.landmarks(self.landmarks(first, stop))

    def frames(self) -> Generator[Frames]:
        """Yields the video's frames, uint8 [H, W, 3], or [H, W, 4] with transparency."""
        with closing(self._rendered_frames()) as rendered:
            yield from self._finishing.frames(rendered, self.landmarks)

    def _frame_alone(self, number: int) -> Frames:
        with closing(self._renderer.frames(self._render_input, first=number, stop=number + 1)) as made:
            frame = next(made)
        return self._finishing.one(frame, lambda: self.landmarks(number, number + 1))

    def _rendered_frames(self) -> Generator[Frames]:
        """Yields frames of the whole portrait, uint8 [H, W, 3]; those of the contact sheet are kept."""
        kept_numbers = set(spread(self.frame_count)) if self._renderer.is_sequential else set[int]()
        kept: dict[int, Frames] = {}
        with closing(self._renderer.frames(self._render_input)) as made:
            for number, frame in enumerate(made):
                if number in kept_numbers:
                    kept[number] = frame
                yield frame
        self._for_sheet = kept

    def _frames_of(self, numbers: Sequence[int]) -> dict[int, Frames]:
        wanted = sorted(set(numbers))
        with closing(self._renderer.frames(self._render_input, only=wanted)) as made:
            frames = dict(zip(wanted, made, strict=True))
        if self._renderer.is_sequential:
            self._for_sheet = frames
        return frames

    @cached_property
    def _render_input(self) -> RenderInput:
        return RenderInput(
            portrait=self._portrait,
            portrait_landmarks=self._face.landmarks,
            landmarks=lambda first, stop: self.landmarks(first, stop),
            frame_count=self.frame_count,
            rate=self._settings.fps,
            speech=self._voice,
            basis=self._mover.basis,
            performance=self.requested,
            shading=SkinUnits(
                self._face.landmarks,
                self._mover.at_rest(self._face.landmarks, self._own),
                self._mover.basis,
                self._own.eyes_shown,
            ),
            holds_background=self._finishing.keeps_background,
            seed=self._settings.seed or 0,
            options=self._settings.render_options,
        )

    def plot(self, path: Path | str, *, overwrite: bool = False) -> None:
        """Draws the requested against the rendered Action Units into a marked PNG; needs Matplotlib.

        Raises:
            UsageError: Matplotlib is not installed, or `path` does not end in .png.
            InputError: The file cannot be written.
        """
        from auteur.plots.track_plot import plot_performance

        plot_performance(self.au_track, self.performed(), Path(path), mark=self.mark, overwrite=overwrite)

    def save_sheet(self, path: Path | str, *, overwrite: bool = False) -> None:
        """Writes a marked picture of 12 frames and their mouths at full size.

        Raises:
            UsageError: `path` ends in none of .png, .jpg and .webp.
            InputError: The file cannot be written.
        """
        numbers = spread(self.frame_count)
        tracks = [self.landmarks(number, number + 1) for number in numbers]
        frames = self._for_sheet or self._frames_of(numbers)
        sheet = contact_sheet(
            [frames[number] for number in numbers], np.concatenate([track.values for track in tracks])
        )
        write_image(path, sheet, mark=self.mark, overwrite=overwrite)


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
        speech: SpeechEncoders,
        mover: SpeechMotion,
        *,
        renderer: Renderer | None = None,
        routes: Routes | None = None,
        versions: Mapping[str, str] | None = None,
    ) -> None:
        """Takes the models; `renderer` None is the warp alone, `versions` None the compact set's."""
        self._backend, self._speech, self._mover = backend, speech, mover
        self._renderer: Renderer = renderer or WarpRenderer()
        self._routes = routes or Routes()
        self._versions = versions or {
            name: weights.version(name) for name in MODELS if name not in TRACKER_MODELS
        }

    @classmethod
    def from_pretrained(
        cls,
        preset: Path | str = "compact",
        *,
        device: str | None = None,
        backend: FaceBackend | None = None,
    ) -> "TalkingHead":
        """Returns the system of a preset; what it does not bring ships with the package.

        Args:
            preset: "compact", which warps the portrait and paints what shows between the lips; "fast", which
                paints every second frame; "warp", which paints nothing; a denoiser file or folder of the
                papers' size (docs/denoiser.md); or a folder with any of speech_encoder/, audio_lm/,
                expression_generator/, motion/ and denoiser/ (`auteur.talking_head.stages`).
            device: Where the denoiser runs, "cpu" or "cuda"; None: CUDA where there is one.
            backend: Tracker of the portrait's face, such as a `MediaPipeBackend`; None: the shipped tracker.
                Outputs name it.

        Raises:
            UsageError: There is no such preset or device, or something must be installed.
            WeightsError: The weights are missing, damaged or do not fit.
        """
        made = load_stages(preset)
        renderer = load_renderer(made.preset, speech=made.renderer_speech, device=device)
        return cls(
            backend or AuteurBackend(),
            made.encoders,
            made.mover,
            renderer=renderer,
            routes=made.routes,
            versions=made.versions,
        )

    @property
    def models(self) -> dict[str, str]:
        """Version of every model by name, as it is written into outputs."""
        return tracker_models(self._backend) | dict(self._versions) | dict(self._renderer.models)

    def __call__(
        self,
        portrait: object,
        speech: object = None,
        *,
        emotion: str | EmotionCurve | None = None,
        intensity: float = 1.0,
        au: dict[str, float] | None = None,
        track: AUTrack | Path | str | None = None,
        settings: Settings | None = None,
        **options: Unpack[Options],
    ) -> TalkingVideo:
        """Returns the video in which the portrait speaks the speech, ready to be rendered.

        Args:
            portrait: Path of a picture or of a video, whose first usable frame is taken; bytes of a picture,
                a Pillow image, or an array or tensor of RGB, grey or RGBA, channels last or first: uint8,
                uint16, or floats in [0, 1].
            speech: Path or bytes of a sound file or a video with sound, a `Waveform`, or (rate, samples):
                floats with full scale [-1, 1] or whole numbers of 16 or 32 bits, [S], [S, C] or [C, S]. None
                with a track or an actor: the actor's sound, or silence as long as the performance.
            emotion: Label, such as "happy", or emotions over time: a curve, or a text with times such as
                "0s neutral, 2s happy:0.8".
            intensity: Of an emotion given as a label, in [0, 1.2]; over 1 extrapolates.
            au: Intensities by control, such as {"AU1": 0.5, "smile": 0.3}.
            track: Action Unit curves, or a file of them.
            settings: Seed, frame rate and habits.
            **options: Single settings by name, such as `seed`, `fps`, `route`, `seconds`, `crop`, `size` or
                `background`, `consent` or `signing` (`auteur.Settings`), which win over `settings`; `face`,
                which face of the portrait, 0 the largest; `scales`, factors such as {"AU12": 1.5}; `mute`,
                controls that stay at rest; `drive`, a video of an actor; `lips`, `head_track` and
                `gaze_track` (`auteur.talking_head.request.PerformanceRequest`).

        Raises:
            TypeError: There is no such keyword.
            UsageError: A value is outside its range or unknown, or an array cannot be a portrait or speech.
            MediaError: A file cannot be read.
            FaceError: The portrait holds no usable face.
        """
        check_keywords(options)
        requested = request_of(emotion, intensity, au or {}, track, options)
        made = settings_of(settings, options)
        return self.perform(portrait, speech, requested, made, face=options.get("face", 0))

    def perform(
        self,
        portrait: object,
        speech: object,
        requested: PerformanceRequest,
        settings: Settings,
        *,
        face: int = 0,
    ) -> TalkingVideo:
        """Returns the video as calling the object does, with the request and the settings as objects."""
        rendering = self._renderer.resolve(settings.render_options)
        shown, reading, seen = find_portrait(self._backend, portrait, face=face)
        picture, reading, finishing = staged(shown.picture, reading, settings)
        voice = speech_of(speech) if speech is not None else speech_without(requested)
        requested.check_covers(voice.sound.duration_sec)
        if settings.seed is None:
            settings = replace(settings, seed=seed_of(shown.sha256, voice.sha256))
        motion = requested_motion(self._speech, self._mover, voice.sound, requested, settings, self._routes)
        malloc.trim_heap()
        inputs = {"portrait": shown.sha256, "speech": voice.sha256}
        of_route = self._routes.models(settings.route, without_request=requested.is_empty)
        models = self.models | of_route
        video = TalkingVideo(
            portrait=torch.from_numpy(picture).permute(2, 0, 1).contiguous(),
            face=reading,
            motion=motion,
            stages=Stages(self._mover, self._renderer),
            settings=settings,
            voice=voice,
            mark=mark_of(inputs, requested, settings, models=models, rendering=rendering),
            finishing=finishing,
        )
        rendered = renderer_notes(self._renderer, settings.render_options)
        video.notes = (*seen, *notes_of(voice.notes, requested, voice.sound.duration_sec, motion), *rendered)
        return video
