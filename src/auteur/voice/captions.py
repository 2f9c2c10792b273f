"""Captions of words with times: SubRip (.srt) and WebVTT (.vtt)."""

from collections.abc import Sequence
from pathlib import Path

from auteur.errors import UsageError
from auteur.files import check_writable
from auteur.voice.words import Word

LINE_CHARACTERS = 42
"""Longest line; a caption has two at most."""
LONGEST_SEC = 6.0
PAUSE_SEC = 0.6
"""Silence between two words that begins a new caption."""
_SENTENCE_ENDS = (".", "!", "?", "…", "。", "！", "？")
_SUFFIXES = (".srt", ".vtt")


def check_captions(path: Path, *, overwrite: bool = False) -> None:
    """Checks early that captions can be written.

    Raises:
        UsageError: The name ends in neither .srt nor .vtt.
        InputError: The file cannot be written.
    """
    if path.suffix.lower() not in _SUFFIXES:
        raise UsageError(
            f"captions are written as {' or '.join(_SUFFIXES)}, and {str(path)!r} ends otherwise"
        )
    check_writable(path, overwrite=overwrite)


def captions_text(words: Sequence[Word], kind: str) -> str:
    """Returns the text of a caption file.

    Captions end with a sentence, before a pause of 0.6 s, after 6 s, or when two lines of 42 characters are
    full.

    Args:
        words: In the order of their times.
        kind: ".srt" or ".vtt".
    """
    is_vtt = kind == ".vtt"
    blocks = ["WEBVTT"] if is_vtt else []
    for number, group in enumerate(_groups(words), start=1):
        times = f"{_time(group[0].start_sec, is_vtt)} --> {_time(group[-1].end_sec, is_vtt)}"
        lines = _lines([one.word for one in group])
        blocks.append("\n".join([*([] if is_vtt else [str(number)]), times, *lines]))
    return "\n\n".join(blocks) + "\n"


def _groups(words: Sequence[Word]) -> list[list[Word]]:
    groups: list[list[Word]] = []
    for word in words:
        group = groups[-1] if groups else []
        is_full = bool(group) and (
            group[-1].word.rstrip("\"'”’)").endswith(_SENTENCE_ENDS)
            or word.start_sec - group[-1].end_sec >= PAUSE_SEC
            or word.end_sec - group[0].start_sec > LONGEST_SEC
            or len(_lines([*(one.word for one in group), word.word])) > 2
        )
        if not group or is_full:
            groups.append([word])
        else:
            group.append(word)
    return groups


def _lines(words: Sequence[str]) -> list[str]:
    lines: list[str] = []
    for word in words:
        if lines and len(lines[-1]) + 1 + len(word) <= LINE_CHARACTERS:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _time(seconds: float, is_vtt: bool) -> str:
    milliseconds = round(1000 * seconds)
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    mark = "." if is_vtt else ","
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}{mark}{rest % 1000:03}"
