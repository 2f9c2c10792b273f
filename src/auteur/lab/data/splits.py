"""Who trains, who chooses checkpoints and who tests, by the person alone, fixed before any training.

A corpus with a published split keeps it; the people of all others are split by a hash of their names.
"""

import hashlib
import re
from typing import Literal

Part = Literal["train", "validation", "test"]

_SALT = "face:"
_ONE_IN = 5
_CHOOSE_ONE_IN = 7
_TAKE_NUMBER = re.compile(r"(_\d+)?\.jpg$")

PUBLISHED_TEST_PEOPLE = {"mead": frozenset(("M003", "M030", "W009", "W015"))}
"""By corpus, the test people of its published split; MEAD's is that of EAMM (2022) and EAT (2023).
`auteur.lab.corpora` names people "corpus:person"."""


SPEECH_TEST_PEOPLE = {
    "ravdess": frozenset(("17", "18", "19", "20")),
    "emodb": frozenset(("09", "10")),
}
"""By corpus of speech, the people of ours who are in no training data of the shipped speech models; none of
these corpora has a published split."""


def is_held_out(identity: str) -> bool:
    """Returns whether a person belongs to the test set, always and everywhere the same.

    Args:
        identity: "corpus:person", or any name, of which one in five is held out.
    """
    if identity.partition(":")[0] in PUBLISHED_TEST_PEOPLE:
        return is_published_test_person(identity)
    digest = hashlib.sha256((_SALT + identity).encode()).digest()
    return int.from_bytes(digest, "big") % _ONE_IN == 0


def is_held_out_speaker(name: str) -> bool:
    """Returns whether a speaker of recordings without pictures, such as "ravdess_17", is held out."""
    corpus, _, number = name.partition("_")
    people = SPEECH_TEST_PEOPLE.get(corpus)
    return is_held_out(name) if people is None else number in people


def is_published_test_person(identity: str) -> bool:
    """Returns whether the published split of a corpus tests on "corpus:person"."""
    corpus, _, person = identity.partition(":")
    return person in PUBLISHED_TEST_PEOPLE.get(corpus, frozenset())


def part_of(identity: str, held_out: bool | None = None) -> Part:
    """Returns a person's part: of those who are not held out, one in seven chooses checkpoints.

    Args:
        identity: The person.
        held_out: Whether the corpus holds the person out; None: by `is_held_out`.
    """
    if is_held_out(identity) if held_out is None else held_out:
        return "test"
    digest = hashlib.sha256(f"motion-validation:{identity}".encode()).digest()
    return "validation" if int.from_bytes(digest, "big") % _CHOOSE_ONE_IN == 0 else "train"


def fold_of(identity: str, folds: int) -> int:
    """Returns the number of the group, of `folds`, that a person is in."""
    return int.from_bytes(hashlib.sha256(f"fold:{identity}".encode()).digest(), "big") % folds


def person_of_photo(file_name: str) -> str:
    """Returns the person in a photograph named `Person_Name_0001.jpg`."""
    return _TAKE_NUMBER.sub("", file_name)
