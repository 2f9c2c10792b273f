"""What makes published networks faster: compiled blocks and a solver of few steps."""

import json

import pytest
import torch
from tiny_published import tiny, weighted

import published_speed
from auteur.errors import UsageError
from auteur.synthesis.published.compilation import blocks_of, compiled
from auteur.synthesis.published.hallo import HalloConditions
from auteur.synthesis.published.memo import MemoConditions
from auteur.synthesis.published.memory import Memory
from auteur.synthesis.published.schedule import LoopSettings, linear_signal_levels
from auteur.synthesis.published.solver import (
    diffusion_sampler,
    few_step_diffusion,
    flow_sampler,
)

FRAMES = 3


def some(name: str, *shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(sum(map(ord, name)))
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def window(kind: str, networks, settings: LoopSettings) -> torch.Tensor:
    """Latents of one window of 3 frames of 64 pixels a side."""
    noise, portrait = some("noise", 1, FRAMES, 4, 8, 8), some("portrait", 1, 4, 8, 8)
    if kind == "aniportrait":
        drawings = torch.zeros(FRAMES, 64, 64, 3, dtype=torch.uint8)
        drawings[:, 20:40, 30] = 200
        return networks.generate(
            noise, portrait=portrait, identity=some("identity", 1, 1, 16), settings=settings,
            drawings=lambda numbers: drawings[list(numbers)],
        )  # fmt: skip
    common = {"embedding": some("face", 1, 20), "audio": some("audio", FRAMES, 5, 2, 16)}
    if kind == "hallo":
        masks = [torch.ones(3, max(1, (8 >> level) ** 2), dtype=torch.float64) for level in range(4)]
        box = torch.ones(1, 3, 64, 64, dtype=torch.float64)
        given = HalloConditions(**common, face_box=box, masks=masks)
        reference = torch.cat([portrait] * 3)
        return networks.window(noise, reference=reference, given=given, settings=settings)
    given = MemoConditions(**common, emotion=3)
    reference = torch.cat([portrait] * 3)
    return networks.window(noise, reference=reference, given=given, settings=settings, memory=Memory())


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "middle"), [("aniportrait", 4), ("hallo", 5), ("memo", 5)])
def test_blocks_of_every_kind_are_compiled(kind: str, middle: int) -> None:
    networks = tiny(kind)
    unet = networks.diffusion_net if kind == "memo" else networks.denoising_unet
    assert len(list(blocks_of(unet.mid_block))) == middle
    assert len(list(blocks_of(unet))) > 50


@pytest.mark.slow
def test_compiled_blocks_compute_the_same() -> None:
    kind, networks, settings = "hallo", weighted("hallo"), LoopSettings(steps=1, guidance=1)
    # One part of the UNet has a block of every kind; tracing the others takes a minute.
    unet = networks.denoising_unet.mid_block
    plain = window(kind, networks, settings)
    graphs: list[torch.fx.GraphModule] = []

    def keep(graph: torch.fx.GraphModule, _: list[torch.Tensor]):
        graphs.append(graph)
        return graph.forward

    with compiled(unet, backend=keep):
        made = window(kind, networks, settings)
    assert graphs
    torch.testing.assert_close(made, plain, atol=1e-10, rtol=1e-10)
    count = len(graphs)
    assert torch.equal(window(kind, networks, settings), plain)
    assert len(graphs) == count
    assert not any("forward" in vars(block) for block in blocks_of(unet))


@pytest.mark.slow
def test_a_compiler_that_fails_is_named() -> None:
    networks = weighted("memo")

    def fail(*_):
        raise RuntimeError("no compiler here")

    with (
        pytest.raises(UsageError, match=r"no compiler here.*leave out --compile"),
        compiled(networks.diffusion_net.mid_block, backend=fail),
    ):
        window("memo", networks, LoopSettings(steps=1))
    assert not any("forward" in vars(block) for block in blocks_of(networks.diffusion_net.mid_block))


def integrated(sampler, predict) -> torch.Tensor:
    """From fixed noise to data."""
    sample = some("noise", 1, 1, 4, 8, 8)
    for index, time in enumerate(sampler.times):
        sample = sampler.step(sample, predict(sample, time), index)
    return sample


def errors(make, predict, counts: tuple[int, ...], exact: torch.Tensor) -> dict[str, list[float]]:
    """Relative errors of both samplers by number of steps."""
    return {
        name: [
            float(
                (integrated(make(LoopSettings(steps=n, sampler=name)), predict) - exact).norm() / exact.norm()
            )
            for n in counts
        ]
        for name in ("published", "dpm")
    }


@pytest.mark.slow
def test_the_solver_comes_to_ddims_result_on_a_network_in_fewer_steps() -> None:
    networks, identity = weighted("aniportrait"), some("identity", 1, 1, 16)

    def predict(sample: torch.Tensor, time: float) -> torch.Tensor:
        return networks.predict(sample, time, identity=identity, portrait=None, maps=None)

    with torch.no_grad():
        exact = integrated(few_step_diffusion(25), predict)
        found = errors(diffusion_sampler, predict, (4, 8), exact)
    ddim, few = found["published"], found["dpm"]
    assert ddim[1] < ddim[0]
    assert few[0] < ddim[0]
    assert few[1] < 0.75 * ddim[1]
    assert few[1] / few[0] < ddim[1] / ddim[0]


SPREAD = 0.6


def of_a_mixture(is_flow: bool):
    """(sample, time) → the exact prediction for data around ± 1 with a deviation of 0.6."""

    def predict(sample: torch.Tensor, time: float) -> torch.Tensor:
        if is_flow:
            signal, noise = 1 - time / 1000, time / 1000
        else:
            level = float(linear_signal_levels()[int(time)])
            signal, noise = level**0.5, (1 - level) ** 0.5
        variance = (signal * SPREAD) ** 2 + noise**2
        near = torch.tanh(signal * sample / variance)
        clean = near + signal * SPREAD**2 / variance * (sample - signal * near)
        drawn = (sample - signal * clean) / noise
        return drawn - clean if is_flow else signal * drawn - noise * clean

    return predict


@pytest.mark.parametrize("is_flow", [False, True])
def test_errors_of_the_solver_fall_faster_than_those_of_the_published_samplers(is_flow: bool) -> None:
    predict, make = of_a_mixture(is_flow), flow_sampler if is_flow else diffusion_sampler
    exact = integrated(make(LoopSettings(steps=1000)), predict)
    again = integrated(make(LoopSettings(steps=500, sampler="dpm")), predict)
    assert float((again - exact).norm() / exact.norm()) < 0.02
    found = errors(make, predict, (5, 10, 20), again)
    assert bool(again.isfinite().all())
    for few, many in zip(found["dpm"], found["published"], strict=True):
        assert few < many
    assert found["dpm"][2] / found["dpm"][0] < found["published"][2] / found["published"][0]


@pytest.mark.parametrize("make", [diffusion_sampler, flow_sampler])
def test_one_step_is_that_of_the_published_sampler(make) -> None:
    sample, prediction = some("noise", 1, 1, 1, 16), some("v", 1, 1, 1, 16)
    few, published = (make(LoopSettings(steps=1, sampler=name)) for name in ("dpm", "published"))
    assert few.times == published.times
    torch.testing.assert_close(few.step(sample, prediction, 0), published.step(sample, prediction, 0))


@pytest.mark.slow
def test_the_speed_script_runs_on_tiny_networks(capsys) -> None:
    pytest.importorskip("diffusers")
    assert published_speed.main(["hallo", "--tiny", "--device", "cpu", "--steps", "1", "--no-compile"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == {"device": "cpu", "torch": torch.__version__, "tiny": True}
    assert [line.get("sampler") for line in lines[1:]] == ["published", "dpm", None]
    assert all(line["frames_per_second"] > 0 and line["peak_gb"] > 0 for line in lines[1:])
    if not torch.cuda.is_available():
        assert published_speed.main(["hallo"]) == 3
        assert "nothing is measured" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "steps"), [("aniportrait", 4), ("memo", 2)])
def test_loops_use_the_sampler_that_is_named(kind: str, steps: int) -> None:
    networks = weighted(kind)
    published, few = (
        window(kind, networks, LoopSettings(steps=steps, guidance=1, sampler=name))
        for name in ("published", "dpm")
    )
    assert bool(few.isfinite().all())
    assert not torch.allclose(few, published, atol=1e-3)


def test_unknown_samplers_are_refused() -> None:
    with pytest.raises(UsageError, match="sampler is 'heun'; choose one of published, dpm"):
        LoopSettings(steps=4, sampler="heun")
