"""The page itself: tables first, then what they are made of. The template has the words, this the values."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from auteur.evaluate.evaluation import Evaluation
from auteur.evaluate.metrics import BY_NAME, Metric
from auteur.evaluate.report import tables
from auteur.evaluate.report.drawings import (
    COLOURS,
    Players,
    contact_sheet,
    interval_marks,
    jpeg_uri,
    line_plot,
)
from auteur.evaluate.scoring import BASELINES, REAL, ScoredClip
from auteur.evaluate.statistics import Estimate
from auteur.signals.timebase import exact_rate
from auteur.templates import render

MOST_CLIPS_SHOWN = 12
SIGNIFICANT = 0.05


def html_page(evaluation: Evaluation, folder: Path) -> str:
    """Returns the report as one HTML page that will lie in `folder`."""
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(evaluation.systems)}
    players = Players(folder)
    return render(
        "evaluation.html",
        title=evaluation.protocol.title,
        about=evaluation.protocol.about,
        setting=_setting(evaluation),
        unknown=evaluation.protocol.unknown,
        warnings=_warnings(evaluation),
        clip_count=len(evaluation.clips),
        systems=[
            {"name": name, "colour": colours[name], "is_baseline": name in BASELINES}
            for name in evaluation.systems
        ],
        summary=[_summary_row(evaluation, metric, colours) for metric in tables.shown_metrics(evaluation)],
        comparisons=list(_comparisons(evaluation)),
        units=_units(evaluation),
        tables=[
            {
                "title": t.title,
                "about": t.about,
                "columns": t.columns,
                "rows": [map(_cell, r) for r in t.rows],
            }
            for t in evaluation.tables
        ],
        clips=[_clip(c, evaluation, players, colours) for c in evaluation.clips[:MOST_CLIPS_SHOWN]],
        definitions=tables.shown_metrics(evaluation),
        notes=[*(f"not scored: {line}" for line in evaluation.failures), *evaluation.notes],
    )


def _setting(evaluation: Evaluation) -> list[tuple[str, str]]:
    protocol = evaluation.protocol
    seconds = sum(scored.seconds for scored in evaluation.clips)
    facts = {
        "protocol": protocol.name,
        "clips": f"{len(evaluation.clips)} of {len(set(evaluation.people))} people, {seconds:.1f} s",
        "crop": f"{protocol.size_px} px square around the face, at least {protocol.crop_to_face:g} faces "
        "wide",
        "frames": f"read by time at {float(protocol.fps):g} per second; picture measures look at "
        f"{protocol.pictures_per_second} of a second",
        "Action Units from": protocol.action_units_from,
        "emotions named by": evaluation.classifier,
        "measured with": ", ".join(f"{name} {version}" for name, version in evaluation.versions.items()),
        "published clips": str(protocol.clips or ""),
        "splits": protocol.splits,
        "source": protocol.source,
        **evaluation.settings,
    }
    return [(name, value) for name, value in facts.items() if value]


def _warnings(evaluation: Evaluation) -> list[str]:
    lines: list[str] = []
    wanted = evaluation.protocol.clips
    if wanted and wanted != len(evaluation.clips):
        lines.append(f"The published figures are over {wanted} clips, these over {len(evaluation.clips)}.")
    if evaluation.failures:
        total = len(evaluation.failures) + len(evaluation.clips)
        lines.append(
            f"{len(evaluation.failures)} of {total} clips could not be scored; they are named below."
        )
    if len(set(evaluation.people)) < 5 and evaluation.clips:
        lines.append("Fewer than five people: intervals are rough, and without two people there are none.")
    for system in evaluation.compared:
        if still := tables.no_better_than_still(evaluation, system):
            lines.append(f"{system} is no better than its portrait held still in: {', '.join(still)}.")
        if ahead := tables.better_than_real(evaluation, system):
            lines.append(f"{system} beats the real video in: {', '.join(ahead)}. Such figures mislead.")
    return lines


def _summary_row(evaluation: Evaluation, metric: Metric, colours: dict[str, str]) -> dict[str, Any]:
    found = {n: e[metric.name] for n, e in evaluation.summary.items() if metric.name in e}
    best = _best(evaluation, metric, found)
    marks = interval_marks(found, colours)
    return {
        "title": metric.title,
        "unit": metric.unit,
        "arrow": tables.ARROWS[metric.better],
        "cells": [
            {
                "text": tables.estimate_text(found[name], metric) if name in found else "–",
                "is_best": name in best,
            }
            for name in evaluation.systems
        ],
        "marks": marks,
        "height": 9 * len(marks) + 4,
    }


def _best(evaluation: Evaluation, metric: Metric, found: dict[str, Estimate]) -> set[str]:
    """Returns the systems that no other one beats; none where there is nothing to compare."""
    real = found[REAL].mean if REAL in found else math.nan
    made = {name: e for name, e in found.items() if name in evaluation.compared}
    return {
        name
        for name, e in made.items()
        if len(made) > 1 and not any(tables.is_better(metric, o.mean, e.mean, real) for o in made.values())
    }


def _comparisons(evaluation: Evaluation) -> Iterator[dict[str, Any]]:
    for first, second in tables.pairs(evaluation):
        rows = [
            {
                "title": BY_NAME[name].title,
                "arrow": tables.ARROWS[BY_NAME[name].better],
                "difference": tables.estimate_text(c.difference, BY_NAME[name]),
                "larger": tables.text(100 * c.first_larger, 0),
                "p": tables.text(c.p_value, 4),
                "is_significant": c.p_value < SIGNIFICANT,
            }
            for name, c in evaluation.comparison(first, second).items()
        ]
        yield {"first": first, "second": second, "rows": rows}


def _units(evaluation: Evaluation) -> list[list[str]]:
    if not evaluation.clips:
        return []
    measured = [evaluation.unit_table(name) for name in evaluation.systems]
    return [
        [f"AU{unit}"]
        + [text for t in measured for text in (tables.text(t[unit][0], 3), tables.text(t[unit][1], 2))]
        for unit in measured[0]
    ]


def _cell(value: object) -> object:
    return tables.text(value, 3) if isinstance(value, float) else value


def _clip(
    scored: ScoredClip, evaluation: Evaluation, players: Players, colours: dict[str, str]
) -> dict[str, Any]:
    videos = {REAL: scored.clip.reference, **scored.clip.videos}
    names = [name for name in evaluation.systems if scored.scores[name].thumbnails]
    gaps = {name: scored.scores[name].lip_gap_mm for name in videos}
    return {
        "name": scored.clip.name,
        "players": [players.player(name, path) for name, path in videos.items()],
        "rows": ", ".join(names),
        "sheet": jpeg_uri(contact_sheet([scored.scores[name].thumbnails for name in names])),
        "lip_gap": line_plot(gaps, colours, rate=float(exact_rate(evaluation.protocol.fps)), unit="mm"),
    }
