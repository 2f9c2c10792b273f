"""The one door through which marked files leave: whole, marked and with their sidecar, or not at all."""

import re
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from auteur.errors import FormatError, InputError
from auteur.files import atomic_folder, atomic_path, check_writable
from auteur.provenance.mark import Mark
from auteur.provenance.sidecar import Announcement, read_sidecar, sidecar_path
from auteur.provenance.signing import sign

_FRAME_FILE = re.compile(r"\d{5,}\.png|sound\.wav")


@contextmanager
def marked_file(path: Path | str, *, mark: Mark, overwrite: bool = False) -> Generator[Path]:
    """Yields a temporary name; when the block ends without an error, the sidecar and then the file appear.

    The sidecar comes first, so that the final name never holds a file without one. Where the mark names a
    certificate, the file is signed before its hash is taken.

    Raises:
        InputError: The folder is missing or cannot be written to, a file is in the way and `overwrite` is
            false, or certificate or key cannot be used.
        UsageError: Such a file cannot be signed, or c2pa is not installed.
    """
    if mark.signing is not None:
        mark.signing.check(Path(path))
    check_marked(Path(path), overwrite=overwrite)
    with _announced(path, mark, atomic_path(path, overwrite=overwrite)) as temporary:
        yield temporary


def check_marked(path: Path, *, overwrite: bool = False) -> None:
    """Raises early what `marked_file` would raise.

    Raises:
        InputError: As `check_writable`, or the name leaves no room for the sidecar's, or a file that is no
            sidecar has that name.
    """
    check_writable(path, overwrite=overwrite)
    check_writable(sidecar_path(path), overwrite=True)
    if not overwrite:
        _check_sidecar_is_free(path)


@contextmanager
def marked_folder(path: Path | str, *, mark: Mark, overwrite: bool = False) -> Generator[Path]:
    """Yields a temporary folder; when the block ends well, the sidecar and then the folder appear.

    Raises:
        InputError: The place is missing or cannot be written to, or something is in the way that may not be
            replaced: with `overwrite` only a folder of nothing but frames and their sound is.
        UsageError: The mark names a certificate; folders cannot be signed.
    """
    if mark.signing is not None:
        mark.signing.check(Path(path))
    if not overwrite:
        _check_sidecar_is_free(Path(path))
    place = atomic_folder(path, overwrite=overwrite, is_replaceable=is_frame_folder)
    with _announced(path, mark, place) as temporary:
        yield temporary


@contextmanager
def _announced(path: Path | str, mark: Mark, place: AbstractContextManager[Path]) -> Generator[Path]:
    """Yields the temporary name of a place; the sidecar appears before the place does, or goes again."""
    announcement = None
    try:
        with place as temporary:
            yield temporary
            if mark.signing is not None:
                sign(temporary, mark, mark.signing, title=Path(path).name)
            announcement = Announcement(path, mark=mark, finished=temporary)
    except BaseException:
        if announcement is not None:
            announcement.withdraw()
        raise
    announcement.settle()


def is_frame_folder(path: Path) -> bool:
    """Returns whether a folder holds nothing but numbered PNGs and a sound, or nothing at all."""
    return all(_FRAME_FILE.fullmatch(entry.name) and entry.is_file() for entry in path.iterdir())


def _check_sidecar_is_free(path: Path) -> None:
    # A run that was killed between sidecar and file leaves its own sidecar behind; that one may be replaced.
    try:
        read_sidecar(path)
    except FormatError as error:
        beside = str(sidecar_path(path))
        raise InputError(
            f"{beside!r} exists already and is no sidecar; choose another name or pass --overwrite"
        ) from error
