"""Reads every layer of marks in a file, and states what each of them proves and what not."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auteur.errors import FormatError, MediaError, one_line
from auteur.provenance.manifest import ManifestReading, ManifestVerdict, read_manifest
from auteur.provenance.mark import LABEL, Mark, hash_output, mark_from_json, parse_container_text
from auteur.provenance.sidecar import Sidecar, read_sidecar, sidecar_path

if TYPE_CHECKING:
    from auteur.watermark import WatermarkReading

_MOST_LINES, _MOST_CHARACTERS = 40, 400
"""Lines of a layer and characters of a line that are shown: a file may hold megabytes."""


class Verdict(StrEnum):
    """What the layers amount to."""

    SIGNED = "signed"
    """A manifest with a fitting signature states that the file is AI-generated; no layer contradicts it."""
    INTACT = "intact"
    """Metadata and sidecar are there, agree, and the file is byte for byte what was written."""
    CHANGED = "changed"
    """A mark is there that does not fit the file, or two marks contradict each other."""
    METADATA_ONLY = "metadata only"
    """The container marks the file as AI-generated; there is no readable sidecar."""
    WATERMARK_ONLY = "watermark only"
    """The pixels carry the watermark; there is no other mark."""
    UNMARKED = "unmarked"
    """No mark was found. That does not show that the file is real: marks are easily lost."""


_MEANING = {
    Verdict.SIGNED: "AI-generated; exactly the file that was signed",
    Verdict.INTACT: "AI-generated; exactly the file that was written",
    Verdict.CHANGED: "marked as AI-generated, but the file or its marks have changed since",
    Verdict.METADATA_ONLY: "AI-generated according to its metadata; nothing shows whether it was changed",
    Verdict.WATERMARK_ONLY: "AI-generated according to the watermark in its pixels; all other marks are lost",
    Verdict.UNMARKED: "no mark of AI-generated media found, which does not show that the file is real",
}

_NOTHING = ("nothing", "that the file is real: such marks are easily lost or removed")
_PROOFS = {
    "manifest": {
        "trusted": (
            "the file is exactly what this signer, named by an issuer you trust, signed",
            "that what the signer states is true",
        ),
        "untrusted": (
            "the file is exactly what the holder of this certificate's key signed",
            "who that is, as anyone can make a certificate; that what is stated is true",
        ),
        "expired": (
            "the file is exactly what the holder of this certificate's key signed",
            "that it was signed while the certificate was valid; who signed; that what is stated is true",
        ),
        "invalid": (
            "the file or its manifest was changed after it was signed",
            "what was changed, and by whom",
        ),
    },
    "watermark": {
        "found": (
            "pixels of the file came from Auteur, in this run",
            "that the rest is unchanged; a watermark can be copied onto other pictures",
        ),
    },
    "metadata": {
        "marked": (
            "nothing by itself: it is a label for readers and platforms",
            "who wrote it, as anyone can",
        ),
    },
    "sidecar": {
        "fits": ("the record belongs to exactly these bytes", "who wrote it, as anyone can"),
        "other bytes": ("the file is not the one that the record describes", "which of the two was changed"),
    },
}
"""For each layer and verdict, what it proves and what it does not prove; `_NOTHING` for all others."""


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
    manifest: ManifestReading
    """The signed manifest."""
    watermark: "WatermarkReading"
    """The watermark in the pixels."""

    @property
    def contradictions(self) -> tuple[str, ...]:
        """Sentences about marks that do not fit the file or each other."""
        return tuple(self._contradictions())

    @property
    def verdict(self) -> Verdict:
        """What the layers amount to."""
        if self.contradictions:
            return Verdict.CHANGED
        if self.manifest.fits and self.manifest.is_ai_generated:
            return Verdict.SIGNED
        if self.sidecar is not None:
            return Verdict.INTACT
        if self.metadata is not None:
            return Verdict.METADATA_ONLY
        return Verdict.WATERMARK_ONLY if self.watermark.found else Verdict.UNMARKED

    @property
    def layers(self) -> dict[str, str]:
        """Verdict of each layer by its name."""
        fits = "fits" if self.content_matches else "other bytes"
        lost = "none" if self.sidecar_problem is None else "damaged"
        return {
            "manifest": str(self.manifest.verdict),
            "watermark": "found" if self.watermark.found else "none",
            "metadata": "none" if self.metadata is None else "marked",
            "sidecar": lost if self.sidecar is None else fits,
        }

    def lines(self) -> tuple[str, ...]:
        """The report for people, one layer after the other and the verdict last.

        Text of the file and its sidecar cannot break lines or command a terminal.
        """
        found = {
            "manifest": self._manifest_lines(),
            "watermark": self._watermark_lines(),
            "metadata": [f"no {LABEL} mark" if self.metadata is None else self.metadata.describe()],
            "sidecar": self._sidecar_lines(),
        }
        lines = [f"file      {self.path}"]
        for name, verdict in self.layers.items():
            proves, leaves_open = _PROOFS[name].get(verdict, _NOTHING)
            first, *more = _shortened(found[name])
            lines += [f"{name:<10}{verdict}: {first}", *(f"{'':<10}{line}" for line in more)]
            lines += [f"{'':<10}proves: {proves}", f"{'':<10}does not prove: {leaves_open}"]
        lines.append(f"content   {_CONTENT[self.content_matches]}")
        lines += [f"contrary  {sentence}" for sentence in self.contradictions]
        lines.append(f"verdict   {self.verdict}: {_MEANING[self.verdict]}")
        return tuple(map(one_line, lines))

    def to_json(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        layers = {name: (one, *_PROOFS[name].get(one, _NOTHING)) for name, one in self.layers.items()}
        return {
            "file": str(self.path),
            "verdict": str(self.verdict),
            "contradictions": list(self.contradictions),
            "layers": {
                name: dict(zip(("verdict", "proves", "does_not_prove"), layer, strict=True))
                for name, layer in layers.items()
            },
            "manifest": self.manifest.to_json(),
            "watermark": dict(vars(self.watermark)),
            "metadata": None if self.metadata is None else self.metadata.to_json(),
            "sidecar": None if self.sidecar is None else self.sidecar.mark.to_json(),
            "sidecar_problem": self.sidecar_problem,
            "content_matches": self.content_matches,
        }

    def _contradictions(self) -> Iterator[str]:
        if self.manifest.verdict is ManifestVerdict.INVALID:
            yield f"the file or its manifest was changed after it was signed: {self.manifest.problem}"
        if self.manifest.verdict is ManifestVerdict.DAMAGED:
            yield f"the manifest is damaged: {self.manifest.problem}"
        signed = _mark_of(self.manifest) if self.manifest.fits else None
        recorded = None if self.sidecar is None else self.sidecar.mark
        if recorded is not None:
            if not self.content_matches:
                yield "the sidecar is of other bytes"
            if self.metadata is None:
                yield "the file lacks the metadata that its sidecar records"
            elif not _same_origin(self.metadata, recorded):
                yield "metadata and sidecar name different origins"
            if signed is not None and signed.to_json() != recorded.to_json():
                yield "manifest and sidecar hold different records"
        elif signed is not None and self.metadata is not None and not _same_origin(self.metadata, signed):
            yield "manifest and metadata name different origins"
        for name, mark in (("sidecar", recorded), ("manifest", signed), ("metadata", self.metadata)):
            if mark is None or not (mark.watermark and self.watermark.found):
                continue
            if mark.run_id != self.watermark.run_id:
                yield f"the watermark names the run {self.watermark.run_id}, the {name} {mark.run_id}"
                return

    def _manifest_lines(self) -> list[str]:
        reading, signed = self.manifest, _mark_of(self.manifest)
        if reading.generator is None and reading.signer is None:
            return [reading.problem or "the file holds none"]
        source = "a trained model" if reading.is_ai_generated else "no trained model"
        return [
            f"signed by {reading.signer}, made with {reading.generator}; it names {source} as the source",
            *([] if reading.problem is None else [reading.problem]),
            *(f"input {role}: sha256 {digest}" for role, digest in (reading.inputs or {}).items()),
            *([] if signed is None else [_consent_line(signed)]),
        ]

    def _watermark_lines(self) -> list[str]:
        reading = self.watermark
        if reading.found:
            share = f"{reading.confidence:.0%} of its bits in {reading.frames_read} frame(s)"
            return [f"of {reading.tool}, run {reading.run_id}; {share}"]
        return [reading.problem or f"none in {reading.frames_read} frame(s)"]

    def _sidecar_lines(self) -> list[str]:
        if self.sidecar is None:
            return [self.sidecar_problem or f"{sidecar_path(self.path).name} is not there"]
        mark = self.sidecar.mark
        return [
            mark.describe(),
            _consent_line(mark),
            f"run {mark.run_id}{'' if mark.watermark else ', written without watermark'}",
            *([] if mark.seed is None else [f"seed {mark.seed}"]),
            *(f"input {role}: sha256 {digest}" for role, digest in mark.inputs.items()),
            *(f"setting {name}: {value}" for name, value in mark.settings.items()),
        ]


_CONTENT = {
    None: "unknown without a sidecar",
    True: "as written",
    False: "not the file that was written",
}


def verify(path: Path | str, *, trusted: Path | None = None) -> VerifyReport:
    """Reads the marks of a picture, sound, video or folder of frames, and checks them against the file.

    Args:
        path: The file or folder.
        trusted: Certificates in PEM of the issuers whose signatures are trusted; None: none are.

    Raises:
        MediaError: The file is missing or is no picture, sound or video that Auteur reads.
        InputError: The certificates cannot be read.
        UsageError: Issuers are given, but c2pa is not installed.
    """
    # `media` writes marks and so imports this package; only this reader needs the other direction.
    from auteur.media import read_mark_text
    from auteur.watermark import WatermarkReading, read_watermark

    path = Path(path)
    text = read_mark_text(path)
    sidecar, problem, digest = None, None, hash_output(path)[0]
    try:
        sidecar = read_sidecar(path)
    except FormatError as error:
        problem = str(error)
    if sidecar is not None and (sidecar := sidecar.of_content(digest)) is None:
        problem = f"{sidecar_path(path).name} is of another file, whose writing was broken off"
    try:
        watermark = read_watermark(path)
    except MediaError as error:
        watermark = WatermarkReading(found=False, frames_read=0, problem=str(error))
    return VerifyReport(
        path=path,
        metadata=None if text is None else parse_container_text(text),
        sidecar=sidecar,
        sidecar_problem=problem,
        content_matches=None if sidecar is None else digest == sidecar.output_sha256,
        manifest=read_manifest(path, trusted=trusted),
        watermark=watermark,
    )


def _same_origin(first: Mark, second: Mark) -> bool:
    return first.container_text() == second.container_text()


def _mark_of(manifest: ManifestReading) -> Mark | None:
    try:
        return mark_from_json(manifest.record)
    except ValueError:
        return None


def _consent_line(mark: Mark) -> str:
    return f"consent: {mark.consent or 'not stated'}"


def _shortened(lines: Sequence[str]) -> list[str]:
    shown = [line if len(line) <= _MOST_CHARACTERS else f"{line[:_MOST_CHARACTERS]}…" for line in lines]
    more = len(shown) - _MOST_LINES
    return shown if more <= 0 else [*shown[:_MOST_LINES], f"… and {more} more"]
