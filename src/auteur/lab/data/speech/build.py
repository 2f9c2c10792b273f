"""Makes the phone corpora: `python -m auteur.lab.data.speech.build --speech DIR --out DIR`.

The folder of real speech is optional and holds `manifest.csv` (columns file, corpus, speaker, text,
language; files relative to the folder's parent), the recordings being RAVDESS and EMO-DB. So are the clips,
whose manifest has the columns file, wav, identity, speech and no text.
"""

import csv
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr  # pyright: ignore[reportMissingTypeStubs]
from numpy.typing import NDArray

from auteur.errors import InputError, MediaError
from auteur.lab.data.motion_tracks import part_of
from auteur.lab.data.speech.align import Aligner
from auteur.lab.data.speech.corpus import SAMPLE_RATE_HZ, Utterance, frame_labels, save_corpus
from auteur.lab.data.speech.espeak import Espeak, Voice
from auteur.lab.data.speech.flite import FLITE_VOICES, speak_with_flite
from auteur.lab.data.speech.recognise import Recogniser
from auteur.lab.data.speech.texts import LANGUAGES, sentence
from auteur.media import read_speech

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
HELD_OUT_SPEAKERS: frozenset[str] = frozenset(
    ("ravdess_17", "ravdess_18", "ravdess_19", "ravdess_20", "emodb_09", "emodb_10")
)
_ESPEAK_LANGUAGE_OF = {"en": "en-us", "de": "de"}
_SAY_INSTEAD = {"Eisschrank": "Eis Schrank"}
"""eSpeak NG reads the left-hand words wrongly."""


@dataclass(frozen=True, kw_only=True)
class BuildConfig:
    """What to make."""

    out: Path
    """Folder for `espeak.npz`, `flite.npz`, `ravdess.npz`, `emodb.npz` and `clips.npz`."""
    speech: Path | None = None
    """Folder with `manifest.csv` of real recordings."""
    clips: Path | None = None
    """`manifest.csv` of face videos with speech; without both only synthetic speech is made."""
    espeak_utterances: int = 3600
    flite_utterances: int = 1600
    seed: int = 0


def build(config: BuildConfig) -> None:
    """Writes one corpus file per source into `config.out`.

    Raises:
        UsageError: A synthesiser or the aligner is not installed.
        InputError: The folder of real speech has no manifest.
    """
    config.out.mkdir(parents=True, exist_ok=True)
    espeak = Espeak()
    save_corpus(config.out / "espeak.npz", "espeak", spoken_by_espeak(espeak, config))
    save_corpus(config.out / "flite.npz", "flite", spoken_by_flite(config))
    if config.speech is not None:
        for corpus in ("ravdess", "emodb"):
            rows = recorded(espeak, config.speech, corpus)
            save_corpus(config.out / f"{corpus}.npz", corpus, rows)
    if config.clips is not None:
        save_corpus(config.out / "clips.npz", "clips", heard_in_clips(config.clips))


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


def recorded(espeak: Espeak, folder: Path, corpus: str) -> Iterator[Utterance]:
    """Yields the recordings of one corpus whose words could be laid over the sound.

    Raises:
        InputError: The manifest is missing, or a recording has another sample rate.
    """
    manifest = folder / "manifest.csv"
    if not manifest.is_file():
        raise InputError(f"{str(manifest)!r} is missing; name the folder that holds the recordings' manifest")
    with manifest.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["corpus"] == corpus]
    aligner = Aligner()
    for row in rows:
        sound, rate_hz = soundfile.read(folder.parent / row["file"], dtype="int16")
        if rate_hz != SAMPLE_RATE_HZ:
            raise InputError(f"{row['file']!r} is at {rate_hz} Hz; recordings must be at {SAMPLE_RATE_HZ} Hz")
        samples = np.asarray(sound, np.int16)
        labels = _aligned(aligner, samples, pronunciation(espeak, row["text"], row["language"]))
        if labels is not None:
            held_out = row["speaker"] in HELD_OUT_SPEAKERS
            yield Utterance(samples=samples, labels=labels, speaker=row["speaker"], is_held_out=held_out)


def heard_in_clips(manifest: Path) -> Iterator[Utterance]:
    """Yields the speech of clips with phones recognised by PocketSphinx.

    People whom the motion generator is tested on are left out; those who choose its checkpoint are held out.
    """
    with manifest.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["speech"] in ("yes", "maybe")]
    recogniser = Recogniser()
    for row in rows:
        part = part_of(row["identity"])
        if part == "test":
            continue
        try:
            sound = read_speech(manifest.parent.parent / (row["wav"] or row["file"]))
        except MediaError:  # "maybe" has turned out to be no
            continue
        samples = np.asarray(np.clip(sound.samples, -1, 1) * 32_767, np.int16)
        labels = frame_labels(recogniser.recognise(samples), samples.size)
        yield Utterance(
            samples=samples, labels=labels, speaker=row["identity"], is_held_out=part == "validation"
        )


def pronunciation(espeak: Espeak, text: str, language: str) -> tuple[tuple[str, ...], ...]:
    """Returns the IPA symbols of each word of a text in one of the recorded languages ("en" or "de")."""
    for written, said in _SAY_INSTEAD.items():
        text = text.replace(written, said)
    return espeak.speak(text, Voice(language=_ESPEAK_LANGUAGE_OF[language])).words


def _aligned(
    aligner: Aligner, samples: NDArray[np.int16], words: tuple[tuple[str, ...], ...]
) -> NDArray[np.uint8] | None:
    try:
        return frame_labels(aligner.align(samples, words), samples.size)
    except InputError:  # a recording that does not fit its text is left out
        return None


if __name__ == "__main__":
    import tyro

    build(tyro.cli(BuildConfig))
