"""The face embedding that Hallo and MEMO read, from a file of the user's.

Theirs is InsightFace's antelopev2, for non-commercial research only: nothing of it is shipped, fetched or
looked for. A file holds an embedding, or is the face network itself (`glintr100.onnx`), which then runs on
the portrait through onnxruntime, if that is installed.
"""

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from auteur.errors import InputError, UsageError
from auteur.face.crops import CropFrame, cropped
from auteur.painting.renderer import RenderInput

SIDE_PX = 112
"""Of the aligned face that face networks of ArcFace's kind read."""

_PLACES = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""Pixels of eyes, nose and mouth corners in it, picture's left first (Deng et al. 2019, ArcFace)."""
_LANDMARKS = ((468,), (473,), (1,), (61,), (291,))
"""MediaPipe's irises, tip of the nose and mouth corners, in that order."""
_FORMS = ".npy, .npz, .safetensors or .onnx"

Floats = NDArray[np.floating]


def face_embedding(path: Path, given: RenderInput, numbers: int) -> Tensor:
    """Returns the embedding [1, numbers], float32, of a file or by a face network.

    Args:
        path: Of an embedding (.npy, or the only array of .npz or .safetensors, of `numbers` numbers), or of a
            face network (.onnx).
        given: The portrait, for a network.
        numbers: What the model reads: 512.

    Raises:
        InputError: The file cannot be read, or holds something else.
        UsageError: Its ending is unknown, or onnxruntime is missing.
    """
    suffix = path.suffix.lower()
    if suffix == ".onnx":
        found = _computed(path, aligned_face(given))
    elif suffix in (".npy", ".npz", ".safetensors"):
        found = _stored(path, suffix)
    else:
        raise UsageError(f"identity {path.name!r} must end in {_FORMS}")
    flat = torch.from_numpy(np.asarray(found, dtype=np.float32)).flatten()
    if len(flat) != numbers:
        raise InputError(
            f"{str(path)!r} gives an embedding of {len(flat)} numbers; these weights read {numbers}: one "
            "face of InsightFace's antelopev2"
        )
    if not bool(flat.isfinite().all()):
        raise InputError(f"{str(path)!r} holds NaN or infinity; compute the embedding again")
    return flat[None]


def aligned_face(given: RenderInput) -> NDArray[np.uint8]:
    """Returns the portrait's face where face networks expect it, uint8 [112, 112, 3].

    Eyes, nose and mouth come from our landmarks and not from InsightFace's detector, so that an embedding is
    near to the one that its own program computes, and not the same.
    """
    places = face_places(np.asarray(given.portrait_landmarks))
    picture = given.portrait.permute(1, 2, 0).contiguous().numpy()
    return cropped(picture, similarity_frame(places), SIDE_PX)


def face_places(landmarks: Floats) -> Floats:
    """Returns eyes, nose and mouth corners [5, 2] px of landmarks [478, 3]."""
    points = landmarks[:, :2]
    return np.stack([points[list(each)].mean(0) for each in _LANDMARKS])


def similarity_frame(places: Floats) -> CropFrame:
    """Returns the square whose crop of 112 pixels puts five points nearest to where they are expected.

    Least squares over rotation, scale and shift (Umeyama 1991) in complex numbers.
    """
    here, there = (p[:, 0] + 1j * p[:, 1] for p in (places, _PLACES))
    centred = here - here.mean()
    turn = np.vdot(centred, there - there.mean()) / np.vdot(centred, centred).real
    if abs(turn) < 1e-9:
        raise InputError("the portrait's face is too large or too flat for a face network; choose another")
    middle = (SIDE_PX - 1) / 2 * (1 + 1j)
    center = here.mean() + (middle - there.mean()) / turn
    return CropFrame((float(center.real), float(center.imag)), SIDE_PX / abs(turn), -float(np.angle(turn)))


def _stored(path: Path, suffix: str) -> Floats:
    try:
        if suffix == ".safetensors":
            arrays = {name: value.float().numpy() for name, value in load_file(path).items()}
        else:
            loaded = np.load(path, allow_pickle=False)
            arrays = {"": loaded} if suffix == ".npy" else dict(loaded)
    except (OSError, ValueError, EOFError, SafetensorError, KeyError) as error:
        raise InputError(f"{str(path)!r} cannot be read as {suffix}: {error}; write it again") from error
    if len(arrays) != 1:
        raise InputError(f"{str(path)!r} holds {len(arrays)} arrays; keep the embedding alone")
    found = next(iter(arrays.values()))
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "fiu":
        raise InputError(f"{str(path)!r} holds no numbers; write an embedding as floats")
    return found


def _computed(path: Path, face: NDArray[np.uint8]) -> Floats:
    try:
        onnxruntime: Any = import_module("onnxruntime")
    except ModuleNotFoundError as error:
        raise UsageError(
            f"{path.name} needs onnxruntime; run: pip install onnxruntime, or give the embedding as .npy"
        ) from error
    pixels = (face.astype(np.float32).transpose(2, 0, 1)[None] - 127.5) / 127.5
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        inputs = session.get_inputs()
        if len(inputs) != 1:
            raise InputError(f"{str(path)!r} has {len(inputs)} inputs; a face network has one picture")
        return session.run(None, {inputs[0].name: pixels})[0]
    except InputError:
        raise
    except Exception as error:  # onnxruntime's own errors have no common class
        cause = " ".join(str(error).split())[:200]
        raise InputError(
            f"{str(path)!r} is no face network of 112 x 112 pixels: {cause}; name glintr100.onnx"
        ) from error
