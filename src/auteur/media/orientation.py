"""The eight ways a picture can be stored: turned by quarters, mirrored or not."""

import numpy as np
from numpy.typing import NDArray

from auteur.errors import MediaError

_FROM_MATRIX = {
    (1, 0, 0, 1): 1,
    (-1, 0, 0, 1): 2,
    (-1, 0, 0, -1): 3,
    (1, 0, 0, -1): 4,
    (0, 1, 1, 0): 5,
    (0, 1, -1, 0): 6,
    (0, -1, -1, 0): 7,
    (0, -1, 1, 0): 8,
}
_ROTATION_DEG = {1: 0, 2: 0, 3: 180, 4: 180, 5: 90, 6: 90, 7: 270, 8: 270}


def upright(image: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Returns `image` [H, W, 3] upright.

    Args:
        image: The picture as stored.
        orientation: EXIF orientation, 1 to 8 (EXIF 2.32, tag 0x0112).
    """
    if orientation in (5, 6, 7, 8):
        image = image.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return np.ascontiguousarray(image)


def swaps_sides(orientation: int) -> bool:
    """Whether width and height change places."""
    return orientation >= 5


def rotation_deg(orientation: int) -> int:
    """Degrees clockwise that the stored picture is turned by: 0, 90, 180 or 270; mirroring is not counted."""
    return _ROTATION_DEG[orientation]


def from_display_matrix(matrix: NDArray[np.int32], name: str) -> int:
    """EXIF orientation of a video's 3x3 display matrix (ISO/IEC 14496-12, 16.16 fixed point), given as [9].

    Raises:
        MediaError: The matrix turns by something else than quarters.
    """
    largest = max(1, int(np.abs(matrix[[0, 1, 3, 4]].astype(np.int64)).max()))
    a, b, c, d = (round(int(matrix[index]) / largest, 3) for index in (0, 1, 3, 4))
    if (a, b, c, d) not in _FROM_MATRIX:
        raise MediaError(
            f"{name} is shown turned or skewed by an odd angle; only quarter turns are read; convert it"
        )
    return _FROM_MATRIX[int(a), int(b), int(c), int(d)]
