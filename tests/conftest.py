"""Fixtures that several folders share: a face that needs no download, footage of it, the shipped tracker."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from auteur.media import VideoWriter
from auteur.provenance import Mark

Picture = NDArray[np.uint8]
FilmMaker = Callable[..., Path]


@pytest.fixture(scope="session")
def astronaut() -> Picture:
    """Eileen Collins (NASA, public domain), uint8 [512, 512, 3]; her face is 105 px large at x 224, y 120."""
    data = pytest.importorskip(
        "skimage.data", reason="scikit-image has the only photograph that tests may use"
    )
    return data.astronaut()


@pytest.fixture(scope="session")
def backend():
    """The shipped tracker; importing it here keeps torch out of tests that need none."""
    from auteur.face.auteur_backend import AuteurBackend

    return AuteurBackend()


@pytest.fixture(scope="session")
def film(astronaut: Picture, tmp_path_factory: pytest.TempPathFactory) -> FilmMaker:
    """Makes a 192 × 192 video at 30000/1001 frames/s in which the face drifts right by a pixel a frame.

    Frames whose number is in `empty` show a plain wall.
    """

    def make(frames: int, *, empty: tuple[int, ...] = ()) -> Path:
        path = tmp_path_factory.mktemp("film") / "film.mp4"
        with VideoWriter(
            path, size_px=(192, 192), rate=Fraction(30000, 1001), mark=Mark(watermark=False)
        ) as video:
            for index in range(frames):
                left = 138 - index
                shown = astronaut[26:218, left : left + 192]
                video.write(np.full_like(shown, 120) if index in empty else np.ascontiguousarray(shown))
        return path

    return make
