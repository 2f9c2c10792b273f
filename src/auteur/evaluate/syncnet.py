"""SyncNet v2 (Chung & Zisserman 2016) and its two figures LSE-C and LSE-D (Prajwal et al. 2020).

The weights are the user's: `syncnet_v2.model` of the authors, saved as safetensors with the same names.
Without them there is the auteur audio-lip agreement (`audio_lips`). Crops come from our tracker and not from
S3FD, so figures are near but not equal to those of the authors' script; a report names the crop.

B windows, T frames, S samples.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from auteur.errors import UsageError
from auteur.evaluate.mfcc import mfcc
from auteur.signals import Waveform
from auteur.weights import load_file

SIDE_PX = 224
WINDOW_FRAMES = 5
CEPSTRA_PER_FRAME, SAMPLES_PER_FRAME = 4, 640
LARGEST_LAG = 15
_BATCH = 20


@dataclass(frozen=True)
class LipSync:
    """The figures of the authors' script."""

    confidence: float
    """LSE-C: median less smallest mean distance over the lags; larger is better."""
    distance: float
    """LSE-D: smallest mean distance over the lags; smaller is better."""
    lag_frames: int
    """Lag at which the distance is smallest: the script's "AV offset"."""


class SyncNet(nn.Module):
    """Two towers that map 0.2 s of sound and of mouth to 1024 numbers; layer names are the authors'."""

    def __init__(self) -> None:
        super().__init__()
        self.netcnnaud = nn.Sequential(
            *_block2d(1, 64, (3, 3), padding=(1, 1)),
            nn.MaxPool2d((1, 1), (1, 1)),
            *_block2d(64, 192, (3, 3), padding=(1, 1)),
            nn.MaxPool2d((3, 3), (1, 2)),
            *_block2d(192, 384, (3, 3), padding=(1, 1)),
            *_block2d(384, 256, (3, 3), padding=(1, 1)),
            *_block2d(256, 256, (3, 3), padding=(1, 1)),
            nn.MaxPool2d((3, 3), (2, 2)),
            *_block2d(256, 512, (5, 4), padding=(0, 0)),
        )
        self.netfcaud = _head()
        self.netfclip = _head()
        self.netcnnlip = nn.Sequential(
            *_block3d(3, 96, (5, 7, 7), stride=(1, 2, 2), padding=(0, 0, 0)),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_block3d(96, 256, (1, 5, 5), stride=(1, 2, 2), padding=(0, 1, 1)),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1)),
            *_block3d(256, 256, (1, 3, 3), stride=(1, 1, 1), padding=(0, 1, 1)),
            *_block3d(256, 256, (1, 3, 3), stride=(1, 1, 1), padding=(0, 1, 1)),
            *_block3d(256, 256, (1, 3, 3), stride=(1, 1, 1), padding=(0, 1, 1)),
            nn.MaxPool3d((1, 3, 3), (1, 2, 2)),
            *_block3d(256, 512, (1, 6, 6), stride=(1, 1, 1), padding=(0, 0, 0)),
        )

    def forward_aud(self, cepstra: Tensor) -> Tensor:
        """Maps cepstra [B, 1, 13, 20] to [B, 1024]."""
        return self.netfcaud(self.netcnnaud(cepstra).flatten(1))

    def forward_lip(self, frames: Tensor) -> Tensor:
        """Maps faces [B, 3, 5, 224, 224], blue green red in [0, 255], to [B, 1024]."""
        return self.netfclip(self.netcnnlip(frames).flatten(1))


def load_syncnet(path: Path | str) -> SyncNet:
    """Returns SyncNet with the weights of a safetensors file.

    Raises:
        WeightsError: The file is missing, damaged or of another network.
    """
    return load_file(SyncNet(), path)


@torch.inference_mode()
def lip_sync(model: SyncNet, faces: NDArray[np.uint8], speech: Waveform) -> LipSync:
    """Returns LSE-C and LSE-D of a face video, RGB uint8 [T, H, W, 3] at 25 frames/s, and its speech.

    Raises:
        UsageError: There are fewer than 20 frames.
    """
    if len(faces) < 4 * WINDOW_FRAMES:
        raise UsageError(f"{len(faces)} frames are too few for SyncNet; give at least {4 * WINDOW_FRAMES}")
    samples = np.round(speech.resample(16_000).samples.astype(np.float64) * 32767)
    cepstra = mfcc(samples)
    sound = torch.from_numpy(cepstra.T).float()[None, None]
    pictures = torch.from_numpy(np.ascontiguousarray(faces[..., ::-1])).permute(3, 0, 1, 2).float()
    pictures = functional.interpolate(pictures.transpose(0, 1), (SIDE_PX, SIDE_PX), mode="bilinear")
    pictures = pictures.transpose(0, 1)
    last = min(len(faces), len(samples) // SAMPLES_PER_FRAME) - WINDOW_FRAMES
    lips: list[Tensor] = []
    sounds: list[Tensor] = []
    for first in range(0, last, _BATCH):
        starts = range(first, min(first + _BATCH, last))
        lips.append(model.forward_lip(torch.stack([pictures[:, i : i + WINDOW_FRAMES] for i in starts])))
        windows = [
            sound[0, :, :, CEPSTRA_PER_FRAME * i : CEPSTRA_PER_FRAME * (i + WINDOW_FRAMES)] for i in starts
        ]
        sounds.append(model.forward_aud(torch.stack(windows)))
    return figures(torch.cat(lips), torch.cat(sounds))


def figures(lips: Tensor, sound: Tensor, largest_lag: int = LARGEST_LAG) -> LipSync:
    """Returns the figures of embeddings [windows, D]; beyond the sound's ends there are zeros."""
    padded = functional.pad(sound, (0, 0, largest_lag, largest_lag))
    span = 2 * largest_lag + 1
    # 1e-6 is added to the difference as torch's pairwise_distance does, which the authors use.
    rows = [torch.linalg.norm(lips[i] - padded[i : i + span] + 1e-6, dim=1) for i in range(len(lips))]
    mean = torch.stack(rows).mean(dim=0)
    smallest, place = mean.min(dim=0)
    return LipSync(
        confidence=float(mean.median() - smallest),
        distance=float(smallest),
        lag_frames=largest_lag - int(place),
    )


def _block2d(
    inputs: int, outputs: int, kernel: tuple[int, int], *, padding: tuple[int, int]
) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, kernel, 1, padding), nn.BatchNorm2d(outputs), nn.ReLU()]


def _block3d(
    inputs: int,
    outputs: int,
    kernel: tuple[int, int, int],
    *,
    stride: tuple[int, int, int],
    padding: tuple[int, int, int],
) -> list[nn.Module]:
    return [nn.Conv3d(inputs, outputs, kernel, stride, padding), nn.BatchNorm3d(outputs), nn.ReLU()]


def _head() -> nn.Sequential:
    return nn.Sequential(nn.Linear(512, 512), nn.BatchNorm1d(512), nn.ReLU(), nn.Linear(512, 1024))
