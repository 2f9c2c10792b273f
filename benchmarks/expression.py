r"""Measures the emotion control on people and portraits it never saw: the numbers of
weights/expression_generator.md.

    python benchmarks/expression.py --shards SHARDS --clips clips/manifest.csv --labels LABELS \
        --portraits PORTRAITS \
        --speech talk.flac --teacher face_landmarker.task --classifier emotion_classifier.safetensors \
        --identity face_identity.safetensors --out expression.json

SHARDS is what `auteur prepare … --features motion,speech` wrote of the clips, LABELS what `python -m
auteur.lab.data.face_teacher` wrote. Final frames are read by MediaPipe, not by the tracker that ships, and
named by a classifier that learned from photographs of people whom the generator never saw
(`judges/emotion_classifier.py`). Whether the portrait still looks like itself is judged by
`judges/face_identity.py`, a modest judge, and by the landmarker's own features
(`auteur.evaluate.face_features`), which judge appearance.
"""

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import tyro
from numpy.typing import NDArray

from auteur.evaluate.control import rank_correlation
from auteur.evaluate.face_features import FaceFeatureNet, aligned_crop, appearance_similarity
from auteur.expression.curve import NON_NEUTRAL_EMOTIONS, EmotionCurve
from auteur.expression.generator.emotion_control import (
    EmotionConditionedExpression,
    EmotionControl,
    loudness_of,
)
from auteur.expression.generator.network import ExpressionGenerator
from auteur.expression.space import CompactExpressionSpace
from auteur.face.auteur_backend import AuteurBackend
from auteur.face.mediapipe_backend import MediaPipeBackend
from auteur.face.pose import without_pose
from auteur.face.tracker import find_face
from auteur.facs import EMOTIONS
from auteur.lab.data.expression_tracks import ExpressionClip, encoded, read_motions
from auteur.lab.data.motion_tracks import even_frames, resting_frames
from auteur.lab.data.shards import Corpora
from auteur.lab.data.splits import is_held_out
from auteur.media import examine_speech, read_image, write_image
from auteur.motion.mouth import lip_gap
from auteur.motion.performance import ExpressionShapes, Performance
from auteur.motion.portrait_expression import portrait_expression
from auteur.motion.speech_motion import MOTION_RATE, MotionOptions, SpeechCues, SpeechMotion
from auteur.provenance import Mark
from auteur.synthesis.warp import PortraitWarper
from auteur.talking_head.inputs import fitted
from auteur.talking_head.motion_stage import SpeechEncoders
from auteur.weights import load_file, load_model
from judges.emotion_classifier import FaceEmotionClassifier, rest_features
from judges.face_identity import FaceIdentity, aligned_face

Floats = NDArray[np.floating]

LEVELS = (0.0, 0.25, 0.5, 0.75, 1.0)
FRAMES = (15, 30, 45, 60)
"""Of the speech, at 25 per second; the same at every level."""
SHOWN_PX = 320
CLOSE_UP_PX = 192
WINDOW = 48
STILL = MotionOptions(blinks=False, gaze=False, head=0.0)


@dataclass(frozen=True)
class Benchmark:
    """Where things are."""

    shards: Path
    clips: Path
    labels: Path
    portraits: tuple[Path, ...]
    speech: Path
    teacher: Path
    classifier: Path
    identity: Path
    out: Path
    space: Path | None = None
    """The shipped one unless given."""
    generator: Path | None = None
    """The shipped one unless given."""
    sheet: Path | None = None
    """A picture of every portrait at rest and in every emotion at strength ½ and 1."""


class Stage:
    """One portrait, ready to show any expression while it speaks."""

    def __init__(
        self,
        path: Path,
        mover: SpeechMotion,
        cues: SpeechCues,
        features: torch.Tensor,
        teacher: MediaPipeBackend,
        shapes: Floats,
    ) -> None:
        self._shapes = shapes
        self.name, self._mover, self._teacher = path.stem, mover, teacher
        self._cues, self._features = cues, features
        picture = fitted(read_image(path))
        reading = find_face(AuteurBackend(), picture, face=0, name=path.name)
        centre = reading.landmarks[:, :2].mean(axis=0)
        half = 1.1 * np.ptp(reading.landmarks[:, 1])
        (left, top), (right, bottom) = np.maximum(centre - half, 0).astype(int), (centre + half).astype(int)
        step = max(1, round(2 * half / SHOWN_PX))
        self.picture = np.ascontiguousarray(picture[top:bottom:step, left:right:step])
        self._face = find_face(AuteurBackend(), self.picture, face=0, name=path.name)
        self._own = portrait_expression(self._face.landmarks, self._face.blendshapes)
        pixels = torch.from_numpy(self.picture).permute(2, 0, 1).contiguous()
        self._warper = PortraitWarper(pixels, torch.from_numpy(self._face.landmarks))

    @property
    def portrait_landmarks(self) -> Floats:
        """[478, 3] px of `picture`."""
        return self._face.landmarks

    def close_up(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Returns the face of a frame, [CLOSE_UP_PX, CLOSE_UP_PX, 3]."""
        centre, half = self._face.landmarks[:, :2].mean(axis=0), 0.7 * np.ptp(self._face.landmarks[:, 1])
        left, top = (int(max(0, round(value))) for value in centre - half)
        cut = frame[top : top + round(2 * half), left : left + round(2 * half)]
        return np.asarray(cv2.resize(cut, (CLOSE_UP_PX, CLOSE_UP_PX), interpolation=cv2.INTER_AREA))

    def landmarks(
        self, directed: EmotionConditionedExpression, frames: tuple[int, ...] | None = None
    ) -> Floats:
        """Returns what the motion stage makes of an expression: [frames, 478, 3] px."""
        frames_of_speech = len(self._features)
        performance = Performance(
            frames=frames_of_speech,
            expression=ExpressionShapes(weights=directed.edit.values, shapes=self._shapes, space="compact50"),
            override=np.ones(frames_of_speech),
        )
        motion = self._mover.generate(self._features, performance, cues=self._cues, options=STILL)
        height, width = self.picture.shape[:2]
        parts = [(0, None)] if frames is None else [(frame, frame + 1) for frame in frames]
        made = [
            self._mover.landmarks_on(
                motion, self._face.landmarks, image_size_px=(width, height), own=self._own, first=a, stop=b
            )
            for a, b in parts
        ]
        return np.concatenate([track.values for track in made])

    def frames(self, directed: EmotionConditionedExpression) -> NDArray[np.uint8]:
        """Returns the final pictures at `FRAMES`, [4, H, W, 3]."""
        rendered = self._warper.render(torch.from_numpy(self.landmarks(directed, FRAMES)))
        return rendered.permute(0, 2, 3, 1).contiguous().numpy()

    def read(self, frames: NDArray[np.uint8]) -> tuple[Floats, Floats]:
        """Returns landmarks [N, 478, 3] and blendshapes [N, 52] that the teacher reads in pictures."""
        found = [self._teacher.find(frame) for frame in frames]
        readings = [faces[0] for faces in found if faces]
        return np.stack([r.landmarks for r in readings]), np.stack([r.blendshapes for r in readings])


def controlled(
    control: EmotionControl, emotion: str, strength: float, frames: int, speech
) -> EmotionConditionedExpression:
    """Returns one emotion at one strength, seed 0."""
    return control.direct(EmotionCurve.constant(emotion, strength), frames, speech=speech)


class Judges:
    """Who looks at final frames."""

    def __init__(self, run: Benchmark) -> None:
        self.emotion = load_file(FaceEmotionClassifier(), run.classifier)
        self._identity = load_file(FaceIdentity(), run.identity)
        self._appearance = FaceFeatureNet()

    def emotions(self, blendshapes: Floats, rest: Floats) -> Floats:
        """Returns the mean probability [8] of every emotion over frames."""
        return self.emotion.probabilities(blendshapes, at_rest=rest).mean(axis=0)

    def likeness(self, stage: Stage, frames: NDArray[np.uint8], landmarks: Floats) -> tuple[float, float]:
        """Returns the similarity of frames to the portrait: of identity, and of appearance."""
        pictures = [(stage.picture, stage.portrait_landmarks), *zip(frames, landmarks, strict=False)]
        who = self._identity.describe(np.stack([aligned_face(*pair) for pair in pictures]))
        seen = self._appearance.describe(torch.stack([aligned_crop(*pair) for pair in pictures])).appearance
        same = [float(appearance_similarity(seen[:1], row[None])[0]) for row in seen[1:]]
        return float((who[1:] @ who[0]).mean()), float(np.mean(same))


def shown_on(stage: Stage, control: EmotionControl, judges: Judges, frames: int, speech) -> tuple[dict, list]:
    """Returns what one portrait shows in every emotion at every strength, and pictures of it."""
    loud = loudness_of(speech, MOTION_RATE)[:frames]
    calm = controlled(control, "neutral", 0.0, frames, speech)
    first = stage.frames(calm)
    at_rest = stage.read(first)
    rest, calm_face = rest_features(at_rest[1]), without_pose(at_rest[0]).mean(axis=0)
    gap, own = lip_gap(without_pose(stage.landmarks(calm))), judges.likeness(stage, first, at_rest[0])
    row, emotions = [first[1]], {}
    for emotion in NON_NEUTRAL_EMOTIONS:
        whole = controlled(control, emotion, 1.0, frames, speech)
        direction = control.space.decode(whole.edit.values).mean(axis=0)
        shown, scores = [0.0], [judges.emotions(at_rest[1], rest)]
        for level in LEVELS[1:]:
            made = stage.frames(controlled(control, emotion, level, frames, speech))
            read = stage.read(made)
            moved = without_pose(read[0]).mean(axis=0) - calm_face
            shown.append(float((moved * direction).sum() / np.square(direction).sum()))
            scores.append(judges.emotions(read[1], rest))
            row += [made[1]] if level in (0.5, 1.0) else []
        emotional = lip_gap(without_pose(stage.landmarks(whole)))
        alike = judges.likeness(stage, made, read[0])
        chances = [float(score[EMOTIONS.index(emotion)]) for score in scores]
        emotions[emotion] = {
            "projection": np.round(shown, 3).tolist(),
            "rank_correlation": round(rank_correlation(np.array(LEVELS), np.array(shown)), 3),
            "probability": np.round(chances, 3).tolist(),
            "probability_rank_correlation": round(rank_correlation(np.array(LEVELS), np.array(chances)), 3),
            "named": EMOTIONS[1 + int(scores[-1][1:].argmax())],
            "gap_with_loudness": [round(float(np.corrcoef(g, loud)[0, 1]), 4) for g in (gap, emotional)],
            "gap_with_neutral_gap": round(float(np.corrcoef(gap, emotional)[0, 1]), 4),
            "identity": [round(own[0], 3), round(alike[0], 3)],
            "appearance": [round(own[1], 3), round(alike[1], 3)],
        }
    return emotions, row


def final_video(run: Benchmark, control: EmotionControl) -> dict:
    """Returns what the final frames of every portrait show, and how lips follow the speech."""
    judges = Judges(run)
    speech, _ = examine_speech(run.speech)
    speech = speech.slice(0, 4) if speech.duration_sec > 4 else speech
    encoders = SpeechEncoders.shipped()
    cues = SpeechCues.of_analysis(encoders.phones.analyse(speech, MOTION_RATE))
    features = encoders.lips.analyse(speech, MOTION_RATE).with_bands
    frames = len(features)
    mover, teacher = SpeechMotion.shipped(), MediaPipeBackend(run.teacher, max_faces=1)
    portraits, sheet = {}, []
    shapes = control.space.decode(np.eye(control.space.coefficients, dtype=np.float32))
    for path in run.portraits:
        stage = Stage(path, mover, cues, features, teacher, shapes)
        emotions, row = shown_on(stage, control, judges, frames, speech)
        portraits[stage.name] = emotions
        sheet.append(np.concatenate([stage.close_up(picture) for picture in row], axis=1))
        print(stage.name, {e: (v["rank_correlation"], v["named"]) for e, v in emotions.items()}, flush=True)
    if run.sheet is not None:
        write_image(run.sheet, np.concatenate(sheet), mark=Mark(), overwrite=True)
    return portraits


def summary(portraits: dict) -> dict:
    """Returns the figures of the card."""
    cells = [(emotion, cell) for emotions in portraits.values() for emotion, cell in emotions.items()]

    def kept(name: str) -> dict[str, float]:
        shares = [cell[name][1] / cell[name][0] for _, cell in cells]
        at_rest = [cell[name][0] for _, cell in cells]
        return {"least": round(min(shares), 3), "mean": round(float(np.mean(shares)), 3)} | {
            "at_strength_0": round(float(np.mean(at_rest)), 3)
        }

    drops = [1 - cell["gap_with_loudness"][1] / cell["gap_with_loudness"][0] for _, cell in cells]
    return {
        "portraits": len(portraits),
        "least_rank_correlation": {
            e: min(cell["rank_correlation"] for name, cell in cells if name == e)
            for e in NON_NEUTRAL_EMOTIONS
        },
        "least_probability_rank_correlation": {
            e: min(cell["probability_rank_correlation"] for name, cell in cells if name == e)
            for e in NON_NEUTRAL_EMOTIONS
        },
        "accuracy": round(float(np.mean([name == cell["named"] for name, cell in cells])), 3),
        "recall": {
            e: float(np.mean([c["named"] == e for name, c in cells if name == e]))
            for e in NON_NEUTRAL_EMOTIONS
        },
        "lip_correlation_drop": {"mean": round(float(np.mean(drops)), 4), "worst": round(max(drops), 4)},
        "identity_kept": kept("identity"),
        "appearance_kept": kept("appearance"),
        "least_gap_with_neutral_gap": min(cell["gap_with_neutral_gap"] for _, cell in cells),
    }


def clip_arrays(path: Path, fps: float) -> tuple[Floats, Floats, int]:
    """Returns landmarks, blendshapes at 25 per second and the first frame's place on that grid."""
    stored = np.load(path)
    index = stored["index"]
    landmarks, blendshapes = (
        even_frames(index, stored[key].astype(np.float64), fps) for key in ("landmarks", "blend")
    )
    return landmarks, blendshapes, round(index[0] / fps * float(MOTION_RATE))


def ceiling(run: Benchmark) -> dict:
    """Returns how often the classifier names real labelled clips of held-out people rightly."""
    classifier = load_file(FaceEmotionClassifier(), run.classifier)
    with run.clips.open(encoding="utf-8") as table:
        rows = [row for row in csv.DictReader(table) if is_held_out(row["identity"])]
    rest: dict[str, Floats] = {}
    named: dict[str, tuple[str, str]] = {}
    for wanted in (True, False):
        for row in rows:
            path = run.labels / f"{Path(row['file']).stem}.npz"
            if not path.exists() or not row["emotion"] or (row["emotion"] == "neutral") != wanted:
                continue
            landmarks, blendshapes, _ = clip_arrays(path, float(row["fps"]))
            if wanted:
                calm = resting_frames(without_pose(landmarks), blendshapes)
                rest.setdefault(row["identity"], rest_features(blendshapes[calm]))
                continue
            own = rest.get(row["identity"])
            scores = classifier.probabilities(blendshapes, at_rest=own).mean(axis=0)
            named[path.stem] = (row["emotion"], EMOTIONS[1 + int(scores[1:].argmax())])
    right = [requested == found for requested, found in named.values()]
    return {"clips": len(right), "accuracy": round(float(np.mean(right)), 3), "named": named}


def trajectories(run: Benchmark, control: EmotionControl) -> dict:
    """Returns how like real trajectories of held-out people the generated ones are, beside a constant
    offset."""
    clips = [encoded(m, control.space) for m in read_motions(Corpora(shards=(run.shards,)), part="held_out")]
    clips = [c for c in clips if c.emotion is not None and len(c.vectors) >= WINDOW]
    weights = control.space.weights_mm()
    real = [clip.vectors * weights for clip in clips]
    made = [generated(control, clip, seed) * weights for seed, clip in enumerate(clips)]
    flat = [np.repeat(m.mean(axis=0, keepdims=True), len(m), axis=0) for m in made]
    again = [generated(control, clip, seed + 1000) * weights for seed, clip in enumerate(clips)]
    return {
        "clips": len(clips),
        "generated": likeness(made, real),
        "generated_with_other_noise": likeness(again, real),
        "constant_offset": likeness(flat, real),
        "real_halves": likeness(real[::2], real[1::2]),
    }


def generated(control: EmotionControl, clip: ExpressionClip, seed: int) -> Floats:
    """Returns a trajectory as long as a clip, of its emotion, strength and loudness."""
    emotion = clip.emotion or "neutral"
    names = () if emotion == "neutral" else (emotion,)
    made = control.trajectories(names, len(clip.vectors), seed=seed, loudness=clip.loudness)
    if emotion == "neutral":
        return made.neutral
    strengths = np.zeros((len(clip.vectors), len(NON_NEUTRAL_EMOTIONS)))
    strengths[:, NON_NEUTRAL_EMOTIONS.index(emotion)] = clip.intensity
    return made.edited(strengths)


def likeness(made: list[Floats], real: list[Floats]) -> dict:
    """Returns distances between two sets of trajectories [T, E] in mm; 0 is equal."""
    spread = [np.mean([np.std(t, axis=0) for t in group], axis=0) for group in (made, real)]
    spectra = [np.mean([velocity_spectrum(t) for t in group], axis=0) for group in (made, real)]
    windows = [np.stack([w for t in group for w in described(t)]) for group in (made, real)]
    return {
        "variance_ratio": round(float(np.square(spread[0]).sum() / np.square(spread[1]).sum()), 3),
        "deviation_correlation": round(float(np.corrcoef(*spread)[0, 1]), 3) if spread[0].std() > 0 else 0.0,
        "velocity_spectrum_db": [np.round(10 * np.log10(s + 1e-6), 1).tolist() for s in spectra],
        "energy_distance": round(energy_distance(*windows), 3),
    }


def velocity_spectrum(trajectory: Floats) -> Floats:
    """Returns the power of the velocity in 6 bands up to 12.5 Hz, summed over numbers, of windows of 48
    frames."""
    velocity = np.diff(trajectory, axis=0)
    parts = [velocity[i : i + WINDOW - 1] for i in range(0, len(velocity) - WINDOW + 2, WINDOW // 2)]
    power = np.mean(
        [np.square(np.abs(np.fft.rfft(p * np.hanning(len(p))[:, None], axis=0))).sum(1) for p in parts], 0
    )
    return np.array([band.mean() for band in np.array_split(power[1:], 6)])


def described(trajectory: Floats) -> list[Floats]:
    """Returns what the two-sample test compares: mean, deviation and velocity of each window of 48 frames."""
    parts = [trajectory[i : i + WINDOW] for i in range(0, len(trajectory) - WINDOW + 1, WINDOW // 2)]
    return [np.concatenate([p.mean(0), p.std(0), 5 * np.diff(p, axis=0).std(0)]) for p in parts]


def energy_distance(a: Floats, b: Floats) -> float:
    """Returns Székely & Rizzo's energy distance of two samples [N, D] and [M, D], as a share of the mean
    distance."""

    def mean_distance(x: Floats, y: Floats) -> float:
        return float(np.linalg.norm(x[:, None] - y[None], axis=2).mean())

    between = mean_distance(a, b)
    return (2 * between - mean_distance(a, a) - mean_distance(b, b)) / (2 * between)


def main(run: Benchmark) -> None:
    torch.set_num_threads(1)
    space = (
        CompactExpressionSpace.shipped() if run.space is None else CompactExpressionSpace.from_file(run.space)
    )
    control = (
        EmotionControl.shipped()
        if run.generator is None
        else EmotionControl(load_model(run.generator, ExpressionGenerator), space)
    )
    result = {"trajectories": trajectories(run, control), "ceiling": ceiling(run)}
    print(json.dumps(result, indent=1), flush=True)
    portraits = final_video(run, control)
    result |= {"summary": summary(portraits), "portraits": portraits}
    run.out.write_text(json.dumps(result, indent=1), encoding="utf-8")
    print(json.dumps(result["summary"], indent=1))


if __name__ == "__main__":
    main(tyro.cli(Benchmark))
