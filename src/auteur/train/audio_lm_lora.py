r"""Recipe: a LoRA adapter for a transformers audio-language model (AUHead, stage 1).

    accelerate launch -m auteur.train.audio_lm_lora --base Qwen2-Audio-7B-Instruct --manifest clips.csv --out
    ADAPTER

The manifest has the columns audio, track and emotion, paths relative to it: recordings of at most 30 s, their
Action Units in any format that `auteur.formats` reads (`auteur track` writes one), and one of the emotions.
Rank, alpha, dropout and learning rate are the author's; the loss counts on the answer alone.
"""

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import tyro
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from auteur.errors import FormatError, InputError, UsageError
from auteur.expression.audio_lm import codec
from auteur.expression.audio_lm.pretrained import LONGEST_SEC, LoRASettings, PretrainedAudioLM, Question
from auteur.expression.audio_lm.prompts import Order, answer_text, find_heard_emotion
from auteur.formats import read_au_track
from auteur.media import read_speech


@dataclass(frozen=True)
class LoRARecipe:
    """What you will most likely change."""

    base: Path
    """Folder of the base model."""
    manifest: Path
    out: Path
    """Folder for the adapter; created if missing."""
    order: Order = Order.EMOTION_THEN_UNITS
    epochs: int = 5
    batch_size: int = 1
    """Per process."""
    learning_rate: float = 1e-4
    warm_up: float = 0.01
    """Share of the steps."""
    weight_decay: float = 0.1
    threshold: float = 0.0
    """The paper's lambda."""
    bfloat16: bool = True
    checkpoint_gradients: bool = True
    seed: int = 0
    lora: LoRASettings = field(default_factory=LoRASettings)


class AnsweredClips(Dataset[tuple[Question, str]]):
    """Questions and right answers of a manifest.

    Raises:
        InputError: The manifest is missing or names no clip.
        FormatError: A column is missing.
    """

    def __init__(self, manifest: Path, *, order: Order, threshold: float = 0.0) -> None:
        try:
            with manifest.open(encoding="utf-8", newline="") as table:
                self._rows = list(csv.DictReader(table))
        except OSError as error:
            raise InputError(f"cannot read {str(manifest)!r}: {error.strerror}") from error
        if not self._rows:
            raise InputError(f"{str(manifest)!r} names no clip")
        missing = {"audio", "track", "emotion"} - self._rows[0].keys()
        if missing:
            raise FormatError(f"{str(manifest)!r} lacks the columns {', '.join(sorted(missing))}")
        self._folder, self._order, self._threshold = manifest.parent, order, threshold

    def __len__(self) -> int:
        """Returns the number of clips."""
        return len(self._rows)

    def __getitem__(self, index: int) -> tuple[Question, str]:
        """Returns the question about a clip and its right answer."""
        row = self._rows[index]
        sound = read_speech(self._folder / row["audio"])
        if sound.duration_sec > LONGEST_SEC:
            raise InputError(f"{row['audio']!r} is longer than {LONGEST_SEC} s; cut it")
        emotion = find_heard_emotion(row["emotion"])
        given = emotion if self._order is Order.UNITS_GIVEN_EMOTION else None
        question = Question(sound=sound, order=self._order, emotion=given)
        track = read_au_track(self._folder / row["track"])
        frames = codec.frames_of(track, frames=question.frames, threshold=self._threshold)
        return question, answer_text(self._order, emotion=emotion, frames=frames)


def cosine_with_warm_up(step: int, steps: int, warm_up: float) -> float:
    """Returns the factor on the learning rate at a step."""
    rising = max(1, round(steps * warm_up))
    if step < rising:
        return (step + 1) / rising
    return 0.5 * (1 + math.cos(math.pi * (step - rising) / max(1, steps - rising)))


def train(recipe: LoRARecipe) -> list[float]:
    """Trains an adapter, writes it, and returns the loss of every step of this process.

    Raises:
        UsageError: accelerate or peft is not installed.
        WeightsError: `base` holds no audio-language model.
    """
    accelerator = _accelerator(recipe)
    torch.manual_seed(recipe.seed)
    dtype = torch.bfloat16 if recipe.bfloat16 else torch.float32
    base = PretrainedAudioLM.from_folder(recipe.base, dtype=dtype, device=accelerator.device)
    base.add_adapter(recipe.lora)
    if recipe.checkpoint_gradients:
        base.model.enable_input_require_grads()
        base.model.gradient_checkpointing_enable()
    base.model.train()
    clips = AnsweredClips(recipe.manifest, order=recipe.order, threshold=recipe.threshold)
    loader = DataLoader(
        clips,
        batch_size=recipe.batch_size,
        shuffle=True,
        collate_fn=list,
        generator=torch.Generator().manual_seed(recipe.seed),
    )
    learned = [each for each in base.model.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(
        learned, lr=recipe.learning_rate, betas=(0.9, 0.95), weight_decay=recipe.weight_decay
    )
    network, optimizer = accelerator.prepare(base.model, optimizer)
    steps = recipe.epochs * max(1, len(loader) // accelerator.num_processes)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        getattr(optimizer, "optimizer", optimizer),
        lambda step: cosine_with_warm_up(step, steps, recipe.warm_up),
    )
    losses: list[float] = []
    for _ in range(recipe.epochs):
        for pairs in _shares(loader, accelerator):
            questions, answers = zip(*pairs, strict=True)
            loss = _step(network, base.learning_batch(questions, answers), optimizer, accelerator, learned)
            schedule.step()
            losses.append(loss)
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        recipe.out.mkdir(parents=True, exist_ok=True)
        base.model = accelerator.unwrap_model(network)
        base.save_adapter(recipe.out)
    return losses


def _step(
    network: Any, batch: dict[str, Tensor], optimizer: Any, accelerator: Any, learned: list[Any]
) -> float:
    loss = network(**batch).loss
    if not torch.isfinite(loss):
        raise FloatingPointError(f"loss is {loss.item()}; lower the learning rate")
    accelerator.backward(loss)
    accelerator.clip_grad_norm_(learned, 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return float(loss.detach())


def _shares(loader: Any, accelerator: Any) -> Iterator[Any]:
    """The batches that fall to this process, as many for each process."""
    count = len(loader) - len(loader) % accelerator.num_processes or len(loader)
    for number, batch in enumerate(loader):
        if number < count and number % accelerator.num_processes == accelerator.process_index:
            yield batch


def _accelerator(recipe: LoRARecipe) -> Any:
    try:
        from accelerate import Accelerator
    except ImportError as error:
        raise UsageError("accelerate is not installed; run: pip install 'auteur-face[full]'") from error
    return Accelerator(mixed_precision="bf16" if recipe.bfloat16 else "no")


if __name__ == "__main__":
    train(tyro.cli(LoRARecipe))
