"""The trainer: it learns, keeps the best average, logs, resumes where it was killed, and stops at NaN."""

import copy
import itertools
import json
import os
import resource
import signal
from dataclasses import dataclass, replace
from pathlib import Path
from zlib import crc32

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from auteur import weights
from auteur.errors import InputError, UsageError, WeightsError
from auteur.lab.train.batches import Batches
from auteur.lab.train.checkpoints import (
    FORMAT,
    Checkpoint,
    DivergedError,
    TrainState,
    checkpoints,
    save_checkpoint,
)
from auteur.lab.train.learner import averaged_model
from auteur.lab.train.model_recipe import Schedule, Training, train_model
from auteur.lab.train.phases import Learner, Phase, WarmUpCosine
from auteur.lab.train.trainer import Trainer, TrainerSettings

pytest.importorskip("accelerate", reason="needs pip install 'auteur-face[train]'")

pytestmark = [pytest.mark.slow, pytest.mark.forks]

SCHEDULE = Schedule(steps=200, learning_rate=0.05, evaluate_every_steps=50, average_decay=0.9)
TIMED = Schedule(minutes=0.012, learning_rate=0.02, evaluate_every_minutes=0.004)
STEPS = Schedule(steps=9, learning_rate=0.02, evaluate_every_steps=2, save_every_steps=3, log_every_steps=1)


@dataclass(frozen=True)
class Errors:
    loss: float

    @property
    def score(self) -> float:
        return self.loss


def batch_of(key: str):
    x = torch.randn(32, 3, generator=torch.Generator().manual_seed(crc32(key.encode())))
    return {"x": x, "y": x @ torch.tensor([[1.0], [-2.0], [0.5]]) + 0.3}


BATCHES = Batches(batch_of)


def loss_of(network, batch, step=0):
    return (network(batch["x"]) - batch["y"]).square().mean()


def noisy_loss_of(network, batch, step):
    """Draws chance, as dropout does."""
    return loss_of(network, batch) * (1 + 0.1 * torch.rand(()))


def held_out_error(network) -> Errors:
    assert not network.training
    with torch.no_grad():
        return Errors(loss_of(network, batch_of("test")).item())


def tiny() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(3, 1)


def normalised() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 8), nn.Dropout(0.2), nn.Linear(8, 1))


def wide() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 2000), nn.Linear(2000, 1))


def run(
    out: Path, schedule: Schedule = STEPS, *, model=normalised, loss=noisy_loss_of, batches=BATCHES
) -> Errors:
    training = Training(model=model(), batches=batches, loss=loss, evaluate=held_out_error)
    return train_model(training, schedule=schedule, out=out)


def lines_of(out: Path) -> list[dict]:
    return [json.loads(line) for line in out.with_suffix(".jsonl").read_text().splitlines()]


def test_it_learns_keeps_the_best_and_logs_every_validation(tmp_path):
    out = tmp_path / "tiny.safetensors"
    best = run(out, SCHEDULE, model=tiny, loss=loss_of)
    before = held_out_error(tiny().eval()).loss
    assert best.loss < 0.05 * before
    validations = [line for line in lines_of(out) if "validation" in line]
    assert len(validations) >= 3
    assert [line["step"] for line in validations] == sorted({line["step"] for line in validations})
    assert min(line["score"] for line in validations) == best.loss
    kept = held_out_error(weights.load_file(tiny(), out))
    assert kept.loss == pytest.approx(best.loss, abs=2e-3)  # stored in half precision


def test_the_best_validation_is_kept_not_the_last(tmp_path):
    out = tmp_path / "tiny.safetensors"
    scores = itertools.chain([3.0, 1.0], itertools.repeat(2.0))
    states = []

    def evaluate(network) -> Errors:
        states.append({k: v.clone() for k, v in network.state_dict().items()})
        return Errors(next(scores))

    slow = replace(SCHEDULE, learning_rate=1e-3)
    training = Training(model=tiny(), batches=BATCHES, loss=loss_of, evaluate=evaluate)
    best = train_model(training, schedule=slow, out=out)
    assert best.loss == 1.0
    assert len(states) > 2
    kept = weights.load_file(tiny(), out).state_dict()
    assert torch.equal(kept["weight"], states[1]["weight"].half().float())
    assert not torch.equal(kept["weight"], states[-1]["weight"].half().float())


def killed(out: Path, schedule: Schedule = STEPS, *, after: int = 5) -> None:
    """A run that is killed by -9 before step `after` + 1, in a process of its own."""
    child = os.fork()
    if not child:
        seen = []

        def loss(network, batch, step):
            seen.append(step)
            if step == after:
                os.kill(os.getpid(), signal.SIGKILL)
            return noisy_loss_of(network, batch, step)

        run(out, schedule, loss=loss)
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL


@pytest.mark.parametrize("after", [1, 5, 8])
def test_a_killed_run_ends_with_the_same_bits(tmp_path, after):
    whole, broken = tmp_path / "whole.safetensors", tmp_path / "broken.safetensors"
    killed(broken, after=after)
    assert run(broken) == run(whole)
    assert whole.read_bytes() == broken.read_bytes()
    last, other = (checkpoints(out.with_suffix(".run"))[-1] for out in (whole, broken))
    assert last.name == other.name == "checkpoint-00000009"
    for name in ("model", "average", "optimizer", "best"):
        expected, found = (load_file(one / f"{name}.safetensors") for one in (last, other))
        assert expected.keys() == found.keys()
        assert all(torch.equal(expected[key], found[key]) for key in expected), name
    timeless = [[{**line, "minutes": 0} for line in lines_of(out)] for out in (whole, broken)]
    assert timeless[0] == timeless[1]


def test_workers_do_not_change_the_bits(tmp_path):
    one, other = tmp_path / "one.safetensors", tmp_path / "other.safetensors"
    run(one)
    run(other, batches=Batches(batch_of, workers=1))
    assert one.read_bytes() == other.read_bytes()


def test_a_finished_run_writes_its_result_again(tmp_path):
    out = tmp_path / "done.safetensors"
    first = run(out)
    content = out.read_bytes()
    out.unlink()
    assert run(out) == first
    assert out.read_bytes() == content


def test_a_run_by_minutes_goes_on_with_the_minutes_left(tmp_path):
    out = tmp_path / "timed.safetensors"
    run(out, TIMED)
    before = lines_of(out)[-1]["step"]
    run(out, TIMED)
    assert lines_of(out)[-1]["step"] == before


def test_other_settings_are_refused_by_name(tmp_path):
    out = tmp_path / "run.safetensors"
    run(out)
    with pytest.raises(InputError, match=r"learning_rate was 0\.02 and is 0\.01") as refused:
        run(out, replace(STEPS, learning_rate=0.01, seed=3))
    assert "seed was 0 and is 3" in str(refused.value)
    assert "weight_decay" not in str(refused.value)
    run(out, replace(STEPS, threads=2))  # changes nothing that is learnt
    torch.set_num_threads(1)


def test_nan_stops_the_training_and_names_the_batch(tmp_path):
    def broken(network, batch, step):
        return loss_of(network, batch) * (float("nan") if step == 4 else 1)

    out = tmp_path / "run.safetensors"
    with pytest.raises(DivergedError, match=r"loss is nan at step 5, batch train:4:0 .*lower the learning"):
        run(out, loss=broken)
    kept = load_file(next(out.with_suffix(".run").glob("diverged-*.safetensors")))
    assert torch.equal(kept["x"], batch_of("0:train:4:0")["x"])
    assert checkpoints(out.with_suffix(".run"))[-1].name == "checkpoint-00000004"


def test_inputs_that_are_not_finite_are_named(tmp_path):
    def poisoned(key):
        batch = batch_of(key)
        batch["y"][[3, 7]] = float("inf")
        return batch

    with pytest.raises(FloatingPointError, match=r"not finite: y in rows 3, 7"):
        run(tmp_path / "run.safetensors", model=tiny, loss=loss_of, batches=Batches(poisoned))


def test_a_full_disk_is_named_and_nothing_is_lost(tmp_path):
    out = tmp_path / "run.safetensors"
    whole = run(tmp_path / "whole.safetensors", model=wide)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def loss(network, batch, step):
        if step == 5:
            resource.setrlimit(resource.RLIMIT_FSIZE, (8000, limits[1]))
        return noisy_loss_of(network, batch, step)

    try:
        with pytest.raises(InputError, match=r"cannot write .*File too large.*make room and run the same"):
            run(out, model=wide, loss=loss)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(out.with_suffix(".run").glob(".*"))
    assert run(out, model=wide) == whole
    assert out.read_bytes() == (tmp_path / "whole.safetensors").read_bytes()


def test_a_checkpoint_that_does_not_fit_leaves_the_earlier_ones(tmp_path):
    save_checkpoint(tmp_path, {"model": {"a": torch.zeros(9)}}, state=TrainState(step=1), settings={})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, limits[1]))
    try:
        with pytest.raises(InputError, match=r"cannot write the checkpoint .*kept up to checkpoint-00000001"):
            tensors = {"model": {"a": torch.zeros(900)}}
            save_checkpoint(tmp_path, tensors, state=TrainState(step=2), settings={})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-00000001"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_log_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "run.jsonl").symlink_to("/dev/full")
    with pytest.raises(InputError, match=r"run\.jsonl.*No space left on device; make room"):
        run(tmp_path / "run.safetensors")


def test_a_damaged_checkpoint_is_named_and_the_one_before_serves(tmp_path):
    out = tmp_path / "run.safetensors"
    run(out)
    content = out.read_bytes()
    last = checkpoints(out.with_suffix(".run"))[-1]
    (last / "model.safetensors").write_bytes(b"half")
    with pytest.raises(WeightsError, match=r"checkpoint-00000009.* is damaged.*delete this folder"):
        run(out)
    (last / "state.json").write_text("{")
    with pytest.raises(WeightsError, match="is damaged"):
        run(out)
    for path in last.iterdir():
        path.unlink()
    last.rmdir()
    run(out)
    assert out.read_bytes() == content


def test_a_missing_folder_is_an_error_before_training(tmp_path):
    with pytest.raises(InputError, match="does not exist; create it first"):
        run(tmp_path / "nowhere" / "run.safetensors")


@pytest.mark.parametrize(
    "wrong",
    [
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"steps": -1},
        {"average_decay": 1.0},
        {"log_every_steps": 0},
        {"minutes": 0},
    ],
)
def test_impossible_schedules_are_refused(wrong):
    with pytest.raises(UsageError, match=next(iter(wrong))):
        Schedule(**wrong)


def test_batch_statistics_of_the_average_are_the_models(tmp_path):
    def model():
        return nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 1))

    out = tmp_path / "norm.safetensors"
    run(out, SCHEDULE, model=model, loss=loss_of)
    kept = weights.load_file(model(), out)
    assert torch.allclose(kept[0].running_var, torch.ones(3), atol=0.3)
    assert kept[0].num_batches_tracked > 1


def test_what_does_not_learn_stays_and_is_written(tmp_path):
    def frozen():
        model = normalised()
        model[1].requires_grad_(False)
        return model

    out = tmp_path / "frozen.safetensors"
    run(out, model=frozen)
    assert torch.equal(load_file(out)["1.weight"], frozen()[1].weight.half())
    assert "1.weight" not in load_file(checkpoints(out.with_suffix(".run"))[-1] / "model.safetensors")


def test_learning_rate_warms_up_and_falls():
    schedule = Schedule()
    rates = [schedule.rate_factor(0, progress) for progress in (0, 0.01, 0.02, 0.3, 0.6, 1.0, 1.5)]
    assert rates[0] == 0
    assert rates[1] < rates[2]
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[-1] == rates[-2] == pytest.approx(0.01)


def test_the_moving_average_is_the_formula(tmp_path):
    """Twenty updates of a parameter, a buffer and a count, beside the sum written out."""
    model = nn.BatchNorm1d(1)
    averaged = averaged_model(model, 0.5)
    expected = {}
    for step in range(20):
        for value in (model.weight.data, model.running_mean):
            value.fill_(float(step + 1))
        model.num_batches_tracked.fill_(step)
        averaged.update_parameters(model)
        decay = min(0.5, (1 + step) / (10 + step)) if step else 0.0
        expected = {name: decay * expected.get(name, 0.0) + (1 - decay) * (step + 1) for name in "wm"}
    assert averaged.module.weight.item() == pytest.approx(expected["w"], rel=1e-6)
    assert averaged.module.running_mean.item() == pytest.approx(expected["m"], rel=1e-6)
    assert averaged.module.num_batches_tracked.item() == 19


def test_frozen_parameters_of_the_average_take_no_memory():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[0].requires_grad_(False)
    averaged = averaged_model(model, 0.9).module
    assert averaged[0].weight.data_ptr() == model[0].weight.data_ptr()
    assert averaged[1].weight.data_ptr() != model[1].weight.data_ptr()


# --- checkpoints of earlier versions ---


def as_format_1(folder: Path, **changed) -> Path:
    """Rewrites the last checkpoint as the first format was."""
    last = checkpoints(folder)[-1]
    text = json.loads((last / "state.json").read_text())
    state = text.pop("state")
    assert text.pop("format") == FORMAT
    facts = {name: state[name] for name in ("running_loss", "seconds", "best", "best_score")}
    facts["looked"] = state["validated_minutes"]
    (last / "state.json").write_text(json.dumps({**text, "step": state["step"], "facts": facts} | changed))
    return last


def test_a_checkpoint_of_the_first_format_resumes(tmp_path):
    whole, broken = tmp_path / "whole.safetensors", tmp_path / "broken.safetensors"
    run(whole)
    killed(broken, after=5)
    as_format_1(broken.with_suffix(".run"))
    run(broken)
    assert whole.read_bytes() == broken.read_bytes()


def test_a_checkpoint_that_cannot_be_resumed_is_refused_with_what_to_do(tmp_path):
    out = tmp_path / "run.safetensors"
    run(out)
    last = as_format_1(out.with_suffix(".run"))
    (last / "model.safetensors").rename(last / "maker.safetensors")
    with pytest.raises(InputError, match=r"another version of Auteur.*choose another --out"):
        run(out)
    state = json.loads((last / "state.json").read_text())
    (last / "state.json").write_text(json.dumps({**state, "format": FORMAT + 1}))
    with pytest.raises(InputError, match="another version of Auteur"):
        run(out)


# --- phases and learners ---


def gan_phase(generator: nn.Module, discriminator: nn.Module, steps: int, first_step: int) -> Phase:
    """A generator of numbers around 2, and its discriminator."""

    def judged(network, batch, step):
        made = generator(batch["x"]).detach()
        return {"real": (1 - network(batch["y"])).relu().mean(), "made": (1 + network(made)).relu().mean()}

    def made(network, batch, step):
        return {"distance": (network(batch["x"]) - 2).square().mean(), "verdict": -discriminator(
            network(batch["x"])).mean() * torch.rand(())}  # fmt: skip

    return Phase(
        learners=(
            Learner(name="discriminator", model=discriminator, loss=judged, learning_rate=0.01,
                    first_step=first_step),
            Learner(model=generator, loss=made, learning_rate=0.02, average_decay=0.9,
                    term_weights={"verdict": 0.1}, rate_factor=WarmUpCosine(2, 0.1)),
        ),
        batches=BATCHES,
        steps=steps,
    )  # fmt: skip


def train_two_phases(out: Path, after: int | None = None) -> tuple[nn.Module, nn.Module, list[str]]:
    """Two adversarial phases of five steps; killed by -9 before step `after` + 1 of all."""
    torch.manual_seed(0)
    generator, finished = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1)), []
    discriminator = nn.Sequential(spectral_norm(nn.Linear(1, 8)), nn.ReLU(), nn.Linear(8, 1))
    teachers = []

    def phase(number: int) -> Phase:
        built = gan_phase(generator, discriminator, 5, first_step=2)
        teacher = copy.deepcopy(generator)
        teachers.append(teacher)
        learner = built.learners[1]

        def loss(network, batch, step):
            if after is not None and number * 5 + step == after:
                os.kill(os.getpid(), signal.SIGKILL)
            pull = (network(batch["x"]) - teacher(batch["x"])).square().mean()
            return {**learner.loss(network, batch, step), "pull": pull}

        return replace(
            built,
            learners=(built.learners[0], replace(learner, loss=loss)),
            fixed={"teacher": teacher},
            finish=lambda: finished.append(f"phase {number}"),
        )

    settings = TrainerSettings(log_every_steps=1, save_every_steps=2)
    trainer = Trainer(out, STEPS, settings)
    trainer.fit([lambda: phase(0), lambda: phase(1)])
    return generator, discriminator, finished


@pytest.mark.parametrize("after", [1, 3, 4, 5, 8])
def test_killed_adversarial_phases_end_with_the_same_bits(tmp_path, after):
    """The discriminator, the teacher of the phase and both optimizers are resumed as well."""
    torch.set_num_threads(1)
    child = os.fork()
    if not child:
        train_two_phases(tmp_path / "broken.safetensors", after)
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    *broken, _ = train_two_phases(tmp_path / "broken.safetensors")
    *whole, finished = train_two_phases(tmp_path / "whole.safetensors")
    assert finished == ["phase 0", "phase 1"]
    for one, other in zip(whole, broken, strict=True):
        expected, found = one.state_dict(), other.state_dict()
        assert all(torch.equal(expected[name], found[name]) for name in expected)
    last, again = (checkpoints(tmp_path / f"{name}.run")[-1] for name in ("whole", "broken"))
    assert last.name == again.name == "checkpoint-00000010"
    names = {path.stem for path in last.glob("*.safetensors")}
    assert names == {
        "model", "average", "optimizer", "discriminator", "discriminator_optimizer", "teacher"
    }  # fmt: skip
    for name in names:
        expected, found = (load_file(one / f"{name}.safetensors") for one in (last, again))
        assert expected.keys() == found.keys()
        assert all(torch.equal(expected[key], found[key]) for key in expected), name
    logs = [
        [{**line, "minutes": 0} for line in lines_of(tmp_path / f"{name}.x")] for name in ("whole", "broken")
    ]
    assert logs[0] == logs[1]
    assert [(line["phase"], line["step"]) for line in logs[0]] == [(n // 5, n + 1) for n in range(10)]
    assert "discriminator_loss" not in logs[0][1] and "discriminator_loss" in logs[0][2]
    assert {"distance", "verdict", "pull"} <= logs[0][0].keys()


def test_an_infinite_gradient_stops_the_run(tmp_path):
    def steep(network, batch, step):
        return (network(batch["x"]) * 0).abs().sum().sqrt()  # the slope of the root is infinite at 0

    out = tmp_path / "run.safetensors"
    with pytest.raises(DivergedError, match=r"norm of the gradient is (nan|inf) at step 1, batch train:0:0"):
        run(out, model=tiny, loss=steep)
    assert not checkpoints(out.with_suffix(".run"))


def test_a_setting_that_is_newer_than_a_run_matters_once_it_has_a_value(tmp_path):
    old = Checkpoint(tmp_path / "a.run" / "checkpoint-00000001", TrainState(), {"steps": 3})
    old.check({"steps": 3, "newer": None})
    with pytest.raises(InputError, match="newer was not set and is 5"):
        old.check({"steps": 3, "newer": 5})
    with pytest.raises(InputError, match="steps was 3 and is not set"):
        old.check({})
