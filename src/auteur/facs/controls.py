"""Names of controls, in both vocabularies: `AU12L` and `smile_left`."""

import difflib
import re
from dataclasses import dataclass

from auteur.errors import UsageError
from auteur.facs.action_units import ACTION_UNITS, ActionUnit, Side
from auteur.facs.conventions import CONVENTIONS

_CODE = re.compile(r"au[ _]?0*(\d{1,3})_?([lrtb]?)", re.ASCII)
_SIDE_WORDS: dict[Side, tuple[str, ...]] = {
    "L": ("_left", "left_"),
    "R": ("_right", "right_"),
    "T": ("_upper", "upper_", "_top"),
    "B": ("_lower", "lower_", "_bottom"),
}


@dataclass(frozen=True)
class Control:
    """An Action Unit, whole or one side of it."""

    number: int
    """FACS number."""
    side: Side = ""
    """Subject's left or right, top or bottom; "" sets every side."""

    @property
    def code(self) -> str:
        """Such as "AU12" or "AU12L"."""
        return f"AU{self.number}{self.side}"

    @property
    def name(self) -> str:
        """Plain name, such as "smile" or "smile_left"."""
        return ACTION_UNITS[self.number].plain_names[0] + (_SIDE_WORDS[self.side][0] if self.side else "")

    @property
    def unit(self) -> ActionUnit:
        """The Action Unit."""
        return ACTION_UNITS[self.number]

    @property
    def channels(self) -> tuple[str, ...]:
        """Channels of convention "facs" that it sets, such as ("AU12L", "AU12R")."""
        return (self.code,) if self.side else self.unit.controls


def control_number(control: str) -> int:
    """The Action Unit number in a code such as "AU12L"."""
    return int(control[2:].rstrip("LRTB"))


def resolve(name: str) -> Control:
    """Returns the control of a name: "AU12", "au12l", "AU01", "smile", "smile_left" or "mouthSmileLeft".

    Case, spaces and hyphens do not matter. A name without a side sets all sides.

    Raises:
        UsageError: No control has that name; the message suggests the nearest, or a side where one is needed.
    """
    key = re.sub(r"[\s-]+", "_", name.strip().lower())
    code = _CODE.fullmatch(key)
    if code:
        key = f"au{int(code[1])}{code[2]}"
    control = _NAMES.get(key) or _BLENDSHAPE_NAMES.get(key)
    if control is None:
        near = _near_codes(int(code[1])) if code else difflib.get_close_matches(key, _NAMES, n=3, cutoff=0.5)
        shown = ", ".join(near) or "AU12, smile or smile_left"
        raise UsageError(f"unknown Action Unit {name!r}; did you mean {shown}? `auteur units` lists all")
    if control == Control(30):
        raise UsageError(f"{name!r} needs a side: AU30L (jaw_left) or AU30R (jaw_right)")
    return control


def names_of(control: Control) -> tuple[str, ...]:
    """Names of a control without its code: first the one that Auteur prints, last ARKit's.

    Names whose side stands first (left_smile) are left out: they mean what smile_left means.
    """
    plain = [
        name
        for name, one in _NAMES.items()
        if one == control and not _CODE.fullmatch(name) and not name.startswith(("left_", "right_"))
    ]
    shapes = {name.lower(): name for name in CONVENTIONS["arkit52"].channels}
    arkit = [shapes[name] for name, one in _BLENDSHAPE_NAMES.items() if one == control]
    return tuple(dict.fromkeys([control.name if control.name in plain else plain[0], *plain, *arkit]))


def _near_codes(number: int) -> list[str]:
    """Codes of that unit, or else of the units with the nearest numbers."""
    if number in ACTION_UNITS:
        return list(dict.fromkeys([ACTION_UNITS[number].code, *ACTION_UNITS[number].controls]))
    return [f"AU{near}" for near in sorted(ACTION_UNITS, key=lambda known: abs(known - number))[:3]]


def _names() -> dict[str, Control]:
    """Every accepted code and plain name, in lower case."""
    names = {"jaw_left": Control(30, "L"), "jaw_right": Control(30, "R")}
    for unit in ACTION_UNITS.values():
        names |= dict.fromkeys([unit.code.lower(), *unit.plain_names], Control(unit.number))
        for side in unit.sides:
            part = Control(unit.number, side)
            words = [
                _with_side(plain, word) for plain in unit.plain_names for word in _SIDE_WORDS.get(side, ())
            ]
            names |= dict.fromkeys([part.code.lower(), *words], part)
    return names


def _with_side(plain: str, word: str) -> str:
    return plain + word if word.startswith("_") else word + plain


def _blendshape_names() -> dict[str, Control]:
    """ARKit names in lower case; a blend shape of both sides sets both."""
    by_code = {
        code: Control(unit.number, side)
        for unit in ACTION_UNITS.values()
        for side, code in zip(unit.sides, unit.controls, strict=True)
    }
    names: dict[str, Control] = {}
    for entry in CONVENTIONS["arkit52"].entries:
        if entry.controls:
            first = by_code[entry.controls[0]]
            names[entry.name.lower()] = (
                Control(first.number) if entry.controls == first.unit.controls else first
            )
    return names


_NAMES = _names()
_BLENDSHAPE_NAMES = _blendshape_names()
