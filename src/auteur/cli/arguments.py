"""Arguments that several verbs share, as text from the command line."""

from fractions import Fraction
from pathlib import Path

from auteur.errors import UsageError
from auteur.formats import TrackReading


def parse_pairs(pairs: tuple[str, ...], option: str) -> dict[str, float]:
    """Returns {"AU12": 0.6} for ("AU12=0.6",).

    Raises:
        UsageError: A pair has no "=" or no number behind it.
    """
    values: dict[str, float] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        try:
            values[name] = float(text)
        except ValueError:
            equals = ""
        if not equals or not name:
            raise UsageError(f"{option} {pair!r} is not NAME=VALUE, such as AU12=0.6 or smile=0.6")
    return values


def parse_rate(text: str, option: str = "--fps") -> Fraction:
    """Returns a frame rate such as "25", "29.97" or "30000/1001" exactly.

    Raises:
        UsageError: It is not a number.
    """
    try:
        return Fraction(text)
    except (ValueError, ZeroDivisionError) as error:
        raise UsageError(f"{option} is {text!r}; give a number such as 25 or 30000/1001") from error


def track_reading(
    rate: str | None, face: int | None, start_sec: float | None, track: Path | None
) -> TrackReading:
    """Returns what --track-rate, --track-face and --track-start say.

    Raises:
        UsageError: One is outside its range, or there is no track.
    """
    reading = TrackReading(
        rate=None if rate is None else parse_rate(rate, "--track-rate"), face=face, start_sec=start_sec
    )
    if track is None and reading.said():
        option = next(iter(reading.said())).replace("_sec", "").replace("_", "-")
        raise UsageError(f"--{option} says how a track is read, and there is none; name it with --track")
    return reading
