"""OpenFace 2 CSV: one row per face and frame, read and written as a stream, so videos may have any length.

Columns are those of OpenFace 2.2 (Baltrusaitis et al., FG 2018). Names may have leading spaces and any order;
`face_id` and `success` may be missing. Of gaze, pose, intensities and presences any part may be missing: it
is not measured. Other columns (3-D and eye landmarks among them) are kept as text in
`OpenFaceRow.extra`. Rows with `success` 0 hold stale numbers: they are read as they are, and count as not
measured in tracks.

Our tracker writes, after the OpenFace columns, the mouth units that OpenFace has no intensity for
(`facs_AU16L` …, 0 to 1): without them a performance loses how lips press, pucker and bare the lower teeth.

Our own optional dense block follows the OpenFace columns: `mp_x_0` … `mp_z_477`, the MediaPipe mesh in
pixels, and `bs_<name>`, the 52 channels of convention "arkit52".
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TextIO, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from auteur.errors import FormatError, UsageError
from auteur.facs import CONVENTIONS
from auteur.formats.table import Row, check_group, decimal, guard, read_table, row_text, unguard

Array = NDArray[np.float64]

_INTENSITIES = CONVENTIONS["openface17"].channels
_PRESENCES = tuple(name.replace("_r", "_c") for name in CONVENTIONS["openface18"].channels)
PRESENCE_COLUMNS: tuple[str, ...] = tuple(sorted(_PRESENCES))
"""The 18 presence columns in OpenFace's order, by number."""

_FIXED = ("frame", "face_id", "timestamp", "confidence", "success")


@dataclass(frozen=True)
class _Group:
    """Columns that fill one array of a row: the array's shape, and digits written after the point."""

    columns: tuple[str, ...]
    shape: tuple[int, ...]
    digits: int
    is_planar: bool = False
    """Whether columns run over the points of one axis first: x_0 … x_67, y_0 … y_67."""


def pose_to_openface(pose: ArrayLike) -> Array:
    """A `PoseTrack` frame [..., 6] (pitch, yaw, roll, x, y, z) in the order and signs of `OpenFaceRow.pose`.

    OpenFace's +Rx turns the nose down, its +Ry the head to the subject's right, its +Rz tilts it to the
    subject's left. Translation is copied as it is.
    """
    return np.asarray(pose, dtype=np.float64)[..., [3, 4, 5, 0, 1, 2]] * [1, 1, 1, -1, -1, 1]


def pose_from_openface(pose: ArrayLike) -> Array:
    """The inverse of `pose_to_openface`, [..., 6] to [..., 6]."""
    return np.asarray(pose, dtype=np.float64)[..., [3, 4, 5, 0, 1, 2]] * [-1, -1, 1, 1, 1, 1]


def _points(prefixes: Sequence[str], count: int) -> tuple[str, ...]:
    return tuple(f"{prefix}{index}" for prefix in prefixes for index in range(count))


_GROUPS: dict[str, _Group] = {
    "gaze": _Group(tuple(f"gaze_{eye}_{axis}" for eye in (0, 1) for axis in "xyz"), (2, 3), 6),
    "gaze_angle_rad": _Group(("gaze_angle_x", "gaze_angle_y"), (2,), 4),
    "pose": _Group(("pose_Tx", "pose_Ty", "pose_Tz", "pose_Rx", "pose_Ry", "pose_Rz"), (6,), 4),
    "landmarks_px": _Group(_points(("x_", "y_"), 68), (68, 2), 2, is_planar=True),
    "intensities": _Group(_INTENSITIES, (17,), 4),
    "presences": _Group(PRESENCE_COLUMNS, (18,), 2),
}
OTHER_CONTROLS = ("AU16L", "AU16R", "AU18", "AU22", "AU28T", "AU28B", "AU34")
"""Controls of the convention "facs" that our tracker measures and OpenFace's intensities lack."""
_OTHERS: dict[str, _Group] = {
    "other_units": _Group(tuple(f"facs_{name}" for name in OTHER_CONTROLS), (len(OTHER_CONTROLS),), 4)
}
OTHER_COLUMNS: tuple[str, ...] = _OTHERS["other_units"].columns
"""The columns of those controls, in order."""
_DENSE: dict[str, _Group] = {
    "mesh_px": _Group(_points(("mp_x_", "mp_y_", "mp_z_"), 478), (478, 3), 2, is_planar=True),
    "blendshapes": _Group(tuple(f"bs_{name}" for name in CONVENTIONS["arkit52"].channels), (52,), 4),
}
OPENFACE_COLUMNS: tuple[str, ...] = (*_FIXED, *(name for group in _GROUPS.values() for name in group.columns))
"""The columns that are always written, in order."""
DENSE_COLUMNS: tuple[str, ...] = tuple(name for group in _DENSE.values() for name in group.columns)
"""The columns of our dense block, in order."""


_EVERY: dict[str, _Group] = _GROUPS | _OTHERS | _DENSE


def _unmeasured(name: str) -> Array:
    return np.full(_EVERY[name].shape, np.nan)


@dataclass(frozen=True, kw_only=True, eq=False)
class OpenFaceRow:
    """One face in one frame. Arrays default to NaN, "not measured", and are read-only float64."""

    frame: int
    """Number of the frame, from 1."""
    timestamp_sec: float
    """Time of the frame in seconds."""
    face_id: int = 0
    """Number of the face, from 0."""
    confidence: float = 1.0
    """Confidence of the tracker, 0 to 1."""
    is_success: bool = True
    """Whether the face was tracked; the numbers of other rows are stale."""
    gaze: Array = field(default_factory=lambda: _unmeasured("gaze"))
    """[2, 3] gaze directions, subject's right eye first as OpenFace has them (its eye 0 is leftmost in the
    picture)."""
    gaze_angle_rad: Array = field(default_factory=lambda: _unmeasured("gaze_angle_rad"))
    """[2] mean gaze angle x (left to right), y (up to down)."""
    pose: Array = field(default_factory=lambda: _unmeasured("pose"))
    """[6] Tx, Ty, Tz in millimetres, then Rx, Ry, Rz in radians, in OpenFace's camera axes and signs."""
    landmarks_px: Array = field(default_factory=lambda: _unmeasured("landmarks_px"))
    """[68, 2] iBUG points in pixels."""
    intensities: Array = field(default_factory=lambda: _unmeasured("intensities"))
    """[17] convention "openface17", 0 to 5."""
    presences: Array = field(default_factory=lambda: _unmeasured("presences"))
    """[18] 0 or 1, in the order of `PRESENCE_COLUMNS`."""
    other_units: Array | None = None
    """[7] `OTHER_CONTROLS`, 0 to 1, or None without them."""
    mesh_px: Array | None = None
    """[478, 3] MediaPipe mesh in pixels, or None without a dense block."""
    blendshapes: Array | None = None
    """[52] convention "arkit52", or None without a dense block."""
    extra: Mapping[str, str] = field(default_factory=dict[str, str])
    """Text of other columns."""

    def __post_init__(self) -> None:
        for name, group in _EVERY.items():
            value = cast("ArrayLike | None", getattr(self, name))
            if value is None:
                continue
            array = np.array(value, dtype=np.float64)
            if array.shape != group.shape or np.isinf(array).any():
                raise UsageError(
                    f"{name} has shape {array.shape}; it needs finite numbers or NaN in {group.shape}"
                )
            array.setflags(write=False)
            object.__setattr__(self, name, array)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, OpenFaceRow):
            return NotImplemented
        plain = [self.frame, self.face_id, self.is_success, dict(self.extra)]
        others = [other.frame, other.face_id, other.is_success, dict(other.extra)]
        numbers = [np.array([row.timestamp_sec, row.confidence]) for row in (self, other)]
        arrays = [(getattr(self, name), getattr(other, name)) for name in _EVERY]
        return plain == others and _same(*numbers) and all(_same(mine, theirs) for mine, theirs in arrays)

    __hash__ = None  # pyright: ignore[reportAssignmentType]  # arrays are compared by value


def _same(mine: Array | None, theirs: Array | None) -> bool:
    if mine is None or theirs is None:
        return mine is theirs
    return np.array_equal(mine, theirs, equal_nan=True)


class OpenFaceWriter:
    """Writes rows to a text stream as they come; the header goes out at once.

    Numbers keep 2 digits after the point in pixels and presences, 4 in intensities, angles, millimetres,
    blend shapes and confidence, 6 in gaze vectors and timestamps. NaN is written "nan". User text is guarded
    against spreadsheet formulas.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        others: bool = False,
        dense: bool = False,
        extra_columns: Sequence[str] = (),
    ) -> None:
        """Starts the table.

        Args:
            stream: Where the text goes.
            others: Whether to write the units that OpenFace lacks too.
            dense: Whether to write the mesh and blend shapes too.
            extra_columns: Keys of `OpenFaceRow.extra` to write after all others; absent ones become empty
                cells.

        Raises:
            UsageError: An extra column has a name that is taken, repeated or empty.
        """
        self._stream = stream
        own = (_OTHERS if others else {}) | (_DENSE if dense else {})
        self._groups = _GROUPS | own
        self._extra_columns = tuple(extra_columns)
        owned = (name for group in own.values() for name in group.columns)
        columns = (*OPENFACE_COLUMNS, *owned, *map(guard, self._extra_columns))
        taken = {*OPENFACE_COLUMNS, *OTHER_COLUMNS, *DENSE_COLUMNS, ""}
        if taken & set(self._extra_columns) or len(set(columns)) != len(columns):
            raise UsageError(f"extra columns {self._extra_columns} must be new, different, non-empty names")
        stream.write(row_text(columns))

    def write(self, row: OpenFaceRow) -> None:
        """Appends one row; dense columns of a row without a dense block are "nan"."""
        cells = [str(row.frame), str(row.face_id), decimal(row.timestamp_sec, 6)]
        cells += [decimal(row.confidence, 4), str(int(row.is_success))]
        for name, group in self._groups.items():
            value = cast("Array | None", getattr(row, name))
            array = _unmeasured(name) if value is None else value
            flat = array.T.ravel() if group.is_planar else array.ravel()
            cells += [decimal(number, group.digits) for number in flat.tolist()]
        cells += [guard(row.extra.get(column, "")) for column in self._extra_columns]
        self._stream.write(row_text(cells))


PERFORMANCE_GROUPS = ("intensities", "presences", "other_units", "pose", "gaze_angle_rad")
"""Groups of a row that a performance uses: Action Units, head pose and gaze."""

_OPTIONAL_GROUPS = ("gaze", "gaze_angle_rad", "pose", "intensities", "presences", "other_units")
_MAY_BE_ODD = ("gaze", "gaze_angle_rad", "pose")


def read_openface(
    lines: Iterable[str],
    *,
    dense: bool = True,
    only: Collection[str] | None = None,
    source: str = "OpenFace table",
) -> Iterator[OpenFaceRow]:
    """The rows of an OpenFace CSV, one at a time.

    Args:
        lines: Lines of text, such as an open file.
        dense: Whether to read our dense block where there is one; skipping it is ten times faster.
        only: Names of the arrays of a row to read, such as `PERFORMANCE_GROUPS`; all others stay NaN,
            whatever
            their cells hold. In gaze and pose, cells that hold no number are NaN then, too, and a table
            without timestamps is read with 0 for all.
        source: Name of the table in errors.

    Raises:
        FormatError: A required column (`frame`, `timestamp`) or some points of a face are missing, a cell
            is not a finite number, or the text breaks a limit of `auteur.formats.table`.
    """
    header, rows = read_table(iter(lines), source)
    for column in ("frame", "timestamp") if only is None else ("frame",):
        if column not in header:
            raise FormatError(f"{source}: column {column!r} is missing; this is no OpenFace table")
    groups = {name: group for name, group in _EVERY.items() if only is None or name in only}
    there = {name: group for name, group in groups.items() if _is_there(name, group, header, source)}
    known = {*_FIXED, *(column for group in there.values() for column in group.columns)}
    extra = [column for column in header if column not in known] if only is None else []
    wanted = there if dense else {name: group for name, group in there.items() if name not in _DENSE}
    for row in rows:
        yield _parse_row(row, wanted, extra, lenient=() if only is None else _MAY_BE_ODD)


def _is_there(name: str, group: _Group, header: Sequence[str], source: str) -> bool:
    if name in _OPTIONAL_GROUPS:
        return any(column in header for column in group.columns)
    return check_group(header, group.columns, source)


def _parse_row(
    row: Row,
    groups: Mapping[str, _Group],
    extra: Sequence[str],
    *,
    lenient: Collection[str],
) -> OpenFaceRow:
    is_success = "success" not in row.cells or row.integer("success") == 1
    arrays: dict[str, Array] = {}
    for name, group in groups.items():
        # Where the face was not tracked, numbers are stale: whatever stands there breaks nothing.
        is_lenient = name in lenient or (bool(lenient) and not is_success)
        read = row.numbers_if_any if is_lenient else row.numbers
        arrays[name] = _unflatten(read(group.columns), group)
    return OpenFaceRow(
        frame=row.integer("frame"),
        timestamp_sec=_time_sec(row) if "timestamp" in row.cells else 0.0,
        face_id=row.integer("face_id") if "face_id" in row.cells else 0,
        confidence=row.numbers_if_any(["confidence"])[0],
        is_success=is_success,
        extra={unguard(column): unguard(row.cells[column]) for column in extra},
        **arrays,
    )


def _time_sec(row: Row) -> float:
    timestamp_sec = row.number("timestamp")
    if not 0 <= timestamp_sec <= 1e7:
        raise FormatError(
            f"{row.place}: timestamp is {row.cells['timestamp']!r}; it must be 0 to 1e7 seconds"
        )
    return timestamp_sec


def _unflatten(numbers: list[float], group: _Group) -> Array:
    array = np.array(numbers)
    return array.reshape(group.shape[::-1]).T if group.is_planar else array.reshape(group.shape)
