"""Features of the papers' size: latents, drawings, embeddings of published networks, around the head.

Square, drawing, masks and speech features are made by the functions that make them in generation. The square
is one for all frames of a sample, as in generation, where the head moves in the portrait's.
"""

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from auteur.errors import UsageError
from auteur.facs import CONVENTIONS
from auteur.lab.data.shards import Sample
from auteur.lab.prepare.features import FeatureInputs, folder_version
from auteur.lab.prepare.options import RATE
from auteur.media.resize import Kernel
from auteur.motion.au_basis import AUBasis
from auteur.painting.au_drawing import action_units_to_landmarks, draw_landmarks
from auteur.painting.published_inputs import CLASS_OF, PREPARED_BY, HeadSquare, speech_windows, square_of
from auteur.signals import AUTrack
from auteur.speech.pretrained import TransformersSpeechFeatures
from auteur.synthesis.pretrained.folders import load_folder
from auteur.synthesis.pretrained.image_encoder import PortraitEncoder
from auteur.synthesis.pretrained.latents import LatentSpace
from auteur.synthesis.published.checkpoints import Kind
from auteur.synthesis.published.folder import read_description
from auteur.synthesis.published.memo import EMOTION_CLASSES
from auteur.synthesis.published.region_masks import region_masks
from auteur.weights import load_shipped, version

Arrays = Mapping[str, NDArray[Any]]

_AT_ONCE = 16
_CLIP_PX = 224


class _Heads:
    """Head squares of a sample: of its frames, and of its reference picture.

    Args:
        sample: A sample.
        size_px: Side of the squares.
        kernel: Of the resampling.
    """

    def __init__(self, sample: Sample, size_px: int, kernel: Kernel = "bilinear") -> None:
        self.frames, self.landmarks = sample.frames(), sample.array("landmarks")
        self.square = square_of(_tensor(self.frames[0]), self.landmarks.mean(0), size_px, kernel)
        portrait = np.asarray(Image.open(io.BytesIO(sample.members["reference.jpg"])).convert("RGB"))
        self.portrait_landmarks = sample.array("reference.landmarks")
        self.portrait = square_of(_tensor(portrait), self.portrait_landmarks, size_px, kernel)

    def latents(self, space: LatentSpace) -> dict[str, NDArray[Any]]:
        """Returns latents of the frames and of the reference picture."""
        parts: list[Tensor] = []
        for first in range(0, len(self.frames), _AT_ONCE):
            shown = [self.square.showing(frame).scaled for frame in self.frames[first : first + _AT_ONCE]]
            parts.append(space.encode(torch.stack(shown)[None])[0].cpu())
        reference = space.encode(self.portrait.scaled[None, None])[0, 0].cpu()
        return {"clean": torch.cat(parts).half().numpy(), "reference": reference.half().numpy()}

    def drawn_units(self, sample: Sample, basis: AUBasis, form: Any) -> NDArray[Any]:
        """Returns Action Units drawn on the portrait's face, whose head is still, [T, 3, S, S] bytes."""
        track = AUTrack(
            channels=CONVENTIONS["facs"].channels,
            values=sample.array("au.facs"),
            rate=RATE,
            convention="facs",
        )
        moved = action_units_to_landmarks(track, self.portrait_landmarks, basis)
        return _drawn(moved, self.portrait, form)


def _drawn(landmarks: NDArray[np.floating], square: HeadSquare, form: Any = "lines") -> NDArray[Any]:
    """Drawings [T, 3, S, S] as bytes, a few frames at a time."""
    parts = [
        _bytes(
            draw_landmarks(
                landmarks[k : k + _AT_ONCE], square.region.frame, form=form, size_px=square.size_px
            )
        )
        for k in range(0, len(landmarks), _AT_ONCE)
    ]
    return torch.cat(parts).numpy()


def _bytes(shares: Tensor) -> Tensor:
    return (255 * shares).round().clamp(0, 255).byte()


def _tensor(picture: NDArray[np.uint8]) -> Tensor:
    """[H, W, 3] → [3, H, W]."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)


class LatentFeature:
    """Latents of Stable Diffusion's autoencoder."""

    def __init__(self, inputs: FeatureInputs, folder: Path) -> None:
        self._space = LatentSpace(inputs.needed("vae"), device=inputs.torch_device)
        self._size_px = inputs.feature_px

    @staticmethod
    def settings(inputs: FeatureInputs) -> dict[str, Any]:
        """Returns the autoencoder's hash and the side of the square."""
        return {"vae": folder_version(inputs.needed("vae"), ("", "vae")), "size_px": inputs.feature_px}

    def __call__(self, sample: Sample) -> Arrays:
        """Returns the arrays of a sample."""
        return _Heads(sample, self._size_px).latents(self._space)


class DrawingFeature:
    """Drawn landmarks of the frames and of the reference picture."""

    def __init__(self, inputs: FeatureInputs, folder: Path) -> None:
        self._size_px = inputs.feature_px

    @staticmethod
    def settings(inputs: FeatureInputs) -> dict[str, Any]:
        """Returns the side of the square."""
        return {"size_px": inputs.feature_px}

    def __call__(self, sample: Sample) -> Arrays:
        """Returns the arrays of a sample."""
        heads = _Heads(sample, self._size_px)
        return {
            "landmarks": _drawn(heads.landmarks, heads.square),
            "landmarks_reference": _drawn(heads.portrait_landmarks[None], heads.portrait)[0],
        }


class AUDrawingFeature:
    """Action Units drawn on the reference picture's face (AUHead's LMK or RoM)."""

    def __init__(self, inputs: FeatureInputs, folder: Path) -> None:
        self._size_px, self._form = inputs.feature_px, inputs.drawing
        self._basis = load_shipped(AUBasis(), "au_basis")

    @staticmethod
    def settings(inputs: FeatureInputs) -> dict[str, Any]:
        """Returns form and side of the drawings, and the version of the basis that moves them."""
        return {"size_px": inputs.feature_px, "form": inputs.drawing, "au_basis": version("au_basis")}

    def __call__(self, sample: Sample) -> Arrays:
        """Returns the arrays of a sample."""
        return {"au": _Heads(sample, self._size_px).drawn_units(sample, self._basis, self._form)}


class IdentityFeature:
    """CLIP's image embedding of the reference picture's head."""

    def __init__(self, inputs: FeatureInputs, folder: Path) -> None:
        self._encoder = PortraitEncoder(inputs.needed("clip"), device=inputs.torch_device)

    @staticmethod
    def settings(inputs: FeatureInputs) -> dict[str, Any]:
        """Returns the encoder's hash."""
        return {"clip": folder_version(inputs.needed("clip"), ("", "image_encoder"))}

    def __call__(self, sample: Sample) -> Arrays:
        """Returns the arrays of a sample."""
        embedded = self._encoder.encode(_Heads(sample, _CLIP_PX).portrait.scaled[None])
        return {"identity": embedded[0].half().cpu().numpy()}


class HubertFeature:
    """Last hidden states at the frames of a speech model of transformers."""

    option = "hubert"

    def __init__(self, inputs: FeatureInputs, folder: Path) -> None:
        self._encoder = TransformersSpeechFeatures(inputs.needed(self.option), device=inputs.torch_device)

    @classmethod
    def settings(cls, inputs: FeatureInputs) -> dict[str, Any]:
        """Returns the model's hash."""
        return {cls.option: folder_version(inputs.needed(cls.option))}

    def __call__(self, sample: Sample) -> Arrays:
        """Returns the arrays of a sample; none without speech."""
        sound = sample.speech()
        if sound is None:
            return {}
        return {"values": self._encoder.encode(sound, RATE).half().numpy()}


class Wav2VecFeature(HubertFeature):
    """The same of wav2vec 2.0."""

    option = "wav2vec"


class PublishedFeature:
    """What Hallo or MEMO read of a sample, by the networks of the folder that `auteur convert` wrote."""

    def __init__(self, inputs: FeatureInputs, folder: Path) -> None:
        place, device = inputs.needed("published"), inputs.torch_device
        description = read_description(place)
        self._kind: Kind = description["model"]
        self._size_px: int = description["size_px"]
        self._form = inputs.drawing
        self._space = LatentSpace(place / "vae", device=device)
        self._speech = load_folder("speech_encoder", place / "speech_encoder").to(device)
        self._basis = load_shipped(AUBasis(), "au_basis")

    @staticmethod
    def settings(inputs: FeatureInputs) -> dict[str, Any]:
        """Returns kind and hash of the folder, and the form of the drawings.

        Raises:
            UsageError: The folder's model takes no adapter.
        """
        place = inputs.needed("published")
        description = read_description(place)
        if description["model"] == "aniportrait":
            raise UsageError(
                f"{str(place)!r} holds aniportrait, whose drawings obey Action Units without an adapter; "
                "choose a folder of hallo or memo"
            )
        return {
            "model": description["model"],
            "published": str(description.get("sha256", ""))[:12],
            "size_px": description["size_px"],
            "form": inputs.drawing,
            "au_basis": version("au_basis"),
        }

    def __call__(self, sample: Sample) -> Arrays:
        """Returns the arrays of a sample.

        Raises:
            UsageError: It has no speech.
        """
        speech = sample.speech()
        if speech is None:
            raise UsageError("it has no speech")
        heads = _Heads(sample, self._size_px, PREPARED_BY[self._kind])
        windows = speech_windows(self._speech, speech, len(heads.frames), float(RATE), torch.float32)
        found = {
            **heads.latents(self._space),
            "audio": windows.flatten(2).half().cpu().numpy(),
            "au": heads.drawn_units(sample, self._basis, self._form),
        }
        if self._kind == "hallo":
            found["regions"] = np.stack([self._regions(heads.square, one) for one in heads.landmarks])
        elif (emotion := CLASS_OF.get(str(sample.record.get("emotion")))) is not None:
            shares = np.zeros((len(heads.frames), len(EMOTION_CLASSES)), np.float32)
            shares[:, emotion] = 1
            found["expression"] = shares
        return found

    def _regions(self, square: HeadSquare, points: NDArray[np.floating]) -> NDArray[np.uint8]:
        """Pose, face and lips of a frame at the size of the latents, bytes [3, h, w]."""
        own = square.region.own_points(torch.from_numpy(np.asarray(points))).numpy()
        side = self._size_px // 8
        shares = region_masks(own, self._size_px, self._size_px, levels=1).masks[0].reshape(3, side, side)
        return _bytes(shares).numpy()
