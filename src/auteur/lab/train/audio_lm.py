r"""Recipe: the compact audio-language model, on prepared corpora and on recordings without pictures.

    auteur train audio-lm --shards SHARDS --performances performances.npz --units emotion_units.npz \
        --ear EAR --out RUN

`EAR` is the folder of `auteur train listener`, whose emotion ensemble is frozen. One model learns all four
orders of question and answer. The speakers of one fold choose the checkpoint.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from auteur.expression.audio_lm import vocabulary
from auteur.expression.audio_lm.compact import AudioLM, AudioLMConfig
from auteur.expression.audio_lm.emotion_classifier import EmotionEnsemble
from auteur.expression.audio_lm.prompts import Order
from auteur.lab.data.audio_lm_batches import IGNORED, AudioLMBatches
from auteur.lab.data.emotion_units import load_units
from auteur.lab.data.emotional_speech import fold_of
from auteur.lab.data.performances import LabelledRecording, all_performances
from auteur.lab.data.shards import Corpora
from auteur.lab.train.batches import Batch, by_key
from auteur.lab.train.model_recipe import Schedule, Training, train_recipe
from auteur.weights import load_model, metadata_of

VALIDATION_FOLD = 4
_BLUR_HUNDREDTHS = 3.0
"""Intensities near the right one are nearly right: targets are blurred by this standard deviation."""


@dataclass(frozen=True)
class AudioLMRecipe:
    """Settings of the recipe."""

    units: Path
    """File of `auteur.lab.data.emotion_units`."""
    ear: Path
    out: Path
    performances: Path | None = None
    """File of `auteur.lab.data.performances`: recordings without pictures."""
    data: Annotated[Corpora, tyro.conf.arg(name="")] = field(default_factory=Corpora)
    start: Path | None = None
    """Weights of the same sizes to start from; the emotion ensemble comes from `ear` all the same."""
    batch_size: int = 16
    order: Order | None = None
    """The only order of question and answer to train, for AUHead's table 1; all four unless given."""
    emotion_weight: float = 4.0
    """Weight of the one token of the emotion."""
    config: AudioLMConfig = field(default_factory=AudioLMConfig)
    schedule: Schedule = field(
        default_factory=lambda: Schedule(
            minutes=14,
            learning_rate=1.5e-3,
            weight_decay=0.02,
            average_decay=0.99,
            evaluate_every_minutes=2.5,
        )
    )


@dataclass(frozen=True)
class AnswerLoss:
    """Cross-entropy per token on the validation speakers."""

    loss: float

    @property
    def score(self) -> float:
        """Smaller is better."""
        return self.loss


def answer_loss(model: nn.Module, batch: Batch, blur: Tensor, emotion_weight: float) -> Tensor:
    """Returns the mean cross-entropy of the answers' tokens, []; intensities have blurred targets.

    Args:
        model: The `AudioLM`.
        batch: Inputs of `AudioLM.forward`, and "targets" int64 [B, N] with `IGNORED` where none counts.
        blur: Target distribution of each intensity token, [100, 100].
        emotion_weight: Of the token of the emotion.
    """
    with torch.autocast(batch["rows"].device.type, torch.bfloat16):
        logits = model(batch).float()
    targets = batch["targets"]
    kept = targets != IGNORED
    chance, wanted = logits[kept].log_softmax(-1), targets[kept]
    is_number = wanted >= vocabulary.FIRST_NUMBER
    plain = functional.nll_loss(chance[~is_number], wanted[~is_number], reduction="none")
    is_emotion = torch.isin(wanted[~is_number], torch.tensor(vocabulary.EMOTION_TOKENS, device=wanted.device))
    plain = plain * torch.where(is_emotion, emotion_weight, 1.0)
    soft = blur.to(wanted.device)[wanted[is_number] - vocabulary.FIRST_NUMBER]
    numbers = -(soft * chance[is_number][:, vocabulary.FIRST_NUMBER :]).sum(-1)
    return (plain.sum() + numbers.sum()) / len(wanted)


def blurred_numbers() -> Tensor:
    """Returns the blurred target of each intensity token, [100, 100]; rows add up to 1."""
    hundredths = torch.arange(100.0)
    kernel = torch.exp(-0.5 * ((hundredths[:, None] - hundredths) / _BLUR_HUNDREDTHS) ** 2)
    return kernel / kernel.sum(1, keepdim=True)


@torch.no_grad()
def heard_of(performances: list[LabelledRecording], ear: EmotionEnsemble, run: Path) -> dict[str, np.ndarray]:
    """Returns the log probabilities of the emotions, by name of the performance.

    Out-of-fold predictions for the training speakers of the ensemble; its mean for all other speakers.
    """
    stored = np.load(run / "heard.npz")
    found = dict(zip(stored["name"].tolist(), stored["log_probabilities"], strict=True))
    for one in performances:
        if one.name not in found:
            found[one.name] = ear.emotion_log_probabilities(torch.from_numpy(one.rows)).numpy()
    return found


def split(performances: list[LabelledRecording]) -> tuple[list[LabelledRecording], list[LabelledRecording]]:
    """Returns (training, validation); held-out people are in neither."""
    kept = [one for one in performances if not one.is_held_out and one.part != "test"]

    def judges(one: LabelledRecording) -> bool:
        return one.part == "validation" if one.is_measured else fold_of(one.speaker) == VALIDATION_FOLD

    return [one for one in kept if not judges(one)], [one for one in kept if judges(one)]


def build(recipe: AudioLMRecipe) -> Training[AnswerLoss]:
    """Returns the model with its frozen emotion ensemble, its batches and loss."""
    model = AudioLM(recipe.config) if recipe.start is None else load_model(recipe.start, AudioLM).train()
    ear = load_file(recipe.ear / "ear.safetensors")
    model.ear.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in ear.items()})
    model.ear.eval().requires_grad_(False)
    performances = all_performances(recipe.performances, recipe.data)
    statistics = load_units(recipe.units)
    heard = heard_of(performances, model.ear, recipe.ear)
    training, validation = split(performances)
    orders = tuple(Order) if recipe.order is None else (recipe.order,)
    batches = AudioLMBatches(
        training,
        statistics,
        heard,
        batch_size=recipe.batch_size,
        seed=recipe.schedule.seed,
        orders=orders,
    )
    kept = AudioLMBatches(validation, statistics, heard, batch_size=16, seed=1, augment=False, orders=orders)
    held_out = [kept.batch() for _ in range(6)]
    blur = blurred_numbers()

    @torch.no_grad()
    def evaluate(network: nn.Module) -> AnswerLoss:
        losses = [answer_loss(network, one, blur, recipe.emotion_weight).item() for one in held_out]
        return AnswerLoss(float(np.mean(losses)))

    return Training(
        model=model,
        batches=by_key(batches),
        loss=lambda network, batch, _: answer_loss(network, batch, blur, recipe.emotion_weight),
        evaluate=evaluate,
        metadata=metadata_of(model.kind, model.config),
    )


def train(recipe: AudioLMRecipe) -> AnswerLoss:
    """Trains and writes the best weights with the emotion ensemble and the sizes."""
    return train_recipe(recipe, build)
