"""The inside of the mouth: the portrait's own where it is visible, a plain drawn one elsewhere.

All lengths here are in eye distances (about 63 mm in an adult), so the anatomy below reads as millimetres /
63.
"""

import torch
from torch import Tensor

from auteur.signals.topology import LEFT_IRIS, RIGHT_IRIS
from auteur.synthesis.warp.apertures import Aperture, aperture_between
from auteur.synthesis.warp.mesh import CHEEK_VERTICES, CHIN_VERTICES, LIP_VERTICES, MOUTH_LOWER, MOUTH_UPPER
from auteur.synthesis.warp.pose import HeadMotion
from auteur.synthesis.warp.sampling import Box, Picture, blur, box_around, smooth_step

_EDGE = 0.03
"""Softness of the inner edge of the lips."""
_UPPER_TEETH_BELOW_LIP = 0.04
_LOWER_TEETH_ABOVE_LIP = 0.0
_TOOTH_EDGES = (0.0, 0.135, 0.24, 0.35, 0.45, 0.54)
"""Distances from the middle of the upper row to the gaps between its teeth, as seen from the front."""
_TOOTH_SHORTER = (0.0, 0.012, 0.004, 0.014, 0.02)
_ROW_HALF_WIDTH = 0.46
_OWN_FROM, _OWN_FULL = 0.05, 0.11
"""Opening of the portrait's own mouth from which, and at which fully, its pixels are kept."""
_JAW_FROM, _JAW_FULL = 0.1, 0.18
"""The same for what shows below its upper teeth."""


class Mouth:
    """The mouth of a portrait.

    Args:
        portrait: The portrait, values 0 to 255.
        landmarks: Its landmarks, [478, 3].
        eye_distance_px: Distance between the irises.
    """

    def __init__(self, portrait: Picture, landmarks: Tensor, eye_distance_px: float) -> None:
        self._portrait = portrait
        self._landmarks = landmarks
        self._unit_px = eye_distance_px
        self._edge_px = max(1.0, _EDGE * eye_distance_px)
        self._opening = self.opening(landmarks)
        self._contour = self._edges(landmarks)
        self._depth = landmarks[list(MOUTH_UPPER[3:8]), 2].mean() + 0.1 * eye_distance_px
        self._middle = landmarks[[13, 14], :2]
        self._axis = torch.nn.functional.normalize(
            landmarks[LEFT_IRIS[0], :2] - landmarks[RIGHT_IRIS[0], :2], dim=0
        )
        own_gap = self._opening.gap_px / eye_distance_px
        self._own_worth = smooth_step((own_gap - _OWN_FROM) / (_OWN_FULL - _OWN_FROM))
        self._split = self._find_split()
        self._teeth_below_lip = torch.lerp(
            own_gap.new_tensor(_UPPER_TEETH_BELOW_LIP), self._split * own_gap - 0.03, self._own_worth
        )
        rest = (1 - self._split) * own_gap
        self._jaw_worth = self._own_worth * smooth_step((rest - _JAW_FROM) / (_JAW_FULL - _JAW_FROM))
        self._colours = self._mix_colours()
        self._own = self._cut_out()

    def opening(self, landmarks: Tensor) -> Aperture:
        """Returns the opening between the lips for landmarks [478, 3]."""
        return aperture_between(landmarks[list(MOUTH_UPPER), :2], landmarks[list(MOUTH_LOWER), :2])

    def box(self, landmarks: Tensor, area: Box) -> Box:
        """Returns the pixels of `area` that the opening can touch for landmarks [478, 3]; may be empty."""
        return box_around(self._edges(landmarks), max(3.0, 0.05 * self._unit_px), area)

    def mask(self, positions: Tensor) -> Tensor:
        """Returns the visibility of the portrait's inside of the mouth at positions [h, w, 2], 0 to 1."""
        return self._opening.mask(positions, self._edge_px)

    def surroundings(self, positions: Tensor) -> Tensor:
        """Returns where the portrait may show the inside of the mouth, landmarks erring a little, 0 to 1."""
        is_open = self._opening.gap_px > self._edge_px
        inset_px = -0.6 * self._edge_px if is_open else 0.0
        place, _ = self._opening.place(positions)
        between_corners = (place >= 0) & (place <= 1)
        return self._opening.mask(positions, self._edge_px, inset_px=inset_px) * between_corners

    def paint(self, frame: Tensor, origins: Tensor, landmarks: Tensor, motion: HeadMotion, area: Box) -> None:
        """Draws the inside of the mouth between the lips, in place.

        Args:
            frame: The warped skin over `area`, values 0 to 255, [3, h, w].
            origins: Where in the portrait the skin at each pixel comes from, [h, w, 2].
            landmarks: Of the frame, [478, 3].
            motion: The head's motion since the portrait.
            area: The part of the portrait that `frame` covers.
        """
        opening = self.opening(landmarks)
        box = self.box(landmarks, area)
        if box.is_empty:
            return
        positions = box.pixels(frame.device)
        mask = opening.mask(positions, self._edge_px)
        within = (slice(None), *box.within(area))
        upper_place, lower_place = self._places(positions, landmarks, motion)
        inside = self._painted(opening, positions, upper_place, lower_place)
        if self._own_worth > 0:
            inside = self._add_own(inside, opening.edge_distances(positions)[0], upper_place, lower_place)
        painted = torch.lerp(frame[within], inside, mask)
        unchanged = self._sameness(landmarks, motion)
        if unchanged > 0:
            painted = torch.lerp(painted, self._portrait.sharp(origins[within[1:]]), unchanged)
        frame[within] = painted

    def _edges(self, landmarks: Tensor) -> Tensor:
        return landmarks[list(MOUTH_UPPER + MOUTH_LOWER), :2]

    def _places(self, positions: Tensor, landmarks: Tensor, motion: HeadMotion) -> tuple[Tensor, Tensor]:
        """Where in the portrait each position [h, w, 2] lies if it is part of the skull, and of the jaw."""
        matrix, offset = motion.plane(self._depth)
        inverse = torch.linalg.inv(matrix)
        on_skull = (positions - offset) @ inverse.T
        chin = list(CHIN_VERTICES)
        dropped = (landmarks[chin] - motion.apply(self._landmarks[chin]))[:, :2].mean(0)
        return on_skull, on_skull - inverse @ dropped

    def _painted(self, opening: Aperture, positions: Tensor, on_skull: Tensor, on_jaw: Tensor) -> Tensor:
        """A dark cavity with a tongue and two rows of teeth in soft light, [3, h, w]."""
        below_lip, above_lip = (distance / self._unit_px for distance in opening.edge_distances(positions))
        across, down = self._from_middle(on_skull, self._middle[0])
        _, below_jaw = self._from_middle(on_jaw, self._middle[1])
        soft = max(0.018, 0.8 / self._unit_px)
        cavity, tongue, teeth = self._colours
        gap = opening.gap_px / self._unit_px
        share = (below_lip / (below_lip + above_lip).clamp(min=1e-3)).clamp(0, 1)
        picture = cavity[:, None, None] * (0.7 + 0.6 * share)
        # Tongue: a mound that follows the jaw, lit on top of its two halves.
        mound = -0.14 + 0.6 * across.square()
        halves = 1 - 0.1 * torch.exp(-(across / 0.035).square())
        lit = (0.62 + 0.38 * smooth_step((below_jaw - mound) / 0.2)) * halves
        picture = torch.lerp(picture, tongue[:, None, None] * lit, smooth_step((below_jaw - mound) / 0.13))
        lower = smooth_step((below_jaw + _LOWER_TEETH_ABOVE_LIP - 0.25 * across.square()) / (2 * soft))
        lower = lower * self._row(across, 0.8) * 0.32
        picture = torch.lerp(picture, teeth[:, None, None] * (0.6 - 0.5 * across.square()), lower)
        edge = self._teeth_below_lip - 0.22 * across.square() - self._tooth_ends(across)
        upper = smooth_step((edge - down) / soft + 0.5) * self._row(across, 1.0)
        picture = torch.lerp(picture, self._shade_teeth(teeth, across), upper * 0.9 * (1 - self._own_worth))
        # Lips and cheeks keep the light out: dark near the edges, in the corners and while hardly open.
        light = 0.55 + 0.45 * smooth_step(below_lip / 0.06) * smooth_step(0.3 + above_lip / 0.06)
        place, _ = opening.place(positions)
        corner = smooth_step(torch.minimum(place, 1 - place) / 0.3)
        picture = picture * light * (0.4 + 0.6 * smooth_step(gap / 0.13))
        return torch.lerp(0.9 * cavity[:, None, None], picture, 0.15 + 0.85 * corner)

    def _from_middle(self, positions: Tensor, middle: Tensor) -> tuple[Tensor, Tensor]:
        """Eye distances to the subject's left of and below the middle of a lip."""
        x, y = ((positions - middle) / self._unit_px).unbind(-1)
        return x * self._axis[0] + y * self._axis[1], y * self._axis[0] - x * self._axis[1]

    def _row(self, across: Tensor, size: float) -> Tensor:
        return 1 - smooth_step((across.abs() / size - _ROW_HALF_WIDTH + 0.12) / 0.12)

    def _tooth_ends(self, across: Tensor) -> Tensor:
        """Height of each tooth's end above the middle of the row: round corners, shorter second ones."""
        distance = across.abs()
        edges = torch.tensor(_TOOTH_EDGES, device=across.device)
        tooth = torch.bucketize(distance, edges[1:-1])
        left, right = edges[tooth], edges[tooth + 1]
        from_centre = (2 * distance - left - right) / (right - left)
        return torch.tensor(_TOOTH_SHORTER, device=across.device)[tooth] + 0.009 * from_centre.pow(4)

    def _shade_teeth(self, teeth: Tensor, across: Tensor) -> Tensor:
        """Teeth that curve away to the sides, with faint gaps between them, [3, h, w]."""
        round_off = 1 - 0.55 * smooth_step(across.abs() / _ROW_HALF_WIDTH)
        edges = torch.tensor(_TOOTH_EDGES, device=across.device)
        to_gap = (across.abs()[..., None] - edges).abs().amin(-1)
        width = max(0.012, 0.7 / self._unit_px)
        visible = min(1.0, 0.02 * self._unit_px)
        gaps = 1 - 0.1 * visible * torch.exp(-((to_gap / width) ** 2))
        return teeth[:, None, None] * (round_off * gaps)

    def _add_own(self, painted: Tensor, below_lip_px: Tensor, on_skull: Tensor, on_jaw: Tensor) -> Tensor:
        """Lays the portrait's own mouth over the painted one: the upper part stays with the skull."""
        picture = painted
        layers = ((on_jaw, False, self._jaw_worth), (on_skull, True, self._own_worth))
        for place, is_upper, worth in layers:
            below, above = self._opening.edge_distances(place)
            height = (below + above).clamp(min=1e-3)
            part = smooth_step((self._split - below / height) / 0.12 + 0.5)
            part = part if is_upper else 1 - part
            if is_upper:
                down = self._stretch_up(below, below_lip_px, height) - below
                place = place + down[..., None] * torch.stack([-self._axis[1], self._axis[0]])
                below, above = below + down, above - down
            shows = smooth_step((above - 0.7 * self._edge_px) / self._edge_px)
            shows = shows * smooth_step((below - 0.4 * self._edge_px) / (0.5 * self._edge_px))
            shows = shows * smooth_step((height - 1.5 * self._edge_px) / self._edge_px)
            own = self._own.sharp(place)
            picture = torch.lerp(picture, own[:3], own[3:].clamp(0, 1) * shows * part * worth)
        return picture

    def _stretch_up(self, below: Tensor, below_lip_px: Tensor, height: Tensor) -> Tensor:
        """Pixels below the portrait's lip to read at: teeth reach up to a raised lip, their edge stays."""
        lip = below - below_lip_px
        top = torch.minimum(self._edge_px * torch.ones_like(height), 0.4 * height)
        stretched = height - (height - below) * (height - top) / (height - lip).clamp(min=1e-3)
        return torch.where(lip < top, stretched, below)

    def _sameness(self, landmarks: Tensor, motion: HeadMotion) -> Tensor:
        """1 where the lips are as in the portrait, falling to 0 as they move against the head."""
        change = landmarks - motion.apply(self._landmarks)
        lips = change[list(MOUTH_UPPER + MOUTH_LOWER), :2].norm(dim=-1).max() / self._unit_px
        return 1 - smooth_step((lips - 0.004) / 0.016)

    def _cut_out(self) -> Picture:
        """The portrait around the mouth with a fourth channel: 0 where the lower lip shows, else 1."""
        height, width = self._portrait.colour.shape[1:]
        whole = Box(left=0, top=0, right=width, bottom=height)
        box = box_around(self._contour, 0.3 * self._unit_px, whole)
        colour = self._portrait.colour[(slice(None), *box.within(whole))]
        lips = self._portrait.soft(self._landmarks[None, list(LIP_VERTICES), :2])[:, 0].mean(-1, keepdim=True)
        red, lip_red = _redness(colour), float(_redness(lips[..., None]))
        teeth_red = float(_redness(self._colours[2][:, None, None]))
        differ = min(1.0, max(0.0, (lip_red - teeth_red - 0.12) / 0.12))
        like_lips = (red - teeth_red) / max(lip_red - teeth_red, 0.08)
        bright = colour.mean(0) / lips.mean().clamp(min=1.0)
        _, above = self._opening.edge_distances(box.pixels(colour.device))
        at_lip = 1 - smooth_step((above / self._edge_px - 1.5) / 1.5)  # further up, red is gums or light
        is_lip = smooth_step((like_lips - 0.4) / 0.4) * smooth_step((bright - 0.3) / 0.2)
        keeps = 1 - blur((differ * at_lip * is_lip)[None])
        return Picture(torch.cat([colour, keeps]), box.left, box.top)

    def _find_split(self) -> Tensor:
        """Where the portrait's upper teeth end, as a share of its opening from above; 1 if nowhere."""
        share = torch.linspace(0.1, 0.95, 18, device=self._contour.device)
        light = self._look_inside(share).mean((0, 2))
        fall = light[:-3] - light[3:]
        if bool(fall.max() < 0.25 * light.max()):
            return share.new_tensor(1.0) if bool(light.max() > 90) else share.new_tensor(0.55)
        return share[fall.argmax()] + 0.05

    def _mix_colours(self) -> tuple[Tensor, Tensor, Tensor]:
        """Cavity, tongue and teeth in the light and the colour range of this portrait, [3] each."""
        skin = self._portrait.soft(self._landmarks[None, list(CHEEK_VERTICES), :2])[:, 0].median(-1).values
        lips = self._portrait.soft(self._landmarks[None, list(LIP_VERTICES), :2])[:, 0].mean(-1)
        grey = skin.mean()
        colourful = 1 - skin.min() / skin.max().clamp(min=1.0)
        yellow = 1 - (colourful / 0.1).clamp(max=1.0) * skin.new_tensor([0.0, 0.03, 0.1])
        teeth = torch.lerp(skin, grey.expand(3), 0.6) * 0.98 * yellow
        if self._own_worth > 0:
            teeth = torch.lerp(teeth, self._own_teeth_colour(teeth), self._own_worth)
        red = 1 + colourful * skin.new_tensor([0.35, -0.25, -0.25])
        flesh = lips * red * (0.6 * grey / lips.mean().clamp(min=1.0)).clamp(max=1.2)
        return 0.25 * flesh, 0.8 * flesh, teeth

    def _own_teeth_colour(self, otherwise: Tensor) -> Tensor:
        """Colour of the brighter half of what the open mouth shows, [3]; `otherwise` where that is dark."""
        colours = self._look_inside(torch.linspace(0.2, 0.6, 9, device=otherwise.device)).flatten(1)
        bright = colours[:, colours.mean(0).argsort()[colours.shape[1] // 2 :]].mean(-1)
        is_bright = smooth_step((bright.mean() / otherwise.mean().clamp(min=1.0) - 0.5) / 0.3)
        return torch.lerp(otherwise, bright, is_bright)

    def _look_inside(self, share: Tensor) -> Tensor:
        """Colours of the portrait's opening at shares of its height [N], in the middle, [3, N, 17]."""
        place = torch.linspace(0.3, 0.7, 17, device=share.device)
        index = (place * (len(self._opening.upper) - 1)).long()
        upper, lower = self._opening.upper[index], self._opening.lower[index]
        below = upper + share[:, None] * (lower - upper)
        across = torch.stack([-self._opening.along[1], self._opening.along[0]])
        along = self._opening.origin + (place * self._opening.length_px)[:, None] * self._opening.along
        return self._portrait.sharp(along + below[..., None] * across)


def _redness(colour: Tensor) -> Tensor:
    """Redness of colours [3, h, w], 0 for grey to 1, [h, w]."""
    return (colour[0] - colour[1:].mean(0)) / colour.amax(0).clamp(min=8.0)
