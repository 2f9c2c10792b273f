"""A portrait speaks in three emotions, side by side: what `make demo` runs.

The portrait is scikit-image's "astronaut", a public-domain photograph of NASA; the speech is ours
(`examples/README.md`). Everything else ships with the package; nothing is downloaded.
"""

import tempfile
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
from rich.progress import track
from skimage import data

from auteur import provenance
from auteur.cli.console import one_thread
from auteur.face.auteur_backend import AuteurBackend
from auteur.media import VideoReader, VideoWriter, read_speech, write_image
from auteur.plots.track_plot import plot_track
from auteur.talking_head.talking_head import TalkingHead
from auteur.tracking.track_file import track_file

HERE = Path(__file__).parent
OUT = HERE.parent / "out"
EMOTIONS = ("happy", "sad", "surprised")
MARK = provenance.Mark(settings={"demo": "three emotions side by side"})


def main() -> None:
    """Writes out/demo.mp4, out/demo_action_units.png and a contact sheet."""
    started = time.monotonic()
    one_thread()
    OUT.mkdir(exist_ok=True)
    speech = HERE / "speech.flac"
    with tempfile.TemporaryDirectory() as folder:
        portrait = Path(folder) / "portrait.png"
        write_image(portrait, np.ascontiguousarray(data.astronaut()[:384, 32:416]), mark=MARK)
        head = TalkingHead.from_pretrained("compact")
        videos = [head(portrait, speech, emotion=emotion, intensity=0.8) for emotion in EMOTIONS]
        strips: list[np.ndarray] = []
        width, height = (sum(v.size_px[0] for v in videos), videos[0].size_px[1])
        with VideoWriter(
            OUT / "demo.mp4",
            size_px=(width, height),
            rate=Fraction(25),
            mark=MARK,
            audio=read_speech(speech),
            overwrite=True,
        ) as writer:
            together = zip(*(video.frames() for video in videos), strict=True)
            for index, frames in enumerate(track(together, "rendering", total=videos[0].frame_count)):
                writer.write(np.concatenate(frames, axis=1))
                if index % (videos[0].frame_count // 4) == 10:
                    strips.append(np.concatenate(frames, axis=1))
        videos[0].save(Path(folder) / "happy.mp4")
        table = Path(folder) / "happy.csv"
        track_file(Path(folder) / "happy.mp4", table, AuteurBackend())
        plot_track(table, OUT / "demo_action_units.png", overwrite=True)
    write_image(OUT / "demo_sheet.jpg", np.concatenate(strips[:2], axis=1), mark=MARK, overwrite=True)
    with VideoReader(OUT / "demo.mp4") as video:
        seconds = float(video.info.duration_sec or 0)
    print(f"{OUT / 'demo.mp4'}: {seconds:.1f} s of {', '.join(EMOTIONS)}")
    print(f"{OUT / 'demo_action_units.png'}: Action Units measured in the happy one")
    print(f"{time.monotonic() - started:.0f} s of work")


if __name__ == "__main__":
    main()
