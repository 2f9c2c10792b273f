"""Utterances with a phone label every 10 ms, from prepared corpora."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from auteur.errors import InputError
from auteur.lab.data.shards import Corpora, PartName
from auteur.signals import Waveform
from auteur.speech.phones import phone_index

SAMPLE_RATE_HZ = 16_000
LABEL_RATE_HZ = 100
UNKNOWN = 255
"""Label of an unknown frame; training and scores skip it."""


@dataclass(frozen=True, kw_only=True)
class PhoneSpan:
    """A stretch of one symbol's universal phones, which share it evenly; no phones means unknown."""

    start_sec: float
    stop_sec: float
    phones: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Utterance:
    """One recording at 16 kHz and its phone classes."""

    samples: NDArray[np.int16]
    """int16 [S]."""
    labels: NDArray[np.uint8]
    """Class of the instant `frame / 100` s, uint8 [ceil(S / 160)], or `UNKNOWN`."""
    speaker: str
    is_held_out: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class PhoneCorpus:
    """All utterances of one source."""

    name: str
    utterances: tuple[Utterance, ...]

    def part(self, *, is_held_out: bool) -> tuple[Utterance, ...]:
        """Returns the utterances of the speakers that are (or are not) kept out of training."""
        return tuple(each for each in self.utterances if each.is_held_out == is_held_out)


def frame_labels(spans: Sequence[PhoneSpan], sample_count: int) -> NDArray[np.uint8]:
    """Returns the phone class at every 10 ms, uint8 [ceil(S / 160)]; instants under no span are `UNKNOWN`."""
    labels = np.full(-(-sample_count * LABEL_RATE_HZ // SAMPLE_RATE_HZ), UNKNOWN, np.uint8)
    for span in spans:
        edges = np.linspace(span.start_sec, span.stop_sec, len(span.phones) + 1)
        frames = np.ceil(edges * LABEL_RATE_HZ - 1e-6).astype(int)
        for phone, first, last in zip(span.phones, frames, frames[1:], strict=False):
            labels[first:last] = phone_index(phone)
    return labels


def as_int16(sound: Waveform) -> NDArray[np.int16]:
    """Returns samples as a FLAC of 16 bits holds them."""
    return np.asarray(np.clip(np.round(sound.samples * 32_768), -32_768, 32_767), np.int16)


def read_phones(corpora: Corpora, *, part: PartName | None = "train") -> list[PhoneCorpus]:
    """Returns the samples with phones of each prepared corpus.

    Args:
        corpora: Recordings without pictures, videos or both, with the feature "phones".
        part: "train": people who train, and those who choose checkpoints as held-out ones; "held_out": those
            who test.

    Raises:
        UsageError: No folder is given, or one holds photographs.
        InputError: The feature is missing, or no person in them trains.
    """
    found: list[PhoneCorpus] = []
    for reader in corpora.readers(("phones",), part=part, media=("sound", "video")):
        rows: list[Utterance] = []
        for sample in reader:
            sound = sample.speech()
            if sound is None or not sample.has("phones.labels"):
                continue
            samples = as_int16(sound)
            labels = sample.array("phones.labels")
            rows.append(
                Utterance(
                    samples=samples,
                    labels=labels,
                    speaker=sample.record["person"],
                    is_held_out=sample.part != "train",
                )
            )
        if rows:
            found.append(PhoneCorpus(name=reader.corpus, utterances=tuple(rows)))
    if not any(one.part(is_held_out=part == "held_out") for one in found):
        raise InputError("no sample with phones of a person who trains; prepare recordings of more people")
    return found


def shares_of(corpora: Corpora, phones: Sequence[PhoneCorpus]) -> list[tuple[PhoneCorpus, float]]:
    """Returns the corpora with people who train, each with its share of the crops: of `mix`, or by length.

    Raises:
        UsageError: `mix` is not understood.
    """
    kept = [one for one in phones if one.part(is_held_out=False)]
    shares = corpora.shares(one.name for one in kept)
    if shares is None:
        lengths = {
            one.name: float(sum(each.samples.size for each in one.part(is_held_out=False))) for one in kept
        }
        shares = {name: length / sum(lengths.values()) for name, length in lengths.items()}
    return [(one, shares[one.name]) for one in kept]
