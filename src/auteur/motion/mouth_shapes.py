"""From lip motion to the mouth shapes of 2-D animation: A to H and X of Rhubarb Lip Sync.

Rules in order, the first that fits applies (gap: between the inner lips, mm on a head of average size; width:
of the mouth, as part of its width at rest):

| shape | when |
|---|---|
| X | the lips touch in a pause |
| A | the lips touch in speech (p, b, m) |
| G | an f or v sounds, gap under 6 mm: upper teeth on the lower lip |
| H | an l sounds, gap 2 to 11 mm: tongue up |
| F | rounded, gap under 5 mm (w, u) |
| E | rounded, gap 5 to 11 mm |
| B | gap under 4 mm |
| C | gap 4 to 11 mm |
| D | gap over 11 mm |

Rounded: the mouth is narrower than 0.95, or no wider than 1 while a rounded sound is likely. Sounds come from
the speech encoder's probabilities, from one half on. A shape of a single frame between two equal ones is
dropped, unless it is a closure (A, G): those are short in speech, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from auteur.errors import UsageError
from auteur.formats.rhubarb import MouthCue

Floats = NDArray[np.floating]

CLOSED_MM = 0.8
"""Gap under which lips touch."""
_LIKELY = 0.5
_SHORT_SHAPES = "AG"


@dataclass(frozen=True, kw_only=True, eq=False)
class MouthMotion:
    """Gap and width of the lips, and probabilities of visible sounds; each [T]."""

    gap_mm: Floats
    width: Floats
    """As part of the width at rest."""
    silence: Floats
    labiodental: Floats
    rounded: Floats
    lateral: Floats


def mouth_shapes(motion: MouthMotion) -> list[str]:
    """Returns the shape of each frame, by the rules above.

    Raises:
        UsageError: The arrays differ in length, or a value is not measured.
    """
    arrays = list(vars(motion).values())
    if len({np.shape(array) for array in arrays}) != 1 or np.isnan(np.stack(arrays)).any():
        raise UsageError("mouth motion needs arrays of one length without NaN")
    gap = motion.gap_mm
    is_rounded = (motion.width < 0.95) | ((motion.rounded >= _LIKELY) & (motion.width <= 1))
    rules = {
        "X": (gap < CLOSED_MM) & (motion.silence >= _LIKELY),
        "A": gap < CLOSED_MM,
        "G": (motion.labiodental >= _LIKELY) & (gap < 6),
        "H": (motion.lateral >= _LIKELY) & (gap >= 2) & (gap < 11),
        "F": is_rounded & (gap < 5),
        "E": is_rounded & (gap < 11),
        "B": gap < 4,
        "C": gap < 11,
    }
    return _without_flicker(np.select(list(rules.values()), list(rules), default="D").tolist())


def cues_of_shapes(shapes: Sequence[str], *, rate: Fraction, end_sec: Fraction) -> list[MouthCue]:
    """Returns runs of equal shapes as cues from 0 to `end_sec`; frame t begins at t / rate.

    Raises:
        UsageError: There is no shape, or the end comes before the last one begins.
    """
    if not shapes or end_sec <= Fraction(len(shapes) - 1) / rate:
        raise UsageError(f"{len(shapes)} mouth shapes do not fit {float(end_sec):g} s")
    starts = [index for index, shape in enumerate(shapes) if index == 0 or shape != shapes[index - 1]]
    times = [*(index / rate for index in starts), end_sec]
    return [MouthCue(times[place], times[place + 1], shapes[index]) for place, index in enumerate(starts)]


def _without_flicker(shapes: list[str]) -> list[str]:
    result = list(shapes)
    for index in range(1, len(shapes) - 1):
        before, after = result[index - 1], shapes[index + 1]
        if before == after != shapes[index] and shapes[index] not in _SHORT_SHAPES:
            result[index] = before
    return result
