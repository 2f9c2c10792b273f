"""Which Action Units of a performance are displaced by the basis, beside those that condition the flow."""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auteur.facs import ACTION_UNITS, CONTROLS
from auteur.motion.performance import Performance
from auteur.signals import AUTrack

Floats = NDArray[np.floating[Any]]

LID_UNITS = ("AU45", "AU43")
"""Units that close the eyes; lids meet on the portrait's own geometry instead of being displaced."""

MISSING_SHARES = {5: 0.6, 7: 0.4, 12: 0.3, 14: 0.2, 16: 0.4, 17: 0.4, 18: 0.7, 20: 0.2, 22: 0.7, 28: 0.7}
"""By unit, the part of its displacement in the basis that the flow lacks where that unit conditions it.
Talking people hardly show these units, so the flow follows them weakly, at all intensities alike."""


def controls_by_basis(performance: Performance, part: slice) -> AUTrack | None:
    """Returns what the basis displaces in some frames, convention "facs"; None for nothing.

    Added units count whole, acted ones by what the flow lacks of them. Closed lids are 0.
    """
    tracks = [track for track in (performance.added, performance.acted) if track is not None]
    if not tracks:
        return None
    values = np.zeros((len(range(*part.indices(performance.frames))), len(CONTROLS)))
    if performance.added is not None:
        values += performance.added.values[part] * _all_but_lids()
    if performance.acted is not None:
        values += np.nan_to_num(performance.acted.values[part]) * _missing_shares()
    return tracks[0].replace(values=values)


@cache
def _all_but_lids() -> Floats:
    return np.array([0.0 if name[:-1] in LID_UNITS else 1.0 for name in CONTROLS])


@cache
def _missing_shares() -> Floats:
    shares = {
        name: share for number, share in MISSING_SHARES.items() for name in ACTION_UNITS[number].controls
    }
    return np.array([shares.get(name, 0.0) for name in CONTROLS])
