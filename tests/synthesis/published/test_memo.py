"""MEMO against numbers of its original code."""

from functools import cache

import pytest
import torch
from parity import (
    EXACT,
    SINGLE,
    assert_near,
    frames_first,
    needs_parity,
    numbers,
    state_of,
    tiny_space,
)

from auteur.synthesis.published.memo import Memo, MemoConditions
from auteur.synthesis.published.memory import Memory
from auteur.synthesis.published.projections import AudioProjection, ImageProjection
from auteur.synthesis.published.schedule import LoopSettings, ShiftlessFlow
from auteur.synthesis.published.sizes import unet_sizes

pytestmark = [needs_parity, pytest.mark.slow]
MODEL = "memo"
BOTH = pytest.mark.parametrize(("dtype", "near"), [(torch.float64, EXACT), (torch.float32, SINGLE)])


def shapes(net: str) -> dict[str, tuple[int, ...]]:
    return {k: tuple(v.shape) for k, v in state_of(MODEL, net).items()}


@cache
def model(dtype: torch.dtype) -> Memo:
    made = Memo(
        unet_sizes(shapes("diffusion_net"), "unet"),
        image=ImageProjection.sizes(shapes("image_proj")),
        audio=AudioProjection.sizes(shapes("audio_proj")),
    )
    for name in ("diffusion_net", "reference_net", "image_proj", "audio_proj"):
        made.get_submodule(name).load_state_dict(state_of(MODEL, name))
    return made.to(dtype).eval().requires_grad_(False)


@BOTH
def test_projections(dtype: torch.dtype, near: float) -> None:
    stored, one = numbers(MODEL, "projections", dtype), model(dtype)
    assert_near(one.image_proj(stored["image_proj.input"]), stored["image_proj.output"], near)
    assert_near(one.image_proj(torch.zeros_like(stored["image_proj.input"])), stored["image_proj.null"], near)
    assert_near(one.audio_proj(stored["audio_proj.input"][0]), stored["audio_proj.output"][0], near)


@BOTH
def test_network_and_memory(dtype: torch.dtype, near: float) -> None:
    stored, one = numbers(MODEL, "networks", dtype), model(dtype)
    features = one.portrait(stored["reference_latents"], stored["context"])
    for place, found in features.items():
        kind, *index = place.split("_")
        key = "reference.mid.0.0" if kind == "mid" else f"reference.{kind}.{index[0]}.{index[1]}"
        assert_near(found, stored[key], near)
    memory, given = Memory(), conditions(dtype, "first")

    def predict(starts: bool, adds: bool) -> torch.Tensor:
        memory.starts, memory.adds = starts, adds
        encoded = stored["context"], stored["audio"], stored["emotion"].long()
        sample = frames_first(stored["sample"])
        return one.prediction(sample, float(stored["timestep"]), encoded, features, given, memory)

    def check_memory(moment: str) -> None:
        keys = [k for k in stored if k.startswith("memory.") and k.endswith(moment)]
        assert keys
        for key in keys:
            name = key.removeprefix("memory.").split(".")
            place = f"{name[0].split('_')[0]}_{name[1]}_{name[3]}"
            sums = memory.sums[place, int(name[4])][0 if "KV" in name[5] else 1]
            assert_near(sums.flatten(0, 1).reshape(stored[key].shape), stored[key], near)

    assert_near(predict(True, True), frames_first(stored["output.new"]), near)
    check_memory("_first")
    assert_near(predict(False, True), frames_first(stored["output.continued_first_step"]), near)
    check_memory("_second")
    assert_near(predict(False, False), frames_first(stored["output.continued_later_step"]), near)


@BOTH
def test_flow(dtype: torch.dtype, near: float) -> None:
    stored = numbers(MODEL, "pipeline", dtype)
    for steps in (2, 4, 20):
        flow = ShiftlessFlow(steps)
        assert_near(torch.tensor(flow.levels), stored[f"sigmas_{steps}"], EXACT)
        assert_near(torch.tensor(flow.times), stored[f"timesteps_{steps}"], 1e-3)


def conditions(dtype: torch.dtype, case: str) -> MemoConditions:
    stored, pipeline = numbers(MODEL, "projections", dtype), numbers(MODEL, "pipeline", dtype)
    frames = slice(0, 4) if case == "first" else slice(4, 8)
    return MemoConditions(
        embedding=stored["image_proj.input"],
        audio=stored["audio_proj.input"][0, frames],
        emotion=int(pipeline[f"{case}.emotion"].mode().values),
    )


@BOTH
def test_whole_loop_of_a_video(dtype: torch.dtype, near: float) -> None:
    stored, one = numbers(MODEL, "pipeline", dtype), model(dtype)
    memory = Memory()
    for case in ("first", "second"):
        found = one.window(
            frames_first(stored[f"{case}.noise"]),
            reference=0.18215 * stored[f"{case}.reference_means"],
            given=conditions(dtype, case),
            memory=memory,
            settings=LoopSettings(steps=2),
        )
        assert_near(found, frames_first(stored[f"{case}.latents_1"]), near)
    made = one.generate(
        2,
        noise=[frames_first(stored[f"{case}.noise"]) for case in ("first", "second")].__getitem__,
        portrait=stored["portrait"][0],
        given=[conditions(dtype, case) for case in ("first", "second")].__getitem__,
        latents=tiny_space(MODEL, dtype),
        settings=LoopSettings(steps=2),
        past=len(stored["first.reference_means"]) - 1,
    )
    for case, pictures in zip(("first", "second"), made, strict=True):
        assert_near(pictures / 2 + 0.5, frames_first(stored[f"{case}.video"])[0], near)
