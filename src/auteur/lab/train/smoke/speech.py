"""Phone corpora and clips of the made-up talker, and the recipes of the speech encoder."""

from pathlib import Path

import numpy as np

from auteur.lab.data.shards import Corpora
from auteur.lab.data.speech.build import write_utterances
from auteur.lab.data.speech.corpus import Utterance
from auteur.lab.data.splits import part_of
from auteur.lab.train.model_recipe import Schedule, save_half
from auteur.lab.train.smoke.talking import talk
from auteur.lab.train.smoke.tracks import MADE_UP, write_tracks
from auteur.lab.train.smoke.trial import Trial, people
from auteur.lab.train.speech_encoder import SpeechEncoderRecipe
from auteur.lab.train.speech_lips import SpeechLipsRecipe
from auteur.speech.network import CompactSpeechConfig, CompactSpeechEncoder
from auteur.weights import metadata_of


def write_phones(folder: Path) -> Corpora:
    """Writes shards of made-up talkers with phones: some who train, one who chooses checkpoints."""
    random = np.random.default_rng(0)
    names = [
        *people(lambda name: part_of(f"speech:{name}", held_out=False) == "train", 5),
        *people(lambda name: part_of(f"speech:{name}", held_out=False) == "validation", 1),
    ]
    said = [talk(random, 3.2, pitch_hz=90 + 25 * number) for number in range(len(names))]
    utterances = [
        Utterance(
            samples=(one.samples * 32_767).astype(np.int16),
            labels=one.labels,
            speaker=name,
            is_held_out=False,
        )
        for name, one in zip(names, said, strict=True)
    ]
    return Corpora(shards=(write_utterances(folder / "talkers", utterances, settings=MADE_UP),))


def speech_encoder(folder: Path) -> Trial:
    """The encoder on one corpus of made-up talkers."""
    schedule = Schedule(
        steps=16, learning_rate=2e-3, weight_decay=1e-2, evaluate_every_steps=8, log_every_steps=1
    )
    out = folder / "speech_encoder.safetensors"
    return Trial(SpeechEncoderRecipe(data=write_phones(folder), out=out, pairs=2, schedule=schedule))


def speech_lips(folder: Path) -> Trial:
    """The lip predictor behind an untrained encoder."""
    start, config = folder / "phones.safetensors", CompactSpeechConfig()
    save_half(CompactSpeechEncoder(config), start, metadata_of(CompactSpeechEncoder.kind, config))
    schedule = Schedule(
        steps=16, learning_rate=2e-3, weight_decay=0.05, average_decay=0.9, evaluate_every_steps=8,
        log_every_steps=1,
    )  # fmt: skip
    recipe = SpeechLipsRecipe(
        phones=write_phones(folder),
        corpora=write_tracks(folder),
        start=start,
        out=folder / "speech_lips.safetensors",
        pairs=1,
        crops=3,
        schedule=schedule,
    )
    return Trial(recipe)
