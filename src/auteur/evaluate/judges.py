"""Networks of the user's that judge faces: identity (CSIM) and emotion, as TorchScript or ONNX files.

Neither is shipped: published ones (ArcFace, Emotion-FAN) have licences of their own. Nothing is downloaded,
and of a file nothing is executed but its graph. A report names file and hash.
"""

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from auteur.errors import InputError, UsageError, WeightsError
from auteur.face.crops import cropped
from auteur.facs import find_emotion
from auteur.files import read_json
from auteur.painting.face_embedding import SIDE_PX, face_places, similarity_frame
from auteur.provenance import hash_file

Floats = NDArray[np.floating]
Picture = NDArray[np.uint8]
Network = Callable[[Tensor], Tensor]
"""Pictures [B, 3, S, S] → numbers [B, N]."""

LABELS_EXAMPLE = (
    '{"labels": ["neutral", "happy", …], "size_px": 224, "mean": [0.5, 0.5, 0.5], '
    '"deviation": [0.5, 0.5, 0.5]}'
)
_TORCHSCRIPT = (".pt", ".pth", ".ts", ".torchscript")


def load_network(path: Path, what: str) -> Network:
    """Returns the network of a TorchScript or ONNX file.

    Args:
        path: `.pt`, `.pth`, `.ts`, `.torchscript` or `.onnx`.
        what: Its purpose, for messages.

    Raises:
        UsageError: The ending is another one, or onnxruntime is not installed.
        WeightsError: The file is missing or holds no network.
    """
    suffix = path.suffix.lower()
    if suffix not in (*_TORCHSCRIPT, ".onnx"):
        raise UsageError(
            f"{what} {path.name!r} must be TorchScript ({', '.join(_TORCHSCRIPT)}) or .onnx; export it first"
        )
    if not path.is_file():
        raise WeightsError(f"{what} {str(path)!r} does not exist; name a file on this computer")
    return _onnx(path, what) if suffix == ".onnx" else _torchscript(path, what)


def _torchscript(path: Path, what: str) -> Network:
    try:
        model = torch.jit.load(str(path), map_location="cpu").eval()
    except (RuntimeError, ValueError, OSError) as error:
        raise WeightsError(
            f"{what} {str(path)!r} is no TorchScript network: {str(error).splitlines()[0]}"
        ) from error
    return lambda pictures: model(pictures)


def _onnx(path: Path, what: str) -> Network:
    try:
        onnxruntime: Any = import_module("onnxruntime")
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{path.name} needs onnxruntime; run: pip install onnxruntime, or export it as TorchScript"
        ) from error
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        (entry,) = session.get_inputs()
    except Exception as error:  # onnxruntime's own errors have no common class
        raise WeightsError(
            f"{what} {str(path)!r} is no ONNX network with one input: {' '.join(str(error).split())[:200]}"
        ) from error
    # Exported networks often take one picture at a time.
    return lambda pictures: torch.cat(
        [torch.from_numpy(session.run(None, {entry.name: one[None].numpy()})[0]) for one in pictures]
    )


class IdentityNetwork:
    """A face recognition network of ArcFace's kind: aligned faces of 112 px in [-1, 1] to embeddings.

    Args:
        path: TorchScript or ONNX file.

    Raises:
        UsageError, WeightsError: As `load_network`; or the network gives no embedding.
    """

    def __init__(self, path: Path) -> None:
        self.name = f"{path.name} {hash_file(path)[:12]}" if path.is_file() else path.name
        self._network = load_network(path, "the identity network")
        self._check()

    def _check(self) -> None:
        made = _run(self._network, torch.zeros(1, 3, SIDE_PX, SIDE_PX), self.name)
        if made.ndim != 2 or made.shape[1] < 2:
            raise WeightsError(
                f"{self.name} gives numbers of shape {tuple(made.shape)} for one face; an identity network "
                "gives an embedding [1, N]"
            )

    def describe(self, picture: Picture, landmarks: Floats) -> Floats:
        """Returns the unit-length embedding [N] of a face.

        Args:
            picture: RGB [H, W, 3].
            landmarks: [478, 3] px.
        """
        face = cropped(picture, similarity_frame(face_places(landmarks)), SIDE_PX)
        pixels = torch.from_numpy(face).permute(2, 0, 1)[None].float() / 127.5 - 1
        return functional.normalize(_run(self._network, pixels, self.name), dim=1)[0].double().numpy()


class NetworkEmotionClassifier:
    """An emotion classifier of faces from a file, with its labels and scaling beside it.

    Args:
        path: TorchScript or ONNX file; FILE.json beside it holds `labels` and, unless they are 224 and 0.5
            each, `size_px`, `mean` and `deviation` of its input.

    Raises:
        UsageError, WeightsError: As `load_network`.
        InputError: The description is missing or does not fit.
    """

    def __init__(self, path: Path) -> None:
        network = load_network(path, "the emotion classifier")
        self.name = f"{path.name} {hash_file(path)[:12]}"
        described = path.with_name(f"{path.name}.json")
        if not described.is_file():
            raise InputError(
                f"{str(described)!r} is missing: it states the classifier's labels, such as {LABELS_EXAMPLE}"
            )
        found = read_json(described)
        try:
            self.labels = [find_emotion(str(one)) for one in found["labels"]]
            self._size_px = int(found.get("size_px", 224))
            self._mean, self._deviation = (
                torch.tensor([float(value) for value in found.get(name, (0.5,) * 3)])[:, None, None]
                for name in ("mean", "deviation")
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{str(described)!r} cannot be used: {error}; write {LABELS_EXAMPLE}") from error
        self._network = network
        made = self._logits(torch.zeros(1, 3, self._size_px, self._size_px))
        if made.shape[-1] != len(self.labels):
            raise InputError(
                f"{self.name} gives {made.shape[-1]} numbers per face and {described.name} names "
                f"{len(self.labels)} labels; name each in the network's order"
            )

    def __call__(self, pictures: NDArray[np.uint8]) -> Sequence[str]:
        """Returns one label per picture, uint8 [T, H, W, 3]."""
        pixels = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float() / 255
        scaled = functional.interpolate(
            pixels, (self._size_px, self._size_px), mode="bilinear", antialias=True, align_corners=False
        )
        places = self._logits((scaled - self._mean) / self._deviation).argmax(-1)
        return [self.labels[int(place)] for place in places]

    def _logits(self, pictures: Tensor) -> Tensor:
        return _run(self._network, pictures, self.name)


@torch.inference_mode()
def _run(network: Network, pictures: Tensor, name: str) -> Tensor:
    try:
        made = network(pictures)
    except Exception as error:  # a graph that does not take these pictures fails in its own way
        raise WeightsError(
            f"{name} does not take pictures {list(pictures.shape)}: {' '.join(str(error).split())[:200]}"
        ) from error
    if not isinstance(made, Tensor) or not bool(made.isfinite().all()):
        raise WeightsError(f"{name} gives no finite numbers for a picture; export the network again")
    return made.float()
