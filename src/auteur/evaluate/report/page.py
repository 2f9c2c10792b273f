"""The page itself: tables first, then what they are made of."""

import math
from collections.abc import Iterable
from html import escape
from pathlib import Path

from auteur.evaluate.evaluation import Evaluation, Table
from auteur.evaluate.metrics import BY_NAME
from auteur.evaluate.report import figures
from auteur.evaluate.report.drawings import (
    COLOURS,
    Players,
    contact_sheet,
    interval_plot,
    jpeg_uri,
    line_plot,
)
from auteur.evaluate.scoring import BASELINES, REAL, ScoredClip
from auteur.signals.timebase import exact_rate

MOST_CLIPS_SHOWN = 12
SIGNIFICANT = 0.05

_STYLE = """
:root{color-scheme:light dark;--line:#8884;--soft:#8882}
body{font:15px/1.5 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem;margin-bottom:.2rem}h2{margin-top:2.2rem;border-bottom:1px solid var(--line)}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.86rem}
th,td{padding:.25rem .55rem;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th:first-child,td:first-child{text-align:left}th{font-weight:600}tr.base td,th.base{opacity:.72}
.scroll{overflow-x:auto}td.best{font-weight:700}small,.about{opacity:.75}.about{max-width:60rem}
svg.strip{width:220px}svg.curve{width:100%;max-width:720px}svg text{font-size:10px;fill:currentColor}
.players{display:flex;gap:.6rem;flex-wrap:wrap}.players figure{margin:0;flex:1 1 14rem;max-width:20rem}
.players video{width:100%;background:#000}figcaption{font-size:.82rem}img{max-width:100%}
.dot{display:inline-block;width:.7em;height:.7em;border-radius:50%;margin-right:.35em}
button{font:inherit;margin:.3rem 0}
.warn{background:var(--soft);padding:.5rem .8rem;border-left:4px solid #d1495b}
"""

_SCRIPT = """
for(const b of document.querySelectorAll('button.all'))b.onclick=()=>{
 const v=[...b.parentElement.querySelectorAll('video')],go=v.some(x=>x.paused);
 v.forEach((x,i)=>{x.muted=i>0;if(go){x.currentTime=0;x.play()}else x.pause()})}
"""


def html_page(evaluation: Evaluation, folder: Path) -> str:
    """Returns the report as one HTML page that will lie in `folder`."""
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(evaluation.systems)}
    title = escape(evaluation.protocol.title)
    parts = [
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>",
        "<meta name='viewport' content='width=device-width,initial-scale=1'>",
        f"<title>{title}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{title}</h1>",
        *_setting(evaluation),
        *_warnings(evaluation),
        *_summary(evaluation, colours),
        *_comparisons(evaluation),
        *_units(evaluation),
        *(part for table in evaluation.tables for part in _table(table)),
        *_clips(evaluation, folder, colours),
        *_definitions(evaluation),
        *_notes(evaluation),
        f"<script>{_SCRIPT}</script></body></html>",
    ]
    return "\n".join(parts) + "\n"


def _setting(evaluation: Evaluation) -> list[str]:
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
    rows = "".join(f"<tr><td>{escape(k)}</td><td>{escape(v)}</td></tr>" for k, v in facts.items() if v)
    rows = rows.replace("</td><td>", "</td><td style='text-align:left;white-space:normal'>")
    unknown = "".join(f"<li>{escape(line)}</li>" for line in protocol.unknown)
    more = f"<p>Not published, so figures need not agree:</p><ul>{unknown}</ul>" if unknown else ""
    return [f"<p class='about'>{escape(protocol.about)}</p><table>{rows}</table>{more}"]


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
        if still := figures.no_better_than_still(evaluation, system):
            lines.append(f"{system} is no better than its portrait held still in: {', '.join(still)}.")
        if ahead := figures.better_than_real(evaluation, system):
            lines.append(f"{system} beats the real video in: {', '.join(ahead)}. Such figures mislead.")
    return [f"<p class='warn'>{escape(line)}</p>" for line in lines]


def _summary(evaluation: Evaluation, colours: dict[str, str]) -> list[str]:
    if not evaluation.clips:
        return []
    heads = "".join(
        f"<th{' class=base' if name in BASELINES else ''}><span class=dot "
        f"style='background:{colours[name]}'></span>{escape(name)}</th>"
        for name in evaluation.systems
    )
    rows: list[str] = []
    for metric in figures.shown_metrics(evaluation):
        found = {n: e[metric.name] for n, e in evaluation.summary.items() if metric.name in e}
        real = found[REAL].mean if REAL in found else math.nan
        made = {name: e for name, e in found.items() if name in evaluation.compared}
        best = {
            name
            for name, e in made.items()
            if len(made) > 1
            and not any(figures.is_better(metric, o.mean, e.mean, real) for o in made.values())
        }
        cells = "".join(
            f"<td{' class=best' if name in best else ''}>"
            f"{figures.estimate_text(found[name], metric) if name in found else '–'}</td>"
            for name in evaluation.systems
        )
        unit = f" <small>{escape(metric.unit)}</small>" if metric.unit else ""
        rows.append(
            f"<tr><td>{escape(metric.title)}{unit} <small>{figures.ARROWS[metric.better]}</small></td>{cells}"
            f"<td>{interval_plot(found, colours)}</td></tr>"
        )
    return [
        "<h2>Figures</h2><p class='about'>Means over clips with 95 % bootstrap intervals over people. The "
        "real video is measured like everybody else; against itself it is perfect by definition.</p>",
        f"<div class=scroll><table><tr><th></th>{heads}<th></th></tr>{''.join(rows)}</table></div>",
    ]


def _comparisons(evaluation: Evaluation) -> list[str]:
    parts: list[str] = []
    for first, second in figures.pairs(evaluation):
        rows: list[str] = []
        for name, c in evaluation.comparison(first, second).items():
            metric = BY_NAME[name]
            sure = " class=best" if c.p_value < SIGNIFICANT else ""
            rows.append(
                f"<tr><td>{escape(metric.title)} <small>{figures.ARROWS[metric.better]}</small></td>"
                f"<td>{figures.estimate_text(c.difference, metric)}</td>"
                f"<td>{figures.text(100 * c.first_larger, 0)} %</td>"
                f"<td{sure}>{figures.text(c.p_value, 4)}</td></tr>"
            )
        parts.append(
            f"<h2>{escape(first)} against {escape(second)}</h2><p class='about'>Clip by clip. p: sign-flip "
            "permutation test of the mean difference over people, two-sided, not corrected for the number of "
            "rows; with n people it cannot be smaller than 2 / 2ⁿ.</p>"
            f"<table><tr><th></th><th>{escape(first)} − "
            f"{escape(second)}</th><th>first larger</th><th>p</th></tr>{''.join(rows)}</table>"
        )
    return parts


def _units(evaluation: Evaluation) -> list[str]:
    if not evaluation.clips:
        return []
    tables = {name: evaluation.unit_table(name) for name in evaluation.systems}
    heads = "".join(f"<th colspan=2>{escape(name)}</th>" for name in tables)
    rows = "".join(
        f"<tr><td>AU{unit}</td>"
        + "".join(
            f"<td>{figures.text(t[unit][0], 3)}</td><td>{figures.text(t[unit][1], 2)}</td>"
            for t in tables.values()
        )
        + "</tr>"
        for unit in next(iter(tables.values()))
    )
    return [
        "<h2>Action Units of the output against the request</h2><p class='about'>Mean absolute error "
        "(intensities 0 to 1) and correlation over time; “–”: never asked to move.</p><div "
        f"class=scroll><table><tr><th></th>{heads}</tr>{rows}</table></div>"
    ]


def _table(table: Table) -> list[str]:
    def cell(value: object) -> str:
        return figures.text(value, 3) if isinstance(value, float) else escape(str(value))

    head = "".join(f"<th>{escape(column)}</th>" for column in table.columns)
    rows = "".join(f"<tr>{''.join(f'<td>{cell(c)}</td>' for c in row)}</tr>" for row in table.rows)
    return [
        f"<h2>{escape(table.title)}</h2><p class='about'>{escape(table.about)}</p>"
        f"<div class=scroll><table><tr>{head}</tr>{rows}</table></div>"
    ]


def _clips(evaluation: Evaluation, folder: Path, colours: dict[str, str]) -> Iterable[str]:
    players = Players(folder)
    if evaluation.clips:
        yield "<h2>Clips</h2>"
    if len(evaluation.clips) > MOST_CLIPS_SHOWN:
        yield f"<p>The first {MOST_CLIPS_SHOWN} of {len(evaluation.clips)}.</p>"
    for scored in evaluation.clips[:MOST_CLIPS_SHOWN]:
        yield _clip(scored, evaluation, players, colours)


def _clip(scored: ScoredClip, evaluation: Evaluation, players: Players, colours: dict[str, str]) -> str:
    videos = {REAL: scored.clip.reference, **scored.clip.videos}
    shown = "".join(
        f"<figure>{players.video(path)}<figcaption>{escape(name)}</figcaption></figure>"
        for name, path in videos.items()
    )
    names = [name for name in evaluation.systems if scored.scores[name].thumbnails]
    sheet = jpeg_uri(contact_sheet([scored.scores[name].thumbnails for name in names]))
    rate = float(exact_rate(evaluation.protocol.fps))
    gaps = {name: scored.scores[name].lip_gap_mm for name in videos}
    return (
        f"<h3>{escape(scored.clip.name)}</h3><div><button class=all>play or stop all</button>"
        f"<div class=players>{shown}</div></div>"
        f"<p><small>Rows: {escape(', '.join(names))}</small><br><img alt='frames' src='{sheet}'></p>"
        f"<p><small>Inner-lip gap, mm</small><br>{line_plot(gaps, colours, rate=rate, unit='mm')}</p>"
    )


def _definitions(evaluation: Evaluation) -> list[str]:
    items = "".join(
        f"<li><b>{escape(m.title)}</b>: {escape(m.about)}</li>" for m in figures.shown_metrics(evaluation)
    )
    return [f"<h2>What the figures are</h2><ul class='about'>{items}</ul>"] if items else []


def _notes(evaluation: Evaluation) -> list[str]:
    lines = [f"not scored: {line}" for line in evaluation.failures] + list(evaluation.notes)
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return [f"<h2>Notes</h2><ul>{items}</ul>"] if lines else []
