r"""What the recipe `au-adapter` learns from on a published base: prepared clips as latents with conditions.

    auteur prepare CORPUS --kind mead --size 512 --crop-to-face 3 -o SHARDS
    python -m auteur.lab.prepare.latent_clips --prepared SHARDS --published HALLO --out CLIPS
    auteur train au-adapter --published HALLO --clips CLIPS --out RUN

Autoencoder and speech network are those of the folder that `auteur convert` wrote; square, drawing, masks and
speech features are made by the functions that make them in generation. Each span of a clip becomes one file
of `auteur.lab.data.denoiser_clips`, written whole; run again, the command goes on.
"""

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track
from torch import Tensor

from auteur.errors import FaceError, InputError, UsageError
from auteur.facs import CONVENTIONS
from auteur.files import atomic_path, make_folders
from auteur.lab.data.denoiser_clips import write_clip
from auteur.lab.data.shards import Sample, ShardReader
from auteur.lab.prepare.options import RATE
from auteur.lab.prepare.work_folder import INDEX
from auteur.motion.au_basis import AUBasis
from auteur.painting.au_drawing import Form, action_units_to_landmarks, draw_landmarks
from auteur.painting.published_inputs import CLASS_OF, PREPARED_BY, speech_windows, square_of
from auteur.signals import AUTrack
from auteur.synthesis.pretrained.folders import load_folder
from auteur.synthesis.pretrained.latents import LatentSpace
from auteur.synthesis.published.checkpoints import Kind
from auteur.synthesis.published.folder import read_description
from auteur.synthesis.published.memo import EMOTION_CLASSES
from auteur.synthesis.published.region_masks import region_masks
from auteur.weights import load_shipped

STATE = "latent_clips.json"
"""What the clips of a folder depend on; another setting is refused."""

LEAST_FRAMES = 14
"""Shorter spans hold no window of the recipe."""
_AT_ONCE = 16

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class LatentClipsRecipe:
    """Where the prepared clips and the published folder are."""

    prepared: Path
    """Folder of shards that `auteur prepare` finished; 512 pixels and 3 face sizes give what is generated."""
    published: Path
    """Folder of Hallo or MEMO that `auteur convert` wrote."""
    out: Path
    span_frames: int = 96
    """Frames of a file, 4 s; one of 512 pixels takes about 85 MB."""
    form: Literal["lines", "mesh"] = "lines"
    """How Action Units are drawn: as the adapter's `form`."""
    device: Literal["", "cpu", "cuda"] = ""
    """Where the encoders run; CUDA where there is one, unless given."""

    def __post_init__(self) -> None:
        if not LEAST_FRAMES <= self.span_frames <= 500:
            raise UsageError(
                f"span_frames is {self.span_frames}; it must be between {LEAST_FRAMES} and 500, 96 is usual"
            )


class GeneratedAUs(NamedTuple):
    """What a run did."""

    written: int
    """Files of this run."""
    kept: int
    """Files of earlier runs."""
    left_out: dict[str, str]
    """Reason by the key of the sample."""


def write_latent_clips(recipe: LatentClipsRecipe) -> GeneratedAUs:
    """Writes the clips of all people who train.

    Raises:
        UsageError: The folder's model takes no adapter, or a library is missing.
        InputError: The folder of clips was begun with other settings, or cannot be written.
        FormatError: `prepared` is no finished preparation, or one of its shards is damaged.
        WeightsError: The published folder is damaged.
    """
    encoders = _Encoders(recipe)
    reader = ShardReader(recipe.prepared, part="train")
    make_folders(recipe.out)
    _check_state(recipe, encoders)
    written, kept, left_out = 0, 0, dict[str, str]()
    for sample in track(reader, description="latents", total=len(reader)):
        record = sample.record
        speech = sample.speech()
        if speech is None:
            left_out[sample.key] = "it has no speech"
            continue
        spans = list(_spans(int(record["frames"]), recipe.span_frames))
        if not spans:
            left_out[sample.key] = f"it has {record['frames']} frames, fewer than {LEAST_FRAMES}"
            continue
        places = [recipe.out / f"{sample.key}_{span.start:05d}.safetensors" for span in spans]
        missing = [(span, place) for span, place in zip(spans, places, strict=True) if not place.exists()]
        kept += len(spans) - len(missing)
        if not missing:
            continue
        try:
            clip = _Clip(sample, encoders)
            for span, place in missing:
                write_clip(place, clip.tensors(span), person=str(record["person"]))
                written += 1
        except FaceError as error:
            left_out[sample.key] = str(error)
    return GeneratedAUs(written, kept, left_out)


def _spans(frames: int, length: int) -> Iterator[slice]:
    """Spans of a clip, the last one shorter; none that is too short for a window."""
    for first in range(0, frames, length):
        stop = min(first + length, frames)
        if stop - first >= LEAST_FRAMES:
            yield slice(first, stop)


class _Encoders:
    """What of a published folder makes latents and speech features, and how it looks at a portrait."""

    def __init__(self, recipe: LatentClipsRecipe) -> None:
        description = read_description(recipe.published)
        self.kind: Kind = description["model"]
        if self.kind == "aniportrait":
            raise UsageError(
                f"{str(recipe.published)!r} holds aniportrait, whose drawings obey Action Units without an "
                "adapter; choose a folder of hallo or memo"
            )
        if recipe.device == "cuda" and not torch.cuda.is_available():
            raise UsageError("device is cuda and there is no CUDA GPU here; choose cpu")
        device = torch.device(recipe.device or ("cuda" if torch.cuda.is_available() else "cpu"))
        self.version = str(description.get("sha256", ""))
        self.size_px: int = description["size_px"]
        self.latents = LatentSpace(recipe.published / "vae", device=device)
        self.speech = load_folder("speech_encoder", recipe.published / "speech_encoder").to(device)
        self.basis: AUBasis = load_shipped(AUBasis(), "au_basis")
        self.form: Form = recipe.form


class _Clip:
    """A prepared clip, and what a base reads of it; each tensor has a row per frame of a span."""

    def __init__(self, sample: Sample, encoders: _Encoders) -> None:
        self._encoders, record = encoders, sample.record
        self._frames, self._landmarks = sample.frames(), sample.array("landmarks")
        count = len(self._frames)
        kernel = PREPARED_BY[encoders.kind]
        # One square for all frames, as in generation, where the head moves in the portrait's.
        self._square = square_of(_tensor(self._frames[0]), self._landmarks.mean(0), encoders.size_px, kernel)
        portrait = np.asarray(Image.open(io.BytesIO(sample.members["reference.jpg"])).convert("RGB"))
        own = sample.array("reference.landmarks")
        square = square_of(_tensor(portrait), own, encoders.size_px, kernel)
        self._reference = encoders.latents.encode(square.scaled[None, None])[0, 0].cpu()
        units = AUTrack(
            channels=CONVENTIONS["facs"].channels,
            values=sample.array("au.facs"),
            rate=RATE,
            convention="facs",
        )
        # Drawn on the portrait's face, whose head is still.
        self._moved = action_units_to_landmarks(units, own, encoders.basis)
        self._drawn_in = square.region.frame
        speech = sample.speech()
        assert speech is not None  # noqa: S101 - samples without were left out
        windows = speech_windows(encoders.speech, speech, count, float(RATE), torch.float32)
        self._audio = windows.flatten(2).half().cpu()
        self._emotion = CLASS_OF.get(str(record.get("emotion")))

    def tensors(self, span: slice) -> dict[str, Tensor]:
        """Returns the tensors of a span."""
        size = self._encoders.size_px
        drawn = draw_landmarks(self._moved[span], self._drawn_in, form=self._encoders.form, size_px=size)
        found = {
            "clean": self._latents(span),
            "reference": self._reference,
            "audio": self._audio[span],
            "au": (255 * drawn).round().clamp(0, 255).byte(),
        }
        if self._encoders.kind == "hallo":
            found["regions"] = torch.stack([self._regions(points) for points in self._landmarks[span]])
        elif self._emotion is not None:
            shares = torch.zeros(len(EMOTION_CLASSES))
            shares[self._emotion] = 1
            found["expression"] = shares.expand(span.stop - span.start, -1)
        return found

    def _latents(self, span: slice) -> Tensor:
        parts: list[Tensor] = []
        for first in range(span.start, span.stop, _AT_ONCE):
            pictures = [
                self._square.showing(frame).scaled
                for frame in self._frames[first : min(first + _AT_ONCE, span.stop)]
            ]
            parts.append(self._encoders.latents.encode(torch.stack(pictures)[None])[0].cpu())
        return torch.cat(parts)

    def _regions(self, points: NDArray[np.floating]) -> Tensor:
        """Pose, face and lips of a frame at the size of the latents, bytes [3, h, w]."""
        size = self._encoders.size_px
        own = self._square.region.own_points(torch.from_numpy(np.asarray(points))).numpy()
        side = size // 8
        shares = region_masks(own, size, size, levels=1).masks[0].reshape(3, side, side)
        return (255 * shares).round().byte()


def _tensor(picture: Bytes) -> Tensor:
    """[H, W, 3] → [3, H, W]."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


def _check_state(recipe: LatentClipsRecipe, encoders: _Encoders) -> None:
    """Writes what the clips depend on, or compares it with what an earlier run wrote.

    Raises:
        InputError: They differ, or the file is damaged.
    """
    now = {
        "published": encoders.version,
        "prepared": hashlib.sha256((recipe.prepared / INDEX).read_bytes()).hexdigest(),
        "size_px": encoders.size_px,
        "span_frames": recipe.span_frames,
        "form": recipe.form,
    }
    place = recipe.out / STATE
    if place.exists():
        try:
            then: Any = json.loads(place.read_text(encoding="utf-8"))
            changed = [name for name in now if then[name] != now[name]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"{str(place)!r} is damaged: {error}; name another folder") from error
        if changed:
            raise InputError(
                f"{str(recipe.out)!r} was begun with another {', '.join(changed)}; name another folder"
            )
        return
    with atomic_path(place) as temporary:
        temporary.write_text(json.dumps(now, indent=2) + "\n", encoding="utf-8")


def main(recipe: LatentClipsRecipe) -> None:
    """Writes the clips and says what was left out."""
    done = write_latent_clips(recipe)
    for key, reason in done.left_out.items():
        print(f"{key}: left out, {reason}")  # noqa: T201 - a recipe talks to its user
    print(f"{done.written} clips written, {done.kept} kept of earlier runs")  # noqa: T201


if __name__ == "__main__":
    main(tyro.cli(LatentClipsRecipe))
