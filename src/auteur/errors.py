"""The errors of Auteur, each with the exit code that `auteur` ends with.

A message names the value, the allowed range and what to do about it, on one line.
"""


class AuteurError(Exception):
    """Base of every error that Auteur raises on purpose. Exit code 5 (internal) unless a subclass differs."""

    exit_code = 5

    def __str__(self) -> str:
        """The message on one line; quoted text of a file is escaped."""
        return one_line(super().__str__())


class UsageError(AuteurError, ValueError):
    """A parameter is outside its range or of the wrong kind. Exit code 2."""

    exit_code = 2


class InputError(AuteurError, ValueError):
    """A given file or array cannot be used. Exit code 3."""

    exit_code = 3


class MediaError(InputError):
    """A media file is missing, corrupt, too large, of a refused kind, or cannot be written."""


class FormatError(InputError):
    """A table or track file does not follow its format."""


class FaceError(InputError):
    """A picture or video holds no usable face."""


class WeightsError(InputError):
    """A weights file is missing, truncated, of the wrong shape or does not match its recorded hash."""


class PartialError(AuteurError):
    """Some of the work was done and some was not. Exit code 4."""

    exit_code = 4


def one_line(text: str) -> str:
    """Returns text of unknown origin as it may be shown on a terminal.

    Line breaks, control and bidirectional characters and lone surrogates are written as escapes.
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )
