"""A denoiser made with fewer libraries around diffusers computes the same."""

import subprocess
import sys

import pytest

pytest.importorskip("diffusers")

PROGRAM = """
import sys, torch
from contextlib import nullcontext
from auteur.cli.imports import only_layers_of_diffusers

torch.set_num_threads(1)
with only_layers_of_diffusers() if sys.argv[1] == "few" else nullcontext():
    from auteur.synthesis.conditions import Conditions
    from auteur.synthesis.denoiser.builder import build_denoiser
    from auteur.synthesis.denoiser.config import DenoiserConfig, TemporalConfig, UNetConfig

    unet = UNetConfig(widths=(8, 16), attends=(False, True), layers=1, heads=2, groups=4, context_width=None)
    temporal = TemporalConfig(levels=(False, True), heads=2, groups=4, longest_window=4)
    config = DenoiserConfig(channels=3, unet=unet, temporal=temporal)
    with torch.device("meta"):
        build_denoiser(config)
    denoiser = build_denoiser(config, seed=0)
held = [name for name in ("torch._dynamo", "transformers", "peft", "scipy") if name in sys.modules]
sample = torch.randn(1, 3, 3, 16, 16, generator=torch.Generator().manual_seed(1))
with torch.no_grad():
    made = denoiser(sample, torch.tensor([500.0]), Conditions())
import scipy.special, torch._dynamo
assert torch._dynamo.is_compiling() is False
print(made.double().abs().sum().item(), ",".join(held))
"""


def run(which: str) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, which], capture_output=True, text=True, check=True, timeout=300
    )
    total, _, held = done.stdout.splitlines()[-1].partition(" ")
    return total, held


def test_the_same_numbers_from_fewer_libraries():
    pytest.importorskip("scipy")
    few, all_of_them = run("few"), run("all")
    assert few[0] == all_of_them[0]
    assert few[1] == ""
    assert "torch._dynamo" in all_of_them[1]
