"""Two processes learn one model: each sees batches of its own, the first writes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from auteur.errors import InputError
from auteur.lab.train.devices import Devices
from auteur.lab.train.run_folder import RunFolder

pytest.importorskip("accelerate", reason="the extra train")


@pytest.mark.slow
def test_two_processes_agree(tmp_path: Path):
    from two_processes import batch_of, loss_of

    out = tmp_path / "model.safetensors"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    script = Path(__file__).with_name("two_processes.py")
    done = subprocess.run(
        [*command, str(script), str(out)],
        env=os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        timeout=300,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert (tmp_path / "main.txt").read_text() == (tmp_path / "other.txt").read_text()
    assert float((tmp_path / "main.txt").read_text()) < 0.1
    lines = [json.loads(line) for line in (tmp_path / "model.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "loss" in line]
    assert [line["step"] for line in steps] == list(range(1, 41))
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 1)
    own = [loss_of(model, batch_of(f"0:train:0:{rank}")).item() for rank in (0, 1)]
    assert own[0] != own[1]
    assert steps[0]["loss"] == pytest.approx(sum(own) / 2)
    with pytest.raises(InputError, match="processes was 2 and is 1"):
        RunFolder(out, json.loads(_state(tmp_path)), Devices("no", "", tmp_path, "model"))


def _state(folder: Path) -> str:
    last = sorted((folder / "model.run").glob("checkpoint-*"))[-1]
    return json.dumps(json.loads((last / "state.json").read_text())["settings"])


@pytest.mark.slow
def test_two_processes_end_where_one_with_both_batches_does(tmp_path: Path):
    from safetensors.torch import load_file
    from two_processes import batch_of, training_of

    from auteur.lab.train.batches import Batches
    from auteur.lab.train.model_recipe import train_model

    def both(key: str) -> dict[str, torch.Tensor]:
        one, other = batch_of(key), batch_of(f"{key.removesuffix('0')}1")
        return {name: torch.cat([one[name], other[name]]) for name in one}

    two, one = tmp_path / "two" / "model.safetensors", tmp_path / "one" / "model.safetensors"
    for path in (two, one):
        path.parent.mkdir()
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, str(Path(__file__).with_name("two_processes.py")), str(two)],
        env=os.environ | {"ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        timeout=300,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    training, schedule = training_of(Batches(both))
    train_model(training, schedule=schedule, out=one)
    for name, value in load_file(one).items():
        torch.testing.assert_close(load_file(two)[name], value, atol=2e-3, rtol=2e-3)
