"""Every control with its names and its movement, for people to choose from."""

from dataclasses import asdict, dataclass
from typing import Any

from auteur.facs.action_units import ACTION_UNITS, UNSHOWN_UNITS, Side
from auteur.facs.controls import Control, names_of

_PARTS: dict[Side, str] = {"": "", "L": "left", "R": "right", "T": "upper lip", "B": "lower lip"}


@dataclass(frozen=True)
class ListedControl:
    """One row of the listing."""

    code: str
    """Such as "AU12" or "AU12L"."""
    name: str
    """Plain name, such as "smile_left"."""
    other_names: tuple[str, ...]
    """All other names that `resolve` takes, ARKit's among them."""
    region: str
    """Part of the face."""
    moves: str
    """Visible change."""
    muscle: str
    """Muscle that makes it, or ""."""

    @property
    def searched(self) -> str:
        """Text that is searched for words, in lower case."""
        return " ".join(
            (self.code, self.name, *self.other_names, self.region, self.moves, self.muscle)
        ).lower()

    def to_json(self) -> dict[str, Any]:
        """The control for a program, with the range of its intensity."""
        return {**asdict(self), "range": [0, 1]}


def listed_controls() -> tuple[ListedControl, ...]:
    """Every control, each whole unit before its sides, in the order of their numbers."""
    controls = [
        control
        for unit in ACTION_UNITS.values()
        for control in dict.fromkeys(
            [Control(unit.number), *(Control(unit.number, side) for side in unit.sides)]
        )
        if control.side or unit.number not in _ONLY_SIDES
    ]
    return tuple(_listed(control) for control in controls)


def _listed(control: Control) -> ListedControl:
    unit, part = control.unit, _PARTS[control.side]
    first, *others = names_of(control)
    return ListedControl(
        code=control.code,
        name=first,
        other_names=tuple(others),
        region=unit.region,
        moves=f"{unit.name}: {unit.description}"
        + (f" ({part})" if part else "")
        + (_UNSHOWN if unit.number in UNSHOWN_UNITS else ""),
        muscle=unit.muscle,
    )


_UNSHOWN = "; in tracks only, generated faces do not show it"

_ONLY_SIDES = (30,)
"""Units that move to one side or the other and mean nothing as a whole."""
