"""Options of a published model's renderer: what is set, what it makes of it, and what is said about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auteur import provenance
from auteur.errors import InputError, UsageError
from auteur.synthesis.published.checkpoints import Kind
from auteur.synthesis.published.schedule import LoopSettings
from auteur.synthesis.samplers.schedule import check_steps

WINDOW = 16
STEPS: dict[Kind, int] = {"aniportrait": 25, "hallo": 40, "memo": 20}
FEW_STEPS = 10
"""Of the solver dpm, unless steps are given."""
GUIDANCE = 3.5

_KNOWN = frozenset(
    {"steps", "audio_guidance", "au_guidance", "sampler", "compile", "identity", "guidance_form"}
)
_WITH_IDENTITY = ("hallo", "memo")


@dataclass(frozen=True)
class PublishedOptions:
    """How a video is rendered."""

    loop: LoopSettings
    is_compiled: bool
    identity: Path | None
    """File of a face embedding, or of a face network."""
    others: Mapping[str, Any]
    """Accepted because the motion takes them."""

    @staticmethod
    def of(options: Mapping[str, Any], kind: Kind, *, has_adapter: bool = False) -> "PublishedOptions":
        """Returns the options of a model, with what suits it where nothing is set.

        Args:
            options: Set by the user.
            kind: Of the model.
            has_adapter: Whether it has an Action Unit adapter, which AU guidance of a named form acts on.

        Raises:
            UsageError: An option has no effect, or is out of range.
            InputError: The file of the identity does not exist.
        """
        if "window" in options:
            raise UsageError(f"window: no effect, {kind} has windows of {WINDOW} frames; leave it out")
        if unknown := options.keys() - _KNOWN:
            raise UsageError(f"{', '.join(sorted(unknown))}: no effect with {kind}; leave it out")
        identity = options.get("identity")
        if identity is not None and kind not in _WITH_IDENTITY:
            raise UsageError(f"identity: no effect with {kind}, whose identity is CLIP's; leave it out")
        if identity is not None and not Path(identity).is_file():
            raise InputError(f"the identity {str(identity)!r} does not exist; name a file")
        sampler = options.get("sampler") or "published"
        usual = FEW_STEPS if sampler == "dpm" else STEPS[kind]
        loop = LoopSettings(
            steps=check_steps(options.get("steps", usual)),
            guidance=options.get("audio_guidance", GUIDANCE),
            sampler=sampler,
            au=options.get("au_guidance") if has_adapter and "guidance_form" in options else None,
            form=options.get("guidance_form", "published"),
        )
        if "guidance_form" in options and not has_adapter:
            raise UsageError(
                f"guidance_form: no effect, this folder of {kind} has no Action Unit adapter (auteur train "
                "au-adapter); leave it out"
            )
        return PublishedOptions(
            loop,
            bool(options.get("compile")),
            None if identity is None else Path(identity),
            {key: options[key] for key in ("au_guidance", "guidance_form") if key in options},
        )

    @property
    def record(self) -> dict[str, Any]:
        """What is written into outputs: plain values, a file by its SHA-256."""
        found: dict[str, Any] = {"steps": self.loop.steps, "audio_guidance": self.loop.guidance}
        if self.loop.sampler != "published":
            found["sampler"] = self.loop.sampler
        if self.is_compiled:
            found["compile"] = True
        if self.identity is not None:
            found["identity"] = provenance.hash_file(self.identity)
        return found | dict(self.others)

    def notes(self, kind: Kind) -> tuple[str, ...]:
        """Returns sentences about where identity and emotion come from."""
        notes: list[str] = []
        if kind in _WITH_IDENTITY:
            notes.append(
                "no face embedding: zeros, as the original has where it finds no face; the likeness is the "
                "ReferenceNet's (--identity FILE gives one)"
                if self.identity is None
                else f"the face embedding is that of {self.identity.name}"
            )
        if kind == "memo":
            notes.append(
                "MEMO's emotion is the class nearest to the performance's Action Units in each window; its "
                "own classifier, which reads emotion2vec, takes no part"
            )
        return tuple(notes)
