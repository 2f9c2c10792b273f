"""Report of a finished preparation: the index, what was rejected, and a page with pictures."""

import base64
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from auteur.files import write_text
from auteur.lab.data.archive import read_tar
from auteur.lab.data.encoded_video import decode_video
from auteur.lab.data.shards import INDEX, samples_of
from auteur.lab.prepare.crops import jpeg_of
from auteur.lab.prepare.filters import FAILED, REASONS
from auteur.lab.prepare.measures import channels
from auteur.lab.prepare.options import RATE, PrepareOptions, identity
from auteur.lab.prepare.sound import PROSODY
from auteur.lab.prepare.work_folder import PARTS, REJECTED, REPORT, WorkFolder
from auteur.media import resized
from auteur.templates import render

MOST_PICTURES = 48
MOST_ROWS = 40
_PICTURE_PX = 144


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
    write_text(work.out / REPORT, _page(work, options, totals, shards, rejected), overwrite=True)
    write_text(work.out / INDEX, index_text(options, totals, shards), overwrite=True)


def totals_of(shards: Sequence[Mapping[str, Any]], rejected: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns figures of the whole, from the index and the command."""
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
) -> str:
    rows = [row for shard in shards for row in shard["samples"]]
    people = Counter((row["person"], row["held_out"]) for row in rows).most_common()
    offsets = [row["offset_frames"] for row in rows if row["offset_frames"] is not None]
    agreement = [row["agreement"] for row in rows if row["agreement"] is not None]
    settings = {**identity(options)["options"], **identity(options)["models"]}
    return render(
        "preparation.html",
        title=f"Prepared: {options.kind}",
        totals=[(name.replace("_", " "), value) for name, value in totals.items()],
        counts=[{"column": name, "rows": _counts(name, rows)} for name in ("emotion", "view")],
        people=[(who, count, "held out" if out else "") for (who, out), count in people[:MOST_ROWS]],
        more_people=max(0, len(people) - MOST_ROWS),
        histograms=[
            histogram("face size, px of the recording", [row["face_px"] for row in rows if row["face_px"]]),
            histogram("length, s", [row["frames"] / float(RATE) for row in rows]),
            histogram("picture behind sound, frames", offsets, width=1.0),
            histogram("agreement of lips and sound", agreement, width=0.05),
        ],
        reasons=[(REASONS[name], n) for name, n in Counter(row["reason"] for row in rejected).most_common()],
        rejected=[
            (row["key"] or row["video"], REASONS[row["reason"]], row["detail"])
            for row in rejected[:MOST_ROWS]
        ],
        rejected_file=REJECTED,
        pictures=list(_pictures(work, shards)),
        settings=[(name, value) for name, value in settings.items() if value not in (None, [])],
    )


def _counts(column: str, rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, int, str]]:
    clips = Counter(row[column] or "not said" for row in rows)
    frames: Counter[str] = Counter()
    for row in rows:
        frames[row[column] or "not said"] += row["frames"]
    return [(name, count, f"{frames[name] / float(RATE) / 60:.1f}") for name, count in sorted(clips.items())]


def histogram(
    title: str, values: Sequence[float], *, width: float | None = None, bins: int = 24
) -> dict[str, Any]:
    """Returns a histogram in a field of 352 by 128; bins of `width`, or `bins` equal ones over the range."""
    if not values:
        return {"title": title, "bars": []}
    low, high = min(values), max(values)
    step = width or (high - low) / bins or 1.0
    first = int(low // step)
    count = max(1, int(high // step) - first + 1)
    heights = Counter(min(int(value // step) - first, count - 1) for value in values)
    tallest, each = max(heights.values()), 340 / count
    return {
        "title": title,
        "bars": [
            {
                "x": f"{6 + each * place:.1f}",
                "y": f"{110 - 96 * height / tallest:.1f}",
                "width": f"{max(each - 1, 0.5):.1f}",
                "height": f"{96 * height / tallest:.1f}",
                "about": f"{step * (first + place):.4g}: {height}",
            }
            for place, height in sorted(heights.items())
        ],
        "low": f"{step * first:.4g}",
        "high": f"{step * (first + count):.4g}",
        "tallest": tallest,
    }


def _pictures(work: WorkFolder, shards: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, str]]:
    places = [(shard["file"], row) for shard in shards for row in shard["samples"] if row["face_px"]]
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
                yield {"source": uri, "about": about}
