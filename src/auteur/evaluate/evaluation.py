"""Scores of a set of clips and their summary: means with intervals, set distances, comparisons."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from auteur import __version__, weights
from auteur.errors import InputError
from auteur.evaluate.control import UNITS
from auteur.evaluate.frechet import frechet_distance
from auteur.evaluate.metrics import METRICS, SET_METRICS
from auteur.evaluate.pairing import Clip
from auteur.evaluate.protocols import Protocol
from auteur.evaluate.scoring import BASELINES, REAL, ClipScorer, ScoredClip
from auteur.evaluate.statistics import (
    Comparison,
    Estimate,
    bootstrap,
    bootstrap_of,
    compare,
    duration_slope,
)

Floats = NDArray[np.floating]

JUDGE_MODELS = ("detector", "landmarker", "speech_encoder")
"""Shipped weights that measure; a figure belongs to their versions."""

_SET_RESAMPLES = 100


@dataclass(frozen=True)
class Table:
    """Any further result of a protocol, as rows under column names."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[object, ...], ...]
    about: str = ""


@dataclass(frozen=True)
class Evaluation:
    """All contents of a report."""

    protocol: Protocol
    classifier: str
    clips: tuple[ScoredClip, ...]
    notes: tuple[str, ...] = ()
    failures: tuple[str, ...] = ()
    """Clips that could not be scored, with the reason."""
    tables: tuple[Table, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    """Further facts for the reader: the system, the weights that were given."""

    @property
    def systems(self) -> tuple[str, ...]:
        """Rows, the real video first, then the baselines, then the systems."""
        present = list(self.clips[0].scores) if self.clips else []
        return tuple(dict.fromkeys([*(name for name in BASELINES if name in present), *present]))

    @property
    def compared(self) -> tuple[str, ...]:
        """The systems that are neither real nor baselines."""
        return tuple(name for name in self.systems if name not in BASELINES)

    @property
    def people(self) -> tuple[str, ...]:
        """Person of each clip."""
        return tuple(scored.clip.person for scored in self.clips)

    @property
    def versions(self) -> dict[str, str]:
        """Version of this program and of every shipped model that measures."""
        return {"auteur": __version__, **{name: weights.version(name) for name in JUDGE_MODELS}}

    def values(self, system: str, metric: str) -> Floats:
        """Returns one figure of one system over the clips, NaN where it was not measured."""
        return np.array([scored.scores[system].values.get(metric, np.nan) for scored in self.clips])

    @cached_property
    def summary(self) -> dict[str, dict[str, Estimate]]:
        """System → metric → mean with interval, those that were measured at all."""
        result: dict[str, dict[str, Estimate]] = {}
        for system in self.systems:
            rows = {m.name: bootstrap(self.values(system, m.name), self.people) for m in METRICS}
            rows |= {m.name: self._set_distance(system, m.name) for m in SET_METRICS}
            result[system] = {name: estimate for name, estimate in rows.items() if estimate.count}
        return result

    def unit_table(self, system: str) -> dict[int, tuple[float, float]]:
        """Returns each unit's mean error and mean correlation over clips; NaN where no request moves."""
        scores = [scored.scores[system] for scored in self.clips]
        errors, correlations = (
            _column_means(np.stack([getattr(score, name) for score in scores]))
            for name in ("unit_errors", "unit_correlations")
        )
        return {unit: (float(errors[i]), float(correlations[i])) for i, unit in enumerate(UNITS)}

    def comparison(self, first: str, second: str) -> dict[str, Comparison]:
        """Returns the paired comparison of two systems in every metric that both have."""
        return {
            m.name: compare(self.values(first, m.name), self.values(second, m.name), self.people)
            for m in METRICS
            if m.name in self.summary[first] and m.name in self.summary[second]
        }

    def duration_slopes(self, system: str) -> dict[str, Estimate]:
        """Returns the slope of every figure of a system per second of clip length, where lengths differ."""
        seconds = np.array([scored.seconds for scored in self.clips])
        found = {
            m.name: duration_slope(self.values(system, m.name), seconds, self.people)
            for m in METRICS
            if m.name in self.summary[system]
        }
        return {name: estimate for name, estimate in found.items() if np.isfinite(estimate.mean)}

    def _set_distance(self, system: str, name: str) -> Estimate:
        nothing = np.zeros((0, 1))
        by_person: dict[str, list[tuple[Floats, Floats]]] = {}
        for scored in self.clips:
            made, real = (scored.scores[row].features.get(name, nothing) for row in (system, REAL))
            if len(made) and len(real):
                by_person.setdefault(scored.clip.person, []).append((made, real))
        people = list(by_person.values())

        def distance(which: Sequence[int] | NDArray[np.intp]) -> float:
            pairs = [pair for i in which for pair in people[i]]
            made, real = (np.concatenate([pair[side] for pair in pairs]) for side in (0, 1))
            return max(0.0, frechet_distance(made, real)) if min(len(made), len(real)) > 1 else np.nan

        if not people:
            return Estimate(np.nan, np.nan, np.nan, 0, 0)
        low, high = (np.nan, np.nan)
        if system != REAL:
            low, high = bootstrap_of(distance, len(people), resamples=_SET_RESAMPLES)
        return Estimate(distance(range(len(people))), low, high, sum(map(len, people)), len(people))


def evaluate_clips(
    clips: Sequence[Clip],
    scorer: ClipScorer,
    *,
    notes: Sequence[str] = (),
    settings: Mapping[str, str] | None = None,
    on_frame: Callable[[], None] | None = None,
) -> Evaluation:
    """Returns the scores of clips; one that cannot be scored is named in `failures`.

    Raises:
        InputError: No clip could be scored; the message is the first one's.
    """
    done: list[ScoredClip] = []
    failures: list[str] = []
    for clip in clips:
        try:
            done.append(scorer.score(clip, on_frame))
        except InputError as error:
            failures.append(f"{clip.name}: {error}")
    if not done:
        raise InputError(f"no clip could be scored; {failures[0] if failures else 'there are none'}")
    every = [*notes, *(note for scored in done for note in scored.notes)]
    return Evaluation(
        scorer.protocol, scorer.classifier_name, tuple(done), tuple(every), tuple(failures),
        settings=dict(settings or {}),
    )  # fmt: skip


def _column_means(values: Floats) -> Floats:
    seen = np.isfinite(values)
    total = np.where(seen, values, 0).sum(axis=0)
    return np.where(seen.any(axis=0), total / np.maximum(seen.sum(axis=0), 1), np.nan)
