"""Measures the watermark: invisibility, survival of each change, wrong findings, and cost.

    python benchmarks/watermark.py --data DATA --photos PHOTOS --out watermark.jsonl

DATA holds clips/manifest.csv, portraits/ and speech/driving/. Videos of Auteur (the portraits, none of which
was trained on), clips of held-out people and flat walls are marked, encoded at CRF 18 as Auteur writes them,
changed, and read as `auteur.watermark.read_watermark` does. Every source is one line of OUT; sources that are
there already are not measured again. `--report` prints the tables.
"""

import csv
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from PIL import Image

from auteur.lab.data.splits import is_held_out, person_of_photo
from auteur.lab.data.watermark_frames import recoded
from auteur.media import read_image
from auteur.media.resize import resized
from auteur.signals.seeding import keyed_generator
from auteur.watermark import Embedder, detect
from auteur.watermark.detection import estimate_pattern, search
from auteur.watermark.files import spacing

RATE = 25
SPEECH = "walden.flac"
FRAMES = 56
LARGEST_PX = 512
"""Clips with a larger shorter side are made smaller first."""

Picture = NDArray[np.uint8]
Video = list[Picture]
Change = Callable[[Video], Video]


@dataclass(frozen=True)
class Benchmark:
    """Sources and amounts."""

    out: Path
    data: Path | None = None
    photos: Path | None = None
    """Folder of photographs without watermark."""
    portraits: int = 17
    people: int = 17
    """Held-out people of the clips."""
    clips_per_person: int = 2
    wild: int = 4
    """Photographs of held-out people (of PHOTOS) that Auteur animates at 256 px."""
    clean: int = 5000
    """Photographs in which no watermark may be found."""
    clean_everywhere: int = 40
    """Of these, photographs searched at every scale and angle."""
    preset: str = "warp"
    seconds: float = FRAMES / RATE
    report: bool = False
    """Only print the tables of OUT."""


def even(size: tuple[float, float]) -> tuple[int, int]:
    return 2 * round(size[0] / 2), 2 * round(size[1] / 2)


def scaled(factor: float) -> Change:
    def change(video: Video) -> Video:
        size = even((video[0].shape[1] * factor, video[0].shape[0] * factor))
        return [resized(frame, *size, "lanczos") for frame in video]

    return change


def turned(angle_deg: float) -> Change:
    def turn(frame: Picture) -> Picture:
        return np.array(Image.fromarray(frame).rotate(angle_deg, Image.Resampling.BICUBIC))

    return lambda video: [turn(frame) for frame in video]


def cropped(video: Video) -> Video:
    """Keeps 90 % of width and height, off the centre."""
    height, width = video[0].shape[:2]
    kept, (top, left) = even((0.9 * width, 0.9 * height)), (int(0.07 * height), int(0.02 * width))
    return [np.ascontiguousarray(frame[top : top + kept[1], left : left + kept[0]]) for frame in video]


def lowered_rate(video: Video) -> Video:
    return [frame for i, frame in enumerate(video) if i % 5 in (0, 2, 3)]


def grey(video: Video) -> Video:
    return [np.array(Image.fromarray(frame).convert("L").convert("RGB")) for frame in video]


def coded(codec: str, quality: int) -> Change:
    return lambda video: recoded(video, codec, quality)


def screenshot(video: Video) -> Video:
    """One frame at 1.25 times its size, as a screen shows it."""
    return scaled(1.25)(video[len(video) // 2 :][:1])


def chain(*changes: Change) -> Change:
    def change(video: Video) -> Video:
        for one in changes:
            video = one(video)
        return video

    return change


AGAIN = coded("libx264", 23)
CHANGES: dict[str, Change] = {
    "H.264 CRF 18 (as written)": lambda video: video,
    "H.264 CRF 23": AGAIN,
    "H.264 CRF 28": coded("libx264", 28),
    "HEVC CRF 28": coded("libx265", 28),
    "VP9 CRF 35": coded("libvpx-vp9", 35),
    "half size, CRF 23": chain(scaled(0.5), AGAIN),
    "double size, CRF 23": chain(scaled(2), AGAIN),
    "crop to 90 %, CRF 23": chain(cropped, AGAIN),
    "25 to 15 frames/s, CRF 23": chain(lowered_rate, AGAIN),
    "trim to 2 s, CRF 23": chain(lambda video: video[-2 * RATE :], AGAIN),
    "screenshot of one frame, PNG": screenshot,
    "one frame, JPEG q 80": chain(lambda video: video[:1], coded("mjpeg", 80)),
    "grey, CRF 23": chain(grey, AGAIN),
    "turned by 2°, CRF 23": chain(turned(2), AGAIN),
    "turned by -2°, CRF 23": chain(turned(-2), AGAIN),
    "crop, half size, CRF 28": chain(cropped, scaled(0.5), coded("libx264", 28)),
}  # fmt: skip


def generated(run: Benchmark, data: Path) -> Iterator[tuple[str, Callable[[], Video]]]:
    from auteur.talking_head.talking_head import TalkingHead

    speech = data / "speech" / "driving" / SPEECH
    head: list[TalkingHead] = []

    def make(path: Path, size: int) -> Video:
        if not head:
            head.append(TalkingHead.from_pretrained(run.preset))
        return list(head[0](path, speech, seconds=run.seconds, size=size))

    for path in sorted((data / "portraits").glob("*.jpg"))[: run.portraits]:
        yield f"auteur {path.stem}", lambda path=path: make(path, 512)
    photos = [] if run.photos is None else sorted(run.photos.glob("*.jpg"))
    held_out = [path for path in photos if is_held_out(person_of_photo(path.name))]
    for path in held_out[:: max(1, len(held_out) // max(1, run.wild))][: run.wild]:
        yield f"auteur 256 px {path.stem}", lambda path=path: make(path, 256)


def recorded(run: Benchmark, data: Path) -> Iterator[tuple[str, Callable[[], Video]]]:
    import av

    def read(path: Path) -> Video:
        with av.open(str(path)) as container:
            frames = container.decode(video=0)
            video = [np.asarray(one.to_ndarray(format="rgb24")) for one in islice(frames, FRAMES)]
        factor = min(1, LARGEST_PX / min(video[0].shape[:2]))
        size = even((video[0].shape[1] * factor, video[0].shape[0] * factor))
        return [resized(frame, *size, "lanczos") for frame in video]

    seen: Counter[str] = Counter()
    with (data / "clips" / "manifest.csv").open(newline="") as table:
        for row in csv.DictReader(table):
            person = row["identity"]
            is_new = person in seen or len(seen) < run.people
            if is_held_out(person) and is_new and seen[person] < run.clips_per_person:
                seen[person] += 1
                path = data / row["file"]
                yield f"clip {path.stem}", lambda path=path: read(path)


def walls() -> Iterator[tuple[str, Callable[[], Video]]]:
    """Walls in soft light, with the noise of a camera and without."""
    for level, noise in ((90, 0.0), (200, 0.0), (128, 1.5)):

        def make(level: int = level, noise: float = noise) -> Video:
            random = keyed_generator(f"wall {level} {noise}")
            ramp = level + np.linspace(-12, 12, 512)[:, None, None] * np.ones((1, 512, 3))
            frames = (ramp + noise * random.normal(size=(512, 512, 3)) for _ in range(FRAMES))
            return [np.rint(frame).astype(np.uint8) for frame in frames]

        yield f"wall {level} noise {noise:g}", make


def psnr_db(error: NDArray[np.floating]) -> float:
    return float(10 * np.log10(255**2 / max(float(np.mean(error**2)), 1e-9)))


def read_as_file(video: Video) -> str | None:
    """Reads frames as `read_watermark` reads those of a file."""
    step = spacing(len(video))
    return detect(video[::step]).run_id


def measure(name: str, video: Video) -> dict[str, Any]:
    """Marks a video; returns how visible the mark is, what it costs and which changes it survives."""
    run_id = keyed_generator(name).bytes(4).hex()
    started = time.process_time()
    embedder = Embedder(run_id, (video[0].shape[1], video[0].shape[0]))
    marked = [embedder(frame) for frame in video]
    spent = time.process_time() - started
    # Of every fourth frame and its successor: the mark, and how it changes from frame to frame.
    pairs = [(i, i + 1) for i in range(0, len(video) - 1, 4)]
    marks = [[marked[i].astype(np.float32) - video[i] for i in pair] for pair in pairs]
    moves = np.mean([np.mean((b - a) ** 2) for a, b in marks])
    own = np.mean([np.mean((video[b].astype(np.float32) - video[a]) ** 2) for a, b in pairs])
    written = recoded(marked, "libx264", 18)
    unmarked = recoded(video, "libx264", 18)
    result = {
        "source": name,
        "size_px": [video[0].shape[1], video[0].shape[0]],
        "psnr_db": round(psnr_db(np.stack([mark for pair in marks for mark in pair])), 2),
        "lowest_psnr_db": round(min(psnr_db(mark) for pair in marks for mark in pair), 2),
        "change_of_mark": round(float(moves), 4),
        "change_of_video": round(float(own), 4),
        "ms_per_frame": round(1000 * spent / len(video), 2),
        "unmarked_found": read_as_file(unmarked) is not None,
    }
    found = {change: read_as_file(CHANGES[change](written)) for change in CHANGES}
    result["found"] = {change: run == run_id for change, run in found.items()}
    result["wrong"] = sum(run is not None and run != run_id for run in found.values())
    return result


def measure_clean(run: Benchmark, photos: Path) -> dict[str, Any]:
    """Searches photographs without watermark, in place, and some everywhere."""
    paths, in_place, everywhere = sorted(photos.glob("*.jpg"))[: run.clean], 0, 0
    for number, path in enumerate(paths):
        estimate = estimate_pattern(read_image(path))
        in_place += search(estimate, [(1.0, 0.0)], frames=1).found
        if number < run.clean_everywhere:
            everywhere += search(estimate, frames=1).found
    return {
        "source": "clean",
        "frames": len(paths),
        "found": in_place,
        "frames_everywhere": min(len(paths), run.clean_everywhere),
        "found_everywhere": everywhere,
    }


def report(lines: Sequence[dict[str, Any]]) -> None:
    videos = [line for line in lines if line["source"] != "clean"]
    count = len(videos)
    print(f"\n| change | identified of {count} | missed |\n|---|---|---|")
    for change in CHANGES:
        missed = [line["source"] for line in videos if not line["found"][change]]
        print(f"| {change} | {count - len(missed)} | {', '.join(missed)} |")
    print(
        "\n| source | size | PSNR dB | lowest | flicker, mark : video | ms/frame |\n|---|---|---|---|---|---|"
    )
    for line in videos:
        width, height = line["size_px"]
        print(
            f"| {line['source']} | {width}x{height} | {line['psnr_db']} | {line['lowest_psnr_db']} "
            f"| {line['change_of_mark']} : {line['change_of_video']} | {line['ms_per_frame']} |"
        )
    print(f"\nwrong run ids {sum(line['wrong'] for line in videos)}, ", end="")
    print(f"unmarked found {sum(line['unmarked_found'] for line in videos)} of {count}")
    print([line for line in lines if line["source"] == "clean"])


def main(run: Benchmark) -> None:
    torch.set_num_threads(1)
    done = [json.loads(text) for text in run.out.read_text().splitlines()] if run.out.is_file() else []
    if run.report or run.data is None:
        return report(done)
    names = {line["source"] for line in done}
    groups = [list(generated(run, run.data))[::-1], list(recorded(run, run.data)), list(walls())]
    # Sources of each kind in turn, small and painted ones first, so that a run that is broken off has seen
    # all kinds and the hard ones.
    longest = max(map(len, groups))
    sources = [group[i] for i in range(longest) for group in groups if i < len(group)]
    for name, make in sources:
        if name in names:
            continue
        line = measure(name, make())
        done.append(line)
        with run.out.open("a") as file:
            file.write(json.dumps(line) + "\n")
        print(name, line["psnr_db"], [change for change, ok in line["found"].items() if not ok], flush=True)
    if run.photos is not None and "clean" not in names:
        done.append(measure_clean(run, run.photos))
        with run.out.open("a") as file:
            file.write(json.dumps(done[-1]) + "\n")
    report(done)


if __name__ == "__main__":
    main(tyro.cli(Benchmark))
