"""From the name of a kind and a folder to a corpus."""

import difflib
from pathlib import Path

from auteur.errors import UsageError
from auteur.lab.corpora.item import KINDS, Corpus, Tree
from auteur.lab.corpora.listing import list_tree


def open_corpus(
    kind: str,
    folder: Path,
    *,
    annotations: Path | None = None,
    measured: Path | None = None,
    other_emotion_reference: bool = False,
    seed: int = 0,
) -> Corpus:
    """Lists a corpus. Media files are looked for, not opened (but headers, where HDTF states a resolution).

    Args:
        kind: One of `KINDS`.
        folder: The root of the published tree.
        annotations: The corpus's own annotation (HDTF: the folder of its lists; CREMA-D: summaryTable.csv;
            folder: a CSV with columns named like the fields of `Recording`). None: looked for in `folder`.
        measured: Folder with one folder per tool of `TOOLS`; in it a recording's file has the name of its
            key, or the path of its video below `folder`, with the tool's own suffix.
        other_emotion_reference: Whether each recording names a reference of the same person with another
            emotion.
        seed: Chooses among the possible references.

    Raises:
        UsageError: There is no such kind; the nearest is suggested.
        InputError: The folder or the annotation is missing or is not laid out as the kind is; the message
            names what was expected and found, and the other kind that it resembles.
    """
    if kind not in KINDS:
        near = difflib.get_close_matches(kind.lower().replace("-", ""), KINDS, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise UsageError(f"unknown kind of corpus {kind!r}; {hint}choose one of {', '.join(KINDS)}")
    tree = Tree(
        folder=Path(folder),
        annotations=None if annotations is None else Path(annotations),
        measured=None if measured is None else Path(measured),
    )
    return list_tree(kind, tree, other_emotion_reference=other_emotion_reference, seed=seed)
