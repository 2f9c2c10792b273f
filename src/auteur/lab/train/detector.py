"""Recipe: train the face detector on mosaics of labelled scenes (`auteur.lab.data.face_teacher` writes them).

auteur train detector --labels LABELS --out RUN --schedule.minutes 25
"""

from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from auteur.face.crops import CropFrame
from auteur.face.detector import Detection, FaceDetector, decode_cells, detector_loss
from auteur.lab.data.face_scenes import CANVAS_SIZE_PX, LabelledScene, SceneMosaics, read_scenes
from auteur.lab.train.batches import Batch, Batches
from auteur.lab.train.model_recipe import Schedule, Training, train_recipe
from auteur.lab.train.sheets import draw_detections
from auteur.signals.chance import keyed_generator


@dataclass(frozen=True)
class DetectorRecipe:
    """Settings of the recipe."""

    labels: Path
    """Folder that `python -m auteur.lab.data.face_teacher` filled."""
    out: Path
    """The weights file to write (float16 safetensors)."""
    batch_size: int = 32
    test_mosaics: int = 400
    """Held-out pictures that choose the checkpoint."""
    schedule: Schedule = field(default_factory=lambda: Schedule(minutes=25, learning_rate=2e-3))


@dataclass(frozen=True)
class DetectionErrors:
    """Detection of held-out faces on held-out mosaics."""

    found: float
    """Share of the faces that a candidate covers: centre to a quarter of the size, size to a factor 1.6."""
    found_small: float
    """The same for faces under 24 px of a 256-px picture."""
    false_per_picture: float
    """Candidates per picture that cover no face."""

    @property
    def score(self) -> float:
        """Smaller is better."""
        return 2 - self.found - self.found_small + self.false_per_picture


def covers(detection: Detection, face: CropFrame) -> bool:
    """Returns whether a candidate is that face."""
    distance = np.hypot(*np.subtract(detection.frame.center_px, face.center_px))
    ratio = detection.frame.side_px / face.side_px
    return bool(distance < 0.25 * face.side_px and 1 / 1.6 < ratio < 1.6)


class DetectionTest:
    """Held-out mosaics, drawn once."""

    def __init__(self, scenes: list[LabelledScene], *, count: int = 400, seed: int = 1) -> None:
        random = np.random.default_rng(seed)
        mosaics = SceneMosaics(scenes, seed=seed)
        drawn = [mosaics.mosaic(random) for _ in range(count)]
        self.pictures = torch.from_numpy(np.stack([canvas for canvas, _ in drawn])).permute(0, 3, 1, 2)
        self.faces = [faces for _, faces in drawn]

    @torch.inference_mode()
    def __call__(self, network: nn.Module) -> DetectionErrors:
        """Runs the detector over every mosaic."""
        hits: list[bool] = []
        sizes: list[float] = []
        false = 0
        for start in range(0, len(self.faces), 16):
            cells = network(self.pictures[start : start + 16].float() / 255)
            for one, faces in zip(cells, self.faces[start : start + 16], strict=True):
                inside = [f for f in faces if min(f.center_px) >= 0 and max(f.center_px) < CANVAS_SIZE_PX]
                found = decode_cells(one, scale=1.0)
                hits += [any(covers(d, face) for d in found) for face in inside]
                sizes += [face.side_px for face in inside]
                false += sum(not any(covers(d, face) for face in faces) for d in found)
        small = np.array(sizes) < 24
        return DetectionErrors(
            found=float(np.mean(hits)),
            found_small=float(np.mean(np.array(hits)[small])),
            false_per_picture=false / len(self.faces),
        )

    def draw(self, network: nn.Module, path: Path) -> None:
        """Writes a sheet of some mosaics with their detections."""
        draw_detections(network, self.pictures, self.faces, path)


class MosaicBatches:
    """Training mosaics by key."""

    def __init__(self, mosaics: SceneMosaics, batch_size: int) -> None:
        self._mosaics, self._batch_size = mosaics, batch_size

    def __call__(self, key: str) -> Batch:
        """Returns the batch of a key."""
        cv2.setNumThreads(0)
        random = keyed_generator(key)
        return default_collate([self._mosaics.sample(random) for _ in range(self._batch_size)])


def build(recipe: DetectorRecipe) -> Training[DetectionErrors]:
    """Returns the detector, its mosaics, loss and errors on held-out mosaics."""
    training, held_out = read_scenes(recipe.labels)
    model = FaceDetector()
    model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # not in its stubs

    def loss(network: nn.Module, batch: Batch, _: int) -> Tensor:
        pictures = (batch["picture"].float() / 255).contiguous(memory_format=torch.channels_last)
        with torch.autocast(pictures.device.type, torch.bfloat16):
            cells = network(pictures)
        return detector_loss(cells, batch["cells"], batch["counts"])

    mosaics = MosaicBatches(SceneMosaics(training, seed=recipe.schedule.seed), recipe.batch_size)
    return Training(
        model=model,
        batches=Batches(mosaics, workers=1),
        loss=loss,
        evaluate=DetectionTest(held_out, count=recipe.test_mosaics),
    )


def train(recipe: DetectorRecipe) -> DetectionErrors:
    """Trains, writes the best weights and a JSON-lines log beside them, returns the best held-out errors."""
    return train_recipe(recipe, build)
