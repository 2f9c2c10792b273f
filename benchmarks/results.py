"""Measures the shipped models on people they never saw and writes docs/results.md.

    python benchmarks/results.py --data DATA --out docs/results.md --work /tmp/results

DATA holds clips/manifest.csv, portraits/ and speech/driving/. Each part keeps its figures as JSON in the
work folder; a part that is already there is taken from it unless --again names it. About five minutes on one
idle core.
"""

import csv
import dataclasses
import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import tyro

from auteur import provenance, weights
from auteur.evaluate import protocols
from auteur.evaluate.control import UNITS
from auteur.evaluate.evaluation import Evaluation, evaluate_clips
from auteur.evaluate.face_features import FaceFeatureNet
from auteur.evaluate.metrics import BY_NAME
from auteur.evaluate.pairing import sound_of
from auteur.evaluate.performances import run_protocol, self_reenactment
from auteur.evaluate.protocol_run import Run
from auteur.evaluate.report import tables, write_report
from auteur.evaluate.scoring import ClipScorer
from auteur.evaluate.streams import Networks
from auteur.evaluate.views import cropped_frames, face_crop, square_inside
from auteur.face.auteur_backend import AuteurBackend
from auteur.face.crops import cropped
from auteur.face.tracker import find_face
from auteur.lab.data.splits import is_held_out
from auteur.media import VideoWriter, probe, read_image, read_speech, write_image
from auteur.talking_head.talking_head import MODELS, TalkingHead
from judges.anchors import anchors

PORTRAITS = ("generated_woman_0035.jpg", "generated_man_0017.jpg", "generated_woman_0253.jpg")
SPEECH = "walden.flac"
LARGEST_PX, COPY_PX = 800, 512
"""Real videos with a longer side are cut to a square around the face first."""

PORTRAIT_FACES, PORTRAIT_PX = 2.2, 384
"""Portraits are cut to this many faces, and to this side."""

Part = dict[str, Any]


@dataclass(frozen=True)
class Benchmark:
    """Where things are."""

    data: Path
    work: Path
    out: Path = Path("docs/results.md")
    again: tuple[str, ...] = ()
    """Parts to measure again: reenactment, au_sweep, emotion_sweep, noise, long, anchors; "all" for all."""
    skip: tuple[str, ...] = ()
    """Parts to leave out of the page."""


def held_out_videos(run: Benchmark, longest_sec: int) -> dict[Path, str]:
    """Returns the held-out people's videos with usable speech, and whom they show."""
    found: dict[Path, str] = {}
    with (run.data / "clips" / "manifest.csv").open(encoding="utf-8") as table:
        for row in csv.DictReader(table):
            if row["speech"] == "yes" and is_held_out(row["identity"]):
                found[copy_of(run, run.data / row["file"], longest_sec)] = row["identity"]
    return found


def copy_of(run: Benchmark, video: Path, longest_sec: int) -> Path:
    """Returns an MP4 of the first seconds with its sound: browsers play it, and large pictures are cut."""
    folder = run.work / "real"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{video.stem}.mp4"
    if path.exists():
        return path
    info, rate = probe(video), protocols.load("self-reenactment").fps
    sides = (info.width_px or 0, info.height_px or 0)
    large = max(sides) > LARGEST_PX
    frame = face_crop(video, AuteurBackend(), crop_to_face=2.4)
    size = COPY_PX if large else min(sides)
    if not large:
        frame = dataclasses.replace(
            frame, center_px=((sides[0] - 1) / 2, (sides[1] - 1) / 2), side_px=float(min(sides)), roll_rad=0.0
        )
    count = int(longest_sec * rate)
    pictures = [
        p for i, p in zip(range(count), cropped_frames(video, frame, size_px=size, rate=rate), strict=False)
    ]
    sound = read_speech(sound_of(video))
    sound = sound.slice(0, min(sound.duration_sec, len(pictures) / rate))
    writer = VideoWriter(
        path,
        size_px=(size, size),
        rate=rate,
        mark=provenance.Mark(watermark=False),
        audio=sound,
        quality_crf=12,
    )
    with writer as out:
        for picture in pictures:
            out.write(picture)
    return path


def cut(run: Benchmark, portrait: Path) -> Path:
    """Returns the part of a portrait around its face: the tracker must see small changes of it."""
    path = run.work / "portraits" / f"{portrait.stem}.png"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        picture = read_image(portrait)
        face = find_face(AuteurBackend(), picture, name=portrait.name)
        size = (picture.shape[1], picture.shape[0])
        frame = square_inside(face.center_px, PORTRAIT_FACES * face.size_px, size)
        write_image(path, cropped(picture, frame, PORTRAIT_PX), mark=provenance.Mark(watermark=False))
    return path


def reenactment(run: Benchmark) -> Part:
    """Self-reenactment of every held-out speaking video."""
    protocol = dataclasses.replace(protocols.load("self-reenactment"), longest_sec=4)
    report = run.work / "reenactment"
    videos = report / "videos"
    videos.mkdir(parents=True, exist_ok=True)
    made = Run(
        protocol=protocol, head=TalkingHead.from_pretrained(), backend=AuteurBackend(), videos=videos,
        overwrite=True, on_frame=None,
    )  # fmt: skip
    started = time.process_time()
    clips, failures = self_reenactment(made, held_out_videos(run, protocol.longest_sec))
    generated = time.process_time()
    scorer = ClipScorer(protocol, AuteurBackend(), Networks(FaceFeatureNet()))
    done = evaluate_clips(clips, scorer)
    scored = time.process_time()
    done = dataclasses.replace(done, failures=(*failures, *done.failures))
    write_report(done, report, overwrite=True)
    seconds = sum(clip.seconds for clip in done.clips)
    return {
        "figures": json.loads(tables.as_json(done)),
        "still": {name: tables.no_better_than_still(done, name) for name in done.compared},
        "seconds": seconds,
        "cpu_generating": generated - started,
        "cpu_scoring": scored - generated,
        "rows": len(done.systems),
    }


def made(name: str) -> Callable[[Benchmark], Part]:
    """Returns a part that runs a protocol on the portraits and keeps its tables."""

    def measure(run: Benchmark) -> Part:
        protocol = protocols.load(name)
        portraits = [cut(run, run.data / "portraits" / file) for file in PORTRAITS]
        if protocol.kind in ("long_audio", "noise_and_silence"):
            portraits = portraits[:1]
        out = run.work / name
        out.mkdir(parents=True, exist_ok=True)
        done: Evaluation = run_protocol(
            protocol, portraits, out, scorer=lambda: _never(name), overwrite=True,
            speech=run.data / "speech" / "driving" / SPEECH,
        )  # fmt: skip
        return json.loads(tables.as_json(done))

    return measure


def measured_anchors(run: Benchmark) -> Part:
    """Our own measures where the truth is known."""
    videos = held_out_videos(run, protocols.load("self-reenactment").longest_sec)
    return {"anchors": [dataclasses.asdict(anchor) for anchor in anchors(videos, AuteurBackend())]}


def _never(name: str) -> ClipScorer:
    raise SystemExit(f"{name} scores no clips")


PARTS: dict[str, Callable[[Benchmark], Part]] = {
    "reenactment": reenactment,
    "au_sweep": made("au-sweep"),
    "emotion_sweep": made("emotion-sweep"),
    "noise": made("noise-and-silence"),
    "long": made("long-audio"),
    "anchors": measured_anchors,
}


def page(parts: dict[str, Part]) -> str:
    """Returns docs/results.md."""
    lines = [
        "# Results",
        "",
        "Written by `python benchmarks/results.py`; do not edit. Videos are of people held out from all "
        "training (`auteur.lab.data.splits`), portraits of nobody (generated). The measures are explained in "
        "[evaluation.md](evaluation.md).",
        "",
        *model_lines(parts),
    ]
    if "reenactment" in parts:
        lines += reenactment_lines(parts["reenactment"])
    for name in ("au_sweep", "emotion_sweep", "noise", "long"):
        if name in parts:
            lines += table_lines(parts[name])
    if "anchors" in parts:
        lines += anchor_lines(parts["anchors"])
    lines += shortfall_lines(parts)
    return "\n".join(lines) + "\n"


def model_lines(parts: dict[str, Part]) -> list[str]:
    """Which weights the figures belong to, and a warning where parts were measured with others."""
    sets = {name: ", ".join(f"{k} `{v}`" for k, v in part["models"].items()) for name, part in parts.items()}
    if len(set(sets.values())) == 1:
        return [f"Models: {next(iter(sets.values()))}."]
    return [f"* {name}: {models}" for name, models in sets.items()]


def reenactment_lines(part: Part) -> list[str]:
    """The table of self-reenactment, systems as columns."""
    found, systems = part["figures"], list(part["figures"]["systems"])
    lines = [
        "",
        "## Self-reenactment",
        "",
        f"{found['clips']} clips of {found['people']} held-out people, {found['seconds']:.0f} s. The first "
        "frame is the portrait. *True AUs*: every Action Unit that our tracker measures in the real video "
        "drives the face, the mouth too, with a still head; *and head*: its head pose as well; *lips by "
        "speech*: the speech moves the lips; *speech only*: `auteur generate` without options, whose head "
        "is idle. Figures of a system that has the real face as input do not compare with those of speech "
        "alone. Where the head is not given, a portrait held still wins most distances between pictures; "
        f"warp only has everything as input. Measured in a {found['protocol']['size_px']} px "
        f"{found['protocol']['crop']}, at {found['protocol']['fps']} frames/s. Brackets: 95 % bootstrap "
        "intervals over people.",
        "",
        "| | " + " | ".join(systems) + " |",
        "|---|" + "---|" * len(systems),
    ]
    for name, metric in BY_NAME.items():
        row = [found["systems"][system].get(name) for system in systems]
        if any(row):
            unit = f", {metric.unit}" if metric.unit else ""
            title = f"{metric.title} {tables.ARROWS[metric.better]}{unit}"
            lines.append(f"| {title} | " + " | ".join(_cell(cell, metric.decimals) for cell in row) + " |")
    lines += ["", "Error and correlation of each unit against the real video:", ""]
    lines += ["| | " + " | ".join(systems[1:]) + " |", "|---|" + "---|" * (len(systems) - 1)]
    for unit in UNITS:
        cells = [found["units"][system][f"AU{unit}"] for system in systems[1:]]
        row = " | ".join(f"{_plain(c['error'], 3)}, r {_plain(c['correlation'], 2)}" for c in cells)
        lines.append(f"| AU{unit} | {row} |")
    lines += [
        "",
        f"Scoring these {part['rows']} rows took {part['cpu_scoring'] / part['seconds']:.1f} CPU seconds "
        f"per second of video; generating the systems took {part['cpu_generating'] / part['seconds']:.1f}.",
    ]
    return lines + [f"* not scored: {line}" for line in found["failures"]]


def table_lines(part: Part) -> list[str]:
    """A protocol's own tables."""
    lines: list[str] = []
    for table in part["tables"]:
        lines += ["", f"## {table['title']}", "", protocols.load(part["protocol"]["name"]).about, ""]
        lines += ["| " + " | ".join(table["columns"]) + " |", "|" + "---|" * len(table["columns"])]
        for row in table["rows"]:
            cells = (_plain(cell, 2) if isinstance(cell, float) else str(cell) for cell in row)
            lines.append("| " + " | ".join(cells) + " |")
    return lines


def anchor_lines(part: Part) -> list[str]:
    """What our own measures are worth."""
    lines = [
        "",
        "## What our own measures are worth",
        "",
        "On the real videos of the held-out people, with these weights. Separated: chance that a value "
        "that should be high is above one that should be low.",
        "",
        "| | should be high | should be low | separated | pairs |",
        "|---|---|---|---|---|",
    ]
    for row in part["anchors"]:
        cells = " | ".join(_plain(row[name], 2) for name in ("same", "different", "separated"))
        lines.append(f"| {row['title']} | {cells} | {row['pairs'][0]}, {row['pairs'][1]} |")
    return lines


def shortfall_lines(parts: dict[str, Part]) -> list[str]:
    """What falls short, read off the tables."""
    found: list[str] = []
    if "reenactment" in parts:
        for system, titles in parts["reenactment"]["still"].items():
            if titles:
                found.append(f"{system}: no better than the portrait held still in {', '.join(titles)}.")
        found += lip_lines(parts["reenactment"]["figures"]["systems"])
    if "au_sweep" in parts:
        rows = parts["au_sweep"]["tables"][0]["rows"]
        weak = [row[0].split()[0] for row in rows if row[1] < 0.95]
        leaky = [row[0].split()[0] for row in rows if row[4] > 0.15]
        low = [row[0].split()[0] for row in rows if row[3] < 0.4]
        good = len(rows) - len(weak)
        found.append(f"Action Unit sweep: {good} of {len(rows)} units reach a rank correlation of 0.95.")
        found += [f"Below 0.95: {', '.join(weak)}."] if weak else []
        found += [f"Reach less than 0.4 at intensity 1: {', '.join(low)}."] if low else []
        none = "No unit's cross-talk is above 0.15."
        found.append(f"Cross-talk above 0.15: {', '.join(leaky)}." if leaky else none)
    if "emotion_sweep" in parts:
        missed = [row[0] for row in parts["emotion_sweep"]["tables"][0]["rows"] if row[5] < 1]
        if missed:
            found.append(f"Emotions not shown clearly enough to be named: {', '.join(missed)}.")
    return ["", "## What falls short", "", *(f"* {line}" for line in found)]


def lip_lines(systems: dict[str, Any]) -> list[str]:
    """Figures of the lips beside the real video's, as lines."""
    lines: list[str] = []
    real = systems["real video"]
    for name, row in systems.items():
        if name.startswith("auteur") and "lip_agreement" in row:
            mine, theirs = row["lip_agreement"]["mean"], real["lip_agreement"]["mean"]
            if mine > theirs:
                lines.append(
                    f"{name}: lips follow the sound more predictably than real ones ({mine:.2f} against "
                    f"{theirs:.2f}), as a model of the average does; it is no merit."
                )
    return lines


def _cell(estimate: dict[str, float | None] | None, decimals: int) -> str:
    if estimate is None or estimate["mean"] is None:
        return "–"
    text = f"{estimate['mean']:.{decimals}f}"
    if estimate["low"] is None or estimate["high"] is None:
        return text
    return f"{text} [{estimate['low']:.{decimals}f}, {estimate['high']:.{decimals}f}]"


def _plain(value: float | None, decimals: int) -> str:
    return "–" if value is None or not math.isfinite(value) else f"{value:.{decimals}f}"


def main(run: Benchmark) -> None:
    """Measures what is missing and writes the page."""
    torch.set_num_threads(1)
    run.work.mkdir(parents=True, exist_ok=True)
    parts: dict[str, Part] = {}
    for name, measure in PARTS.items():
        kept = run.work / f"{name}.json"
        if name in run.skip:
            continue
        if not kept.exists() or name in run.again or "all" in run.again:
            started = time.monotonic()
            models = {model: weights.version(model) for model in MODELS}
            kept.write_text(json.dumps(measure(run) | {"models": models}, indent=1), encoding="utf-8")
            print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)
        parts[name] = json.loads(kept.read_text(encoding="utf-8"))
    run.out.write_text(page(parts), encoding="utf-8")
    print(run.out)


if __name__ == "__main__":
    main(tyro.cli(Benchmark))
