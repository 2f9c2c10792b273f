"""The eyeball behind the lids: it turns with the gaze and is covered by the lids."""

import torch
from torch import Tensor

from auteur.signals.topology import LEFT_IRIS, RIGHT_IRIS
from auteur.synthesis.warp.apertures import Aperture, Depths, aperture_between
from auteur.synthesis.warp.lids import ClosingLid
from auteur.synthesis.warp.mesh import LEFT_EYE_LOWER, LEFT_EYE_UPPER, RIGHT_EYE_LOWER, RIGHT_EYE_UPPER
from auteur.synthesis.warp.sampling import Box, Picture, box_around, fill_in, smooth_step

# Share of its openness in the portrait below which a lid starts to be pulled shut, and at which it is shut:
# landmark models see lashes and report a gap of about a sixth for an eye that is closed.
_PULL_FROM, _SHUT_AT = 0.42, 0.2
_EDGE = 0.022
"""Softness of the lid edge, in eye distances."""
_IRIS_RINGS = 24
_LASHES = 0.03
"""Reach of lashes and their shadow under the upper lid's edge, in eye distances; they move with it."""


def close_lids(source: Tensor, target: Tensor) -> Tensor:
    """Returns target landmarks [478, 3] in which eyes that are nearly closed are shut."""
    result = target.clone()
    for upper, lower in ((RIGHT_EYE_UPPER, RIGHT_EYE_LOWER), (LEFT_EYE_UPPER, LEFT_EYE_LOWER)):
        high, low = torch.tensor(upper[1:-1]), torch.tensor(lower[1:-1])
        requested = (target[low] - target[high])[:, :2].norm(dim=-1).mean()
        own = (source[low] - source[high])[:, :2].norm(dim=-1).mean().clamp(min=1e-3)
        shut = 1 - smooth_step((requested / own - _SHUT_AT) / (_PULL_FROM - _SHUT_AT))
        gap = target[low] - target[high]
        result[high] += 0.85 * shut * gap
        result[low] -= 0.15 * shut * gap
    return result


class Eye:
    """One eye of a portrait.

    Args:
        portrait: The portrait, values 0 to 255.
        landmarks: Its landmarks, [478, 3].
        is_right: Whether this is the subject's right eye.
        eye_distance_px: Distance between the irises.
    """

    def __init__(
        self, portrait: Picture, landmarks: Tensor, *, is_right: bool, eye_distance_px: float
    ) -> None:
        self._portrait = portrait
        self._upper, self._lower, self._iris = (
            (RIGHT_EYE_UPPER, RIGHT_EYE_LOWER, RIGHT_IRIS)
            if is_right
            else (LEFT_EYE_UPPER, LEFT_EYE_LOWER, LEFT_IRIS)
        )
        self._unit_px = eye_distance_px
        self._edge_px = max(1.0, _EDGE * eye_distance_px)
        self._lashes_px = max(1.5, _LASHES * eye_distance_px)
        self._opening = self.opening(landmarks)
        self._chain = self._edges(landmarks)
        self._corners = landmarks[[self._upper[0], self._upper[-1]], :2]
        self._centre = landmarks[self._iris[0], :2]
        rim = landmarks[list(self._iris[1:]), :2]
        self._radius_px = (rim - self._centre).norm(dim=-1).mean().clamp(min=1.0)
        self._lid = ClosingLid(portrait, landmarks, is_right=is_right, eye_distance_px=eye_distance_px)
        self._ball = self._build_ball()

    def opening(self, landmarks: Tensor) -> Aperture:
        """Returns the opening between the lids for landmarks [478, 3]."""
        return aperture_between(landmarks[list(self._upper), :2], landmarks[list(self._lower), :2])

    def box(self, landmarks: Tensor, area: Box) -> Box:
        """Returns the pixels of `area` that the opening can touch for landmarks [478, 3]; may be empty."""
        return box_around(self._edges(landmarks), max(3.0, 0.05 * self._unit_px), area)

    def mask(self, positions: Tensor) -> Tensor:
        """Returns the visibility of the eyeball in the portrait at positions [h, w, 2], 0 to 1."""
        return self._opening.mask(positions, self._edge_px)

    def paint(self, frame: Tensor, origins: Tensor, landmarks: Tensor, area: Box) -> None:
        """Draws the eyeball into the opening, in place.

        Args:
            frame: The warped skin over `area`, values 0 to 255, [3, h, w].
            origins: Where in the portrait the skin at each pixel comes from, [h, w, 2].
            landmarks: Of the frame, [478, 3].
            area: The part of the portrait that `frame` covers.
        """
        box = self.box(landmarks, area)
        if box.is_empty:
            return
        opening = self.opening(landmarks)
        self._lid.unfold(frame, origins, landmarks, opening, area)
        positions = box.pixels(frame.device)
        depths = opening.depths(positions)
        within = (slice(None), *box.within(area))
        ball = self._ball.sharp(self._trace_back(positions, landmarks))
        ball = self._draw_lashes(ball, depths)
        painted = torch.lerp(frame[within], ball, depths.mask(self._edge_px))
        unchanged = self._sameness(landmarks)
        if unchanged > 0:
            painted = torch.lerp(painted, self._portrait.sharp(origins[within[1:]]), unchanged)
        frame[within] = painted
        self._lid.draw_lashes(frame, landmarks, opening, area)

    def _draw_lashes(self, ball: Tensor, depths: Depths) -> Tensor:
        """The dark line under the upper lid's edge, carried along by it."""
        line = self._portrait.sharp(self._opening.below_upper(depths.place, depths.below_upper))
        strength = 1 - smooth_step(depths.below_upper / self._lashes_px)
        return torch.lerp(ball, torch.minimum(ball, line), strength)

    def _edges(self, landmarks: Tensor) -> Tensor:
        return landmarks[list(self._upper + self._lower), :2]

    def _head_turn(self, landmarks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Takes the portrait's eye corners to the frame's: a complex factor (two scalars) and the centre."""
        corners = landmarks[[self._upper[0], self._upper[-1]], :2]
        before, after = self._corners[1] - self._corners[0], corners[1] - corners[0]
        length = before.square().sum().clamp(min=1.0)
        real = (before * after).sum() / length
        imaginary = (before[0] * after[1] - before[1] * after[0]) / length
        return real, imaginary, corners.mean(0)

    def _from_portrait(self, points: Tensor, landmarks: Tensor) -> Tensor:
        real, imaginary, centre = self._head_turn(landmarks)
        x, y = (points - self._corners.mean(0)).unbind(-1)
        return torch.stack([real * x - imaginary * y, imaginary * x + real * y], -1) + centre

    def _to_portrait(self, points: Tensor, landmarks: Tensor) -> Tensor:
        real, imaginary, centre = self._head_turn(landmarks)
        size = (real.square() + imaginary.square()).clamp(min=1e-2)
        x, y = (points - centre).unbind(-1)
        turned = torch.stack([real * x + imaginary * y, real * y - imaginary * x], -1) / size
        return turned + self._corners.mean(0)

    def _trace_back(self, positions: Tensor, landmarks: Tensor) -> Tensor:
        """Source of each position [h, w, 2] on the portrait's eyeball; the iris keeps its shape."""
        iris = landmarks[self._iris[0], :2]
        gaze = iris - self._from_portrait(self._centre, landmarks)
        limit = 2.0 * self._radius_px
        gaze = gaze * (limit / gaze.norm().clamp(min=1e-6)).clamp(max=1.0)
        moved = (positions - self._from_portrait(self._centre, landmarks) - gaze).norm(dim=-1)
        share = 1 - smooth_step((moved / self._radius_px - 1.2) / 1.8)
        return self._to_portrait(positions - share[..., None] * gaze, landmarks)

    def _sameness(self, landmarks: Tensor) -> Tensor:
        """1 where lids and iris are as in the portrait, falling to 0 as they move against the head."""
        parts = torch.cat([self._edges(landmarks), landmarks[self._iris[0], None, :2]])
        own = torch.cat([self._chain, self._centre[None]])
        change = (self._to_portrait(parts, landmarks) - own).norm(dim=-1).max() / self._unit_px
        return 1 - smooth_step((change - 0.004) / 0.014)

    def _build_ball(self) -> Picture:
        """The eyeball without lids: rings of the iris and the white around it go on under them."""
        height, width = self._portrait.colour.shape[1:]
        whole = Box(left=0, top=0, right=width, bottom=height)
        box = box_around(self._edges_and_rim(), 0.25 * self._unit_px, whole)
        positions = box.pixels(self._portrait.colour.device)
        colour = self._portrait.colour[(slice(None), *box.within(whole))]
        shows = self._opening.mask(positions, self._edge_px, inset_px=0.6 * self._edge_px)[None]
        below, _ = self._opening.edge_distances(positions)
        shows = shows * smooth_step((below - 0.6 * self._lashes_px) / self._edge_px)
        radius = ((positions - self._centre).norm(dim=-1) / self._radius_px)[None]
        white = shows * smooth_step((radius - 1.1) / 0.25)
        if float(white.sum()) < 4.0:
            white = shows + 1e-3
        # Lids throw a shadow, so what they hid is drawn a little darker than what shows.
        sclera = 0.9 * fill_in(colour, white)
        iris = self._iris_rings(colour, shows, radius)
        hidden = torch.lerp(sclera, iris, 1 - smooth_step((radius - 0.9) / 0.25))
        return Picture(torch.lerp(hidden, colour, shows), box.left, box.top)

    def _edges_and_rim(self) -> Tensor:
        rim = torch.tensor([[-1.0, -1.0], [1.0, 1.0]], device=self._centre.device)
        return torch.cat([self._chain, self._centre + 1.5 * self._radius_px * rim])

    def _iris_rings(self, colour: Tensor, shows: Tensor, radius: Tensor) -> Tensor:
        """Mean colour of the visible part of each ring of the iris, spread over the whole ring, [3, h, w]."""
        rings = torch.linspace(0, 1.25, _IRIS_RINGS, device=colour.device)
        weight = torch.exp(-(((radius - rings[:, None, None]) / 0.08) ** 2)) * shows + 1e-5 * shows + 1e-9
        means = torch.einsum("rhw,chw->rc", weight, colour) / weight.sum((1, 2))[:, None]
        at = (radius[0] / 1.25).clamp(0, 1) * (_IRIS_RINGS - 1)
        low = at.long().clamp(max=_IRIS_RINGS - 2)
        return torch.lerp(means[low], means[low + 1], (at - low)[..., None]).permute(2, 0, 1)
