"""Stage "shots": boundaries between camera shots.

Neighbouring pictures are compared, and a cut is a change that is large and stands out among its neighbours:
a moving camera or a waving hand changes every picture, a cut changes one. This is the adaptive rule of
PySceneDetect (its content score against the mean of the scores around it), on colours averaged over cells.
It needs no face: where a face is lost or jumps within a shot is found by tracking.
"""

from collections import deque
from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from auteur.lab.prepare.frames import Picture

LEAST_CHANGE = 14.0
"""Least mean change of a cell's colour at a cut, of 255."""

STANDS_OUT = 3.0
"""Least ratio of a cut's change to the mean change around it."""

REACH = 2
"""Changes on either side that it is compared with."""

_CELLS = 24


def shots(pictures: Iterable[Picture]) -> Iterator[tuple[Picture, bool]]:
    """Yields every picture and whether a new shot begins with it; reads `REACH` pictures ahead."""
    ahead: deque[tuple[Picture, float]] = deque()
    behind: deque[float] = deque(maxlen=REACH)
    last: NDArray[np.float32] | None = None
    for picture in pictures:
        cells = cells_of(picture)
        ahead.append((picture, 0.0 if last is None else float(np.abs(cells - last).mean())))
        last = cells
        if len(ahead) > REACH:
            yield _judged(ahead, behind)
    while ahead:
        yield _judged(ahead, behind)


def cells_of(picture: Picture) -> NDArray[np.float32]:
    """Returns mean colours [<= 24, <= 24, 3] of a grid of cells over a picture [H, W, 3]."""
    height, width = picture.shape[:2]
    rows, columns = max(1, height // _CELLS), max(1, width // _CELLS)
    # Every cell is averaged over at most 4 x 4 of its pixels: enough against noise and grain.
    step_y, step_x = max(1, rows // 4), max(1, columns // 4)
    used = picture[: height // rows * rows, : width // columns * columns]
    blocks = used.reshape(height // rows, rows, width // columns, columns, 3)[:, ::step_y, :, ::step_x]
    return blocks.mean(axis=(1, 3), dtype=np.float32)


def _judged(ahead: deque[tuple[Picture, float]], behind: deque[float]) -> tuple[Picture, bool]:
    picture, change = ahead.popleft()
    around = [*behind, *(later for _, later in list(ahead)[:REACH])]
    behind.append(change)
    usual = sum(around) / len(around) if around else 0.0
    return picture, change >= LEAST_CHANGE and change >= STANDS_OUT * usual
