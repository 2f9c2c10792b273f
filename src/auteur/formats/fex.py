"""py-feat's Fex CSV, versions 1 and 2: one row per face and frame, Action Units as probabilities.

Known columns are `frame` and the 20 `AU..` columns; all others (face box, pose in radians, emotions, mesh,
blend shapes, input name) are kept as text in `FexTable.extra`. An empty cell or "nan" means "not measured".
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from auteur.errors import FormatError, UsageError
from auteur.facs import CONVENTIONS
from auteur.formats.table import Row, guard, read_table, row_text, unguard
from auteur.formats.timing import even_frames
from auteur.signals import AUTrack

_UNITS = CONVENTIONS["pyfeat20"].channels


@dataclass(frozen=True, kw_only=True, eq=False)
class FexTable:
    """A Fex table of N rows."""

    frames: tuple[int, ...]
    """Frame number of each row, from 0."""
    channels: tuple[str, ...]
    """The Action Units that the table has, of convention "pyfeat20"."""
    probabilities: NDArray[np.float64]
    """[N, channels], 0 to 1 or NaN."""
    extra: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    """Text of every other column."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FexTable):
            return NotImplemented
        same = (self.frames, self.channels, self.extra) == (other.frames, other.channels, other.extra)
        return same and np.array_equal(self.probabilities, other.probabilities, equal_nan=True)

    __hash__ = None  # pyright: ignore[reportAssignmentType]  # arrays are compared by value

    @property
    def faces(self) -> int:
        """The most faces in one frame."""
        return max(Counter(self.frames).values())

    def au_track(self, *, rate: Fraction | int = 25, face: int = 0, source: str = "the Fex table") -> AUTrack:
        """The probabilities of one face in each frame: 0 the largest, 1 the next.

        Fex does not store the video's frame rate. Frames that were skipped in between are linear in time;
        frames with fewer faces are not measured.

        Raises:
            UsageError: No frame has so many faces.
            FormatError: Frame numbers decrease.
        """
        rows, is_there = self._rows_of(face)
        if not is_there.any():
            raise UsageError(f"the table has no face {face}; it has 0 to {self.faces - 1}")
        times_sec = np.array([self.frames[row] / rate for row in rows], dtype=np.float64)
        probabilities = np.where(is_there[:, None], self.probabilities[rows], np.nan)
        even = even_frames(times_sec, probabilities, rate=Fraction(rate), source=source)
        return AUTrack(
            values=even.values,
            rate=Fraction(rate),
            start_sec=Fraction(self.frames[rows[0]]) / rate,
            channels=self.channels,
            convention="pyfeat20",
        )

    def _rows_of(self, face: int) -> tuple[list[int], NDArray[np.bool_]]:
        """One row of each frame, and whether it is that of the face; -1 as the size of none."""
        by_frame: dict[int, list[int]] = {}
        for index, frame in enumerate(self.frames):
            by_frame.setdefault(frame, []).append(index)
        largest_first = [sorted(rows, key=self._area, reverse=True) for rows in by_frame.values()]
        is_there = np.array([face < len(rows) for rows in largest_first])
        return [rows[face] if face < len(rows) else rows[0] for rows in largest_first], is_there

    def _area(self, index: int) -> float:
        sides = ("FaceRectWidth", "FaceRectHeight")
        row = Row(
            {name: self.extra[name][index] for name in sides if name in self.extra}, f"Fex row {index + 1}"
        )
        area = float(np.prod(row.numbers(sides)))
        return -1.0 if np.isnan(area) else area


def read_fex(lines: Iterable[str], *, source: str = "Fex table") -> FexTable:
    """The table of a Fex CSV.

    Raises:
        FormatError: `frame` or every AU is missing, a probability is outside [0, 1], or the text is no such
            table.
    """
    iterator = iter(lines)
    header, table_rows = read_table(iterator, source)
    channels = tuple(name for name in _UNITS if name in header)
    if "frame" not in header or not channels:
        raise FormatError(f"{source}: a Fex table needs a frame column and Action Units such as AU01")
    unknown = [name for name in header if name.upper().startswith("AU") and name not in _UNITS]
    if unknown:
        raise FormatError(f"{source}: {unknown[0]!r} is no py-feat Action Unit; remove or rename it")
    rows = list(table_rows)
    if not rows:
        raise FormatError(f"{source}: the table has no rows")
    probabilities = np.array([row.numbers(channels) for row in rows])
    if ((probabilities < 0) | (probabilities > 1)).any():
        raise FormatError(
            f"{source}: Action Units must be probabilities from 0 to 1; is this another tool's table?"
        )
    others = [name for name in header if name != "frame" and name not in channels]
    return FexTable(
        frames=tuple(row.integer("frame") for row in rows),
        channels=channels,
        probabilities=probabilities,
        extra={unguard(name): tuple(unguard(row.cells[name]) for row in rows) for name in others},
    )


def fex_text(table: FexTable) -> str:
    """The CSV text: `frame`, the Action Units with 6 digits after the point, then the other columns.

    Raises:
        UsageError: A column of `extra` has another number of rows than the table.
    """
    uneven = [name for name, cells in table.extra.items() if len(cells) != len(table.frames)]
    if uneven:
        raise UsageError(f"extra column {uneven[0]!r} needs {len(table.frames)} rows")
    lines = [row_text(["frame", *table.channels, *map(guard, table.extra)])]
    for index, frame in enumerate(table.frames):
        numbers = [f"{value:.6f}" for value in table.probabilities[index]]
        lines.append(
            row_text([str(frame), *numbers, *(guard(cells[index]) for cells in table.extra.values())])
        )
    return "".join(lines)
