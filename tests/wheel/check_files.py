"""Looks at what the command made in this folder: lengths, faces, marks; and at what was installed."""

import csv
import importlib.metadata
from importlib.resources import files
from pathlib import Path

from auteur.media import probe
from auteur.provenance import Verdict, verify

MOST_FRAMES_OFF = 2


def main() -> None:
    """Raises AssertionError where something is not as it should be."""
    for name in ("mp3.mp4", "m4a.mp4"):
        info = probe(name)
        assert abs((info.frames or 0) - 50) <= MOST_FRAMES_OFF, (name, info)
        assert info.audio_rate_hz, name
        assert verify(name).verdict is Verdict.INTACT, name
    assert verify("film.mp4").verdict is Verdict.UNMARKED
    for name, frames in (("film.csv", 25), ("m4a.csv", probe("m4a.mp4").frames)):
        with Path(name).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, skipinitialspace=True))
        assert len(rows) == frames, (name, len(rows))
        assert all(row["success"] == "1" for row in rows), name
    assert files("auteur").joinpath("py.typed").is_file()
    about = importlib.metadata.metadata("auteur-face")
    assert "LicenseRef-Auteur-Weights-NonCommercial" in about["License-Expression"]
    print("all as it should be")


if __name__ == "__main__":
    main()
