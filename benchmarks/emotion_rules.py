r"""Measures how well seven emotions are recognised in generated videos, by rules on MediaPipe's blendshapes.

    python benchmarks/emotion_rules.py --portraits face1.jpg face2.jpg --speech talk.wav \
        --teacher face_landmarker.task --out emotion_rules.json --sheets SHEETS --faces FACES.npz
    python benchmarks/emotion_rules.py --clips clips/manifest.csv \
        --teacher face_landmarker.task --out emotion_rules_clips.json --faces FACES.npz

For every portrait and emotion, `auteur generate --emotion E` is run with everything at its default but the
preset (the warp, which paints nothing), seed, size and length, and read frame by frame by MediaPipe's
landmarker, which shares nothing with the product. A rule compares with the same portrait's neutral video of
the same speech, in clips with the same person's neutral clip. An emotion is kept where all of its rules hold.
The rules of `rules_kept` were written down before the prototypes were tuned; each is a movement that EMFACS
demands, in the direction that the blendshapes have. `TUNED_ON` are the portraits that prototypes and postures
were tuned on; the figures of all others are held out.

`--faces` keeps aligned faces of every video for judges that look at pixels (`judges/emotion_pixels.py`).
"""

import csv
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
import tyro
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from auteur.errors import UsageError
from auteur.face.auteur_backend import AuteurBackend
from auteur.face.backend import FaceReading
from auteur.face.mediapipe_backend import MediaPipeBackend
from auteur.face.pose import without_pose
from auteur.facs import EMOTIONS, MEDIAPIPE_BLENDSHAPES
from auteur.media import VideoReader
from auteur.motion.speech_motion import Motion, SpeechMotion
from auteur.painting.registry import load_renderer
from auteur.talking_head.inputs import find_portrait, speech_of
from auteur.talking_head.motion_stage import SpeechEncoders, requested_motion
from auteur.talking_head.request import PerformanceRequest
from auteur.talking_head.settings import Settings, mark_of
from auteur.talking_head.staging import staged
from auteur.talking_head.talking_head import Stages, TalkingVideo
from judges.emotion_pixels import aligned_face

Floats = NDArray[np.floating[Any]]
Picture = NDArray[np.uint8]

SHOWN_EMOTIONS = tuple(emotion for emotion in EMOTIONS if emotion != "neutral")
SEEN = 0.04
"""Change of a blendshape that counts as a movement; idle motion is the same in both videos."""
STILL = 0.04
"""Change up to which a blendshape counts as not moved."""
MOVED_MM = 0.5
"""Change of a distance of lips or brows that counts, in millimetres of the canonical head."""
SLIGHT_MM = 0.3
"""The same of lids, cheeks and wings of the nose, which move less."""
RATE = Fraction(5)
SHOWN_PX = (240, 300)
TUNED_ON = (
    "generated_man_0056",
    "generated_man_0181",
    "generated_woman_0035",
    "generated_woman_0077",
    "generated_woman_0287",
)

MEASURES_MM: dict[str, Callable[[Floats], Floats]] = {
    "corners": lambda f: f[:, [13, 14], 1].mean(1) - f[:, [61, 291], 1].mean(1),
    "tilt": lambda f: f[:, 291, 1] - f[:, 61, 1],
    "lean": lambda f: -f[:, 61, 0] - f[:, 291, 0],
    "width": lambda f: np.linalg.norm(f[:, 61, :2] - f[:, 291, :2], axis=1),
    "eyes": lambda f: (f[:, [145, 374], 1] - f[:, [159, 386], 1]).mean(1),
    "between brows": lambda f: np.linalg.norm(f[:, 55, :2] - f[:, 285, :2], axis=1),
    "upper lip": lambda f: f[:, [33, 263], 1].mean(1) - f[:, [0, 37, 267], 1].mean(1),
    "nose": lambda f: f[:, [33, 263], 1].mean(1) - f[:, [98, 327, 64, 294], 1].mean(1),
    "cheeks": lambda f: f[:, [33, 263], 1].mean(1) - f[:, [50, 280, 205, 425], 1].mean(1),
    "lips": lambda f: f[:, 13, 1] - f[:, 0, 1] + f[:, 17, 1] - f[:, 14, 1],
}
"""Distances [T] in pose-free faces [T, 478, 3] mm: heights are positive up; "tilt" and "lean" are how much
higher and further out the subject's right corner of the mouth is; "lips" is their thickness."""


@dataclass(frozen=True)
class Reading:
    """What the landmarker reads of a video."""

    blendshapes: Floats
    """[52], means over frames."""
    mm: Mapping[str, float]
    """`MEASURES_MM`, means over frames."""
    jaw: float
    """90th percentile of jawOpen."""


def reading_of(found: Sequence[FaceReading]) -> Reading:
    """Returns the means over frames."""
    shapes = np.stack([one.blendshapes for one in found])
    faces = without_pose(np.stack([one.landmarks for one in found]))
    jaw = shapes[:, MEDIAPIPE_BLENDSHAPES.index("jawOpen")]
    means = {name: float(measure(faces).mean()) for name, measure in MEASURES_MM.items()}
    return Reading(shapes.mean(axis=0), means, float(np.quantile(jaw, 0.9)))


def rules_kept(emotion: str, shown: Reading, neutral: Reading) -> dict[str, bool]:
    """Returns which rules of an emotion a video keeps against the neutral one."""

    def up(beginning: str) -> float:
        change = shown.blendshapes - neutral.blendshapes
        chosen = [name.startswith(beginning) for name in MEDIAPIPE_BLENDSHAPES]
        return float(change[chosen].mean())

    mm = {name: shown.mm[name] - neutral.mm[name] for name in MEASURES_MM}
    jaw = shown.jaw - neutral.jaw
    wide = mm["eyes"] > SLIGHT_MM or up("eyeWide") > SEEN
    inner, outer, smile = up("browInnerUp"), up("browOuterUp"), up("mouthSmile")
    found: dict[str, dict[str, bool]] = {
        "happy": {
            "corners up": smile > SEEN and mm["corners"] > MOVED_MM,
            "cheeks up": mm["cheeks"] > SLIGHT_MM or up("cheekSquint") > SEEN,
        },
        "sad": {
            "inner brows up": inner > SEEN,
            "outer brows less": inner > outer,
            "corners down": mm["corners"] < -MOVED_MM and smile < SEEN,
        },
        "angry": {
            "brows down": up("browDown") > SEEN,
            "inner brows not up": inner < STILL,
            "brows together": mm["between brows"] < -SLIGHT_MM,
            "lids tight": up("eyeSquint") > SEEN or mm["eyes"] < -SLIGHT_MM,
            "lips tight": up("mouthPress") > SEEN or mm["lips"] < -MOVED_MM,
        },
        "fear": {
            "brows up": inner > SEEN,
            "brows together": mm["between brows"] < -SLIGHT_MM,
            "eyes wide": wide,
            "lips stretched": mm["width"] > MOVED_MM or up("mouthStretch") > SEEN,
        },
        "disgusted": {
            "nose wrinkled": mm["nose"] > SLIGHT_MM or up("noseSneer") > SEEN,
            "upper lip up": mm["upper lip"] > MOVED_MM or up("mouthUpperUp") > SEEN,
            "brows not up": inner < STILL,
            "no smile": smile < SEEN,
        },
        "surprised": {
            "inner brows up": inner > SEEN,
            "outer brows up": outer > SEEN,
            "eyes wide": wide,
            "jaw drops": jaw > SEEN,
        },
        "contempt": {
            "one corner": mm["tilt"] > MOVED_MM or mm["lean"] > MOVED_MM,
            "brows at rest": abs(inner) < STILL and up("browDown") < STILL,
            "no smile": smile < 0.5,
        },
    }
    return found[emotion]


@dataclass(frozen=True)
class Benchmark:
    """Where things are: portraits and speech, or clips."""

    teacher: Path
    """MediaPipe's `face_landmarker.task`."""
    out: Path
    portraits: tuple[Path, ...] = ()
    speech: Path | None = None
    clips: Path | None = None
    """CSV with the columns file (relative to the CSV's parent folder), identity and emotion."""
    route: str = "auto"
    preset: str = "warp"
    size: str = "480"
    """Longer side of the videos."""
    faces: Path | None = None
    """NPZ of aligned faces to write."""
    sheets: Path | None = None
    """Folder for one contact sheet per strength: a row per portrait, neutral and the seven emotions."""
    strengths: tuple[float, ...] = (1.0, 0.5)
    seconds: float = 2.5


@dataclass
class Faces:
    """Aligned faces of videos by name, for judges that look at pixels."""

    rows: list[Picture]
    names: list[str]

    def add(self, name: str, found: Sequence[tuple[Picture, FaceReading]]) -> None:
        """Keeps the faces of a video's frames."""
        self.rows += [aligned_face(frame, face.landmarks) for frame, face in found]
        self.names += [name] * len(found)

    def save(self, path: Path) -> None:
        """Writes `faces` [N, H, W] and `names` [N]."""
        np.savez_compressed(path, faces=np.stack(self.rows), names=np.array(self.names))


class Videos:
    """What `auteur generate --emotion E --seed 0` shows of a portrait; motion and portraits are made once."""

    def __init__(self, run: Benchmark) -> None:
        self._backend, self._encoders, mover = (
            AuteurBackend(),
            SpeechEncoders.shipped(),
            SpeechMotion.shipped(),
        )
        self._stages = Stages(mover, load_renderer(run.preset, speech=self._encoders.phones, device=None))
        samples, rate = soundfile.read(str(run.speech), dtype="float32")
        self._voice = speech_of((rate, samples[: round((run.seconds + 0.1) * rate)]))
        self._settings = Settings(seed=0, fps=RATE, seconds=run.seconds, route=run.route, size=run.size)
        self._motions: dict[tuple[str, float], Motion] = {}
        self._portraits: dict[Path, Any] = {}

    def frames(self, portrait: Path, emotion: str, strength: float) -> list[Picture]:
        """Returns the frames at `RATE`."""
        settings, request = self._settings, PerformanceRequest(emotion, strength)
        motion = self._motions.get((emotion, strength))
        if motion is None:
            mover, voice = self._stages.mover, self._voice.sound
            motion = requested_motion(self._encoders, mover, voice, request, settings)
            self._motions[emotion, strength] = motion
        if portrait not in self._portraits:
            shown, reading, _ = find_portrait(self._backend, portrait)
            self._portraits[portrait] = staged(shown.picture, reading, settings)
        picture, face, finishing = self._portraits[portrait]
        video = TalkingVideo(
            portrait=torch.from_numpy(picture).permute(2, 0, 1).contiguous(),
            face=face,
            motion=motion,
            stages=self._stages,
            settings=settings,
            voice=self._voice,
            mark=mark_of({}, request, settings, models={}, rendering={}),
            finishing=finishing,
        )
        return list(video)


def tile(frame: Picture, face: FaceReading, title: str) -> Picture:
    """Returns the face, cut out and named."""
    left, top = np.maximum(face.landmarks[:, :2].min(axis=0) - (30, 60), 0).astype(int)
    right, bottom = (face.landmarks[:, :2].max(axis=0) + 30).astype(int)
    cut = Image.fromarray(frame[top:bottom, left:right]).resize(SHOWN_PX)
    ImageDraw.Draw(cut).text((6, 6), title, fill=(255, 255, 0))
    return np.array(cut)


def measure(run: Benchmark) -> dict[str, Any]:
    """Returns by strength, portrait and emotion which rules are kept, and the shares."""
    videos, teacher = Videos(run), MediaPipeBackend(run.teacher, max_faces=1)
    faces = Faces([], [])
    kept: dict[str, dict[str, dict[str, dict[str, bool]]]] = {str(s): {} for s in run.strengths}
    rows: dict[float, list[Picture]] = {s: [] for s in run.strengths}
    changes: dict[tuple[str, str], dict[float, Floats]] = {}

    def read(portrait: Path, emotion: str, strength: float) -> tuple[Reading, Picture]:
        frames = videos.frames(portrait, emotion, strength)
        found = [(frame, seen[0]) for frame in frames if (seen := teacher.find(frame))]
        faces.add(f"{portrait.stem} {emotion} {strength:g}", found)
        title = f"{emotion} {strength:g}"
        return reading_of([face for _, face in found]), tile(*found[len(found) // 2], title)

    for portrait in run.portraits:
        neutral, first = read(portrait, "neutral", 1.0)
        for strength in run.strengths:
            tiles, rows_of = [first], kept[str(strength)].setdefault(portrait.stem, {})
            for emotion in SHOWN_EMOTIONS:
                shown, picture = read(portrait, emotion, strength)
                rows_of[emotion] = rules_kept(emotion, shown, neutral)
                changes.setdefault((portrait.stem, emotion), {})[strength] = change_of(shown, neutral)
                tiles.append(picture)
            rows[strength].append(np.concatenate(tiles, axis=1))
    if run.sheets is not None:
        run.sheets.mkdir(parents=True, exist_ok=True)
        for strength, pictures in rows.items():
            Image.fromarray(np.concatenate(pictures)).save(run.sheets / f"emotions_{strength:g}.png")
    if run.faces is not None:
        faces.save(run.faces)
    parts = {"all": lambda name: True, "tuned on": TUNED_ON.__contains__}
    parts["held out"] = lambda name: name not in TUNED_ON
    found = {
        f"{strength}, {part}": shares({name: rules for name, rules in rows_of.items() if belongs(name)})
        for strength, rows_of in kept.items()
        for part, belongs in parts.items()
        if any(map(belongs, rows_of))
    }
    return {"kept": kept, "shares": found, "growing": growing(changes)}


def change_of(shown: Reading, neutral: Reading) -> Floats:
    """Returns how the distances of `MEASURES_MM` differ from neutral, [measures] mm."""
    return np.array([shown.mm[name] - neutral.mm[name] for name in MEASURES_MM])


def growing(changes: Mapping[tuple[str, str], Mapping[float, Floats]]) -> dict[str, Any]:
    """Returns the share of portraits on which an emotion grows with the strength, by emotion, and the steps.

    The change from neutral is projected on that at the largest strength, which is 1; it grows where it is
    larger at every larger strength.

    Args:
        changes: By portrait and emotion, then by strength.
    """
    grows: dict[str, list[bool]] = {}
    steps: dict[str, list[list[float]]] = {}
    for (_, emotion), by_strength in changes.items():
        strengths = sorted(by_strength)
        whole = by_strength[strengths[-1]]
        size = max(float(whole @ whole), 1e-9)
        reached = [float(by_strength[strength] @ whole) / size for strength in strengths]
        grows.setdefault(emotion, []).append(all(np.diff([0.0, *reached]) > 0))
        steps.setdefault(emotion, []).append(reached)
    return {
        emotion: {"share": float(np.mean(grown)), "median": np.median(steps[emotion], axis=0).tolist()}
        for emotion, grown in grows.items()
    }


def measure_clips(run: Benchmark, manifest: Path) -> dict[str, Any]:
    """Returns by clip which rules are kept against the same person's neutral clip, and the shares."""
    teacher, faces = MediaPipeBackend(run.teacher, max_faces=1), Faces([], [])
    with manifest.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["emotion"]]
    people = {row["identity"] for row in rows if row["emotion"] != "neutral"}
    kept: dict[str, dict[str, dict[str, bool]]] = {}
    for person in sorted(people):
        own = [row for row in rows if row["identity"] == person]
        read: dict[str, Reading] = {}
        for row in own:
            with VideoReader(manifest.parent.parent / row["file"]) as video:
                frames = [frame.image for frame in video.frames_at(RATE)]
            found = [(frame, seen[0]) for frame in frames if (seen := teacher.find(frame))]
            faces.add(f"{row['file']} {row['emotion']} 1", found)
            read[row["file"]] = reading_of([face for _, face in found])
        neutral = [read[row["file"]] for row in own if row["emotion"] == "neutral"]
        for row in own if neutral else ():
            if row["emotion"] != "neutral":
                found_rules = rules_kept(row["emotion"], read[row["file"]], neutral[0])
                kept[f"{row['file']}"] = {row["emotion"]: found_rules}
    if run.faces is not None:
        faces.save(run.faces)
    return {"kept": kept, "shares": {"clips": shares(kept)}}


def shares(kept: Mapping[str, Mapping[str, Mapping[str, bool]]]) -> dict[str, Any]:
    """Returns the share of portraits that keep every rule of an emotion, the mean share, and broken rules."""
    whole = {
        emotion: float(np.mean([all(found[emotion].values()) for found in kept.values() if emotion in found]))
        for emotion in SHOWN_EMOTIONS
    }
    broken = Counter(
        f"{emotion}: {rule}"
        for found in kept.values()
        for emotion, rules in found.items()
        for rule, holds in rules.items()
        if not holds
    )
    return {"mean": float(np.mean(list(whole.values()))), **whole, "broken": dict(broken.most_common())}


def main() -> None:
    run = tyro.cli(Benchmark)
    torch.set_num_threads(1)
    if (run.clips is None) == (not run.portraits or run.speech is None):
        raise UsageError("give either --clips, or --portraits and --speech")
    results = measure(run) if run.clips is None else measure_clips(run, run.clips)
    run.out.write_text(json.dumps(results, indent=1), encoding="utf-8")
    for strength, found in results["shares"].items():
        print(strength, {name: round(value, 2) for name, value in found.items() if name != "broken"})
        print("   broken:", found["broken"])


if __name__ == "__main__":
    main()
