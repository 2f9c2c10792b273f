"""Arrays out of a pickle, and nothing else: the file is read as data by our own interpreter.

FLAME's model files and the outputs of older trackers are pickles, which are programs: loading one runs
whatever its author wrote. Here the opcodes are walked (`pickletools.genops` of the standard library, which
only parses), containers and numbers are built, and the few names that arrays need are recognised by name and
built by us. Nothing is imported and nothing is called; any other name ends the reading.
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

LARGEST_BYTES = 256 * 2**20
_MARK = object()

_ARRAY_MAKERS = {
    "numpy.core.multiarray _reconstruct",
    "numpy._core.multiarray _reconstruct",
}
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
_ALLOWED = {
    *_ARRAY_MAKERS,
    *_BUFFER_MAKERS,
    *_SCALAR_MAKERS,
    *_OBJECT_MAKERS,
    *_KNOWN_CLASSES,
    *(_DTYPE, _DICT, _ENCODE),
}


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
    stack: list[Any] = field(default_factory=list[Any])
    memo: dict[int, Any] = field(default_factory=dict[int, Any])

    def to_mark(self) -> list[Any]:
        """Takes everything above the last mark, and the mark."""
        place = max(i for i, value in enumerate(self.stack) if value is _MARK)
        taken = self.stack[place + 1 :]
        del self.stack[place:]
        return taken


def read_inert_pickle(path: Path | str) -> Any:
    """Returns a pickle's content: numbers, text, lists, tuples, dicts, arrays, and `Inert` for known objects.

    Raises:
        InputError: The file is missing, larger than 256 MiB, or names something that arrays do not need;
            nothing of it was executed.
        FormatError: It is no complete pickle, or uses an opcode that data does not need.
    """
    source = Path(path)
    try:
        size = source.stat().st_size
        if size > LARGEST_BYTES:
            raise InputError(f"{str(source)!r} has {size} bytes; at most {LARGEST_BYTES} are read")
        content = source.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {str(source)!r}: {error.strerror}") from error
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(content):
            if opcode.name == "STOP":
                return finished(machine.stack[-1])
            step = _STEPS.get(opcode.name)
            if step is None:
                raise FormatError(
                    f"{str(source)!r} uses the pickle opcode {opcode.name}, which data does not need"
                )
            step(machine, argument)
    except InputError as error:
        raise type(error)(f"{str(source)!r}: {error}; nothing was executed") from error
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, MemoryError) as error:
        raise FormatError(f"{str(source)!r} is no pickle of arrays: {error}") from error
    raise FormatError(f"{str(source)!r} ends before its pickle does")


def finished(value: Any) -> Any:
    """Returns a value with every array built, all the way down."""
    if isinstance(value, Inert):
        if value.kind == "array":
            return _array(value)
        return Inert(value.kind, tuple(map(finished, value.arguments)), finished(value.state))
    if isinstance(value, dict):
        return {finished(key): finished(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finished(item) for item in value]
    if isinstance(value, tuple):
        return tuple(map(finished, value))
    return value


def _named(text: str) -> Name:
    module, _, name = text.partition(" ")
    if text not in _ALLOWED:
        raise InputError(
            f"the pickle asks for {module}.{name}, which arrays do not need; parameters are arrays only"
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
        made = str(arguments[0]).encode("latin-1")
    elif kind == _DICT:
        made = dict(arguments[0]) if arguments else {}
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
    letters = str(value.arguments[0])
    order = value.state[1] if isinstance(value.state, tuple) and len(value.state) > 1 else "<"
    found = np.dtype(letters)
    if found.kind not in "fiub":
        raise FormatError(f"an array in the pickle holds {letters!r}; only numbers are read")
    return found.newbyteorder(">") if order == ">" else found


def _bytes(value: Any) -> bytes:
    # Python 2 wrote raw bytes as text, one letter per byte.
    return value.encode("latin-1") if isinstance(value, str) else bytes(value)


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
    machine.stack[-1].update(zip(items[::2], items[1::2], strict=True))


def _set_item(machine: _Machine, _: Any) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    machine.stack[-1][key] = value


def _appends(machine: _Machine, _: Any) -> None:
    items = machine.to_mark()
    machine.stack[-1].extend(items)


def _append(machine: _Machine, _: Any) -> None:
    item = machine.stack.pop()
    machine.stack[-1].append(item)


def _dict(machine: _Machine, _: Any) -> None:
    items = machine.to_mark()
    machine.stack.append(dict(zip(items[::2], items[1::2], strict=True)))


def _remember(machine: _Machine, argument: Any) -> None:
    machine.memo[len(machine.memo) if argument is None else int(argument)] = machine.stack[-1]


def _recall(machine: _Machine, argument: Any) -> None:
    machine.stack.append(machine.memo[int(argument)])


def _stack_global(machine: _Machine, _: Any) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    machine.stack.append(_named(f"{module} {name}"))


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
    "GLOBAL": lambda machine, argument: machine.stack.append(_named(str(argument))),
    "STACK_GLOBAL": _stack_global,
    "REDUCE": _reduced,
    "NEWOBJ": _new_object,
    "BUILD": _built,
    "POP": lambda machine, _: machine.stack.pop(),
}
