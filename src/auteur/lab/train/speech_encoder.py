"""Recipe: the compact speech encoder, on phones and articulation.

apt-get install espeak-ng flite; pip install pocketsphinx
python -m auteur.lab.data.speech.build --out MADE
auteur prepare RECORDINGS --kind speech -o SPEECH --features phones
auteur train speech-encoder --shards MADE/espeak MADE/flite SPEECH --out RUN
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro
from torch import Tensor, nn

from auteur.lab.data.shards import Corpora
from auteur.lab.data.speech.augment import SpeechCrops
from auteur.lab.data.speech.corpus import UNKNOWN, Utterance, read_phones, shares_of
from auteur.lab.train.batches import Batch, by_key
from auteur.lab.train.model_recipe import Schedule, Training, train_recipe
from auteur.speech.mel import levelled, measure_level, mel_power
from auteur.speech.network import CompactSpeechConfig, CompactSpeechEncoder, SpeechOutputs
from auteur.speech.phones import ARTICULATIONS, articulation_table
from auteur.weights import load_file as load_weights
from auteur.weights import metadata_of


@dataclass(frozen=True)
class SpeechEncoderRecipe:
    """Settings of the recipe."""

    data: Annotated[Corpora, tyro.conf.arg(name="")]
    out: Path
    """The weights file to write (float16 safetensors)."""
    start: Path | None = None
    """Weights to start from; an untrained network unless given."""
    pairs: int = 16
    """Crops of 3 s per step, each in two augmentations."""
    agreement_weight: float = 0.3
    """Weight of the agreement of the embeddings of a crop's two copies."""
    articulation_weight: float = 3.0
    schedule: Schedule = field(
        default_factory=lambda: Schedule(
            minutes=28, learning_rate=3e-3, weight_decay=1e-2, evaluate_every_minutes=2.5
        )
    )


@dataclass(frozen=True)
class SpeechScores:
    """Scores on the speakers who choose checkpoints, per corpus (one without any is missing)."""

    phone_accuracy: dict[str, float]
    """Share of 20-ms frames with the right one of 45 phones."""
    speech_accuracy: dict[str, float]
    """The same over the frames that are not silence."""
    articulation_f1: dict[str, float]
    """Mean over articulations of the F1 at probability 0.5."""
    lips_closed_f1: dict[str, float]
    articulations: dict[str, dict[str, float]]
    """F1 of every articulation that occurs, per corpus."""

    @property
    def score(self) -> float:
        """Smaller is better."""
        found = list(self.phone_accuracy.values())
        return 1 - float(np.mean(found)) if found else 1.0


class HeldOutSpeakers:
    """Whole clean recordings of speakers and voices that are not in the training."""

    def __init__(self, parts: dict[str, Sequence[Utterance]], *, most_per_corpus: int = 200) -> None:
        self._parts = {
            name: [_example(one) for one in utterances[:: max(1, len(utterances) // most_per_corpus)]]
            for name, utterances in parts.items()
            if utterances
        }

    @torch.inference_mode()
    def __call__(self, network: nn.Module) -> SpeechScores:
        """Scores a network in evaluation mode."""
        table = torch.tensor(articulation_table()).bool()
        accuracy, spoken, f1s = {}, {}, {}
        for name, examples in self._parts.items():
            outputs: list[SpeechOutputs] = [network(frames) for frames, _ in examples]
            wanted = torch.cat([phones for _, phones in examples])
            known = wanted != UNKNOWN
            wanted = wanted[known]
            said = torch.cat([one.phones[0] for one in outputs])[known].argmax(-1)
            does = torch.cat([one.articulation[0] for one in outputs])[known] > 0
            hit = said == wanted
            accuracy[name] = round(float(hit.float().mean()), 4)
            spoken[name] = round(float(hit[wanted > 0].float().mean()), 4)
            f1s[name] = _f1_scores(does, table[wanted])
        return SpeechScores(
            phone_accuracy=accuracy,
            speech_accuracy=spoken,
            articulation_f1={name: round(float(np.mean(list(f1.values()))), 4) for name, f1 in f1s.items()},
            lips_closed_f1={name: f1["lips_closed"] for name, f1 in f1s.items()},
            articulations=f1s,
        )


def _example(utterance: Utterance) -> tuple[Tensor, Tensor]:
    config = CompactSpeechConfig().mel
    power = mel_power(torch.from_numpy(utterance.samples.astype(np.float32) / 32_768)[None], config)
    phones = torch.from_numpy(utterance.labels.astype(np.int64))[::2]
    return levelled(power, measure_level(power)), phones


def _f1_scores(found: Tensor, wanted: Tensor) -> dict[str, float]:
    hits = (found & wanted).sum(0)
    f1 = 2 * hits / (found.sum(0) + wanted.sum(0)).clamp(min=1)
    occurs = wanted.any(0)
    return {
        name: round(float(f1[number]), 4)
        for number, name in enumerate(ARTICULATIONS)
        if occurs[number] or name == "lips_closed"
    }


class SpeechLoss:
    """Cross-entropy on phones, binary cross-entropy on articulations, agreement of two copies."""

    def __init__(self, recipe: SpeechEncoderRecipe) -> None:
        self._recipe = recipe
        self._table = torch.tensor(articulation_table())

    def __call__(self, network: nn.Module, batch: Batch, step: int = 0) -> Tensor:
        """Returns the loss of one batch of `SpeechCrops`."""
        with torch.autocast(batch["frames"].device.type, torch.bfloat16):
            outputs: SpeechOutputs = network(batch["frames"])
        known = batch["phones"] != UNKNOWN
        wanted = batch["phones"][known]
        said = nn.functional.cross_entropy(outputs.phones[known].float(), wanted, label_smoothing=0.05)
        does = nn.functional.binary_cross_entropy_with_logits(
            outputs.articulation[known].float(), self._table.to(wanted.device)[wanted]
        )
        first, second = outputs.embedding.float().chunk(2)
        agreement = (first - second).square().mean()
        recipe = self._recipe
        return said + recipe.articulation_weight * does + recipe.agreement_weight * agreement


def build(recipe: SpeechEncoderRecipe) -> Training[SpeechScores]:
    """Returns the encoder, its crops, loss and scores on held-out speakers.

    Raises:
        InputError: The shards lack the feature "phones", or no person in them trains.
    """
    phones = read_phones(recipe.data)
    crops = SpeechCrops(shares_of(recipe.data, phones), pairs=recipe.pairs, seed=recipe.schedule.seed)
    config = CompactSpeechConfig()
    network = CompactSpeechEncoder(config)
    if recipe.start is not None:
        network = load_weights(network, recipe.start).train()
    return Training(
        model=network,
        batches=by_key(crops),
        loss=SpeechLoss(recipe),
        evaluate=HeldOutSpeakers({one.name: one.part(is_held_out=True) for one in phones}),
        metadata=metadata_of(CompactSpeechEncoder.kind, config),
    )


def train(recipe: SpeechEncoderRecipe) -> SpeechScores:
    """Trains; writes the best weights with their config and a log beside them; returns the best scores."""
    return train_recipe(recipe, build)
