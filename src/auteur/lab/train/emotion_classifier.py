r"""Recipe: the audio-language model's emotion classifiers, on prepared recordings with emotion labels.

    auteur train listener --shards RAVDESS EMODB --out RUN --schedule.minutes 2.2

One classifier per fold of speakers, each trained without that fold, which chooses its checkpoint; then the
regressions on statistics and on Fisher vectors of all of them, and the factors of the three, fitted on
out-of-fold predictions. `RUN`
receives `voter_K.safetensors`, `ear.safetensors` (all together) and `heard.npz`: the out-of-fold predictions
for every training clip.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from auteur.errors import InputError
from auteur.expression.audio_lm.codec import VOICE_EMOTIONS
from auteur.expression.audio_lm.emotion_classifier import (
    EmotionClassifier,
    EmotionClassifierConfig,
    EmotionEnsemble,
    FisherRegression,
    StatisticsRegression,
    active_rows,
    statistics_of,
)
from auteur.expression.fisher_vectors import SpeechMixture, descriptors
from auteur.lab.data.emotional_speech import (
    FOLDS,
    NOISE_SPEAKER,
    EmotionalClip,
    EmotionBatches,
    fold_of,
    read_clips,
)
from auteur.lab.data.shards import Corpora
from auteur.lab.train.batches import Batch, by_key
from auteur.lab.train.devices import is_main_process
from auteur.lab.train.model_recipe import Schedule, Training, save_half, train_model

_SMOOTHING = 0.08
_LARGE_FACTORS = 1e-5
"""Weight of the squares of factors: predictions without an error would have infinite ones."""
_MIXTURE_ROWS = 60_000
"""Rows that the mixture of the Fisher vectors is fitted to."""
CORPUS_EMOTIONS = {
    "ravdess": ("neutral", "happy", "sad", "angry", "fear", "disgusted", "surprised", "calm"),
    "emodb": ("neutral", "happy", "sad", "angry", "fear", "disgusted", "bored"),
}
"""Closed lists of emotions of the corpora that the shipped weights are measured on."""


@dataclass(frozen=True)
class EmotionClassifierRecipe:
    """Settings of the recipe."""

    data: Annotated[Corpora, tyro.conf.arg(name="")]
    out: Path
    """Folder."""
    noises: int = 60
    """Sounds that are no speech, labelled neutral."""
    folds: tuple[int, ...] = tuple(range(FOLDS))
    """Folds whose classifiers are trained now; those of other runs must lie in `out` already."""
    start: Path | None = None
    """Folder of classifiers to start from; they must be of the same sizes and folds."""
    batch_size: int = 32
    config: EmotionClassifierConfig = field(default_factory=EmotionClassifierConfig)
    schedule: Schedule = field(
        default_factory=lambda: Schedule(
            minutes=2.2,
            learning_rate=2e-3,
            weight_decay=0.05,
            average_decay=0.995,
            evaluate_every_minutes=0.4,
        )
    )
    """Schedule of each classifier."""


@dataclass(frozen=True)
class EmotionClassifierScores:
    """On the fold's speakers."""

    accuracy: dict[str, float]
    """By corpus, each over the emotions that it has."""
    mean: float
    """Over all recordings."""
    loss: float

    @property
    def score(self) -> float:
        """Smaller is better."""
        return -3 * self.mean + 0.3 * self.loss


def emotion_classifier_loss(model: nn.Module, batch: Batch, step: int = 0) -> Tensor:
    """Returns the cross-entropy with smoothed labels, [].

    Args:
        model: A classifier.
        batch: "rows" [B, N, CHANNELS], "inside" [B, N] (1 where sound is), "targets" [B, emotions], rows of
            which add up to 1.
        step: Not used.
    """
    device = batch["rows"].device.type
    with torch.autocast(
        device, torch.bfloat16, enabled=device != "cpu"
    ):  # many CPUs emulate it, at half speed
        logits = model(batch["rows"], batch["inside"])
    targets = batch["targets"] * (1 - _SMOOTHING) + _SMOOTHING / len(VOICE_EMOTIONS)
    return -(targets * logits.float().log_softmax(-1)).sum(-1).mean()


@torch.no_grad()
def predicted_by(model: nn.Module, clips: list[EmotionalClip]) -> Tensor:
    """Returns log probabilities [clips, emotions], from each clip as a whole."""
    model.eval()
    found: list[Tensor] = []
    for clip in clips:
        rows = active_rows(torch.from_numpy(clip.rows))
        found.append(model(rows[None], torch.ones(1, len(rows)))[0].log_softmax(-1))
    return torch.stack(found)


def accuracy(log_probabilities: Tensor, clips: Sequence[EmotionalClip]) -> list[bool]:
    """Returns of each clip with a label whether its emotion is the likeliest of those that its corpus has."""
    words = {
        corpus: sorted({clip.emotion for clip in clips if clip.corpus == corpus})
        for corpus in {clip.corpus for clip in clips}
    }
    right: list[bool] = []
    for clip, row in zip(clips, log_probabilities, strict=True):
        own = words[clip.corpus]
        right.append(own[int(row[[VOICE_EMOTIONS.index(word) for word in own]].argmax())] == clip.emotion)
    return right


def scores(log_probabilities: Tensor, clips: list[EmotionalClip]) -> EmotionClassifierScores:
    """Returns the accuracies and the cross-entropy."""
    labels = torch.tensor([VOICE_EMOTIONS.index(clip.emotion) for clip in clips])
    spoken = [i for i, clip in enumerate(clips) if clip.corpus != NOISE_SPEAKER]
    right = accuracy(log_probabilities[spoken], [clips[i] for i in spoken])
    by_corpus: dict[str, list[bool]] = {}
    for i, one in zip(spoken, right, strict=True):
        by_corpus.setdefault(clips[i].corpus, []).append(one)
    return EmotionClassifierScores(
        accuracy={corpus: round(float(np.mean(own)), 4) for corpus, own in sorted(by_corpus.items())},
        mean=float(np.mean(right)) if right else 0.0,
        loss=float(functional.nll_loss(log_probabilities, labels)),
    )


def train_member(
    recipe: EmotionClassifierRecipe, clips: list[EmotionalClip], fold: int
) -> EmotionClassifierScores:
    """Trains the classifier of one fold; returns its scores on the fold's speakers."""
    torch.manual_seed(recipe.schedule.seed + fold)
    training = [clip for clip in clips if fold_of(clip.speaker) != fold]
    validation = [clip for clip in clips if fold_of(clip.speaker) == fold]
    member = EmotionClassifier(recipe.config)
    member.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    if recipe.start is not None:
        _fill(member, recipe.start / f"voter_{fold}.safetensors")
    batches = EmotionBatches(training, batch_size=recipe.batch_size, seed=recipe.schedule.seed + fold)
    return train_model(
        Training(
            model=member,
            batches=by_key(batches),
            loss=emotion_classifier_loss,
            evaluate=lambda model: scores(predicted_by(model, validation), validation),
        ),
        schedule=recipe.schedule,
        out=recipe.out / f"voter_{fold}.safetensors",
        recipe=recipe,
    )


def train(recipe: EmotionClassifierRecipe) -> None:
    """Trains every classifier; writes the ensemble and the out-of-fold predictions.

    Raises:
        InputError: The shards lack the feature "voice", or too few people are in them.
    """
    torch.set_num_threads(recipe.schedule.threads)
    recipe.out.mkdir(parents=True, exist_ok=True)
    recipe.data.refuse_mix("recordings are drawn whatever their corpus")
    clips = read_clips(recipe.data, noise_count=recipe.noises)
    empty = [fold for fold in recipe.folds if not any(fold_of(c.speaker) == fold for c in clips)]
    if empty:
        raise InputError(f"no speaker is in fold {empty[0]} of {FOLDS}; prepare recordings of more people")
    for fold in recipe.folds:
        train_member(recipe, clips, fold)
    if is_main_process() and all(
        (recipe.out / f"voter_{fold}.safetensors").exists() for fold in range(FOLDS)
    ):
        finish(recipe, clips)


def finish(recipe: EmotionClassifierRecipe, clips: list[EmotionalClip]) -> EmotionClassifierScores:
    """Joins classifiers and regressions into `ear.safetensors`, writes `heard.npz` and returns its scores."""
    ensemble = EmotionEnsemble(recipe.config)
    labels = torch.tensor([VOICE_EMOTIONS.index(clip.emotion) for clip in clips])
    folds = torch.tensor([fold_of(clip.speaker) for clip in clips])
    statistics = torch.stack([statistics_of(active_rows(torch.from_numpy(clip.rows))) for clip in clips])
    fit_mixture(ensemble.mixture, clips)
    vectors = torch.stack([ensemble.vector_of(active_rows(torch.from_numpy(clip.rows))) for clip in clips])
    voted, scored, compared = (torch.zeros(len(clips), len(VOICE_EMOTIONS)) for _ in range(3))
    for fold, member in enumerate(ensemble.voters):
        _fill(member, recipe.out / f"voter_{fold}.safetensors")
        own = torch.nonzero(folds == fold)[:, 0]
        voted[own] = predicted_by(member, [clips[i] for i in own.tolist()])
        without = StatisticsRegression(recipe.config)
        without.fit(statistics[folds != fold], labels[folds != fold])
        scored[own] = without(statistics[own])
        by_vectors = FisherRegression(recipe.config)
        by_vectors.fit(vectors[folds != fold], labels[folds != fold])
        compared[own] = by_vectors(vectors[own])
    ensemble.regression.fit(statistics, labels)
    ensemble.fisher.fit(vectors, labels)
    ensemble.balance.copy_(fitted_balance((voted, scored, compared), labels))
    heard = ensemble.joined(voted, scored, compared)
    save_half(ensemble, recipe.out / "ear.safetensors")
    np.savez(
        recipe.out / "heard.npz",
        allow_pickle=False,
        name=np.array([clip.name for clip in clips]),
        log_probabilities=heard.numpy(),
    )
    return scores(heard, clips)


def fit_mixture(mixture: SpeechMixture, clips: Sequence[EmotionalClip], *, seed: int = 0) -> None:
    """Fits the mixture of the Fisher vectors to rows of the recordings with speech; labels play no part."""
    rows = np.concatenate(
        [
            descriptors(active_rows(torch.from_numpy(clip.rows)).numpy())
            for clip in clips
            if clip.corpus != NOISE_SPEAKER
        ]
    )
    random = np.random.default_rng(seed)
    chosen = random.choice(len(rows), min(len(rows), _MIXTURE_ROWS), replace=False)
    mixture.fit(torch.from_numpy(rows[chosen]))


def fitted_balance(predictions: Sequence[Tensor], labels: Tensor) -> Tensor:
    """Returns the factors [P] of P kinds of predictions [N, emotions] with the least cross-entropy.

    With one kind of prediction it would be temperature scaling (Guo et al. 2017).
    """
    factors = torch.ones(len(predictions), requires_grad=True)
    optimiser = torch.optim.LBFGS([factors], max_iter=50, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        together = sum(
            (factor * each for factor, each in zip(factors, predictions, strict=True)), torch.zeros(())
        )
        loss = functional.cross_entropy(together, labels) + _LARGE_FACTORS * factors.square().sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    return factors.detach()


def _fill(member: nn.Module, path: Path) -> None:
    tensors = load_file(path)
    member.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in tensors.items()})
