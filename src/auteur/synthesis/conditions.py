"""Conditions of the denoiser: optional tensors, each present or null row by row.

Axes: B batch, F frames, C channels, H and W height and width of the sample, Hp and Wp of drawings in pixels,
A action units, E expression coefficients, W audio frames per window, D audio features, P past frames.

A condition that is absent and a condition that is neutral are different things: a neutral face is `au` full
of zeros, an unspecified face is `au` absent. Every conditioner learns a null of its own for
absent rows.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from auteur.errors import UsageError
from auteur.synthesis.conditioners.base import Conditioner, Given, ReferenceFeatures
from auteur.synthesis.conditioners.registry import CONDITIONERS, inputs_by_name

CONDITION_NAMES = tuple(CONDITIONERS)
"""Names of the conditions, each of which can be present or absent."""

_INPUTS = inputs_by_name()


class Conditions:
    """All conditions of a batch; immutable. A condition that is not given is absent in every row.

    Args:
        present: Bool [B] by condition name; a condition that is given and not named here is present in all
            rows.
        margins: Frames that an input holds before the first and after the last one of the sample, such as
            {"au": 2} (paper A, Eq. 4); 0 where not named.
        tensors: Inputs of conditioners by name, each with B as first axis; `ReferenceFeatures` may stand for
            `reference` and `past`. None: not given.

            reference           portrait in the space of the sample, [B, C, H, W]
            identity            image embedding of the portrait (CLIP), [B, tokens, width]
            warped              portrait warped to every frame, [-1, 1], and last its validity in [0, 1]:
                                [B, F, C + 1, H, W]
            landmarks           drawn landmarks in [0, 1], [B, F, 3, Hp, Wp]
            landmarks_reference the portrait's own, drawn alike, [B, 3, Hp, Wp]
            au                  Action Units in [0, 1], [B, F, A], or drawn, [B, F, 3, Hp, Wp]
            expression          expression vectors, [B, F, E]
            audio               speech features of a window around every frame, [B, F, W, D]
            regions             where audio may act, in [0, 1]: pose, face, lips, [B, F, 3, H, W]
            past                last frames of the window before, [B, P, C, H, W]

    Raises:
        UsageError: A name is unknown, or batch sizes differ.

    Example:
        conditions = Conditions(au=torch.zeros(2, 8, 24), audio=features)
        conditions.au, conditions.presence("au"), conditions.replace(au=None)
    """

    def __init__(
        self,
        *,
        present: Mapping[str, Tensor] | None = None,
        margins: Mapping[str, int] | None = None,
        **tensors: Tensor | ReferenceFeatures | None,
    ) -> None:
        if unknown := tensors.keys() - _INPUTS.keys():
            raise UsageError(f"no condition {sorted(unknown)}; there are {', '.join(_INPUTS)}")
        self.tensors: Mapping[str, Any] = {
            name: value for name in _INPUTS if (value := tensors.get(name)) is not None
        }
        """The inputs that are given, by name."""
        self.present: Mapping[str, Tensor] = dict(present or {})
        self.margins: Mapping[str, int] = {name: number for name, number in (margins or {}).items() if number}
        _known(self.present)
        sizes = {name: _rows(value) for name, value in self.tensors.items()}
        sizes |= {f"present[{name!r}]": flags.shape[0] for name, flags in self.present.items()}
        if len(set(sizes.values())) > 1:
            raise UsageError(f"conditions must agree on the batch size, not {sizes}")

    def __getattr__(self, name: str) -> Any:
        """Returns an input by name; None where it is not given."""
        if name in _INPUTS:
            return self.__dict__.get("tensors", {}).get(name)
        raise AttributeError(f"conditions have no {name!r}; their inputs are {', '.join(_INPUTS)}")

    def replace(self, **changes: Any) -> "Conditions":
        """Returns the same with other inputs, `present` or `margins`; an input that is None is gone."""
        return Conditions(**{"present": self.present, "margins": self.margins, **self.tensors, **changes})

    def of(self, kind: type[Conditioner]) -> Given:
        """Returns the inputs of one conditioner."""
        tensors = {one.name: self.tensors[one.name] for one in kind.inputs if one.name in self.tensors}
        return Given(tensors, self.presence(kind.name), self.margins.get(kind.name, 0))

    @property
    def names(self) -> tuple[str, ...]:
        """Conditions that are given, if not in every row."""
        return tuple(name for name in CONDITION_NAMES if name in self.tensors)

    @property
    def rows(self) -> int | None:
        """B; None when nothing is given."""
        return next((_rows(value) for value in self.tensors.values()), None)

    def presence(self, name: str) -> Tensor | None:
        """Returns bool [B], which rows have the condition; None if none has."""
        value = self.tensors.get(name)
        if value is None:
            return None
        if name in self.present:
            return self.present[name]
        return torch.ones(_rows(value), dtype=torch.bool, device=value.device)

    def without(self, *names: str) -> "Conditions":
        """Returns conditions in which the named ones are null in every row; their tensors stay."""
        _known(names)
        flags = {name: torch.zeros_like(p) for name in names if (p := self.presence(name)) is not None}
        return self.replace(present={**self.present, **flags})

    def lacking(self, *names: str) -> "Conditions":
        """Returns conditions that do not hold the named ones at all."""
        _known(names)
        gone = {name: None for name, (_, owner) in _INPUTS.items() if owner in names}
        return self.replace(
            **gone,
            present={name: flag for name, flag in self.present.items() if name not in names},
            margins={name: margin for name, margin in self.margins.items() if name not in gone},
        )

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
            generator: Random number generator, on the CPU.
            together: Probability that a row loses all conditions of `rates` at once.
        """
        _known(rates)
        if self.rows is None:
            return self
        all_lost = torch.rand(self.rows, generator=generator) < together
        flags = dict(self.present)
        for name, rate in rates.items():
            # Numbers are drawn for absent conditions too, so that no conditioner changes another's numbers.
            lost = (torch.rand(self.rows, generator=generator) < rate) | all_lost
            if (presence := self.presence(name)) is not None:
                flags[name] = presence & ~lost.to(presence.device)
        return self.replace(present=flags)

    @staticmethod
    def stack(conditions: "Sequence[Conditions]") -> "Conditions":
        """Returns the rows of all, one after the other, for one batched evaluation.

        Missing inputs are filled (`Input.missing`, mostly zeros) and marked absent.

        Raises:
            UsageError: They hold nothing, have other margins, or mix portraits with their features, or rows
                that have an input which cannot be filled with others that do not.
        """
        if any(one.margins != conditions[0].margins for one in conditions):
            raise UsageError("conditions with different margins cannot be stacked")
        rows = [one.rows for one in conditions]
        if any(count is None for count in rows):
            raise UsageError(
                "conditions that hold nothing cannot be stacked; use without(), which keeps shapes"
            )
        stacked: dict[str, Any] = {}
        present: dict[str, Tensor] = {}
        for name, (what, owner) in _INPUTS.items():
            values = [one.tensors.get(name) for one in conditions]
            example = next((value for value in values if value is not None), None)
            if example is None:
                continue
            if (
                what.missing is None
                and len({name in one.tensors for one in conditions if owner in one.names}) > 1
            ):
                raise UsageError(f"{owner} with and without {name} cannot be stacked together")
            fill = what.missing or 0.0
            stacked[name] = _cat(
                [_blank(example, n or 0, fill) if v is None else v for v, n in zip(values, rows, strict=True)]
            )
            if name == owner:
                flags = [one.presence(name) for one in conditions]
                absent = [torch.zeros(n or 0, dtype=torch.bool, device=example.device) for n in rows]
                present[name] = torch.cat([a if f is None else f for f, a in zip(flags, absent, strict=True)])
        return Conditions(**stacked, present=present, margins=conditions[0].margins)

    def index(self, rows: Tensor | slice) -> "Conditions":
        """Returns some rows."""
        parts = {
            name: value.index(rows) if isinstance(value, ReferenceFeatures) else value[rows]
            for name, value in self.tensors.items()
        }
        return self.replace(**parts, present={name: flags[rows] for name, flags in self.present.items()})

    def frames(self, span: slice) -> "Conditions":
        """Returns the conditions of some frames; inputs keep their margin, inputs without a time axis stay.

        Raises:
            UsageError: The step of the span is not 1.
        """
        parts: dict[str, Tensor] = {}
        for name, value in self.tensors.items():
            if _INPUTS[name][0].per_frame:
                margin = 2 * self.margins.get(name, 0)
                start, stop, step = span.indices(value.shape[1] - margin)
                if step != 1:
                    raise UsageError(f"frames are taken one after the other; the step is {step}, not 1")
                parts[name] = value[:, start : stop + margin]
        return self.replace(**parts)

    def with_margin(self, name: str, margin: int) -> "Conditions":
        """Returns conditions whose input `name` repeats its first and last frame `margin` times.

        Applied to a whole video before it is cut with `frames`, it gives every frame its true neighbours.
        """
        value, now = self.tensors.get(name), self.margins.get(name, 0)
        if value is None or now == margin:
            return self
        whole = value[:, now : value.shape[1] - now]
        first, last = (whole[:, edge].repeat_interleave(margin, 1) for edge in (slice(0, 1), slice(-1, None)))
        wide = torch.cat([first, whole, last], 1)
        return self.replace(**{name: wide}, margins={**self.margins, name: margin})

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> "Conditions":
        """Returns them on another device, in another floating-point dtype; presence stays bool."""
        parts = {name: value.to(device=device, dtype=dtype) for name, value in self.tensors.items()}
        return self.replace(**parts, present={name: flags.to(device) for name, flags in self.present.items()})


class Denoiser(Protocol):
    """A network: noisy video and conditions → prediction in the units of its config (noise, velocity)."""

    @property
    def config(self) -> Any:
        """Its sizes, `prediction` and dropout rates; see `denoiser.config.DenoiserConfig`."""
        ...

    @property
    def condition_names(self) -> tuple[str, ...]:
        """Conditions that it has a conditioner for; others are an error when given."""
        ...

    @property
    def device(self) -> torch.device:
        """Device of its parameters."""
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
            UsageError: A condition is given that it has no conditioner for, or shapes do not fit.
        """
        ...


def _known(names: Sequence[str] | Mapping[str, Any]) -> None:
    if unknown := set(names) - set(CONDITION_NAMES):
        raise UsageError(f"no condition {sorted(unknown)}; there are {', '.join(CONDITION_NAMES)}")


def _rows(value: Tensor | ReferenceFeatures) -> int:
    return value.rows if isinstance(value, ReferenceFeatures) else value.shape[0]


def _blank(value: Any, rows: int, fill: float) -> Any:
    if isinstance(value, ReferenceFeatures):
        return ReferenceFeatures({n: _blank(layer, rows, fill) for n, layer in value.layers.items()})
    return value.new_full((rows, *value.shape[1:]), fill)


def _cat(values: Sequence[Any]) -> Tensor | ReferenceFeatures:
    features = [value for value in values if isinstance(value, ReferenceFeatures)]
    if not features:
        return torch.cat(list(values))
    if len(features) < len(values):
        raise UsageError("references and cached reference features cannot be stacked together")
    return ReferenceFeatures({n: torch.cat([one.layers[n] for one in features]) for n in features[0].layers})


__all__ = ["CONDITION_NAMES", "Conditions", "Denoiser", "ReferenceFeatures"]
