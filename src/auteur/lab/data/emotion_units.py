"""Action Units of emotional faces: statistics of labelled video and photographs, targets built from them.

    python -m auteur.lab.data.emotion_units --shards SHARDS PHOTOS --out emotion_units.npz

Only people who are not held out are measured. Speech corpora without pictures get their targets from here:
the Action Units of the emotion, as measured, with the dynamics measured; the mouth of the speech comes from
the motion generator (`auteur.lab.data.performances`).
"""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from numpy.typing import NDArray

from auteur.errors import InputError
from auteur.expression.audio_lm.codec import UNITS, VOICE_EMOTIONS
from auteur.facs import EMOTIONS, prototype
from auteur.files import atomic_path
from auteur.lab.data.motion_tracks import no_training_person
from auteur.lab.data.shards import Corpora, Sample, ShardReader

Floats = NDArray[np.floating]

RATE = Fraction(25)
SPOKEN = tuple(
    UNITS.index(name)
    for name in (
        "jaw_open",
        "lip_corner_stretch_left",
        "lip_corner_stretch_right",
        "upper_lip_suck",
        "lower_lip_suck",
        "upper_lip_raise",
        "lower_lip_depress",
        "chin_raise",
        "lip_pucker",
    )
)
"""Units that speech itself moves; an emotion adds to them."""
LIDS = (UNITS.index("eye_close_left"), UNITS.index("eye_close_right"))
LONGEST_BLINK_FRAMES = 15
"""Eye closings up to 0.6 s are blinks; at 5 frames a second they cannot be drawn, and the face blinks by
itself."""

_PHOTOS_PER_PERSON = 15
_TEXTBOOK_PEOPLE = 1.0
"""Weight of EMFACS, in people: some emotions rest on a single face."""
_LIKE = {"calm": "neutral", "bored": "neutral"}
"""Emotions without labelled faces, and the emotions that replace them."""
_FEWEST_FRAMES = 25


@dataclass(frozen=True, eq=False)
class EmotionUnits:
    """Statistics of FEAFA-24 per emotion; emotions in the order of `EMOTIONS`."""

    mean: Floats
    """Intensity of the whole performance at full strength, [emotions, 24]."""
    people: Floats
    """Number of people (a dozen photographs count as one) of each mean, [emotions]."""
    deviation: Floats
    """Standard deviation over time within a performance, [24]."""
    memory: Floats
    """Correlation of that deviation with itself 40 ms later, [24]."""
    between: Floats
    """Standard deviation between people who show the same emotion, [24]."""

    def profile(self, emotion: str) -> Floats:
        """Returns the mean [24] of an emotion, both sides alike."""
        return _both_sides(self.mean[EMOTIONS.index(_LIKE.get(emotion, emotion))])


@dataclass(frozen=True)
class EmotionUnitsRecipe:
    """Where the data are, and the file of the statistics."""

    data: Annotated[Corpora, tyro.conf.arg(name="")]
    out: Path


def without_blinks(closing: Floats) -> Floats:
    """Returns eye closing [T, eyes] without what is shorter than 0.6 s (a morphological opening)."""
    half = LONGEST_BLINK_FRAMES // 2

    def windows(values: Floats) -> Floats:
        padded = np.pad(values, ((half, half), (0, 0)), mode="edge")
        return np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1, axis=0)

    return windows(windows(closing).min(axis=-1)).max(axis=-1)


def measure(corpora: Corpora) -> EmotionUnits:
    """Returns the statistics over the labelled videos and photographs of people who are not held out.

    Raises:
        UsageError: There is no folder of videos.
        InputError: An emotion has neither, or no video is long enough.
    """
    by_emotion: dict[str, dict[str, list[Floats]]] = {emotion: {} for emotion in EMOTIONS}
    for reader in corpora.readers((), beside=("picture",)):
        for sample in reader:
            record = sample.record
            if record["emotion"] in by_emotion and record["frames"] >= _FEWEST_FRAMES:
                own = by_emotion[record["emotion"]].setdefault(record["person"], [])
                own.append(units_of(sample))
    means = {
        emotion: [np.concatenate(tracks).mean(0) for tracks in people.values()]
        for emotion, people in by_emotion.items()
    }
    tracks = [track for people in by_emotion.values() for found in people.values() for track in found]
    if not tracks:
        raise InputError(no_training_person(corpora, f"labelled sample of {_FEWEST_FRAMES} frames and more"))
    photos = photo_means(corpora)
    combined, people = zip(
        *(_combined(emotion, means[emotion], photos.get(emotion)) for emotion in EMOTIONS), strict=True
    )
    spread = [np.std(found, axis=0) for found in means.values() if len(found) > 1]
    return EmotionUnits(
        mean=np.stack(combined),
        people=np.array(people),
        deviation=np.sqrt(np.mean([track.var(0) for track in tracks], axis=0)),
        memory=np.mean([_memory(track) for track in tracks], axis=0).clip(0, 0.99),
        between=np.sqrt(np.mean(np.square(spread), axis=0)) if spread else np.zeros(len(UNITS)),
    )


def units_of(sample: Sample) -> Floats:
    """Returns FEAFA-24 intensities [T, 24] of a sample at `RATE`, without blinks."""
    values = np.array(sample.array("au.feafa24"), dtype=np.float64).clip(0, 1)
    values[:, LIDS] = without_blinks(values[:, LIDS])
    return values


def photo_means(corpora: Corpora) -> dict[str, tuple[Floats, float]]:
    """Returns mean units [24] and weight of each emotion on the labelled photographs, if there are any."""
    if all(ShardReader(folder).medium != "picture" for folder in corpora.shards):
        return {}
    found: dict[str, list[Floats]] = {}
    for reader in corpora.readers((), media=("picture",), beside=("video",)):
        for sample in reader:
            if (emotion := sample.record["emotion"]) in EMOTIONS:
                found.setdefault(emotion, []).append(sample.array("au.feafa24")[0])
    return {
        emotion: (np.mean(values, axis=0), min(len(values) / _PHOTOS_PER_PERSON, 3.0))
        for emotion, values in found.items()
    }


def _combined(
    emotion: str, people: list[Floats], photos: tuple[Floats, float] | None
) -> tuple[Floats, float]:
    """Mean over people, photographs and EMFACS, and the number of measured people."""
    rows, weights = list(people), [1.0] * len(people)
    if photos is not None:
        rows.append(photos[0])
        weights.append(photos[1])
    count = float(np.sum(weights))
    if emotion != "neutral":
        rows.append(np.array(list(prototype(emotion, convention="feafa24", table="emfacs").values())))
        weights.append(_TEXTBOOK_PEOPLE)
    if not rows:
        raise InputError(f"no label shows {emotion!r}; label more clips")
    return np.average(rows, axis=0, weights=weights), count


def _memory(track: Floats) -> Floats:
    centred = track - track.mean(0)
    power = (centred[:-1] ** 2).mean(0)
    return np.where(power > 1e-5, (centred[1:] * centred[:-1]).mean(0) / np.maximum(power, 1e-5), 0.9)


def _both_sides(values: Floats) -> Floats:
    """The mean of left and right on both."""
    even = np.array(values)
    for i, name in enumerate(UNITS):
        if name.endswith("_left"):
            other = UNITS.index(name.replace("_left", "_right"))
            even[[i, other]] = (values[i] + values[other]) / 2
    return even


def save_units(path: Path, units: EmotionUnits) -> None:
    """Writes the statistics, whole or not at all."""
    with atomic_path(path, overwrite=True) as temporary, temporary.open("wb") as file:
        np.savez(file, **vars(units))


def load_units(path: Path) -> EmotionUnits:
    """Reads what `save_units` wrote.

    Raises:
        InputError: The file is missing or is no such file.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return EmotionUnits(**{key: file[key] for key in file.files})
    except (OSError, ValueError, TypeError) as error:
        raise InputError(f"cannot read {str(path)!r}: {error}; measure again") from error


def targets(
    units: EmotionUnits,
    emotion: str,
    spoken: Floats,
    loudness: Floats,
    *,
    strength: float,
    random: np.random.Generator,
) -> Floats:
    """Returns made-up but measured-like intensities [T, 24] at `RATE` for a recording.

    The face is the emotion's mean times strength times an envelope, plus a person's deviation and a wandering
    one (first-order autoregression) with the measured sizes; units that speech moves are the spoken ones plus
    the emotion's difference from neutral.

    Args:
        units: The statistics.
        emotion: One of `VOICE_EMOTIONS`.
        spoken: Units of the speech, [T, 24].
        loudness: [T] from 0 to about 1: the envelope follows it.
        strength: In [0, 1]; 1 is MEAD's level 3.
        random: Random numbers.

    Raises:
        InputError: The emotion is none of `VOICE_EMOTIONS`.
    """
    if emotion not in VOICE_EMOTIONS:
        raise InputError(f"{emotion!r} is none of {', '.join(VOICE_EMOTIONS)}")
    profile, neutral = units.profile(emotion), units.profile("neutral")
    frames = len(spoken)
    envelope = emotion_envelope(loudness)[:, None]
    person = _both_sides(random.normal(0, 1, len(UNITS)) * units.between) * 0.5
    wander = np.zeros((frames, len(UNITS)))
    state = random.normal(0, 1, len(UNITS))
    for t in range(frames):
        wander[t] = state * units.deviation * 0.5
        state = units.memory * state + np.sqrt(1 - units.memory**2) * random.normal(0, 1, len(UNITS))
    wander = np.stack([_both_sides(row) for row in wander])
    is_shown = profile > 0.04  # units that the emotion does not move do not wander
    face = (neutral + (profile - neutral) * strength) * envelope
    face = face + np.where(is_shown, (person + wander) * envelope * np.minimum(profile / 0.15, 1), 0)
    added = np.maximum(profile - neutral, 0) * strength * envelope
    result = face
    columns = list(SPOKEN)
    result[:, columns] = spoken[:, columns] + added[:, columns]
    result[:, LIDS] = np.where(result[:, LIDS] > 0.2, result[:, LIDS], 0)
    return result.clip(0, 1)


def emotion_envelope(loudness: Floats) -> Floats:
    """Returns the envelope of the emotion, [T] in 0.45 to 1: it rises before speech and fades after it.

    Gaussian smoothing over half a second of speech activity, so that the face leads the voice a little.
    """
    speaks = (np.asarray(loudness) > 0.35).astype(np.float64)
    width = 10.0
    offsets = np.arange(-30, 31)
    kernel = np.exp(-0.5 * (offsets / width) ** 2)
    padded = np.pad(speaks, 30, mode="edge")
    smooth = np.asarray(np.convolve(padded, kernel / kernel.sum(), mode="valid"), dtype=np.float64)
    return 0.45 + 0.55 * np.clip(smooth * 1.4, 0, 1)


if __name__ == "__main__":
    arguments = tyro.cli(EmotionUnitsRecipe)
    save_units(arguments.out, measure(arguments.data))
