"""Whole files or none: the one place that writes a file to disk; and locks that keep other processes out."""

import os
import secrets
from collections.abc import Iterator
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
    if not path.parent.is_dir():
        raise InputError(
            f"cannot write {str(path)!r}: the folder {str(path.parent)!r} does not exist; create it first"
        )
    if path.exists() and not overwrite:
        raise InputError(f"{str(path)!r} exists already; choose another name or pass --overwrite")
