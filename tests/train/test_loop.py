"""The training loop: it learns, keeps the best average, logs every look, and stops at NaN."""

import itertools
import json
from dataclasses import dataclass, replace

import pytest
import torch
from torch import nn

from auteur import weights
from auteur.train.loop import Schedule, train_for

SCHEDULE = Schedule(minutes=0.012, learning_rate=0.02, evaluate_every_minutes=0.003, average_decay=0.9)


@dataclass(frozen=True)
class Errors:
    loss: float

    @property
    def score(self) -> float:
        return self.loss


def batches():
    random = torch.Generator().manual_seed(0)
    while True:
        x = torch.randn(32, 3, generator=random)
        yield {"x": x, "y": x @ torch.tensor([[1.0], [-2.0], [0.5]]) + 0.3}


def loss_of(network, batch):
    return (network(batch["x"]) - batch["y"]).square().mean()


def held_out_error(network) -> Errors:
    assert not network.training
    with torch.no_grad():
        return Errors(loss_of(network, next(batches())).item())


def tiny() -> nn.Module:
    torch.manual_seed(0)
    return nn.Linear(3, 1)


def test_it_learns_keeps_the_best_and_logs_every_look(tmp_path):
    out = tmp_path / "tiny.safetensors"
    best = train_for(tiny(), batches(), loss_of=loss_of, evaluate=held_out_error, schedule=SCHEDULE, out=out)
    before = held_out_error(tiny().eval()).loss
    assert best.loss < 0.05 * before
    lines = [json.loads(line) for line in out.with_suffix(".jsonl").read_text().splitlines()]
    assert len(lines) >= 3
    assert [line["step"] for line in lines] == sorted({line["step"] for line in lines})
    assert min(line["loss"] for line in lines) == best.loss
    kept = held_out_error(weights.load_file(tiny(), out))
    assert kept.loss == pytest.approx(best.loss, abs=2e-3)  # stored in half precision


def test_the_best_look_is_kept_not_the_last(tmp_path):
    out = tmp_path / "tiny.safetensors"
    scores = itertools.chain([3.0, 1.0], itertools.repeat(2.0))
    states = []

    def evaluate(network) -> Errors:
        states.append({k: v.clone() for k, v in network.state_dict().items()})
        return Errors(next(scores))

    slow = replace(SCHEDULE, learning_rate=1e-3)
    best = train_for(tiny(), batches(), loss_of=loss_of, evaluate=evaluate, schedule=slow, out=out)
    assert best.loss == 1.0
    assert len(states) > 2
    kept = weights.load_file(tiny(), out).state_dict()
    assert torch.equal(kept["weight"], states[1]["weight"].half().float())
    assert not torch.equal(kept["weight"], states[-1]["weight"].half().float())


def test_nan_stops_the_training(tmp_path):
    def broken(network, batch):
        return loss_of(network, batch) * float("nan")

    with pytest.raises(FloatingPointError, match="loss is nan at step 1; lower the learning rate"):
        train_for(
            tiny(), batches(), loss_of=broken, evaluate=held_out_error, schedule=SCHEDULE, out=tmp_path / "x"
        )


def test_batches_that_end_are_refused(tmp_path):
    few = itertools.islice(batches(), 3)
    with pytest.raises(ValueError, match="endless stream"):
        train_for(
            tiny(), few, loss_of=loss_of, evaluate=held_out_error, schedule=Schedule(), out=tmp_path / "x"
        )


def test_batch_statistics_of_the_average_are_the_models(tmp_path):
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 1))
    out = tmp_path / "norm.safetensors"
    train_for(model, batches(), loss_of=loss_of, evaluate=held_out_error, schedule=SCHEDULE, out=out)
    kept = weights.load_file(nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 1)), out)
    assert torch.allclose(kept[0].running_var, torch.ones(3), atol=0.3)
    assert kept[0].num_batches_tracked > 1


def test_learning_rate_warms_up_and_falls():
    schedule = Schedule(learning_rate=1.0)
    rates = [schedule.learning_rate_at(progress) for progress in (0, 0.01, 0.02, 0.3, 0.6, 1.0, 1.5)]
    assert rates[0] == 0
    assert rates[1] < rates[2]
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[-1] == rates[-2] == pytest.approx(0.01)
