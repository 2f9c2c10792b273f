"""Ablations of the papers as settings of the denoiser's recipe: what differs from its preset."""

from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from auteur.errors import UsageError
from auteur.synthesis.conditioners.au import AUConfig
from auteur.synthesis.conditioners.registry import CONDITIONERS
from auteur.synthesis.denoiser.config import DenoiserConfig

LONGEST_MARGIN = 8


@dataclass(frozen=True)
class AUChanges:
    """Changes to the Action Unit conditioner; what is not given is the preset's."""

    form: Literal["sequence", "lines", "mesh"] | None = None
    """AUHead's table 2: sequence is the 1-D form, lines LMK, mesh RoM. Clips hold the same form."""
    action_units: int | None = None
    """Numbers of a sequence: 24 of FEAFA, 18 of OpenFace."""
    margin: int | None = None
    """n of a window of 2 n + 1 frames, 0 to 8."""
    grid: int | None = None
    """A frame becomes grid x grid tokens."""
    every_layer: bool | None = None
    """Whether it acts after every layer or after the last of each block."""
    dropout: float | None = None
    """Probability of the null in training, 0 to 1."""

    def __post_init__(self) -> None:
        if self.margin is not None and not 0 <= self.margin <= LONGEST_MARGIN:
            raise UsageError(f"au.margin is {self.margin}; it must be between 0 and {LONGEST_MARGIN}")
        if self.form is not None and self.form not in ("sequence", "lines", "mesh"):
            raise UsageError(f"au.form is {self.form!r}; choose sequence, lines or mesh")
        _check_probability("au.dropout", self.dropout)

    def applied(self, config: AUConfig) -> AUConfig:
        """Returns a config with the changes."""
        return replace(config, **_given(self))


@dataclass(frozen=True)
class DropoutChanges:
    """Probability that a training row loses a condition; what is not given is the preset's."""

    reference: float | None = None
    identity: float | None = None
    audio: float | None = None
    expression: float | None = None
    together: float | None = None
    """All conditions of a row at once."""

    def __post_init__(self) -> None:
        for name, value in _given(self).items():
            _check_probability(f"dropout.{name}", value)


@dataclass(frozen=True)
class Ablation:
    """Everything that a recipe may change in its preset."""

    au: AUChanges
    dropout: DropoutChanges
    without: tuple[str, ...]
    process: Literal["ddim", "flow"] | None

    def applied(self, config: DenoiserConfig) -> DenoiserConfig:
        """Returns a preset's config with the changes.

        Raises:
            UsageError: The preset lacks what is changed, or the result does not fit together.
        """
        changes: dict[str, Any] = {}
        if _given(self.au):
            changes["au"] = self.au.applied(_part(config, "au"))
        for name, value in _given(self.dropout).items():
            if name == "together":
                changes["drop_all"] = value
            else:
                changes[name] = replace(_part(config, name), dropout=value)
        for name in self.without:
            _part(config, name)
            changes[name] = None
        if self.process is not None:
            changes["process"] = self.process
        return config.changed(**changes) if changes else config


def _part(config: DenoiserConfig, name: str) -> Any:
    if name not in CONDITIONERS or name not in config.conditioners:
        raise UsageError(
            f"the preset has no conditioner {name!r} to change; it has {', '.join(config.conditioners)}"
        )
    return config.conditioners[name]


def _given(changes: Any) -> dict[str, Any]:
    found = {one.name: getattr(changes, one.name) for one in fields(changes)}
    return {name: value for name, value in found.items() if value is not None}


def _check_probability(name: str, value: float | None) -> None:
    if value is not None and not 0 <= value <= 1:
        raise UsageError(f"{name} is {value}; it must be between 0 and 1")
