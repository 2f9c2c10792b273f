"""Checks of the inputs of every drawing."""

import torch
from torch import Tensor

from auteur.errors import InputError, UsageError
from auteur.signals.topology import MEDIAPIPE_COUNT

LARGEST_SIDE_PX = 2048


def checked_landmarks(landmarks: Tensor, height_px: int, width_px: int) -> Tensor:
    """Returns landmarks [..., 478, 3] as float32 [N, 478, 3].

    Raises:
        InputError: They have another shape or are not finite.
        UsageError: The size is out of range.
    """
    if not (1 <= height_px <= LARGEST_SIDE_PX and 1 <= width_px <= LARGEST_SIDE_PX):
        raise UsageError(
            f"the drawing has {width_px} x {height_px} pixels; sides are 1 to {LARGEST_SIDE_PX} pixels"
        )
    if landmarks.ndim < 2 or landmarks.shape[-2:] != (MEDIAPIPE_COUNT, 3):
        raise InputError(
            f"landmarks to draw have shape {list(landmarks.shape)}; "
            "pass MediaPipe's 478 points with depth, [..., 478, 3]"
        )
    if not bool(torch.isfinite(landmarks).all()):
        raise InputError("landmarks to draw must be finite; leave out frames without a face")
    return landmarks.reshape(-1, MEDIAPIPE_COUNT, 3).float()
