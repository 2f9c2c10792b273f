"""Phone corpora and clips of the made-up talker, and the recipes of the speech encoder."""

from pathlib import Path

import numpy as np

from auteur.lab.data.speech.corpus import Utterance, save_corpus
from auteur.lab.train.model_recipe import Schedule, save_half
from auteur.lab.train.smoke.talking import talk
from auteur.lab.train.smoke.tracks import write_tracks
from auteur.lab.train.smoke.trial import Trial
from auteur.lab.train.speech_encoder import SpeechEncoderRecipe
from auteur.lab.train.speech_lips import SpeechLipsRecipe
from auteur.speech.network import CompactSpeechConfig, CompactSpeechEncoder
from auteur.weights import metadata_of


def write_corpora(folder: Path) -> Path:
    """Writes a phone corpus of five training talkers and one held-out one; returns its folder."""
    random, corpora = np.random.default_rng(0), folder / "corpora"
    corpora.mkdir(parents=True)
    said = [(talk(random, 3.2, pitch_hz=90 + 25 * number), number == 5) for number in range(6)]
    utterances = [
        Utterance(
            samples=(one.samples * 32_767).astype(np.int16),
            labels=one.labels,
            speaker=f"talker{number}",
            is_held_out=is_held_out,
        )
        for number, (one, is_held_out) in enumerate(said)
    ]
    save_corpus(corpora / "espeak.npz", "espeak", utterances)
    return corpora


def speech_encoder(folder: Path) -> Trial:
    """The encoder on one corpus of made-up talkers."""
    schedule = Schedule(
        steps=16, learning_rate=2e-3, weight_decay=1e-2, evaluate_every_steps=8, log_every_steps=1
    )
    out = folder / "speech_encoder.safetensors"
    return Trial(SpeechEncoderRecipe(data=write_corpora(folder), out=out, pairs=2, schedule=schedule))


def speech_lips(folder: Path) -> Trial:
    """The lip predictor behind an untrained encoder."""
    start, config = folder / "phones.safetensors", CompactSpeechConfig()
    save_half(CompactSpeechEncoder(config), start, metadata_of(CompactSpeechEncoder.kind, config))
    schedule = Schedule(
        steps=16, learning_rate=2e-3, weight_decay=0.05, average_decay=0.9, evaluate_every_steps=8,
        log_every_steps=1,
    )  # fmt: skip
    recipe = SpeechLipsRecipe(
        data=write_corpora(folder),
        corpora=write_tracks(folder),
        start=start,
        out=folder / "speech_lips.safetensors",
        pairs=1,
        crops=3,
        schedule=schedule,
    )
    return Trial(recipe)
