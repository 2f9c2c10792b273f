"""Scores one clip: the real video, the baselines and every system, frame by frame in step."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from auteur.errors import MediaError
from auteur.evaluate import behaviour
from auteur.evaluate.alignment import squares
from auteur.evaluate.audio_lips import agreement
from auteur.evaluate.control import UNITS, unit_correlations, unit_errors, unit_intensities
from auteur.evaluate.emotion import EmotionClassifier, PrototypeClassifier, majority
from auteur.evaluate.face_features import FaceFeatures, aligned_crop
from auteur.evaluate.landmark_distance import (
    MOUTH,
    face_landmark_distance,
    ibug68,
    landmark_velocity_distance,
    mouth_landmark_distance,
)
from auteur.evaluate.pairing import Clip, sound_of
from auteur.evaluate.protocols import Protocol
from auteur.evaluate.streams import Networks, RealFrame, VideoStream
from auteur.evaluate.syncnet import lip_sync
from auteur.evaluate.views import Observation, cropped_frames, observation_of
from auteur.face.action_units import Neutral
from auteur.face.backend import FaceBackend, FaceReading
from auteur.face.crops import CropFrame
from auteur.face.tracker import FaceTracker, find_face
from auteur.facs import MEDIAPIPE_BLENDSHAPES, convert
from auteur.formats import read_au_track
from auteur.media import read_speech
from auteur.signals import AUTrack, Waveform
from auteur.speech.features import CompactSpeechFeatures, SpeechAnalysis
from auteur.speech.phones import ARTICULATIONS
from auteur.synthesis.warp import PortraitWarper

Floats = NDArray[np.floating]
Picture = NDArray[np.uint8]

REAL, STILL, WARP = "real video", "still portrait", "warp only"
BASELINES = (REAL, STILL, WARP)
"""Always rows: the truth, its first frame held, and its first frame warped to the true landmarks."""

_SHEET_FRAMES = 6
_SURELY_SILENT = 0.8
_BELIEVED = 0.35
"""Audio-lip confidence from which a lag is accepted."""


@dataclass(frozen=True)
class ClipScore:
    """Scores of one system on one clip."""

    values: Mapping[str, float]
    """By `Metric.name`; NaN or absent: not measured."""
    unit_errors: Floats
    """[17] in the order of `UNITS`."""
    unit_correlations: Floats
    """[17]; NaN where the request stands still."""
    features: Mapping[str, Floats]
    """Rows for set distances: "feature_distance", "fid", "fvd" → [n, D]."""
    thumbnails: tuple[Picture, ...] = ()
    """A few frames, evenly spread."""
    lip_gap_mm: Floats = field(default_factory=lambda: np.zeros(0))
    """[T], for plots."""


@dataclass(frozen=True)
class ScoredClip:
    """All systems on one clip."""

    clip: Clip
    seconds: float
    scores: Mapping[str, ClipScore]
    notes: tuple[str, ...]


class ClipScorer:
    """Scores clips under one protocol.

    Args:
        protocol: Crop, rates and lengths.
        backend: The tracker of every video, the real one too.
        networks: Everything else with weights.
        classifier: Names emotions; the prototype classifier unless given.
        baselines: Whether still portrait and warp only are scored too.
    """

    def __init__(
        self,
        protocol: Protocol,
        backend: FaceBackend,
        networks: Networks,
        *,
        classifier: EmotionClassifier | None = None,
        baselines: bool = True,
    ) -> None:
        self.protocol, self._backend, self._networks = protocol, backend, networks
        self._baselines, self._classifier = baselines, classifier
        self._prototypes = PrototypeClassifier()
        self._speech = CompactSpeechFeatures.shipped()

    @property
    def classifier_name(self) -> str:
        """The classifier of emotions."""
        return (self._classifier or self._prototypes).name

    def score(self, clip: Clip, on_frame: Callable[[], None] | None = None) -> ScoredClip:
        """Returns the scores of every row of one clip.

        Raises:
            MediaError: A video cannot be read.
            FaceError: The real video shows no face.
        """
        real, others, notes = squares(clip, self.protocol, self._backend)
        crops = {REAL: real, **others}
        notes = [*clip.notes, *notes]
        streams = {REAL: VideoStream(self._networks)}
        if self._baselines and clip.portrait is None:
            streams |= {STILL: VideoStream(self._networks), WARP: VideoStream(self._networks)}
        streams |= {name: VideoStream(self._networks) for name in clip.videos}
        shown: dict[str, list[Picture]] = {name: [] for name in streams}
        with contextlib.ExitStack() as stack:
            frames = self._in_step(clip, crops, stack)
            count = self._watch(frames, streams, shown, self._look_of(clip), on_frame)
        rate = self.protocol.fps
        seen = {name: observation_of(stream.readings, rate) for name, stream in streams.items()}
        judge = _Judge(self, clip, seen[REAL], notes)
        scores = {
            name: judge.score(name, seen[name], stream, _spread(shown[name], _SHEET_FRAMES))
            for name, stream in streams.items()
        }
        for name, observation in seen.items():
            if observation.face_rate < 1:
                missing = int((~observation.seen).sum())
                notes.append(f"{clip.name}: no face in {missing} of {count} frames of {name}")
        return ScoredClip(clip, count / float(rate), scores, tuple(notes))

    def _in_step(
        self, clip: Clip, crops: dict[str, CropFrame], stack: contextlib.ExitStack
    ) -> Iterator[dict[str, Picture]]:
        paths = {REAL: clip.reference, **clip.videos}
        readers = {
            name: cropped_frames(path, crops[name], size_px=self.protocol.size_px, rate=self.protocol.fps)
            for name, path in paths.items()
        }
        for reader in readers.values():
            stack.callback(reader.close)  # pyright: ignore[reportAttributeAccessIssue]  # they are generators
        together = zip(*readers.values(), strict=False)
        longest = self.protocol.longest_sec
        limited = islice(together, int(longest * self.protocol.fps) if longest else None)
        for pictures in limited:
            yield dict(zip(readers, pictures, strict=True))

    def _watch(
        self,
        frames: Iterator[dict[str, Picture]],
        streams: dict[str, VideoStream],
        shown: dict[str, list[Picture]],
        look: tuple[FaceFeatures, Floats | None] | None,
        on_frame: Callable[[], None] | None,
    ) -> int:
        """Feeds every stream; returns the number of frames."""
        trackers = {name: FaceTracker(self._backend) for name in streams}
        every = max(1, round(self.protocol.fps / self.protocol.pictures_per_second))
        baseline: _Baseline | None = None
        count = 0
        for count, pictures in enumerate(frames, start=1):
            reading = trackers[REAL].step(pictures[REAL])
            is_sampled = (count - 1) % every == 0
            features, embedding = look or (None, None)
            real = RealFrame(pictures[REAL], reading, is_sampled, features, embedding, is_truth=look is None)
            if STILL in streams:
                if (baseline is None or baseline.reading is None) and reading is not None:
                    baseline = _Baseline(pictures[REAL], reading)
                baseline = baseline or _Baseline(pictures[REAL], None)
                pictures = {
                    REAL: pictures[REAL],
                    STILL: baseline.picture,
                    WARP: baseline.warped(reading),
                    **pictures,
                }
            for name, stream in streams.items():
                if name == REAL:
                    mine = reading
                elif name == STILL and baseline is not None:
                    mine = baseline.reading
                else:
                    mine = trackers[name].step(pictures[name])
                stream.add(pictures[name], mine, real)
                if is_sampled:
                    shown[name].append(pictures[name])
                    if len(shown[name]) > 8 * _SHEET_FRAMES:
                        shown[name] = shown[name][::2]
            if on_frame:
                on_frame()
        if not count:
            raise MediaError("the videos have no frame in common; give videos that are not empty")
        return count

    def _look_of(self, clip: Clip) -> tuple[FaceFeatures, Floats | None] | None:
        """Target appearance and embedding of generated faces, where they are not the real video's."""
        if clip.portrait is None:
            return None
        face = find_face(self._backend, clip.portrait, name=f"the portrait of {clip.name}")
        looks = self._networks.features.describe(aligned_crop(clip.portrait, face.landmarks)[None])
        network = self._networks.identity
        return looks, None if network is None else network.describe(clip.portrait, face.landmarks)

    def analyse(self, video: Path) -> tuple[Waveform, SpeechAnalysis] | None:
        """Returns the sound of a video (or beside it) and its analysis, or None without sound."""
        try:
            sound = read_speech(sound_of(video))
        except MediaError:
            return None
        return sound, self._speech.analyse(sound, self.protocol.fps)

    def emotion_of(self, stream: VideoStream, intensities: Floats, pictures: tuple[Picture, ...]) -> str:
        """Returns the emotion of a video: the given classifier's majority, or the prototypes'."""
        if self._classifier is not None:
            return majority(self._classifier(np.stack(pictures)))
        return self._prototypes.of_intensities(np.nan_to_num(np.nanmean(intensities, axis=0)))

    def sync(self, stream: VideoStream, speech: Waveform) -> dict[str, float]:
        """Returns SyncNet's figures where its weights were given and the video is long enough."""
        if self._networks.syncnet is None or len(stream.faces) < 20:
            return {}
        found = lip_sync(self._networks.syncnet, np.stack(stream.faces), speech)
        return {"lse_c": found.confidence, "lse_d": found.distance}

    def set_features(self, stream: VideoStream) -> dict[str, Floats]:
        """Returns the features that set distances are made of."""
        features = {"feature_distance": np.array(stream.summaries)}
        if self._networks.inception is not None and stream.sampled:
            features["fid"] = self._networks.inception.features(np.stack(stream.sampled))
        if self._networks.i3d is not None and stream.clips:
            features["fvd"] = self._networks.i3d.features(np.stack(stream.clips))
        return features


class _Baseline:
    """The first frame with a face, held still or warped to the real landmarks."""

    def __init__(self, picture: Picture, reading: FaceReading | None) -> None:
        self.picture, self.reading = picture, reading
        self._warper: PortraitWarper | None = None
        if reading is not None:
            portrait = torch.from_numpy(picture).permute(2, 0, 1).contiguous()
            self._warper = PortraitWarper(portrait, torch.from_numpy(reading.landmarks).float())

    def warped(self, target: FaceReading | None) -> Picture:
        """Returns the frame moved to landmarks; as it is where the real video shows no face."""
        if self._warper is None or target is None:
            return self.picture
        frame = self._warper.render(torch.from_numpy(target.landmarks).float()[None])[0]
        return frame.permute(1, 2, 0).contiguous().numpy()


class _Judge:
    """References of all rows of a clip: the real observation, the request, the speech."""

    def __init__(self, scorer: ClipScorer, clip: Clip, real: Observation, notes: list[str]) -> None:
        self._scorer, self._clip, self._real = scorer, clip, real
        self._neutral: Neutral = real.neutral()
        self._points = ibug68(real.landmarks)
        self._gap = behaviour.lip_gap_mm(real.landmarks)
        self._closed_gap = behaviour.closed_gap_mm(self._gap)
        self._analysed = scorer.analyse(clip.reference)
        if self._analysed is None:
            notes.append(f"{clip.name}: no sound; audio-lip figures are left out")
        self._asked = self._request(len(real.landmarks), real.rate)

    def _request(self, frames: int, rate: Fraction) -> Floats:
        request = self._clip.request
        if request is None:
            return unit_intensities(self._real.action_units(self._neutral))
        track = request if isinstance(request, AUTrack) else read_au_track(request)
        return unit_intensities(convert(track, "facs").resample(rate, start_sec=0, frames=frames))

    def score(
        self, name: str, seen: Observation, stream: VideoStream, thumbnails: tuple[Picture, ...]
    ) -> ClipScore:
        """Returns one row of the clip."""
        values = {"face_rate": seen.face_rate, **stream.means(), "flicker": stream.flicker.flicker()}
        nothing = np.full(len(UNITS), np.nan)
        features = self._scorer.set_features(stream)
        gap = behaviour.lip_gap_mm(seen.landmarks)
        if not seen.seen.any():
            return ClipScore(values, nothing, nothing, features, thumbnails, gap)
        values |= self._landmarks(seen, gap)
        values |= self._behaviour(seen)
        values |= self._speech(name, seen, gap, stream)
        is_other = self._clip.portrait is not None and name != REAL
        shown = unit_intensities(seen.action_units(seen.neutral() if is_other else self._neutral))
        errors, correlations = unit_errors(shown, self._asked), unit_correlations(shown, self._asked)
        values["au_error"] = _mean(errors)
        values["au_correlation"] = _mean(correlations)
        if self._clip.emotion is not None:
            named = self._scorer.emotion_of(stream, shown, thumbnails)
            values["emotion"] = float(named == self._clip.emotion)
        return ClipScore(values, errors, correlations, features, thumbnails, gap)

    def _landmarks(self, seen: Observation, gap: Floats) -> dict[str, float]:
        both = seen.seen & self._real.seen
        if not both.any():
            return {}
        values: dict[str, float] = {}
        if self._clip.portrait is None:
            values |= self._distances(seen, both)
        if both.sum() > 2 and self._gap[both].std() > 1e-6:
            is_still = gap[both].std() < 1e-6
            together = 0.0 if is_still else float(np.corrcoef(gap[both], self._gap[both])[0, 1])
            values["lip_gap_correlation"] = together
        return values

    def _distances(self, seen: Observation, both: NDArray[np.bool_]) -> dict[str, float]:
        points = ibug68(seen.landmarks)
        mine, theirs = points[both], self._points[both]
        steps = both[1:] & both[:-1]
        values = {
            "m_lmd": float(mouth_landmark_distance(mine, theirs).mean()),
            "f_lmd": float(face_landmark_distance(mine, theirs).mean()),
        }
        if steps.any():
            speeds = landmark_velocity_distance(points[:, MOUTH], self._points[:, MOUTH])
            values["m_lmd_velocity"] = float(speeds[steps].mean())
        return values

    def _behaviour(self, seen: Observation) -> dict[str, float]:
        lids = [i for i, name in enumerate(MEDIAPIPE_BLENDSHAPES) if name.startswith("eyeBlink")]
        spread, speed = behaviour.head_motion(seen.landmarks, seen.rate)
        blinks = behaviour.blinks_per_minute(seen.blendshapes[:, lids].mean(axis=1), seen.rate)
        return {"blinks": blinks, "head_spread": spread, "head_speed": speed}

    def _speech(self, name: str, seen: Observation, gap: Floats, stream: VideoStream) -> dict[str, float]:
        analysed = None
        if name in self._clip.videos:
            analysed = self._scorer.analyse(self._clip.videos[name])
        analysed = analysed or self._analysed
        if analysed is None:
            return {}
        sound, analysis = analysed
        frames = min(len(gap), len(analysis.loudness))
        found = agreement(seen.landmarks, analysis)
        articulation = analysis.articulation.numpy()[:frames]
        silent = articulation[:, ARTICULATIONS.index("silence")] > _SURELY_SILENT
        closure = articulation[:, ARTICULATIONS.index("lips_closed")]
        if found.confidence >= _BELIEVED:  # footage is often some frames out of sync, in itself no fault
            closure = np.roll(closure, found.lag_frames)
        return {
            "lip_agreement": found.correlation,
            "lip_confidence": found.confidence,
            "lip_lag": float(abs(found.lag_frames)) if np.isfinite(found.correlation) else np.nan,
            "closed_on_bilabials": behaviour.closed_on_bilabials(gap[:frames], closure, self._closed_gap),
            "silence_motion": behaviour.motion_in_silence(gap[:frames], silent, seen.rate),
            **self._scorer.sync(stream, sound),
        }


def _mean(values: Floats) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else np.nan


def _spread(pictures: list[Picture], count: int) -> tuple[Picture, ...]:
    places = np.linspace(0, len(pictures) - 1, min(count, len(pictures))).round().astype(int)
    return tuple(pictures[i] for i in places)
