"""What enters the denoiser besides noise: optional tensors, each present or null row by row.

Axes: B batch, F frames, C channels, H and W height and width of the sample, Hp and Wp of drawings in pixels,
A action units, E expression coefficients, W audio frames per window, D audio features, P past frames.

A condition that is absent and a condition that is neutral are different things: a neutral face is `au` full
of zeros, "nothing is said about the face" is `au` absent. Every conditioner learns a null of its own for
absent rows.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from auteur.errors import UsageError

CONDITION_NAMES = ("reference", "identity", "warped", "landmarks", "au", "expression", "audio", "past")
"""What can be present or absent on its own."""

_COMPANIONS = {"landmarks_reference": "landmarks", "regions": "audio"}
"""Tensors that come with a condition and share its presence."""

_IN_TIME = ("warped", "landmarks", "au", "expression", "audio", "regions")
"""Tensors whose second axis is frames."""


@dataclass(frozen=True, eq=False)
class ReferenceFeatures:
    """What the ReferenceNet says about the portrait: computed once per video, appended in every step."""

    layers: Mapping[str, Tensor]
    """Self-attention inputs by place in the network, each [B, pixels there, channels there]; of past frames
    [B, P, pixels there, channels there]."""

    @property
    def rows(self) -> int:
        """B."""
        return next(iter(self.layers.values())).shape[0]

    def to(self, *args: Any) -> "ReferenceFeatures":
        """Returns them on another device or in another dtype."""
        return ReferenceFeatures({name: layer.to(*args) for name, layer in self.layers.items()})

    def index(self, rows: Tensor | slice) -> "ReferenceFeatures":
        """Returns some rows."""
        return ReferenceFeatures({name: layer[rows] for name, layer in self.layers.items()})

    @staticmethod
    def stack(features: "Sequence[ReferenceFeatures]") -> "ReferenceFeatures":
        """Returns the rows of all, one after the other."""
        return ReferenceFeatures(
            {name: torch.cat([one.layers[name] for one in features]) for name in features[0].layers}
        )


_Value = TypeVar("_Value", Tensor, ReferenceFeatures)


@dataclass(frozen=True, kw_only=True, eq=False)
class Conditions:
    """All conditions of a batch. None means that no row has it; `present` says it row by row otherwise."""

    reference: Tensor | ReferenceFeatures | None = None
    """Portrait in the space of the sample (latents or pixels in [-1, 1]), [B, C, H, W], or its features."""
    identity: Tensor | None = None
    """Image embedding of the portrait (CLIP), [B, tokens, width]."""
    warped: Tensor | None = None
    """Portrait warped to every frame, [-1, 1], and last its validity in [0, 1]: [B, F, C + 1, H, W]."""
    landmarks: Tensor | None = None
    """Drawn landmarks in [0, 1], [B, F, 3, Hp, Wp]."""
    landmarks_reference: Tensor | None = None
    """The portrait's own landmarks, drawn alike, [B, 3, Hp, Wp]; shares the presence of `landmarks`."""
    au: Tensor | None = None
    """Action Units in [0, 1], [B, F, A], or drawn or rendered, [B, F, 3, Hp, Wp]; F with both margins."""
    au_margin: int = 0
    """Frames that `au` holds before the first and after the last one of the sample (A, Eq. 4)."""
    expression: Tensor | None = None
    """Expression vectors, [B, F, E]."""
    audio: Tensor | None = None
    """Speech features of a window around every frame, [B, F, W, D]."""
    regions: Tensor | None = None
    """Where audio may act, in [0, 1]: pose, face, lips, [B, F, 3, H, W]; shares the presence of `audio`."""
    past: Tensor | ReferenceFeatures | None = None
    """The last frames of the window before, in the space of the sample, [B, P, C, H, W], or features."""
    present: Mapping[str, Tensor] = field(default_factory=dict)
    """Bool [B] by condition name; a condition that is given and not named here is present in all rows."""

    def __post_init__(self) -> None:
        sizes = {name: _rows(value) for name, value in self._given()}
        sizes |= {f"present[{name!r}]": flags.shape[0] for name, flags in self.present.items()}
        if len(set(sizes.values())) > 1:
            raise UsageError(f"conditions must agree on the batch size, not {sizes}")
        if unknown := self.present.keys() - set(CONDITION_NAMES):
            raise UsageError(f"no condition {sorted(unknown)}; there are {', '.join(CONDITION_NAMES)}")

    def _given(self) -> Iterator[tuple[str, Tensor | ReferenceFeatures]]:
        for name in (*CONDITION_NAMES, *_COMPANIONS):
            if (value := getattr(self, name)) is not None:
                yield name, value

    @property
    def names(self) -> tuple[str, ...]:
        """Conditions that are given, if not in every row."""
        return tuple(name for name in CONDITION_NAMES if getattr(self, name) is not None)

    @property
    def rows(self) -> int | None:
        """B; None when nothing is given."""
        return next((_rows(value) for _, value in self._given()), None)

    def presence(self, name: str) -> Tensor | None:
        """Returns bool [B], which rows have the condition; None if none has."""
        value = getattr(self, name)
        if value is None:
            return None
        if name in self.present:
            return self.present[name]
        tensor = next(iter(value.layers.values())) if isinstance(value, ReferenceFeatures) else value
        return torch.ones(_rows(value), dtype=torch.bool, device=tensor.device)

    def without(self, *names: str) -> "Conditions":
        """Returns conditions in which the named ones are null in every row; their tensors stay."""
        _known(names)
        flags = {name: torch.zeros_like(p) for name in names if (p := self.presence(name)) is not None}
        return dataclasses.replace(self, present={**self.present, **flags})

    def lacking(self, *names: str) -> "Conditions":
        """Returns conditions that do not hold the named ones at all."""
        _known(names)
        gone: dict[str, Any] = {name: None for name in names}
        gone |= {companion: None for companion, name in _COMPANIONS.items() if name in names}
        flags = {name: flag for name, flag in self.present.items() if name not in names}
        return dataclasses.replace(self, **gone, present=flags)

    def only(self, *names: str) -> "Conditions":
        """Returns conditions in which all but the named ones are null in every row."""
        _known(names)
        return self.without(*(name for name in CONDITION_NAMES if name not in names))

    def drop(
        self, rates: Mapping[str, float], generator: torch.Generator | None = None, *, together: float = 0.0
    ) -> "Conditions":
        """Returns conditions with rows made null at random, for training.

        Args:
            rates: Probability in [0, 1] that a row loses a condition, by condition name.
            generator: Source of chance, on the CPU.
            together: Probability that a row loses all conditions of `rates` at once.
        """
        _known(tuple(rates))
        if self.rows is None:
            return self
        all_lost = torch.rand(self.rows, generator=generator) < together
        flags = dict(self.present)
        for name, rate in rates.items():
            # Numbers are drawn for absent conditions too, so that one plug does not change another's chance.
            lost = (torch.rand(self.rows, generator=generator) < rate) | all_lost
            if (presence := self.presence(name)) is not None:
                flags[name] = presence & ~lost.to(presence.device)
        return dataclasses.replace(self, present=flags)

    @staticmethod
    def stack(conditions: "Sequence[Conditions]") -> "Conditions":
        """Returns the rows of all, one after the other, for one batched evaluation.

        What one of them lacks is filled with zeros and marked absent.

        Raises:
            UsageError: They hold nothing, have other `au_margin`s, or mix portraits with their features, or
                landmarks that have a `landmarks_reference` with others that have none.
        """
        if len({one.au_margin for one in conditions}) > 1:
            raise UsageError("conditions with different au_margin cannot be stacked")
        rows = [one.rows for one in conditions]
        if any(count is None for count in rows):
            raise UsageError(
                "conditions that hold nothing cannot be stacked; use without(), which keeps shapes"
            )
        drawn = [one.landmarks_reference is None for one in conditions if one.landmarks is not None]
        if len(set(drawn)) > 1:
            raise UsageError("landmarks with and without landmarks_reference cannot be stacked together")
        stacked: dict[str, Any] = {"au_margin": conditions[0].au_margin}
        present: dict[str, Tensor] = {}
        for name in (*CONDITION_NAMES, *_COMPANIONS):
            values = [getattr(one, name) for one in conditions]
            example = next((value for value in values if value is not None), None)
            if example is None:
                continue
            # Without regions, audio acts everywhere.
            fill = 1.0 if name == "regions" else 0.0
            filled = [
                _blank(example, n or 0, fill) if v is None else v for v, n in zip(values, rows, strict=True)
            ]
            stacked[name] = _cat(filled)
            if name in CONDITION_NAMES:
                flags = [one.presence(name) for one in conditions]
                device = _device(example)
                absent = [torch.zeros(n or 0, dtype=torch.bool, device=device) for n in rows]
                present[name] = torch.cat([a if f is None else f for f, a in zip(flags, absent, strict=True)])
        return Conditions(**stacked, present=present)

    def index(self, rows: Tensor | slice) -> "Conditions":
        """Returns some rows."""
        parts: dict[str, Any] = {
            name: value.index(rows) if isinstance(value, ReferenceFeatures) else value[rows]
            for name, value in self._given()
        }
        return dataclasses.replace(self, **parts, present={n: f[rows] for n, f in self.present.items()})

    def frames(self, span: slice) -> "Conditions":
        """Returns the conditions of some frames; `au` keeps its margin, and what is not in time stays."""
        parts: dict[str, Tensor] = {}
        for name in _IN_TIME:
            value = getattr(self, name)
            if value is not None:
                margin = 2 * self.au_margin if name == "au" else 0
                start, stop, step = span.indices(value.shape[1] - margin)
                if step != 1:
                    raise UsageError(f"frames are taken one after the other; the step is {step}, not 1")
                parts[name] = value[:, start : stop + margin]
        return dataclasses.replace(self, **parts)

    def with_au_margin(self, margin: int = 2) -> "Conditions":
        """Returns conditions whose `au` repeats its first and last frame `margin` times.

        Do this to a whole video before cutting it with `frames`, and every frame sees its true neighbours.
        """
        if self.au is None or self.au_margin == margin:
            return self
        whole = self.au[:, self.au_margin : self.au.shape[1] - self.au_margin]
        first, last = (whole[:, edge].repeat_interleave(margin, 1) for edge in (slice(0, 1), slice(-1, None)))
        return dataclasses.replace(self, au=torch.cat([first, whole, last], 1), au_margin=margin)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> "Conditions":
        """Returns them on another device, in another floating-point dtype; presence stays bool."""
        parts = {name: _move(value, device, dtype) for name, value in self._given()}
        present = {name: flags.to(device) for name, flags in self.present.items()}
        return dataclasses.replace(self, **parts, present=present)


class Denoiser(Protocol):
    """A network that predicts what its config says (noise, velocity) from a noisy video and conditions."""

    @property
    def config(self) -> Any:
        """Its sizes, `prediction` and dropout rates; see `denoiser.config.DenoiserConfig`."""
        ...

    @property
    def condition_names(self) -> tuple[str, ...]:
        """Conditions that it has a plug for; others are an error when given."""
        ...

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """Floating-point type of its parameters."""
        ...

    def prepare(self, conditions: Conditions) -> Conditions:
        """Returns the same conditions with portrait and past frames encoded, for use in many steps."""
        ...

    def __call__(self, sample: Tensor, timestep: Tensor, conditions: Conditions) -> Tensor:
        """Returns the prediction for a noisy sample, both [B, F, C, H, W], at `timestep` [B] or scalar.

        Raises:
            UsageError: A condition is given that it has no plug for, or shapes do not fit.
        """
        ...


def _known(names: Sequence[str]) -> None:
    if unknown := set(names) - set(CONDITION_NAMES):
        raise UsageError(f"no condition {sorted(unknown)}; there are {', '.join(CONDITION_NAMES)}")


def _rows(value: Tensor | ReferenceFeatures) -> int:
    return value.rows if isinstance(value, ReferenceFeatures) else value.shape[0]


def _device(value: Tensor | ReferenceFeatures) -> torch.device:
    return (next(iter(value.layers.values())) if isinstance(value, ReferenceFeatures) else value).device


def _blank(value: _Value, rows: int, fill: float) -> _Value:
    if isinstance(value, ReferenceFeatures):
        return ReferenceFeatures({n: _blank(layer, rows, fill) for n, layer in value.layers.items()})
    return value.new_full((rows, *value.shape[1:]), fill)


def _cat(values: Sequence[Any]) -> Tensor | ReferenceFeatures:
    if all(isinstance(value, ReferenceFeatures) for value in values):
        return ReferenceFeatures.stack(values)
    if any(isinstance(value, ReferenceFeatures) for value in values):
        raise UsageError("references and cached reference features cannot be stacked together")
    return torch.cat(list(values))


def _move(value: Tensor | ReferenceFeatures, device: Any, dtype: torch.dtype | None) -> Any:
    if isinstance(value, ReferenceFeatures):
        return ReferenceFeatures({n: t.to(device=device, dtype=dtype) for n, t in value.layers.items()})
    return value.to(device=device, dtype=dtype)
