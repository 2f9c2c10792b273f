"""Schedules, samplers and distillation, against closed forms and against diffusers."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from auteur.errors import UsageError
from auteur.synthesis.samplers import Diffusion, Flow, sample
from auteur.synthesis.samplers.distill import distillation_loss, draw_student_times, halvings, lesson
from auteur.synthesis.samplers.flow import logit_normal_times
from auteur.synthesis.samplers.schedule import (
    rescale_zero_terminal_snr,
    scaled_linear_betas,
    signal_levels,
    trailing_times,
)

PROCESSES = (Diffusion(), Flow(), Flow(0.4))
MEAN, DEVIATION = 1.5, 0.4
ZERO = torch.zeros((), dtype=torch.float64)

both = pytest.mark.parametrize("process", PROCESSES, ids=repr)
unshifted = pytest.mark.parametrize("process", PROCESSES[:2], ids=repr)
"""A shift suits other data than the one below, and is coarser there."""


def amounts(process, times):
    """α and σ [N, 1] of x_t = α x_0 + σ ε at times [N], read off the process itself."""
    one, nothing = torch.ones(len(times), 1).double(), torch.zeros(len(times), 1).double()
    return process.noised(one, nothing, times), process.noised(nothing, one, times)


def gaussian(process):
    """The exact prediction when data is normal with MEAN and DEVIATION; the flow's ODE is then affine."""

    def predict(now, rows):
        time = (rows.double() + (1 if process.name == "ddim" else 0)) / 1000
        a, s = amounts(process, time)
        gain = a * DEVIATION**2 / (a**2 * DEVIATION**2 + s**2)
        clean = MEAN + gain * (now.double() - a * MEAN)
        return process.prediction_between(now.double(), clean, time, ZERO).to(now.dtype)

    return predict


# --- schedule ---


def test_zero_terminal_snr_keeps_the_first_level_and_ends_without_signal():
    betas = scaled_linear_betas()
    plain, rescaled = (1 - betas).cumprod(0), (1 - rescale_zero_terminal_snr(betas)).cumprod(0)
    assert rescaled[0] == pytest.approx(float(plain[0]), abs=1e-12)
    assert rescaled[-1] == 0
    assert (rescaled.diff() < 0).all()
    assert len(signal_levels()) == 1001
    assert signal_levels()[0] == 1


@given(st.integers(1, 1000))
def test_times_run_from_noise_to_clean(steps):
    times = trailing_times(steps)
    assert len(times) == steps + 1
    assert (times[0], times[-1]) == (1, 0)
    assert (times.diff() < 0).all()


@both
@pytest.mark.parametrize("steps", [0, -1, 1001])
def test_steps_outside_their_range_are_refused(process, steps):
    with pytest.raises(UsageError, match=f"steps is {steps}; it must be between 1 and 1000"):
        sample(process, gaussian(process), torch.zeros(1, 1), steps)


# --- the two processes ---


@both
@settings(max_examples=25, deadline=None)
@given(level=st.integers(1, 1000), next_level=st.integers(0, 999), seed=st.integers(0, 99))
def test_a_process_agrees_with_itself(process, level, next_level, seed):
    generator = torch.Generator().manual_seed(seed)
    clean, noise = torch.randn(2, 3, 4, dtype=torch.float64, generator=generator)
    time, later = (torch.tensor(n / 1000, dtype=torch.float64) for n in (level, min(next_level, level - 1)))
    noisy, target = process.noised(clean, noise, time), process.target(clean, noise, time)
    assert torch.allclose(process.clean(noisy, target, time), clean)
    stepped = process.step(noisy, target, time, later)
    assert torch.allclose(stepped, process.noised(clean, noise, later))
    assert torch.allclose(process.prediction_between(noisy, stepped, time, later), target, atol=1e-7)
    assert torch.allclose(process.step(noisy, target, time, ZERO), clean)


@both
def test_every_row_has_its_own_time(process):
    clean, noise = torch.randn(2, 3, 2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    times = torch.tensor([0.1, 0.5, 1.0], dtype=torch.float64)
    together = process.noised(clean, noise, times)
    for row, time in enumerate(times):
        assert torch.equal(together[row], process.noised(clean[row], noise[row], time))


@both
def test_the_network_gets_distinct_times_below_1000(process):
    times = process.model_time(torch.linspace(0.001, 1, 1000, dtype=torch.float64)).float()
    assert len(times.unique()) == 1000
    assert times.min() >= 0
    assert times.max() < 1000


@both
def test_snr_falls_to_nothing(process):
    times = torch.linspace(0.01, 1, 100, dtype=torch.float64)
    snr = process.snr(times)
    a, s = amounts(process, times)
    assert torch.allclose(snr, (a / s)[:, 0] ** 2)
    assert snr[-1] == 0


# --- samplers ---


@pytest.mark.parametrize("steps", [1, 4, 10, 40])
def test_ddim_is_that_of_diffusers(steps):
    scheduler = pytest.importorskip("diffusers").DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        rescale_betas_zero_snr=True,
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        clip_sample=False,
    )
    scheduler.set_timesteps(steps)
    weights = torch.randn(4, 4, generator=torch.Generator().manual_seed(0)) / 4

    def network(now, time):
        return torch.tanh(now @ weights + time.reshape(-1, 1) / 1000)

    noise = torch.randn(3, 4, generator=torch.Generator().manual_seed(1))
    seen = []
    ours = sample(
        Diffusion(), lambda now, time: (seen.append(float(time[0])), network(now, time))[1], noise, steps
    )
    theirs = noise
    for time in scheduler.timesteps:
        theirs = scheduler.step(network(theirs, time.float()[None]), time, theirs).prev_sample
    assert seen == scheduler.timesteps.tolist()
    assert torch.allclose(ours, theirs, atol=2e-4)


def test_euler_flow_is_that_of_diffusers():
    scheduler = pytest.importorskip("diffusers").FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(sigmas=trailing_times(8)[:-1].tolist())
    noise = torch.randn(3, 4, generator=torch.Generator().manual_seed(1))
    theirs = noise
    for time in scheduler.timesteps:
        theirs = scheduler.step(torch.sin(theirs) - time / 1000, time, theirs).prev_sample
    ours = sample(Flow(), lambda now, time: torch.sin(now) - time.reshape(-1, 1) / 1000, noise, 8)
    assert torch.allclose(ours, theirs, atol=1e-5)


@unshifted
def test_sampling_a_gaussian_ends_where_the_flow_of_probability_does(process):
    noise = torch.linspace(-2.5, 2.5, 11, dtype=torch.float64)[None]
    exact = MEAN + DEVIATION * noise
    errors = [
        float((sample(process, gaussian(process), noise, steps) - exact).abs().max()) for steps in (25, 200)
    ]
    assert errors[1] < 0.04
    assert errors[0] / errors[1] > 5  # first order


@both
def test_callbacks_count_and_cancel(process):
    calls = []
    sample(process, gaussian(process), torch.zeros(1, 2), 3, on_step=lambda *at: calls.append(at))
    assert calls == [(1, 3), (2, 3), (3, 3)]

    def stop(done, _):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sample(process, gaussian(process), torch.zeros(1, 2), 3, on_step=stop)


def test_logit_normal_times():
    times = logit_normal_times(20000, torch.Generator().manual_seed(0), mean=0.5, deviation=0.7)
    logits = torch.logit(times)
    assert ((times > 0) & (times < 1)).all()
    assert float(logits.mean()) == pytest.approx(0.5, abs=0.02)
    assert float(logits.std()) == pytest.approx(0.7, abs=0.02)
    with pytest.raises(UsageError, match="deviation must exceed 0"):
        logit_normal_times(1, torch.Generator(), deviation=0)


# --- distillation ---


class Affine(nn.Module):
    """A network for Gaussian data: at each of a few times, an affine function of the sample."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(33, 2))

    def forward(self, now, rows):
        slope, shift = self.table[(rows / 1000 * 32).round().long()].unbind(-1)
        return slope[:, None] * now + shift[:, None]


@unshifted
def test_progressive_distillation_reaches_in_one_step_what_takes_many(process):
    generator = torch.Generator().manual_seed(0)
    noise = torch.linspace(-2, 2, 9)[None]
    exact = MEAN + DEVIATION * noise
    teacher, teacher_steps = gaussian(process), 32
    many = sample(process, teacher, noise, teacher_steps)
    one = sample(process, teacher, noise, 1)
    for steps in halvings(teacher_steps, 1):
        student = Affine()
        optimizer = torch.optim.LBFGS(student.parameters(), max_iter=60, line_search_fn="strong_wolfe")
        time = draw_student_times(256, steps, generator)
        clean = MEAN + DEVIATION * torch.randn(256, 6, generator=generator)
        given_lesson = lesson(process, teacher, clean, torch.randn(256, 6, generator=generator), time, steps)
        times = process.model_time(given_lesson.time).float()

        def closure(student=student, optimizer=optimizer, given_lesson=given_lesson, times=times):
            optimizer.zero_grad()
            loss = distillation_loss(process, student(given_lesson.sample, times), given_lesson)
            loss.backward()
            return loss

        optimizer.step(closure)
        teacher = student
    with torch.no_grad():
        distilled = sample(process, teacher, noise, 1)
    assert (distilled - many).abs().max() < 0.05 * (one - many).abs().max()
    assert (distilled - exact).abs().max() < 0.2 * (one - exact).abs().max()


def test_halvings():
    assert halvings(8, 1) == (4, 2, 1)
    assert halvings(20, 5) == (10, 5)
    for teacher, student in ((8, 3), (4, 4), (2, 4), (6, 1)):
        with pytest.raises(UsageError, match="cannot halve"):
            halvings(teacher, student)
    with pytest.raises(UsageError, match="steps is 0"):
        halvings(8, 0)


def test_student_times_are_where_its_steps_start():
    times = draw_student_times(500, 4, torch.Generator().manual_seed(0))
    assert set(np.unique(times.numpy())) == {0.25, 0.5, 0.75, 1.0}


@pytest.mark.parametrize("process", [Flow(), Diffusion()])
def test_the_network_gets_the_exact_time_in_any_dtype_of_the_sample(process):
    times: list[float] = []

    def predict(now, rows):
        times.append(float(rows[0]))
        return torch.zeros_like(now)

    sample(process, predict, torch.zeros(1, 2, dtype=torch.bfloat16), 1)
    assert 998 < times[0] < 1000
