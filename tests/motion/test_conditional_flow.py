"""Sampling, guidance and nulls of the conditional flow, and what it learns."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from motion_samples import TINY_FLOW, shaken

from auteur.lab.train.face_flow import ConditionDropout, flow_matching_loss
from auteur.motion.conditional_flow import (
    ConditionalFlow,
    FlowConditions,
    FlowConfig,
    FlowSampling,
    noise_kernel,
    smooth_noise,
)
from auteur.motion.head_flow import HeadFlow, head_style

STYLE = torch.zeros(TINY_FLOW.style)


@pytest.fixture
def flow() -> ConditionalFlow:
    return shaken(ConditionalFlow(TINY_FLOW))


def _conditions(frames: int, seed: int = 0):
    random = torch.Generator().manual_seed(seed)
    return (
        torch.randn(frames, TINY_FLOW.speech_features, generator=random),
        torch.rand(frames, TINY_FLOW.action_units, generator=random),
    )


def _sample(flow: ConditionalFlow, speech, units, *, seed: int = 0, style=STYLE, window=1024, **sampling):
    return flow.sample(
        speech, units, style=style, seed=seed, purpose="motion", sampling=FlowSampling(**sampling),
        window_frames=window,
    )  # fmt: skip


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(st.integers(1, 90), st.integers(7, 64))
def test_windows_change_nothing(frames: int, window: int):
    flow = shaken(ConditionalFlow(TINY_FLOW))
    speech, units = _conditions(frames)
    whole = _sample(flow, speech, units, speech_guidance=2.0)
    pieces = _sample(flow, speech, units, speech_guidance=2.0, window=window)
    assert torch.allclose(whole, pieces, atol=1e-4)


def test_a_frame_depends_on_its_neighbourhood_alone(flow: ConditionalFlow):
    speech, units = _conditions(200)
    changed = speech.clone()
    changed[150:] += 3
    steps = 3
    one, other = (_sample(flow, s, units, steps=steps) for s in (speech, changed))
    reach = steps * flow.reach_frames
    assert torch.allclose(one[: 150 - reach], other[: 150 - reach], atol=1e-6)
    assert not torch.allclose(one[150:], other[150:], atol=1e-3)


def test_guidance_of_zero_leaves_the_speech_out(flow: ConditionalFlow):
    speech, units = _conditions(40)
    without = _sample(flow, None, units)
    assert torch.equal(_sample(flow, speech, units, speech_guidance=0.0), without)
    assert not torch.allclose(_sample(flow, speech, units), without, atol=1e-3)


def test_seed_and_temperature(flow: ConditionalFlow):
    speech, units = _conditions(40)
    assert torch.equal(_sample(flow, speech, units, seed=1), _sample(flow, speech, units, seed=1))
    assert not torch.allclose(
        _sample(flow, speech, units, seed=1), _sample(flow, speech, units, seed=2), atol=1e-3
    )
    calm = [_sample(flow, speech, units, seed=seed, temperature=0.0) for seed in (1, 2)]
    assert torch.equal(*calm)


def test_guidance_is_the_stated_sum(flow: ConditionalFlow):
    speech, units = _conditions(20)
    x, time = torch.randn(1, 20, TINY_FLOW.channels), torch.tensor([0.3])
    given_all = FlowConditions(speech[None], units[None], STYLE[None], torch.zeros(1))
    full, no_speech, no_units = (
        flow(x, time, one)
        for one in (given_all, given_all._replace(speech=None), given_all._replace(action_units=None))
    )
    sampling = FlowSampling(speech_guidance=2.5, au_guidance=1.5)
    expected = full + 1.5 * (full - no_speech) + 0.5 * (full - no_units)
    assert torch.allclose(flow._guided(x, time, given_all, sampling), expected, atol=1e-5)


def test_dropping_a_condition_is_its_null(flow: ConditionalFlow):
    speech, units = (value[None].expand(2, -1, -1) for value in _conditions(20))
    x, time = torch.randn(2, 20, TINY_FLOW.channels), torch.tensor([0.3, 0.8])
    style, generated = STYLE.expand(2, -1), torch.zeros(2)
    drop = torch.tensor([True, False])
    dropped = flow(x, time, FlowConditions(speech, units, style, generated), drop_speech=drop, drop_aus=drop)
    null = flow(x, time, FlowConditions(None, None, style, generated))
    kept = flow(x, time, FlowConditions(speech, units, style, generated))
    assert torch.allclose(dropped[0], null[0], atol=1e-6) and torch.allclose(dropped[1], kept[1], atol=1e-6)


def test_not_specified_is_not_zero_and_hides_the_value(flow: ConditionalFlow):
    speech, units = _conditions(30)
    unknown, zero = units.clone(), units.clone()
    unknown[:, 3], zero[:, 3] = torch.nan, 0
    assert not torch.allclose(_sample(flow, speech, unknown), _sample(flow, speech, zero), atol=1e-3)
    assert not torch.allclose(_sample(flow, speech, unknown), _sample(flow, speech, units), atol=1e-3)
    assert torch.isfinite(_sample(flow, speech, torch.full_like(units, torch.nan))).all()
    style = torch.full_like(STYLE, torch.nan)
    assert not torch.allclose(
        _sample(flow, speech, units, style=style), _sample(flow, speech, units), atol=1e-3
    )


def test_nothing_gives_the_length():
    with pytest.raises(ValueError, match="give speech features, Action Units or both"):
        _sample(shaken(ConditionalFlow(TINY_FLOW)), None, None)


@pytest.mark.parametrize("deviation", [0.0, 1.0, 2.0])
def test_noise_is_as_smooth_as_its_kernel(deviation: float):
    config = FlowConfig(channels=4, style=1, noise_deviation_frames=deviation)
    noise = smooth_noise(5, "motion", 20_000, config)
    kernel = noise_kernel(deviation)
    assert noise.std() == pytest.approx(1, abs=0.02)
    for lag in (1, 2, 4):
        wanted = (kernel[lag:] * kernel[:-lag]).sum()
        assert (noise[lag:] * noise[:-lag]).mean() == pytest.approx(wanted, abs=0.03)
    assert np.array_equal(smooth_noise(5, "motion", 100, config), noise[:100])
    assert not np.allclose(smooth_noise(5, "head", 100, config), noise[:100])


def test_the_loss_of_the_exact_velocity_is_zero():
    """With x_1 = 0, x_t = (1 - t) x_0, so dx/dt = -x_t / (1 - t): a known answer."""

    class Exact(torch.nn.Module):
        def forward(self, x, time, given, **_):
            return -x / (1 - time)[:, None, None]

    config = FlowConfig(channels=3, style=2)
    batch = {
        "x": torch.zeros(4, 20, 3), "speech": torch.zeros(4, 20, 161), "units": torch.zeros(4, 20, 0),
        "has_speech": torch.ones(4), "style": torch.zeros(4, 2), "inside": torch.ones(4, 20),
        "is_generated": torch.zeros(4),
    }  # fmt: skip
    weights = torch.ones(3)
    arguments = {"dropout": ConditionDropout(), "config": config, "channel_weights": weights}
    assert float(flow_matching_loss(Exact(), batch, **arguments)) < 1e-4
    moved = batch | {"x": torch.ones(4, 20, 3)}
    assert float(flow_matching_loss(Exact(), moved, **arguments)) > 0.1
    outside = moved | {"inside": torch.cat([torch.ones(4, 1), torch.zeros(4, 19)], 1)}
    assert np.isfinite(float(flow_matching_loss(Exact(), outside, **arguments)))


@pytest.mark.slow
def test_it_learns_what_units_do_and_draws_the_rest():
    """Channel 0 is the first unit, channel 1 is random: the flow must follow the one and spread the other."""
    torch.manual_seed(0)
    config = FlowConfig(
        channels=2, style=1, speech_features=2, action_units=2, code=16, hidden=24, dilations=(1, 2),
        dropout=0.0, noise_deviation_frames=0.0,
    )  # fmt: skip
    flow = ConditionalFlow(config)
    optimizer = torch.optim.AdamW(flow.parameters(), 5e-3)
    for _ in range(300):
        units = torch.rand(16, 24, 2)
        x = torch.stack([4 * units[..., 0] - 2, torch.randn(16, 1).expand(-1, 24)], -1)
        batch = {
            "x": x, "speech": torch.zeros(16, 24, 2), "units": units, "has_speech": torch.zeros(16),
            "style": torch.zeros(16, 1), "inside": torch.ones(16, 24), "is_generated": torch.zeros(16),
        }  # fmt: skip
        loss = flow_matching_loss(
            flow,
            batch,
            dropout=ConditionDropout(action_units=0.1),
            config=config,
            channel_weights=torch.ones(2),
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    flow.eval()
    units = torch.rand(200, 2, generator=torch.Generator().manual_seed(1))
    drawn = [
        flow.sample(
            None, units, style=torch.zeros(1), seed=seed, purpose="motion",
            sampling=FlowSampling(steps=16, temperature=1.0),
        ).numpy()
        for seed in range(8)
    ]  # fmt: skip
    follows = np.mean([np.corrcoef(one[:, 0], units[:, 0])[0, 1] for one in drawn])
    assert follows > 0.9
    assert 0.5 < np.std([one[:, 1].mean() for one in drawn]) + np.mean([one[:, 1].std() for one in drawn]) < 2


# --- heads ---


def test_heads_follow_seed_length_and_amount(head_flow: HeadFlow):
    speech = torch.randn(101, 5, generator=torch.Generator().manual_seed(0))
    rate = Fraction(25)
    head = head_flow.motion(speech, rate=rate, seed=1)
    assert head.frames == 101 and head.rate == 25 and np.isfinite(head.values).all()
    assert np.array_equal(head.values, head_flow.motion(speech, rate=rate, seed=1).values)
    assert not np.allclose(head.values, head_flow.motion(speech, rate=rate, seed=2).values)
    half = head_flow.motion(speech, rate=rate, seed=1, amount=0.5)
    assert np.allclose(half.values, head.values / 2, atol=1e-5)
    assert head_flow.motion(speech[:1], rate=rate, seed=1).frames == 1


def test_posture_is_free_of_the_speech_and_nods_are_not(head_flow: HeadFlow):
    loud, other = (4 * torch.randn(400, 5, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    rate = Fraction(25)
    one, two = (head_flow.motion(speech, rate=rate, seed=1).values for speech in (loud, other))
    assert not np.allclose(one, two, atol=1e-4)
    bins = np.fft.rfftfreq(400, 1 / 25)
    apart, whole = (np.abs(np.fft.rfft(x - x.mean(0), axis=0)) ** 2 for x in (one - two, one))
    slow = (bins > 0) & (bins < 0.2)
    assert apart[slow].sum() < 0.05 * whole[slow].sum()


def test_style_of_a_head_is_its_spread_and_speed():
    time = np.arange(500) / 25
    pose = np.zeros((500, 6))
    pose[:, :3] = np.radians(5) * np.sin(2 * np.pi * 0.5 * time)[:, None]
    deviation, speed = np.exp(head_style(pose, Fraction(25)))
    assert deviation == pytest.approx(5 / np.sqrt(2) + 0.05, rel=0.02)
    assert speed == pytest.approx(5 * 4 * 0.5 + 0.05, rel=0.02)
