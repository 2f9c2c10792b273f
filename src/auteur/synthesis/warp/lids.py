"""Skin of closing lids: the crease unfolds, and lashes come down to lie along the line where lids meet."""

import torch
import torch.nn.functional as functional
from torch import Tensor

from auteur.synthesis.warp.mesh import (
    LEFT_EYE_LOWER,
    LEFT_EYE_UPPER,
    LEFT_LID_CREASE,
    LEFT_LID_FOOT,
    LEFT_UNDER_BROW,
    RIGHT_EYE_LOWER,
    RIGHT_EYE_UPPER,
    RIGHT_LID_CREASE,
    RIGHT_LID_FOOT,
    RIGHT_UNDER_BROW,
)
from auteur.synthesis.warp.openings import SAMPLES, Opening, opening_between
from auteur.synthesis.warp.sampling import Box, Picture, blur, box_around, fill_in, smooth_step

_UNFOLDS_FROM, _UNFOLDED_AT = 0.3, 0.92
"""Share of the portrait's gap that is closed when the crease starts to unfold, and when it has unfolded."""
_CREASE_LEFT = 0.1
_LINE_FROM = 0.35
"""Share of the portrait's gap at which the line of the lashes starts to show."""
_OUTER_MARGIN, _INNER_MARGIN = 0.28, 0.14
"""How far beyond the corners the eye's own lines reach, in eye widths: landmarks lie inside them."""
_NEW, _AROUND = (0.65, 1.0, 0.0), (1.0, 1.7, 0.2)
"""Where new skin ends, and the skin it is made of: from the crease's row of the mesh (0) to the one under the
brow (1), from the lower lid's edge (0) to the row under it (1), and beyond the margins in eye widths."""
_SOFTNESS, _LASHES, _LINE = 0.045, 0.06, 0.014
"""Softness of the edge of the new skin, length of lashes, half width of their line, in eye distances."""
_SIDES = 0.11
"""Share of its width over which new skin fades in from either side."""
_LIGHT, _LIT_AT, _LIT = 0.07, -0.07, 0.08
"""How much brighter a shut lid is than skin around it, where it is brightest, and how far around that, in eye
distances from its edge: the lid is a ball that catches light where the open eye lies in shadow."""
_CHEEK = 0.28
"""Distance under the eye at which the cheek's grain is taken, in eye distances."""
_LEAST_LINE = 0.5
"""Brightness of the line against the skin, at most: where lids meet there is shadow, whatever the lashes."""
_OVERLAP = 0.007
"""Distance of the line below the seam, in eye distances: lashes hang over the lower lid's edge."""
_DARKEST, _SHADOW = 0.7, 0.25
"""Most that lashes darken skin, and the soft part of their line against its core."""
_OUTER_FADE, _INNER_FADE = (-0.24, 0.04), (-0.06, 0.16)
"""Where along the lid its line begins and where it is full, in eye widths from the corner."""
_DIFFUSIONS = 40
_BEYOND = 17
"""Samples by which the line goes on beyond the corners, at the steps of an opening's edges."""


class ClosingLid:
    """The lids of one eye of a portrait as they look when shut.

    Skin around the eye is continued over it, with the portrait's own grain. What is darker than that skin
    along the upper lid's edge is its lashes.

    Args:
        portrait: The portrait, values 0 to 255.
        landmarks: Its landmarks, [478, 3].
        is_right: Whether this is the subject's right eye.
        eye_distance_px: Distance between the irises.
    """

    def __init__(
        self, portrait: Picture, landmarks: Tensor, *, is_right: bool, eye_distance_px: float
    ) -> None:
        self._is_right, self._unit_px = is_right, eye_distance_px
        self._chains = (
            (RIGHT_EYE_UPPER, RIGHT_EYE_LOWER, RIGHT_LID_CREASE, RIGHT_LID_FOOT, RIGHT_UNDER_BROW)
            if is_right
            else (LEFT_EYE_UPPER, LEFT_EYE_LOWER, LEFT_LID_CREASE, LEFT_LID_FOOT, LEFT_UNDER_BROW)
        )
        upper, lower = (landmarks[list(chain), :2] for chain in self._chains[:2])
        self._opening = opening_between(upper, lower)
        self._build(portrait, landmarks)

    def unfold(self, frame: Tensor, origins: Tensor, landmarks: Tensor, opening: Opening, area: Box) -> None:
        """Draws the smooth skin of closing lids over the warped one, in place; nothing while the eye is open.

        Args:
            frame: The warped skin over `area`, values 0 to 255, [3, h, w].
            origins: Where in the portrait the skin at each pixel comes from, [h, w, 2].
            landmarks: Of the frame, [478, 3].
            opening: Between the frame's lids.
            area: The part of the portrait that `frame` covers.
        """
        gap = self._gap(opening)
        unfolded = smooth_step((1 - gap - _UNFOLDS_FROM) / (_UNFOLDED_AT - _UNFOLDS_FROM))
        if unfolded <= 0:
            return
        box = box_around(self._outline(landmarks), 2.0, area)
        if box.is_empty:
            return
        within = (slice(None), *box.within(area))
        positions = box.pixels(frame.device)
        skin = self._skin.soft(origins[within[1:]])
        grain = self._grain.sharp(positions + self._middle - _middle(opening))
        depths = opening.depths(positions)
        over = depths.below_upper / self._unit_px
        from_middle = ((over - _LIT_AT) / _LIT).square() + ((depths.place - 0.5) / 0.4).square()
        light = 1 + _LIGHT * torch.exp(-from_middle)
        # Until lids meet, the lashes stay on the edge of the upper one, which carries them.
        carried = smooth_step(2 * (0.85 + over / _LASHES)) * smooth_step(gap / _LINE_FROM)
        share = (1 - _CREASE_LEFT) * unfolded * skin[3] * (1 - carried)
        frame[within] = torch.lerp(frame[within], (light * skin[:3] + grain).clamp(0, 255), share)

    def draw_lashes(self, frame: Tensor, landmarks: Tensor, opening: Opening, area: Box) -> None:
        """Draws the line of the lashes where lids meet, in place; it fades in as they do.

        Args:
            frame: The eye, values 0 to 255, [3, h, w].
            landmarks: Of the frame, [478, 3].
            opening: Between the frame's lids.
            area: The part of the portrait that `frame` covers.
        """
        met = 1 - smooth_step(self._gap(opening) / _LINE_FROM)
        if met <= 0:
            return
        box = box_around(self._outline(landmarks), 2.0, area)
        if box.is_empty:
            return
        within = (slice(None), *box.within(area))
        place, below = opening.place(box.pixels(frame.device))
        at = (place * (SAMPLES - 1) + _BEYOND).clamp(0, SAMPLES + 2 * _BEYOND - 1.01)
        index = at.long()
        seam = _seam(opening)
        below = (below - torch.lerp(seam[index], seam[index + 1], at - index)) / self._unit_px - _OVERLAP
        line = torch.lerp(self._line[index], self._line[index + 1], at - index)
        down = below.clamp(min=0) / _LASHES * (self._lashes.colour.shape[1] - 1)
        lashes = self._lashes.sharp(torch.stack([at, down], dim=-1)).clamp(min=0) * (below > 0)
        from_line = (below / self._line_width).square()
        on_line = (torch.exp(-from_line) + _SHADOW * torch.exp(-from_line / 8)).clamp(max=1)
        shade = torch.maximum(line * on_line, lashes).clamp(max=_DARKEST)
        frame[within] *= (1 - met * shade) ** self._tint

    def _build(self, portrait: Picture, landmarks: Tensor) -> None:
        height, width = portrait.colour.shape[1:]
        whole = Box(left=0, top=0, right=width, bottom=height)
        box = box_around(self._outline(landmarks), 0.1 * self._unit_px + 2, whole)
        positions = box.pixels(portrait.colour.device)
        colour = portrait.colour[(slice(None), *box.within(whole))]
        new = self._region(landmarks, *_NEW).depths(positions)
        sides = smooth_step(torch.minimum(new.place, 1 - new.place) / _SIDES)
        zone = (new.mask(max(2.0, _SOFTNESS * self._unit_px)) * sides)[None]
        around = self._region(landmarks, *_AROUND).mask(positions, 1.0)[None]
        smooth = fill_in(colour, around * (zone == 0) + 1e-6)
        for _ in range(_DIFFUSIONS):
            smooth = torch.where(zone > 0, blur(smooth), smooth)
        self._skin = Picture(torch.cat([smooth, zone]), box.left, box.top)
        self._grain = Picture(self._find_grain(portrait, positions), box.left, box.top)
        # Dark skin is of a deeper hue: red, its brightest colour, fades last. Grey stays grey.
        colours = smooth.mean((1, 2))
        self._tint = (2 - colours / colours.max().clamp(min=1.0))[:, None, None]
        darkness = 1.03 - (colour.mean(0, keepdim=True) + 1) / (smooth.mean(0, keepdim=True) + 1)
        darkness = darkness.clamp(0, _DARKEST) * (zone > 0)
        self._middle = _middle(self._opening)
        self._line_width = max(_LINE, 0.8 / self._unit_px)
        self._find_lashes(Picture(darkness, box.left, box.top))

    def _find_lashes(self, darkness: Picture) -> None:
        """How dark the lashes are along the lid where they are darkest, and from there to their tips."""
        device = self._middle.device
        heights = torch.linspace(-0.05, 0.01, 25, device=device)
        place = torch.arange(-_BEYOND, SAMPLES + _BEYOND, device=device) / (SAMPLES - 1)

        def over_edge(height: Tensor) -> Tensor:
            rows = (height * self._unit_px)[:, None].expand(-1, len(place))
            return self._opening.below_upper(place.expand(len(height), -1), rows)

        found = darkness.soft(over_edge(heights))[0]
        best = int(found[:, (place > 0.1) & (place < 0.9)].mean(1).argmax())
        line = functional.max_pool1d(found[None, best].clamp(min=1 - _LEAST_LINE), 5, 1, 2)
        line = functional.avg_pool1d(line, 9, 1, 4, count_include_pad=False)[0]
        left, right = (_OUTER_FADE, _INNER_FADE) if self._is_right else (_INNER_FADE, _OUTER_FADE)
        ends = smooth_step((place - left[0]) / (left[1] - left[0]))
        self._line = line * ends * smooth_step((1 - place - right[0]) / (right[1] - right[0]))
        # Lashes that pointed up point down when lids are shut. What is separate above them is no lash.
        up = torch.linspace(0, _LASHES, max(6, round(_LASHES * self._unit_px) + 1), device=device)
        lashes = blur(blur(darkness.sharp(over_edge(heights[best] - up)))).cummin(1).values
        tips = smooth_step(1 - up / _LASHES)[:, None]
        self._lashes = Picture(torch.minimum(lashes * tips, self._line))

    def _find_grain(self, portrait: Picture, positions: Tensor) -> Tensor:
        """What is finer than shading in the skin of the cheek under the eye, in grey, [1, h, w]."""
        down = torch.stack([-self._opening.along[1], self._opening.along[0]])
        cheek = portrait.sharp(positions + _CHEEK * self._unit_px * down).mean(0, keepdim=True)
        fine = cheek - blur(blur(cheek))
        most = 2.5 * fine.abs().mean()
        return fine.clamp(-most, most)

    def _gap(self, opening: Opening) -> Tensor:
        """Gap relative to the portrait's, 1 open to 0 shut, independent of the size of the frame's eye."""
        own = self._opening
        lost = own.gap_px - opening.gap_px * (own.length_px / opening.length_px)
        return 1 - lost / own.gap_px.clamp(min=1.0)

    def _region(self, landmarks: Tensor, up: float, down: float, aside: float) -> Opening:
        """The region around the eye, up to given places between the rows of the mesh."""
        upper, lower, crease, foot, brow = (landmarks[list(chain), :2] for chain in self._chains)
        outer, inner = (0, -1) if self._is_right else (-1, 0)
        width = upper[inner] - upper[outer]
        ends = {outer: upper[outer] - (_OUTER_MARGIN + aside) * width}
        ends[inner] = upper[inner] + (_INNER_MARGIN + aside) * width
        high = torch.lerp(crease, brow, up)
        low = torch.lerp(lower[1:-1], foot, down)
        return opening_between(
            torch.cat([ends[0][None], high, ends[-1][None]]), torch.cat([ends[0][None], low, ends[-1][None]])
        )

    def _outline(self, landmarks: Tensor) -> Tensor:
        upper, _, _, foot, brow = (landmarks[list(chain), :2] for chain in self._chains)
        width = upper[-1] - upper[0]
        sides = torch.stack([upper[0] - _OUTER_MARGIN * width, upper[-1] + _OUTER_MARGIN * width])
        return torch.cat([sides, brow, foot])


def _seam(opening: Opening) -> Tensor:
    """Height of the line where lids meet, and beyond their corners, without kinks, pixels, [65 + 2 * 17]."""
    middle = 0.5 * (opening.upper + opening.lower)
    longer = functional.pad(middle[None, None], (_BEYOND, _BEYOND), mode="replicate")[0]
    return functional.avg_pool1d(longer, 13, 1, 6, count_include_pad=False)[0]


def _middle(opening: Opening) -> Tensor:
    return opening.origin + 0.5 * opening.length_px * opening.along
