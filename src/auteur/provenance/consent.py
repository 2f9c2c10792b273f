"""The policy on consent: showing a real person's face needs that person's agreement.

Stated in one place: the command, the Python API, the service, the studio and the ComfyUI nodes all use these
functions. A statement is kept in the sidecar and in a signed manifest, never in logs or messages.
"""

from auteur.errors import UsageError

MOST_CHARACTERS = 500

NOTE = (
    "no consent is stated: a real person must have agreed to be shown like this; state it as consent, "
    '"who, basis" (--consent)'
)


def check_consent(statement: str | None) -> str | None:
    """Returns a statement of consent without the space around it; None for None.

    Raises:
        UsageError: It is empty or too long. The message does not quote it.
    """
    if statement is None:
        return None
    statement = statement.strip()
    if not 1 <= len(statement) <= MOST_CHARACTERS:
        raise UsageError(
            f"the statement of consent has {len(statement)} characters; it needs 1 to {MOST_CHARACTERS}: "
            "who agreed, and on what basis"
        )
    return statement


def consent_notes(statement: str | None) -> tuple[str, ...]:
    """Returns the note for users where consent is not stated."""
    return (NOTE,) if statement is None else ()
