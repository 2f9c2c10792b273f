"""Counts the cost of a training step of the papers' size without running one, for docs/reproduce.md.

    python benchmarks/training_cost.py

Networks are built on torch's "meta" device, which has shapes and no numbers: floating-point operations come
from `torch.utils.flop_counter`, kept activations from the tensors that autograd saves. `--check` times tiny
steps on this CPU at three widths, to see whether time follows the count.
"""

import time
from dataclasses import dataclass, replace

import torch
import tyro
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from auteur.expression.generator.network import ExpressionGenerator, GeneratorConfig
from auteur.lab.train.smoke.spots import MovingSpots, shrunk
from auteur.motion.generator import MotionConfig, MotionGenerator
from auteur.synthesis.conditions import Conditions
from auteur.synthesis.denoiser.builder import build_denoiser
from auteur.synthesis.denoiser.config import DenoiserConfig
from auteur.synthesis.denoiser.parts import train_only
from auteur.synthesis.denoiser.presets import DENOISER_PRESETS

PEAK_FLOPS = 312e12
"""NVIDIA A100, dense bfloat16."""
UTILISATION = 0.35
"""Assumed share of the peak that training reaches."""
SIDE = 64
"""Of latents at 512 px."""


@dataclass(frozen=True)
class Options:
    """What to count."""

    check: bool = False
    """Time tiny steps on this CPU instead."""


@dataclass(frozen=True)
class Step:
    """Cost of one clip in one training step."""

    name: str
    parameters: int
    learning: int
    flops: float
    """Forward and backward of one clip."""
    activation_bytes: int
    """Saved for the backward pass, at two bytes a number."""


def conditions_of(config: DenoiserConfig, frames: int) -> Conditions:
    """Everything that a model takes, on the meta device."""
    shapes: dict[str, tuple[int, ...]] = {"reference": (1, 4, SIDE, SIDE)}
    drawn = SIDE * (config.landmarks.downscale if config.landmarks else 8)
    if config.past:
        shapes["past"] = (1, config.past.frames, 4, SIDE, SIDE)
    if config.identity:
        shapes["identity"] = (1, 1, config.identity.features)
    if config.landmarks:
        shapes |= {"landmarks": (1, frames, 3, drawn, drawn), "landmarks_reference": (1, 3, drawn, drawn)}
    if config.au:
        numbers = (1, frames, config.au.action_units)
        shapes["au"] = numbers if config.au.form == "sequence" else (1, frames, 3, 512, 512)
    if config.expression:
        shapes["expression"] = (1, frames, config.expression.coefficients)
    if config.audio:
        shapes["audio"] = (1, frames, config.audio.window, config.audio.features)
    return Conditions(**{name: torch.zeros(shape, device="meta") for name, shape in shapes.items()})


def counted(name: str, parameters: int, learning: int, run) -> Step:
    """The cost of `run`, which returns a scalar to differentiate."""
    saved: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, torch.nn.Parameter):
            saved[id(tensor.untyped_storage())] = (
                2 * tensor.untyped_storage().nbytes() // tensor.element_size()
            )
        kept.append(tensor)
        return tensor

    kept: list[Tensor] = []
    with FlopCounterMode(display=False) as counter, saved_tensors_hooks(keep, lambda tensor: tensor):
        run().backward()
    return Step(name, parameters, learning, counter.get_total_flops(), sum(saved.values()))


def denoiser_step(name: str, phase: int) -> Step:
    """One clip of a phase of a preset."""
    plan = DENOISER_PRESETS[name]
    with torch.device("meta"):
        model = build_denoiser(plan.config).train().to("meta")
    learning = train_only(model, plan.phases[phase])
    frames = plan.frames[phase]
    given = conditions_of(plan.config, frames)
    noisy = torch.zeros(1, frames, 4, SIDE, SIDE, device="meta")
    answer = lambda: model(noisy, torch.zeros(1, device="meta"), given).square().mean()  # noqa: E731
    total = sum(one.numel() for one in model.parameters())
    return counted(f"{name}, phase {phase + 1}", total, sum(one.numel() for one in learning.values()), answer)


def motion_step() -> Step:
    """One window of 72 frames of paper C's generator at full size."""
    with torch.device("meta"):
        model = MotionGenerator(MotionConfig.full()).train().to("meta")
    total = sum(one.numel() for one in model.parameters())

    def answer() -> Tensor:
        condition = model.condition(
            torch.zeros(1, 72, 1024, device="meta"), torch.zeros(1, 72, 18, device="meta")
        )
        made = model(torch.zeros(1, 72, 96, device="meta"), condition)
        return made.coefficients.square().mean() + made.mode.square().mean() + made.kl

    return counted("motion, full", total, total, answer)


def generator_parameters() -> int:
    """Parameters of paper B's generator at full size."""
    with torch.device("meta"):
        return sum(one.numel() for one in ExpressionGenerator(GeneratorConfig.full()).parameters())


def check() -> None:
    """CPU seconds of a step against its count, at three widths."""
    torch.set_num_threads(1)
    for width in (16, 32, 64):
        config = shrunk(DENOISER_PRESETS["landmark"].config)
        config = config.changed(unet=replace(config.unet, widths=(width, 2 * width)))
        model = build_denoiser(config, seed=0).train()
        batch = MovingSpots(config).batch(4, 8, torch.Generator().manual_seed(0))

        def step(model=model, batch=batch) -> None:
            model(batch.clean, torch.full((4,), 500.0), batch.conditions).square().mean().backward()

        step()
        with FlopCounterMode(display=False) as counter:
            step()
        started = time.process_time()
        for _ in range(3):
            step()
        used = (time.process_time() - started) / 3
        flops = counter.get_total_flops()
        print(
            f"widths {width}, {2 * width}: {flops / 1e9:.2f} GFLOP, {used:.3f} s, "
            f"{flops / used / 1e9:.1f} GFLOP/s"
        )


def main(options: Options) -> None:
    """Prints the table."""
    if options.check:
        check()
        return
    steps = [
        denoiser_step(name, phase)
        for name in ("auhead", "emodiffhead", "landmark")
        for phase in range(len(DENOISER_PRESETS[name].phases))
    ]
    steps.append(motion_step())
    for one in steps:
        seconds = one.flops / (PEAK_FLOPS * UTILISATION)
        print(
            f"{one.name:22} {one.parameters / 1e6:8.1f} M, learning {one.learning / 1e6:8.1f} M, "
            f"{one.flops / 1e12:8.3f} TFLOP a clip, {seconds:7.4f} s, "
            f"activations {one.activation_bytes / 2**30:6.2f} GiB"
        )
    print(f"expression-generator, full {generator_parameters() / 1e6:.2f} M")


if __name__ == "__main__":
    main(tyro.cli(Options))
