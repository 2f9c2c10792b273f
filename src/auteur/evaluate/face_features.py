"""Features of our own landmarker, for comparing faces.

These are not Inception, VGG or ArcFace features, and the figures made of them are never called FID, LPIPS or
CSIM: they are the *auteur* feature distance, perceptual distance and appearance similarity. They need no
download, and they change with the landmarker's weights, so a report names the hash of those.

B crops, C channels, H W picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from auteur import weights
from auteur.face import crops
from auteur.face.auteur_backend import blank_landmarker, for_inference
from auteur.face.landmarker import CROP_SIZE_PX

Floats = NDArray[np.floating]


@dataclass(frozen=True)
class FaceFeatures:
    """Features of B crops."""

    maps: tuple[Tensor, ...]
    """The stem's and every stage's activations [B, C, H, W], unit length over C."""
    summary: Floats
    """Output of the summary layer [B, 256], for Fréchet distances."""
    appearance: Floats
    """Unit length [B, D]: mean activation of every channel, centred within its stage."""


class FaceFeatureNet:
    """The shipped landmarker's stem, trunk and summary layer.

    Raises:
        WeightsError: The shipped weights are missing or damaged.
    """

    def __init__(self) -> None:
        network = cast("Any", for_inference(weights.load_shipped(blank_landmarker(), "landmarker")))
        self._stem: nn.Module = network.stem
        self._trunk: nn.Sequential = network.trunk
        self._summary: nn.Module = network.summary

    @property
    def version(self) -> str:
        """The first digits of the hash of the weights."""
        return weights.version("landmarker")

    def to(self, device: torch.device) -> "FaceFeatureNet":
        """Moves it to a device, in place, and returns it."""
        for part in (self._stem, self._trunk, self._summary):
            part.to(device)
        return self

    def activations(self, faces: Tensor) -> list[Tensor]:
        """Returns the activations of the stem and every stage for crops [B, 3, 160, 160] in [0, 1].

        Gradients flow back to the crops; the network itself does not learn.
        """
        seen = [self._stem((faces - 0.5) * 4.0)]
        for stage in self._trunk:
            seen.append(stage(seen[-1]))
        return seen

    @torch.inference_mode()
    def describe(self, faces: Tensor) -> FaceFeatures:
        """Returns the features of aligned crops [B, 3, 160, 160] with values in [0, 1]."""
        activations = self.activations(faces)
        pooled = [a.mean(dim=(2, 3)) for a in activations]
        pooled = [functional.normalize(p - p.mean(dim=1, keepdim=True), dim=1) for p in pooled]
        return FaceFeatures(
            maps=tuple(functional.normalize(a, dim=1) for a in activations),
            summary=self._summary(activations[-1]).double().numpy(),
            appearance=torch.cat(pooled, dim=1).double().numpy() / np.sqrt(len(pooled)),
        )


def aligned_crop(picture: NDArray[np.uint8], landmarks: Floats) -> Tensor:
    """Returns the landmarker's crop of the face in a picture [H, W, 3], [3, 160, 160] in [0, 1]."""
    return crops.cut(torch.from_numpy(picture), crops.frame_of_landmarks(landmarks), CROP_SIZE_PX)


def perceptual_distance(first: FaceFeatures, second: FaceFeatures) -> Floats:
    """Returns the *auteur* perceptual distance [B] of pairs of crops, 0 for the same, at most 4.

    As LPIPS (Zhang et al. 2018, equation 1) with our network and without learned channel weights: squared
    distance of unit activations, mean over places, mean over stages.
    """
    return distance_of_maps(first.maps, second.maps).double().numpy()


def distance_of_maps(first: Sequence[Tensor], second: Sequence[Tensor]) -> Tensor:
    """Returns the same [B] from the maps of every stage, [B, C, H, W] of unit length over C."""
    stages = [((a - b) ** 2).sum(dim=1).mean(dim=(1, 2)) for a, b in zip(first, second, strict=True)]
    return torch.stack(stages).mean(dim=0)


def appearance_similarity(first: Floats, second: Floats) -> Floats:
    """Returns the *auteur* appearance similarity [B] in [-1, 1] of appearances [B, D]: their cosine.

    It separates people, skin, hair and light and is no face recognition. What one person and two people
    score depends on the weights: `benchmarks/judges/anchors.py` measures it.
    """
    return (first * second).sum(axis=-1)
