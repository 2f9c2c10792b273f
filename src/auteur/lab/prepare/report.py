"""What a finished preparation says of itself: the index, what was rejected, and a page with pictures."""

import base64
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from auteur.files import write_text
from auteur.lab.data.encoded_video import decode_video
from auteur.lab.prepare.archive import read_tar
from auteur.lab.prepare.crops import jpeg_of
from auteur.lab.prepare.filters import FAILED, REASONS
from auteur.lab.prepare.measures import channels
from auteur.lab.prepare.options import RATE, PrepareOptions, identity
from auteur.lab.prepare.reader import samples_of
from auteur.lab.prepare.sound import PROSODY
from auteur.lab.prepare.work import INDEX, PARTS, REJECTED, REPORT, WorkFolder
from auteur.media import resized

MOST_PICTURES = 48
MOST_ROWS = 40
_PICTURE_PX = 144

_STYLE = """
:root{color-scheme:light dark;--line:#8884;--bar:#1b6ca8}
body{font:15px/1.5 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.6rem;margin-bottom:.2rem}h2{margin-top:2.2rem;border-bottom:1px solid var(--line)}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.86rem}
th,td{padding:.25rem .7rem;text-align:right;border-bottom:1px solid var(--line)}
th:first-child,td:first-child,td.text,th.text{text-align:left}
.about{opacity:.75;max-width:60rem}.scroll{overflow-x:auto}
.plots{display:flex;flex-wrap:wrap;gap:1.2rem}.plots figure{margin:0;width:22rem}
svg{width:100%}svg rect{fill:var(--bar)}svg text{font-size:10px;fill:currentColor}
.sheet{display:grid;grid-template-columns:repeat(auto-fill,minmax(8.5rem,1fr));gap:.5rem}
.sheet figure{margin:0}.sheet img{width:100%;display:block}figcaption{font-size:.74rem;overflow-wrap:anywhere}
"""


def write_results(work: WorkFolder, options: PrepareOptions, problems: Sequence[Mapping[str, Any]]) -> None:
    """Writes rejected.jsonl, report.html and, last, index.json from the entries of all shards.

    Raises:
        InputError: One of them cannot be written.
    """
    shards = [entry for part in PARTS for entry in work.entries(part)]
    rejected = [*problems, *(row for shard in shards for row in shard["rejected"])]
    totals = totals_of(shards, rejected)
    lines = "".join(json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in rejected)
    write_text(work.out / REJECTED, lines, overwrite=True)
    page = "\n".join(_page(work, options, totals, shards, rejected)) + "\n"
    write_text(work.out / REPORT, page, overwrite=True)
    write_text(work.out / INDEX, index_text(options, totals, shards), overwrite=True)


def totals_of(shards: Sequence[Mapping[str, Any]], rejected: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns what the index and the command say of the whole."""
    rows = [row for shard in shards for row in shard["samples"]]
    frames = sum(row["frames"] for row in rows)
    return {
        "recordings": sum(len(shard["recordings"]) for shard in shards),
        "samples": len(rows),
        "rejected": sum(row["reason"] != FAILED for row in rejected),
        "failed": sum(row["reason"] == FAILED for row in rejected),
        "people": len({row["person"] for row in rows}),
        "held_out_people": len({row["person"] for row in rows if row["held_out"]}),
        "shards": sum(shard["file"] is not None for shard in shards),
        "frames": frames,
        "hours": round(frames / float(RATE) / 3600, 4),
    }


def index_text(
    options: PrepareOptions, totals: Mapping[str, Any], shards: Sequence[Mapping[str, Any]]
) -> str:
    """Returns the index as JSON, one sample a line."""
    head = {
        **identity(options),
        "rate": str(RATE),
        "channels": {**channels(), "prosody.npy": list(PROSODY)},
        "totals": totals,
    }
    parts = [
        f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)},\n" for name, value in head.items()
    ]
    entries: list[str] = []
    for shard in shards:
        about = {name: shard.get(name) for name in ("file", "sha256", "bytes", "recordings")}
        samples = ",\n".join(json.dumps(row, ensure_ascii=False, sort_keys=True) for row in shard["samples"])
        entries.append(f'{json.dumps(about)[:-1]}, "samples": [\n{samples}\n]}}')
    return "{" + "".join(parts) + '"shards": [\n' + ",\n".join(entries) + "\n]}\n"


def _page(
    work: WorkFolder,
    options: PrepareOptions,
    totals: Mapping[str, Any],
    shards: Sequence[Mapping[str, Any]],
    rejected: Sequence[Mapping[str, Any]],
) -> Iterator[str]:
    rows = [row for shard in shards for row in shard["samples"]]
    title = f"Prepared: {options.kind}"
    yield "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
    yield "<meta name='viewport' content='width=device-width,initial-scale=1'>"
    yield f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body><h1>{escape(title)}</h1>"
    yield _table(("", "number"), [(name.replace("_", " "), value) for name, value in totals.items()])
    yield "<h2>Who and what</h2><div class=plots>"
    yield _counts("emotion", rows, options)
    yield _counts("view", rows, options)
    yield _people(rows)
    yield "</div><h2>How large, how long, how far from the sound</h2><div class=plots>"
    yield histogram("face size, px of the recording", [row["face_px"] for row in rows])
    yield histogram("length, s", [row["frames"] / float(RATE) for row in rows])
    offsets = [row["offset_frames"] for row in rows if row["offset_frames"] is not None]
    yield histogram("picture behind sound, frames", offsets, width=1.0)
    agreement = [row["agreement"] for row in rows if row["agreement"] is not None]
    yield histogram("agreement of lips and sound", agreement, width=0.05)
    yield "</div>"
    yield from _rejections(rejected)
    yield "<h2>Pictures</h2><p class=about>The middle frame of clips from all over the shards.</p>"
    yield "<div class=sheet>"
    yield from _pictures(work, shards)
    yield "</div><h2>Settings</h2>"
    settings = {**identity(options)["options"], **identity(options)["models"]}
    yield _table(
        ("", "value"), [(name, value) for name, value in settings.items() if value not in (None, [])]
    )
    yield "</body></html>"


def _table(heads: Sequence[str], rows: Sequence[Sequence[object]], *, text: bool = False) -> str:
    kind = " class=text" if text else ""
    head = "".join(f"<th{kind}>{escape(name)}</th>" for name in heads)
    body = "".join(
        "<tr>" + "".join(f"<td{kind}>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f"<div class=scroll><table><tr>{head}</tr>{body}</table></div>"


def _counts(column: str, rows: Sequence[Mapping[str, Any]], options: PrepareOptions) -> str:
    clips = Counter(row[column] or "not said" for row in rows)
    frames: Counter[str] = Counter()
    for row in rows:
        frames[row[column] or "not said"] += row["frames"]
    cells = [(name, count, f"{frames[name] / float(RATE) / 60:.1f}") for name, count in sorted(clips.items())]
    return f"<figure>{_table((column, 'clips', 'minutes'), cells)}</figure>"


def _people(rows: Sequence[Mapping[str, Any]]) -> str:
    clips = Counter((row["person"], row["held_out"]) for row in rows)
    cells = [
        (person, count, "held out" if out else "") for (person, out), count in clips.most_common(MOST_ROWS)
    ]
    more = f"<p class=about>and {len(clips) - MOST_ROWS} more</p>" if len(clips) > MOST_ROWS else ""
    return f"<figure>{_table(('person', 'clips', ''), cells)}{more}</figure>"


def histogram(title: str, values: Sequence[float], *, width: float | None = None, bins: int = 24) -> str:
    """Returns a histogram as SVG; bins of `width`, or `bins` equal ones over the range."""
    if not values:
        return f"<figure><figcaption>{escape(title)}: nothing was measured</figcaption></figure>"
    low, high = min(values), max(values)
    step = width or (high - low) / bins or 1.0
    first = int(low // step)
    count = max(1, int(high // step) - first + 1)
    heights = Counter(min(int(value // step) - first, count - 1) for value in values)
    tallest, each = max(heights.values()), 340 / count
    bars = "".join(
        f'<rect x="{6 + each * place:.1f}" y="{110 - 96 * height / tallest:.1f}" '
        f'width="{max(each - 1, 0.5):.1f}" height="{96 * height / tallest:.1f}">'
        f"<title>{step * (first + place):.4g}: {height}</title></rect>"
        for place, height in sorted(heights.items())
    )
    ends = (
        f'<text x="6" y="124">{step * first:.4g}</text>'
        f'<text x="346" y="124" text-anchor="end">{step * (first + count):.4g}</text>'
        f'<text x="6" y="10">{tallest}</text>'
    )
    return (
        f"<figure><figcaption>{escape(title)}</figcaption>"
        f'<svg viewBox="0 0 352 128" role="img">{bars}{ends}</svg></figure>'
    )


def _rejections(rejected: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "<h2>What is not in the shards</h2>"
    if not rejected:
        yield "<p>Everything is.</p>"
        return
    reasons = Counter(row["reason"] for row in rejected)
    yield _table(("reason", "clips or recordings"), [(REASONS[name], n) for name, n in reasons.most_common()])
    yield f"<p class=about>The first {min(MOST_ROWS, len(rejected))}; all are in {REJECTED}.</p>"
    shown = [
        (row["key"] or row["video"], REASONS[row["reason"]], row["detail"]) for row in rejected[:MOST_ROWS]
    ]
    yield _table(("what", "reason", "detail"), shown, text=True)


def _pictures(work: WorkFolder, shards: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    places = [(shard["file"], row) for shard in shards for row in shard["samples"]]
    wanted = min(MOST_PICTURES, len(places))
    chosen = [places[int((number + 0.5) * len(places) / wanted)] for number in range(wanted)]
    for file in dict.fromkeys(file for file, _ in chosen):
        rows = {row["key"]: row for name, row in chosen if name == file}
        for sample in samples_of(read_tar(work.out / file)):
            if sample.key in rows:
                row = rows[sample.key]
                frames = decode_video(sample.members["mp4"])
                small = resized(frames[len(frames) // 2], _PICTURE_PX, _PICTURE_PX)
                uri = "data:image/jpeg;base64," + base64.b64encode(jpeg_of(small)).decode()
                about = " · ".join(str(row[name]) for name in ("key", "emotion") if row[name])
                yield f"<figure><img alt='' src='{uri}'><figcaption>{escape(about)}</figcaption></figure>"
