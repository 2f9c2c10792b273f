"""Recipe: an encoder that predicts filmed mouths from speech, for the flow of the face.

    auteur train lip-encoder --shards SHARDS --generated SHARDS_OF_GENERATED --out RUN --folds 5

The shipped speech encoder, trained further: its lip predictor outputs gap, width and the largest coefficients
of the mesh (`auteur.lab.data.speech.lips.LIP_TARGETS`) on filmed people and on videos of talking-head
systems, and its phones stay those of the encoder it started from. `OUT.fold0` … `OUT.foldK-1` are each
trained without the people of one fold: the flow trains on out-of-fold features, since those of an encoder's
training people are better than those of new people.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Self

import numpy as np
import torch
import tyro
from torch import Tensor, nn
from torch.nn import functional

from auteur.evaluate.lags import best_correlation, correlation
from auteur.evaluate.mouth_motion import LARGEST_LAG_FRAMES
from auteur.lab.data.shards import Corpora
from auteur.lab.data.speech.lips import LIP_TARGETS, LipClip, LipCrops, lip_shares, read_lip_clips
from auteur.lab.data.splits import fold_of
from auteur.lab.train.batches import Batch, by_key
from auteur.lab.train.devices import is_main_process
from auteur.lab.train.model_recipe import Schedule, Training, save_half, train_recipe
from auteur.speech.mel import MelConfig, levelled, measure_level, mel_power
from auteur.speech.network import CompactSpeechConfig, CompactSpeechEncoder, SpeechOutputs
from auteur.weights import load_file, load_shipped, metadata_of

_TARGET_WEIGHTS = (2.0, 1.5, *(0.4 for _ in LIP_TARGETS[2:]))
_LEAST_VARIANCE = 1e-3


@dataclass(frozen=True)
class LipEncoderRecipe:
    """Settings of the recipe."""

    data: Annotated[Corpora, tyro.conf.arg(name="")]
    out: Path
    folds: int = 0
    """Further encoders, each without one group of people."""
    crops: int = 12
    """Crops of four seconds per step."""
    phones_weight: float = 0.05
    """Weight of the divergence from the phones and articulations of the encoder it starts from."""
    config: CompactSpeechConfig = field(
        default_factory=lambda: CompactSpeechConfig(
            lips_width=96, lips_dilations=(1, 2, 4, 8, 2), lip_outputs=len(LIP_TARGETS)
        )
    )
    schedule: Schedule = field(
        default_factory=lambda: Schedule(
            steps=220, learning_rate=7e-4, weight_decay=0.05, average_decay=0.98, evaluate_every_steps=44
        )
    )


@dataclass(frozen=True)
class LipScores:
    """Medians over the validation people's clips: correlation of predicted and filmed lips."""

    gap: float
    gap_best_lag: float
    width: float
    width_best_lag: float

    @property
    def score(self) -> float:
        """Smaller is better."""
        return -(self.gap + self.gap_best_lag + 0.5 * self.width + 0.5 * self.width_best_lag)


class LipTraining(nn.Module):
    """The encoder, and the one that it starts from, whose phones it keeps."""

    def __init__(self, config: CompactSpeechConfig) -> None:
        super().__init__()
        self.encoder = CompactSpeechEncoder(config)
        start = load_shipped(CompactSpeechEncoder(), "speech_encoder")
        known = {k: v for k, v in start.state_dict().items() if not k.startswith("lips.")}
        self.encoder.load_state_dict(known, strict=False)
        self._start = [start.requires_grad_(False)]  # in a list: no part of the weights

    def train(self, mode: bool = True) -> Self:
        """Batch norms are frozen: crops are augmented, and few."""
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.eval()
        return self

    def loss(self, batch: Batch, phones_weight: float) -> Tensor:
        """Returns the loss of a batch of `LipCrops`."""
        frames = batch["lip_frames"]
        with torch.autocast(frames.device.type, torch.bfloat16):
            outputs: SpeechOutputs = self.encoder(frames)
        with torch.no_grad():
            known: SpeechOutputs = self._start[0].to(frames.device)(frames)
        predicted = outputs.phones.float().log_softmax(-1).flatten(0, 1)
        divergence = functional.kl_div(
            predicted, known.phones.softmax(-1).flatten(0, 1), reduction="batchmean"
        )
        unlike = functional.binary_cross_entropy_with_logits(
            outputs.articulation.float(), known.articulation.sigmoid(), reduction="none"
        )
        kept = divergence + unlike.sum(-1).mean()
        return lip_loss(outputs.lips[:, ::2].float(), batch["targets"]) + phones_weight * kept


def lip_loss(predicted: Tensor, targets: Tensor) -> Tensor:
    """Returns 1 - correlation, plus a tenth of the squared error, weighted by target.

    Args:
        predicted: [B, T, N].
        targets: [B, T, N]; NaN is left out.
    """
    known = ~targets[..., :1].isnan()
    targets = targets.nan_to_num()
    count = known.sum(1, keepdim=True).clamp(min=1)
    weights = targets.new_tensor(_TARGET_WEIGHTS)
    weights = weights / weights.sum()

    def centred(values: Tensor) -> Tensor:
        return (values - (values * known).sum(1, keepdim=True) / count) * known

    a, b = centred(predicted), centred(targets)
    agreement = (a * b).sum(1) / (a.square().sum(1) * b.square().sum(1) + _LEAST_VARIANCE).sqrt()
    error = ((predicted - targets) * known).square().sum((0, 1)) / known.sum()
    return ((1 - agreement) * weights).sum(-1).mean() + 0.1 * (error * weights).sum()


@torch.inference_mode()
def lip_scores(encoder: nn.Module, clips: list[LipClip]) -> LipScores:
    """Returns the scores of an encoder in evaluation mode on the lips of whole clips without augmentation."""
    rows: list[tuple[float, ...]] = []
    for clip in clips:
        power = mel_power(torch.from_numpy(clip.samples)[None], MelConfig())
        lips = encoder(levelled(power, measure_level(power))).lips[0, ::2].numpy()[: len(clip.targets)]
        pairs = [(lips[:, n], clip.targets[:, n]) for n in (0, 1)]
        rows.append(
            tuple(
                found
                for pair in pairs
                for found in (correlation(*pair), best_correlation(*pair, LARGEST_LAG_FRAMES))
            )
        )
    return LipScores(*np.median(np.array(rows), axis=0).round(4).tolist())


def build(
    recipe: LipEncoderRecipe, clips: list[LipClip], *, without: int | None = None
) -> Training[LipScores]:
    """Returns encoder, crops of training people, loss and scores; `without` leaves a fold of people out."""
    training = [
        clip
        for clip in clips
        if clip.part == "train" and (without is None or fold_of(clip.person, recipe.folds) != without)
    ]
    validation = [clip for clip in clips if clip.part == "validation"]
    shares = lip_shares(recipe.data, training)
    crops = LipCrops(training, crops=recipe.crops, seed=recipe.schedule.seed, shares=shares)

    def loss(network: nn.Module, batch: Batch, step: int) -> Tensor:
        return network.loss(batch, recipe.phones_weight)  # pyright: ignore

    return Training(
        model=LipTraining(recipe.config),
        batches=by_key(crops),
        loss=loss,
        evaluate=lambda network: lip_scores(network.encoder, validation),  # pyright: ignore
        metadata=metadata_of(CompactSpeechEncoder.kind, recipe.config),
    )


def train(recipe: LipEncoderRecipe) -> LipScores:
    """Trains the encoder and those of the folds; returns the scores of the first on the validation people."""
    clips = read_lip_clips(recipe.data)
    best = _train_one(recipe, clips, without=None)
    for fold in range(recipe.folds):
        out = recipe.out.with_suffix(f".fold{fold}.safetensors")
        _train_one(replace(recipe, out=out), clips, without=fold)
    return best


def _train_one(recipe: LipEncoderRecipe, clips: list[LipClip], *, without: int | None) -> LipScores:
    """Trains one encoder and writes it alone."""
    scores = train_recipe(recipe, lambda r: build(r, clips, without=without))
    if is_main_process():
        trained = load_file(LipTraining(recipe.config), recipe.out)
        save_half(trained.encoder, recipe.out, metadata_of(CompactSpeechEncoder.kind, recipe.config))
    return scores
