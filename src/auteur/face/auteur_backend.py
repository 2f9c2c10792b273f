"""The default backend: this project's own detector and landmarker, shipped with the package."""

from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from auteur import weights
from auteur.face import crops
from auteur.face.backend import FaceReading, Picture
from auteur.face.crops import CropFrame
from auteur.face.detector import INPUT_SIZES_PX, FaceDetector, detect, without_repeats
from auteur.face.landmarker import CROP_SIZE_PX, LANDMARKS, PROBES, Landmarker

Model = TypeVar("Model", bound=nn.Module)

PRESENT = 0.5
"""Presence probability from which a face that is being followed is still there."""

FOUND = 0.95
"""Presence probability from which a crop counts as a newly found face, however it is framed."""

CONSISTENT = 0.05
"""Largest motion of landmarks, in eye distances, when the crop moves; those of a non-face move with it."""

_LOOKS_FROM_BESIDE = ((0.08, -0.05, 1.15, 0.1), (-0.08, 0.06, 0.9, -0.12))
"""Other framings of the same face: shift right and down in sides of the crop, scale, turn in radians."""

SMALLEST_FACE_PX = 18.0
"""Size in pixels below which letters and leaves are taken for faces."""


class AuteurBackend:
    """Reads faces with the shipped networks, or with others of the same shape.

    Raises:
        WeightsError: The shipped weights are missing or damaged.
    """

    name = "auteur"

    def __init__(self, detector: FaceDetector | None = None, landmarker: Landmarker | None = None) -> None:
        detector = weights.load_shipped(FaceDetector(), "detector") if detector is None else detector
        self._detector = for_inference(detector)
        if landmarker is None:
            landmarker = weights.load_shipped(blank_landmarker(), "landmarker")
        self._landmarker = for_inference(landmarker)

    @torch.inference_mode()
    def find(self, picture: Picture) -> list[FaceReading]:
        """Returns every face in a picture [H, W, 3], the largest first.

        The picture is searched at two sizes; a candidate counts if the landmarker, too, finds a face there,
        and the same face in a slightly shifted crop.
        """
        pixels = torch.from_numpy(picture)
        candidates = [found for size in INPUT_SIZES_PX for found in detect(self._detector, pixels, size)]
        readings: list[FaceReading] = []
        for candidate in without_repeats(sorted(candidates, key=lambda d: -d.confidence)):
            reading = self._examine(pixels, candidate.frame)
            if reading is not None and not _repeats(reading, readings):
                readings.append(reading)
        return sorted(readings, key=lambda reading: -reading.size_px)

    @torch.inference_mode()
    def follow(self, picture: Picture, last: FaceReading) -> FaceReading | None:
        """Returns the face that was at `last` in the frame before, or None when it is lost."""
        reading = self._read(torch.from_numpy(picture), crops.frame_of_landmarks(last.landmarks))
        return reading if reading.confidence > PRESENT else None

    def _examine(self, picture: Tensor, box: CropFrame) -> FaceReading | None:
        frame = CropFrame(box.center_px, box.side_px * crops.CROP_TO_FACE, box.roll_rad)
        reading = self._read(picture, frame)
        if reading.confidence < 0.5 * PRESENT:
            return None
        frame = crops.frame_of_landmarks(reading.landmarks)  # now framed as in tracking
        reading = self._read(picture, frame)
        if reading.confidence < FOUND or reading.size_px < SMALLEST_FACE_PX:
            return None
        for right, down, larger, turn in _LOOKS_FROM_BESIDE:
            center = (frame.center_px[0] + right * frame.side_px, frame.center_px[1] + down * frame.side_px)
            again = self._read(picture, CropFrame(center, larger * frame.side_px, frame.roll_rad + turn))
            moved = np.linalg.norm(again.landmarks[:, :2] - reading.landmarks[:, :2], axis=1).mean()
            if again.confidence < FOUND or moved > CONSISTENT * crops.inter_ocular_px(reading.landmarks):
                return None
        return reading

    def _read(self, picture: Tensor, frame: CropFrame) -> FaceReading:
        crop = crops.cut(picture, frame, CROP_SIZE_PX)[None]
        output = self._landmarker(crop)
        landmarks = output.landmarks[0].numpy() * CROP_SIZE_PX - _HALF_PIXEL
        return FaceReading(
            landmarks=crops.apply(crops.invert(frame.matrix(CROP_SIZE_PX)), landmarks).astype("float32"),
            blendshapes=output.blendshapes[0].numpy(),
            confidence=float(torch.sigmoid(output.presence_logit[0])),
        )


_HALF_PIXEL = torch.tensor([0.5, 0.5, 0.0]).numpy()
"""The network measures from the crop's edge, `crops` from the centre of its first pixel."""


def blank_landmarker() -> Landmarker:
    """Returns a landmarker of the shipped shape, to be filled with weights."""
    return Landmarker(
        mean=torch.zeros(LANDMARKS, 3), basis=torch.zeros(128, LANDMARKS, 3), probes=torch.tensor(PROBES)
    )


def for_inference(model: Model) -> Model:
    """Returns `model` in evaluation mode, every batch normalisation folded into the convolution before it."""
    model.eval()
    for module in model.modules():
        if not isinstance(module, nn.Sequential):
            continue
        for i in range(len(module) - 1):
            convolution, normalisation = module[i], module[i + 1]
            if isinstance(convolution, nn.Conv2d) and isinstance(normalisation, nn.BatchNorm2d):
                module[i] = fuse_conv_bn_eval(convolution, normalisation)
                module[i + 1] = nn.Identity()
    model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # not in its stubs
    return model.requires_grad_(False)


def _repeats(reading: FaceReading, others: list[FaceReading]) -> bool:
    return any(
        torch.dist(torch.tensor(reading.center_px), torch.tensor(other.center_px))
        < 0.3 * max(reading.size_px, other.size_px)
        for other in others
    )
