"""Picture measures of one generated video, fed frame by frame; memory does not grow with length."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from auteur.evaluate.behaviour import FlickerMeter
from auteur.evaluate.face_features import (
    FaceFeatureNet,
    FaceFeatures,
    aligned_crop,
    appearance_similarity,
    perceptual_distance,
)
from auteur.evaluate.judges import IdentityNetwork
from auteur.evaluate.picture_quality import psnr, sharpness, ssim
from auteur.evaluate.reference_networks import I3d, Inception, Lpips
from auteur.evaluate.syncnet import SIDE_PX, SyncNet
from auteur.face.backend import FaceReading
from auteur.face.crops import CropFrame, cropped
from auteur.signals.topology import OUTER_LIPS

Floats = NDArray[np.floating]
Picture = NDArray[np.uint8]

SAME_PICTURE_DB = 60.0
"""PSNR in dB of equal pictures, and upper limit of all others."""
_MOUTH_ROOM = 1.5
_LONGEST_SYNCNET_FRAMES = 750


@dataclass(frozen=True)
class Networks:
    """All networks that a score can use; figures of those that are None are left out of the report."""

    features: FaceFeatureNet
    lpips: Lpips | None = None
    inception: Inception | None = None
    i3d: I3d | None = None
    syncnet: SyncNet | None = None
    identity: IdentityNetwork | None = None


@dataclass
class RealFrame:
    """The real frame that generated ones are measured against, with what several systems share."""

    picture: Picture
    reading: FaceReading | None
    is_sampled: bool
    """Whether the picture measures include it."""
    features: FaceFeatures | None = None
    """Features of the target appearance of generated faces."""
    embedding: Floats | None = None
    """Embedding of the person that generated faces should be, by the identity network."""
    is_truth: bool = True
    """Whether generated pictures should be equal to it; false where it shows another person."""

    def mouth(self) -> tuple[slice, slice] | None:
        """Returns rows and columns of the real mouth's square, or None without a face."""
        if self.reading is None:
            return None
        lips = self.reading.landmarks[list(OUTER_LIPS), :2]
        middle = (lips.min(axis=0) + lips.max(axis=0)) / 2
        half = max(8, round(_MOUTH_ROOM * float(np.ptp(lips, axis=0).max()) / 2))
        column, row = (
            int(np.clip(round(float(c)), half, size - half))
            for c, size in zip(middle, self.picture.shape[1::-1], strict=True)
        )
        return slice(row - half, row + half), slice(column - half, column + half)


@dataclass
class VideoStream:
    """One video beside the real one."""

    networks: Networks
    readings: list[FaceReading | None] = field(default_factory=list)
    flicker: FlickerMeter = field(default_factory=FlickerMeter)
    values: dict[str, list[float]] = field(default_factory=dict)
    summaries: list[Floats] = field(default_factory=list)
    """Features of the sampled faces, for Fréchet distances."""
    sampled: list[Picture] = field(default_factory=list)
    """Sampled pictures, kept only where a network needs them afterwards."""
    faces: list[Picture] = field(default_factory=list)
    """SyncNet's crops."""
    clips: list[Picture] = field(default_factory=list)

    def add(self, picture: Picture, reading: FaceReading | None, real: RealFrame) -> None:
        """Adds the next frame and the real one at the same time."""
        self.readings.append(reading)
        if real.is_truth:
            self.flicker.add(picture, real.picture)
        if self.networks.syncnet is not None and len(self.faces) < _LONGEST_SYNCNET_FRAMES:
            self.faces.append(_syncnet_crop(picture))
        if self.networks.i3d is not None and len(self.clips) < _LONGEST_SYNCNET_FRAMES:
            self.clips.append(picture)
        if not real.is_sampled:
            return
        if real.is_truth:
            self._compare(picture, real)
        if self.networks.inception is not None:
            self.sampled.append(picture)
        if reading is not None:
            self._features(picture, reading, real)
            self._identity(picture, reading, real)

    def means(self) -> dict[str, float]:
        """Returns the mean of every measure over the frames it was taken in."""
        return {name: float(np.mean(values)) for name, values in self.values.items()}

    def _compare(self, picture: Picture, real: RealFrame) -> None:
        both = picture[None], real.picture[None]
        self._note("psnr", min(float(psnr(*both)[0]), SAME_PICTURE_DB))
        self._note("ssim", float(ssim(*both)[0]))
        self._mouth(picture, real)
        if self.networks.lpips is not None:
            self._note("lpips", float(self.networks.lpips.distance(*both)[0]))

    def _mouth(self, picture: Picture, real: RealFrame) -> None:
        square = real.mouth()
        if square is None:
            return
        mine, theirs = (np.ascontiguousarray(p[square])[None] for p in (picture, real.picture))
        self._note("mouth_ssim", float(ssim(mine, theirs)[0]))
        self._note("mouth_sharpness", float(sharpness(mine)[0] / max(float(sharpness(theirs)[0]), 1e-6)))

    def _identity(self, picture: Picture, reading: FaceReading, real: RealFrame) -> None:
        network = self.networks.identity
        if network is None:
            return
        if real.embedding is None and real.reading is not None:
            real.embedding = network.describe(real.picture, real.reading.landmarks)
        if real.embedding is not None:
            mine = network.describe(picture, reading.landmarks)
            self._note("csim", float(mine @ real.embedding))

    def _features(self, picture: Picture, reading: FaceReading, real: RealFrame) -> None:
        net = self.networks.features
        if real.features is None and real.reading is not None:
            real.features = net.describe(aligned_crop(real.picture, real.reading.landmarks)[None])
        if picture is real.picture and real.is_truth and real.features is not None:
            mine = real.features
        else:
            mine = net.describe(aligned_crop(picture, reading.landmarks)[None])
        self.summaries.append(mine.summary[0])
        if real.features is not None and real.is_truth:
            self._note("perceptual", float(perceptual_distance(mine, real.features)[0]))
        if real.features is not None:
            self._note("identity", float(appearance_similarity(mine.appearance, real.features.appearance)[0]))

    def _note(self, name: str, value: float) -> None:
        self.values.setdefault(name, []).append(value)


def _syncnet_crop(picture: Picture) -> Picture:
    """The crop of SyncNet's scripts, out of a crop of 1.8 faces: 1.4 faces, a little below the middle."""
    side = picture.shape[0]
    return cropped(picture, CropFrame(((side - 1) / 2, (side - 1) / 2 + 0.11 * side), 0.78 * side), SIDE_PX)
