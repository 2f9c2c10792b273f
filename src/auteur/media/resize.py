"""Pictures at another size, with the rounding of Pillow, which published models were trained with."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def resized(
    picture: NDArray[np.uint8],
    width_px: int,
    height_px: int,
    kernel: Literal["bilinear", "bicubic", "lanczos"] = "bilinear",
) -> NDArray[np.uint8]:
    """Returns a picture uint8 [H, W] or [H, W, 3] at another size; its aspect may change."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    return np.array(image.resize((width_px, height_px), _FILTERS[kernel]))
