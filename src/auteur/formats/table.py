"""Reading and writing tables of text under limits: the grammar that every CSV format here shares."""

import csv
import itertools
import math
import os
import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO, TextIOWrapper
from pathlib import Path
from typing import Any, TextIO

from auteur.errors import FormatError, InputError
from auteur.files import open_input

MAX_TABLE_BYTES = 512 * 1024**2
"""Largest table file that is read."""
MAX_COLUMNS = 4096
"""Most columns of a table; OpenFace's full output with our dense block has about 2,200."""
MAX_ROWS = 1_000_000
"""Most rows of a table: eleven hours at 25 frames per second."""

_LARGEST = 3.4028235677973362e38  # what still rounds to a float32
_NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d{1,4})?", re.ASCII)
"""A decimal number, with a point or, as spreadsheets of many countries write it, a comma."""
_NO_NUMBER = re.compile(
    r"|[+-]?[qs]?nan(\(\w{0,20}\))?|[+-]?1[.,]#(ind|qnan|snan)0*|#?n/?a|<na>|#num!|null|none|nil|-|--|\?",
    re.IGNORECASE,
)
"""How programs write that a value is missing: nothing, C's and Microsoft's NaN, R, pandas, spreadsheets."""
_SEPARATORS = ",;\t"
_SEPARATOR_LINE = re.compile(r"\"?sep=[,;\t]\"?\s*", re.IGNORECASE)
_FORMULA = re.compile(r"'*[=+\-@\t\r]")


@dataclass(frozen=True)
class Row:
    """One row of a table: its cells by column name, and where it stands."""

    cells: dict[str, str]
    """Stripped text of each cell."""
    place: str
    """File and line, for errors."""

    def number(self, column: str) -> float:
        """The cell as a float; an empty cell or any spelling of "not a number" is NaN.

        Raises:
            FormatError: It is neither a number in plain decimal form nor such a spelling, or it is beyond
                float32.
        """
        text = self.cells[column]
        if _NO_NUMBER.fullmatch(text):
            return math.nan
        value = float(text.replace(",", ".")) if _NUMBER.fullmatch(text) else math.inf
        if abs(value) > _LARGEST:
            raise FormatError(f"{self.place}, column {column!r}: {text[:40]!r} is not a finite number")
        return value

    def numbers(self, columns: Sequence[str]) -> list[float]:
        """Several cells as floats; NaN for columns the table has not.

        Raises:
            FormatError: As `number`.
        """
        return [self.number(column) if column in self.cells else math.nan for column in columns]

    def numbers_if_any(self, columns: Sequence[str]) -> list[float]:
        """Several cells as floats; NaN for whatever is no number, for columns that nothing depends on."""
        found: list[float] = []
        for column in columns:
            try:
                found.append(self.number(column) if column in self.cells else math.nan)
            except FormatError:
                found.append(math.nan)
        return found

    def integer(self, column: str) -> int:
        """The cell as a whole number from 0 to a billion.

        Raises:
            FormatError: It is none.
        """
        value = self.number(column)
        if not 0 <= value <= 1e9 or value != int(value):
            raise FormatError(
                f"{self.place}, column {column!r}: {self.cells[column]!r} is not a whole number from 0 to 1e9"
            )
        return int(value)


def read_table(lines: Iterator[str], source: str) -> tuple[tuple[str, ...], Iterator[Row]]:
    """The column names in the first line, and the rows after it, one at a time.

    Cells are separated by commas, semicolons or tabs, whichever the first line has most of. Names and cells
    lose the spaces around them (OpenFace puts some before names); blank lines are skipped, and so is the line
    "sep=;" that spreadsheets write first.

    Raises:
        FormatError: There is no first line, a name is repeated, or there are too many. Met later, from the
            rows: a row has another number of cells, there are too many rows, or the text is no such table.
    """
    first = next(lines, "")
    if _SEPARATOR_LINE.fullmatch(first):
        first = next(lines, "")
    separator = max(_SEPARATORS, key=first.count)
    cells = _split(itertools.chain([first], lines), separator, source)
    names = tuple(cell.strip() for cell in next(cells, [""]))
    if not any(names):
        raise FormatError(f"{source}: the table is empty; its first line must name the columns")
    if len(names) > MAX_COLUMNS:
        raise FormatError(f"{source}: {len(names)} columns; at most {MAX_COLUMNS} are read")
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise FormatError(f"{source}: column {repeated[0]!r} is repeated; rename or remove one")
    return names, _rows(cells, names, source)


def _rows(lines: Iterator[list[str]], header: Sequence[str], source: str) -> Iterator[Row]:
    for number, cells in enumerate(lines, start=1):
        place = f"{source}, row {number}"
        if number > MAX_ROWS:
            raise FormatError(f"{source}: more than {MAX_ROWS} rows; split the table")
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            raise FormatError(f"{place}: {len(cells)} cells for {len(header)} columns; is the file cut off?")
        yield Row(dict(zip(header, (cell.strip() for cell in cells), strict=True)), place)


def check_group(header: Sequence[str], columns: Sequence[str], source: str) -> bool:
    """Whether the table has all of `columns`; false where it has none.

    Raises:
        FormatError: It has only some.
    """
    missing = [column for column in columns if column not in header]
    if missing and len(missing) < len(columns):
        there = next(column for column in columns if column in header)
        raise FormatError(f"{source}: column {missing[0]!r} is missing beside {there!r} and its kin")
    return not missing


@contextmanager
def open_table(path: Path | str) -> Generator[TextIO]:
    """The file as a stream of text lines.

    Raises:
        InputError: The file is missing or unreadable.
        FormatError: It is too large, or turns out not to be UTF-8 while it is read.
    """
    try:
        with open_input(path) as file:
            if os.fstat(file.fileno()).st_size > MAX_TABLE_BYTES:
                raise FormatError(f"{str(path)!r} is larger than {MAX_TABLE_BYTES // 1024**2} MiB; split it")
            with TextIOWrapper(file, encoding="utf-8-sig", newline="") as stream:
                yield stream
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise FormatError(f"{str(path)!r} is not UTF-8 text; export it again as UTF-8") from error


def row_text(cells: Iterable[str]) -> str:
    """One CSV line with its line end."""
    return ",".join(_quoted(cell) for cell in cells) + "\n"


def table_text(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Returns a whole table as CSV text; cells of text are guarded against spreadsheet formulas."""
    out = StringIO()
    writer = csv.writer(out, lineterminator="\n")
    for row in (columns, *rows):
        writer.writerow([guard(cell) if isinstance(cell, str) else cell for cell in row])
    return out.getvalue()


def guard(text: str) -> str:
    """User text as a cell that no spreadsheet runs as a formula.

    A leading = + - @, tab or return gets a ' before it; plain numbers stay as they are. `unguard` undoes it.
    """
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def unguard(text: str) -> str:
    """The text that `guard` was given."""
    return text[1:] if text.startswith("'") and _FORMULA.match(text[1:]) else text


def decimal(value: float, digits: int) -> str:
    """The number with that many digits after the point; "nan" for NaN. Zero has no sign."""
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def _quoted(cell: str) -> str:
    if any(character in cell for character in ',"\n\r') or cell != cell.strip():
        return '"' + cell.replace('"', '""') + '"'
    return cell


def _split(lines: Iterator[str], separator: str, source: str) -> Iterator[list[str]]:
    try:
        yield from csv.reader(lines, delimiter=separator, skipinitialspace=separator != "\t", strict=True)
    except csv.Error as error:
        raise FormatError(f"{source}: not a table of separated values: {error}") from error
