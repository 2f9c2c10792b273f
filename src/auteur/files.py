"""Whole files or none: the one place that names, opens and writes files; and locks on them."""

import errno
import json
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import Any

from auteur.errors import InputError

MOST_NAME_BYTES = 255
"""Longest name of a file or folder on the file systems in use."""

MOST_JSON_BYTES = 16_000_000

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_UNFINISHED = re.compile(r"\.[0-9a-f]{12}\.part(\.[A-Za-z0-9]+)?")


def check_name(path: Path | str) -> Path:
    """Returns `path` as a `Path` that every file system takes and every record can hold.

    Raises:
        InputError: It is not UTF-8, contains a NUL character, or a part of it is longer than 255 bytes.
    """
    text = str(path)
    check_text(text)
    longest = max((len(os.fsencode(part)) for part in Path(text).parts), default=0)
    if longest > MOST_NAME_BYTES:
        raise InputError(
            f"a name of {longest} bytes in {text[:80]!r}…; at most {MOST_NAME_BYTES} are possible; "
            "choose a shorter one"
        )
    return Path(text)


def check_text(text: str) -> None:
    """Refuses text that no file name and no record can hold.

    Raises:
        InputError: It is not UTF-8 or contains a NUL character.
    """
    try:
        content = text.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{text[:80]!a} is not UTF-8; rename the file") from error
    if b"\0" in content:
        raise InputError(f"{text[:80]!r} contains a NUL character; choose another name")


def unfinished_name(path: Path) -> Path:
    """Returns a new name beside `path` for a file that is being written."""
    return path.with_name(f".{secrets.token_hex(6)}.part{path.suffix}")


def is_unfinished(name: str) -> bool:
    """Returns whether a name is one that `atomic_path` gives to files that are still being written."""
    return _UNFINISHED.fullmatch(name) is not None


def is_disk_full(error: BaseException) -> bool:
    """Returns whether an error, or one that caused it, is that of a full disk or quota."""
    cause: BaseException | None = error
    while cause is not None:
        if getattr(cause, "errno", None) in _FULL:
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def open_input(path: Path | str) -> BufferedReader:
    """Opens a regular file to be read; a pipe, which would wait for its writer, is refused.

    Raises:
        InputError: The file is missing, unreadable or not a regular file.
    """
    checked, name = check_name(path), repr(str(path))
    try:
        if stat.S_ISREG(checked.stat().st_mode):
            return checked.open("rb")
    except OSError as error:
        raise InputError(
            f"cannot read {name}: {error.strerror or error}; name a file on this computer"
        ) from error
    raise InputError(f"cannot read {name}: it is not a file; name a file on this computer")


def read_bytes(path: Path | str, *, max_bytes: int) -> bytes:
    """Returns the content of a file; of a longer one, the first `max_bytes + 1` bytes.

    Raises:
        InputError: The file is missing, unreadable or not a regular file.
    """
    try:
        with open_input(path) as file:
            return file.read(max_bytes + 1)
    except OSError as error:
        raise InputError(f"cannot read {str(path)!r}: {error.strerror or error}") from error


def read_json(path: Path | str, *, max_bytes: int = MOST_JSON_BYTES) -> Any:
    """Returns the JSON in a file.

    Raises:
        InputError: The file is missing, unreadable, too large, or holds no JSON.
    """
    content = read_bytes(path, max_bytes=max_bytes)
    if len(content) > max_bytes:
        raise InputError(f"{str(path)!r} is larger than {max_bytes} bytes")
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{str(path)!r} holds no JSON: {error}") from error


@contextmanager
def atomic_path(path: Path | str, *, overwrite: bool = False) -> Iterator[Path]:
    """Yields a temporary sibling of `path` that takes its place when the block ends without an error.

    Args:
        path: The final name. Its folder must exist.
        overwrite: Whether a file of that name may be replaced. If not, a file that appears while the block
            runs is kept, too.

    Raises:
        InputError: As `check_writable`, or a file of that name has appeared since.
    """
    final = Path(path)
    check_writable(final, overwrite=overwrite)
    temporary = unfinished_name(final)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        if overwrite:
            temporary.replace(final)
        else:
            _place(temporary, final)
    except OSError as error:
        raise InputError(f"cannot write {str(final)!r}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(
    path: Path | str, *, overwrite: bool, is_replaceable: Callable[[Path], bool]
) -> Iterator[Path]:
    """Yields a temporary sibling folder of `path` that takes its place when the block ends without an error.

    Args:
        path: The final name. The folder that it lies in must exist.
        overwrite: Whether a folder of that name may be replaced.
        is_replaceable: Whether all that is in such a folder may go.

    Raises:
        InputError: As `check_folder_writable`.
    """
    final = Path(path)
    check_folder_writable(final, overwrite=overwrite, is_replaceable=is_replaceable)
    temporary = final.with_name(f".{secrets.token_hex(6)}.part")
    old = final.with_name(f".{secrets.token_hex(6)}.old")
    try:
        temporary.mkdir()
        yield temporary
        if final.exists():
            final.rename(old)
        try:
            temporary.rename(final)
        except OSError:
            if old.exists():
                old.rename(final)
            raise
    except OSError as error:
        raise InputError(f"cannot write {str(final)!r}: {error.strerror or error}") from error
    finally:
        for left in (temporary, old):
            shutil.rmtree(left, ignore_errors=True)


def check_folder_writable(
    path: Path, *, overwrite: bool = False, is_replaceable: Callable[[Path], bool]
) -> None:
    """Raises early what `atomic_folder` would raise.

    Raises:
        InputError: `path` is a file, lies in no folder, holds something and `overwrite` is false, or holds
            what is not replaceable.
    """
    check_name(path)
    _check_parent(path)
    if path.exists() and not path.is_dir():
        raise InputError(f"cannot write the folder {str(path)!r}: it is a file; name another folder")
    if not path.is_dir() or not any(path.iterdir()):
        return
    if not overwrite:
        raise InputError(f"the folder {str(path)!r} is not empty; choose another name or pass --overwrite")
    if not is_replaceable(path):
        raise InputError(
            f"the folder {str(path)!r} holds more than what is written into such folders and stays; "
            "name another"
        )


def write_text(path: Path | str, text: str, *, overwrite: bool = False) -> None:
    """Writes `text` as UTF-8, whole or not at all.

    Raises:
        InputError: As `atomic_path`.
    """
    with atomic_path(path, overwrite=overwrite) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="")


@contextmanager
def held(path: Path, busy: str) -> Iterator[None]:
    """Holds the lock file `path` while the block runs; the system gives it back when the process is killed.

    The empty file stays, as removing it would let two processes hold two files of one name.

    Raises:
        InputError: Another process, or another block of this one, holds it (`busy` is the message), or its
            folder cannot be written to.
    """
    from filelock import FileLock, Timeout  # not where files are only read

    lock = FileLock(path, thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise InputError(busy) from error
    except OSError as error:
        raise InputError(f"cannot write {str(path)!r}: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()


def check_writable(path: Path, *, overwrite: bool = False) -> None:
    """Raises early what `atomic_path` would raise.

    Raises:
        InputError: The name is impossible or reserved, `path` is a folder, its folder is missing or may not
            be written to, or it exists and `overwrite` is false.
    """
    check_name(path)
    if is_unfinished(path.name):
        raise InputError(f"cannot write {str(path)!r}: such names mark unfinished files; choose another")
    if path.is_dir():
        raise InputError(f"cannot write {str(path)!r}: it is a folder; name a file in it")
    _check_parent(path)
    if os.path.lexists(path) and not overwrite:
        raise _taken(path)


def _check_parent(path: Path) -> None:
    if not path.parent.is_dir():
        raise InputError(
            f"cannot write {str(path)!r}: the folder {str(path.parent)!r} does not exist; create it first"
        )
    _check_permission(path.parent)


def check_folder(path: Path, *, overwrite: bool = False, names: Sequence[str] = ()) -> None:
    """Checks that a folder exists or can be made, and that the files `names` can be written into it.

    Raises:
        InputError: `path` is a file, cannot be made or written to, or holds one of `names` and `overwrite` is
            false.
    """
    check_name(path)
    if path.is_dir():
        _check_permission(path)
        for name in names:
            check_writable(path / name, overwrite=overwrite)
    elif os.path.lexists(path):
        raise InputError(f"{str(path)!r} is a file; name a folder")
    else:
        check_writable(path)


def make_folder(path: Path, *, overwrite: bool = False, names: Sequence[str] = ()) -> None:
    """Makes a folder if there is none, for the files `names`.

    Raises:
        InputError: As `check_folder`.
    """
    check_folder(path, overwrite=overwrite, names=names)
    make_folders(path)


def make_folders(path: Path) -> None:
    """Makes a folder and those above it where they are missing.

    Raises:
        InputError: One cannot be made.
    """
    try:
        check_name(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make the folder {str(path)!r}: {error.strerror}") from error


def _check_permission(folder: Path) -> None:
    if not os.access(folder, os.W_OK | os.X_OK):
        raise InputError(f"cannot write into {str(folder)!r}: no permission; choose another folder")


def _place(temporary: Path, final: Path) -> None:
    """Gives `temporary` its final name unless that is taken, in one step."""
    try:
        try:
            os.link(temporary, final)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links: the name is claimed first
            os.close(os.open(final, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            temporary.replace(final)
    except FileExistsError as error:
        raise _taken(final) from error


def _taken(path: Path) -> InputError:
    return InputError(f"{str(path)!r} exists already; choose another name or pass --overwrite")
