"""The shipped denoiser in torch, ONNX Runtime and OpenVINO, float and int8: times and differences.

    pip install onnx onnxscript onnxruntime openvino
    python benchmarks/denoiser_runtimes.py PORTRAIT SPEECH [--repeats 12]

Inputs are the windows of the first seconds of a video. Milliseconds are processor time of one thread per
frame, the fastest and the median of the repeats; "load" is processor seconds before the first window.
"""

# The runtimes are no dependencies, so they have no types here.
# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from auteur.synthesis.conditions import Conditions
from auteur.synthesis.denoiser.network import VideoDenoiser
from auteur.synthesis.denoiser.storage import load_denoiser
from auteur.talking_head.settings import Settings
from auteur.talking_head.talking_head import TalkingHead
from auteur.weights import path_of

GREY_LEVELS = 127.5
"""Of a unit of the prediction."""


@dataclass(frozen=True)
class Captured:
    """One evaluation of the denoiser in a video."""

    sample: Tensor
    timestep: Tensor
    tensors: dict[str, Tensor]
    margins: dict[str, int]
    prediction: Tensor

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """All inputs in order."""
        return self.sample, self.timestep, *self.tensors.values()


class ByTensors(nn.Module):
    """The denoiser as a function of tensors."""

    def __init__(self, denoiser: VideoDenoiser, names: list[str], margins: dict[str, int]) -> None:
        super().__init__()
        self.denoiser, self._names, self._margins = denoiser, names, margins

    def forward(self, sample: Tensor, timestep: Tensor, *tensors: Tensor) -> Tensor:
        """Returns the prediction."""
        given: dict[str, Any] = dict(zip(self._names, tensors, strict=True))
        return self.denoiser(sample, timestep, Conditions(margins=self._margins, **given))


def captured(portrait: Path, speech: Path) -> list[Captured]:
    """Returns the evaluations of the first 1.3 seconds of a video."""
    found: list[Captured] = []
    plain = VideoDenoiser.forward

    def keep(self: VideoDenoiser, sample: Tensor, timestep: Tensor, conditions: Conditions) -> Tensor:
        prediction = plain(self, sample, timestep, conditions)
        given = dict(conditions.tensors)
        found.append(Captured(sample, timestep, given, dict(conditions.margins), prediction))
        return prediction

    with mock.patch.object(VideoDenoiser, "forward", keep):
        list(TalkingHead.from_pretrained()(portrait, speech, settings=Settings(seconds=1.3)).frames())
    return [one for one in found if one.sample.shape == found[0].sample.shape]


def report(
    name: str, run: Callable[[], Any], window: Captured, repeats: int, load_sec: float | None = None
) -> None:
    """Prints a row of the table."""
    with torch.inference_mode():
        off = GREY_LEVELS * (torch.as_tensor(run()).float() - window.prediction).abs()
        spent: list[float] = []
        for _ in range(repeats):
            started = time.process_time()
            run()
            spent.append(1000 * (time.process_time() - started) / window.sample.shape[1])
    load = "–" if load_sec is None else f"{load_sec:.1f} s"
    print(
        f"| {name} | {min(spent):.1f} | {statistics.median(spent):.1f} | {load} | {off.max():.2f} | "
        f"{off.mean():.2f} |",
        flush=True,
    )


def quantised(source: Path, target: Path, windows: list[Captured], names: list[str]) -> None:
    """Writes the network with convolutions and products in int8, its ranges taken from the windows."""
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):
        def __init__(self) -> None:
            self._rows: Iterator[dict[str, Any]] = iter([feed(names, window) for window in windows])

        def get_next(self) -> dict[str, Any] | None:
            return next(self._rows, None)

    quantization.quantize_static(
        source, target, Reader(), op_types_to_quantize=["Conv", "MatMul", "Gemm"], per_channel=True
    )


def feed(names: list[str], window: Captured) -> dict[str, Any]:
    """Returns inputs by name."""
    return {name: value.numpy() for name, value in zip(names, window.inputs, strict=True)}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("portrait", type=Path)
    parser.add_argument("speech", type=Path)
    parser.add_argument("--repeats", type=int, default=12)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    windows = captured(arguments.portrait, arguments.speech)
    window, repeats = windows[1], arguments.repeats
    denoiser = load_denoiser(path_of("denoiser"))
    network = ByTensors(denoiser, list(window.tensors), window.margins).eval()
    print("| runtime | fastest ms | median ms | load | most grey levels off | mean |")
    print("|---|---|---|---|---|---|")
    with torch.inference_mode(), tempfile.TemporaryDirectory() as folder:
        report("torch", lambda: network(*window.inputs), window, repeats)
        plain, small = Path(folder) / "plain.onnx", Path(folder) / "int8.onnx"
        torch.onnx.export(network, window.inputs, plain, dynamo=True, external_data=False, verbose=False)
        denoiser.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        report("torch, channels last (as shipped)", lambda: network(*window.inputs), window, repeats)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            report("the same in bfloat16", lambda: network(*window.inputs), window, repeats)
        import onnxruntime
        import openvino

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        names = [one.name for one in onnxruntime.InferenceSession(plain, options).get_inputs()]
        given = feed(names, window)
        quantised(plain, small, windows, names)
        for kind, path in (("", plain), (", int8", small)):
            started = time.process_time()
            session = onnxruntime.InferenceSession(path, options)
            spent = time.process_time() - started
            report(f"ONNX Runtime{kind}", lambda s=session: s.run(None, given)[0], window, repeats, spent)
        single = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
        for kind, path in (("", plain), (", int8", small)):
            started = time.process_time()
            request = openvino.Core().compile_model(path, "CPU", single).create_infer_request()
            spent = time.process_time() - started
            report(f"OpenVINO{kind}", lambda r=request: r.infer(given)[0], window, repeats, spent)


if __name__ == "__main__":
    main()
