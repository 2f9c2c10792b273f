"""Recipe: a LoRA adapter for a transformers audio-language model (AUHead, stage 1), on prepared corpora.

    auteur train audio-lm-lora --base Qwen2-Audio-7B-Instruct --shards SHARDS --out ADAPTER

Samples have speech of at most 30 s and one of the emotions. Rank, alpha, dropout and learning rate are the
author's; the loss counts on the answer alone.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Annotated

import torch
import tyro
from torch import Tensor
from torch.utils.data import Dataset

from auteur.errors import InputError
from auteur.expression.audio_lm import codec
from auteur.expression.audio_lm.pretrained import LONGEST_SEC, LoRASettings, PretrainedAudioLM, Question
from auteur.expression.audio_lm.prompts import Order, answer_text, find_voice_emotion
from auteur.facs import au_track
from auteur.lab.data.motion_tracks import RATE, no_training_person
from auteur.lab.data.shards import Corpora
from auteur.lab.train.devices import Tracker
from auteur.lab.train.phases import Learner, Phase, cosine
from auteur.lab.train.trainer import Trainer, TrainerSettings
from auteur.signals import AUTrack, Waveform
from auteur.signals.seeding import keyed_generator


@dataclass(frozen=True)
class LoRARecipe:
    """Settings of the recipe."""

    base: Path
    """Folder of the base model: Qwen-Audio-Chat, Qwen2-Audio or Qwen2.5-Omni."""
    data: Annotated[Corpora, tyro.conf.arg(name="")]
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
    """Prompts and target answers of people who train; memory holds their sound and Action Units.

    Raises:
        InputError: No sample of a person who trains has speech and an emotion, or a shard is damaged.
    """

    def __init__(self, corpora: Corpora, *, order: Order, threshold: float = 0.0) -> None:
        corpora.refuse_mix("an epoch goes once through every clip")
        self._order, self._threshold = order, threshold
        self._samples: list[_Answered] = []
        for reader in corpora.readers(()):
            for sample in reader:
                sound, emotion = sample.speech(), sample.record["emotion"]
                if sound is None or emotion is None or sample.part != "train":
                    continue
                if sound.duration_sec > LONGEST_SEC:
                    raise InputError(
                        f"{sample.key!r} is longer than {LONGEST_SEC} s; prepare with a smaller "
                        "--longest-seconds"
                    )
                units = au_track(sample.array("au.feafa24"), convention="feafa24", rate=RATE)
                self._samples.append(_Answered(sound, find_voice_emotion(emotion), units))
        if not self._samples:
            raise InputError(no_training_person(corpora, "sample with speech and an emotion"))

    def __len__(self) -> int:
        """Returns the number of clips."""
        return len(self._samples)

    def __getitem__(self, index: int) -> tuple[Question, str]:
        """Returns the prompt of a clip and its target answer."""
        one = self._samples[index]
        given = one.emotion if self._order is Order.UNITS_GIVEN_EMOTION else None
        question = Question(sound=one.sound, order=self._order, emotion=given)
        frames = codec.frames_of(one.units, frames=question.frames, threshold=self._threshold)
        return question, answer_text(self._order, emotion=one.emotion, frames=frames)


@dataclass(frozen=True, eq=False)
class _Answered:
    sound: Waveform
    emotion: str
    units: AUTrack


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
    clips = AnsweredClips(recipe.data, order=recipe.order, threshold=recipe.threshold)
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
