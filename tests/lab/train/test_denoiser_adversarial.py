"""The one-step student: it comes nearer to the truth, its discriminator learns, bad teachers are refused."""

import json

import pytest
import torch

pytest.importorskip("accelerate", reason="needs pip install 'auteur-face[train]'")

from auteur.errors import UsageError
from auteur.evaluate.face_features import FaceFeatureNet
from auteur.lab.data.denoiser_clips import ClipBatch
from auteur.lab.data.shards import Corpora
from auteur.lab.train.denoiser_adversarial import AdversarialRecipe, distil, student_of
from auteur.lab.train.patch_discriminator import (
    PatchDiscriminator,
    jittered,
    mean_of_painted,
    perceptual_loss,
    seam_loss,
    split_error,
)
from auteur.lab.train.smoke.spots import MovingSpots, shrunk
from auteur.synthesis.denoiser.builder import build_denoiser
from auteur.synthesis.denoiser.presets import DENOISER_PRESETS
from auteur.synthesis.denoiser.seam_refiner import SeamRefinerConfig
from auteur.synthesis.denoiser.storage import load_denoiser, save_denoiser

pytestmark = pytest.mark.slow

CONFIG = shrunk(DENOISER_PRESETS["compact"].config)


def clips(rows: int, frames: int, generator: torch.Generator) -> ClipBatch:
    batch = MovingSpots(CONFIG).batch(rows, frames, generator)
    return ClipBatch(batch.clean, batch.conditions, torch.ones_like(batch.clean[:, :, :1]))


def recipe(folder, **given) -> AdversarialRecipe:
    settings = {
        "steps": 60, "rows": 4, "start_after": 40, "learning_rate": 5e-3, "discriminator_widths": (8, 16),
        "average_decay": 0.8, "warm_up_steps": 5, "evaluate_every_steps": 0, "log_every_steps": 1,
        "precision": "no",
    }  # fmt: skip
    return AdversarialRecipe(
        teacher=folder, data=Corpora(shards=(folder,)), out=folder, **{**settings, **given}
    )


def one_step_error(denoiser) -> float:
    batch = clips(16, 1, torch.Generator().manual_seed(7))
    noise = torch.randn(batch.clean.shape, generator=torch.Generator().manual_seed(8))
    time = torch.ones(16, dtype=torch.float64)
    process = denoiser.config.noising
    with torch.no_grad():
        v = denoiser.eval()(noise, process.model_time(time).float(), batch.conditions)
    return float((process.clean(noise, v, time) - batch.clean).square().mean())


def test_one_step_comes_nearer_to_the_truth(tmp_path):
    denoiser = build_denoiser(CONFIG, seed=0)
    before = one_step_error(denoiser)
    path = distil(denoiser, recipe(tmp_path), clips)
    after = one_step_error(load_denoiser(path))
    assert after < 0.7 * before, (before, after)
    lines = [json.loads(line) for line in (tmp_path / "denoiser.jsonl").read_text().splitlines()]
    assert len(lines) == 60


def test_single_frames_leave_what_looks_at_others_as_it_was(tmp_path):
    denoiser = build_denoiser(CONFIG, seed=0)
    start = {name: value.clone() for name, value in denoiser.state_dict().items()}
    distil(denoiser, recipe(tmp_path, steps=3, start_after=1), clips)
    after = denoiser.state_dict()
    moved = {name for name, value in after.items() if not torch.equal(value, start[name])}
    assert moved and not any(name.startswith(("temporal.", "conditioners.past.")) for name in moved)


def test_a_discriminator_learns_to_separate_noise_from_smooth_pictures():
    torch.manual_seed(0)
    judge = PatchDiscriminator(4, (8, 16))
    optimizer = torch.optim.Adam(judge.parameters(), lr=1e-2)
    shown = torch.zeros(8, 1, 16, 16)
    for _ in range(60):
        smooth = torch.linspace(-1, 1, 16).expand(8, 3, 16, 16) * torch.rand(8, 1, 1, 1)
        noisy = smooth + 0.3 * torch.randn(8, 3, 16, 16)
        loss = (1 - judge(smooth, shown)[0]).relu().mean() + (1 + judge(noisy, shown)[0]).relu().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 1.0  # 2 without any separation


def test_a_teacher_without_last_layers_gets_some_that_change_nothing_at_first(tmp_path):
    teacher = build_denoiser(CONFIG.changed(finish=None), seed=0)
    save_denoiser(teacher, tmp_path / "teacher.safetensors")
    student = student_of(tmp_path / "teacher.safetensors")
    assert teacher.finish is None and student.finish is not None
    assert one_step_error(student) == pytest.approx(one_step_error(teacher), rel=1e-5)
    save_denoiser(student, tmp_path / "student.safetensors")
    assert student_of(tmp_path / "student.safetensors").config == student.config


def test_a_student_without_a_conditioner_keeps_the_rest_of_its_teacher(tmp_path):
    path = tmp_path / "teacher.safetensors"
    teacher = build_denoiser(CONFIG, seed=0)
    save_denoiser(teacher, path)
    student = student_of(path, ("reference", "past"))
    assert set(CONFIG.condition_names) - set(student.condition_names) == {"reference", "past"}
    kept, given = student.state_dict(), teacher.state_dict()
    assert kept and all(torch.equal(value, given[name]) for name, value in kept.items())
    with pytest.raises(UsageError, match=r"without names pasta; .* has reference, "):
        student_of(path, ("pasta",))


def test_new_last_layers_alone_learn_and_the_rest_stays(tmp_path):
    path = tmp_path / "teacher.safetensors"
    teacher = build_denoiser(CONFIG, seed=0)
    save_denoiser(teacher, path)
    wide = SeamRefinerConfig(width=8, levels=3)
    student = student_of(path, finish=wide)
    assert student.config.finish == wide
    bare = student_of(path)
    bare.finish = None
    assert one_step_error(student) == pytest.approx(one_step_error(bare), rel=1e-5)
    settings = recipe(tmp_path / "run", learns=("finish",), steps=4, start_after=1)
    distil(student, settings, clips)
    given = teacher.state_dict()
    for name, value in student.state_dict().items():
        is_new = name.startswith("finish.")
        assert is_new or torch.equal(value, given[name]), name
    assert student.finish is not None and student.finish.layers[-1].weight.abs().max() > 0
    with pytest.raises(UsageError, match="no part 'teeth'"):
        distil(student, recipe(tmp_path / "other", learns=("teeth",)), clips)
    with pytest.raises(UsageError, match="0 levels"):
        recipe(tmp_path, finish_width=8, finish_levels=0)


def test_gains_of_contrast_are_those_that_a_haze_lacks(tmp_path):
    def hazy(rows: int, frames: int, generator: torch.Generator) -> ClipBatch:
        batch = clips(rows, frames, generator)
        clean = batch.clean.flatten(0, 1)
        haze = torch.nn.functional.interpolate(torch.nn.functional.avg_pool2d(clean, 4), clean.shape[-2:])
        warped = torch.cat([haze, torch.zeros_like(haze[:, :1])], dim=1).unflatten(0, (rows, frames))
        return ClipBatch(batch.clean, batch.conditions.replace(warped=warped), batch.region)

    denoiser = build_denoiser(CONFIG, seed=0)  # paints next to nothing onto the warp
    path = distil(denoiser, recipe(tmp_path, steps=2, learning_rate=1e-6), hazy, unchanged=hazy)
    gains = load_denoiser(path).config.contrast
    assert gains[0] > 1.3 and all(1 <= gain <= 2 for gain in gains)


@pytest.mark.parametrize("detail", [0.0, 0.25, 1.0])
def test_an_error_within_squares_counts_by_detail_and_that_of_their_means_in_full(detail):
    lattice = torch.ones(1, 1, 8, 8)
    lattice[..., ::2] = -1
    assert float(split_error(lattice, detail)) == pytest.approx(detail)
    assert float(split_error(torch.full((1, 1, 8, 8), 0.5), detail)) == pytest.approx(0.25)


def test_patches_count_by_their_painted_share():
    values, mask = torch.tensor([[[[1.0, 5.0]]]]), torch.zeros(1, 1, 4, 8)
    assert float(mean_of_painted(values, mask)) == 3
    mask[..., 4:] = 1
    assert float(mean_of_painted(values, mask)) == 5
    mask[..., :2] = 1
    assert float(mean_of_painted(values, mask)) == pytest.approx((0.5 * 1 + 5) / 1.5)


def test_a_lattice_is_penalised_and_a_smooth_error_is_not():
    real, mask = torch.zeros(2, 3, 64, 64), torch.zeros(2, 1, 64, 64)
    mask[..., 16:48, 16:48] = 1
    stripes = 0.1 * (torch.arange(64) % 4 == 0) * mask.expand(2, 3, -1, -1)
    smooth = torch.linspace(-0.3, 0.3, 64) * mask.expand(2, 3, -1, -1)
    assert float(seam_loss(stripes, real, mask, 4)) > 10 * float(seam_loss(smooth, real, mask, 4))
    assert float(seam_loss(real, real, mask, 4)) == 0
    assert (
        float(seam_loss(real[..., :8, :8], real[..., :8, :8], mask[..., :8, :8], 4)) == 0
    )  # too small for one


def test_pictures_are_moved_together_before_they_are_judged():
    first = torch.arange(64.0).expand(1, 1, 64, 64)
    places = set()
    for seed in range(12):
        one, other = jittered((first, 2 * first), torch.Generator().manual_seed(seed))
        assert one.shape == (1, 1, 56, 56) and torch.equal(2 * one, other)
        places.add(float(one[0, 0, 0, 0]))
    assert len(places) > 4


def test_unlikeness_is_0_for_the_same_and_falls_along_its_gradient():
    net, generator = FaceFeatureNet(), torch.Generator().manual_seed(0)
    real = torch.rand(2, 3, 32, 32, generator=generator) * 2 - 1
    laid = (real + 0.3 * torch.randn(real.shape, generator=generator)).requires_grad_(True)
    assert float(perceptual_loss(net, real, real)) == pytest.approx(0, abs=1e-6)
    far = perceptual_loss(net, laid, real)
    (gradient,) = torch.autograd.grad(far, laid)
    laid, far = laid.detach(), far.detach()
    nearer = laid - 0.02 * gradient / gradient.abs().max()
    assert 0 < float(perceptual_loss(net, nearer, real)) < float(far)


def test_refused(tmp_path):
    bare = CONFIG.changed(warped=None, anchor_deviation=None)
    with pytest.raises(UsageError, match="from the warped portrait"):
        distil(build_denoiser(bare, seed=0), recipe(tmp_path), clips)
    with pytest.raises(UsageError, match="photo_share is 1"):
        recipe(tmp_path, photo_share=1.0)
    with pytest.raises(UsageError, match="one_step is 0"):
        recipe(tmp_path, one_step=0)
    with pytest.raises(UsageError, match=r"detail is 1.5; it must be in \[0, 1\]"):
        recipe(tmp_path, detail=1.5)
