"""Crops of real speech with its filmed lips, for a speech encoder that predicts lips."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from auteur.lab.data.motion_tracks import read_tracks, training_tracks
from auteur.lab.data.motion_windows import fit_space
from auteur.lab.data.random_windows import mixed_chances
from auteur.lab.data.shards import Corpora
from auteur.lab.data.speech.augment import AugmentConfig, Disguise
from auteur.lab.data.splits import Part
from auteur.motion.mouth import lip_gap
from auteur.speech.mel import MelConfig, levelled, measure_level, mel_power

CROP_FRAMES = 100
"""Video frames of a crop: four seconds."""
LIP_COEFFICIENTS = 10
LIP_TARGETS = ("gap", "width", *(f"coefficient{n}" for n in range(LIP_COEFFICIENTS)))
"""Targets of a lip encoder: the inner lip gap, the distance of the mouth corners, and the largest
coefficients of the mesh's displacement."""

_MOUTH_CORNERS = (61, 291)
_HEARINGS = 7
_MEL_PER_FRAME = 4

Samples = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class LipClip:
    """The sound of a clip, shifted to fit its picture, and its lip targets."""

    person: str
    part: Part
    samples: Samples
    """[T * 640] at 16 kHz."""
    targets: Samples
    """`LIP_TARGETS` [T, 12] at 25 fps, each of zero mean and unit variance."""
    is_generated: bool = False
    """Whether a talking-head system made the video."""
    corpus: str = ""
    """Corpus that it is from."""

    @property
    def gap(self) -> Samples:
        """Inner-lip gap [T]."""
        return self.targets[:, 0]


def read_lip_clips(corpora: Corpora) -> list[LipClip]:
    """Returns the clips with speech of prepared corpora, which have the feature "motion".

    Raises:
        InputError: The feature is missing, or there is no clip of a person who trains.
    """
    tracks = training_tracks(read_tracks(corpora, speech=None, sound=True), corpora)
    moved = [track.displacement.astype(np.float32) for track in tracks]
    pairs = list(zip(tracks, moved, strict=True))
    space = fit_space([one for track, one in pairs if track.part == "train"], LIP_COEFFICIENTS)
    clips: list[LipClip] = []
    for track, displacement in pairs:
        if track.samples is None:
            continue
        face = displacement + track.neutral
        left, right = _MOUTH_CORNERS
        width = np.linalg.norm(face[:, left, :2] - face[:, right, :2], axis=1)
        targets = np.column_stack([lip_gap(displacement), width, space.coefficients(displacement)])
        clips.append(
            LipClip(
                person=track.person,
                part=track.part,
                samples=track.samples,
                targets=((targets - targets.mean(0)) / (targets.std(0) + 1e-6)).astype(np.float32),
                is_generated=track.is_generated,
                corpus=track.corpus,
            )
        )
    return clips


def lip_shares(corpora: Corpora, clips: list[LipClip]) -> dict[str, float] | None:
    """Returns the share of each corpus among filmed clips (`Corpora.shares`).

    Raises:
        UsageError: `corpora.mix` does not name a corpus of a clip.
    """
    return corpora.shares(clip.corpus for clip in clips if not clip.is_generated)


class LipCrops:
    """Endless batches of crops, augmented in room, noise and vocal tract.

    Args:
        clips: Training people's. Filmed and generated ones, where there are both, are drawn equally often.
        crops: Per batch.
        seed: Everything follows from it.
        shares: Of the corpora among filmed clips (`lip_shares`); None: by their lengths.
    """

    def __init__(
        self,
        clips: list[LipClip],
        *,
        crops: int = 12,
        seed: int = 0,
        shares: dict[str, float] | None = None,
    ) -> None:
        self.random = np.random.default_rng(seed)
        self._disguise = Disguise(self.random, AugmentConfig(noise_db=(5.0, 30.0)))
        self._clips, self._crops = clips, crops
        self._mel = MelConfig()
        self._powers = [self._hearings(clip) for clip in clips]
        lengths = np.array([len(clip.targets) ** 0.7 for clip in clips])
        is_generated = np.array([clip.is_generated for clip in clips])
        filmed = [clip.corpus for clip in clips if not clip.is_generated]
        for kind in (is_generated, ~is_generated):  # as many of either kind
            lengths[kind] /= max(lengths[kind].sum(), 1e-9)
        if filmed:
            lengths[~is_generated] = mixed_chances(lengths[~is_generated], filmed, shares)
        self._chance = lengths / lengths.sum()

    def _hearings(self, clip: LipClip) -> list[Tensor]:
        heard = [clip.samples, *(self._disguise.sound(clip.samples) for _ in range(_HEARINGS))]
        return [mel_power(torch.from_numpy(sound), self._mel) for sound in heard]

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        """Yields frames [N, 400, bands] (levelled log-mel) and targets [N, 100, 12], NaN past the end.

        Frames have a random tilt, and some bands of them are missing (Park et al. 2019, arXiv 1904.08779).
        """
        while True:
            powers, targets = zip(*(self._crop() for _ in range(self._crops)), strict=True)
            power = self._disguise.throats(torch.stack(powers))
            frames = self._masked(levelled(power, measure_level(power)))
            yield {"lip_frames": frames, "targets": torch.stack(targets)}

    def _masked(self, frames: Tensor) -> Tensor:
        count, _, bands = frames.shape
        tilt = self.random.normal(0, 0.3, (count, 1, bands)).astype(np.float32)
        frames = frames + torch.from_numpy(tilt)
        for row in range(count):
            for _ in range(2):
                first, width = int(self.random.integers(bands - 10)), int(self.random.integers(12))
                frames[row, :, first : first + width] = 0
        return frames

    def _crop(self) -> tuple[Tensor, Tensor]:
        number = int(self.random.choice(len(self._clips), p=self._chance))
        hearings = self._powers[number]
        power = hearings[self.random.integers(len(hearings))]
        targets = torch.from_numpy(self._clips[number].targets)
        start = int(self.random.integers(max(1, len(targets) - CROP_FRAMES + 1)))
        targets = targets[start : start + CROP_FRAMES]
        power = power[start * _MEL_PER_FRAME : (start + CROP_FRAMES) * _MEL_PER_FRAME]
        missing = torch.full((CROP_FRAMES - len(targets), targets.shape[1]), torch.nan)
        silence = torch.zeros(CROP_FRAMES * _MEL_PER_FRAME - len(power), power.shape[1])
        return torch.cat([power, silence]), torch.cat([targets, missing])
