"""The conditioner protocol: the tensors that it reads, its entry into the network, and its null.

Axes: B batch, F frames, N = B · F, C channels, H and W of the sample, h and w of the first feature map.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn

from auteur.errors import UsageError
from auteur.synthesis.conditioners.layers import Place

GuidanceScale = Literal["reference", "audio", "expression", "au"]
"""Scales of guidance, in the order of its chain (`synthesis.guidance`)."""


class Entry(Enum):
    """Where a conditioner enters the network, and the value there that its `forward` takes and returns.

    The members stand in the order of one pass; conditioners of one entry run in the order of the registry.
    """

    CONTEXT = "tokens in place of a text, [B, tokens, width]"
    INPUT = "the first feature map, [N, C, h, w]"
    LEVEL = 'what enters a level, [N, C, h, w]; places are "0", "1", …, the last one the middle'
    RESIDUAL = "scale and shift of a residual block, each [N, C, 1, 1], or None: neither yet"
    SELF_ATTENTION = "keyword arguments of the attention processor after a residual block"
    CROSS_ATTENTION = "the feature map after attention, [N, C, h, w]"
    ADAPTER = "the same, after the base's own cross-attention"
    AFTER_MOTION = "the feature map after the motion module, [N, C, h, w]"


@dataclass(frozen=True)
class Input:
    """One tensor that a conditioner reads; its name is its name in `Conditions` and in training clips."""

    name: str
    per_frame: bool
    """Whether its second axis, after B, is frames."""
    missing: float | None = 0.0
    """Fill value of rows without it in a batch with rows that have it; None: such rows cannot share a
    batch."""
    bytes_mean: Literal["shares", "signed", "signed, validity last"] = "shares"
    """Range of the bytes 0 to 255 in a clip: 0 to 1; -1 to 1; the same with a last channel from 0 to 1."""
    in_clips: bool = True
    """Whether training clips hold it; False: it is cut from the clip itself."""


@dataclass(frozen=True, eq=False)
class ReferenceFeatures:
    """Features of the ReferenceNet for a portrait: computed once per video, appended in every step."""

    layers: Mapping[str, Tensor]
    """Self-attention inputs by place in the network, each [B, pixels there, channels there]; of past frames
    [B, P, pixels there, channels there]."""

    @property
    def rows(self) -> int:
        """B."""
        return next(iter(self.layers.values())).shape[0]

    @property
    def device(self) -> torch.device:
        """Device of the features."""
        return next(iter(self.layers.values())).device

    def to(self, *args: Any, **kwargs: Any) -> "ReferenceFeatures":
        """Returns them on another device or in another dtype."""
        return ReferenceFeatures({name: layer.to(*args, **kwargs) for name, layer in self.layers.items()})

    def index(self, rows: Tensor | slice) -> "ReferenceFeatures":
        """Returns some rows."""
        return ReferenceFeatures({name: layer[rows] for name, layer in self.layers.items()})


@dataclass(frozen=True, eq=False)
class Given:
    """Inputs of one conditioner in one batch."""

    tensors: Mapping[str, Any] = field(default_factory=dict)
    """By name of the input; inputs that no row has are missing."""
    present: Tensor | None = None
    """Bool [B], rows that have the conditioner's first input; None: no row has it."""
    margin: int = 0
    """Frames that the first input holds before the first and after the last one of the sample."""

    def get(self, name: str) -> Any:
        """Returns the tensor or the features of an input; None where no row has it."""
        return self.tensors.get(name)


@dataclass(frozen=True)
class SampleSize:
    """Sizes of the noisy sample [B, F, C, H, W]."""

    rows: int
    frames: int
    channels: int
    height: int
    width: int
    patch: int = 1
    """Pixels of the sample per pixel of the first feature map, on a side."""

    @property
    def map_size(self) -> tuple[int, int]:
        """h, w."""
        return self.height // self.patch, self.width // self.patch

    def pixels_at(self, place: Place) -> int:
        """Returns how many pixels feature maps have at a place."""
        height, width = self.map_size
        return (height >> place.level) * (width >> place.level)


@dataclass(frozen=True, kw_only=True)
class NetworkShape:
    """The facts of a network that a conditioner is built for."""

    places: list[Place]
    """Layers of the UNet in the order they run."""
    entries: list[tuple[int, int]]
    """Channels and level of what enters each down block, and then the middle."""
    channels: int = 3
    """C of the sample."""
    patch: int = 1
    groups: int = 32
    """Groups of normalisations, at most."""
    time_width: int = 1280
    """Numbers of the time embedding."""
    context_tokens: int = 4
    context_width: int | None = None
    """Of the tokens in place of a text; None: the network reads none."""
    reference_unet: Any = None
    """A UNet of the same shape for the ReferenceNet."""

    @property
    def width(self) -> int:
        """Channels of the first feature map."""
        return self.entries[0][0]


class Conditioner(nn.Module):
    """One kind of condition. Subclasses are rows of `conditioners.registry`; docs/adding_a_conditioner.md.

    It encodes its inputs once per pass, uses its learned null in rows without them, and ends in a
    layer whose weights are zero at first, so that a trained network stays bit for bit as it is until that
    layer learns.
    """

    name: ClassVar[str]
    """Its name in `Conditions`, configs and weight files."""
    inputs: ClassVar[tuple[Input, ...]]
    """The first has the conditioner's name and decides whether a row has the condition."""
    entry: ClassVar[Entry]
    config_type: ClassVar[type[Any]]
    """A frozen dataclass with at least `dropout`, the probability that a training row loses the condition."""
    guided_by: ClassVar[GuidanceScale | None] = None
    """The scale of guidance that it counts under; None: guidance never leaves it out."""
    optional: ClassVar[bool] = False
    """Whether a trained model is also used without it, so that every recipe must keep its null learning."""

    @classmethod
    def build(cls, config: Any, network: NetworkShape) -> Self:
        """Returns a conditioner with new weights for a network of a shape."""
        raise NotImplementedError

    @classmethod
    def misfit(cls, others: Collection[str], context_width: int | None) -> str | None:
        """Returns the reason why it cannot be combined with these conditioners; None: it can."""
        return None

    def shapes(self, sample: SampleSize, margin: int = 0) -> Mapping[str, tuple[int | None, ...]]:
        """Returns the shape of each input without B; None stands for any number."""
        raise NotImplementedError

    def check(self, given: Given, sample: SampleSize) -> None:
        """Refuses inputs that do not fit a sample.

        Raises:
            UsageError: Shapes differ; the message names the input and the shape that it must have.
        """
        wanted = self.shapes(sample, given.margin)
        for name, value in given.tensors.items():
            if isinstance(value, Tensor):
                check_shape(name, value, wanted[name])

    def prepare(self, value: Tensor, features_of: Callable[[Tensor], ReferenceFeatures]) -> Any:
        """Returns the first input in the form of all steps of a window; computed once.

        Args:
            value: The first input.
            features_of: The ReferenceNet, for pictures [N, C, H, W].
        """
        return value

    def encode(self, given: Given, sample: SampleSize, time: Tensor) -> Any:
        """Returns the code that `forward` takes at every place; computed once per pass.

        Args:
            given: Inputs that `check` accepts, after `prepare`.
            sample: Sizes.
            time: Time embedding, [N, time width].
        """
        raise NotImplementedError

    def forward(self, place: str, value: Any, code: Any) -> Any:
        """Returns the value of its entry at a place, changed by what `encode` returned."""
        raise NotImplementedError


def check_shape(name: str, value: Tensor, wanted: tuple[int | None, ...]) -> None:
    """Refuses a tensor [B, …] of another shape than `wanted`, which leaves out B.

    Raises:
        UsageError: It has another shape.
    """
    fits = value.ndim == len(wanted) + 1 and all(
        size is None or size == have for size, have in zip(wanted, value.shape[1:], strict=True)
    )
    if not fits:
        sizes = ", ".join("any" if size is None else str(size) for size in wanted)
        raise UsageError(f"{name} has shape {list(value.shape)}; it must be [B, {sizes}]")
