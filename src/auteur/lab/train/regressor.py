"""Recipe: the regressor that AUHead is compared with, on prepared corpora and recordings without pictures.

auteur train regressor --shards SHARDS --units emotion_units.npz --out RUN
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro
from torch import Tensor, nn
from torch.nn import functional

from auteur.expression.audio_lm.codec import VOICE_EMOTIONS
from auteur.expression.regressor import Regressor, RegressorConfig
from auteur.lab.data.emotion_units import EmotionUnits, load_units
from auteur.lab.data.emotional_speech import augmented
from auteur.lab.data.performances import LabelledRecording, all_performances
from auteur.lab.data.shards import Corpora
from auteur.lab.train.audio_lm import split
from auteur.lab.train.batches import Batch, by_key
from auteur.lab.train.model_recipe import Schedule, Training, train_recipe
from auteur.weights import metadata_of

_UNKNOWN = -100
_CROP_FRAMES = 75
_MEASURED_SHARE = 0.3


@dataclass(frozen=True)
class RegressorRecipe:
    """Settings of the recipe."""

    units: Path
    """File of `auteur.lab.data.emotion_units`."""
    out: Path
    performances: Path | None = None
    """File of `auteur.lab.data.performances`: recordings without pictures."""
    data: Annotated[Corpora, tyro.conf.arg(name="")] = field(default_factory=Corpora)
    batch_size: int = 32
    emotion_weight: float = 0.1
    """Weight of the emotion's cross-entropy beside the units' mean absolute error."""
    config: RegressorConfig = field(default_factory=RegressorConfig)
    schedule: Schedule = field(
        default_factory=lambda: Schedule(
            minutes=6,
            learning_rate=2e-3,
            weight_decay=0.03,
            average_decay=0.99,
            evaluate_every_minutes=1.0,
        )
    )


@dataclass(frozen=True)
class RegressorScores:
    """On the validation speakers."""

    error: float
    """Mean absolute error of all units, with the predicted emotion."""
    accuracy: float

    @property
    def score(self) -> float:
        """Smaller is better."""
        return self.error - 0.05 * self.accuracy


class UnitBatches:
    """Endless batches of augmented crops of 3 s with intensities at 25 a second.

    Args:
        performances: What to draw from; measured ones give three tenths of the crops.
        statistics: For targets that are built anew each time.
        batch_size: Crops per batch.
        seed: Everything follows from it.
        augment: Whether vocal tracts, rooms and microphones vary.
    """

    def __init__(
        self,
        performances: Sequence[LabelledRecording],
        statistics: EmotionUnits,
        *,
        batch_size: int = 32,
        seed: int = 0,
        augment: bool = True,
    ) -> None:
        self._all = list(performances)
        lengths = np.array([len(one.units) for one in self._all], dtype=np.float64)
        is_measured = np.array([one.is_measured for one in self._all])
        shares = np.where(is_measured, lengths, 1.0)
        for part, share in ((is_measured, _MEASURED_SHARE), (~is_measured, 1 - _MEASURED_SHARE)):
            shares[part] *= share / max(shares[part].sum(), 1e-9)
        self._shares = shares / shares.sum()
        self._statistics, self._size, self._augment = statistics, batch_size, augment
        self.random = np.random.default_rng(seed)

    def __iter__(self) -> Iterator[Batch]:
        """Yields batches (`batch`)."""
        while True:
            yield self.batch()

    def batch(self) -> Batch:
        """Returns rows [B, 150, C], units [B, 75, 24], label [B], given [B, emotions] (NaN where none is)."""
        chosen = self.random.choice(len(self._all), self._size, p=self._shares)
        rows, units, label, given = zip(*(self._one(self._all[i]) for i in chosen), strict=True)
        stacked = torch.from_numpy(np.stack(rows))
        return {
            "rows": augmented(stacked, self.random) if self._augment else stacked,
            "units": torch.from_numpy(np.stack(units)),
            "label": torch.tensor(label),
            "given": torch.from_numpy(np.stack(given)),
        }

    def _one(self, one: LabelledRecording) -> tuple[np.ndarray, np.ndarray, int, np.ndarray]:
        emotion, given = one.emotion, np.full(len(VOICE_EMOTIONS), np.nan, np.float32)
        if emotion and self.random.random() < 0.5:
            if not one.is_measured and self.random.random() < 0.5:
                emotion = str(self.random.choice(VOICE_EMOTIONS))
            given[:] = np.arange(len(VOICE_EMOTIONS)) == VOICE_EMOTIONS.index(emotion)
        target = one.target(self._statistics, self.random, emotion=emotion or None).astype(np.float32)
        start = int(self.random.integers(max(len(target) - _CROP_FRAMES, 0) + 1))
        units = _filled(target[start : start + _CROP_FRAMES], _CROP_FRAMES)
        rows = _filled(one.rows[2 * start : 2 * (start + _CROP_FRAMES)], 2 * _CROP_FRAMES)
        label = VOICE_EMOTIONS.index(one.emotion) if one.emotion else _UNKNOWN
        return rows.astype(np.float32), units, label, given


def _filled(values: np.ndarray, count: int) -> np.ndarray:
    return np.pad(values, ((0, count - len(values)), (0, 0)), mode="edge")


def regressor_loss(model: nn.Module, batch: Batch, emotion_weight: float) -> Tensor:
    """Returns the mean absolute error of the units plus the emotion's weighted cross-entropy, [].

    Args:
        model: The regressor.
        batch: "rows" [B, 2 T, C], "given" [B, emotions], "units" [B, T, 24] in [0, 1], "label" int64 [B].
        emotion_weight: Of the cross-entropy; it is left out where no row has a label.
    """
    with torch.autocast(batch["rows"].device.type, torch.bfloat16):
        units, emotions = model(batch["rows"], batch["given"])
    error = (units.float() - batch["units"]).abs().mean()
    if not (batch["label"] != _UNKNOWN).any():
        return error
    heard = functional.cross_entropy(
        emotions.float(), batch["label"], ignore_index=_UNKNOWN, label_smoothing=0.05
    )
    return error + emotion_weight * heard


@torch.no_grad()
def regressor_scores(model: nn.Module, batches: Sequence[Batch]) -> RegressorScores:
    """Returns the scores over batches of the validation speakers."""
    errors, right = [], []
    for batch in batches:
        units, emotions = model(batch["rows"])
        errors.append((units - batch["units"]).abs().mean().item())
        right += (emotions.argmax(-1) == batch["label"])[batch["label"] != _UNKNOWN].tolist()
    return RegressorScores(error=float(np.mean(errors)), accuracy=float(np.mean(right)))


def build(recipe: RegressorRecipe) -> Training[RegressorScores]:
    """Returns the regressor, its crops, loss and scores on the validation speakers."""
    training, validation = split(all_performances(recipe.performances, recipe.data))
    statistics = load_units(recipe.units)
    batches = UnitBatches(training, statistics, batch_size=recipe.batch_size, seed=recipe.schedule.seed)
    kept = UnitBatches(validation, statistics, seed=1, augment=False)
    held_out = [kept.batch() for _ in range(8)]
    return Training(
        model=Regressor(recipe.config),
        batches=by_key(batches),
        loss=lambda model, batch, _: regressor_loss(model, batch, recipe.emotion_weight),
        evaluate=lambda model: regressor_scores(model, held_out),
        metadata=metadata_of(Regressor.kind, recipe.config),
    )


def train(recipe: RegressorRecipe) -> RegressorScores:
    """Trains and writes the best weights with their sizes."""
    return train_recipe(recipe, build)
