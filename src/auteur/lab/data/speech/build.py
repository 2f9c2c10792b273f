"""Synthetic speech with known phones: `python -m auteur.lab.data.speech.build --out DIR`.

`DIR` receives the shards of eSpeak NG's and Flite's voices with the feature "phones". Recordings of people
get it from `auteur prepare -o SHARDS --features phones`.
"""

import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soxr  # pyright: ignore[reportMissingTypeStubs]

from auteur.lab.data.made_shards import MadeSample, write_shards
from auteur.lab.data.speech.corpus import SAMPLE_RATE_HZ, Utterance, frame_labels
from auteur.lab.data.speech.espeak import Espeak, Voice
from auteur.lab.data.speech.flite import FLITE_VOICES, speak_with_flite
from auteur.lab.data.speech.texts import LANGUAGES, sentence
from auteur.signals import Waveform

# "rob" is left out: eSpeak NG 1.51 crashes on it.
_VARIANT_NAMES = """
    adam Alex Alicia Andrea Andy anika antonio aunty belinda benjamin boris caleb david Denis Diogo ed
    edward f1 f2 f3 f4 f5 Gene grandma grandpa gustave Henrique Hugo iven iven2 Jacky john klatt klatt2
    klatt3 klatt4 klatt5 Lee linda m1 m2 m3 m4 m5 m6 m7 m8 Marco marcelo Mario max michel miguel Mike Mr
    norbert pablo paul pedro quincy robert sandro shelby steph steph2 Tweaky travis victor whisper
    whisperf zac
"""
VARIANTS: tuple[str, ...] = tuple(_VARIANT_NAMES.split())
HELD_OUT_VARIANTS: frozenset[str] = frozenset(VARIANTS[3::7])
_ESPEAK_LANGUAGE_OF = {"en": "en-us", "de": "de"}
_SAY_INSTEAD = {"Eisschrank": "Eis Schrank"}
"""eSpeak NG reads the left-hand words wrongly."""


@dataclass(frozen=True, kw_only=True)
class BuildConfig:
    """What to make."""

    out: Path
    """Folder for the folders of shards `espeak` and `flite`."""
    espeak_utterances: int = 3600
    flite_utterances: int = 1600
    seed: int = 0


def build(config: BuildConfig) -> None:
    """Writes shards of synthetic speech with the feature "phones", a folder per synthesiser.

    Raises:
        UsageError: A synthesiser is not installed.
    """
    config.out.mkdir(parents=True, exist_ok=True)
    settings = {"seed": config.seed}
    for name, utterances in (
        ("espeak", spoken_by_espeak(Espeak(), config)),
        ("flite", spoken_by_flite(config)),
    ):
        write_utterances(config.out / name, utterances, settings={**settings, "made by": name})


def write_utterances(folder: Path, utterances: Iterable[Utterance], *, settings: Mapping[str, Any]) -> Path:
    """Writes utterances as shards with the feature "phones", and returns the folder."""
    samples = (
        MadeSample(
            key=f"{one.speaker}-{number:05d}",
            person=f"speech:{one.speaker}",
            frames=-(-one.samples.size * 25 // SAMPLE_RATE_HZ),
            held_out=one.is_held_out,
            features={"phones": {"labels": one.labels}},
            sound=Waveform(
                samples=(one.samples / np.float32(32_768)).astype(np.float32), rate_hz=SAMPLE_RATE_HZ
            ),
        )
        for number, one in enumerate(utterances)
    )
    return write_shards(folder, samples, kind="speech", settings=settings)


def spoken_by_espeak(espeak: Espeak, config: BuildConfig) -> Iterator[Utterance]:
    """Yields invented sentences in every language, voice, tempo and pitch."""
    chance = random.Random(config.seed)  # noqa: S311
    for number in range(config.espeak_utterances):
        variant = VARIANTS[number % len(VARIANTS)]
        language = chance.choice(LANGUAGES)
        voice = Voice(
            language=language,
            variant=variant,
            words_per_minute=round(chance.triangular(90, 240, 150)),
            pitch=round(chance.triangular(5, 95, 50)),
            pitch_range=chance.randint(20, 90),
        )
        speech = espeak.speak(sentence(language, chance), voice)
        if speech.samples.size < speech.rate_hz // 2:
            continue
        samples = np.asarray(soxr.resample(speech.samples, speech.rate_hz, SAMPLE_RATE_HZ), np.int16)
        labels = frame_labels(speech.spans, samples.size)
        yield Utterance(
            samples=samples,
            labels=labels,
            speaker=f"espeak_{variant}",
            is_held_out=variant in HELD_OUT_VARIANTS,
        )


def spoken_by_flite(config: BuildConfig) -> Iterator[Utterance]:
    """Yields English sentences in Flite's human voices; all of them train."""
    chance = random.Random(config.seed + 1)  # noqa: S311
    for number in range(config.flite_utterances):
        voice = FLITE_VOICES[number % len(FLITE_VOICES)]
        samples, spans = speak_with_flite(sentence(chance.choice(("en-us", "en")), chance), voice)
        labels = frame_labels(spans, samples.size)
        yield Utterance(samples=samples, labels=labels, speaker=f"flite_{voice}", is_held_out=False)


def pronunciation(espeak: Espeak, text: str, language: str) -> tuple[tuple[str, ...], ...]:
    """Returns the IPA symbols of each word of a text in a language that eSpeak NG has, such as "en"."""
    for written, said in _SAY_INSTEAD.items():
        text = text.replace(written, said)
    return espeak.speak(text, Voice(language=_ESPEAK_LANGUAGE_OF.get(language, language))).words


if __name__ == "__main__":
    import tyro

    build(tyro.cli(BuildConfig))
