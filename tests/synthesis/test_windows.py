"""Long videos: no seam, no drift, flat memory; pieces, batches and resumed runs give the same frames."""

import gc
from dataclasses import replace

import pytest
import torch
from tiny_denoisers import CHANNELS, SIDE, ExactDenoiser, correlation, tiny, tiny_conditions

from auteur.errors import UsageError
from auteur.synthesis.conditions import Conditions
from auteur.synthesis.guidance import Guidance
from auteur.synthesis.samplers import Diffusion, Flow, sample
from auteur.synthesis.windows import Video, WindowSettings, crossfade, denoise_joined, generate

pytestmark = pytest.mark.slow

FLOW = Flow()
SHAPE = (CHANNELS, SIDE, SIDE)
MINUTE = 1500
POLE = 0.6


def nothing(first: int, stop: int) -> Conditions:
    return Conditions()


def whole(pieces) -> torch.Tensor:
    return torch.cat([piece.frames for piece in pieces], dim=1)


# --- seams, on a film whose statistics are known exactly ---


@pytest.fixture(scope="module")
def minute():
    """One minute made in windows of 16 that are conditioned on two past frames, by the perfect denoiser."""
    settings = WindowSettings(frames=16, past=2, steps=60)
    video = Video(frames=MINUTE, shape=(1, 4, 4))
    return whole(generate(ExactDenoiser(FLOW, pole=POLE), nothing, video, process=FLOW, settings=settings))[0]


def at_boundaries(film: torch.Tensor, order: int, stride: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean squared differences of a film in time: across window boundaries, and elsewhere."""
    change = film.diff(n=order, dim=0).square().flatten(1).mean(1)
    starts = torch.arange(len(change))
    # The difference of frames t … t + order crosses a boundary if a window starts at t + 1 … t + order.
    crosses = ((starts + order) // stride) > (starts // stride)
    return change[crosses], change[~crosses]


def z_score(film: torch.Tensor, order: int, stride: int) -> float:
    across, elsewhere = at_boundaries(film, order, stride)
    spread = (across.var() / len(across) + elsewhere.var() / len(elsewhere)).sqrt()
    return float((across.mean() - elsewhere.mean()) / spread)


@pytest.mark.parametrize("order", [1, 2, 3])
def test_window_boundaries_do_not_differ_from_other_frames(minute, order):
    assert abs(z_score(minute, order, 16)) < 3


def test_the_seam_test_finds_the_seams_of_windows_without_past():
    settings = WindowSettings(frames=16, past=2, steps=20)
    denoiser = ExactDenoiser(FLOW, pole=POLE, knows_past=False)
    film = whole(
        generate(denoiser, nothing, Video(frames=400, shape=(1, 4, 4)), process=FLOW, settings=settings)
    )
    for order in (1, 2, 3):
        assert z_score(film[0], order, 16) > 8


def test_the_last_minute_is_like_the_first(minute):
    first, last = minute[:500], minute[-500:]
    assert float(last.var() / first.var()) == pytest.approx(1, abs=0.08)
    assert float((last.mean() - first.mean()).abs()) < 0.1
    lagged = (minute[5:] * minute[:-5]).mean() / minute.square().mean()
    assert float(lagged) == pytest.approx(float(correlation(6, POLE)[5]), abs=0.03)


def test_an_overlap_softens_the_seams_of_windows_without_past():
    denoiser = ExactDenoiser(FLOW, pole=0.8, knows_past=False)
    video = Video(frames=300, shape=(1, 4, 4))
    jumps = []
    for overlap in (0, 4, 8):
        settings = WindowSettings(frames=16, past=2, overlap=overlap, steps=12)
        film = whole(generate(denoiser, nothing, video, process=FLOW, settings=settings))[0]
        across, elsewhere = at_boundaries(film, 1, settings.stride)
        jumps.append(float(across.mean() / elsewhere.mean()))
    assert jumps[0] > 2
    assert jumps[1] < 1.5
    assert jumps[2] < 1.5


def test_a_crossfade_goes_from_one_to_the_other():
    faded = crossfade(torch.zeros(1, 5, 1), torch.ones(1, 5, 1))[0, :, 0]
    assert (faded.diff() > 0).all()
    assert torch.allclose(faded + faded.flip(0), torch.ones(5))


@pytest.mark.parametrize("process", [Flow(), Diffusion()], ids=lambda process: process.name)
def test_frames_that_join_nothing_are_sampled_as_ever(process):
    noise = torch.randn(1, 3, *SHAPE, generator=torch.Generator().manual_seed(0))

    def predict(now, time):
        return torch.sin(now) * time.reshape(-1, 1, 1, 1, 1) / 1000

    plain = sample(process, predict, noise, 4)
    assert torch.equal(denoise_joined(process, predict, noise, 4), plain)
    # A finished frame that agrees with what comes out anyway changes nothing.
    joined = denoise_joined(
        process,
        lambda now, time: predict(now, time),
        noise,
        1,
        shared=sample(process, predict, noise, 1)[:, :2],
    )
    assert torch.allclose(joined, sample(process, predict, noise, 1), atol=1e-5)


# --- the real network, tiny ---


@pytest.fixture(scope="module")
def model():
    return tiny(past=True)


SETTINGS = WindowSettings(frames=4, past=2, overlap=1, steps=2, guidance=Guidance(au=2.0))
FRAMES = 11


@pytest.fixture(scope="module")
def supply():
    conditions = tiny_conditions(1, FRAMES)
    return lambda first, stop: conditions.frames(slice(first, stop))


@pytest.fixture(scope="module")
def reference_run(model, supply):
    video = Video(frames=FRAMES, shape=SHAPE, seeds=(3,))
    return list(generate(model, supply, video, process=FLOW, settings=SETTINGS))


def test_pieces_cover_the_video_once(reference_run):
    assert [piece.first for piece in reference_run] == [0, 3, 6, 9]
    assert [piece.frames.shape[1] for piece in reference_run] == [3, 3, 3, 2]
    assert whole(reference_run).shape == (1, FRAMES, *SHAPE)


@pytest.mark.parametrize("after", [0, 1, 2])
def test_a_run_taken_up_again_gives_the_same_frames(model, supply, reference_run, after):
    video = Video(frames=FRAMES, shape=SHAPE, seeds=(3,))
    state = reference_run[after].state
    rest = generate(model, supply, video, process=FLOW, settings=SETTINGS, resume=state)
    assert torch.equal(whole(rest), whole(reference_run[after + 1 :]))


def test_a_longer_video_begins_with_the_same_frames(model, reference_run):
    conditions = tiny_conditions(1, FRAMES)
    shorter = Video(frames=7, shape=SHAPE, seeds=(3,))
    made = whole(
        generate(model, lambda a, b: conditions.frames(slice(a, b)), shorter, process=FLOW, settings=SETTINGS)
    )
    assert torch.equal(made[:, :6], whole(reference_run)[:, :6])


def test_a_batch_is_the_same_as_its_videos_one_by_one(model, supply, reference_run):
    other = tiny_conditions(1, FRAMES, seed=9)
    both = Conditions.stack([tiny_conditions(1, FRAMES), other])
    video = Video(frames=FRAMES, shape=SHAPE, seeds=(3, 4))
    together = whole(
        generate(model, lambda a, b: both.frames(slice(a, b)), video, process=FLOW, settings=SETTINGS)
    )
    assert torch.allclose(together[:1], whole(reference_run), atol=1e-3)
    assert not torch.allclose(together[0], together[1], atol=0.1)


def test_the_past_is_carried(model, supply, reference_run):
    video = Video(frames=FRAMES, shape=SHAPE, seeds=(3,))
    forgetful = replace(SETTINGS, past=0)
    made = whole(generate(model, supply, video, process=FLOW, settings=forgetful))
    assert torch.equal(made[:, :3], whole(reference_run)[:, :3])
    assert not torch.allclose(made[:, 3:], whole(reference_run)[:, 3:], atol=1e-3)
    started = replace(video, first_past=torch.ones(1, 2, *SHAPE))
    again = whole(generate(model, supply, started, process=FLOW, settings=SETTINGS))
    assert not torch.allclose(again[:, :3], whole(reference_run)[:, :3], atol=1e-3)


def test_steps_are_counted_and_cancelling_stops_at_once(model, supply):
    video = Video(frames=FRAMES, shape=SHAPE)
    calls = []
    list(
        generate(model, supply, video, process=FLOW, settings=SETTINGS, on_step=lambda *at: calls.append(at))
    )
    assert calls == [(done, 8) for done in range(1, 9)]

    class CancelledError(Exception):
        pass

    def cancel(done: int, of: int) -> None:
        if done == 3:
            raise CancelledError

    pieces = []
    with pytest.raises(CancelledError):
        pieces.extend(generate(model, supply, video, process=FLOW, settings=SETTINGS, on_step=cancel))


def test_nothing_is_computed_before_it_is_read(model, supply):
    calls = []
    video = Video(frames=FRAMES, shape=SHAPE)
    pieces = generate(
        model, supply, video, process=FLOW, settings=SETTINGS, on_step=lambda *at: calls.append(at)
    )
    assert not calls
    next(pieces)
    assert len(calls) == SETTINGS.steps


def living_bytes() -> int:
    gc.collect()
    tensors = [one for one in gc.get_objects() if type(one) is torch.Tensor]
    return sum(tensor.untyped_storage().nbytes() for tensor in tensors)


def test_memory_does_not_grow_with_length():
    """Bytes of all living tensors, early, in the middle and late in a minute."""
    settings = WindowSettings(frames=16, past=2, overlap=4, steps=1)
    video = Video(frames=MINUTE, shape=(4, 8, 8))
    denoiser = ExactDenoiser(FLOW)
    living = []
    for index, _ in enumerate(generate(denoiser, nothing, video, process=FLOW, settings=settings)):
        if index in (2, 60, 120):
            living.append(living_bytes())
    assert len(living) == 3
    assert max(living) - min(living) < 4 * 8 * 8 * 4 * 16  # one window; the whole is 94 of them


# --- refusals ---


class Greedy(ExactDenoiser):
    """Allocates more memory than there is."""

    def __call__(self, sample, timestep, conditions):
        return torch.empty(2**60)


def test_out_of_memory_names_what_to_lower():
    settings = WindowSettings(frames=16, guidance=Guidance.auhead(au=2.0))
    video = Video(frames=20, shape=SHAPE)
    with pytest.raises(
        UsageError, match=r"out of memory with .*16 frames of 8 x 8: lower the window"
    ) as caught:
        list(
            generate(
                Greedy(FLOW), nothing, video, process=FLOW, settings=replace(settings, guidance=Guidance())
            )
        )
    assert "guidance" not in str(caught.value)
    with pytest.raises(UsageError, match=r"terms of guidance one after the other.*smaller preset"):
        explained = generate(GreedyWithUnits(FLOW), nothing, video, process=FLOW, settings=settings)
        list(explained)


class GreedyWithUnits(Greedy):
    def __init__(self, process) -> None:
        super().__init__(process)
        self.condition_names = ("au",)


def test_other_errors_are_left_alone():
    class Broken(ExactDenoiser):
        def __call__(self, sample, timestep, conditions):
            raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        list(
            generate(
                Broken(FLOW), nothing, Video(frames=1, shape=SHAPE), process=FLOW, settings=SETTINGS_PLAIN
            )
        )


SETTINGS_PLAIN = WindowSettings()


def test_action_units_cannot_be_guided_without_their_conditioner():
    settings = WindowSettings(guidance=Guidance(au=2.0))
    pieces = generate(
        ExactDenoiser(FLOW), nothing, Video(frames=1, shape=SHAPE), process=FLOW, settings=settings
    )
    with pytest.raises(UsageError, match="no conditioner"):
        next(pieces)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"frames": 0}, "the window has 0 frames"),
        ({"past": 17}, "past is 17"),
        ({"past": -1}, "past is -1"),
        ({"overlap": 15}, "overlap is 15; .* between 0 and 14"),
        ({"overlap": -1}, "overlap is -1"),
    ],
)
def test_settings_outside_their_range_are_refused(wrong, message):
    with pytest.raises(UsageError, match=message):
        WindowSettings(**wrong)


def test_videos_without_frames_or_seeds_are_refused():
    with pytest.raises(UsageError, match="the video has 0 frames"):
        Video(frames=0, shape=SHAPE)
    with pytest.raises(UsageError, match="needs a seed"):
        Video(frames=1, shape=SHAPE, seeds=())
