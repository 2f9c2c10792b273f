"""A forced-choice user study: a page of randomised pairs of videos, its key apart, and the tally of answers.

As AUHead's table 4 (arXiv 2602.09534): raters see two systems' videos of one clip side by side, blind, and
choose one of them or neither in every question.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from auteur.errors import FormatError, InputError, UsageError
from auteur.evaluate.evaluation import Table
from auteur.evaluate.pairing import videos_of
from auteur.evaluate.protocols import Protocol
from auteur.evaluate.statistics import Estimate, bootstrap
from auteur.files import atomic_path, make_folder, read_json, write_text
from auteur.templates import render

QUESTIONS: Mapping[str, str] = {
    "emotion": "In which one does the face fit the emotion of the voice better?",
    "video quality": "Which one looks better?",
    "lip sync": "In which one do the lips fit the words better?",
    "overall": "Which one do you prefer?",
}
"""AUHead's four questions, by name."""

PAGE, KEY = "index.html", "key.json"
MOST_PAIRS = 32
CHOICES = ("left", "right", "same")


@dataclass(frozen=True)
class Pair:
    """Two videos of one clip."""

    id: str
    clip: str
    left: str
    """System whose video is on the left."""
    right: str


def make_study(
    systems: Mapping[str, Path], out: Path, *, seed: int = 0, most: int = MOST_PAIRS, overwrite: bool = False
) -> tuple[Path, Path]:
    """Writes `out`/study, the page and its videos under names without a system, and `out`/key.json.

    Order of the pairs, their sides, and, of more clips than `most`, the ones that are shown follow from the
    seed.

    Args:
        systems: System → folder of its videos; all pairs of systems are compared.
        out: Created if missing.
        seed: Of everything that is drawn.
        most: Number of pairs that a rater sees, at least 1.
        overwrite: Whether an earlier study may be replaced.

    Returns:
        The page and the key. Give raters the folder of the page and keep the key.

    Raises:
        UsageError: There are fewer than two systems, or `most` is below 1.
        InputError: No clip has a video of two systems, or a file is in the way.
    """
    if len(systems) < 2 or most < 1:
        raise UsageError(
            f"{len(systems)} systems and {most} pairs; give two or more folders of videos and 1 pair or more"
        )
    random = np.random.default_rng(seed)
    videos = {name: videos_of(path) for name, path in systems.items()}
    possible = [
        (clip, first, second)
        for first, second in combinations(videos, 2)
        for clip in sorted(videos[first].keys() & videos[second].keys())
    ]
    if not possible:
        raise InputError(f"no two of {', '.join(systems)} have videos of the same name; name them alike")
    chosen = [possible[i] for i in random.permutation(len(possible))[:most]]
    place = out / "study"
    make_folder(out)
    make_folder(place)
    study = hashlib.sha256(repr((seed, chosen, sorted(systems.items()))).encode()).hexdigest()[:12]
    pairs: list[Pair] = []
    shown: list[dict[str, str]] = []
    for number, (clip, first, second) in enumerate(chosen):
        left, right = (first, second) if random.integers(2) else (second, first)
        names = [
            f"{study}-{number:03d}-{side}{videos[one][clip].suffix}"
            for side, one in zip("ab", (left, right), strict=True)
        ]
        for name, system in zip(names, (left, right), strict=True):
            with atomic_path(place / name, overwrite=overwrite) as temporary:
                shutil.copyfile(videos[system][clip], temporary)
        pairs.append(Pair(f"p{number:03d}", clip, left, right))
        shown.append({"id": pairs[-1].id, "left": names[0], "right": names[1]})
    questions = [{"name": name, "text": text} for name, text in QUESTIONS.items()]
    page = render("study.html", title="Which video?", study=study, pairs=shown, questions=questions)
    write_text(place / PAGE, page, overwrite=overwrite)
    key = {"study": study, "seed": seed, "systems": list(systems), "pairs": [vars(one) for one in pairs]}
    write_text(out / KEY, json.dumps(key, indent=1) + "\n", overwrite=overwrite)
    return place / PAGE, out / KEY


def tally(protocol: Protocol, answers: Sequence[Path], key: Path) -> Table:
    """Returns how often each system was chosen, with 95 % bootstrap intervals over raters.

    Args:
        protocol: Holds the published numbers that are set beside.
        answers: Files that raters saved, or folders of them.
        key: The key of the study.

    Raises:
        InputError: There are no answers.
        FormatError: A file is of another study, or no file of answers.
    """
    study, pairs = _read_key(key)
    files = [path for one in answers for path in (sorted(one.glob("*.json")) if one.is_dir() else [one])]
    files = [path for path in files if path.resolve() != key.resolve()]
    if not files:
        raise InputError("there are no answers; name the files that raters saved, or a folder of them")
    chosen: dict[tuple[str, str, str], list[tuple[str, str]]] = {}
    for path in files:
        rater, given = _read_answers(path, study, pairs)
        for (identity, question), choice in given.items():
            pair = pairs[identity]
            first, second = sorted((pair.left, pair.right))
            winner = {"left": pair.left, "right": pair.right}.get(choice, "same")
            chosen.setdefault((question, first, second), []).append((rater, winner))
    rows = [_row(key_, votes) for key_, votes in sorted(chosen.items(), key=_order)]
    for one in protocol.published:
        shares = [f"{float(one[name]):.3f}" for name in protocol.metrics]
        rows.append((str(one["row"]), f"published, {one['set']}", *shares, "–", "–"))
    return Table(
        protocol.title,
        ("question", "first against second", "first", "second", "same", "answers", "raters"),
        tuple(rows),
        f"Shares of answers with 95 % bootstrap intervals over raters. Source of published numbers: "
        f"{protocol.source}; other systems, clips and raters.",
    )


def _order(item: tuple[tuple[str, str, str], Any]) -> tuple[int, str, str]:
    question, first, second = item[0]
    return list(QUESTIONS).index(question), first, second


def _row(of: tuple[str, str, str], votes: list[tuple[str, str]]) -> tuple[object, ...]:
    question, first, second = of
    raters = [rater for rater, _ in votes]
    cells = [
        _share(bootstrap(np.array([winner == one for _, winner in votes], dtype=float), raters))
        for one in (first, second, "same")
    ]
    return (question, f"{first} against {second}", *cells, len(votes), len(set(raters)))


def _share(estimate: Estimate) -> str:
    if not np.isfinite(estimate.low):
        return f"{estimate.mean:.3f}"
    return f"{estimate.mean:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"


def _read_key(path: Path) -> tuple[str, dict[str, Pair]]:
    found = read_json(path)
    try:
        return str(found["study"]), {str(one["id"]): Pair(**one) for one in found["pairs"]}
    except (KeyError, TypeError) as error:
        raise FormatError(f"{str(path)!r} is no key of a study: {error}; name its {KEY}") from error


def _read_answers(
    path: Path, study: str, pairs: Mapping[str, Pair]
) -> tuple[str, dict[tuple[str, str], str]]:
    found = read_json(path)
    if not isinstance(found, dict) or not isinstance(found.get("answers"), dict):
        raise FormatError(f"{str(path)!r} holds no answers; name files that the page saved")
    if found.get("study") != study:
        raise FormatError(f"{str(path)!r} is of the study {found.get('study')!r}; the key is of {study!r}")
    given: dict[tuple[str, str], str] = {}
    for name, choice in found["answers"].items():
        identity, _, question = str(name).partition(".")
        if identity not in pairs or question not in QUESTIONS or choice not in CHOICES:
            raise FormatError(
                f"{str(path)!r} has the answer {name!r}: {choice!r}, which the page cannot give"
            )
        given[identity, question] = choice
    return f"{found.get('rater', '')}:{path.name}", given
