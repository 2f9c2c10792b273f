"""A look-alike of MEAD with every fault, prepared once."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from prepare_tools import OPTIONS, SerialEngine

from auteur.media import VideoWriter, read_speech
from auteur.provenance import Mark
from auteur.signals import Waveform
from support.lookalike import Lookalike, build_lookalike

Picture = NDArray[np.uint8]
ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Prepared:
    """A finished preparation."""

    corpus: Lookalike
    out: Path
    summary: object


@pytest.fixture(scope="session")
def corpus(astronaut: Picture, tmp_path_factory: pytest.TempPathFactory) -> Lookalike:
    """Two people, three emotions and every fault; a photograph that drifts stands in for moving faces."""
    clips = tmp_path_factory.mktemp("clips")
    speech = read_speech(ROOT / "examples" / "speech.flac").slice(1, 2)
    sound = Waveform(samples=speech.samples, rate_hz=speech.rate_hz)
    for number in range(3):
        path = clips / f"{number}.mp4"
        with VideoWriter(path, size_px=(224, 224), rate=25, mark=Mark(watermark=False), audio=sound) as video:
            for frame in range(25):
                left, top = 112 + frame // 2, 10 + 5 * number
                video.write(np.ascontiguousarray(astronaut[top : top + 224, left : left + 224]))
    folder = tmp_path_factory.mktemp("corpus") / "MEAD"
    return build_lookalike("mead", folder, clips=clips, seconds=1.0, bad=True)


@pytest.fixture(scope="session")
def prepared(corpus: Lookalike, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    from auteur.lab.prepare import prepare

    out = tmp_path_factory.mktemp("prepared") / "shards"
    return Prepared(corpus, out, prepare(corpus.folder, out, OPTIONS, SerialEngine()))


@pytest.fixture
def copy_of(prepared: Prepared, tmp_path: Path) -> Callable[[], Path]:
    """Copies the finished preparation, to damage it."""

    def copy() -> Path:
        return Path(shutil.copytree(prepared.out, tmp_path / "shards"))

    return copy
