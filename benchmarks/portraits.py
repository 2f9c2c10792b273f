r"""One picture of what becomes of every portrait of a folder, for people to look at.

    python benchmarks/portraits.py --portraits FOLDER --out SHEET.png [--preset compact] [--speech FILE]

A row holds a portrait as it is, at rest, in a closed and an open vowel of the speech, in a blink, with a
smile and surprised; under each its eyes and its mouth, one pixel of the video for one of the sheet and small
ones enlarged. The notes on a portrait, or why it is refused, are printed and stand over
its row.
"""

import argparse
import tempfile
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw

from auteur import TalkingHead
from auteur.errors import AuteurError
from auteur.face.auteur_backend import AuteurBackend
from auteur.face.pose import canonical_face, head_pose
from auteur.face.tracker import find_face
from auteur.media import read_image, read_speech, write_audio, write_image
from auteur.motion.mouth import lip_gap
from auteur.provenance import Mark
from auteur.signals import Waveform
from auteur.talking_head.inputs import fitted
from auteur.talking_head.request import PerformanceRequest
from auteur.talking_head.settings import Settings
from auteur.talking_head.talking_head import TalkingVideo

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
STILL = Settings(fps=Fraction(12), head=0.0, blinks=False, gaze=False)
SHOWS = {
    "rest": PerformanceRequest(),
    "blink": PerformanceRequest(action_units={"AU45": 1.0}),
    "smile": PerformanceRequest(action_units={"AU12": 1.0}),
    "surprised": PerformanceRequest("surprised"),
}
"""What is shown in silence."""
CELL_PX, GAP_PX, LINE_PX = 240, 4, 14
EYES_MM, MOUTH_MM = (104.0, 40.0), (84.0, 60.0)
"""Width and height of the details, in millimetres of the head."""

Frames = np.ndarray


@dataclass(frozen=True)
class Sounds:
    """Recordings to perform to."""

    speech: Path
    silence: Path


def sounds(folder: Path, speech: Path, seconds: float) -> Sounds:
    """Returns the beginning of a recording, and silence."""
    voice = read_speech(speech)
    voice = voice.slice(0, min(seconds, float(voice.duration_sec)))
    quiet = Waveform(samples=np.zeros(4 * voice.rate_hz // 10, dtype=np.float32), rate_hz=voice.rate_hz)
    for name, sound in (("speech", voice), ("silence", quiet)):
        write_audio(folder / f"{name}.wav", sound, mark=Mark())
    return Sounds(folder / "speech.wav", folder / "silence.wav")


def frame_of(video: TalkingVideo, number: int) -> tuple[Frames, Frames]:
    """Returns one frame and its landmarks [478, 3]."""
    for index, frame in enumerate(video.frames()):
        if index == number:
            return frame, video.landmarks(number, number + 1).values[0]
    raise IndexError(number)


def states(
    head: TalkingHead, portrait: Path, recordings: Sounds, habits: bool
) -> tuple[dict[str, tuple[Frames, Frames]], tuple[str, ...]]:
    """Returns frames and landmarks [478, 3] by what is shown, and the notes for the user."""
    speaking = replace(STILL, head=float(habits), blinks=habits, gaze=habits)
    video = head.perform(portrait, recordings.speech, PerformanceRequest(), speaking)
    gaps = lip_gap(video.landmarks().values)
    order = np.argsort(gaps)
    picked = {"closed vowel": int(order[len(order) // 5]), "open vowel": int(order[-1])}
    shown = {name: frame_of(video, number) for name, number in picked.items()}
    for name, request in SHOWS.items():
        silent = head.perform(portrait, recordings.silence, request, STILL)
        shown[name] = frame_of(silent, silent.frame_count - 1)
    names = ("rest", "closed vowel", "open vowel", "blink", "smile", "surprised")
    return {name: shown[name] for name in names}, video.notes


def detail(
    frame: Frames,
    landmarks: Frames,
    around: tuple[int, ...],
    size_mm: tuple[float, float],
    *,
    fits: bool = False,
) -> Image.Image:
    """Returns a part of the face as wide as a cell: a small one enlarged, of a large one the middle.

    With `fits` a large one is made smaller instead.
    """
    pose = head_pose(landmarks)
    x, y = (pose.rotation @ canonical_face()[list(around)].mean(0) * pose.scale + pose.shift)[:2]
    width, height = (float(pose.scale) * side for side in size_mm)
    box = tuple(round(v) for v in (x - width / 2, y - height / 2, x + width / 2, y + height / 2))
    part = Image.fromarray(frame).crop(box)
    times = CELL_PX / part.width
    if times < 1 and not fits:  # a large face: its middle, as it is
        left, top = (part.width - CELL_PX) // 2, max(0, part.height - round(height / width * CELL_PX)) // 2
        return part.crop((left, top, left + CELL_PX, top + round(height / width * CELL_PX)))
    return part.resize((CELL_PX, round(part.height * times)), Image.Resampling.BICUBIC)


def cell(name: str, frame: Frames, landmarks: Frames) -> Image.Image:
    """Returns the face, its eyes and its mouth, one above the other."""
    points = landmarks[:, :2]
    middle, half = points.mean(0), 0.8 * np.ptp(points, axis=0).max()
    face = Image.fromarray(frame).crop(
        (*np.round(middle - half).astype(int), *np.round(middle + half).astype(int))
    )
    parts = [
        face.resize((CELL_PX, CELL_PX), Image.Resampling.LANCZOS),
        detail(frame, landmarks, (33, 133, 362, 263), EYES_MM, fits=True),
        detail(frame, landmarks, (13, 14, 61, 291, 17), MOUTH_MM),
    ]
    whole = Image.new("RGB", (CELL_PX, LINE_PX + sum(part.height + GAP_PX for part in parts)))
    ImageDraw.Draw(whole).text((2, 1), name, fill="white")
    top = LINE_PX
    for part in parts:
        whole.paste(part, (0, top))
        top += part.height + GAP_PX
    return whole


def row(name: str, cells: list[Image.Image], lines: tuple[str, ...]) -> Image.Image:
    """Returns the cells side by side, with a heading and the notes for the user."""
    height = LINE_PX * (1 + len(lines)) + max((one.height for one in cells), default=0)
    whole = Image.new("RGB", (7 * (CELL_PX + GAP_PX), height + GAP_PX), (40, 40, 60))
    draw = ImageDraw.Draw(whole)
    for i, line in enumerate((name, *lines)):
        draw.text((2, 1 + i * LINE_PX), line, fill=(255, 230, 120) if i else "white")
    for i, one in enumerate(cells):
        whole.paste(one, (i * (CELL_PX + GAP_PX), LINE_PX * (1 + len(lines))))
    return whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--portraits", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--preset", default="compact")
    parser.add_argument("--speech", type=Path, default=Path(__file__).parents[1] / "examples" / "speech.flac")
    parser.add_argument("--seconds", type=float, default=1.6)
    parser.add_argument("--habits", action="store_true", help="head motion, blinks and gaze while it speaks")
    given = parser.parse_args()
    torch.set_num_threads(1)
    head, backend = TalkingHead.from_pretrained(given.preset), AuteurBackend()
    rows: list[Image.Image] = []
    with tempfile.TemporaryDirectory() as folder:
        recordings = sounds(Path(folder), given.speech, given.seconds)
        for path in sorted(p for p in given.portraits.iterdir() if p.suffix.lower() in SUFFIXES):
            try:
                shown, notes = states(head, path, recordings, given.habits)
            except AuteurError as error:
                shown, notes = {}, (f"refused: {error}",)
            cells: list[Image.Image] = []
            if shown:
                picture = fitted(read_image(path))
                cells = [cell("portrait", picture, find_face(backend, picture).landmarks)]
                cells += [cell(name, *one) for name, one in shown.items()]
            rows.append(row(path.name, cells, notes))
            print(path.name, *notes, sep="\n    ", flush=True)
    sheet = np.concatenate([np.asarray(one) for one in rows])
    write_image(given.out, sheet, mark=Mark(settings={"benchmark": "portraits"}), overwrite=True)


if __name__ == "__main__":
    main()
