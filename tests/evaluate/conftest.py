"""A face that can be moved exactly, and short videos of it: real components at tiny size."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from auteur.face.pose import head_pose, with_pose, without_pose
from auteur.face.tracker import find_face
from auteur.media import VideoWriter
from auteur.motion.au_basis import AUBasis
from auteur.provenance import Mark
from auteur.signals import Waveform
from auteur.synthesis.warp import PortraitWarper
from auteur.weights import load_shipped

Picture = NDArray[np.uint8]
SIDE_PX = 160


class Puppet:
    """The demo portrait, moved by Action Units through the shipped basis and warp."""

    def __init__(self, portrait: Picture, backend) -> None:
        self.portrait = portrait
        self._landmarks = find_face(backend, portrait).landmarks
        self._pose = head_pose(self._landmarks)
        self._face = without_pose(self._landmarks, self._pose)
        self._basis = load_shipped(AUBasis(), "au_basis")
        pixels = torch.from_numpy(portrait).permute(2, 0, 1).contiguous()
        self._warper = PortraitWarper(pixels, torch.from_numpy(self._landmarks).float())

    def show(self, requested: dict[str, float], *, aside_px: float = 0.0) -> Picture:
        face = self._face + self._basis.displacement(requested)
        landmarks = self._landmarks + (with_pose(face, self._pose) - with_pose(self._face, self._pose))
        landmarks[:, 0] += aside_px
        frame = self._warper.render(torch.from_numpy(landmarks).float()[None])[0]
        return frame.permute(1, 2, 0).contiguous().numpy()


@pytest.fixture(scope="session")
def puppet(astronaut, backend) -> Puppet:
    torch.set_num_threads(1)
    return Puppet(np.ascontiguousarray(astronaut[40 : 40 + SIDE_PX, 144 : 144 + SIDE_PX]), backend)


@pytest.fixture(scope="session")
def talk(puppet) -> list[Picture]:
    """Twenty frames in which the mouth opens and closes, the brows rise and the head moves a little."""
    phase = np.linspace(0, 4 * np.pi, 20)
    return [
        puppet.show({"AU26": 0.5 - 0.5 * np.cos(p), "AU1": 0.5 - 0.5 * np.cos(p / 2)}, aside_px=np.sin(p / 2))
        for p in phase
    ]


FilmWriter = Callable[..., Path]


@pytest.fixture(scope="session")
def write_film() -> FilmWriter:
    def write(
        path: Path, frames: Sequence[Picture], *, fps: Fraction = Fraction(25), sound: bool = False
    ) -> Path:
        path.parent.mkdir(exist_ok=True)
        height, width = frames[0].shape[:2]
        audio = None
        if sound:
            count = round(len(frames) / fps * 16_000)
            noise = np.random.default_rng(0).normal(0, 0.05, count).astype(np.float32)
            audio = Waveform(samples=noise, rate_hz=16_000)
        with VideoWriter(
            path, size_px=(width, height), rate=fps, mark=Mark(watermark=False), audio=audio
        ) as video:
            for frame in frames:
                video.write(frame)
        return path

    return write


@pytest.fixture(scope="session")
def shared_portraits() -> list[Path]:
    folder = Path(__file__).parents[3] / "shared" / "data" / "portraits"
    found = sorted(folder.glob("generated_*.jpg"))[:3] if folder.is_dir() else []
    if not found:
        pytest.skip("the portraits of other people are not at hand")
    return found
