"""Recipe: a LoRA adapter for a transformers audio-language model (AUHead, stage 1).

    auteur train audio-lm-lora --base Qwen2-Audio-7B-Instruct --manifest clips.csv --out ADAPTER

The manifest has the columns audio, track and emotion, paths relative to it: recordings of at most 30 s, their
Action Units in any format that `auteur.formats` reads (`auteur track` writes one), and one of the emotions.
Rank, alpha, dropout and learning rate are the author's; the loss counts on the answer alone.
"""

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from auteur.errors import FormatError, InputError
from auteur.expression.audio_lm import codec
from auteur.expression.audio_lm.pretrained import LONGEST_SEC, LoRASettings, PretrainedAudioLM, Question
from auteur.expression.audio_lm.prompts import Order, answer_text, find_heard_emotion
from auteur.formats import read_au_track
from auteur.lab.train.devices import Tracker
from auteur.lab.train.phases import Learner, Phase, cosine
from auteur.lab.train.trainer import Trainer, TrainerSettings
from auteur.media import read_speech
from auteur.signals.chance import keyed_generator


@dataclass(frozen=True)
class LoRARecipe:
    """Settings of the recipe."""

    base: Path
    """Folder of the base model."""
    manifest: Path
    out: Path
    """Folder for the adapter; created if missing."""
    order: Order = Order.EMOTION_THEN_UNITS
    epochs: int = 5
    batch_size: int = 1
    """Rows per process and step."""
    learning_rate: float = 1e-4
    warm_up: float = 0.01
    """Warm-up of the learning rate, as a share of the steps."""
    weight_decay: float = 0.1
    threshold: float = 0.0
    """The paper's lambda."""
    bfloat16: bool = True
    checkpoint_gradients: bool = True
    """Compute feature maps twice to hold fewer of them in memory."""
    log_every_steps: int = 10
    save_every_steps: int = 200
    """Between checkpoints of the adapter; the base is never written."""
    tracker: Tracker = ""
    """trackio or tensorboard, beside the JSON lines that are always written."""
    seed: int = 0
    lora: LoRASettings = field(default_factory=LoRASettings)


class AnsweredClips(Dataset[tuple[Question, str]]):
    """Prompts and target answers of a manifest.

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
        """Returns the prompt of a clip and its target answer."""
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
    return cosine((step - rising) / max(1, steps - rising))


class ShuffledPairs:
    """The clips of a process at a step: each epoch in an order of its own.

    Args:
        count: Of clips.
        batch_size: Per process.
        processes: Number of processes that share an epoch.
        seed: Of the orders.
    """

    def __init__(self, count: int, *, batch_size: int, processes: int, seed: int) -> None:
        self._count, self._batch_size, self._processes, self._seed = count, batch_size, processes, seed
        self.steps_per_epoch = max(1, math.ceil(count / batch_size) // processes)

    def at(self, step: int, process: int) -> list[int]:
        """Returns the numbers of the clips."""
        epoch, place = divmod(step, self.steps_per_epoch)
        order = keyed_generator(f"{self._seed}:order:{epoch}").permutation(self._count)
        first = (place * self._processes + process) * self._batch_size % self._count
        return order[first : first + self._batch_size].tolist()


def adapted(recipe: LoRARecipe, device: torch.device) -> PretrainedAudioLM:
    """Returns the base with a fresh adapter, on a device."""
    torch.manual_seed(recipe.seed)
    dtype = torch.bfloat16 if recipe.bfloat16 else torch.float32
    base = PretrainedAudioLM.from_folder(recipe.base, dtype=dtype, device=device)
    base.add_adapter(recipe.lora)
    if recipe.checkpoint_gradients:
        base.model.enable_input_require_grads()
        base.model.gradient_checkpointing_enable()
    return base


class QuestionBatches:
    """Questions and answers as tensors, step by step.

    Args:
        base: Tokenizer and feature extractor.
        clips: Their source.
        pairs: Order of the clips.
    """

    def __init__(self, base: PretrainedAudioLM, clips: AnsweredClips, pairs: ShuffledPairs) -> None:
        self._base, self._clips, self._pairs = base, clips, pairs

    def of_steps(self, seed: int, process: int, first: int) -> Iterator[dict[str, Tensor]]:
        """Yields the batches of step `first` on; the order of `pairs` has a seed of its own."""
        for step in count(first):
            chosen = (self._clips[number] for number in self._pairs.at(step, process))
            questions, answers = zip(*chosen, strict=True)
            yield self._base.learning_batch(questions, answers)


def train(recipe: LoRARecipe) -> None:
    """Trains an adapter and writes it; the log is `adapter.jsonl` in its folder.

    Raises:
        UsageError: accelerate or peft is not installed.
        WeightsError: `base` holds no audio-language model.
        InputError: The folder holds a run with other settings.
        DivergedError: The loss became NaN or infinite.
    """
    recipe.out.mkdir(parents=True, exist_ok=True)
    settings = replace(TrainerSettings.of(recipe), precision="bf16" if recipe.bfloat16 else "no")
    trainer = Trainer(recipe.out / "adapter", recipe, settings)
    base = adapted(recipe, trainer.devices.device)
    clips = AnsweredClips(recipe.manifest, order=recipe.order, threshold=recipe.threshold)
    pairs = ShuffledPairs(
        len(clips), batch_size=recipe.batch_size, processes=trainer.devices.count, seed=recipe.seed
    )
    steps = recipe.epochs * pairs.steps_per_epoch
    model = base.model.train()
    learner = Learner(
        model=model,
        loss=lambda network, batch, _: network(**batch).loss,
        learning_rate=recipe.learning_rate,
        rate_factor=lambda step, _: cosine_with_warm_up(step, steps, recipe.warm_up),
        betas=(0.9, 0.95),
        weight_decay=recipe.weight_decay,
        clip_norm=1.0,
        kept=lambda: {name: value for name, value in model.named_parameters() if value.requires_grad},
    )
    trainer.fit(
        [lambda: Phase(learners=(learner,), batches=QuestionBatches(base, clips, pairs), steps=steps)]
    )
    if trainer.devices.index == 0:
        base.save_adapter(recipe.out)
    trainer.devices.wait()
