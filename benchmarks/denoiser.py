"""What one denoising step costs: compact candidates on this CPU, and the papers' sizes.

python benchmarks/denoiser.py [--frames 8] [--repeats 3]       compact candidates, one thread
python benchmarks/denoiser.py --full                           the papers' sizes

The papers' sizes are timed if there is a CUDA device. If not, their parameters and multiply-adds are counted.
Times on the CPU are processor time of one thread, so that other work on the machine counts little.
"""

import argparse
import resource
import time
import warnings
from dataclasses import replace

import torch
from torch.utils.flop_counter import FlopCounterMode

from auteur.synthesis.conditioners.landmarks import LandmarksConfig
from auteur.synthesis.conditions import Conditions
from auteur.synthesis.denoiser.builder import build_denoiser
from auteur.synthesis.denoiser.config import DenoiserConfig
from auteur.synthesis.denoiser.network import VideoDenoiser
from auteur.synthesis.denoiser.parts import part_names, parts
from auteur.synthesis.denoiser.presets import DENOISER_PRESETS

CANDIDATES = (
    # widths, levels with attention, pixels per pixel of the UNet on a side, sides of the face crop in pixels
    ((32, 48, 64, 64), 2, 4, (128, 256)),
    ((32, 48, 64, 96), 2, 4, (128, 256)),  # the compact preset
    ((32, 64, 96), 1, 4, (128, 256)),
    ((32, 64, 96, 96), 1, 4, (128, 256)),
    ((32, 64, 96, 96), 2, 4, (128, 256)),
    ((32, 64, 96, 128), 1, 4, (128, 256)),
    ((32, 64, 96, 96), 1, 2, (64, 128)),
)


def candidate(widths: tuple[int, ...], attending: int, patch: int) -> DenoiserConfig:
    """The compact preset with other widths; attention and motion modules at the coarsest levels."""
    config = DENOISER_PRESETS["compact"].config
    coarsest = tuple(level >= len(widths) - attending for level in range(len(widths)))
    return config.changed(
        patch=patch,
        unet=replace(config.unet, widths=widths, attends=coarsest),
        temporal=config.temporal and replace(config.temporal, levels=coarsest),
        landmarks=LandmarksConfig(
            downscale=patch, stem=(16, 16, 32)[: patch.bit_length()], attending_levels=1, head=32
        ),
    )


def inputs(model: VideoDenoiser, frames: int, side: int) -> tuple[torch.Tensor, torch.Tensor, Conditions]:
    """A random sample, a time and all that the model takes; portrait and past frames are encoded already."""
    config, like = model.config, model.unet.conv_in.weight

    def some(*shape: int) -> torch.Tensor:
        return torch.randn(shape, device=like.device, dtype=like.dtype)

    given: dict[str, torch.Tensor] = {}
    if config.reference:
        given["reference"] = some(1, config.channels, side, side)
    if config.identity:
        given["identity"] = some(1, 1, config.identity.features)
    if config.warped:
        given["warped"] = some(1, frames, config.channels + 1, side, side)
    if config.landmarks:
        drawn = side // config.patch * config.landmarks.downscale
        given["landmarks"] = some(1, frames, 3, drawn, drawn)
        given["landmarks_reference"] = some(1, 3, drawn, drawn)
    if config.au and config.au.form == "sequence":
        given["au"] = some(1, frames, config.au.action_units)
    elif config.au:
        given["au"] = some(1, frames, 3, 512, 512)
    if config.expression:
        given["expression"] = some(1, frames, config.expression.coefficients)
    if config.audio:
        given["audio"] = some(1, frames, config.audio.window, config.audio.features)
    if config.past:
        given["past"] = some(1, config.past.frames, config.channels, side, side)
    sample = some(1, frames, config.channels, side, side)
    return sample, torch.tensor([500.0], device=like.device), model.prepare(Conditions(**given))  # pyright: ignore


def millions(model: VideoDenoiser) -> dict[str, float]:
    """Parameters of each part."""
    return {
        name: sum(one.numel() for one in parts(model, (name,)).parameters()) / 1e6
        for name in part_names(model)
    }


def multiply_adds(config: DenoiserConfig, frames: int, side: int) -> dict[str, float]:
    """Thousand millions per frame and step by part, counted without computing anything."""
    with torch.device("meta"):
        model = build_denoiser(config).requires_grad_(False)
        sample, when, conditions = inputs(model, frames, side)
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            model(sample, when, conditions)
    counts = {name: sum(one.values()) for name, one in counter.get_flop_counts().items()}
    root = type(model).__name__
    # A module's count holds its children's: keep what is called by the denoiser itself.
    names = [name for name in counts if name.startswith(f"{root}.")]
    outer = [name for name in names if not any(name.startswith(f"{other}.") for other in names)]
    by_part = dict.fromkeys(part_names(model), 0.0)
    for name in outer:
        words = name.split(".")
        part = words[2] if words[1] == "conditioners" else {"unet": "base"}.get(words[1], words[1])
        by_part[part] += counts[name] / 2 / frames / 1e9
    return by_part


@torch.inference_mode()
def cpu_ms_per_frame(
    config: DenoiserConfig, frames: int, side: int, dtype: torch.dtype, repeats: int
) -> float:
    """Processor time of a frame and step, the best of several."""
    model = build_denoiser(config, seed=0).to(dtype)
    model = model.to(memory_format=torch.channels_last)  # pyright: ignore
    sample, when, conditions = inputs(model, frames, side)
    model(sample, when, conditions)
    taken = []
    for _ in range(repeats):
        start = time.process_time()
        model(sample, when, conditions)
        taken.append(time.process_time() - start)
    return 1000 * min(taken) / frames


def compact(frames: int, repeats: int) -> None:
    torch.set_num_threads(1)
    print(
        "| widths | attending levels | patch | crop | M parameters | float16 MB | G multiply-adds "
        "| fp32 ms | bf16 ms |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for widths, attending, patch, sides in CANDIDATES:
        config = candidate(widths, attending, patch)
        size = sum(millions(build_denoiser(config)).values())
        for side in sides:
            work = sum(multiply_adds(config, frames, side).values())
            single, half = (
                cpu_ms_per_frame(config, frames, side, dtype, repeats)
                for dtype in (torch.float32, torch.bfloat16)
            )
            print(
                f"| {', '.join(map(str, widths))} | {attending} | {patch} | {side}² | {size:.1f} "
                f"| {2 * size:.1f} | {work:.2f} | {single:.0f} | {half:.0f} |",
                flush=True,
            )
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


@torch.inference_mode()
def cuda_ms_per_frame(config: DenoiserConfig, frames: int, side: int, rows: int) -> tuple[float, float]:
    """Milliseconds per frame and step in bfloat16, for a batch of guidance terms, and peak GiB."""
    with torch.device("cuda"):
        model = build_denoiser(config).to(torch.bfloat16)
        model = model.to(memory_format=torch.channels_last)  # pyright: ignore
        sample, when, conditions = inputs(model, frames, side)
    sample, when = sample.repeat(rows, 1, 1, 1, 1), when.repeat(rows)
    conditions = Conditions.stack([conditions] * rows)
    step = torch.compile(model)
    for _ in range(3):
        step(sample, when, conditions)
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(10):
        step(sample, when, conditions)
    torch.cuda.synchronize()
    return 100 * (time.perf_counter() - start) / frames, torch.cuda.max_memory_allocated() / 2**30


def full() -> None:
    for name in ("auhead", "emodiffhead", "landmark"):
        config, frames = DENOISER_PRESETS[name].config, 16
        with torch.device("meta"):
            size = millions(build_denoiser(config))
        work = multiply_adds(config, frames, 64)
        print(f"\n{name}, 512², {frames} frames, cached reference, per frame and step")
        print("| part | M parameters | G multiply-adds |")
        print("|---|---|---|")
        for part in size:
            print(f"| {part} | {size[part]:.1f} | {work[part]:.1f} |")
        print(f"| all | {sum(size.values()):.1f} | {sum(work.values()):.1f} |", flush=True)
        if torch.cuda.is_available():
            for rows in (1, 3, 4):
                ms, gib = cuda_ms_per_frame(config, frames, 64, rows)
                print(f"{rows} evaluations at once: {ms:.1f} ms per frame and step, {gib:.1f} GiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    warnings.filterwarnings("ignore", category=FutureWarning)
    if options.full:
        full()
    else:
        compact(options.frames, options.repeats)


if __name__ == "__main__":
    main()
