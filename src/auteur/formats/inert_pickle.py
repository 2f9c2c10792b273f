"""Arrays out of a pickle, and nothing else: the file is read as data by our own interpreter.

FLAME's model files, the outputs of older trackers and torch's checkpoints are pickles, which are programs:
loading one runs whatever its author wrote. Here the opcodes are walked (`pickletools.genops` of the standard
library, which only parses), containers and numbers are built, and the few names that arrays need are
recognised by name and built by us. Nothing is imported and nothing is called; any other name ends the
reading.
"""

# pyright: reportUnknownVariableType=false, reportUnknownArgumentType=false, reportUnknownMemberType=false
# What a file holds is not known before it is read.

import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from auteur.errors import FormatError, InputError
from auteur.files import read_bytes

LARGEST_BYTES = 256 * 2**20
MOST_OPCODES = 1_000_000
MOST_BUILT_BYTES = 512 * 2**20
"""Limit of all arrays together, in bytes."""
MOST_ENTRIES = 4_000_000
"""Limit of the entries of the content, each counted at every place that names it."""
MOST_DEPTH = 50
_MARK = object()

_ARRAY_MAKERS = {"numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct"}
_BUFFER_MAKERS = {"numpy.core.numeric _frombuffer", "numpy._core.numeric _frombuffer"}
_SCALAR_MAKERS = {"numpy.core.multiarray scalar", "numpy._core.multiarray scalar"}
_DTYPE = "numpy dtype"
_OBJECT_MAKERS = {"copy_reg _reconstructor", "copyreg _reconstructor"}
_DICT = "collections OrderedDict"
_ENCODE = "_codecs encode"
_KNOWN_CLASSES = {
    "numpy ndarray",
    "chumpy.ch Ch",
    "chumpy.reordering Select",
    "scipy.sparse.csc csc_matrix",
    "scipy.sparse._csc csc_matrix",
    "scipy.sparse.csr csr_matrix",
    "scipy.sparse._csr csr_matrix",
    "__builtin__ object",
    "builtins object",
}
_ALLOWED = frozenset(
    {
        *_ARRAY_MAKERS,
        *_BUFFER_MAKERS,
        *_SCALAR_MAKERS,
        *_OBJECT_MAKERS,
        *_KNOWN_CLASSES,
        *(_DTYPE, _DICT, _ENCODE),
    }
)
PERSISTENT = "persistent"
"""Kind of the `Inert` that stands for an object outside the pickle; its one argument is the object's id."""


@dataclass
class Name:
    """A name that a pickle mentions; never looked up."""

    text: str


@dataclass
class Inert:
    """Something that would have been an object: the name of its class and what it would have been given."""

    kind: str
    arguments: tuple[Any, ...] = ()
    state: Any = None


@dataclass
class _Machine:
    allowed: frozenset[str]
    stack: list[Any] = field(default_factory=list[Any])
    memo: dict[int, Any] = field(default_factory=dict[int, Any])

    def to_mark(self) -> list[Any]:
        """Takes everything above the last mark, and the mark."""
        place = len(self.stack) - 1
        while self.stack[place] is not _MARK:  # an IndexError where there is none
            place -= 1
        taken = self.stack[place + 1 :]
        del self.stack[place:]
        return taken


def read_inert_pickle(path: Path | str) -> Any:
    """Returns a pickle's content: numbers, text, lists, tuples, dicts, arrays, and `Inert` for known objects.

    Raises:
        InputError: The file is missing, larger than 256 MiB, or names something that arrays do not need;
            nothing of it was executed.
        FormatError: It is no complete pickle, uses an opcode that data does not need, or its content is
            nested without end or would fill the memory.
    """
    source = Path(path)
    content = read_bytes(source, max_bytes=LARGEST_BYTES)
    if len(content) > LARGEST_BYTES:
        raise InputError(f"{str(source)!r} has over {LARGEST_BYTES} bytes; more are not read")
    value = interpreted(content, names=_ALLOWED, source=repr(str(source)))
    try:
        return _Finisher().finish(value)
    except InputError as error:
        raise type(error)(f"{str(source)!r}: {error}; nothing was executed") from error
    except Exception as error:  # of an array that is none
        raise FormatError(f"{str(source)!r} is no pickle of arrays: {str(error)[:200]}") from error


def interpreted(content: bytes, *, names: frozenset[str], source: str) -> Any:
    """Returns what a pickle describes, with an `Inert` for everything that would have been an object.

    Args:
        content: The pickle.
        names: What it may mention, as "module name".
        source: Begins the messages.

    Raises:
        InputError: It mentions another name; nothing of it was executed.
        FormatError: It is no complete pickle, or uses an opcode that data does not need.
    """
    machine = _Machine(names)
    try:
        for number, (opcode, argument, _) in enumerate(pickletools.genops(content)):
            if number > MOST_OPCODES:
                raise FormatError(f"it has over {MOST_OPCODES} pickle opcodes; give an .npz")
            if opcode.name == "STOP":
                return machine.stack[-1]
            step = _STEPS.get(opcode.name)
            if step is None:
                raise FormatError(f"it uses the pickle opcode {opcode.name}, which data does not need")
            step(machine, argument)
    except InputError as error:
        raise type(error)(f"{source}: {error}; nothing was executed") from error
    except Exception as error:  # of pickletools, or of a step that found something else
        raise FormatError(f"{source} is no pickle of arrays: {str(error)[:200]}") from error
    raise FormatError(f"{source} ends before its pickle does")


class _Finisher:
    """Builds every array of a value, all the way down, once each."""

    def __init__(self) -> None:
        self._done: dict[int, tuple[Any, int]] = {}
        self._open: set[int] = set()
        self._bytes = 0

    def finish(self, value: Any) -> Any:
        """Returns a value with arrays in place of their `Inert` objects.

        Raises:
            FormatError: It holds itself, is nested too deeply, or too large.
        """
        return self._finish(value)[0]

    def _finish(self, value: Any) -> tuple[Any, int]:
        """The finished value, and its entries written out."""
        if not isinstance(value, Inert | dict | list | tuple):
            return value, 1
        key = id(value)
        if key in self._done:
            return self._done[key]
        if key in self._open or len(self._open) >= MOST_DEPTH:
            raise FormatError("a pickle holds itself, or is nested too deeply")
        self._open.add(key)
        made, entries = self._build(value)
        self._open.remove(key)
        if entries > MOST_ENTRIES:
            raise FormatError(f"a pickle has over {MOST_ENTRIES} entries; give an .npz")
        self._done[key] = made, entries
        return made, entries

    def _build(self, value: Any) -> tuple[Any, int]:
        if isinstance(value, Inert):
            if value.kind == "array":
                return self._array(value), 1
            arguments, first = self._finish(value.arguments)
            state, second = self._finish(value.state)
            return Inert(value.kind, arguments, state), first + second
        if isinstance(value, dict):
            found = {key: self._finish(item) for key, item in value.items()}
            return {key: item for key, (item, _) in found.items()}, 1 + sum(n for _, n in found.values())
        items = [self._finish(item) for item in value]
        return type(value)(item for item, _ in items), 1 + sum(entries for _, entries in items)

    def _array(self, value: Inert) -> np.ndarray:
        array = _array(value)
        self._bytes += array.nbytes
        if self._bytes > MOST_BUILT_BYTES:
            raise FormatError(f"the arrays of a pickle have over {MOST_BUILT_BYTES // 2**20} MiB")
        return array


def _named(machine: _Machine, text: str) -> Name:
    module, _, name = text.partition(" ")
    if text not in machine.allowed:
        raise InputError(
            f"the pickle names {module}.{name}, which arrays do not need; parameters are arrays only"
        )
    return Name(text)


def _reduced(machine: _Machine, _: Any) -> None:
    arguments, callee = machine.stack.pop(), machine.stack.pop()
    if not isinstance(callee, Name) or not isinstance(arguments, tuple):
        raise FormatError("a pickle calls something that is no name")
    kind = callee.text
    if kind in _ARRAY_MAKERS:
        made: Any = Inert("array")
    elif kind in _BUFFER_MAKERS:
        raw, dtype, shape, order = arguments
        made = Inert("array", state=(1, shape, dtype, order == "F", raw))
    elif kind == _DTYPE:
        made = Inert("dtype", arguments)
    elif kind in _SCALAR_MAKERS:
        made = np.frombuffer(_bytes(arguments[1]), dtype=_dtype(arguments[0]), count=1)[0].item()
    elif kind == _ENCODE:
        made = _bytes(arguments[0])
    elif kind == _DICT:
        made = {_key(key): item for key, item in arguments[0]} if arguments else {}
    elif kind in _OBJECT_MAKERS:
        made = Inert(arguments[0].text)
    else:
        made = Inert(kind, arguments)
    machine.stack.append(made)


def _new_object(machine: _Machine, _: Any) -> None:
    arguments, owner = machine.stack.pop(), machine.stack.pop()
    machine.stack.append(Inert(owner.text, arguments))


def _built(machine: _Machine, _: Any) -> None:
    state = machine.stack.pop()
    target = machine.stack[-1]
    if isinstance(target, dict):  # attributes of an OrderedDict; torch keeps versions of modules there
        return
    if not isinstance(target, Inert):
        raise FormatError("a pickle sets the state of something that is no object")
    target.state = state


def _array(value: Inert) -> np.ndarray:
    if not isinstance(value.state, tuple) or len(value.state) != 5:
        raise FormatError("an array in the pickle has no values")
    _, shape, dtype, is_fortran, raw = value.state
    flat = np.frombuffer(_bytes(raw), dtype=_dtype(dtype))
    return flat.reshape(tuple(int(n) for n in shape), order="F" if is_fortran else "C").copy()


def _dtype(value: Any) -> np.dtype[Any]:
    if not isinstance(value, Inert) or value.kind != "dtype":
        raise FormatError("an array in the pickle has no type")
    letters = _text(value.arguments[0])[:8]
    order = value.state[1] if isinstance(value.state, tuple) and len(value.state) > 1 else "<"
    found = np.dtype(letters)
    if found.kind not in "fiub":
        raise FormatError(f"an array in the pickle holds {letters!r}; only numbers are read")
    return found.newbyteorder(">") if order == ">" else found


def _bytes(value: Any) -> bytes:
    # Python 2 wrote raw bytes as text, one letter per byte.
    if isinstance(value, str):
        return value.encode("latin-1")
    if not isinstance(value, bytes | bytearray):  # bytes(4) would be four zeros
        raise FormatError("an array in the pickle has no bytes")
    return bytes(value)


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if not isinstance(value, str):
        raise FormatError("a pickle has no name where one is needed")
    return value


def _key(value: Any) -> Any:
    """A key of a dict. Hashing nested tuples takes time without end."""
    if not isinstance(value, str | bytes | int | float | None):
        raise FormatError(f"a pickle has a {type(value).__name__} as a key; only text and numbers can be one")
    return value


def _push(machine: _Machine, argument: Any) -> None:
    machine.stack.append(argument)


def _constant(make: Callable[[], Any]) -> Callable[[_Machine, Any], None]:
    return lambda machine, _: machine.stack.append(make())


def _tuple_of(count: int) -> Callable[[_Machine, Any], None]:
    def step(machine: _Machine, _: Any) -> None:
        taken = tuple(machine.stack[-count:])
        if len(taken) != count:
            raise FormatError("a pickle takes more than it has")
        del machine.stack[-count:]
        machine.stack.append(taken)

    return step


def _set_items(machine: _Machine, _: Any) -> None:
    items = machine.to_mark()
    machine.stack[-1].update(_pairs(items))


def _set_item(machine: _Machine, _: Any) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    machine.stack[-1][_key(key)] = value


def _appends(machine: _Machine, _: Any) -> None:
    items = machine.to_mark()
    machine.stack[-1].extend(items)


def _append(machine: _Machine, _: Any) -> None:
    item = machine.stack.pop()
    machine.stack[-1].append(item)


def _dict(machine: _Machine, _: Any) -> None:
    items = machine.to_mark()
    machine.stack.append(_pairs(items))


def _pairs(items: list[Any]) -> dict[Any, Any]:
    return dict(zip(map(_key, items[::2]), items[1::2], strict=True))


def _remember(machine: _Machine, argument: Any) -> None:
    machine.memo[len(machine.memo) if argument is None else int(argument)] = machine.stack[-1]


def _recall(machine: _Machine, argument: Any) -> None:
    machine.stack.append(machine.memo[int(argument)])


def _stack_global(machine: _Machine, _: Any) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    machine.stack.append(_named(machine, f"{_text(module)} {_text(name)}"))


def _nothing(_: _Machine, __: Any) -> None:
    """For opcodes about the file itself."""


_VALUES = (
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
)
_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    **dict.fromkeys(_VALUES, _push),
    **dict.fromkeys(("PROTO", "FRAME"), _nothing),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), _remember),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _recall),
    "NONE": _constant(lambda: None),
    "NEWTRUE": _constant(lambda: True),
    "NEWFALSE": _constant(lambda: False),
    "EMPTY_LIST": _constant(list),
    "EMPTY_DICT": _constant(dict),
    "EMPTY_TUPLE": _constant(tuple),
    "MARK": _constant(lambda: _MARK),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.to_mark())),
    "LIST": lambda machine, _: machine.stack.append(machine.to_mark()),
    "DICT": _dict,
    "TUPLE1": _tuple_of(1),
    "TUPLE2": _tuple_of(2),
    "TUPLE3": _tuple_of(3),
    "SETITEM": _set_item,
    "SETITEMS": _set_items,
    "APPEND": _append,
    "APPENDS": _appends,
    "GLOBAL": lambda machine, argument: machine.stack.append(_named(machine, str(argument))),
    "STACK_GLOBAL": _stack_global,
    "REDUCE": _reduced,
    "NEWOBJ": _new_object,
    "BUILD": _built,
    "BINPERSID": lambda machine, _: machine.stack.append(Inert(PERSISTENT, (machine.stack.pop(),))),
    "POP": lambda machine, _: machine.stack.pop(),
}
