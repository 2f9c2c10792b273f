"""Sizes of a denoiser and of each of its conditioners; what is None is not there."""

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Literal

from auteur.errors import UsageError
from auteur.synthesis.conditioners.au import AUConfig
from auteur.synthesis.conditioners.audio import AudioConfig
from auteur.synthesis.conditioners.expression import ExpressionConfig
from auteur.synthesis.conditioners.identity import IdentityConfig
from auteur.synthesis.conditioners.landmarks import LandmarksConfig
from auteur.synthesis.conditioners.past import PastConfig
from auteur.synthesis.conditioners.reference import ReferenceConfig
from auteur.synthesis.conditioners.warped import WarpedConfig
from auteur.synthesis.conditions import CONDITION_NAMES
from auteur.synthesis.denoiser.finish import FinishConfig
from auteur.synthesis.samplers import Process, process_named
from auteur.synthesis.samplers.schedule import MOST_STEPS
from auteur.synthesis.views import VIEWS
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
    """Of the tokens in place of a text; None leaves out the cross-attention that reads them."""
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
    """Levels that have them, both ways."""
    middle: bool = True
    heads: int = 8
    groups: int = 32
    longest_window: int = 32
    """Frames that positions are known for."""


@dataclass(frozen=True, kw_only=True)
class DenoiserConfig:
    """A denoiser. The defaults are the papers' size, without conditioners."""

    channels: int = 4
    """Of the sample: 4 for Stable Diffusion's latents, 3 for pixels."""
    patch: int = 1
    """Pixels of the sample per pixel of the UNet on a side; the others become channels."""
    process: Literal["ddim", "flow"] = "ddim"
    """What is predicted: v of the process of that name in `synthesis.samplers`."""
    data_deviation: float | None = None
    """Standard deviation of the data, to scale input and output by; None: they are used as they are."""
    anchor_deviation: float | None = None
    """Predict the difference from the warped portrait, which varies by this much; None: predict all."""
    answers: Literal["balanced", "data"] = "balanced"
    """What the network itself answers, see `denoiser.precondition`: data for large patches."""
    noise_shift: float = 1.0
    """Of the process, see `samplers.flow`; for data that varies little, about its deviation."""
    noise_common: float = 0.0
    """Share of the noise that all frames of a video have in common, see `synthesis.noise`."""
    views: tuple[str, ...] = ()
    """What it paints, of `synthesis.views`, each as a row of its own; (): a square around the whole face."""
    paints: Literal["openings", "lips"] = "openings"
    """Where its change to the warp is laid on, see `pipelines.pasting`."""
    sample_px: int | None = None
    """Side of the square that it learned to paint, in pixels; None: it says nothing."""
    paints_in: int | None = None
    """Steps in which it paints best, if it was taught to paint in few."""
    drop_all: float = 0.05
    """Probability that a training row loses all its conditions at once."""
    unet: UNetConfig = field(default_factory=UNetConfig)
    temporal: TemporalConfig | None = None
    finish: FinishConfig | None = None
    reference: ReferenceConfig | None = None
    identity: IdentityConfig | None = None
    warped: WarpedConfig | None = None
    landmarks: LandmarksConfig | None = None
    au: AUConfig | None = None
    expression: ExpressionConfig | None = None
    audio: AudioConfig | None = None
    past: PastConfig | None = None

    def __post_init__(self) -> None:
        problems: list[str] = []
        if self.process not in ("ddim", "flow"):
            problems.append(f'process is {self.process!r}; choose "ddim" or "flow"')
        else:
            try:
                process_named(self.process, shift=self.noise_shift)
            except UsageError as error:
                problems.append(str(error))
        if not (1 <= self.channels <= 64 and 1 <= self.patch <= 16):
            problems.append(
                f"channels is {self.channels} and patch {self.patch}; they must be 1 to 64 and 1 to 16"
            )
        if self.past is not None and self.reference is None:
            problems.append("past frames are read by the ReferenceNet; give reference too")
        if self.identity is not None and self.unet.context_width is None:
            problems.append("identity stands in for a text; set the UNet's context_width")
        if self.anchor_deviation is not None and (self.data_deviation is None or self.warped is None):
            problems.append("anchor_deviation needs data_deviation and warped")
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
        if self.paints not in ("openings", "lips"):
            problems.append(f'paints is {self.paints!r}; choose "openings" or "lips"')
        if unknown := set(self.views) - set(VIEWS):
            problems.append(f"views are {sorted(unknown)}; choose of {', '.join(VIEWS)}")
        if self.sample_px is not None and (self.sample_px < 1 or self.sample_px % self.size_multiple):
            problems.append(f"sample_px is {self.sample_px}; it must be a multiple of {self.size_multiple}")
        if self.paints_in is not None and not 1 <= self.paints_in <= MOST_STEPS:
            problems.append(f"paints_in is {self.paints_in}; it must be 1 to {MOST_STEPS} steps")
        if self.temporal is not None and len(self.temporal.levels) != len(self.unet.widths):
            problems.append(f"temporal names {len(self.temporal.levels)} levels of {len(self.unet.widths)}")
        if problems:
            raise UsageError("the denoiser cannot be built: " + "; ".join(problems))

    @property
    def condition_names(self) -> tuple[str, ...]:
        """Conditions that it has a conditioner for."""
        return tuple(name for name in CONDITION_NAMES if getattr(self, name) is not None)

    @property
    def dropout_rates(self) -> dict[str, float]:
        """Probability that a training row loses a condition, for `Conditions.drop`."""
        return {name: getattr(self, name).dropout for name in self.condition_names}

    @property
    def noising(self) -> Process:
        """The process, shifted."""
        return process_named(self.process, shift=self.noise_shift)

    @property
    def size_multiple(self) -> int:
        """Height and width of a sample are multiples of this."""
        return self.patch * 2 ** (len(self.unet.widths) - 1)

    def to_json(self) -> str:
        """Returns it as text for the metadata of a file."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "DenoiserConfig":
        """Returns what `to_json` wrote.

        Raises:
            UsageError: It is not JSON, or something in it is unknown or does not fit.
        """
        return config_of(cls, text)
