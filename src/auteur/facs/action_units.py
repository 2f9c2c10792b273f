"""The table of Action Units: numbers, names, muscles, regions, sides.

Names, muscles and sides follow the FACS manual (Ekman, Friesen & Hager, 2002). Jaw opening is AU26 at every
size: the manual's AU27 (mouth stretch) is its upper end and has no channel of its own in any convention here.
"""

from dataclasses import dataclass
from typing import Literal

Region = Literal["brow", "eye", "nose", "cheek", "mouth", "jaw", "gaze"]
Side = Literal["", "L", "R", "T", "B"]
"""Subject's left or right, top or bottom lip; "" is the whole movement."""


@dataclass(frozen=True)
class ActionUnit:
    """One movement of the face."""

    number: int
    """FACS number."""
    name: str
    """The manual's name."""
    plain_names: tuple[str, ...]
    """Everyday names; the first is the one Auteur prints."""
    region: Region
    """Part of the face that moves."""
    sides: tuple[Side, ...]
    """Sides that can move alone; ("",) where the unit has none."""
    muscle: str
    """Muscle that makes the movement, or "" where the manual names none."""
    description: str
    """Visible change."""

    @property
    def code(self) -> str:
        """Short name, such as "AU12"."""
        return f"AU{self.number}"

    @property
    def controls(self) -> tuple[str, ...]:
        """Code of each side, such as ("AU12L", "AU12R"): the channels of convention "facs"."""
        return tuple(self.code + side for side in self.sides)


_LEFT_RIGHT: tuple[Side, ...] = ("L", "R")
_TOP_BOTTOM: tuple[Side, ...] = ("T", "B")
_WHOLE: tuple[Side, ...] = ("",)


def _unit(
    number: int, name: str, plain: str, region: Region, sides: tuple[Side, ...], muscle: str, seen: str
) -> ActionUnit:
    return ActionUnit(number, name, tuple(plain.split()), region, sides, muscle, seen)


_ALL = (
    _unit(
        1,
        "Inner brow raiser",
        "inner_brow_raise",
        "brow",
        _LEFT_RIGHT,
        "frontalis, medial part",
        "inner brow ends rise",
    ),
    _unit(
        2,
        "Outer brow raiser",
        "outer_brow_raise",
        "brow",
        _LEFT_RIGHT,
        "frontalis, lateral part",
        "outer brow ends rise",
    ),
    _unit(
        4,
        "Brow lowerer",
        "brow_lower brow_frown",
        "brow",
        _LEFT_RIGHT,
        "corrugator and depressor supercilii, procerus",
        "brows sink and draw together",
    ),
    _unit(
        5,
        "Upper lid raiser",
        "lid_raise eyes_wide",
        "eye",
        _LEFT_RIGHT,
        "levator palpebrae superioris",
        "upper lids rise, eyes widen",
    ),
    _unit(
        6,
        "Cheek raiser",
        "cheek_raise cheek_squint",
        "eye",
        _LEFT_RIGHT,
        "orbicularis oculi, orbital part",
        "cheeks rise, crow's feet appear",
    ),
    _unit(
        7,
        "Lid tightener",
        "lid_tighten squint",
        "eye",
        _LEFT_RIGHT,
        "orbicularis oculi, palpebral part",
        "lower lids rise, eyes narrow",
    ),
    _unit(
        8,
        "Lips toward each other",
        "lips_together",
        "mouth",
        _WHOLE,
        "orbicularis oris",
        "lips meet over an open jaw",
    ),
    _unit(
        9,
        "Nose wrinkler",
        "nose_wrinkle sneer",
        "nose",
        _LEFT_RIGHT,
        "levator labii superioris alaeque nasi",
        "skin beside the nose wrinkles",
    ),
    _unit(
        10,
        "Upper lip raiser",
        "upper_lip_raise",
        "mouth",
        _LEFT_RIGHT,
        "levator labii superioris",
        "upper lip rises, upper teeth show",
    ),
    _unit(
        11,
        "Nasolabial deepener",
        "nasolabial_deepen",
        "cheek",
        _LEFT_RIGHT,
        "zygomaticus minor",
        "fold beside the nose deepens",
    ),
    _unit(
        12,
        "Lip corner puller",
        "smile lip_corner_pull",
        "mouth",
        _LEFT_RIGHT,
        "zygomaticus major",
        "lip corners move up and out",
    ),
    _unit(14, "Dimpler", "dimple", "mouth", _LEFT_RIGHT, "buccinator", "lip corners tighten inwards"),
    _unit(
        15,
        "Lip corner depressor",
        "lip_corner_depress mouth_frown",
        "mouth",
        _LEFT_RIGHT,
        "depressor anguli oris",
        "lip corners sink",
    ),
    _unit(
        16,
        "Lower lip depressor",
        "lower_lip_depress",
        "mouth",
        _LEFT_RIGHT,
        "depressor labii inferioris",
        "lower lip sinks, lower teeth show",
    ),
    _unit(17, "Chin raiser", "chin_raise", "mouth", _WHOLE, "mentalis", "chin and lower lip push up"),
    _unit(
        18,
        "Lip pucker",
        "pucker kiss",
        "mouth",
        _WHOLE,
        "incisivii labii",
        "lips push forward, mouth narrows",
    ),
    _unit(19, "Tongue show", "tongue_out", "mouth", _WHOLE, "", "tongue shows between the lips"),
    _unit(
        20, "Lip stretcher", "lip_stretch", "mouth", _LEFT_RIGHT, "risorius", "lip corners move straight out"
    ),
    _unit(22, "Lip funneler", "funnel", "mouth", _WHOLE, "orbicularis oris", "lips turn out into a funnel"),
    _unit(23, "Lip tightener", "lip_tighten", "mouth", _WHOLE, "orbicularis oris", "lips narrow and tighten"),
    _unit(24, "Lip pressor", "lip_press", "mouth", _LEFT_RIGHT, "orbicularis oris", "lips press together"),
    _unit(25, "Lips part", "lips_part", "mouth", _WHOLE, "depressor labii relaxes", "lips separate"),
    _unit(26, "Jaw drop", "jaw_open mouth_open", "jaw", _WHOLE, "masseter relaxes", "jaw opens"),
    _unit(
        28, "Lip suck", "lip_suck", "mouth", _TOP_BOTTOM, "orbicularis oris", "lips roll in over the teeth"
    ),
    _unit(29, "Jaw thrust", "jaw_thrust", "jaw", _WHOLE, "pterygoids", "jaw moves forward"),
    _unit(30, "Jaw sideways", "jaw_sideways", "jaw", _LEFT_RIGHT, "pterygoids", "jaw slides to that side"),
    _unit(34, "Cheek puff", "cheek_puff", "cheek", _WHOLE, "", "cheeks fill with air"),
    _unit(
        43, "Eyes closed", "eye_close", "eye", _LEFT_RIGHT, "levator palpebrae relaxes", "lids stay closed"
    ),
    _unit(
        45,
        "Blink",
        "blink",
        "eye",
        _LEFT_RIGHT,
        "levator palpebrae, orbicularis oculi",
        "lids close and open again",
    ),
    _unit(61, "Eyes turn left", "look_left", "gaze", _LEFT_RIGHT, "", "that eye looks to the subject's left"),
    _unit(
        62, "Eyes turn right", "look_right", "gaze", _LEFT_RIGHT, "", "that eye looks to the subject's right"
    ),
    _unit(63, "Eyes up", "look_up", "gaze", _LEFT_RIGHT, "", "that eye looks up"),
    _unit(64, "Eyes down", "look_down", "gaze", _LEFT_RIGHT, "", "that eye looks down"),
)

ACTION_UNITS: dict[int, ActionUnit] = {unit.number: unit for unit in _ALL}
"""Every Action Unit by its FACS number."""

CONTROLS: tuple[str, ...] = tuple(control for unit in _ALL for control in unit.controls)
"""Every unit and side that can be set on its own, such as "AU12L": the channels of convention "facs"."""

UNSHOWN_UNITS: frozenset[int] = frozenset({8, 11, 19, 29, 30})
"""Units that tracks may hold and no generated face shows: nothing moves lips towards each other over an open
jaw (AU8), the fold beside the nose alone (AU11), the tongue (AU19) or the jaw forward (AU29) and sideways
(AU30)."""
