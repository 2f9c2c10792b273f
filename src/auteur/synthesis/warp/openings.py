"""Eye and mouth openings as two curves over the line between their corners."""

from dataclasses import dataclass

import torch
from torch import Tensor

from auteur.synthesis.warp.sampling import smooth_step

SAMPLES = 65
"""Of each edge, at equal steps between the corners."""


@dataclass(frozen=True)
class Depths:
    """Positions of points [...] relative to an opening."""

    place: Tensor
    """Along the line between the corners, 0 to 1 between them."""
    below_upper: Tensor
    """Pixels below the upper edge."""
    above_lower: Tensor
    """Pixels above the lower edge."""

    def mask(self, softness_px: float, inset_px: float = 0.0) -> Tensor:
        """Returns the visibility of the inside: 0 on the edges, 1 well inside."""
        nearest = torch.minimum(self.below_upper, self.above_lower)
        return smooth_step((nearest - inset_px) / softness_px)


@dataclass(frozen=True, kw_only=True)
class Opening:
    """The hole between an upper and a lower edge.

    Attributes:
        origin: The corner on the left of the picture, pixels, [2].
        along: Unit vector to the other corner, [2].
        length_px: Distance between the corners.
        upper: Height of the upper edge over the line between the corners at equal steps, pixels, downwards,
            [65].
        lower: The same for the lower edge, [65].
    """

    origin: Tensor
    along: Tensor
    length_px: Tensor
    upper: Tensor
    lower: Tensor

    @property
    def gap_px(self) -> Tensor:
        """Largest distance between the edges, pixels, never negative."""
        return (self.lower - self.upper).max().clamp(min=0)

    def place(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Returns, for points [..., 2], the place along the line (0 to 1) and the pixels below it."""
        x, y = points[..., 0] - self.origin[0], points[..., 1] - self.origin[1]
        along_x, along_y = self.along
        return (x * along_x + y * along_y) / self.length_px, y * along_x - x * along_y

    def depths(self, points: Tensor) -> Depths:
        """Returns the positions of points [..., 2] relative to the opening."""
        place, below = self.place(points)
        at = place.clamp(0, 1) * (SAMPLES - 1)
        index = at.long().clamp(max=SAMPLES - 2)
        fraction = at - index
        upper = torch.lerp(self.upper[index], self.upper[index + 1], fraction)
        lower = torch.lerp(self.lower[index], self.lower[index + 1], fraction)
        return Depths(place, below - upper, lower - below)

    def edge_distances(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the distances of points [..., 2] below the upper and above the lower edge, pixels."""
        depths = self.depths(points)
        return depths.below_upper, depths.above_lower

    def below_upper(self, place: Tensor, below: Tensor) -> Tensor:
        """Returns the points [..., 2] at `place` along the line and `below` pixels under the upper edge."""
        at = place.clamp(0, 1) * (SAMPLES - 1)
        index = at.long().clamp(max=SAMPLES - 2)
        height = torch.lerp(self.upper[index], self.upper[index + 1], at - index) + below
        across = torch.stack([-self.along[1], self.along[0]])
        along = place[..., None] * self.length_px * self.along
        return self.origin + along + height[..., None] * across

    def mask(self, points: Tensor, softness_px: float, inset_px: float = 0.0) -> Tensor:
        """Returns the visibility of the inside at points [..., 2]: 0 on the edges, 1 well inside."""
        return self.depths(points).mask(softness_px, inset_px)


def opening_between(upper: Tensor, lower: Tensor) -> Opening:
    """Returns the opening between two chains of points [N, 2] and [M, 2] that share their end points."""
    origin, end = upper[0], upper[-1]
    length_px = (end - origin).norm().clamp(min=1.0)
    along = (end - origin) / length_px
    across = torch.stack([-along[1], along[0]])
    curves = []
    for chain in (upper, lower):
        place = ((chain - origin) @ along / length_px).cummax(0).values
        curves.append(_resample(place, (chain - origin) @ across))
    return Opening(origin=origin, along=along, length_px=length_px, upper=curves[0], lower=curves[1])


def _resample(place: Tensor, height: Tensor) -> Tensor:
    at = torch.linspace(0, 1, SAMPLES, dtype=place.dtype, device=place.device)
    right = torch.searchsorted(place.contiguous(), at).clamp(1, len(place) - 1)
    left = right - 1
    fraction = ((at - place[left]) / (place[right] - place[left]).clamp(min=1e-6)).clamp(0, 1)
    return torch.lerp(height[left], height[right], fraction)
