"""What the three models compute at a tiny size, against numbers that are kept here; needs nothing beside it.

`python test_kept_numbers.py` computes them anew. They were written where the same code agreed with numbers of
the original code (`test_aniportrait`, `test_hallo`, `test_memo`).
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from parity import EXACT, SINGLE, assert_near, noise
from safetensors.torch import load_file, save_file
from tiny_published import weighted
from torch import Tensor

from auteur.synthesis.published.control_picture import control_pictures
from auteur.synthesis.published.hallo import HalloConditions
from auteur.synthesis.published.memo import MemoConditions
from auteur.synthesis.published.memory import Memory
from auteur.synthesis.published.region_masks import region_masks
from auteur.synthesis.published.schedule import (
    LoopSettings,
    ShiftlessFlow,
    TrailingDDIM,
    linear_signal_levels,
)

pytestmark = pytest.mark.slow

KEPT = Path(__file__).parent / "data" / "kept.safetensors"
TWO_STEPS = LoopSettings(steps=2)
BOTH = pytest.mark.parametrize(("dtype", "near"), [(torch.float64, EXACT), (torch.float32, SINGLE)])


def some(name: str, *shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Numbers that look normal enough, from a name."""
    return torch.from_numpy(1.7 * noise(name, int(np.prod(shape)))).reshape(shape).to(dtype)


def face() -> np.ndarray:
    """Landmarks of no face, [478, 2] in 0 … 1."""
    angle = np.arange(478) * 2.399963
    radius = 0.05 + 0.3 * np.sqrt(np.arange(478) / 478)
    return np.stack([0.5 + radius * np.cos(angle), 0.48 + radius * np.sin(angle)], axis=-1)


def guider_maps() -> dict[str, Tensor]:
    drawings = control_pictures(
        np.stack([face() + 0.01 * step for step in range(3)]), width_px=64, height_px=64
    )
    guider = weighted("aniportrait").pose_guider
    read = 2 * drawings.permute(0, 3, 1, 2).double() - 1
    found = {
        f"guider.{kind}.{i}": m
        for kind in ("window", "stored")
        for i, m in enumerate(guider(read, statistics=kind))
    }
    sums = torch.stack([drawings.double().sum((2, 3)), drawings.double().sum((1, 3))])
    return found | {"drawings": drawings[:1].float(), "drawings.sums": sums}


def aniportrait(dtype: torch.dtype) -> dict[str, Tensor]:
    model = weighted("aniportrait", dtype, half_features=False)
    context, latents = some("context", 1, 1, 16, dtype=dtype), some("portrait", 1, 4, 16, 16, dtype=dtype)
    seen = model.portrait(latents, context)
    maps = [
        some(f"map {i}", 3, c, 16 >> s, 16 >> s, dtype=dtype)
        for i, (c, s) in enumerate([(32, 0), (32, 1), (64, 2), (128, 3), (128, 3)])
    ]
    sample = some("sample", 1, 3, 4, 16, 16, dtype=dtype)
    return {
        "aniportrait.features": torch.stack([t.mean() for t in seen.values()]),
        "aniportrait.guided": model.predict(
            sample.expand(2, -1, -1, -1, -1), 641, identity=context, portrait=seen, maps=maps
        ),
        "aniportrait.plain": model.predict(sample, 641, identity=context, portrait=None, maps=None),
    }


def aniportrait_loop() -> dict[str, Tensor]:
    drawings = control_pictures(
        np.stack([face() + 0.002 * step for step in range(18)]), width_px=128, height_px=128
    )
    made = weighted("aniportrait").generate(
        some("noise", 1, 18, 4, 16, 16),
        portrait=some("portrait", 1, 4, 16, 16),
        identity=some("context", 1, 1, 16),
        drawings=lambda numbers: drawings[list(numbers)],
        settings=TWO_STEPS,
    )
    return {"aniportrait.loop": made[:, ::5]}


def hallo(dtype: torch.dtype) -> dict[str, Tensor]:
    model = weighted("hallo", dtype, half_features=False)
    masks = region_masks(128 * face(), 128, 128)
    given = HalloConditions(
        embedding=some("embedding", 1, 20, dtype=dtype),
        audio=some("speech", 3, 5, 2, 16, dtype=dtype),
        face_box=masks.face_box.to(dtype),
        masks=masks.masks,
        scales=(1.0, 0.5, 2.0),
    )
    reference = some("reference", 3, 4, 16, 16, dtype=dtype)
    noises = some("noise", 1, 3, 4, 16, 16, dtype=dtype)
    made = model.window(noises, reference=reference, given=given, settings=TWO_STEPS)
    alone = model.window(noises, reference=reference, given=given, settings=LoopSettings(steps=1, guidance=1))
    model.tiling = "by_row"
    by_row = model.window(noises, reference=reference, given=given, settings=LoopSettings(steps=1))
    return {"hallo.loop": made, "hallo.unguided": alone, "hallo.by_row": by_row}


def memo(dtype: torch.dtype) -> dict[str, Tensor]:
    model, memory = weighted("memo", dtype), Memory()
    found: dict[str, Tensor] = {}
    for number, emotion in enumerate((3, 6)):
        given = MemoConditions(
            embedding=some("embedding", 1, 20, dtype=dtype),
            audio=some(f"speech {number}", 3, 5, 2, 16, dtype=dtype),
            emotion=emotion,
        )
        found[f"memo.window.{number}"] = model.window(
            some(f"noise {number}", 1, 3, 4, 16, 16, dtype=dtype),
            reference=some(f"reference {number}", 3, 4, 16, 16, dtype=dtype),
            given=given,
            memory=memory,
            settings=TWO_STEPS,
        )
    return found


def masks() -> dict[str, Tensor]:
    made = region_masks(256 * face(), 256, 256)
    return {f"masks.{level}": mask for level, mask in enumerate(made.masks)}


def schedules() -> dict[str, Tensor]:
    x, v = some("x", 2, 3), some("v", 2, 3)
    found = {"levels": linear_signal_levels()[::37]}
    for name, sampler in (("ddim", TrailingDDIM(3)), ("flow", ShiftlessFlow(3))):
        found |= {f"{name}.{index}": sampler.step(x, v, index) for index in range(3)}
        found[f"{name}.times"] = torch.tensor([float(time) for time in sampler.times])
    return found


def check(found: dict[str, Tensor], near: float) -> None:
    kept = load_file(KEPT)
    for name, value in found.items():
        scale = max(1.0, float(kept[name].abs().max()))
        assert_near(value / scale, kept[name] / scale, near)


def test_pose_guider_and_drawing() -> None:
    check(guider_maps(), EXACT)


@BOTH
def test_aniportrait(dtype: torch.dtype, near: float) -> None:
    check(aniportrait(dtype), near)


def test_aniportraits_loop_wraps_around() -> None:
    check(aniportrait_loop(), 2 * EXACT)  # the features are rounded to float16, which a last bit may turn


@BOTH
def test_hallo(dtype: torch.dtype, near: float) -> None:
    check(hallo(dtype), near)


@BOTH
def test_memo(dtype: torch.dtype, near: float) -> None:
    check(memo(dtype), near)


def test_masks_and_schedules() -> None:
    check(masks() | schedules(), EXACT)


def test_they_are_small() -> None:
    assert KEPT.stat().st_size < 300_000


if __name__ == "__main__":
    double = torch.float64
    every = [
        guider_maps(),
        aniportrait(double),
        aniportrait_loop(),
        hallo(double),
        memo(double),
        masks(),
        schedules(),
    ]
    KEPT.parent.mkdir(exist_ok=True)
    save_file({k: v.float().contiguous() for one in every for k, v in one.items()}, KEPT)
