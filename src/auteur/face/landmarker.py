"""The dense landmarker: an aligned face crop → 478 landmarks, 52 blendshapes and a face-present score.

Axis legend: B batch, C channels, H W picture, L landmarks (478), K shape coefficients, P probed landmarks, N
blendshapes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from auteur.signals import topology

CROP_SIZE_PX = 160
LANDMARKS = 478
BLENDSHAPES = 52
DETAIL_CHANNELS = 16
FEATURES = tuple(
    vertex
    for name in topology.CONTOURS
    if name not in ("face_oval", "nose")
    for vertex in topology.CONTOURS[name]
)
"""Lips, eyes, brows and irises."""

PROBES = FEATURES
"""The landmarks of the second pass."""


@dataclass(frozen=True)
class LandmarkerOutput:
    """Outputs of the network for a batch of crops."""

    landmarks: Tensor
    """[B, 478, 3]: x and y as fractions of the crop's side, z in the same unit, smaller = nearer."""
    blendshapes: Tensor
    """[B, 52] in [0, 1], MediaPipe's names and order."""
    presence_logit: Tensor
    """[B]: logit of "this crop holds a face"."""
    coarse_landmarks: Tensor
    """[B, 478, 3]: the first estimate, before refinement; trained too."""


class ResidualBlock(nn.Module):
    """Two 3 × 3 convolutions with batch normalisation and a shortcut."""

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )
        self.second = nn.Sequential(nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs))
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: Tensor) -> Tensor:
        """Maps [B, inputs, H, W] to [B, outputs, H / stride, W / stride]."""
        return torch.relu(self.second(self.first(x)) + self.shortcut(x))


class Landmarker(nn.Module):
    """The landmarker: a pass over the whole crop, then one at higher resolution at eyes, brows and lips.

    The coarse estimate is a point in a linear shape space fitted to the teacher's landmarks (`mean`,
    `basis`); the refinement samples a quarter-resolution feature map at `probes` landmarks and corrects the
    shape, and the blendshapes are read from both views and the refined shape: small lid and lip movements are
    smaller than one pixel of the deep feature map.

    Args:
        mean: [478, 3] mean shape, in fractions of the crop's side.
        basis: [K, 478, 3] orthogonal shape basis, scaled so that coefficients have unit variance.
        probes: Indices of the landmarks of the second pass.
        widths: Channels of the stem and of the four stages (strides 2, 4, 8, 16, 32).
        hidden: Width of the fully connected layers.
    """

    mean: Tensor
    basis: Tensor
    probes: Tensor

    def __init__(
        self,
        *,
        mean: Tensor,
        basis: Tensor,
        probes: Tensor,
        widths: tuple[int, int, int, int, int] = (16, 32, 64, 96, 160),
        hidden: int = 256,
    ) -> None:
        super().__init__()
        stem, quarter, eighth, sixteenth, deep = widths
        coefficients = len(basis)
        self.register_buffer("mean", mean.clone())
        self.basis = nn.Parameter(basis.clone())
        self.register_buffer("probes", probes.clone())
        self.stem = nn.Sequential(
            nn.Conv2d(3, stem, 3, 2, 1, bias=False),
            nn.BatchNorm2d(stem),
            nn.ReLU(inplace=True),
            ResidualBlock(stem, quarter, stride=2),
        )
        self.trunk = nn.Sequential(
            ResidualBlock(quarter, eighth, stride=2),
            ResidualBlock(eighth, eighth, stride=1),
            ResidualBlock(eighth, sixteenth, stride=2),
            ResidualBlock(sixteenth, sixteenth, stride=1),
            ResidualBlock(sixteenth, deep, stride=2),
            ResidualBlock(deep, deep, stride=1),
        )
        cells = (CROP_SIZE_PX // 32) ** 2
        self.summary = nn.Sequential(
            nn.Conv2d(deep, 48, 1),
            nn.ReLU(inplace=True),
            nn.Flatten(),
            nn.Linear(48 * cells, hidden),
            nn.ReLU(inplace=True),
        )
        self.coarse = nn.Linear(hidden, coefficients)
        self.presence = nn.Linear(hidden, 1)
        self.detail = nn.Sequential(nn.Conv2d(quarter, DETAIL_CHANNELS, 3, 1, 1), nn.ReLU(inplace=True))
        self.look_again = nn.Sequential(
            nn.Linear(DETAIL_CHANNELS * len(probes), hidden), nn.ReLU(inplace=True)
        )
        self.refine = nn.Sequential(
            nn.Linear(2 * hidden + coefficients, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, coefficients),
        )
        self.blendshapes = nn.Sequential(
            nn.Linear(2 * hidden + coefficients, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, BLENDSHAPES),
        )

    def shape(self, coefficients: Tensor) -> Tensor:
        """Maps shape coefficients [B, K] to landmarks [B, 478, 3]."""
        return self.mean + torch.einsum("bk,klc->blc", coefficients, self.basis)

    def forward(self, crops: Tensor) -> LandmarkerOutput:
        """Reads crops [B, 3, 160, 160] with values in [0, 1]."""
        fine = self.stem((crops - 0.5) * 4.0)  # [B, quarter, 40, 40]
        summary = self.summary(self.trunk(fine))  # [B, hidden]
        coarse = self.coarse(summary).float()  # [B, K]
        coarse_landmarks = self.shape(coarse)

        probed = coarse_landmarks[:, self.probes, :2].detach() * 2 - 1  # [B, P, 2]
        detail = self.detail(fine).float()
        seen = functional.grid_sample(detail, probed[:, :, None], align_corners=False)  # [B, 16, P, 1]
        seen = self.look_again(seen.flatten(1))

        view = torch.cat([summary.float(), seen.float(), coarse.detach()], dim=1)
        refined = coarse.detach() + self.refine(view).float()
        view = torch.cat([summary.float(), seen.float(), refined.detach()], dim=1)
        return LandmarkerOutput(
            landmarks=self.shape(refined),
            blendshapes=torch.sigmoid(self.blendshapes(view).float()),
            presence_logit=self.presence(summary).float()[:, 0],
            coarse_landmarks=coarse_landmarks,
        )
