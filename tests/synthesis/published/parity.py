"""Numbers that the original code computed, and the weights that it computed them with."""

import hashlib
import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from auteur.synthesis.pretrained.latents import LatentSpace

ROOT = Path(__file__).parents[4] / "shared" / "parity"

needs_parity = pytest.mark.skipif(
    not ROOT.is_dir(), reason="../shared/parity is absent: numbers of the original code"
)

EXACT = 1e-6
"""Allowed difference in float64: the references are stored as float32."""
SINGLE = 1e-4
"""In float32."""


def noise(name: str, count: int) -> np.ndarray:
    """Hashed numbers in [-1, 1): splitmix64 seeded by a name."""
    seed = np.uint64(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "little"))
    with np.errstate(over="ignore"):
        x = seed + (np.arange(count, dtype=np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x = x ^ (x >> np.uint64(31))
    return 2.0 * (x >> np.uint64(40)).astype(np.float64) / 2.0**24 - 1.0


def weight(net: str, key: str, shape: tuple[int, ...]) -> Tensor:
    """The numbers of a tensor, from its name and shape; no layer is zero."""
    v = noise(f"{net}/{key}", int(np.prod(shape, dtype=np.int64)))
    if key.endswith("running_var"):
        v = 1 + 0.5 * v
    elif key.endswith(("running_mean", "bias")):
        v = 0.1 * v
    elif len(shape) >= 2:
        v = v * np.sqrt(3.0 / np.prod(shape[1:], dtype=np.int64))
    elif key.endswith("scale"):
        v = 2 + 0.2 * v
    elif key.endswith(".weight"):
        v = 1 + 0.2 * v
    else:
        v = 0.5 * v
    return torch.from_numpy(v.astype(np.float32).reshape(shape))


def state(net: str, shapes: dict[str, tuple[int, ...]], kept: dict[str, Tensor]) -> dict[str, Tensor]:
    """A network's tensors: hashed, but for what the network makes itself (positions, counters)."""
    return {
        key: kept[key].clone() if key in kept else weight(net, key, shape) for key, shape in shapes.items()
    }


@cache
def shapes_of(model: str, size: str) -> dict[str, dict[str, tuple[int, ...]]]:
    content = json.loads((ROOT / model / f"keys_{size}.json").read_text())
    return {net: {key: tuple(shape) for key, shape in keys.items()} for net, keys in content.items()}


@cache
def state_of(model: str, net: str) -> dict[str, Tensor]:
    """The original's tensors of a tiny network, with its names."""
    path = ROOT / model / "kept.safetensors"
    kept = {}
    if path.exists():
        kept = {k.removeprefix(f"{net}/"): v for k, v in load_file(path).items() if k.startswith(f"{net}/")}
    return state(net, shapes_of(model, "tiny")[net], kept)


@cache
def _numbers(path: Path) -> dict[str, Tensor]:
    return load_file(path)


def numbers(model: str, file: str, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    """The stored inputs and results of a file."""
    found = _numbers(ROOT / model / f"{file}.safetensors")
    return {k: v.to(dtype) if v.is_floating_point() else v for k, v in found.items()}


def frames_first(video: Tensor) -> Tensor:
    """[B, C, F, h, w], as the originals have it, → [B, F, C, h, w]."""
    return video.transpose(1, 2)


def assert_near(found: Tensor, wanted: Tensor, tolerance: float) -> None:
    assert found.shape == wanted.shape
    difference = float((found.double() - wanted.double()).abs().max())
    assert difference <= tolerance, f"differs by {difference:.3g}"


def kept_name(place: str) -> str:
    """The original's name of what a layer's self-attention reads."""
    kind, *index = place.split("_")
    block = "mid_block" if kind == "mid" else f"{kind}_blocks.{index[0]}"
    return f"{block}.attentions.{index[-1]}.transformer_blocks.0"


def fit(module: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Loads what a network has of a file; a ReferenceNet leaves what follows its last attention."""
    wanted = module.state_dict().keys()
    module.load_state_dict({key: value for key, value in tensors.items() if key in wanted})


def tiny_vae(model: str, dtype: torch.dtype):
    """The tiny autoencoder of the references."""
    diffusers = pytest.importorskip("diffusers")
    config = json.loads((ROOT / model / "config_vae.json").read_text())
    vae = diffusers.AutoencoderKL.from_config(config)
    vae.load_state_dict(state_of(model, "vae"))
    return vae.to(dtype).eval().requires_grad_(False)


@cache
def tiny_space(model: str, dtype: torch.dtype) -> LatentSpace:
    """Between pictures and latents by that autoencoder."""
    space = LatentSpace.__new__(LatentSpace)
    space._vae, space._count = tiny_vae(model, dtype), 4
    return space
