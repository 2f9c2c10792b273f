"""Training clips of the denoiser: features of prepared corpora, read in short windows.

A clip has `clean` [T, C, H, W] (latents, or pixels in [-1, 1]) and any tensors of `Conditions` under their
names, without the batch axis: `au` [T, A], `audio` [T, W, D], `reference` [C, H, W], … and `region`
[T, 1, H, W] to weight pixels. Pictures may be bytes: 0 to 255 is -1 to 1, or 0 to 1 for drawings, regions and
the validity of `warped`. They are members "FEATURE.NAME" or, where a sample gives several clips,
"FEATURE.CLIP.NAME" of the features in `auteur.lab.data.features`.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from auteur.errors import InputError
from auteur.lab.data.archive import StoredMember, stored_members
from auteur.lab.data.flame_shards import with_flame
from auteur.lab.data.made_shards import MadeSample, write_shards
from auteur.lab.data.media_kinds import Medium
from auteur.lab.data.motion_tracks import no_person_of
from auteur.lab.data.random_windows import mixed_chances
from auteur.lab.data.shards import Corpora, PartName, ShardReader, feature_folder
from auteur.lab.data.splits import Part, part_of
from auteur.synthesis.conditioners.base import Input
from auteur.synthesis.conditioners.registry import inputs_by_name
from auteur.synthesis.conditions import CONDITION_NAMES, Conditions

_GENERATED = "generated"
"""In place of the corpus of clips that no ratio of corpora concerns."""
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


def write_clips(
    folder: Path, clips: Iterable[tuple[str, str, Mapping[str, Tensor]]], *, feature: str = "views"
) -> Path:
    """Writes made-up clips as shards, and returns their folder.

    Args:
        folder: For the shards.
        clips: Name, person and tensors of each.
        feature: Under which they are stored.

    Raises:
        InputError: A name is unknown, `clean` is missing, lengths differ, or the folder cannot be written.
    """

    def sample(name: str, person: str, tensors: Mapping[str, Tensor]) -> MadeSample:
        check_clip(tensors)
        arrays = {key: value.detach().cpu().numpy() for key, value in tensors.items()}
        return MadeSample(key=name, person=person, frames=len(arrays["clean"]), features={feature: arrays})

    return write_shards(folder, (sample(*one) for one in clips), settings={"made for": "clips"})


def check_clip(tensors: Mapping[str, Any]) -> None:
    """Raises `InputError` for tensors of a clip that are unknown or differ in length, or without `clean`."""
    unknown = tensors.keys() - _INPUTS.keys()
    if unknown or "clean" not in tensors:
        others = ", ".join(name for name in _INPUTS if name != "clean")
        raise InputError(f"a clip holds clean and {others}; not {sorted(unknown)}")
    lengths = {name: len(value) for name, value in tensors.items() if _INPUTS[name].per_frame}
    if len(set(lengths.values())) > 1:
        raise InputError(f"tensors of a clip must have one length, not {lengths}")


FEATURE_OF = {
    "identity": "identity",
    "landmarks": "drawings",
    "au": "au_drawings",
    "expression": "flame",
    "audio": "wav2vec",
}
"""Features that hold the conditions of a denoiser of latents, beside "latents"."""


def features_for(channels: int, names: Sequence[str]) -> tuple[str, ...]:
    """Returns the features that hold the clips of a denoiser.

    Args:
        channels: Of its sample: 3 for pixels, whose clips are "views"; 4 for latents.
        names: Conditions.
    """
    if channels == 3:
        return ("views",)
    return ("latents", *(FEATURE_OF[name] for name in names if name in FEATURE_OF))


@dataclass(frozen=True, eq=False)
class _StoredClip:
    """Places of the tensors of one clip."""

    members: Mapping[str, StoredMember]
    frames: int
    corpus: str


class ClipFolder:
    """Clips of prepared corpora, read window by window; memory does not grow with the data.

    Args:
        corpora: With the features; videos that talking-head systems made train, with any person in them.
        names: Conditions to read; those that a clip lacks are absent in its rows.
        features: That hold the clips.
        past: Frames before the window to give as `past`, if the network has a conditioner for it.
        part: Whose clips: those of people who train, who choose checkpoints, or who test.
        looks: Candidate windows of a clip; the one with the largest pixel weights is taken.
        medium: Of the folders: videos, or photographs, which are clips of one frame.

    Raises:
        UsageError: No shards are given, or they differ in the space of a feature.
        InputError: A feature is missing, or there is no usable clip.
    """

    def __init__(
        self,
        corpora: Corpora,
        *,
        names: Sequence[str] = CONDITION_NAMES,
        features: Sequence[str] = ("views",),
        past: int = 2,
        part: Part = "train",
        looks: int = 1,
        medium: Medium = "video",
    ) -> None:
        self._looks = looks
        self._names, self._past = tuple(names), past if "past" in names else 0
        self._clips: list[_StoredClip] = []
        for reader in _readers(corpora, features, "held_out" if part == "test" else "train", medium):
            people = {row["key"] for row in reader.rows if part_of(row["person"], row["held_out"]) == part}
            self._clips += [clip for key, clip in _clips_of(reader) if key in people]
        if not self._clips:
            raise InputError(no_person_of(part, corpora, "clip"))
        self._shares = corpora.shares(clip.corpus for clip in self._clips)
        for reader in _generated_readers(corpora, features) if part == "train" else ():
            self._clips += [replace(clip, corpus=_GENERATED) for _, clip in _clips_of(reader)]

    def __len__(self) -> int:
        return len(self._clips)

    def batch(self, rows: int, frames: int, generator: torch.Generator) -> ClipBatch:
        """Returns random windows, [rows, frames, …].

        Raises:
            InputError: No clip is long enough.
        """
        long = [clip for clip in self._clips if clip.frames >= frames]
        if not long:
            longest = max(clip.frames for clip in self._clips)
            raise InputError(f"no clip has {frames} frames; the longest has {longest}")
        if self._shares is None:
            chosen = torch.randint(len(long), (rows,), generator=generator)
        else:
            chances = mixed_chances(np.ones(len(long)), [clip.corpus for clip in long], self._shares)
            chosen = torch.multinomial(torch.from_numpy(chances), rows, True, generator=generator)
        windows = [self._window(long[index], frames, generator) for index in chosen.tolist()]
        return ClipBatch.stack(windows)

    def _window(self, clip: _StoredClip, frames: int, generator: torch.Generator) -> ClipBatch:
        firsts = torch.randint(clip.frames - frames + 1, (self._looks,), generator=generator).tolist()
        found: dict[str, Any] = {}
        first = firsts[0]
        if len(firsts) > 1 and "region" in clip.members:
            regions = torch.from_numpy(clip.members["region"].rows())
            first = max(firsts, key=lambda start: float(regions[start : start + frames].float().mean()))
        before = first - self._past
        for name, what in _INPUTS.items():
            if name in clip.members and _OWNERS.get(name) in (None, *self._names):
                found[name] = _read(clip.members[name], what, first, frames)[None]
        clean, region = found.pop("clean"), found.pop("region", None)
        if self._past and before >= 0:
            found["past"] = _read(clip.members["clean"], _CLEAN, before, self._past)[None]
        if self._past and before < 0:
            found["past"] = clean.new_zeros(1, self._past, *clean.shape[2:])
            found["present"] = {"past": torch.zeros(1, dtype=torch.bool)}
        return ClipBatch(clean, Conditions(**found), region)


def _readers(corpora: Corpora, features: Sequence[str], part: PartName, medium: Medium) -> list[ShardReader]:
    """Readers of a part; FLAME's numbers may be in the common record."""
    others = [name for name in features if name != "flame"]
    readers = corpora.readers(others, part=part, media=(medium,))
    return [with_flame(reader, part, others) for reader in readers] if "flame" in features else readers


def _generated_readers(corpora: Corpora, features: Sequence[str]) -> list[ShardReader]:
    others = [name for name in features if name != "flame"]
    readers = corpora.generated_readers(others)
    return [with_flame(reader, None, others) for reader in readers] if "flame" in features else readers


def _clips_of(reader: ShardReader) -> Iterator[tuple[str, _StoredClip]]:
    """Yields key of the sample and clip, of the features of a reader."""
    for shard in reader.shard_names:
        found: dict[tuple[str, str], dict[str, StoredMember]] = {}
        for name in reader.features:
            entry = reader.feature_shard(name, shard)
            path = feature_folder(reader.folder, name) / (entry["file"] or "")
            for member in stored_members(path) if entry["file"] else ():
                key, _, *clip, tensor, _ = member.name.split(".")
                found.setdefault((key, ".".join(clip)), {})[_RENAMED.get((name, tensor), tensor)] = member
        if reader.index["options"].get("measured"):
            for member in stored_members(reader.folder / shard):
                key, _, name = member.name.partition(".")
                if name == "expression.flame50.npy" and (key, "") in found:
                    found[key, ""]["expression"] = member
        for (key, _), members in found.items():
            if "clean" in members:
                yield key, _StoredClip(members, members["clean"].shape()[0], reader.corpus)


_RENAMED = {("wav2vec", "values"): "audio"}
_AUDIO_WINDOW = 5


def _read(member: StoredMember, what: Input, first: int, frames: int) -> Tensor:
    """Values of a window of a stored tensor; of speech features [T, D] those around each frame."""
    if not what.per_frame:
        return _values(what, torch.from_numpy(member.rows()))
    if what.name == "audio" and len(member.shape()) == 2:
        reach = _AUDIO_WINDOW // 2
        low, high = max(0, first - reach), min(member.shape()[0], first + frames + reach)
        around = np.arange(first, first + frames)[:, None] + np.arange(-reach, reach + 1)
        part = member.rows(slice(low, high))
        return torch.from_numpy(part[np.clip(around - low, 0, len(part) - 1)]).float()
    return _values(what, torch.from_numpy(member.rows(slice(first, first + frames))))


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
