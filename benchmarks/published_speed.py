"""Frames per second and memory of AniPortrait, Hallo and MEMO with random weights.

    python benchmarks/published_speed.py                        all three on a CUDA GPU, bfloat16
    python benchmarks/published_speed.py hallo --steps 10       one of them, with fewer steps
    python benchmarks/published_speed.py --tiny --device cpu    tiny networks: shows that the script runs

A window of 16 frames at 512 x 512 is denoised once to warm up and then timed, with the published sampler and
with DPM-Solver++(2M), each without and with torch.compile. One JSON line per run: frames per second, seconds
per step, seconds of compiling, highest memory of networks and activations. Guidance is on, so both rows are
computed. A line gives the same window decoded by an autoencoder of the published size. Speed does not depend
on the numbers in the weights.
"""

import argparse
import json
import resource
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import torch
from torch import nn

from auteur.painting.published_options import FEW_STEPS, STEPS
from auteur.synthesis.published.aniportrait import AniPortrait
from auteur.synthesis.published.checkpoints import LAYOUTS
from auteur.synthesis.published.compilation import compiled
from auteur.synthesis.published.hallo import Hallo
from auteur.synthesis.published.memo import Memo
from auteur.synthesis.published.schedule import SAMPLERS, LoopSettings
from auteur.synthesis.published.sizes import UNetSizes
from published import FRAMES, KINDS, Window, denoise, full_size, randomised

TINY = Window(side_px=64, context=16, embedding=8, layers=2, width=16)


def tiny(kind: str) -> nn.Module:
    """Tiny networks of the same classes, without numbers."""
    image = {"embedding": 8, "tokens": 4, "width": 16}
    audio = {"entering": 160, "hidden": 16, "tokens": 4, "width": 16}
    with torch.device("meta"):
        if kind == "aniportrait":
            sizes = UNetSizes(widths=(32, 64, 128, 128), context_width=16, longest=32)
            return AniPortrait(sizes, {"channels": 32, "inner": 16})
        sizes = UNetSizes(widths=(32, 32, 32, 32), context_width=16, longest=32, audio_width=16)
        if kind == "memo":
            return Memo(sizes, image=image, audio=audio)
        return Hallo(sizes, image=image, audio=audio, locator={"leaving": 32, "channels": (4, 8, 8, 16)})


def seconds_of(run: Any, device: str) -> float:
    """Wall-clock seconds of a call, until the device is done."""
    if device == "cuda":
        torch.cuda.synchronize()
    started = time.perf_counter()
    run()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def peak_gb(device: str) -> float:
    """The highest memory so far: of tensors on a GPU, of the process on a CPU."""
    if device == "cuda":
        return round(torch.cuda.max_memory_allocated() / 1e9, 2)
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9, 2)


def lines_of(kind: str, given: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yields the figures of each run of a model."""
    device, sizes = given.device, TINY if given.tiny else Window()
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    model = randomised(tiny(kind) if given.tiny else full_size(kind), device, dtype)
    parameters = sum(one.numel() for one in model.parameters())
    unet = model.get_submodule(LAYOUTS[kind].unet)
    for is_compiled in (False, True)[: 1 if given.no_compile else 2]:
        for sampler in SAMPLERS:
            steps = given.steps or (STEPS[kind] if sampler == "published" else FEW_STEPS)
            if device == "cuda":
                torch.cuda.reset_peak_memory_stats()

            def run(count: int, name: Any = sampler) -> None:
                denoise(model, LoopSettings(steps=count, sampler=name), device, dtype, sizes)

            with compiled(unet) if is_compiled else nullcontext():
                first = seconds_of(lambda run=run: run(1), device)
                seconds = seconds_of(lambda run=run, steps=steps: run(steps), device)
            yield {
                "model": kind,
                "sampler": sampler,
                "steps": steps,
                "compile": is_compiled,
                "frames_per_second": round(FRAMES / seconds, 3),
                "seconds_per_window": round(seconds, 3),
                "seconds_per_step": round(seconds / steps, 4),
                "first_step_with_compiling_sec": round(first, 2),
                "parameters_m": round(parameters / 1e6, 1),
                "weights_gb": round(parameters * dtype.itemsize / 1e9, 2),
                "peak_gb": peak_gb(device),
            }


def decoding(given: argparse.Namespace) -> dict[str, Any]:
    """Figures of the autoencoder, which all three share, for a window."""
    import diffusers

    device, side = given.device, (TINY if given.tiny else Window()).side_px // 8
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    widths = (8, 8, 8, 8) if given.tiny else (128, 256, 512, 512)
    vae = diffusers.AutoencoderKL(
        block_out_channels=widths,
        layers_per_block=2,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=8 if given.tiny else 32,
    )
    vae = vae.to(device, dtype).eval().requires_grad_(False)
    latents = torch.randn(FRAMES, 4, side, side, device=device, dtype=dtype)

    def run() -> None:
        for part in latents.split(4):
            vae.decode(part)

    with torch.no_grad():
        run()
        seconds = seconds_of(run, device)
    return {
        "model": "autoencoder",
        "frames_per_second": round(FRAMES / seconds, 2),
        "peak_gb": peak_gb(device),
    }


def main(arguments: list[str] | None = None) -> int:
    """Reads the command line and prints the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", nargs="*", choices=(*KINDS, []))
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--tiny", action="store_true", help="tiny networks at 64 x 64")
    parser.add_argument("--steps", type=int, help="of both samplers; the usual ones unless given")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    given = parser.parse_args(arguments)
    if given.device == "cuda" and not torch.cuda.is_available():
        print("there is no CUDA GPU here, so nothing is measured; --tiny --device cpu tries the script")
        return 3
    name = torch.cuda.get_device_name() if given.device == "cuda" else "cpu"
    print(json.dumps({"device": name, "torch": torch.__version__, "tiny": given.tiny}))
    for kind in given.model or KINDS:
        for line in lines_of(kind, given):
            print(json.dumps(line), flush=True)
        if given.device == "cuda":
            torch.cuda.empty_cache()
    print(json.dumps(decoding(given)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
