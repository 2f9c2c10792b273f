r"""Turns labelled clips into training data of the motion recipe: displacement, AUs, speech features.

    python -m auteur.lab.data.motion_tracks --labels LABELS --clips clips/manifest.csv \
        --generated generated/manifest.csv --out TRACKS

`LABELS` is what `python -m auteur.lab.data.face_teacher` wrote. One `.npz` per clip, at 25 frames per second;
the split by person is `auteur.lab.data.splits`, and `part_of` sets further people apart to choose checkpoints
by. Videos that talking-head systems generated are pseudo-ground truth: they only ever train.
"""

import csv
import hashlib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal
from zlib import crc32

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from rich.progress import track

from auteur.errors import MediaError
from auteur.face.action_units import action_units, neutral_of
from auteur.face.gaze import gaze_angles_rad, gaze_directions
from auteur.face.pose import head_pose, without_pose
from auteur.facs import MEDIAPIPE_BLENDSHAPES
from auteur.lab.data.motion_lags import SyncedClip, find_lags
from auteur.lab.data.speech.augment import AugmentConfig, Disguise
from auteur.lab.data.splits import is_held_out
from auteur.media import read_speech
from auteur.motion.au_basis import AUBasis
from auteur.motion.mouth import lip_gap
from auteur.signals import Waveform
from auteur.signals.topology import LEFT_IRIS, RIGHT_IRIS
from auteur.speech.features import CompactSpeechFeatures, frames_at
from auteur.speech.log_mel import LogMelFeatures, log_mel_of_power
from auteur.speech.mel import mel_power
from auteur.weights import load_shipped

Floats = NDArray[np.floating]
Arrays = dict[str, np.ndarray]

RATE = Fraction(25)
LONGEST_HOLE_SEC = 0.2
"""Frames without a face are filled up to this long; a longer hole ends the clip."""

LEAST_SYNC = 0.15
"""Agreement with the predicted lip gap below which a clip's sound counts as foreign to its picture."""

_FEWEST_FRAMES = 40
_TRULY_CLOSED = 0.015
"""Quantile of the lip gap that counts as closed lips."""
_DISGUISE = AugmentConfig(noise_db=(5.0, 30.0))
_BLINK = [i for i, name in enumerate(MEDIAPIPE_BLENDSHAPES) if name.startswith("eyeBlink")]
_GAZE = [i for i, name in enumerate(MEDIAPIPE_BLENDSHAPES) if name.startswith("eyeLook")]

Part = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class MotionTracksRecipe:
    """Paths of labels, clips and tracks."""

    labels: Path
    clips: Path
    """CSV with the columns file, wav (relative to the CSV's parent folder), identity, fps, speech."""
    out: Path
    generated: Path | None = None
    """CSV with the columns file, identity, fps of videos made by talking-head systems, each with its
    sound."""
    speech_weights: Path | None = None
    """Weights of the compact speech encoder; the shipped one unless given."""
    fold_weights: tuple[Path, ...] = ()
    """Encoders that were each trained without one fold of people (`auteur train lip-encoder --folds K`): the
    features of a training person come from the one trained without them."""
    hearings: int = 0
    """Number of augmented copies of each clip's sound whose features training may read instead."""


def part_of(identity: str) -> Part:
    """Returns a person's part: held-out people test, one in seven of the others chooses checkpoints."""
    if is_held_out(identity):
        return "test"
    digest = hashlib.sha256(f"motion-validation:{identity}".encode()).digest()
    return "validation" if int.from_bytes(digest, "big") % 7 == 0 else "train"


def fold_of(identity: str, folds: int) -> int:
    """Returns the number of the group, of `folds`, that a person is in."""
    return int.from_bytes(hashlib.sha256(f"fold:{identity}".encode()).digest(), "big") % folds


def even_frames(index: NDArray[np.integer], values: Floats, fps: float) -> Floats:
    """Returns values [N, ...] seen in frames `index` at `RATE`, linear by time, up to the first long hole."""
    times = index / fps
    holes = np.flatnonzero(np.diff(times) > LONGEST_HOLE_SEC)
    end = len(times) if not len(holes) else holes[0] + 1
    grid = np.arange(times[0], times[end - 1] + 1e-6, 1 / float(RATE))
    above = np.clip(np.searchsorted(times[:end], grid), 1, end - 1)
    span = times[above] - times[above - 1]
    weight = np.clip((grid - times[above - 1]) / span, 0, 1).reshape(-1, *[1] * (values.ndim - 1))
    return values[above - 1] * (1 - weight) + values[above] * weight


def resting_frames(face: Floats, blendshapes: Floats) -> NDArray[np.intp]:
    """Returns the frames nearest to a resting face: open eyes, lips as closed as they get, little else.

    For a mesh or picture at rest, which is of one moment. Action Units of footage without a labelled neutral
    are measured from `face.action_units.neutral_by_region`, which takes brows and mouth from different frames
    and returns no mesh.

    Args:
        face: Pose-free [T, 478, 3] in millimetres.
        blendshapes: [T, 52].
    """
    gap = lip_gap(face)
    activity = np.delete(blendshapes, _GAZE, axis=1)[:, 1:].sum(1)
    open_eyes = blendshapes[:, _BLINK].mean(1) <= np.quantile(blendshapes[:, _BLINK].mean(1), 0.7)
    closed = gap <= np.quantile(gap[open_eyes], 0.12)
    candidates = np.flatnonzero(open_eyes & closed)
    return candidates[activity[candidates] <= np.quantile(activity[candidates], 0.7)]


def _speech_of(row: dict[str, str], root: Path, speech: "SpeechReading", first: int, frames: int) -> Arrays:
    """Features [T, D], loudness [T] and hearings [H, T, D] of a clip's sound from frame `first` on.

    The end is held.
    """
    encoder = speech.encoder
    sound = read_speech(root / (row.get("wav") or row["file"]))
    rows = np.clip(np.arange(first, first + frames), 0, frames_at(sound, RATE) - 1)
    analysis = encoder.analyse(sound, RATE)
    arrays = {
        "speech": analysis.with_bands.numpy()[rows],
        "loudness": analysis.bands.numpy()[rows, -1],
    }
    if speech.hearings:
        seed = crc32(row["file"].encode())
        arrays["hearings"] = hearings(sound, encoder, count=speech.hearings, seed=seed)[:, rows]
    return arrays


@dataclass(frozen=True, eq=False)
class SpeechReading:
    """How a clip's sound becomes features."""

    encoder: CompactSpeechFeatures
    hearings: int = 0
    """Augmented copies."""


def hearings(sound: Waveform, encoder: CompactSpeechFeatures, *, count: int, seed: int) -> Floats:
    """Returns features [count, T, D] of the same speech with other rooms and vocal tracts, float16."""
    disguise = Disguise(np.random.default_rng(seed), _DISGUISE)
    frames = frames_at(sound, RATE)
    heard: list[Floats] = []
    for _ in range(count):
        samples = torch.from_numpy(disguise.sound(np.array(sound.samples)))
        power = disguise.throats(mel_power(samples[None], encoder.mel))[0]
        both = encoder.encode_power(power, RATE, frames), log_mel_of_power(power, RATE, frames)
        heard.append(torch.cat(both, -1).numpy().astype(np.float16))
    return np.stack(heard)


def first_frame(labels: Path, fps: float) -> int:
    """Returns the frame at `RATE` at which a clip's labels begin."""
    return round(np.load(labels)["index"][0] / fps * float(RATE))


def closed_neutral(face: Floats, rest: NDArray[np.intp], opening: Floats) -> Floats:
    """Returns the person's neutral face [478, 3]: at rest, with the lips as they are when they truly meet.

    Resting lips of people who talk are often ajar; displacement from such a neutral would be too closed on
    a portrait whose lips meet.

    Args:
        face: Pose-free [T, 478, 3] in millimetres.
        rest: Frames at rest.
        opening: Movement per millimetre of lip gap, [478, 3].
    """
    neutral = np.median(face[rest], axis=0)
    closed_mm = np.quantile(lip_gap(face), _TRULY_CLOSED)
    return neutral + (closed_mm - lip_gap(neutral)) * opening


def make_track(
    row: dict[str, str], labels: Path, root: Path, speech: SpeechReading, *, is_generated: bool = False
) -> Arrays:
    """Returns the arrays of one clip."""
    stored = np.load(labels)
    index, fps = stored["index"], float(row["fps"])
    landmarks = even_frames(index, stored["landmarks"].astype(np.float64), fps)
    blendshapes = even_frames(index, stored["blend"].astype(np.float64), fps)
    pose = head_pose(landmarks)
    face = without_pose(landmarks, pose)
    rest = resting_frames(face, blendshapes)
    neutral = closed_neutral(face, rest, load_shipped(AUBasis(), "au_basis").opening.numpy())
    displacement = face - neutral
    displacement[:, [*RIGHT_IRIS, *LEFT_IRIS]] = 0  # gaze belongs to the gaze model
    units = action_units(
        landmarks, blendshapes, rate=RATE, neutral=neutral_of(landmarks[rest], blendshapes[rest])
    )
    arrays = {
        "displacement": displacement.astype(np.float16),
        "neutral": neutral.astype(np.float32),
        "units": units.values.astype(np.float16),
        "pose": np.concatenate([pose.angles_rad, pose.shift / pose.scale[:, None]], axis=1).astype(
            np.float32
        ),
        "blink": blendshapes[:, _BLINK].mean(1).astype(np.float32),
        "gaze": gaze_angles_rad(gaze_directions(landmarks, pose)).astype(np.float32),
        "identity": np.array(row["identity"]),
        "part": np.array("train" if is_generated else part_of(row["identity"])),
        "is_generated": np.array(is_generated),
    }
    if is_generated or row["speech"] in ("yes", "maybe"):
        arrays |= _speech_of(row, root, speech, first_frame(labels, fps), len(face))
    return arrays


def synchronise(tracks: dict[str, Arrays]) -> None:
    """Shifts every clip's sound to its picture and takes away sound that does not belong to it."""
    heard = {name: arrays for name, arrays in tracks.items() if "speech" in arrays}
    clips = [
        SyncedClip(
            person=str(arrays["identity"]),
            speech=arrays["speech"][:, : -LogMelFeatures.dim].astype(np.float64),  # the encoder's are enough
            gap=lip_gap(arrays["displacement"].astype(np.float64)),
        )
        for arrays in heard.values()
    ]
    find_lags(clips)
    for clip, arrays in zip(clips, heard.values(), strict=True):
        rows = np.clip(np.arange(len(clip.gap)) - clip.lag, 0, len(clip.gap) - 1)
        arrays |= {name: arrays[name][rows] for name in ("speech", "loudness")}
        if "hearings" in arrays:
            arrays["hearings"] = arrays["hearings"][:, rows]
        arrays |= {"lag": np.array(clip.lag), "sync": np.array(clip.sync)}
        if clip.sync < LEAST_SYNC and not arrays["is_generated"]:
            del arrays["speech"]
            arrays.pop("hearings", None)


def make(recipe: MotionTracksRecipe) -> None:
    """Writes a track file per clip."""
    recipe.out.mkdir(parents=True, exist_ok=True)
    weights = recipe.speech_weights
    encoder = CompactSpeechFeatures.shipped() if weights is None else CompactSpeechFeatures.from_file(weights)
    strangers = [CompactSpeechFeatures.from_file(path) for path in recipe.fold_weights]
    tracks: dict[str, Arrays] = {}
    for manifest in filter(None, (recipe.clips, recipe.generated)):
        is_generated, root = manifest == recipe.generated, manifest.parent.parent
        with manifest.open(encoding="utf-8") as table:
            rows = list(csv.DictReader(table))
        for row in track(rows, manifest.parent.name):
            labels = recipe.labels / f"{Path(row['file']).stem}.npz"
            if not labels.exists() or len(np.load(labels)["index"]) < _FEWEST_FRAMES:
                continue
            hearing = encoder
            if strangers and (is_generated or part_of(row["identity"]) == "train"):
                hearing = strangers[fold_of(row["identity"], len(strangers))]
            speech = SpeechReading(hearing, recipe.hearings)
            try:
                arrays = make_track(row, labels, root, speech, is_generated=is_generated)
            except MediaError:
                arrays = make_track(row | {"speech": "no"}, labels, root, speech)
            tracks[labels.stem] = arrays
    synchronise(tracks)
    for name, arrays in tracks.items():
        np.savez(recipe.out / f"{name}.npz", allow_pickle=False, **arrays)


if __name__ == "__main__":
    make(tyro.cli(MotionTracksRecipe))
