"""AUHead's Table 1: how well written Action Units agree with those of the face, and emotions with labels.

Definitions follow the author's published scorer where the paper leaves them open: a unit counts as predicted
where it is listed; recall, precision, set IoU ("accuracy" in the paper) and F1 are taken per frame and
averaged; the error is averaged over the units that are active in the truth, a miss counting with its full
value.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from auteur.errors import UsageError


@dataclass(frozen=True)
class AUScores:
    """Means over the frames of all recordings."""

    recall: float
    precision: float
    iou: float
    """Intersection over union of the sets of active units."""
    f1: float
    active_error: float
    """Mean absolute error over units that are active in the truth."""
    error: float
    """Mean absolute error over all units, which counts what should not be there as well."""
    frames: int


def au_scores(
    truth: Sequence[ArrayLike], predicted: Sequence[ArrayLike], *, threshold: float = 0.0
) -> AUScores:
    """Returns the scores of recordings, each [T, units] in [0, 1].

    Where neither side has an active unit, a frame scores 1. Frames without active units in the truth have no
    active error.

    Args:
        truth: What the face does.
        predicted: What was written, same shapes.
        threshold: Larger intensities are active.

    Raises:
        UsageError: The two differ in number or shape, or there is nothing to score.
    """
    if not truth or len(truth) != len(predicted):
        raise UsageError(f"{len(truth)} recordings to score against {len(predicted)}; give as many of each")
    pairs = [
        (np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64))
        for a, b in zip(truth, predicted, strict=True)
    ]
    for a, b in pairs:
        if a.shape != b.shape or a.ndim != 2:
            raise UsageError(f"shapes {a.shape} and {b.shape} differ; both must be [frames, units]")
    wanted, written = (np.concatenate(side) for side in zip(*pairs, strict=True))
    is_active, is_listed = wanted > threshold, written > threshold
    hits = (is_active & is_listed).sum(1)
    active, listed = is_active.sum(1), is_listed.sum(1)
    union = (is_active | is_listed).sum(1)
    recall = _share(hits, active, otherwise=listed == 0)
    precision = _share(hits, listed, otherwise=active == 0)
    error = np.abs(wanted - written)
    return AUScores(
        recall=float(recall.mean()),
        precision=float(precision.mean()),
        iou=float(_share(hits, union, otherwise=union == 0).mean()),
        f1=float(_share(2 * hits, active + listed, otherwise=union == 0).mean()),
        active_error=float(error[is_active].mean()) if is_active.any() else 0.0,
        error=float(error.mean()),
        frames=len(wanted),
    )


def _share(part: np.ndarray, whole: np.ndarray, *, otherwise: np.ndarray) -> np.ndarray:
    """Part / whole where whole is not 0; elsewhere 1 where `otherwise` holds and 0 where not."""
    return np.where(whole > 0, part / np.maximum(whole, 1), otherwise.astype(np.float64))


def emotion_accuracy(truth: Sequence[str], predicted: Sequence[str]) -> float:
    """Returns the share of recordings whose emotion is predicted right, in [0, 1].

    Raises:
        UsageError: There are none, or not as many of each.
    """
    if not truth or len(truth) != len(predicted):
        raise UsageError(f"{len(truth)} labels for {len(predicted)} answers; give as many of each")
    return float(np.mean([a == b for a, b in zip(truth, predicted, strict=True)]))
