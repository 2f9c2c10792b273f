"""FLAME parameters as trackers write them (DECA, EMOCA, SMIRK), and FLAME's own model file.

Names differ between programs: every alias below is accepted, and one documented set is written. The FLAME
model and DECA are licensed for non-commercial research and are not part of this project; their files are the
user's.
"""

# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false
# What a file holds is not known before it is read.

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auteur.errors import FormatError, UsageError
from auteur.files import check_name
from auteur.formats.inert_pickle import Inert, read_inert_pickle
from auteur.formats.plain_arrays import MOST_ARRAYS, MOST_NUMBERS, numbers, read_npy, read_npz
from auteur.signals import ExpressionTrack
from auteur.signals.timebase import parse_rate

Floats = NDArray[np.floating]

ALIASES: dict[str, tuple[str, ...]] = {
    "expression": ("expression", "exp", "expcode", "expression_params", "expr", "expressions"),
    "shape": ("shape", "shapecode", "shape_params", "betas"),
    "jaw_pose": ("jaw_pose", "jaw", "jaw_params"),
    "global_orient": ("global_orient", "global_pose", "global_rotation", "pose_params"),
    "neck_pose": ("neck_pose", "neck"),
    "eye_pose": ("eye_pose", "eyes_pose", "eye_pose_params"),
    "eyelids": ("eyelids", "eyelid", "eyelid_params"),
    "pose": ("pose", "posecode"),
    "fps": ("fps", "rate", "frame_rate"),
}
"""Every accepted name of an array, ours first. "pose" is DECA's: global 3, then jaw 3."""

DECA_EXPRESSION, DECA_POSE = 50, 6
DEFAULT_RATE = Fraction(25)
MODEL_JOINTS = 5
_MODEL_EXPRESSIONS_FROM = 300
_TABLE_AXES = {"shapedirs": (3,), "posedirs": (2, 3)}
"""How many axes a table may have, if not two."""
_LARGEST_NUMBER = 1e4


@dataclass(frozen=True, kw_only=True, eq=False)
class FlameParameters:
    """One face over time."""

    expression: ExpressionTrack
    """Convention "flame50" or "flame100"."""
    jaw_pose_rad: Floats | None
    """Axis-angle [T, 3]; None where the file has none."""
    global_pose_rad: Floats | None
    """Axis-angle [T, 3]."""
    eyelids: Floats | None
    """[T, 2] left, right; SMIRK alone has them."""
    shape: Floats | None
    """[100 to 300]: shape of the person; the mean over frames."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FlameModel:
    """FLAME's tables (Li et al., "Learning a model of facial shape and expression from 4D scans", 2017)."""

    template: Floats
    """[V, 3] metres."""
    shape_directions: Floats
    """[V, 3, S]."""
    expression_directions: Floats
    """[V, 3, E]."""
    pose_directions: Floats
    """[V, 3, 36]: one per entry of the four joints' rotation matrices less the identity."""
    joint_regressor: Floats
    """[5, V]."""
    skin_weights: Floats
    """[V, 5]."""
    parents: NDArray[np.integer]
    """[5]; -1 for the root. Joints: root, neck, jaw, left eye, right eye."""
    faces: NDArray[np.integer]
    """[F, 3]."""


def read_flame_parameters(path: Path | str, *, rate: Fraction | str | float | None = None) -> FlameParameters:
    """Returns the parameters in an .npz, an old .pkl, or a folder of .npy files (EMOCA).

    Args:
        path: The file or folder. Pickles are read as data; nothing in them is executed.
        rate: Frames per second; unless given, that of the file, else 25.

    Raises:
        InputError: The file is missing, or a pickle names more than arrays.
        FormatError: It has no expression, shapes do not fit, or numbers are not finite.
    """
    source = Path(path)
    arrays = _renamed(_arrays_of(source), source)
    if "expression" not in arrays:
        raise FormatError(
            f"{str(source)!r} has no expression; name the array one of {', '.join(ALIASES['expression'])}"
        )
    expression = np.atleast_2d(arrays["expression"])
    frames, count = expression.shape
    pose = _rows(arrays, "pose", frames, DECA_POSE, source)
    jaw = _rows(arrays, "jaw_pose", frames, 3, source)
    turned = _rows(arrays, "global_orient", frames, 3, source)
    if pose is not None:
        jaw = pose[:, 3:] if jaw is None else jaw
        turned = pose[:, :3] if turned is None else turned
    stated = arrays.get("fps")
    found_rate = (
        rate if rate is not None else (DEFAULT_RATE if stated is None else float(np.ravel(stated)[0]))
    )
    try:
        track = ExpressionTrack(
            values=expression, rate=_exact(found_rate, source), convention=f"flame{count}"
        )
    except UsageError as error:
        raise FormatError(f"{str(source)!r}: {error}") from error
    return FlameParameters(
        expression=track,
        jaw_pose_rad=jaw,
        global_pose_rad=turned,
        eyelids=_rows(arrays, "eyelids", frames, 2, source),
        shape=np.atleast_2d(arrays["shape"]).mean(axis=0) if "shape" in arrays else None,
    )


def read_flame_model(path: Path | str, *, expressions: int = DECA_EXPRESSION) -> FlameModel:
    """Returns the tables of `generic_model.pkl` of FLAME 2019 to 2023, or of an .npz with the same names.

    Args:
        path: The user's licensed file. A pickle is read as data; nothing in it is executed.
        expressions: How many expression directions to keep, 1 to 100; DECA uses 50.

    Raises:
        InputError: The file is missing, or a pickle names more than arrays.
        FormatError: A table is missing or has another shape.
    """
    source = Path(path)
    tables = {key: _plain(value) for key, value in _content(source).items()}
    shapes = _table(tables, "shapedirs", source)
    if shapes.shape[2] < _MODEL_EXPRESSIONS_FROM + expressions:
        raise FormatError(
            f"{str(source)!r} has shapedirs {list(shapes.shape)}; FLAME has [5023, 3, 400], "
            f"300 of shape and then 100 of expression"
        )
    pose = _table(tables, "posedirs", source)
    template = _table(tables, "v_template", source)
    parents = _whole(_table(tables, "kintree_table", source)[0])
    parents[0] = -1
    if pose.size % (3 * len(template)):
        raise FormatError(f"{str(source)!r} has posedirs {list(pose.shape)}; FLAME has [5023, 3, 36]")
    model = FlameModel(
        template=template,
        shape_directions=shapes[:, :, :_MODEL_EXPRESSIONS_FROM],
        expression_directions=shapes[:, :, _MODEL_EXPRESSIONS_FROM : _MODEL_EXPRESSIONS_FROM + expressions],
        pose_directions=pose.reshape(len(template), 3, -1),
        joint_regressor=_table(tables, "J_regressor", source),
        skin_weights=_table(tables, "weights", source),
        parents=parents,
        faces=_whole(_table(tables, "f", source)),
    )
    _check_model(model, source)
    return model


def _check_model(model: FlameModel, source: Path) -> None:
    vertices = len(model.template)
    wanted = {
        "v_template": (model.template.shape, (vertices, 3)),
        "f": (model.faces.shape, (len(model.faces), 3)),
        "shapedirs": (model.shape_directions.shape[:2], (vertices, 3)),
        "posedirs": (model.pose_directions.shape, (vertices, 3, 9 * (MODEL_JOINTS - 1))),
        "J_regressor": (model.joint_regressor.shape, (MODEL_JOINTS, vertices)),
        "weights": (model.skin_weights.shape, (vertices, MODEL_JOINTS)),
        "kintree_table": (model.parents.shape, (MODEL_JOINTS,)),
    }
    problems = [
        f"{name} is {list(has)}, needs {list(needs)}" for name, (has, needs) in wanted.items() if has != needs
    ]
    if (
        not problems
        and not ((model.parents[1:] >= 0) & (model.parents[1:] < np.arange(1, MODEL_JOINTS))).all()
    ):
        problems.append("kintree_table names a joint before its parent")
    if not problems and not ((model.faces >= 0) & (model.faces < vertices)).all():
        problems.append(f"f names vertices that are not among the {vertices}")
    if problems:
        raise FormatError(f"{str(source)!r} is no FLAME model: {'; '.join(problems)}")


def _table(tables: Mapping[str, Any], name: str, source: Path) -> Floats:
    if name not in tables:
        raise FormatError(f"{str(source)!r} has no table {name!r}; give FLAME's generic_model.pkl")
    return numbers(tables[name], f"{str(source)!r}: {name}", axes=_TABLE_AXES.get(name, (2,)))


def _whole(values: Floats) -> NDArray[np.int64]:
    with np.errstate(invalid="ignore"):  # what is out of range is refused where it is used
        return values.astype(np.int64)


def _plain(value: Any) -> Any:
    """An array out of what chumpy and SciPy would have made of it."""
    if not isinstance(value, Inert):
        return value
    state = value.state if isinstance(value.state, dict) else {}
    if value.kind.startswith("chumpy"):
        return _plain(state.get("x"))
    if "csc_matrix" in value.kind or "csr_matrix" in value.kind:
        return _dense(state, by_column="csc" in value.kind)
    return value


def _dense(state: Mapping[str, Any], *, by_column: bool) -> Floats:
    try:
        rows, columns = (int(n) for n in state.get("_shape", state.get("shape", ())))
        data, indices, starts = (
            numbers(state[name], f"a sparse table's {name}", axes=(1,))
            for name in ("data", "indices", "indptr")
        )
        if not 0 < rows * columns <= MOST_NUMBERS:
            raise FormatError(
                f"a sparse table is {rows} × {columns}; at most {MOST_NUMBERS} numbers are read"
            )
        counts = np.diff(starts)
        if len(data) != len(indices) or (counts < 0).any() or counts.sum() != len(data):
            raise FormatError("a sparse table's columns do not fit its numbers")
        dense = np.zeros((columns, rows) if by_column else (rows, columns))
        dense[np.repeat(np.arange(len(counts)), _whole(counts)), _whole(indices)] = data
    except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
        raise FormatError(f"a sparse table of the model cannot be read: {error}") from error
    return dense.T if by_column else dense


def _content(source: Path) -> Mapping[str, Any]:
    """What a file holds, by name; arrays may still be `Inert`."""
    if source.suffix.lower() in (".pkl", ".pickle"):
        content = read_inert_pickle(source)
        if not isinstance(content, Mapping):
            raise FormatError(f"{str(source)!r} holds a {type(content).__name__}; expected named arrays")
        return {key: value for key, value in content.items() if isinstance(key, str)}
    return read_npz(source)


def _arrays_of(source: Path) -> Mapping[str, Any]:
    if not check_name(source).is_dir():
        return _content(source)
    paths = sorted(source.glob("*.npy"))
    if len(paths) > MOST_ARRAYS:
        raise FormatError(f"{str(source)!r} holds {len(paths)} arrays; at most {MOST_ARRAYS} are read")
    return {path.stem: read_npy(path) for path in paths}


def _renamed(content: Mapping[str, Any], source: Path) -> dict[str, Floats]:
    """Arrays under our names, checked to be numbers."""
    lower = {key.lower(): value for key, value in content.items()}
    arrays: dict[str, Floats] = {}
    for name, aliases in ALIASES.items():
        given = next((lower[alias] for alias in aliases if alias in lower), None)
        if given is None:
            continue
        values = numbers(given, f"{str(source)!r}: {name}", axes=(0, 1, 2))
        if np.abs(values).max() >= _LARGEST_NUMBER:
            raise FormatError(f"{str(source)!r}: {name} holds numbers over {_LARGEST_NUMBER:g}")
        arrays[name] = values
    return arrays


def _rows(arrays: Mapping[str, Floats], name: str, frames: int, width: int, source: Path) -> Floats | None:
    if name not in arrays:
        return None
    values = np.atleast_2d(arrays[name])
    if values.shape != (frames, width):
        raise FormatError(f"{str(source)!r}: {name} is {list(values.shape)}; it must be [{frames}, {width}]")
    return values


def _exact(rate: Fraction | str | float, source: Path) -> Fraction:
    try:
        found = parse_rate(rate) if isinstance(rate, str) else Fraction(rate).limit_denominator(1001)
    except (ValueError, ZeroDivisionError, OverflowError) as error:
        raise FormatError(f"{str(source)!r}: the frame rate {rate!r} is no number") from error
    if not 1 <= found <= 1000:
        raise FormatError(
            f"{str(source)!r}: the frame rate is {float(found):g}; it must be between 1 and 1000"
        )
    return found
