"""Training clips of the denoiser: one safetensors file each, read in short windows.

A file holds `clean` [T, C, H, W] (latents, or pixels in [-1, 1]) and any tensors of `Conditions` under their
names, without the batch axis: `au` [T, A], `audio` [T, W, D], `reference` [C, H, W], … and `region`
[T, 1, H, W] to weight pixels. Pictures may be bytes: 0 to 255 is -1 to 1, or 0 to 1 for drawings, regions and
the validity of `warped`. Its metadata names the `person`; people who are held out are left aside.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from auteur.errors import InputError, WeightsError
from auteur.files import atomic_path
from auteur.lab.data.splits import is_held_out
from auteur.synthesis.conditioners.conditioner import Input
from auteur.synthesis.conditioners.registry import inputs_by_name
from auteur.synthesis.conditions import CONDITION_NAMES, Conditions

_CLEAN = Input("clean", per_frame=True, bytes_mean="signed")
_REGION = Input("region", per_frame=True)
_OWNERS = {name: owner for name, (_, owner) in inputs_by_name().items()}
_INPUTS = {"clean": _CLEAN, "region": _REGION} | {
    name: one for name, (one, _) in inputs_by_name().items() if one.in_clips
}
"""All tensors of a clip, by name."""


@dataclass(frozen=True)
class ClipBatch:
    """Inputs of one training step."""

    clean: Tensor
    """[B, F, C, H, W]."""
    conditions: Conditions
    region: Tensor | None = None
    """Weight of each pixel, [B, F, 1, H, W]."""

    def to(self, device: torch.device) -> "ClipBatch":
        """Returns it on another device."""
        region = None if self.region is None else self.region.to(device)
        return ClipBatch(self.clean.to(device), self.conditions.to(device), region)

    @staticmethod
    def stack(batches: "Sequence[ClipBatch]") -> "ClipBatch":
        """Returns the rows of all, one after the other; where no region is given, every pixel counts."""
        clean = torch.cat([one.clean for one in batches])
        conditions = Conditions.stack([one.conditions for one in batches])
        if all(one.region is None for one in batches):
            return ClipBatch(clean, conditions)
        regions = [
            torch.ones_like(one.clean[:, :, :1]) if one.region is None else one.region for one in batches
        ]
        return ClipBatch(clean, conditions, torch.cat(regions))


BatchOf = Callable[[int, int, torch.Generator], ClipBatch]
"""(rows, frames, generator) → a batch; the same state of the generator gives the same batch."""


def write_clip(path: Path | str, tensors: Mapping[str, Tensor], *, person: str) -> None:
    """Writes a clip, whole or not at all.

    Raises:
        InputError: A name is unknown, `clean` is missing, or lengths differ.
    """
    unknown = tensors.keys() - _INPUTS.keys()
    if unknown or "clean" not in tensors:
        others = ", ".join(name for name in _INPUTS if name != "clean")
        raise InputError(f"a clip holds clean and {others}; not {sorted(unknown)}")
    lengths = {name: len(value) for name, value in tensors.items() if _INPUTS[name].per_frame}
    if len(set(lengths.values())) > 1:
        raise InputError(f"tensors of a clip must have one length, not {lengths}")
    with atomic_path(path) as temporary:
        own = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
        save_file(own, temporary, metadata={"person": person})


class ClipFolder:
    """Clips of a folder, read window by window; memory does not grow with the data.

    Args:
        folder: Holds `*.safetensors`.
        names: Conditions to read; those that a file lacks are absent in its rows.
        past: Frames before the window to give as `past`, if the network has a conditioner for it.
        held_out: Whether to take the people who are held out, to evaluate, instead of the others.
        looks: Candidate windows of a clip; the one with the largest pixel weights is taken.

    Raises:
        InputError: There is no usable clip.
    """

    def __init__(
        self,
        folder: Path,
        *,
        names: Sequence[str] = CONDITION_NAMES,
        past: int = 2,
        held_out: bool = False,
        looks: int = 1,
    ) -> None:
        self._looks = looks
        self._names, self._past = tuple(names), past if "past" in names else 0
        self._clips: list[tuple[Path, int]] = []
        for path in sorted(folder.glob("*.safetensors")):
            person, length = _examine(path)
            if is_held_out(person) == held_out:
                self._clips.append((path, length))
        if not self._clips:
            kind = "held-out" if held_out else "training"
            raise InputError(f"{str(folder)!r} holds no clip of a {kind} person; prepare clips first")

    def __len__(self) -> int:
        return len(self._clips)

    def batch(self, rows: int, frames: int, generator: torch.Generator) -> ClipBatch:
        """Returns random windows, [rows, frames, …].

        Raises:
            InputError: No clip is long enough.
        """
        long = [(path, length) for path, length in self._clips if length >= frames]
        if not long:
            raise InputError(f"no clip has {frames} frames; the longest has {max(n for _, n in self._clips)}")
        chosen = torch.randint(len(long), (rows,), generator=generator).tolist()
        windows = [self._window(long[index], frames, generator) for index in chosen]
        return ClipBatch.stack(windows)

    def _window(self, clip: tuple[Path, int], frames: int, generator: torch.Generator) -> ClipBatch:
        path, length = clip
        firsts = torch.randint(length - frames + 1, (self._looks,), generator=generator).tolist()
        found: dict[str, Any] = {}
        with safe_open(path, framework="pt") as file:
            held = set(file.keys())
            first = firsts[0]
            if len(firsts) > 1 and "region" in held:
                regions = file.get_slice("region")
                first = max(firsts, key=lambda start: float(regions[start : start + frames].float().mean()))
            before = first - self._past
            for name, what in _INPUTS.items():
                if name in held and _OWNERS.get(name) in (None, *self._names):
                    part = file.get_slice(name)
                    value = part[first : first + frames] if what.per_frame else part[:]
                    found[name] = _values(what, value)[None]
            clean, region = found.pop("clean"), found.pop("region", None)
            if self._past and before >= 0:
                found["past"] = _values(_CLEAN, file.get_slice("clean")[before:first])[None]
        if self._past and before < 0:
            found["past"] = clean.new_zeros(1, self._past, *clean.shape[2:])
            found["present"] = {"past": torch.zeros(1, dtype=torch.bool)}
        return ClipBatch(clean, Conditions(**found), region)


class MixedClips:
    """Clips of two folders, a share of every batch from the second.

    Args:
        clips: Most of a batch.
        others: The rest.
        share: How much that is, in [0, 1); rounded to rows.
    """

    def __init__(self, clips: ClipFolder, others: ClipFolder, share: float) -> None:
        self._clips, self._others, self._share = clips, others, share

    def batch(self, rows: int, frames: int, generator: torch.Generator) -> ClipBatch:
        """Returns random windows, [rows, frames, …], those of the second folder last."""
        of_others = min(round(rows * self._share), rows - 1)
        first = self._clips.batch(rows - of_others, frames, generator)
        if not of_others:
            return first
        return ClipBatch.stack([first, self._others.batch(of_others, frames, generator)])


def _values(what: Input, stored: Tensor) -> Tensor:
    """Values of stored numbers or bytes."""
    if stored.dtype != torch.uint8:
        return stored.float()
    shares = stored.float() / 255
    if what.bytes_mean == "shares":
        return shares
    signed = 2 * shares - 1
    if what.bytes_mean == "signed, validity last":
        signed[..., -1, :, :] = shares[..., -1, :, :]
    return signed


def _examine(path: Path) -> tuple[str, int]:
    try:
        with safe_open(path, framework="pt") as file:
            person = (file.metadata() or {})["person"]
            return person, file.get_slice("clean").get_shape()[0]
    except (OSError, SafetensorError, KeyError) as error:
        raise WeightsError(f"{str(path)!r} is not a clip of this project: {error}; write it again") from error
