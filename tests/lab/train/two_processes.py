"""A small training, started by `torchrun` in test_several_processes.py."""

import sys
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import torch
from torch import nn

from auteur.lab.train.batches import Batches
from auteur.lab.train.devices import is_main_process
from auteur.lab.train.model_recipe import Schedule, Training, train_model


@dataclass(frozen=True)
class Error:
    value: float

    @property
    def score(self) -> float:
        return self.value


def batch_of(key: str) -> dict[str, torch.Tensor]:
    x = torch.randn(16, 3, generator=torch.Generator().manual_seed(crc32(key.encode())))
    return {"x": x, "y": x @ torch.tensor([[1.0], [-2.0], [0.5]])}


def loss_of(model: nn.Module, batch: dict[str, torch.Tensor], step: int = 0) -> torch.Tensor:
    return (model(batch["x"]) - batch["y"]).square().mean()


def training_of(batches: Batches) -> tuple[Training[Error], Schedule]:
    torch.manual_seed(0)
    training = Training(
        model=nn.Linear(3, 1),
        batches=batches,
        loss=loss_of,
        evaluate=lambda model: Error(loss_of(model, batch_of("test")).item()),
    )
    return training, Schedule(steps=40, learning_rate=0.2, average_decay=0.8, log_every_steps=1)


def main(out: Path) -> None:
    training, schedule = training_of(Batches(batch_of))
    best = train_model(training, schedule=schedule, out=out)
    name = "main" if is_main_process() else "other"
    (out.parent / f"{name}.txt").write_text(repr(best.value), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
