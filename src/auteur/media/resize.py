"""Pictures at another size, with the rounding of Pillow, which published models were trained with."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Kernel = Literal["bilinear", "bicubic", "lanczos"]

_FILTERS: dict[Kernel, Image.Resampling] = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def resized(
    picture: NDArray[np.uint8],
    width_px: int,
    height_px: int,
    kernel: Kernel = "bilinear",
    *,
    box: tuple[float, float, float, float] | None = None,
) -> NDArray[np.uint8]:
    """Returns a picture uint8 [H, W] or [H, W, 3], or a part of it, at another size; its aspect may change.

    Args:
        picture: The picture.
        width_px: Of the result.
        height_px: Of the result.
        kernel: Of the resampling.
        box: Left, top, right and bottom edge of the part, in pixels, within the picture; None: all of it.
    """
    image = Image.fromarray(np.ascontiguousarray(picture))
    return np.array(image.resize((width_px, height_px), _FILTERS[kernel], box))
