"""py-feat's Fex CSV, versions 1 and 2: one row per face and frame, Action Units as probabilities.

Known columns are `frame` and the 20 `AU..` columns; all others (face box, pose in radians, emotions, mesh,
blend shapes, input name) are kept as text in `FexTable.extra`. An empty cell or "nan" means "not measured".
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from auteur.errors import FormatError, UsageError
from auteur.facs import CONVENTIONS
from auteur.formats.table import Row, guard, read_header, read_rows, row_text, unguard
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

    def au_track(self, *, rate: Fraction | int = 25) -> AUTrack:
        """The probabilities of the largest face in each frame.

        Fex does not store the video's frame rate. Frames that were skipped in between are linear in time.

        Raises:
            FormatError: Frame numbers decrease.
        """
        rows = self._largest_faces()
        times_sec = np.array([self.frames[row] / rate for row in rows], dtype=np.float64)
        even = even_frames(times_sec, self.probabilities[rows], rate=Fraction(rate), source="the Fex table")
        return AUTrack(
            values=even.values,
            rate=Fraction(rate),
            start_sec=Fraction(self.frames[rows[0]]) / rate,
            channels=self.channels,
            convention="pyfeat20",
        )

    def _largest_faces(self) -> list[int]:
        best: dict[int, tuple[float, int]] = {}
        for index, frame in enumerate(self.frames):
            area = self._area(index)
            if frame not in best or area > best[frame][0]:
                best[frame] = (area, index)
        return [index for _, index in best.values()]

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
    header = read_header(iterator, source)
    channels = tuple(name for name in _UNITS if name in header)
    if "frame" not in header or not channels:
        raise FormatError(f"{source}: a Fex table needs a frame column and Action Units such as AU01")
    unknown = [name for name in header if name.upper().startswith("AU") and name not in _UNITS]
    if unknown:
        raise FormatError(f"{source}: {unknown[0]!r} is no py-feat Action Unit; remove or rename it")
    rows = list(read_rows(iterator, header, source))
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
