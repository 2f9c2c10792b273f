r"""Recipe: the lip head of a trained speech encoder, on real video, while its phones are kept.

    auteur train speech-lips --phones.shards SPEECH --shards SHARDS --out RUN --folds 4 \
        --start PHONES/speech_encoder.safetensors

With `--folds K` it also writes `OUT.fold0` … `OUT.foldK-1`, each trained without the people of one fold: the
motion generator trains on features of these, since features of an encoder's own training people are
better than those of any other.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro
from torch import Tensor, nn

from auteur.lab.data.shards import Corpora
from auteur.lab.data.speech.augment import SpeechCrops
from auteur.lab.data.speech.corpus import read_phones, shares_of
from auteur.lab.data.speech.lips import LipClip, LipCrops, lip_shares, read_lip_clips
from auteur.lab.data.splits import fold_of
from auteur.lab.train.batches import Batch, Batches, by_key
from auteur.lab.train.model_recipe import Schedule, Training, train_recipe
from auteur.lab.train.speech_encoder import SpeechEncoderRecipe, SpeechLoss
from auteur.speech.mel import MelConfig, levelled, measure_level, mel_power
from auteur.speech.network import CompactSpeechConfig, CompactSpeechEncoder, SpeechOutputs
from auteur.weights import load_file, metadata_of


@dataclass(frozen=True)
class SpeechLipsRecipe:
    """Settings of the recipe."""

    phones: Corpora
    """With the feature "phones", as for the recipe `speech-encoder`."""
    corpora: Annotated[Corpora, tyro.conf.arg(name="")]
    start: Path
    """Weights that the recipe `speech-encoder` wrote."""
    out: Path
    folds: int = 0
    """Further encoders, each without one group of people."""
    pairs: int = 8
    """Crops with phones per step, each in two augmentations."""
    crops: int = 12
    """Crops with lips per step."""
    phones_weight: float = 0.15
    schedule: Schedule = field(
        default_factory=lambda: Schedule(
            steps=300, learning_rate=7e-4, weight_decay=0.05, average_decay=0.98, evaluate_every_minutes=0.5
        )
    )


@dataclass(frozen=True)
class LipScores:
    """Correlation of predicted and filmed lip gap over the validation people's clips."""

    mean: float
    median: float

    @property
    def score(self) -> float:
        """Smaller is better."""
        return -self.mean


class LipCorrelation:
    """The validation: whole clips, without augmentation."""

    def __init__(self, clips: list[LipClip]) -> None:
        self._clips = clips

    @torch.inference_mode()
    def __call__(self, network: nn.Module) -> LipScores:
        """Scores an encoder in evaluation mode."""
        found = [
            np.corrcoef(_expected(network, _frames(clip))[0, : len(clip.gap)].numpy(), clip.gap)[0, 1]
            for clip in self._clips
        ]
        return LipScores(mean=round(float(np.mean(found)), 4), median=round(float(np.median(found)), 4))


def _expected(network: nn.Module, frames: Tensor) -> Tensor:
    """Lip gap [B, T] at 25 fps that an encoder predicts from frames [B, 4 T, bands]."""
    outputs: SpeechOutputs = network(frames)
    return outputs.lips[:, ::2, 0]


def _frames(clip: LipClip) -> Tensor:
    power = mel_power(torch.from_numpy(clip.samples)[None], MelConfig())
    return levelled(power, measure_level(power))


def lip_loss(expected: Tensor, gaps: Tensor) -> Tensor:
    """Returns 1 - correlation, plus a tenth of the squared error, of gaps [B, T]; NaN is left out."""
    known = ~gaps.isnan()
    gaps = torch.where(known, gaps, 0)
    count = known.sum(1, keepdim=True)

    def centred(values: Tensor) -> Tensor:
        return (values - (values * known).sum(1, keepdim=True) / count) * known

    a, b = centred(expected), centred(gaps)
    correlation = (a * b).sum(1) / (a.square().sum(1) * b.square().sum(1) + 1e-3).sqrt()
    return (1 - correlation).mean() + 0.1 * ((expected - gaps) * known).square().sum() / known.sum()


def build(
    recipe: SpeechLipsRecipe, clips: list[LipClip], *, without: int | None = None
) -> Training[LipScores]:
    """Returns an encoder, its crops, loss and scores; `without` leaves a fold of people out."""
    spoken = shares_of(recipe.phones, read_phones(recipe.phones))
    phones = SpeechCrops(spoken, pairs=recipe.pairs, seed=recipe.schedule.seed)
    training = [
        clip
        for clip in clips
        if clip.part == "train" and (without is None or fold_of(clip.person, recipe.folds) != without)
    ]
    shares = lip_shares(recipe.corpora, training)
    lips = LipCrops(training, crops=recipe.crops, seed=recipe.schedule.seed, shares=shares)
    phone_loss = SpeechLoss(SpeechEncoderRecipe(data=recipe.phones, out=recipe.out))

    heard, seen = by_key(phones).batch_of, by_key(lips).batch_of

    def loss(network: nn.Module, batch: Batch, _: int) -> Tensor:
        with torch.autocast(batch["lip_frames"].device.type, torch.bfloat16):
            expected = _expected(network, batch["lip_frames"])
        of_phones = phone_loss(network, batch)
        return lip_loss(expected.float(), batch["targets"][..., 0]) + recipe.phones_weight * of_phones

    encoder = load_file(CompactSpeechEncoder(), recipe.start)
    # Batch norms are frozen: half of the crops are not typical speech.
    encoder.lips.train()
    return Training(
        model=encoder,
        batches=Batches(lambda key: heard(key) | seen(key)),
        loss=loss,
        evaluate=LipCorrelation([clip for clip in clips if clip.part == "validation"]),
        metadata=metadata_of(CompactSpeechEncoder.kind, CompactSpeechConfig()),
    )


def train(recipe: SpeechLipsRecipe) -> list[LipScores]:
    """Trains the encoder and, on request, those of the folds; returns their validation scores."""
    clips = read_lip_clips(recipe.corpora)
    scores = [train_recipe(recipe, lambda one: build(one, clips))]
    for fold in range(recipe.folds):
        of_fold = replace(recipe, out=recipe.out.with_suffix(f".fold{fold}.safetensors"))
        scores.append(train_recipe(of_fold, lambda one, fold=fold: build(one, clips, without=fold)))
    return scores
