"""Reads every mark of a file and gives a verdict."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from auteur.errors import FormatError, one_line
from auteur.provenance.mark import LABEL, Mark, hash_output, parse_container_text
from auteur.provenance.sidecar import Sidecar, read_sidecar, sidecar_path


class Verdict(StrEnum):
    """What the layers amount to."""

    INTACT = "intact"
    """Both marks are there, agree, and the file is byte for byte what was written."""
    CHANGED = "changed"
    """A sidecar is there, but the file is not the one it was written for, or the two marks disagree."""
    METADATA_ONLY = "metadata only"
    """The container marks the file as AI-generated; there is no readable sidecar."""
    UNMARKED = "unmarked"
    """No mark was found. That does not show that the file is real: marks are easily lost."""


_MEANING = {
    Verdict.INTACT: "AI-generated; exactly the file that was written",
    Verdict.CHANGED: "AI-generated according to its sidecar; the file or its marks have changed since",
    Verdict.METADATA_ONLY: "AI-generated according to its metadata; nothing shows whether it was changed",
    Verdict.UNMARKED: "no mark found, which does not show that the file is real",
}


@dataclass(frozen=True, kw_only=True)
class VerifyReport:
    """The marks of each layer, and the verdict."""

    path: Path
    metadata: Mark | None
    """Tool, version and models named in the container of the file, if it is marked."""
    sidecar: Sidecar | None
    """The record beside the file, if there is an intact one."""
    sidecar_problem: str | None
    """The reason why an existing sidecar cannot be used."""
    content_matches: bool | None
    """Whether the file has the hash that its sidecar recorded; None without a sidecar."""

    @property
    def verdict(self) -> Verdict:
        """What the layers amount to."""
        if self.sidecar is None:
            return Verdict.UNMARKED if self.metadata is None else Verdict.METADATA_ONLY
        agree = self.metadata is not None and _same_origin(self.metadata, self.sidecar.mark)
        return Verdict.INTACT if agree and self.content_matches else Verdict.CHANGED

    def lines(self) -> tuple[str, ...]:
        """The report for people, one line per layer and the verdict last.

        Text of the file and its sidecar cannot break lines or command a terminal.
        """
        metadata = f"no {LABEL} mark" if self.metadata is None else self.metadata.describe()
        content = {
            None: "unknown without a sidecar",
            True: "as written",
            False: "not the file that was written",
        }
        lines = (
            f"file      {self.path}",
            f"metadata  {metadata}",
            *(f"sidecar   {line}" for line in self._sidecar_lines()),
            f"content   {content[self.content_matches]}",
            f"verdict   {self.verdict}: {_MEANING[self.verdict]}",
        )
        return tuple(map(one_line, lines))

    def to_json(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return {
            "file": str(self.path),
            "verdict": str(self.verdict),
            "metadata": None if self.metadata is None else self.metadata.to_json(),
            "sidecar": None if self.sidecar is None else self.sidecar.mark.to_json(),
            "sidecar_problem": self.sidecar_problem,
            "content_matches": self.content_matches,
        }

    def _sidecar_lines(self) -> list[str]:
        if self.sidecar is None:
            return [self.sidecar_problem or f"none ({sidecar_path(self.path).name} is not there)"]
        mark = self.sidecar.mark
        return [
            mark.describe(),
            *(f"input {role}: sha256 {digest}" for role, digest in mark.inputs.items()),
            *(f"setting {name}: {value}" for name, value in mark.settings.items()),
            *([] if mark.seed is None else [f"seed {mark.seed}"]),
        ]


def verify(path: Path | str) -> VerifyReport:
    """Reads the marks of a picture, sound, video or folder of frames, and checks them against the file.

    Raises:
        MediaError: The file is missing or is no picture, sound or video that Auteur reads.
    """
    # `media` writes marks and so imports this package; only this reader needs the other direction.
    from auteur.media import read_mark_text

    path = Path(path)
    text = read_mark_text(path)
    sidecar, problem, digest = None, None, hash_output(path)[0]
    try:
        sidecar = read_sidecar(path)
    except FormatError as error:
        problem = str(error)
    if sidecar is not None and (sidecar := sidecar.of_content(digest)) is None:
        problem = f"{sidecar_path(path).name} is of another file, whose writing was broken off"
    return VerifyReport(
        path=path,
        metadata=None if text is None else parse_container_text(text),
        sidecar=sidecar,
        sidecar_problem=problem,
        content_matches=None if sidecar is None else digest == sidecar.output_sha256,
    )


def _same_origin(first: Mark, second: Mark) -> bool:
    return first.container_text() == second.container_text()
