"""Single moments of a performance at interactive speed: what does not change between two looks is kept."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from auteur import weights
from auteur.errors import UsageError
from auteur.face.auteur_backend import AuteurBackend
from auteur.face.backend import FaceReading
from auteur.motion.cues import SpeechCues
from auteur.motion.draft import drafted
from auteur.motion.grid import MOTION_RATE
from auteur.motion.performance import Performance
from auteur.motion.portrait_expression import portrait_expression
from auteur.motion.speech_motion import Motion, MotionOptions
from auteur.painting.registry import load_renderer
from auteur.painting.renderer import Renderer, portrait_warper
from auteur.provenance import Mark
from auteur.signals import Sound, Waveform
from auteur.synthesis.warp import PortraitWarper
from auteur.talking_head.inputs import Portrait, Speech, find_portrait, seed_of, speech_of, speech_without
from auteur.talking_head.motion_stage import performance_of
from auteur.talking_head.request import PerformanceRequest
from auteur.talking_head.routes import find_route
from auteur.talking_head.settings import Settings, mark_of
from auteur.talking_head.stages import StageModels, load_stages
from auteur.talking_head.staging import TRACKER_MODELS, reduced, scaled_reading, staged
from auteur.talking_head.talking_head import Stages, TalkingVideo

Quality = Literal["landmarks", "small", "full"]
QUALITIES: tuple[Quality, ...] = ("landmarks", "small", "full")

SMALL_PX = 256
"""Longer side of a small picture."""
CLIP_SEC = 30
"""Speech up to this length is looked at as a whole; of longer speech, `PART_SEC` around the moment."""
PART_SEC = 12
_STEP_SEC = 8
"""Parts of long speech begin every so many seconds, two of them before what they are used for."""
_LEAD_SEC = 2

Frames = NDArray[np.uint8]
Value = TypeVar("Value")


class Kept:
    """The newest values by key, made when they are missing.

    Args:
        most: How many are held.
    """

    def __init__(self, most: int) -> None:
        self._most, self._values = most, OrderedDict[Hashable, Any]()

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """Returns the value of a key; `make` gives it the first time."""
        if key not in self._values:
            self._values[key] = make()
        self._values.move_to_end(key)
        while len(self._values) > self._most:
            self._values.popitem(last=False)
        return self._values[key]

    def __contains__(self, key: Hashable) -> bool:
        return key in self._values


@dataclass(frozen=True, eq=False)
class Moment:
    """One moment of a performance."""

    frame: int
    """Number of the video's frame, from 0."""
    is_draft: bool
    """Whether the motion is that of the bare speech with the performance added to it."""
    landmarks: NDArray[np.floating]
    """[478, 2] px of the portrait."""
    picture: Frames | None
    """uint8 [H, W, 3 or 4]; None for landmarks alone."""
    size_px: tuple[int, int]
    """Width and height of the portrait that landmarks lie on."""
    notes: tuple[str, ...]
    mark: Mark


@dataclass(frozen=True, eq=False)
class _Face:
    """A portrait at the size of previews and at its own."""

    portrait: Portrait
    reading: FaceReading
    notes: tuple[str, ...]
    small_reading: FaceReading
    warper: PortraitWarper


@dataclass(frozen=True, eq=False)
class _Clip:
    """A part of the speech, analysed."""

    key: tuple[str, int]
    first: int
    """Its first motion frame within the whole."""
    sound: Waveform
    features: torch.Tensor
    head_features: torch.Tensor | None
    cues: SpeechCues

    @property
    def frames(self) -> int:
        return len(self.features)


class Previewer:
    """Moments of performances on portraits, with all that can be kept between two looks.

    Args:
        renderer: Makes the frames of the quality "full".
        stages: The models before it.
    """

    def __init__(self, renderer: Renderer, stages: StageModels) -> None:
        self._backend, self._mover = AuteurBackend(), stages.mover
        self._speech, self._renderer, self._stages = stages.encoders, renderer, stages
        self._faces, self._voices, self._clips = Kept(4), Kept(4), Kept(8)
        self._bare, self._exact, self._routes, self._predictions = Kept(16), Kept(8), Kept(4), Kept(8)

    @classmethod
    def from_pretrained(cls, preset: str = "compact", *, device: str | None = None) -> "Previewer":
        """Returns a previewer whose full frames are those of a preset.

        Raises:
            UsageError: There is no such preset or device.
            WeightsError: The weights are missing or damaged.
        """
        made = load_stages(preset)
        return cls(load_renderer(made.preset, speech=made.renderer_speech, device=device), made)

    def __call__(
        self,
        portrait: Path,
        speech: Path | None,
        request: PerformanceRequest,
        settings: Settings,
        time_sec: float,
        *,
        quality: Quality = "small",
        face: int = 0,
    ) -> Moment:
        """Returns one moment.

        Args:
            portrait: A picture, or a video.
            speech: A recording; None with a track or an actor.
            request: The performance.
            settings: Seed, frame rate, idle motion; size and background count for "full" alone.
            time_sec: The moment, from 0 to the end of the speech.
            quality: "landmarks": points alone; "small": the portrait at 256 px, warped; "full": the frame
                as in the video.
            face: Which face of the portrait.

        Raises:
            UsageError: The time is outside the speech, or a value unknown.
            MediaError: A file cannot be read.
            FaceError: The portrait holds no usable face.
        """
        if quality not in QUALITIES:
            raise UsageError(f"quality is {quality!r}; choose one of {', '.join(QUALITIES)}")
        shown = self._faces.get((_stamp(portrait), face), lambda: self._read(portrait, face))
        voice = self._voice(speech, request)
        if not 0 <= time_sec <= voice.sound.duration_sec:
            raise UsageError(
                f"there is no frame at {float(time_sec):g} s; the speech lasts from 0 to "
                f"{float(voice.sound.duration_sec):g} s"
            )
        if settings.seed is None:
            settings = replace(settings, seed=seed_of(shown.portrait.sha256, voice.sha256))
        clip = self._clip(voice, time_sec)
        whole_key = (clip.key, _digest(request, settings))
        if quality == "full" or whole_key in self._exact:
            motion = self._exact.get(whole_key, lambda: self._exact_motion(clip, request, settings))
            is_draft = False
        else:
            motion, is_draft = self._draft(clip, request, settings), True
        if quality == "full":
            return self._full(shown, voice, clip, motion, request, settings, time_sec)
        return self._quick(shown, clip, motion, settings, time_sec, quality, is_draft=is_draft)

    def _read(self, path: Path, face: int) -> _Face:
        portrait, reading, notes = find_portrait(self._backend, path, face=face)
        height, width = portrait.picture.shape[:2]
        scale = min(1.0, SMALL_PX / max(height, width))
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = reduced(portrait.picture, *size)
        small_reading = scaled_reading(reading, size[0] / width, size[1] / height)
        pixels = torch.from_numpy(small).permute(2, 0, 1).contiguous()
        warper = portrait_warper(pixels, small_reading.landmarks, holds_background=True)
        return _Face(portrait, reading, notes, small_reading, warper)

    def _voice(self, speech: Path | None, request: PerformanceRequest) -> Speech:
        if speech is None:
            return speech_without(request)
        return self._voices.get(_stamp(speech), lambda: speech_of(speech))

    def _clip(self, voice: Speech, time_sec: float) -> _Clip:
        duration = voice.sound.duration_sec
        first_sec, stop_sec = 0, duration
        if duration > CLIP_SEC:
            first_sec = max(0, int(time_sec // _STEP_SEC) * _STEP_SEC - _LEAD_SEC)
            stop_sec = min(duration, Fraction(first_sec + PART_SEC))
        key = (voice.sha256, first_sec)
        return self._clips.get(key, lambda: self._analysed(key, voice.sound, first_sec, stop_sec))

    def _analysed(self, key: tuple[str, int], sound: Sound, first_sec: int, stop_sec: Fraction) -> _Clip:
        wave = _part(sound, first_sec, stop_sec)
        cues = SpeechCues.of_analysis(self._speech.phones.analyse(wave, MOTION_RATE))
        features = self._speech.features(wave, self._mover.face.speech_space)
        space = self._mover.head.speech_space
        of_head = None if space == self._mover.face.speech_space else self._speech.features(wave, space)
        return _Clip(key, int(first_sec * MOTION_RATE), wave, features, of_head, cues)

    def _performance(
        self, clip: _Clip, request: PerformanceRequest, settings: Settings, predicted: Performance | None
    ) -> Performance:
        """The performance on the frames of a clip."""
        if predicted is not None:
            predicted = predicted.held_before(clip.first)
        whole = performance_of(request, predicted, clip.first + clip.frames, settings)
        return whole.later(clip.first)

    def _predicted(self, clip: _Clip, request: PerformanceRequest, settings: Settings) -> Performance | None:
        """Prediction of the route for a clip."""
        route = find_route(settings.route, without_request=request.is_empty)
        load = partial(self._stages.routes.load, settings.route, without_request=request.is_empty)
        model = self._routes.get(route.model, load)
        if model is None:
            return None
        key = (clip.key, route.model, str(request.emotions))
        return self._predictions.get(key, lambda: model(clip.sound, request))

    def _exact_motion(self, clip: _Clip, request: PerformanceRequest, settings: Settings) -> Motion:
        performance = self._performance(clip, request, settings, self._predicted(clip, request, settings))
        return self._generate(clip, performance, _options(settings))

    def _generate(self, clip: _Clip, performance: Performance, options: MotionOptions) -> Motion:
        return self._mover.generate(
            clip.features, performance, cues=clip.cues, options=options, head_speech=clip.head_features
        )

    def _draft(self, clip: _Clip, request: PerformanceRequest, settings: Settings) -> Motion:
        """The motion of the bare speech, with everything that is requested added to it."""
        options = _options(settings)
        nothing = Performance(frames=clip.frames, lips=request.lip_source)
        bare = self._bare.get(
            (clip.key, nothing.lips, options),
            lambda: self._generate(clip, nothing, options),
        )
        route = find_route(settings.route, without_request=request.is_empty)
        known = (clip.key, route.model, str(request.emotions))
        predicted = self._predicted(clip, request, settings) if known in self._predictions else None
        requested = self._performance(clip, request, settings, predicted)
        return drafted(self._mover, bare, requested, options)

    def _quick(
        self,
        shown: _Face,
        clip: _Clip,
        motion: Motion,
        settings: Settings,
        time_sec: float,
        quality: Quality,
        *,
        is_draft: bool,
    ) -> Moment:
        reading = shown.small_reading if quality == "small" else shown.reading
        height, width = shown.portrait.picture.shape[:2]
        place = min(max(int(time_sec * MOTION_RATE) - clip.first, 0), clip.frames - 1)
        track = self._mover.landmarks_on(
            motion,
            reading.landmarks,
            image_size_px=(width, height),
            own=portrait_expression(reading.landmarks, reading.blendshapes),
            first=place,
            stop=place + 1,
        )
        points, picture = np.array(track.values), None
        if quality == "small":
            frame = shown.warper.render(torch.from_numpy(points))[0]
            picture = frame.permute(1, 2, 0).contiguous().numpy()
            width, height = picture.shape[1], picture.shape[0]
        return Moment(
            frame=int(time_sec * settings.fps),
            is_draft=is_draft,
            landmarks=points[0, :, :2],
            picture=picture,
            size_px=(width, height),
            notes=shown.notes,
            mark=Mark(settings={"preview": quality}),
        )

    def _full(
        self,
        shown: _Face,
        voice: Speech,
        clip: _Clip,
        motion: Motion,
        request: PerformanceRequest,
        settings: Settings,
        time_sec: float,
    ) -> Moment:
        rendering = self._renderer.resolve(settings.render_options)
        picture, reading, finishing = staged(shown.portrait.picture, shown.reading, settings)
        inputs = {"portrait": shown.portrait.sha256, "speech": voice.sha256}
        models = {name: weights.version(name) for name in TRACKER_MODELS}
        models |= {**self._stages.versions, **self._renderer.models}
        models |= self._stages.routes.models(settings.route, without_request=request.is_empty)
        video = TalkingVideo(
            portrait=torch.from_numpy(picture).permute(2, 0, 1).contiguous(),
            face=reading,
            motion=motion,
            stages=Stages(self._mover, self._renderer),
            settings=replace(settings, seconds=None),
            voice=replace(voice, sound=clip.sound, recording=clip.sound),
            mark=mark_of(inputs, request, settings, models=models, rendering=rendering),
            finishing=finishing,
        )
        at = min(max(time_sec - float(clip.first / MOTION_RATE), 0.0), float(video.duration))
        frame, number = video.frame(at), min(int(at * video.fps), video.frame_count - 1)
        return Moment(
            frame=int(time_sec * settings.fps),
            is_draft=False,
            landmarks=video.landmarks_in_view(number, number + 1).values[0, :, :2],
            picture=frame,
            size_px=(frame.shape[1], frame.shape[0]),
            notes=shown.notes,
            mark=video.mark,
        )


def _options(settings: Settings) -> MotionOptions:
    names = [one.name for one in fields(MotionOptions) if one.name != "seed"]
    return MotionOptions(seed=settings.seed or 0, **{name: getattr(settings, name) for name in names})


def _part(sound: Sound, first_sec: int, stop_sec: Fraction) -> Waveform:
    first, stop = first_sec * sound.rate_hz, round(stop_sec * sound.rate_hz)
    return Waveform(samples=sound.samples[first:stop], rate_hz=sound.rate_hz)


def _stamp(path: Path) -> tuple[str, int, int]:
    state = path.stat()
    return str(path), state.st_size, state.st_mtime_ns


def _digest(request: PerformanceRequest, settings: Settings) -> str:
    """What distinguishes performances: values, and files by name and time."""
    parts: list[object] = [settings]
    for field in fields(request):
        value = getattr(request, field.name)
        if isinstance(value, Path):
            value = _stamp(value)
        elif hasattr(value, "values") and hasattr(value, "rate"):
            value = (value.values.tobytes(), value.rate, value.start_sec, value.convention)
        parts.append((field.name, value))
    return hashlib.sha256(repr(parts).encode()).hexdigest()
