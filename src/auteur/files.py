"""Whole files or none: the one place that writes a file to disk; and locks that keep other processes out."""

import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from auteur.errors import InputError


@contextmanager
def atomic_path(path: Path | str, *, overwrite: bool = False) -> Iterator[Path]:
    """Yields a temporary sibling of `path` that takes its place when the block ends without an error.

    Args:
        path: The final name. Its folder must exist.
        overwrite: Whether a file of that name may be replaced.

    Raises:
        InputError: The folder is missing or cannot be written to, or the file exists and `overwrite` is
            false.
    """
    final = Path(path)
    check_writable(final, overwrite=overwrite)
    temporary = final.with_name(f".{secrets.token_hex(6)}.part{final.suffix}")
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.replace(final)
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
    """Says early what `atomic_folder` would say.

    Raises:
        InputError: `path` is a file, lies in no folder, holds something and `overwrite` is false, or holds
            what is not replaceable.
    """
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
    from filelock import FileLock, Timeout  # not for those who only read

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
    """Says early what `atomic_path` would say.

    Raises:
        InputError: `path` is a folder, its folder is missing, or it exists and `overwrite` is false.
    """
    if path.is_dir():
        raise InputError(f"cannot write {str(path)!r}: it is a folder; name a file in it")
    _check_parent(path)
    if path.exists() and not overwrite:
        raise InputError(f"{str(path)!r} exists already; choose another name or pass --overwrite")


def _check_parent(path: Path) -> None:
    if not path.parent.is_dir():
        raise InputError(
            f"cannot write {str(path)!r}: the folder {str(path.parent)!r} does not exist; create it first"
        )
