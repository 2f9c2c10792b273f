"""Feature "watermark": marked frames of a sample after real codecs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auteur.errors import InputError
from auteur.lab.data.shards import Sample
from auteur.lab.data.watermark_frames import PIECES, items_of, pieces
from auteur.lab.prepare.features import FeatureInputs
from auteur.signals.seeding import keyed_generator


class WatermarkFeature:
    """Short pieces of a clip, or a photograph, marked for random runs, encoded and decoded."""

    def __init__(self, inputs: FeatureInputs, folder: Path) -> None:
        del inputs, folder

    @staticmethod
    def settings(inputs: FeatureInputs) -> dict[str, Any]:
        """Returns the number of pieces per clip."""
        return {"pieces": PIECES}

    def __call__(self, sample: Sample) -> Mapping[str, NDArray[Any]]:
        """Returns the arrays of a sample.

        Raises:
            InputError: It has no pictures.
        """
        if "mp4" not in sample.members:
            raise InputError("it has no pictures")
        random = keyed_generator(f"watermark:{sample.key}")
        items = [item for piece in pieces(sample.frames(), random) for item in items_of(piece, random)]
        luma, pattern = (np.stack(part) for part in zip(*items, strict=True))
        return {"luma": luma, "pattern": pattern}
