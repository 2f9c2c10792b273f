"""Utterances with a phone label every 10 ms, and the one file per source that keeps them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from auteur.errors import InputError
from auteur.files import atomic_path
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


def save_corpus(path: Path, name: str, utterances: Iterable[Utterance]) -> None:
    """Writes all utterances of one source into one uncompressed `.npz`; an older file is replaced."""
    rows = list(utterances)
    with atomic_path(path, overwrite=True) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            name=np.array(name),
            samples=np.concatenate([row.samples for row in rows]),
            sample_counts=np.array([row.samples.size for row in rows]),
            labels=np.concatenate([row.labels for row in rows]),
            label_counts=np.array([row.labels.size for row in rows]),
            speakers=np.array([row.speaker for row in rows]),
            is_held_out=np.array([row.is_held_out for row in rows]),
        )


def load_corpus(path: Path) -> PhoneCorpus:
    """Reads a file that `save_corpus` wrote.

    Raises:
        InputError: The file is missing or is not such a file.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            parts = {key: file[key] for key in file.files}
        samples = np.split(parts["samples"], np.cumsum(parts["sample_counts"])[:-1])
        labels = np.split(parts["labels"], np.cumsum(parts["label_counts"])[:-1])
        rows = zip(samples, labels, parts["speakers"], parts["is_held_out"], strict=True)
        utterances = tuple(
            Utterance(samples=a, labels=b, speaker=str(speaker), is_held_out=bool(held))
            for a, b, speaker, held in rows
        )
        return PhoneCorpus(name=str(parts["name"]), utterances=utterances)
    except (OSError, KeyError, ValueError, BadZipFile) as error:
        raise InputError(f"cannot read the phone corpus {str(path)!r}: {error}; build it again") from error
