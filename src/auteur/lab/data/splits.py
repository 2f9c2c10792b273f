"""The held-out rule of every model, by the person's name alone, fixed before any training.

A corpus with a published split keeps it; the people of all others are split by a hash of their names.
"""

import hashlib
import re

_SALT = "face:"
_ONE_IN = 5
_TAKE_NUMBER = re.compile(r"(_\d+)?\.jpg$")

PUBLISHED_TEST_PEOPLE = {"mead": frozenset(("M003", "M030", "W009", "W015"))}
"""By corpus, the test people of its published split; MEAD's is that of EAMM (2022) and EAT (2023).
`auteur.lab.corpora` names people "corpus:person"."""


def is_held_out(identity: str) -> bool:
    """Returns whether a person belongs to the test set, always and everywhere the same.

    Args:
        identity: "corpus:person", or any name, of which one in five is held out.
    """
    corpus, _, person = identity.partition(":")
    if corpus in PUBLISHED_TEST_PEOPLE:
        return person in PUBLISHED_TEST_PEOPLE[corpus]
    digest = hashlib.sha256((_SALT + identity).encode()).digest()
    return int.from_bytes(digest, "big") % _ONE_IN == 0


def person_of_photo(file_name: str) -> str:
    """Returns the person in a photograph named `Person_Name_0001.jpg`."""
    return _TAKE_NUMBER.sub("", file_name)
