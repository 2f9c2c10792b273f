"""Settings of a denoiser in three parts: the network, the diffusion process, and how it is used to paint.

In files they stand in one flat table, each under its own name beside one per conditioner; so every name
belongs to one part only.
"""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from auteur.errors import UsageError
from auteur.synthesis.canonical_crops import CANONICAL_CROPS
from auteur.synthesis.conditioners.registry import CONDITIONERS
from auteur.synthesis.denoiser.seam_refiner import SeamRefinerConfig
from auteur.synthesis.samplers import Process, process_named
from auteur.synthesis.samplers.schedule import MOST_STEPS
from auteur.weights.config import config_of


@dataclass(frozen=True, kw_only=True)
class UNetConfig:
    """Sizes of the 2-D UNet. The defaults are Stable Diffusion 1.5's."""

    widths: tuple[int, ...] = (320, 640, 1280, 1280)
    """Channels per level."""
    attends: tuple[bool, ...] = (True, True, True, False)
    """Levels with attention; the middle always has it."""
    layers: int = 2
    """Residual blocks per level on the way down; one more on the way up."""
    heads: int = 8
    groups: int = 32
    context_width: int | None = 768
    """Width of the tokens in place of a text; None leaves out the cross-attention that reads them."""
    context_tokens: int = 4

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {value}; it must be between 1 and {most}"
            for name, value, most in (
                ("the number of widths", len(self.widths), 6),
                ("the largest width", max(self.widths, default=0), 4096),
                ("layers", self.layers, 8),
                ("context_width", self.context_width or 1, 4096),
                ("context_tokens", self.context_tokens, 256),
            )
            if not 1 <= value <= most
        ]
        if len(self.widths) != len(self.attends):
            problems.append(f"{len(self.widths)} widths but {len(self.attends)} attends")
        problems += [
            f"width {width} is not a multiple of {number} {name}"
            for width in self.widths
            for name, number in (("groups", self.groups), ("heads", self.heads))
            if number < 1 or width % number
        ]
        if problems:
            raise UsageError("the UNet cannot be built: " + "; ".join(problems))


@dataclass(frozen=True, kw_only=True)
class TemporalConfig:
    """Sizes of the motion modules (AnimateDiff, arXiv 2307.04725). The defaults are mm_sd_v15_v2's."""

    levels: tuple[bool, ...] = (True, True, True, True)
    """Levels that have them, on the way down and up."""
    middle: bool = True
    heads: int = 8
    groups: int = 32
    longest_window: int = 32
    """Frames that have positions."""


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Sizes of the network and of each of its conditioners. The defaults are the papers', without any."""

    channels: int = 4
    """Channels of the sample: 4 for Stable Diffusion's latents, 3 for pixels."""
    patch: int = 1
    """Pixels of the sample per pixel of the UNet on a side; the others become channels."""
    unet: UNetConfig = field(default_factory=UNetConfig)
    temporal: TemporalConfig | None = None
    finish: SeamRefinerConfig | None = None
    """Config of the seam refiner, which is called "finish" in files; None: there is none."""
    conditioners: Mapping[str, Any] = field(default_factory=dict)
    """Config of each conditioner that the network has, by name."""

    def __post_init__(self) -> None:
        if unknown := self.conditioners.keys() - CONDITIONERS.keys():
            raise UsageError(f"no conditioner {sorted(unknown)}; there are {', '.join(CONDITIONERS)}")
        given = {name: one for name in CONDITIONERS if (one := self.conditioners.get(name)) is not None}
        object.__setattr__(self, "conditioners", given)

    @property
    def size_multiple(self) -> int:
        """Height and width of a sample are multiples of this."""
        return self.patch * 2 ** (len(self.unet.widths) - 1)

    def problems(self) -> list[str]:
        """Returns what does not fit together."""
        problems: list[str] = []
        if not (1 <= self.channels <= 64 and 1 <= self.patch <= 16):
            problems.append(
                f"channels is {self.channels} and patch {self.patch}; they must be 1 to 64 and 1 to 16"
            )
        if self.temporal is not None and len(self.temporal.levels) != len(self.unet.widths):
            problems.append(f"temporal names {len(self.temporal.levels)} levels of {len(self.unet.widths)}")
        misfits = (
            CONDITIONERS[name].misfit(self.conditioners.keys(), self.unet.context_width)
            for name in self.conditioners
        )
        return problems + [misfit for misfit in misfits if misfit is not None]


@dataclass(frozen=True, kw_only=True)
class DiffusionConfig:
    """The process that the network was trained on, and the units of its input and output."""

    process: Literal["ddim", "flow"] = "ddim"
    """Name of the process in `synthesis.samplers`, whose v is predicted."""
    data_deviation: float | None = None
    """Standard deviation of the data, to scale input and output by; None: they are used as they are."""
    anchor_deviation: float | None = None
    """Predict the difference from the warped portrait, which varies by this much; None: predict all."""
    answers: Literal["balanced", "data"] = "balanced"
    """Units of the network's own output, see `denoiser.preconditioner`: data for large patches."""
    noise_shift: float = 1.0
    """Shift of the process, see `samplers.flow`; for data that varies little, about its deviation."""
    noise_common: float = 0.0
    """Share of the noise that all frames of a video have in common, see `synthesis.noise`."""
    drop_all: float = 0.05
    """Probability that a training row loses all its conditions at once."""

    @property
    def noising(self) -> Process:
        """The process, shifted."""
        return process_named(self.process, shift=self.noise_shift)

    def problems(self) -> list[str]:
        """Returns what does not fit together."""
        problems: list[str] = []
        if self.process not in ("ddim", "flow"):
            problems.append(f'process is {self.process!r}; choose "ddim" or "flow"')
        else:
            try:
                process_named(self.process, shift=self.noise_shift)
            except UsageError as error:
                problems.append(str(error))
        for name in ("data_deviation", "anchor_deviation"):
            value = getattr(self, name)
            if value is not None and not 0.01 <= value <= 10:
                problems.append(f"{name} is {value}; it must be between 0.01 and 10")
        if self.answers not in ("balanced", "data") or (self.answers == "data" and not self.data_deviation):
            problems.append(
                f'answers is {self.answers!r}; choose "balanced", or "data" with a data_deviation'
            )
        if not 0 <= self.noise_common <= 1:
            problems.append(f"noise_common is {self.noise_common}; it must be between 0 and 1")
        return problems


@dataclass(frozen=True, kw_only=True)
class PaintingConfig:
    """Settings of painting with the network; the network itself is the same for every value."""

    views: tuple[str, ...] = ()
    """Squares that it paints, of `synthesis.canonical_crops`, one row each; (): the square of the face."""
    paints: Literal["openings", "lips"] = "openings"
    """Area of a mouth in which its change to the warp shows: between the lips, or with lips that moved."""
    sample_px: int | None = None
    """Side of the square that it was trained on, in pixels; None: unknown."""
    paints_in: int | None = None
    """Steps that it was distilled for; None: not distilled."""
    contrast: tuple[float, ...] = ()
    """Gains of the luminance between the lips, see `synthesis.contrast`; (): it stays as painted."""

    def problems(self, size_multiple: int) -> list[str]:
        """Returns what does not fit together; `size_multiple` is the network's."""
        problems: list[str] = []
        if self.paints not in ("openings", "lips"):
            problems.append(f'paints is {self.paints!r}; choose "openings" or "lips"')
        if unknown := set(self.views) - set(CANONICAL_CROPS):
            problems.append(f"views are {sorted(unknown)}; choose of {', '.join(CANONICAL_CROPS)}")
        if self.sample_px is not None and (self.sample_px < 1 or self.sample_px % size_multiple):
            problems.append(f"sample_px is {self.sample_px}; it must be a multiple of {size_multiple}")
        if self.paints_in is not None and not 1 <= self.paints_in <= MOST_STEPS:
            problems.append(f"paints_in is {self.paints_in}; it must be 1 to {MOST_STEPS} steps")
        if len(self.contrast) > 4 or not all(0 <= gain <= 4 for gain in self.contrast):
            problems.append(f"contrast is {self.contrast}; it must be at most 4 gains of 0 to 4")
        return problems


@dataclass(frozen=True, kw_only=True)
class DenoiserConfig:
    """A denoiser. The defaults are the papers' size, without conditioners.

    A setting can be read and changed by its own name, whichever part it stands in, and so can the config of a
    conditioner: `config.patch`, `config.au`, `config.changed(patch=2, au=None)`.
    """

    network: NetworkConfig = field(default_factory=NetworkConfig)
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    painting: PaintingConfig = field(default_factory=PaintingConfig)

    def __post_init__(self) -> None:
        problems = self.network.problems() + self.diffusion.problems()
        problems += self.painting.problems(self.network.size_multiple)
        is_anchored = self.diffusion.anchor_deviation is not None
        if is_anchored and (self.diffusion.data_deviation is None or "warped" not in self.conditioners):
            problems.append("anchor_deviation needs data_deviation and warped")
        if problems:
            raise UsageError("the denoiser cannot be built: " + "; ".join(problems))

    def __getattr__(self, name: str) -> Any:
        """Returns a setting of a part, or a conditioner's config (None: there is none)."""
        if name in CONDITIONERS:
            return self.conditioners.get(name)
        if name in _PART_OF:
            return getattr(getattr(self, _PART_OF[name]), name)
        raise AttributeError(f"a denoiser has no setting {name!r}")

    @classmethod
    def of(cls, **settings: Any) -> "DenoiserConfig":
        """Returns the config with these settings by name, the others at their defaults."""
        return cls().changed(**settings)

    def changed(self, **settings: Any) -> "DenoiserConfig":
        """Returns the config with other settings, by name; None takes a conditioner away.

        Raises:
            UsageError: A name is unknown, or values do not fit together.
        """
        parts: dict[str, dict[str, Any]] = {"network": {}, "diffusion": {}, "painting": {}}
        conditioners = dict(self.network.conditioners)
        for name, value in settings.items():
            if name in CONDITIONERS:
                conditioners[name] = value
            elif name in _PART_OF:
                parts[_PART_OF[name]][name] = value
            else:
                raise UsageError(f"unknown setting {name!r}")
        parts["network"].setdefault("conditioners", conditioners)
        made = {part: dataclasses.replace(getattr(self, part), **own) for part, own in parts.items()}
        return DenoiserConfig(**made)

    @property
    def conditioners(self) -> Mapping[str, Any]:
        """Config of each conditioner that it has, by name."""
        return self.network.conditioners

    @property
    def condition_names(self) -> tuple[str, ...]:
        """Conditions that it has a conditioner for."""
        return tuple(self.conditioners)

    @property
    def dropout_rates(self) -> dict[str, float]:
        """Probability that a training row loses a condition, for `Conditions.drop`."""
        return {name: one.dropout for name, one in self.conditioners.items()}

    @property
    def optional_dropout_rates(self) -> dict[str, float]:
        """The same, only of conditions that a trained model is also used without (`Conditioner.optional`)."""
        return {name: rate for name, rate in self.dropout_rates.items() if CONDITIONERS[name].optional}

    @property
    def noising(self) -> Process:
        """The process, shifted."""
        return self.diffusion.noising

    @property
    def size_multiple(self) -> int:
        """Height and width of a sample are multiples of this."""
        return self.network.size_multiple

    def to_json(self) -> str:
        """Returns it as text for the metadata of a file: one flat table."""
        flat: dict[str, Any] = {}
        for part in ("network", "diffusion", "painting"):
            flat |= dataclasses.asdict(getattr(self, part))
        given = flat.pop("conditioners")
        return json.dumps(flat | {name: given.get(name) for name in CONDITIONERS})

    @classmethod
    def from_json(cls, text: str) -> "DenoiserConfig":
        """Returns what `to_json` wrote.

        Raises:
            UsageError: It is not JSON, or something in it is unknown or does not fit.
        """
        return config_of(FileConfig, text).config


_PARTS = {"network": NetworkConfig, "diffusion": DiffusionConfig, "painting": PaintingConfig}
_PART_OF = {one.name: part for part, kind in _PARTS.items() for one in dataclasses.fields(kind)}
"""The part that a setting belongs to, by its name."""


def _joined(flat: Any) -> DenoiserConfig:
    return DenoiserConfig.of(**{one.name: getattr(flat, one.name) for one in dataclasses.fields(flat)})


def _as_in_files(one: "dataclasses.Field[Any]") -> Any:
    return dataclasses.field(default=one.default, default_factory=one.default_factory, metadata=one.metadata)


FileConfig = dataclasses.make_dataclass(
    "FileConfig",
    [
        *(
            (one.name, one.type, _as_in_files(one))
            for kind in _PARTS.values()
            for one in dataclasses.fields(kind)
            if one.name != "conditioners"
        ),
        *((name, kind.config_type | None, None) for name, kind in CONDITIONERS.items()),
    ],
    kw_only=True,
    frozen=True,
    namespace={"config": property(_joined), "__post_init__": lambda self: _joined(self)},
)
"""The flat table in files with every setting of a file; `config` is the `DenoiserConfig` of its values."""
