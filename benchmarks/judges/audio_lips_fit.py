"""Fits the coefficients of the audio-lip agreement on real people, the held-out ones left out.

    python benchmarks/judges/audio_lips_fit.py --clips clips/manifest.csv --out audio_lips.csv

Clips whose sound and picture are apart are shifted by the lag at which they agree with what other people's
coefficients expect; those that never agree count a tenth.
"""

import csv
from dataclasses import dataclass
from itertools import islice, product
from pathlib import Path

import numpy as np
import tyro
from numpy.typing import NDArray

from auteur.errors import MediaError
from auteur.evaluate.audio_lips import (
    FEATURES,
    LARGEST_LAG_FRAMES,
    LIP_MEASURES,
    RATE,
    TAPS,
    agreement_of,
    lip_measures_mm,
    speech_inputs,
)
from auteur.evaluate.lags import aligned, without_drift
from auteur.evaluate.views import observe
from auteur.files import write_text
from auteur.formats.table import table_text
from auteur.lab.data.splits import is_held_out
from auteur.media import VideoReader, read_speech
from auteur.speech.features import CompactSpeechFeatures

Floats = NDArray[np.floating]

PENALTY = 3000.0
ROUNDS = 3
BELIEVED = 0.25
MOST_SEC = 20


@dataclass(frozen=True)
class Fit:
    """Where the clips are and where the coefficients go."""

    clips: Path
    """CSV with the columns file, wav (relative to the CSV's parent folder), identity, speech."""
    out: Path


@dataclass
class Heard:
    """One clip while its lag is sought."""

    person: str
    sound: Floats
    """[T, taps × features], drift taken out."""
    lips: Floats
    """[T, 3] in the clip's own standard deviations, drift taken out."""
    lag: int = 0
    weight: float = 1.0

    def normal_equations(self) -> tuple[Floats, Floats]:
        """Returns XᵀX and XᵀY at the clip's lag."""
        x, y = aligned(self.sound, self.lips, self.lag)
        return self.weight * x.T @ x, self.weight * x.T @ y


def read(clips: Path) -> list[Heard]:
    """Returns the clips with usable speech, of people who are not held out."""
    encoder = CompactSpeechFeatures.shipped()
    found: list[Heard] = []
    with clips.open(encoding="utf-8") as table:
        rows = [row for row in csv.DictReader(table) if row["speech"] == "yes"]
    for row in rows:
        if is_held_out(row["identity"]):
            continue
        root = clips.parent.parent
        try:
            analysis = encoder.analyse(read_speech(root / (row["wav"] or row["file"])), RATE)
            with VideoReader(root / row["file"]) as video:
                frames = islice(video.frames_at(RATE), int(MOST_SEC * RATE))
                landmarks = observe((frame.image for frame in frames), RATE).landmarks
        except MediaError:
            continue
        if np.isnan(landmarks[:, 0, 0]).mean() > 0.05:
            continue
        sound, lips = without_drift(speech_inputs(analysis)), without_drift(lip_measures_mm(landmarks))
        size = min(len(sound), len(lips))
        found.append(Heard(row["identity"], sound[:size], lips[:size] / (lips[:size].std(axis=0) + 1e-6)))
    return found


def solve(clips: list[Heard]) -> Floats:
    """Returns ridge coefficients [taps × features, 3]; inputs are standardised for the penalty only."""
    everything = np.concatenate([clip.sound for clip in clips])
    scale = everything.std(axis=0) + 1e-6
    pairs = [clip.normal_equations() for clip in clips]
    gram = sum(gram for gram, _ in pairs) / np.outer(scale, scale)
    product_ = sum(both for _, both in pairs) / scale[:, None]
    return np.linalg.solve(gram + PENALTY * np.eye(len(scale)), product_) / scale[:, None]


def fit(clips: list[Heard]) -> Floats:
    """Returns the coefficients, after lags were sought with those of the other people."""
    for _ in range(ROUNDS):
        for person in {clip.person for clip in clips}:
            others = solve([clip for clip in clips if clip.person != person])
            for clip in clips:
                if clip.person == person:
                    found = agreement_of(clip.lips, clip.sound @ others)
                    believed = found.correlation >= BELIEVED and abs(found.lag_frames) < LARGEST_LAG_FRAMES
                    clip.lag, clip.weight = (found.lag_frames, 1.0) if believed else (0, 0.1)
    return solve(clips)


def main(run: Fit) -> None:
    """Writes the coefficients."""
    values = fit(read(run.clips))
    rows = [
        [tap, feature, *(f"{value:.4f}" for value in row)]
        for (tap, feature), row in zip(product(TAPS, FEATURES), values, strict=True)
    ]
    write_text(run.out, table_text(["frame", "feature", *LIP_MEASURES], rows), overwrite=True)


if __name__ == "__main__":
    main(tyro.cli(Fit))
