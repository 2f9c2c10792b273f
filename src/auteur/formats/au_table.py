"""Our own table of Action Units: `AUTrack.save("performance.csv")` writes it, this reads it.

The first line gives convention, rate and start, the second the columns: `time_sec`, then channels of the
convention. Times decide where a row lies, so rows may be deleted or be sparse keyframes: what lies between is
linear in time.
"""

import re
from collections.abc import Iterable
from fractions import Fraction

import numpy as np

from auteur.errors import FormatError, UsageError
from auteur.facs import find_convention
from auteur.formats.table import read_table
from auteur.formats.timing import even_frames
from auteur.signals import AU_TABLE_MARK, AUTrack

_FACTS = re.compile(
    re.escape(AU_TABLE_MARK)
    + r" convention=(?P<convention>\w{1,40}) rate=(?P<rate>\d{1,12}(/0*[1-9]\d{0,11})?)"
    + r" start_sec=(?P<start>-?\d{1,18}(/0*[1-9]\d{0,17})?)\s*",
    re.ASCII,
)


def read_au_table(lines: Iterable[str], *, source: str = "AU table") -> AUTrack:
    """The track in an AU table.

    Raises:
        FormatError: The first line is wrong, a column is no channel of the convention, times do not increase,
            or a cell is not a number.
    """
    iterator = iter(lines)
    # Spreadsheets put the line in quotes and fill it up with empty cells.
    facts = _FACTS.fullmatch(next(iterator, "").strip(',;"\t\r\n '))
    if facts is None:
        raise FormatError(
            f"{source}: the first line must read '{AU_TABLE_MARK} convention=NAME rate=25 start_sec=0'"
        )
    header, rows = read_table(iterator, source)
    if header[0] != "time_sec" or len(header) < 2:
        raise FormatError(f"{source}: columns must be time_sec and then channels")
    table = np.array([row.numbers(header) for row in rows])
    if table.size == 0:
        raise FormatError(f"{source}: the table has no rows")
    even = even_frames(table[:, 0], table[:, 1:], rate=Fraction(facts["rate"]), source=source)
    start = Fraction(facts["start"])
    is_whole = abs(even.start_sec - start) <= Fraction(2, 10**6)
    try:
        return check_channels(
            AUTrack(
                values=even.values,
                rate=even.rate,
                start_sec=start if is_whole else even.start_sec,
                channels=header[1:],
                convention=facts["convention"],
            ),
            source,
        )
    except UsageError as error:
        raise FormatError(f"{source}: {error}") from error


def check_channels(track: AUTrack, source: str) -> AUTrack:
    """The track, if its convention is known and all of its channels belong to it.

    Raises:
        FormatError: They do not.
    """
    try:
        known = find_convention(track.convention).channels
    except UsageError as error:
        raise FormatError(f"{source}: {error}") from error
    unknown = [name for name in track.channels if name not in known]
    if unknown:
        raise FormatError(
            f"{source}: {unknown[0]!r} is no channel of {track.convention}; remove or rename it"
        )
    return track
