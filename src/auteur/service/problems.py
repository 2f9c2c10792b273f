"""Answers to calls that cannot be carried out."""

from typing import Any

from auteur.errors import AuteurError, InputError, UsageError
from auteur.files import is_disk_full

STATUS_OF_CODE = {
    "bad_json": 400,
    "bad_request": 400,
    "no_token": 401,
    "bad_origin": 403,
    "bad_host": 403,
    "not_found": 404,
    "not_done": 409,
    "superseded": 409,
    "in_use": 409,
    "too_large": 413,
    "bad_type": 415,
    "bad_value": 422,
    "bad_input": 422,
    "no_voice": 422,
    "queue_full": 429,
    "internal": 500,
    "worker_died": 503,
    "busy": 503,
    "disk_full": 507,
}
"""HTTP status of every code that answers may carry."""


class CallError(AuteurError):
    """A call that gets an error as its answer.

    Attributes:
        code: One of `STATUS_OF_CODE`.
        field: Key of the body that is to blame, if one is.
    """

    def __init__(self, code: str, message: str, *, field: str | None = None) -> None:
        super().__init__(message)
        self.code, self.field = code, field

    @property
    def status(self) -> int:
        """The HTTP status."""
        return STATUS_OF_CODE[self.code]

    def to_json(self) -> dict[str, Any]:
        """The body of the answer."""
        return {"error": {"code": self.code, "message": str(self), "field": self.field}}


def problem_of(error: Exception) -> CallError:
    """Returns the answer to an error; only our own errors keep their text."""
    if isinstance(error, CallError):
        return error
    if is_disk_full(error):
        return CallError("disk_full", "the disk is full; remove results, or wait until some expire")
    if isinstance(error, UsageError):
        return CallError("bad_value", str(error))
    if isinstance(error, InputError):
        return CallError("bad_input", str(error))
    if isinstance(error, MemoryError) or "allocate memory" in str(error):
        return CallError("bad_input", "not enough memory; give a smaller picture or a shorter recording")
    if isinstance(error, AuteurError):
        return CallError("internal", str(error))
    return CallError("internal", f"{type(error).__name__}; this is a bug of Auteur")
