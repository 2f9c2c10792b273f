"""AniPortrait against numbers of its original code."""

import json
from functools import cache

import numpy as np
import pytest
import torch
from parity import EXACT, ROOT, SINGLE, assert_near, frames_first, needs_parity, numbers, state_of
from PIL import Image
from torch import Tensor

from auteur.synthesis.published.aniportrait import AniPortrait
from auteur.synthesis.published.control_picture import control_pictures
from auteur.synthesis.published.pose_guider import drawn_input, guider_sizes
from auteur.synthesis.published.schedule import LoopSettings, TrailingDDIM, linear_signal_levels
from auteur.synthesis.published.sizes import unet_sizes
from auteur.synthesis.published.windows import wrapping_windows

pytestmark = [needs_parity, pytest.mark.slow]
MODEL = "aniportrait"
BOTH = pytest.mark.parametrize(("dtype", "near"), [(torch.float64, EXACT), (torch.float32, SINGLE)])


@cache
def model(dtype: torch.dtype) -> AniPortrait:
    unet, reference, guider = (
        state_of(MODEL, n) for n in ("denoising_unet", "reference_unet", "pose_guider")
    )
    sizes = unet_sizes({k: tuple(v.shape) for k, v in unet.items()}, "unet")
    made = AniPortrait(
        sizes, guider_sizes({k: tuple(v.shape) for k, v in guider.items()}), half_features=False
    )
    made.denoising_unet.load_state_dict(unet)
    wanted = made.reference_unet.state_dict().keys()
    made.reference_unet.load_state_dict({k: v for k, v in reference.items() if k in wanted})
    made.pose_guider.load_state_dict(guider)
    return made.to(dtype).eval().requires_grad_(False)


def maps_of(kind: str, dtype: torch.dtype) -> list[Tensor]:
    stored = numbers(MODEL, "pose_guider", dtype)
    return [stored[f"{kind}.{index}"][0].transpose(0, 1) for index in range(5)]


@pytest.mark.parametrize(("kind", "statistics"), [("train", "window"), ("eval", "stored")])
def test_pose_guider(kind: str, statistics) -> None:
    drawings = numbers(MODEL, "pose_guider")["pose_images_uint8"]
    found = model(torch.float64).pose_guider(drawn_input(drawings).double(), statistics=statistics)
    for one, wanted in zip(found, maps_of(kind, torch.float64), strict=True):
        assert_near(one, wanted, EXACT)


def test_pose_guider_reads_drawings_that_are_not_divided() -> None:
    stored = numbers(MODEL, "pose_guider")
    read = drawn_input(stored["pose_images_uint8"]).double()
    assert_near(read, stored["input"][0].transpose(0, 1), 0)
    unit = model(torch.float64).pose_guider((read + 1) / 255 - 1)[0]
    assert_near(unit, stored["train_of_unit_range"][0].transpose(0, 1), EXACT)


@BOTH
def test_reference_features(dtype: torch.dtype, near: float) -> None:
    stored = numbers(MODEL, "networks", dtype)
    found = model(dtype).portrait(stored["reference_latent"], stored["context"])
    assert len(found) == 16
    for place, tokens in found.items():
        kind, *index = place.split("_")
        block = "mid_block" if kind == "mid" else f"{kind}_blocks.{index[0]}"
        assert_near(tokens, stored[f"bank.{block}.attentions.{index[-1]}.transformer_blocks.0"], near)


@BOTH
@pytest.mark.parametrize(
    ("name", "posed", "seen"), [("plain", False, False), ("posed", True, False), ("full", True, True)]
)
def test_network(name: str, posed: bool, seen: bool, dtype: torch.dtype, near: float) -> None:
    stored = numbers(MODEL, "networks", dtype)
    one = model(dtype)
    portrait = one.portrait(stored["reference_latent"], stored["context"]) if seen else None
    found = one.predict(
        frames_first(stored["sample"]),
        641,
        identity=stored["context"],
        portrait=portrait,
        maps=maps_of("train", dtype) if posed else None,
    )
    assert_near(found, frames_first(stored[f"{name}.output"]), near)


@BOTH
def test_motion_module_normalises_frame_by_frame(dtype: torch.dtype, near: float) -> None:
    stored = numbers(MODEL, "networks", dtype)
    given = frames_first(stored["motion.input"])
    found = model(dtype).denoising_unet.module_at("motion_modules", "down_0_0")(
        given.flatten(0, 1), given.shape[1]
    )
    assert_near(found.unflatten(0, given.shape[:2]), frames_first(stored["motion.output"]), near)


@BOTH
def test_scheduler(dtype: torch.dtype, near: float) -> None:
    stored = numbers(MODEL, "scheduler", dtype)
    # In float32; its last bit follows from the processor's vectors, here as in the original.
    assert_near(linear_signal_levels(), stored["alphas_cumprod"], 1e-6)
    for steps in (2, 3, 4, 20, 25, 30, 40):
        assert TrailingDDIM(steps).times == stored[f"timesteps_{steps}"].tolist()
    for steps in (3, 4):
        sampler = TrailingDDIM(steps)
        for index in range(steps):
            made = sampler.step(stored["step_sample"], stored["step_prediction"], index)
            assert_near(made, stored[f"step_{steps}_{index}"], near)


def test_windows() -> None:
    for frames, wanted in json.loads((ROOT / MODEL / "windows.json").read_text()).items():
        assert wrapping_windows(int(frames)) == wanted


def test_control_pictures_have_the_original_pixels() -> None:
    folder = ROOT / MODEL / "drawing"
    landmarks = np.load(folder / "landmarks.npz")["landmarks"]
    moved = landmarks.astype(np.float32).copy()
    moved[:, 0] += np.float32(0.35)
    moved[:, 1] -= np.float32(0.2)
    cases = {
        "normed_512": (landmarks, 512, 512),
        "outside_512": (moved, 512, 512),
        "normed_256": (landmarks, 256, 256),
        "normed_640x360": (landmarks, 640, 360),
    }
    for name, (points, width, height) in cases.items():
        drawn = control_pictures(points[None], width_px=width, height_px=height)[0].numpy()
        wanted = np.array(Image.open(folder / f"{name}.png"))
        assert (drawn != wanted).sum() == 0, name


@pytest.mark.parametrize("case", ["short", "unguided", "short_fp16bank"])
def test_whole_loop(case: str) -> None:
    stored, drawings = numbers(MODEL, "pipeline"), numbers(MODEL, "pose_guider")["pose_images_uint8"]
    one = model(torch.float64)
    one.half_features = case == "short_fp16bank"
    try:
        found = one.generate(
            frames_first(stored["unguided.noise" if case == "unguided" else "short.noise"]),
            portrait=0.18215 * stored["short.reference_mean"],
            identity=stored["short.clip_embedding"][:, None],
            drawings=lambda numbers: drawings[list(numbers)],
            settings=LoopSettings(steps=2, guidance=1.0 if case == "unguided" else 3.5),
        )
    finally:
        one.half_features = False
    key = f"{case}.latents_1" if f"{case}.latents_1" in stored else f"{case}.latents_0"
    assert_near(found, frames_first(stored[key]), EXACT if case != "short_fp16bank" else SINGLE)


def test_whole_loop_of_two_windows_that_wrap_around() -> None:
    stored = numbers(MODEL, "pipeline")
    drawings = torch.from_numpy(np.load(ROOT / MODEL / "drawing" / "frames20.npz")["drawings"])
    steps: list[tuple[int, int]] = []
    found = model(torch.float64).generate(
        frames_first(stored["long.noise"]),
        portrait=0.18215 * stored["short.reference_mean"],
        identity=stored["short.clip_embedding"][:, None],
        drawings=lambda numbers: drawings[list(numbers)],
        settings=LoopSettings(steps=2),
        on_step=lambda done, total: steps.append((done, total)),
    )
    assert_near(found, frames_first(stored["long.latents_1"]), EXACT)
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
