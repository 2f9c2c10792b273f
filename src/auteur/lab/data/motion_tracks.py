"""Motion of filmed people as recipes read it from shards: displacement, Action Units, pose, lids, speech.

`read_tracks` is the reader of every recipe that learns motion; the features "motion" and "speech"
(`auteur.lab.data.features`) hold what it reads beyond the common record. Sound is shifted to its picture
where the offset was measured with confidence. Videos that talking-head systems generated are pseudo-ground
truth:
they only ever train.
"""

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from auteur.errors import InputError
from auteur.facs import MEDIAPIPE_BLENDSHAPES
from auteur.lab.data.media_kinds import Medium
from auteur.lab.data.shards import Corpora, PartName, Sample, ShardReader
from auteur.lab.data.speech.augment import AugmentConfig, Disguise
from auteur.lab.data.splits import Part, part_of
from auteur.motion.mouth import lip_gap
from auteur.signals import Waveform
from auteur.speech.features import CompactSpeechFeatures, frames_at
from auteur.speech.log_mel import log_mel_of_power
from auteur.speech.mel import mel_power

Floats = NDArray[np.floating]

RATE = Fraction(25)
LONGEST_HOLE_SEC = 0.2
"""Frames without a face are filled up to this long; a longer hole ends the clip."""

BELIEVED_OFFSET = 6.0
"""An offset of sound and picture is accepted from a correlation of this by the square root of the frames.
Lips that say something else reach about 4.4 by that root at some offset (measured: 0.49 in 75 frames, 0.31
in 250,
0.12 in 1500)."""

BLINK = [i for i, name in enumerate(MEDIAPIPE_BLENDSHAPES) if name.startswith("eyeBlink")]
"""Blendshapes of closed lids."""

_TRULY_CLOSED = 0.015
"""Quantile of the lip gap that counts as closed lips."""
_DISGUISE = AugmentConfig(noise_db=(5.0, 30.0))
_GAZE = [i for i, name in enumerate(MEDIAPIPE_BLENDSHAPES) if name.startswith("eyeLook")]


@dataclass(frozen=True, kw_only=True, eq=False)
class MotionTrack:
    """Motion of one sample, T frames at `RATE`."""

    name: str
    person: str
    part: Part
    corpus: str
    emotion: str | None
    """The acted emotion; None where the corpus does not state it."""
    intensity: float | None
    """As the corpus states it, in [0, 1]; None where it does not."""
    displacement: Floats
    """From the clip's own rest, [T, 478, 3] mm, irises 0."""
    neutral: Floats
    """That rest with closed lips, pose-free, [478, 3] mm."""
    units: Floats
    """Intensities measured from the same rest, convention "facs", [T, C]."""
    pose: Floats
    """Angles in rad and place in mm of the head, [T, 6]."""
    blink: Floats
    """Closure of the lids, [T], 0 to 1."""
    gaze: Floats
    """Angles of the gaze in rad, [T, 2]."""
    speech: Floats | None
    """Features of the sound, [T, S]; None without speech."""
    copies: Floats | None
    """The same of augmented copies, [N, T, S]."""
    loudness: Floats | None
    """[T]; None without speech."""
    has_speech: bool
    """Whether the sample has sound."""
    samples: NDArray[np.float32] | None
    """The sound itself at 16 kHz, [640 T], shifted to the picture; None unless wanted."""
    is_generated: bool = False
    """Whether a talking-head system made the video."""


def read_tracks(
    corpora: Corpora,
    *,
    speech: str | None = "speech",
    part: PartName | None = "train",
    sound: bool = False,
    beside: Collection[Medium] = (),
) -> Iterator[MotionTrack]:
    """Yields the motion of every sample of prepared corpora, then of generated videos.

    Args:
        corpora: With the feature "motion".
        speech: Feature of the sound: "speech", "hubert"; None: neither features nor loudness.
        part: "train": people who train or choose checkpoints; "held_out": those who test; None: everybody.
        sound: Whether to read the sound itself.
        beside: Media of folders that are read elsewhere.

    Raises:
        UsageError: The corpora are not given, or differ in the space of a feature.
        InputError: A feature is missing, or a shard is damaged.
    """
    features = ["motion"]
    if speech is not None:  # loudness is part of the feature "speech"
        features += sorted({speech, "speech"})
    for reader in corpora.readers(features, part=part, beside=beside):
        for sample in _with_motion(reader):
            yield _track(sample, reader, speech, sound=sound)
    if part != "held_out":
        for reader in corpora.generated_readers(features):
            for sample in _with_motion(reader):
                yield _track(sample, reader, speech, sound=sound, is_generated=True)


def _with_motion(reader: ShardReader) -> Iterator[Sample]:
    """The samples of which motion could be measured."""
    return (sample for sample in reader if sample.has("motion.displacement"))


def training_tracks(tracks: Iterator[MotionTrack], corpora: Corpora) -> list[MotionTrack]:
    """Returns all tracks.

    Raises:
        InputError: There is none of a person who trains.
    """
    found = list(tracks)
    if not any(track.part == "train" for track in found):
        raise InputError(no_training_person(corpora))
    return found


def no_training_person(corpora: Corpora, what: str = "sample") -> str:
    """Returns the message for shards without a person who trains."""
    return no_person_of("train", corpora, what)


def no_person_of(part: Part, corpora: Corpora, what: str = "sample") -> str:
    """Returns the message for shards without a person of a part."""
    folders = ", ".join(repr(str(folder)) for folder in corpora.shards)
    whose = {"train": "trains", "validation": "chooses checkpoints", "test": "is held out"}[part]
    return f"{folders}: no {what} of a person who {whose}; prepare recordings of more people"


def _track(
    sample: Sample, reader: ShardReader, speech: str | None, *, sound: bool, is_generated: bool = False
) -> MotionTrack:
    record = sample.record
    frames = int(record["frames"])
    lag = lag_frames(record)
    rows = np.clip(np.arange(frames) - lag, 0, frames - 1)

    def of_sound(name: str) -> Any:
        return sample.array(name)[..., rows, :] if sample.has(name) else None

    loudness = sample.array("speech.loudness")[rows] if sample.has("speech.loudness") else None
    values = None if speech is None else of_sound(f"{speech}.values")
    return MotionTrack(
        name=sample.key,
        person=record["person"],
        part="train" if is_generated else part_of(record["person"], record["held_out"]),
        corpus=reader.corpus,
        emotion=record["emotion"],
        intensity=record["intensity"],
        displacement=sample.array("motion.displacement"),
        neutral=sample.array("motion.neutral"),
        units=sample.array("motion.units"),
        pose=sample.array("pose")[:, :6],
        blink=sample.array("motion.blink"),
        gaze=sample.array("gaze"),
        speech=None if values is None else values.astype(np.float32),
        copies=of_sound("speech.copies") if speech == "speech" else None,
        loudness=loudness,
        has_speech="flac" in sample.members,
        samples=_shifted(sample.speech(), lag, frames) if sound else None,
        is_generated=is_generated,
    )


def lag_frames(record: dict[str, Any]) -> int:
    """Returns the frames by which the picture trails the sound; 0 where that is not known."""
    agreement = record.get("agreement")
    if agreement is None or agreement < BELIEVED_OFFSET / math.sqrt(record["frames"]):
        return 0
    return int(record["offset_frames"])


def _shifted(sound: Waveform | None, lag: int, frames: int) -> NDArray[np.float32] | None:
    if sound is None:
        return None
    step = sound.rate_hz // int(RATE)
    samples = np.array(sound.samples, np.float32)
    samples = np.pad(samples, (lag * step, 0)) if lag > 0 else samples[-lag * step :]
    return np.pad(samples, (0, max(0, frames * step - samples.size)))[: frames * step]


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

    Args:
        face: Pose-free [T, 478, 3] in millimetres.
        blendshapes: [T, 52].
    """
    gap = lip_gap(face)
    activity = np.delete(blendshapes, _GAZE, axis=1)[:, 1:].sum(1)
    open_eyes = blendshapes[:, BLINK].mean(1) <= np.quantile(blendshapes[:, BLINK].mean(1), 0.7)
    closed = gap <= np.quantile(gap[open_eyes], 0.12)
    candidates = np.flatnonzero(open_eyes & closed)
    return candidates[activity[candidates] <= np.quantile(activity[candidates], 0.7)]


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


def speech_copies(sound: Waveform, encoder: CompactSpeechFeatures, *, count: int, seed: int) -> Floats:
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
