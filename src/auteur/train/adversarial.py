"""Two players over one run: a maker that learns from a critic, and the critic. Taken up again as any run."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from auteur.train.batches import Batches
from auteur.train.devices import Devices, Precision, Tracker, find_devices
from auteur.train.loop import CLIP_NORM, batch_key, chance_of
from auteur.train.run import Batch, Run
from auteur.train.state import (
    Average,
    fill,
    fill_optimizer,
    learning_tensors,
    optimizer_memory,
    settings_of,
)

Terms = dict[str, Tensor]
_BETAS = (0.5, 0.99)


@dataclass(frozen=True)
class Game:
    """How long and how fast; the learning rate falls along a cosine to 0."""

    steps: int
    learning_rate: float
    average_decay: float
    """Of the maker's moving average."""
    seed: int = 0
    log_every_steps: int = 50
    save_every_steps: int = 500
    precision: Precision = "no"
    tracker: Tracker = ""


class Player(nn.Module):
    """A network with its loss, as one module: wrappers for several devices see every use of its weights.

    Args:
        name: Of its tensors in checkpoints.
        model: What learns.
        terms_of: Terms of its loss on a batch.
        learning_rate: At the start.
        weights: Of the terms; 1 for what is not named.
    """

    def __init__(
        self,
        name: str,
        model: nn.Module,
        terms_of: Callable[[Batch], Terms],
        learning_rate: float,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__()
        self.weights = weights or {}
        self.model, self._terms_of, self.player = model, terms_of, name
        self.learned = {key: p for key, p in model.named_parameters() if p.requires_grad}
        self.optimizer = torch.optim.Adam(self.learned.values(), lr=learning_rate, betas=_BETAS)

    def forward(self, batch: Batch) -> Terms:
        """Returns the terms of the loss."""
        return self._terms_of(batch)

    def groups(self) -> dict[str, Mapping[str, Tensor]]:
        """Returns what a checkpoint keeps."""
        memory = optimizer_memory(self.optimizer, self.learned)
        return {self.player: learning_tensors(self.model), f"{self.player}_optimizer": memory}

    def take_up(self, run: Run) -> None:
        """Goes back to where a checkpoint is."""
        found = run.resumed
        if found is not None:
            fill(learning_tensors(self.model), found.tensors(self.player), found.path)
            memory = found.tensors(f"{self.player}_optimizer")
            fill_optimizer(self.optimizer, self.learned, memory, found.path)


def play(
    maker: Player, critic: Player, batches: Batches, *, game: Game, out: Path, recipe: Any
) -> dict[str, float]:
    """Trains both, the critic first in every step, and leaves the maker with its average, on the CPU.

    Args:
        maker: Trained in place.
        critic: The same.
        batches: By step.
        game: How long and how fast.
        out: What the recipe will write; checkpoints and log go beside it.
        recipe: Dataclass of all settings.

    Returns:
        The maker's terms at the last step.

    Raises:
        DivergedError: A loss became NaN or infinite.
        InputError: A checkpoint cannot be written, or belongs to a run with other settings.
    """
    devices = find_devices(game.precision, game.tracker, out.parent, out.stem)
    run = Run(out, settings_of(recipe), devices)
    for player in (maker, critic):
        player.to(devices.device)
    average = Average(learning_tensors(maker.model), game.average_decay, warm_up=False)
    facts: dict[str, Any] = {"shown": {}, "seconds": 0.0}
    if run.resumed is not None:
        for player in (maker, critic):
            player.take_up(run)
        fill(average.values, run.resumed.tensors("average"), run.resumed.path)
        facts = run.resumed.facts
    networks = [(one, *devices.prepare(one, [one.optimizer])) for one in (critic, maker)]
    started = time.monotonic() - facts["seconds"]
    stream = batches.of_steps(game.seed, devices.index, run.step)
    for step in range(run.step, game.steps):
        key = batch_key(step, devices.index)
        torch.manual_seed(chance_of(f"{game.seed}:{key}"))
        batch = {name: value.to(devices.device) for name, value in next(stream).items()}
        rate = game.learning_rate * 0.5 * (1 + math.cos(math.pi * step / game.steps))
        for player, network, (prepared,) in networks:
            terms = network(batch)
            loss = sum(
                (player.weights.get(k, 1.0) * v for k, v in terms.items()),
                torch.zeros((), device=devices.device),
            )
            run.check_losses(devices.gather(loss), batch, key, step + 1)
            _improve(player, prepared, loss, rate, devices)
            facts["shown"] = {name: round(value.item(), 4) for name, value in terms.items()}
        average.update(learning_tensors(maker.model), step)
        facts["seconds"] = time.monotonic() - started
        is_done = step + 1 == game.steps
        if is_done or (step + 1) % game.log_every_steps == 0:
            run.tell(step + 1, **facts["shown"])
        if is_done or (step + 1) % game.save_every_steps == 0:
            groups = {"average": average.values, **maker.groups(), **critic.groups()}
            run.save(step + 1, groups, facts)
    devices.close()
    fill(learning_tensors(maker.model), average.values, run.folder)
    maker.cpu().eval()
    return facts["shown"]


def _improve(player: Player, prepared: Any, loss: Tensor, rate: float, devices: Devices) -> None:
    """Takes one step down a loss."""
    for group in player.optimizer.param_groups:
        group["lr"] = rate
    prepared.zero_grad(set_to_none=True)
    devices.backward(loss)
    devices.clip(player.learned.values(), CLIP_NORM)
    prepared.step()
