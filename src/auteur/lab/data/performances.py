r"""Training data of the models of `auteur.expression`: pairs of sound and Action Units.

    python -m auteur.lab.data.performances --speech SPEECH_SHARDS --units emotion_units.npz --shards SHARDS \
        --out performances.npz

Two kinds. *Measured*: samples with speech of prepared corpora, whose Action Units the tracker measured
(`measured`). *Built*, which the command writes: recordings without pictures, whose targets are put together
from measured statistics of their labelled emotion (`auteur.lab.data.emotion_units`) and from the mouth that
the flow of the face draws of their speech.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from numpy.typing import NDArray

from auteur.errors import InputError, UsageError
from auteur.expression.acoustic_features import CHANNELS, acoustic_features
from auteur.expression.audio_lm.codec import UNITS, VOICE_EMOTIONS
from auteur.facs import au_track, convert
from auteur.files import atomic_path
from auteur.lab.data.emotion_units import (
    RATE,
    SPOKEN,
    EmotionUnits,
    load_units,
    targets,
    units_of,
)
from auteur.lab.data.emotional_speech import NOISE_SPEAKER, EmotionalClip, read_clips
from auteur.lab.data.motion_tracks import lag_frames, no_training_person, read_tracks, training_tracks
from auteur.lab.data.shards import Corpora
from auteur.lab.data.splits import Part
from auteur.motion.cues import SpeechCues
from auteur.motion.performance import Performance
from auteur.motion.speech_motion import MotionOptions, SpeechMotion
from auteur.signals import Waveform
from auteur.speech.features import CompactSpeechFeatures

Floats = NDArray[np.floating]

UNGRADED = 0.8
"""How much of MEAD's level 3 a recording without an intensity stands for; our judgement."""


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledRecording:
    """One recording and the Action Units of its face, from the recording's first instant on."""

    name: str
    speaker: str
    emotion: str
    """One of `VOICE_EMOTIONS`; "" without a label."""
    strength: float
    is_measured: bool
    is_held_out: bool
    rows: Floats
    """[N, CHANNELS] of `auteur.expression.acoustic_features`."""
    units: Floats
    """[T, 24] at 25 per second: measured, or those of the speech alone."""
    loudness: Floats
    """[T]; 0 for measured ones, whose targets do not need it."""
    part: Part = "train"
    """Of the speaker, for samples of prepared corpora."""

    @property
    def is_speech(self) -> bool:
        """False for sounds made in code."""
        return not self.speaker.startswith(NOISE_SPEAKER)

    def target(
        self, statistics: EmotionUnits, random: np.random.Generator, *, emotion: str | None = None
    ) -> Floats:
        """Returns intensities [T, 24]: measured, or built anew at random, for another emotion if given."""
        if self.is_measured:
            return self.units
        if not self.is_speech:
            return np.zeros_like(self.units)
        return targets(
            statistics,
            emotion or self.emotion,
            self.units,
            self.loudness,
            strength=self.strength,
            random=random,
        )


@dataclass(frozen=True)
class PerformancesRecipe:
    """Paths of the inputs and of the result."""

    speech: tuple[Path, ...]
    """Prepared recordings without pictures, with the feature "voice"."""
    units: Path
    """File of `python -m auteur.lab.data.emotion_units`."""
    data: Annotated[Corpora, tyro.conf.arg(name="")]
    out: Path


class SpokenUnits:
    """The mouth that the flow of the face draws of speech, read as Action Units.

    The reading is a ridge regression from displacement, in the flow's basis, to measured units, on people who
    are not held out.
    """

    def __init__(self, corpora: Corpora) -> None:
        self._speech, self._mover = CompactSpeechFeatures.shipped(), SpeechMotion.shipped()
        self._lips = CompactSpeechFeatures.shipped("lip_encoder")
        basis = self._mover.face.basis.numpy()
        flat = basis.reshape(len(basis), -1).astype(np.float64)
        self._inverse = np.linalg.pinv(flat)
        inputs, outputs = [], []
        for track in training_tracks(read_tracks(corpora, speech=None), corpora):
            if track.part != "train":
                continue
            moved = track.displacement[::3].astype(np.float64)
            inputs.append(moved.reshape(len(moved), -1) @ self._inverse)
            hub = au_track(track.units[::3].astype(np.float32), convention="facs", rate=RATE)
            outputs.append(convert(hub, "feafa24").values)
        x, y = np.concatenate(inputs), np.concatenate(outputs)
        self._weights = np.linalg.solve(x.T @ x + 1e-3 * len(x) * np.eye(x.shape[1]), x.T @ y)

    def of(self, waveform: Waveform, *, seed: int = 0) -> tuple[Floats, Floats]:
        """Returns units [T, 24] (only those that speech moves) and loudness [T] of a recording."""
        analysis = self._speech.analyse(waveform, RATE)
        features = self._lips.analyse(waveform, RATE).with_bands
        motion = self._mover.generate(
            features,
            Performance(frames=len(features)),
            cues=SpeechCues.of_analysis(analysis),
            options=MotionOptions(seed=seed, blinks=False, gaze=False, head=0.0),
        )
        moved = self._mover.displacement_mm(motion)
        read = (moved.reshape(len(moved), -1) @ self._inverse @ self._weights).clip(0, 1)
        units = np.zeros((len(read), len(UNITS)))
        units[:, list(SPOKEN)] = read[:, list(SPOKEN)]
        return units, analysis.loudness.numpy()


def built(recipe: PerformancesRecipe) -> list[LabelledRecording]:
    """Returns the recordings without pictures, of held-out people too, which benchmarks need."""
    mouth = SpokenUnits(recipe.data)
    speech = Corpora(shards=recipe.speech)
    found: list[LabelledRecording] = []
    clips = {clip.name: clip for clip in read_clips(speech, part=None)}
    for reader in speech.readers((), part=None, media=("sound",)):
        for number, sample in enumerate(reader):
            sound = sample.speech()
            if sound is not None and sample.key in clips:
                found.append(_built(clips.pop(sample.key), *mouth.of(sound, seed=number)))
    for clip in clips.values():  # what is no speech
        frames = len(clip.rows) // 2
        found.append(_built(clip, np.zeros((frames, len(UNITS))), np.zeros(frames)))
    return found


def _built(clip: EmotionalClip, units: Floats, loudness: Floats) -> LabelledRecording:
    return LabelledRecording(
        name=clip.name,
        speaker=clip.speaker,
        emotion=clip.emotion,
        strength=UNGRADED if clip.intensity is None else clip.intensity,
        is_measured=False,
        is_held_out=clip.is_held_out,
        rows=clip.rows,
        units=units,
        loudness=loudness,
    )


def measured(corpora: Corpora) -> list[LabelledRecording]:
    """Returns the samples with speech of people who train or choose checkpoints.

    Raises:
        InputError: A shard is damaged.
    """
    found: list[LabelledRecording] = []
    for reader in corpora.readers(()):
        for sample in reader:
            sound, record = sample.speech(), sample.record
            if sound is None:
                continue
            units = units_of(sample)
            found.append(
                LabelledRecording(
                    name=sample.key,
                    speaker=record["person"],
                    emotion=record["emotion"] if record["emotion"] in VOICE_EMOTIONS else "",
                    strength=1.0 if record["intensity"] is None else record["intensity"],
                    is_measured=True,
                    is_held_out=False,
                    rows=acoustic_features(_shifted(sound, lag_frames(record))).rows,
                    units=units,
                    loudness=np.zeros(len(units)),
                    part=sample.part,
                )
            )
    return found


def all_performances(built_ones: Path | None, corpora: Corpora) -> list[LabelledRecording]:
    """Returns those of a file that the command wrote, and those of prepared corpora.

    Raises:
        UsageError: Neither is given.
        InputError: The file or a shard cannot be read, or no person of it trains.
    """
    if built_ones is None and not corpora.shards:
        raise UsageError("give --shards of auteur prepare, --performances, or both")
    corpora.refuse_mix("performances are drawn whatever their corpus")
    found = [] if built_ones is None else load_performances(built_ones)
    if corpora.shards:
        found += measured(corpora)
    if not any(one.part == "train" and not one.is_held_out for one in found):
        raise InputError(no_training_person(corpora, "sample with speech"))
    return found


def _shifted(sound: Waveform, lag: int) -> Waveform:
    """The sound later by `lag` frames, of the same length."""
    step = sound.rate_hz // int(RATE)
    count = sound.samples.size
    padded = np.pad(sound.samples, (max(lag, 0) * step, max(-lag, 0) * step))
    start = max(-lag, 0) * step
    return Waveform(samples=padded[start : start + count], rate_hz=sound.rate_hz)


def save_performances(path: Path, performances: list[LabelledRecording]) -> None:
    """Writes performances, whole or not at all."""
    columns = ("name", "speaker", "emotion", "strength", "is_measured", "is_held_out")
    with atomic_path(path, overwrite=True) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            allow_pickle=False,
            rows=np.concatenate([each.rows for each in performances]).astype(np.float16),
            row_counts=np.array([len(each.rows) for each in performances]),
            units=np.concatenate([each.units for each in performances]).astype(np.float16),
            unit_counts=np.array([len(each.units) for each in performances]),
            loudness=np.concatenate([each.loudness for each in performances]).astype(np.float16),
            **{key: np.array([getattr(each, key) for each in performances]) for key in columns},
        )


def load_performances(path: Path) -> list[LabelledRecording]:
    """Reads what `save_performances` wrote.

    Raises:
        InputError: The file is missing or is no such file.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            parts = {key: file[key] for key in file.files}
        rows = np.split(parts["rows"].astype(np.float32), np.cumsum(parts["row_counts"])[:-1])
        ends = np.cumsum(parts["unit_counts"])[:-1]
        units = np.split(parts["units"].astype(np.float32), ends)
        loudness = np.split(parts["loudness"].astype(np.float32), ends)
        if rows[0].shape[1] != CHANNELS:
            raise ValueError(f"rows have {rows[0].shape[1]} channels instead of {CHANNELS}")
        return [
            LabelledRecording(
                name=str(parts["name"][i]),
                speaker=str(parts["speaker"][i]),
                emotion=str(parts["emotion"][i]),
                strength=float(parts["strength"][i]),
                is_measured=bool(parts["is_measured"][i]),
                is_held_out=bool(parts["is_held_out"][i]),
                rows=rows[i],
                units=units[i],
                loudness=loudness[i],
            )
            for i in range(len(rows))
        ]
    except (OSError, KeyError, ValueError) as error:
        raise InputError(f"cannot read {str(path)!r}: {error}; build it again") from error


if __name__ == "__main__":
    arguments = tyro.cli(PerformancesRecipe)
    load_units(arguments.units)
    save_performances(arguments.out, built(arguments))
