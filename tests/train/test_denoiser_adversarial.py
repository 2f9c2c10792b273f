"""The one-step student: it comes nearer to the truth, its discriminator learns, bad teachers are refused."""

import json
from dataclasses import replace

import pytest
import torch

pytest.importorskip("diffusers", reason="needs pip install 'auteur-face[full]'")
pytest.importorskip("accelerate", reason="needs pip install 'auteur-face[full]'")

from auteur.data.denoiser_clips import ClipBatch
from auteur.errors import UsageError
from auteur.synthesis.denoiser.builder import build_denoiser
from auteur.synthesis.denoiser.presets import PRESETS
from auteur.synthesis.denoiser.storage import load_denoiser
from auteur.train.denoiser_adversarial import AdversarialRecipe, PatchJudge, distil
from auteur.train.denoiser_smoke import SmokeClips, shrunk

CONFIG = shrunk(PRESETS["compact"].config)


def clips(rows: int, frames: int, generator: torch.Generator) -> ClipBatch:
    batch = SmokeClips(CONFIG).batch(rows, frames, generator)
    return ClipBatch(batch.clean, batch.conditions, torch.ones_like(batch.clean[:, :, :1]))


def recipe(folder, **given) -> AdversarialRecipe:
    settings = {
        "steps": 60, "rows": 4, "start_after": 40, "learning_rate": 5e-3, "judge_widths": (8, 16),
        "average_decay": 0.8, "warm_up_steps": 5, "watch_every": 0, "log_every": 1, "precision": "no",
    }  # fmt: skip
    return AdversarialRecipe(teacher=folder, clips=folder, out=folder, **{**settings, **given})


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
    path = distil(denoiser, recipe(tmp_path), clips, None)
    after = one_step_error(load_denoiser(path))
    assert after < 0.7 * before, (before, after)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert len(lines) == 60


def test_single_frames_leave_what_looks_at_others_as_it_was(tmp_path):
    denoiser = build_denoiser(CONFIG, seed=0)
    start = {name: value.clone() for name, value in denoiser.state_dict().items()}
    distil(denoiser, recipe(tmp_path, steps=3, start_after=1), clips, None)
    after = denoiser.state_dict()
    moved = {name for name, value in after.items() if not torch.equal(value, start[name])}
    assert moved and not any(name.startswith(("temporal.", "plugs.past.")) for name in moved)


def test_a_judge_learns_to_tell_noise_from_smooth_pictures():
    torch.manual_seed(0)
    judge = PatchJudge(4, (8, 16))
    optimizer = torch.optim.Adam(judge.parameters(), lr=1e-2)
    shown = torch.zeros(8, 1, 16, 16)
    for _ in range(60):
        smooth = torch.linspace(-1, 1, 16).expand(8, 3, 16, 16) * torch.rand(8, 1, 1, 1)
        noisy = smooth + 0.3 * torch.randn(8, 3, 16, 16)
        loss = (1 - judge(smooth, shown)[0]).relu().mean() + (1 + judge(noisy, shown)[0]).relu().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 1.0  # 2 when it cannot tell


def test_refused(tmp_path):
    bare = replace(CONFIG, warped=None, anchor_deviation=None)
    with pytest.raises(UsageError, match="from the warped portrait"):
        distil(build_denoiser(bare, seed=0), recipe(tmp_path), clips, None)
    with pytest.raises(UsageError, match="one_step is 0"):
        recipe(tmp_path, one_step=0)
