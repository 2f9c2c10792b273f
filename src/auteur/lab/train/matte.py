"""Takes the weights of MediaPipe's selfie segmentation out of its .tflite file.

`python -m auteur.lab.train.matte FILE`

No training: the network is Google's, Apache-2.0. The file is read here, byte by byte, as FlatBuffers define
it (https://flatbuffers.dev/internals/), so that nothing needs to be installed and nothing in it is executed.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn

from auteur.errors import FormatError
from auteur.files import atomic_path
from auteur.synthesis.matte.network import blank_segmenter

_CONVOLUTION, _DEPTHWISE, _DEQUANTIZE, _CUSTOM = 3, 4, 6, 32
_LARGEST_BYTES = 10_000_000
_HALF = 1
"""Type of float16 tensors in the file."""


@dataclass(frozen=True)
class FlatBufferTable:
    """A table of a FlatBuffer: fields by number, each of which may be missing."""

    content: bytes
    place: int

    def _field(self, number: int) -> int | None:
        (back,) = struct.unpack_from("<i", self.content, self.place)
        layout = self.place - back
        (size,) = struct.unpack_from("<H", self.content, layout)
        entry = 4 + 2 * number
        if entry >= size:
            return None
        (offset,) = struct.unpack_from("<H", self.content, layout + entry)
        return self.place + offset if offset else None

    def number(self, field: int, kind: str = "i") -> int:
        """Returns an integer of a kind that `struct` names; 0 if it is missing."""
        place = self._field(field)
        return 0 if place is None else struct.unpack_from(f"<{kind}", self.content, place)[0]

    def _vector(self, field: int) -> tuple[int, int]:
        place = self._field(field)
        if place is None:
            return 0, 0
        start = place + struct.unpack_from("<I", self.content, place)[0]
        return start + 4, struct.unpack_from("<I", self.content, start)[0]

    def integers(self, field: int) -> list[int]:
        """Returns a vector of 32-bit integers."""
        start, count = self._vector(field)
        return list(struct.unpack_from(f"<{count}i", self.content, start))

    def raw(self, field: int) -> bytes:
        """Returns a vector of bytes."""
        start, count = self._vector(field)
        return self.content[start : start + count]

    def tables(self, field: int) -> list["FlatBufferTable"]:
        """Returns a vector of tables."""
        start, count = self._vector(field)
        places = range(start, start + 4 * count, 4)
        return [
            FlatBufferTable(self.content, at + struct.unpack_from("<I", self.content, at)[0]) for at in places
        ]


def convolutions(content: bytes) -> list[tuple[int, NDArray[np.float32], NDArray[np.float32]]]:
    """Returns (operation, weights, biases) of every convolution of a .tflite file, in the order of execution.

    Raises:
        FormatError: It is no such file, or holds weights of another type than float16.
    """
    if content[4:8] != b"TFL3" or len(content) > _LARGEST_BYTES:
        raise FormatError("this is no TensorFlow Lite file of up to 10 MB")
    try:
        return _convolutions(content)
    except (struct.error, IndexError, ValueError, RecursionError) as error:
        raise FormatError(f"the TensorFlow Lite file is damaged: {error}") from error


def _convolutions(content: bytes) -> list[tuple[int, NDArray[np.float32], NDArray[np.float32]]]:
    model = FlatBufferTable(content, struct.unpack_from("<I", content)[0])
    kinds = [max(code.number(0, "b"), code.number(3)) for code in model.tables(1)]
    graph, buffers = model.tables(2)[0], model.tables(4)
    tensors, operations = graph.tables(0), graph.tables(3)
    stored: dict[int, int] = {}
    found: list[tuple[int, NDArray[np.float32], NDArray[np.float32]]] = []
    for operation in operations:
        kind, inputs = kinds[operation.number(0, "I")], operation.integers(1)
        if kind == _DEQUANTIZE:
            stored[operation.integers(2)[0]] = inputs[0]
        elif kind in (_CONVOLUTION, _DEPTHWISE, _CUSTOM):
            weight, bias = (_values(tensors[stored[at]], buffers) for at in inputs[1:3])
            found.append((kind, weight, bias))
    return found


def _values(tensor: FlatBufferTable, buffers: list[FlatBufferTable]) -> NDArray[np.float32]:
    if tensor.number(1, "b") != _HALF:
        raise ValueError("a weight is not of float16")
    raw = buffers[tensor.number(2, "I")].raw(0)
    return np.frombuffer(raw, "<f2").astype(np.float32).reshape(tensor.integers(0))


def converted(content: bytes) -> dict[str, Tensor]:
    """Returns the tensors of `SelfieSegmenter`, float16 as in the file.

    Raises:
        FormatError: The file holds another network.
    """
    layers = convolutions(content)
    own = {
        name: module
        for name, module in blank_segmenter().named_modules()
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
    }
    if len(layers) != len(own):
        raise FormatError(
            f"the file has {len(layers)} convolutions, the network {len(own)}; it is another one"
        )
    tensors: dict[str, Tensor] = {}
    for (name, module), (kind, weight, bias) in zip(own.items(), layers, strict=True):
        # Kernels are [out, height, width, in]; depthwise and transposed ones have their channels last.
        order = (0, 3, 1, 2) if kind == _CONVOLUTION else (3, 0, 1, 2)
        turned = torch.from_numpy(weight).permute(order).contiguous()
        if turned.shape != module.weight.shape:
            raise FormatError(f"{name} has the shape {list(turned.shape)}; the network is another one")
        tensors[f"{name}.weight"], tensors[f"{name}.bias"] = turned.half(), torch.from_numpy(bias).half()
    return tensors


def main(model: tyro.conf.Positional[Path], out: Path = Path("matte.safetensors")) -> None:
    """Converts selfie_segmentation.tflite, as the npm package @mediapipe/selfie_segmentation holds it.

    Args:
        model: The .tflite file.
        out: The weights to write.
    """
    with atomic_path(out) as temporary:
        save_file(converted(model.read_bytes()), temporary)


if __name__ == "__main__":
    tyro.cli(main)
