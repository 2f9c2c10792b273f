"""Crops of real speech with the lips that were filmed saying it, for a speech encoder that expects lips."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from auteur.data.motion_tracks import Part, first_frame, lip_gap_mm
from auteur.data.speech.augment import AugmentConfig, Disguise
from auteur.media import read_speech
from auteur.speech.mel import MelConfig, levelled, measure_level, mel_power

CROP_FRAMES = 100
"""Video frames of a crop: four seconds."""
_HEARINGS = 4
_MEL_PER_FRAME = 4
_SAMPLES_PER_FRAME = 640

Samples = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class LipClip:
    """The sound of a clip, moved to fit its picture, and how far the lips are apart in it."""

    person: str
    part: Part
    samples: Samples
    """[T * 640] at 16 kHz."""
    gap: Samples
    """Inner-lip gap [T] at 25 fps, zero mean and unit variance."""


def read_lip_clips(tracks: Path, labels: Path, manifest: Path) -> list[LipClip]:
    """Returns the clips whose sound belongs to their picture.

    Args:
        tracks: What `python -m auteur.data.motion_tracks` wrote; it knows every clip's lag.
        labels: What `python -m auteur.data.face_teacher` wrote.
        manifest: CSV of the clips with the columns file, wav, fps.
    """
    with manifest.open(newline="", encoding="utf-8") as file:
        rows = {Path(row["file"]).stem: row for row in csv.DictReader(file)}
    clips: list[LipClip] = []
    for path in sorted(tracks.glob("*.npz")):
        track = np.load(path)
        if "speech" not in track:
            continue
        row = rows[path.stem]
        sound = read_speech(manifest.parent.parent / (row["wav"] or row["file"])).samples
        first = first_frame(labels / path.name, float(row["fps"])) - int(track["lag"])
        gap = lip_gap_mm(track["displacement"].astype(np.float64))
        clips.append(
            LipClip(
                person=str(track["identity"]),
                part=str(track["part"]),  # pyright: ignore[reportArgumentType]
                samples=_from_frame(np.array(sound, np.float32), first, len(gap)),
                gap=((gap - gap.mean()) / (gap.std() + 1e-6)).astype(np.float32),
            )
        )
    return clips


def _from_frame(samples: Samples, first: int, frames: int) -> Samples:
    """Sound of `frames` video frames from frame `first` on; silence where there is none."""
    start = first * _SAMPLES_PER_FRAME
    samples = samples[start:] if start > 0 else np.pad(samples, (-start, 0))
    wanted = frames * _SAMPLES_PER_FRAME
    return np.pad(samples, (0, max(0, wanted - samples.size)))[:wanted]


class LipCrops:
    """Endless batches of crops, disguised in room, noise and throat.

    Args:
        clips: Training people's.
        crops: Per batch.
        seed: Everything follows from it.
    """

    def __init__(self, clips: list[LipClip], *, crops: int = 12, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self._disguise = Disguise(self.random, AugmentConfig(noise_db=(5.0, 30.0)))
        self._clips, self._crops = clips, crops
        self._mel = MelConfig()
        self._powers = [self._hearings(clip) for clip in clips]
        lengths = np.array([len(clip.gap) ** 0.7 for clip in clips])
        self._chance = lengths / lengths.sum()

    def _hearings(self, clip: LipClip) -> list[Tensor]:
        heard = [clip.samples, *(self._disguise.sound(clip.samples) for _ in range(_HEARINGS))]
        return [mel_power(torch.from_numpy(sound), self._mel) for sound in heard]

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        """Yields frames [N, 400, bands] (levelled log-mel) and gaps [N, 100]; past the end NaN gaps."""
        while True:
            powers, gaps = zip(*(self._crop() for _ in range(self._crops)), strict=True)
            power = self._disguise.throats(torch.stack(powers))
            yield {"lip_frames": levelled(power, measure_level(power)), "gaps": torch.stack(gaps)}

    def _crop(self) -> tuple[Tensor, Tensor]:
        number = int(self.random.choice(len(self._clips), p=self._chance))
        hearings = self._powers[number]
        power = hearings[self.random.integers(len(hearings))]
        gap = torch.from_numpy(self._clips[number].gap)
        start = int(self.random.integers(max(1, len(gap) - CROP_FRAMES + 1)))
        gap = gap[start : start + CROP_FRAMES]
        power = power[start * _MEL_PER_FRAME : (start + CROP_FRAMES) * _MEL_PER_FRAME]
        missing = CROP_FRAMES - len(gap)
        gap = torch.cat([gap, torch.full((missing,), torch.nan)])
        silence = torch.zeros(CROP_FRAMES * _MEL_PER_FRAME - len(power), power.shape[1])
        return torch.cat([power, silence]), gap
