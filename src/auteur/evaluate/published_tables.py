"""Our rows beside a paper's: means with intervals and sample counts, then the numbers as published."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from auteur.evaluate.evaluation import Table
from auteur.evaluate.metrics import BY_NAME
from auteur.evaluate.protocols import Protocol
from auteur.evaluate.statistics import Estimate

CAUTION = (
    "Corpora, clips, crops and judging networks differ between papers and from ours: published numbers show "
    "the scale of the original table, and only rows of one scorer compare. Ours are means over clips with "
    "95 % bootstrap intervals over people."
)


@dataclass(frozen=True)
class OwnRow:
    """One of our rows."""

    name: str
    figures: Mapping[str, Estimate]
    """By `Metric.name`; what was not measured is absent."""


def published_table(protocol: Protocol, own: Sequence[OwnRow]) -> Table:
    """Returns the paper's table with our rows first; "–" was not measured, or is not known of the paper."""
    columns = [column_title(name) for name in protocol.metrics]
    rows: list[tuple[object, ...]] = []
    for row in own:
        counts = [(estimate.count, estimate.groups) for estimate in row.figures.values()]
        clips, people = max(counts, default=(0, 0))
        cells = [_cell(row.figures.get(name), name) for name in protocol.metrics]
        rows.append((row.name, "ours", *cells, clips, people))
    for published in protocol.published:
        cells = [_published_cell(published.get(name)) for name in protocol.metrics]
        rows.append((str(published["row"]), f"published, {published.get('set', '')}", *cells, "–", "–"))
    about = f"Source of published numbers: {protocol.source}. {CAUTION}"
    if not protocol.published:
        about = f"{protocol.source}. {CAUTION}"
    return Table(protocol.title, ("row", "from", *columns, "clips", "people"), tuple(rows), about)


def table_lines(table: Table) -> list[str]:
    """Returns a table as lines of text in columns, and what it is about."""
    texts = [[str(cell) for cell in row] for row in (table.columns, *table.rows)]
    widths = [max(len(row[column]) for row in texts) for column in range(len(table.columns))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in texts]
    return [table.title, *(line.rstrip() for line in lines), table.about]


def column_title(name: str) -> str:
    """Returns the title of a metric with the direction in which it is better."""
    metric = BY_NAME.get(name)
    if metric is None:
        return name
    arrow = {"higher": " ↑", "lower": " ↓", "real": ""}[metric.better]
    return f"{metric.title}{arrow}"


def _cell(estimate: Estimate | None, name: str) -> str:
    if estimate is None or not math.isfinite(estimate.mean):
        return "–"
    decimals = BY_NAME[name].decimals if name in BY_NAME else 3
    mean = f"{estimate.mean:.{decimals}f}"
    if not math.isfinite(estimate.low):
        return mean
    return f"{mean} [{estimate.low:.{decimals}f}, {estimate.high:.{decimals}f}]"


def _published_cell(value: object) -> str:
    return "–" if value is None else f"{value:g}" if isinstance(value, int | float) else str(value)
