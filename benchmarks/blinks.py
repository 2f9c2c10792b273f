r"""How far the eyes close in requested blinks, measured in the final frames by the tracker.

    python benchmarks/blinks.py --portraits FOLDER --speech FILE [--preset compact] [--seconds 12] \
        [--judge face_landmarker.task]

A blink is requested where the generator's lids come down beyond 0.9. It counts as closed if the gap between
the lids is then below a fifth of what it is while the eye is open, in the frame or one of its neighbours.
With --judge, MediaPipe measures the gap instead of our own tracker, which made the lids move.
"""

import argparse
import itertools
import tempfile
from pathlib import Path

import numpy as np
import torch

from auteur import TalkingHead
from auteur.errors import AuteurError
from auteur.face.auteur_backend import AuteurBackend
from auteur.face.mediapipe_backend import MediaPipeBackend
from auteur.face.tracker import FaceTracker
from auteur.media import read_speech, write_audio
from auteur.provenance import Mark
from auteur.signals import Waveform

LIDS = {"right": (159, 145, 33, 133), "left": (386, 374, 362, 263)}
"""Upper lid, lower lid, corners."""
ASKED, CLOSED = 0.9, 0.2


def gaps(landmarks: np.ndarray) -> np.ndarray:
    """Lid gap in eye widths, [T, 2], of landmarks [T, 478, 3]."""
    columns = []
    for upper, lower, outer, inner in LIDS.values():
        gap = np.linalg.norm(landmarks[:, upper, :2] - landmarks[:, lower, :2], axis=1)
        width = np.linalg.norm(landmarks[:, outer, :2] - landmarks[:, inner, :2], axis=1)
        columns.append(gap / width)
    return np.stack(columns, axis=1)


def peaks(lids: np.ndarray) -> list[int]:
    """Frames in which a blink is deepest, of lids [T]."""
    found = []
    for is_shut, frames in itertools.groupby(range(len(lids)), key=lambda t: bool(lids[t] > ASKED)):
        if is_shut:
            run = list(frames)
            found.append(run[int(np.argmax(lids[run]))])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--portraits", type=Path, required=True)
    parser.add_argument("--speech", type=Path, required=True)
    parser.add_argument("--preset", default="compact")
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--judge", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    head, total, closed = TalkingHead.from_pretrained(given.preset), 0, 0
    with tempfile.TemporaryDirectory() as folder:
        speech = Path(folder) / "speech.wav"
        spoken = read_speech(given.speech)
        count = round(given.seconds * spoken.rate_hz)
        write_audio(
            speech, Waveform(samples=np.resize(spoken.samples, count), rate_hz=spoken.rate_hz), mark=Mark()
        )
        for portrait in sorted(given.portraits.glob("*.jpg")):
            try:
                video = head(portrait, speech)
            except AuteurError as error:
                print(f"{portrait.name}: {error}")
                continue
            tracker = FaceTracker(MediaPipeBackend(given.judge) if given.judge else AuteurBackend())
            readings = [tracker.step(frame) for frame in video.frames()]
            lids = video._motion.lids.mean(axis=1)
            seen = np.array([r is not None for r in readings])
            found = gaps(np.stack([r.landmarks for r in readings if r is not None]))
            gap = np.full((len(readings), 2), np.nan)
            gap[seen] = found
            still_open = np.nanmedian(gap[: len(lids)][lids[: len(gap)] < 0.1], axis=0)
            share = (gap / still_open).mean(axis=1)
            depths = [np.nanmin(share[max(0, p - 1) : p + 2]) for p in peaks(lids[: len(gap)])]
            total, closed = total + len(depths), closed + sum(d < CLOSED for d in depths)
            print(
                f"{portrait.name:32s} {len(depths)} blinks, open share {np.round(depths, 2).tolist()}",
                flush=True,
            )
    print(f"{closed} of {total} requested blinks close to below {CLOSED:.0%}: {closed / max(1, total):.1%}")


if __name__ == "__main__":
    main()
