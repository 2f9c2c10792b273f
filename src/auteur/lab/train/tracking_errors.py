"""Errors of a face tracker against its reference: landmarks, blendshapes and correlation."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from auteur.face import crops
from auteur.face.landmarker import CROP_SIZE_PX, Landmarker
from auteur.facs import MEDIAPIPE_BLENDSHAPES
from auteur.lab.data.face_crops import Shard
from auteur.lab.data.face_shards import EvaluationSet

Floats = NDArray[np.floating]

VARIES = 0.02
"""Standard deviation above which a blendshape channel counts as varying."""

KEY_CHANNELS = ("eyeBlinkLeft", "eyeBlinkRight", "jawOpen", "mouthSmileLeft", "mouthSmileRight")


@dataclass(frozen=True)
class TrackingErrors:
    """Errors against the reference on people never trained on."""

    clip_landmark_percent: float
    """Mean over clips of the mean landmark distance (x, y), in % of that between the outer eye corners."""
    photo_landmark_percent: float
    """The same, mean over photographs."""
    blendshape_error: float
    """Mean absolute blendshape error over all clip frames and 52 channels, in [0, 1]."""
    correlation: float
    """Median over varying channels of the correlation over all held-out clip frames together."""
    correlation_within_clips: float
    """Median over clips and their varying channels of the correlation inside one clip (harder)."""
    key_correlation: dict[str, float]
    """Pooled correlation of blink, jaw and smile."""

    @property
    def score(self) -> float:
        """One number to choose a checkpoint by, smaller is better."""
        landmarks = self.clip_landmark_percent + 0.5 * self.photo_landmark_percent
        return landmarks + 10 * self.blendshape_error - 2 * self.correlation - self.correlation_within_clips


def landmark_error(predicted: Floats, reference: Floats) -> Floats:
    """Returns mean distance in x, y of landmarks [..., 478, 2 or 3] in % of the inter-ocular one: [...]."""
    distance = np.linalg.norm(predicted[..., :2] - reference[..., :2], axis=-1).mean(axis=-1)
    return 100 * distance / crops.inter_ocular_px(reference)


def channel_correlations(predicted: Floats, reference: Floats) -> Floats:
    """Returns each channel's Pearson correlation for values [T, N]: [N], NaN where the reference is still."""
    p, r = predicted - predicted.mean(0), reference - reference.mean(0)
    spread = np.sqrt((p**2).sum(0) * (r**2).sum(0))
    result = np.full(reference.shape[1], np.nan)
    varies = reference.std(0) > VARIES
    result[varies] = (p * r).sum(0)[varies] / np.maximum(spread[varies], 1e-12)
    return result


@torch.inference_mode()
def read_crops(
    model: torch.nn.Module, shard: Shard, *, batch_size: int = 32
) -> tuple[Floats, Floats, Floats]:
    """Runs the landmarker on a shard's crops, framed as in steady tracking.

    Returns:
        Landmarks [N, 478, 3] in pixels of the stored crop, blendshapes [N, 52], presence probability [N].
    """
    import cv2

    points: list[Floats] = []
    values: list[Floats] = []
    presence: list[Floats] = []
    for start in range(0, len(shard.landmarks), batch_size):
        rows = range(start, min(start + batch_size, len(shard.landmarks)))
        matrices = [crops.frame_of_landmarks(shard.landmarks[i]).matrix(CROP_SIZE_PX) for i in rows]
        size = (CROP_SIZE_PX, CROP_SIZE_PX)
        pictures = [cv2.warpAffine(shard.pictures[i], m, size) for i, m in zip(rows, matrices, strict=True)]
        batch = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
        output = model(batch)
        landmarks = output.landmarks.numpy() * CROP_SIZE_PX - np.array([0.5, 0.5, 0.0])
        points += [crops.apply(crops.invert(m), p) for m, p in zip(matrices, landmarks, strict=True)]
        values.append(output.blendshapes.numpy())
        presence.append(torch.sigmoid(output.presence_logit).numpy())
    return np.stack(points), np.concatenate(values), np.concatenate(presence)


def tracking_errors(
    model: Landmarker | torch.nn.Module, data: EvaluationSet, *, every: int = 3
) -> TrackingErrors:
    """Measures a landmarker in evaluation mode on held-out faces; `every` keeps one clip frame in so many."""
    clip_errors, predicted, reference, within = [], [], [], []
    for shard in data.clips:
        part = Shard(
            shard.name, shard.identities[::every], shard.pictures[::every], shard.landmarks[::every],
            shard.blendshapes[::every],
        )  # fmt: skip
        if not len(part.landmarks):
            continue
        points, values, _ = read_crops(model, part)
        clip_errors.append(float(landmark_error(points, part.landmarks).mean()))
        predicted.append(values)
        reference.append(part.blendshapes)
        within.append(channel_correlations(values, part.blendshapes))
    photo_errors = [landmark_error(read_crops(model, s)[0], s.landmarks) for s in data.photos]
    pooled_predicted, pooled_reference = np.concatenate(predicted), np.concatenate(reference)
    pooled = channel_correlations(pooled_predicted, pooled_reference)
    names = list(MEDIAPIPE_BLENDSHAPES)
    return TrackingErrors(
        clip_landmark_percent=float(np.mean(clip_errors)),
        photo_landmark_percent=float(np.concatenate(photo_errors).mean()),
        blendshape_error=float(np.abs(pooled_predicted - pooled_reference).mean()),
        correlation=float(np.nanmedian(pooled)),
        correlation_within_clips=float(np.nanmedian(np.stack(within))),
        key_correlation={name: float(pooled[names.index(name)]) for name in KEY_CHANNELS},
    )
