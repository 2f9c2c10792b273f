"""Figures as plain values and as text: what JSON, CSV and the page all show."""

import json
import math
from typing import Any

from auteur.evaluate.evaluation import Evaluation
from auteur.evaluate.metrics import BY_NAME, METRICS, SET_METRICS, Metric
from auteur.evaluate.scoring import REAL, STILL
from auteur.evaluate.statistics import Comparison, Estimate
from auteur.formats.table import table_text

ARROWS = {"higher": "↑", "lower": "↓", "real": "≈ real"}


def text(value: float, decimals: int) -> str:
    """Returns a number with its decimals, or "–" where there is none."""
    return f"{value:.{decimals}f}" if math.isfinite(value) else "–"


def estimate_text(estimate: Estimate, metric: Metric) -> str:
    """Returns "mean [low, high]"."""
    mean = text(estimate.mean, metric.decimals)
    if not math.isfinite(estimate.low):
        return mean
    return f"{mean} [{text(estimate.low, metric.decimals)}, {text(estimate.high, metric.decimals)}]"


def shown_metrics(evaluation: Evaluation) -> list[Metric]:
    """Returns the metrics that anything was measured in."""
    measured = {name for system in evaluation.systems for name in evaluation.summary[system]}
    return [metric for metric in (*METRICS, *SET_METRICS) if metric.name in measured]


def is_better(metric: Metric, mine: float, theirs: float, real: float) -> bool:
    """Returns whether a value beats another one; for "real", whether it is nearer to the real video's."""
    if metric.better == "real":
        return abs(mine - real) < abs(theirs - real)
    return mine > theirs if metric.better == "higher" else mine < theirs


def no_better_than_still(evaluation: Evaluation, system: str) -> list[str]:
    """Returns the titles of the metrics in which a system does not beat its own portrait held still."""
    if STILL not in evaluation.systems:
        return []
    mine, still, real = (evaluation.summary[name] for name in (system, STILL, REAL))
    return [
        metric.title
        for metric in shown_metrics(evaluation)
        if metric.name != "face_rate"
        and metric.name in mine
        and metric.name in still
        and metric.name in real
        and not is_better(metric, mine[metric.name].mean, still[metric.name].mean, real[metric.name].mean)
    ]


def better_than_real(evaluation: Evaluation, system: str) -> list[str]:
    """Returns the titles of the metrics that a system wins against the real video itself: they mislead."""
    mine, real = evaluation.summary[system], evaluation.summary[REAL]
    return [
        BY_NAME[name].title
        for name in mine.keys() & real.keys()
        if BY_NAME[name].better != "real" and is_better(BY_NAME[name], mine[name].mean, real[name].mean, 0.0)
    ]


def as_json(evaluation: Evaluation) -> str:
    """Returns everything but pictures as one JSON object; null stands for "not measured"."""
    protocol = evaluation.protocol
    document: dict[str, Any] = {
        "protocol": {
            "name": protocol.name,
            "crop": f"square around the face, {protocol.crop_to_face} faces wide or more, inside the picture",
            "size_px": protocol.size_px,
            "fps": str(protocol.fps),
            "pictures_per_second": protocol.pictures_per_second,
            "action_units_from": protocol.action_units_from,
            "longest_sec": protocol.longest_sec,
        },
        "emotion_classifier": evaluation.classifier,
        "versions": evaluation.versions,
        "settings": dict(evaluation.settings),
        "clips": len(evaluation.clips),
        "people": len(set(evaluation.people)),
        "seconds": sum(scored.seconds for scored in evaluation.clips),
        "systems": {
            system: {name: _estimate(e) for name, e in evaluation.summary[system].items()}
            for system in evaluation.systems
        },
        "units": {
            system: {
                f"AU{unit}": {"error": _number(e), "correlation": _number(c)}
                for unit, (e, c) in evaluation.unit_table(system).items()
            }
            for system in evaluation.systems
        },
        "comparisons": _comparisons(evaluation),
        "change_per_second_of_length": {
            system: {name: _estimate(e) for name, e in evaluation.duration_slopes(system).items()}
            for system in evaluation.compared
        },
        "per_clip": _per_clip(evaluation),
        "tables": [
            {
                "title": t.title,
                "columns": list(t.columns),
                "rows": [[_cell(c) for c in row] for row in t.rows],
            }
            for t in evaluation.tables
        ],
        "notes": list(evaluation.notes),
        "failures": list(evaluation.failures),
    }
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _comparisons(evaluation: Evaluation) -> list[dict[str, Any]]:
    return [
        {
            "first": first,
            "second": second,
            "metrics": {name: _comparison(c) for name, c in evaluation.comparison(first, second).items()},
        }
        for first, second in pairs(evaluation)
    ]


def _per_clip(evaluation: Evaluation) -> list[dict[str, Any]]:
    return [
        {
            "clip": scored.clip.name,
            "person": scored.clip.person,
            "seconds": scored.seconds,
            "systems": {
                system: {name: _number(value) for name, value in score.values.items()}
                for system, score in scored.scores.items()
            },
        }
        for scored in evaluation.clips
    ]


def pairs(evaluation: Evaluation) -> list[tuple[str, str]]:
    """Returns the systems to compare, each with each."""
    names = evaluation.compared
    return [(first, second) for i, first in enumerate(names) for second in names[i + 1 :]]


def summary_csv(evaluation: Evaluation) -> str:
    """Returns one row per system and metric."""
    rows = [
        [
            system, name, BY_NAME[name].unit, BY_NAME[name].better,
            _plain(e.mean), _plain(e.low), _plain(e.high), e.count, e.groups,
        ]
        for system in evaluation.systems
        for name, e in evaluation.summary[system].items()
    ]  # fmt: skip
    columns = ["system", "metric", "unit", "better", "mean", "low", "high", "clips", "people"]
    return table_text(columns, rows)


def clips_csv(evaluation: Evaluation) -> str:
    """Returns one row per clip and system, one column per metric; empty: not measured."""
    metrics = [metric.name for metric in METRICS]
    rows = [
        [scored.clip.name, scored.clip.person, f"{scored.seconds:.3f}", system]
        + [_plain(score.values.get(name, math.nan)) for name in metrics]
        for scored in evaluation.clips
        for system, score in scored.scores.items()
    ]
    return table_text(["clip", "person", "seconds", "system", *metrics], rows)


def _estimate(estimate: Estimate) -> dict[str, Any]:
    return {
        "mean": _number(estimate.mean),
        "low": _number(estimate.low),
        "high": _number(estimate.high),
        "clips": estimate.count,
        "people": estimate.groups,
    }


def _comparison(comparison: Comparison) -> dict[str, Any]:
    return {
        "difference": _estimate(comparison.difference),
        "first_larger": _number(comparison.first_larger),
        "p_value": _number(comparison.p_value),
    }


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _cell(value: object) -> object:
    return _number(value) if isinstance(value, float) else value


def _plain(value: float) -> str:
    return f"{value:.6g}" if math.isfinite(value) else ""
