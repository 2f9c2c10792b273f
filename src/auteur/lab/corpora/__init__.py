"""The corpora that the papers use, and plain folders, all read as one list of recordings."""

from auteur.lab.corpora.item import KINDS, Corpus, Problem, Recording
from auteur.lab.corpora.opening import open_corpus

__all__ = ["KINDS", "Corpus", "Problem", "Recording", "open_corpus"]
