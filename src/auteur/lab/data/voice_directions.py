r"""Directions in which the voices of speakers differ, for `auteur.expression.voice_kind`.

    python -m auteur.lab.data.voice_directions --shards SPEECH --out voice_directions.csv

Linear discriminant analysis of the voices of training speakers' stretches: deviations between speakers of one
corpus against deviations within a speaker, over all moods. The shards have the feature "voice"; held-out
speakers play no part.

Axes: N stretches, V numbers per voice.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from numpy.typing import NDArray

from auteur.errors import UsageError
from auteur.expression.voice_kind import voices_of
from auteur.files import atomic_path
from auteur.lab.data.emotional_speech import NOISE_SPEAKER, read_clips
from auteur.lab.data.shards import Corpora

Floats = NDArray[np.floating]

DIRECTIONS = 8
_SHRINKAGE = 0.05
"""Part of the variances that is added to them, since the speakers are few."""


@dataclass(frozen=True)
class VoiceDirectionsRecipe:
    """Paths of the recordings and of the table."""

    data: Annotated[Corpora, tyro.conf.arg(name="")]
    out: Path


def directions(voices: Floats, speakers: NDArray[np.str_]) -> Floats:
    """Returns the directions [V, 8] of the largest ratio of deviation between and within speakers.

    Along each the deviation within speakers is 1.

    Args:
        voices: [N, V].
        speakers: Of each, [N], as "corpus_number"; speakers of different corpora are not compared.

    Raises:
        UsageError: There are fewer than three speakers.
    """
    names = sorted(set(speakers.tolist()))
    if len(names) < 3:
        raise UsageError(f"there are {len(names)} speakers; at least 3 are needed")
    own = [voices[speakers == name] for name in names]
    within = sum((len(rows) * np.cov(rows.T) for rows in own), np.zeros(())) / len(voices)
    within = within + _SHRINKAGE * np.diag(np.diag(within))
    means = np.stack([rows.mean(axis=0) for rows in own])
    corpora = np.array([name.partition("_")[0] for name in names])
    for corpus in set(corpora.tolist()):
        means[corpora == corpus] -= means[corpora == corpus].mean(axis=0)
    root = np.linalg.cholesky(within)
    between = np.linalg.solve(root, np.linalg.solve(root, np.cov(means.T)).T)
    _, vectors = np.linalg.eigh(between)
    return np.linalg.solve(root.T, vectors[:, ::-1][:, :DIRECTIONS])


def build(recipe: VoiceDirectionsRecipe) -> None:
    """Writes the table."""
    voices: list[Floats] = []
    speakers: list[str] = []
    for clip in read_clips(recipe.data):
        if not clip.is_held_out and clip.corpus != NOISE_SPEAKER:
            found, _ = voices_of(clip.rows)
            voices.append(found)
            speakers += [clip.speaker] * len(found)
    found = directions(np.concatenate(voices), np.array(speakers))
    lines = [",".join(f"{value:.3f}" for value in row) for row in found]
    with atomic_path(recipe.out, overwrite=True) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    build(tyro.cli(VoiceDirectionsRecipe))
