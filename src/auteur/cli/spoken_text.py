"""`auteur generate PORTRAIT --say TEXT`: the speech that a voice makes of a text, and its captions."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from auteur.cli.arguments import check_readable
from auteur.cli.console import note, working
from auteur.cli.generate_arguments import GenerateArguments
from auteur.errors import UsageError
from auteur.files import write_text

if TYPE_CHECKING:  # importing it takes FFmpeg
    from auteur.voice import Word


@dataclass(frozen=True)
class SpokenText:
    """A text as speech."""

    path: Path
    """The recording; gone when the video is made."""
    words: "tuple[Word, ...]"
    captions: Path | None
    overwrite: bool

    def write_captions(self) -> None:
        """Writes the captions, if there are to be any.

        Raises:
            InputError: The file cannot be written.
        """
        if self.captions is None:
            return
        from auteur.voice import captions_text

        text = captions_text(self.words, self.captions.suffix.lower())
        write_text(self.captions, text, overwrite=self.overwrite)


@contextmanager
def spoken_text(arguments: GenerateArguments, portrait: Path) -> Iterator[SpokenText]:
    """Yields the speech of the text in the options.

    Raises:
        UsageError: There is no such voice, or captions have another ending.
        InputError: The voice failed, or the captions cannot be written.
    """
    check_readable(portrait, *arguments.performance.files())
    options = arguments.voice
    if options.say is None:
        raise UsageError("--say is missing")

    from auteur.voice import check_captions, speak

    if options.srt is not None:
        check_captions(options.srt, overwrite=arguments.overwrite)
    with tempfile.TemporaryDirectory(prefix="auteur-") as folder:
        with working("speaking the text"):
            spoken = speak(options.say, Path(folder) / "speech.wav", voice=options.voice)
        if options.srt is not None and not spoken.are_times_measured:
            note("times of words follow from their lengths; pip install 'auteur-face[voice]' measures them")
        yield SpokenText(spoken.path, spoken.words, options.srt, arguments.overwrite)
