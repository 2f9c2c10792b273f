"""Performances of made-up talkers, and the recipes of paper A's first stage."""

from pathlib import Path

import numpy as np

from auteur.expression.acoustic_features import BANDS, CHANNELS
from auteur.expression.audio_lm.codec import UNITS, VOICE_EMOTIONS
from auteur.expression.audio_lm.compact import AudioLMConfig
from auteur.expression.audio_lm.emotion_classifier import EmotionClassifierConfig, EmotionEnsemble
from auteur.expression.regressor import RegressorConfig
from auteur.facs import EMOTIONS
from auteur.lab.data.emotion_units import EmotionUnits, save_units
from auteur.lab.data.emotional_speech import FOLDS, fold_of
from auteur.lab.data.made_shards import MadeSample, write_shards
from auteur.lab.data.performances import LabelledRecording, save_performances
from auteur.lab.data.shards import Corpora
from auteur.lab.data.splits import is_held_out_speaker
from auteur.lab.train.audio_lm import AudioLMRecipe
from auteur.lab.train.emotion_classifier import EmotionClassifierRecipe
from auteur.lab.train.model_recipe import Schedule, save_half
from auteur.lab.train.regressor import RegressorRecipe
from auteur.lab.train.smoke.tracks import MADE_UP
from auteur.lab.train.smoke.trial import Trial

_EAR = EmotionClassifierConfig(width=8, hidden=16)


def speakers() -> list[str]:
    """Returns two RAVDESS names of every fold who are not held out."""
    names = [f"ravdess_{number:02d}" for number in range(1, 25)]
    kept = [name for name in names if not is_held_out_speaker(name)]
    return [name for fold in range(FOLDS) for name in [n for n in kept if fold_of(n) == fold][:2]]


def _rows(emotion: str, seconds: float, random: np.random.Generator) -> np.ndarray:
    """Rows [N, CHANNELS] in which every emotion has a band, a pitch and a rhythm of its own."""
    count, place = round(50 * seconds), VOICE_EMOTIONS.index(emotion)
    time = np.arange(count) / 50
    rows = random.normal(0, 0.15, (count, CHANNELS))
    beat = 0.5 + 0.5 * np.sin(2 * np.pi * (1.0 + 0.4 * place) * time + random.uniform(0, 6))
    rows[:, 6 * place : 6 * place + 10] += 1.2 * beat[:, None]
    rows[:, BANDS] = 0.3 * (place - 4) / 4
    rows[:, BANDS + 1] = 0.9
    return rows.astype(np.float32)


def write_speech(folder: Path) -> Corpora:
    """Writes shards with a clip of every speaker in every emotion; returns the corpora."""
    random = np.random.default_rng(0)
    samples = [
        MadeSample(
            key=f"{speaker}_{emotion}",
            person=f"speech:{speaker}",
            frames=30,
            emotion=emotion,
            held_out=False,
            features={"voice": {"rows": _rows(emotion, 1.2, random).astype(np.float16)}},
        )
        for speaker in speakers()
        for emotion in VOICE_EMOTIONS
    ]
    return Corpora(shards=(write_shards(folder / "speech", samples, kind="speech", settings=MADE_UP),))


def write_performances(folder: Path) -> tuple[Path, Path]:
    """Writes performances and the statistics of their faces; returns both files."""
    random = np.random.default_rng(1)
    mean = random.uniform(0, 0.5, (len(EMOTIONS), len(UNITS)))
    mean[EMOTIONS.index("neutral")] = 0.02
    numbers = np.full(len(UNITS), 0.05)
    units = EmotionUnits(
        mean=mean, people=np.ones(len(EMOTIONS)), deviation=numbers, memory=numbers * 18, between=numbers
    )
    save_units(folder / "units.npz", units)
    performances = [
        LabelledRecording(
            name=f"{speaker}_{emotion}",
            speaker=speaker,
            emotion=emotion,
            strength=1.0,
            is_measured=False,
            is_held_out=False,
            rows=_rows(emotion, 3.2, random),
            units=np.abs(random.normal(0, 0.05, (80, len(UNITS)))).astype(np.float32),
            loudness=np.ones(80, np.float32),
        )
        for speaker in speakers()
        for emotion in VOICE_EMOTIONS
    ]
    save_performances(folder / "performances.npz", performances)
    return folder / "performances.npz", folder / "units.npz"


def listener(folder: Path) -> Trial:
    """Five small emotion classifiers."""
    folder.mkdir(parents=True, exist_ok=True)
    schedule = Schedule(
        steps=10, learning_rate=1e-2, weight_decay=0.05, average_decay=0.9, evaluate_every_steps=10,
        log_every_steps=1,
    )  # fmt: skip
    out = folder / "run"
    recipe = EmotionClassifierRecipe(
        data=write_speech(folder), noises=0, out=out, batch_size=16, config=_EAR, schedule=schedule
    )
    return Trial(recipe, log=out / "voter_0.jsonl")


def audio_lm(folder: Path) -> Trial:
    """The audio-language model with an untrained emotion ensemble."""
    folder.mkdir(parents=True, exist_ok=True)
    performances, units = write_performances(folder)
    save_half(EmotionEnsemble(_EAR), folder / "ear.safetensors")
    np.savez(
        folder / "heard.npz",
        allow_pickle=False,
        name=np.array([f"{s}_{e}" for s in speakers() for e in VOICE_EMOTIONS]),
        log_probabilities=np.log(
            np.tile(0.9 * np.eye(len(VOICE_EMOTIONS)) + 0.1 / len(VOICE_EMOTIONS), (len(speakers()), 1))
        ).astype(np.float32),
    )
    recipe = AudioLMRecipe(
        performances=performances,
        units=units,
        ear=folder,
        out=folder / "audio_lm.safetensors",
        batch_size=4,
        config=AudioLMConfig(width=32, layers=1, heads=2, sound=16, ear=_EAR),
        schedule=Schedule(
            steps=12, learning_rate=5e-3, weight_decay=0.02, average_decay=0.9, evaluate_every_steps=6,
            log_every_steps=1,
        ),
    )  # fmt: skip
    return Trial(recipe)


def regressor(folder: Path) -> Trial:
    """The regressor on the same performances."""
    folder.mkdir(parents=True, exist_ok=True)
    performances, units = write_performances(folder)
    recipe = RegressorRecipe(
        performances=performances,
        units=units,
        out=folder / "regressor.safetensors",
        batch_size=8,
        config=RegressorConfig(width=32, dilations=(1, 2)),
        schedule=Schedule(
            steps=20, learning_rate=5e-3, weight_decay=0.03, average_decay=0.9, evaluate_every_steps=10,
            log_every_steps=1,
        ),
    )  # fmt: skip
    return Trial(recipe)
