"""Parts of paper B's expression generator that are set from the data and not trained by gradients.

Before training: the mean of each emotion. After it: the spread of people relative to the generator, and
the apex of each emotion. The last is also a command, for when the prototypes change:

    python -m auteur.lab.train.expression_statistics expression_generator.safetensors OUT.safetensors
"""

import sys
from pathlib import Path

import numpy as np
import torch

from auteur.expression.generator.network import LABELS, ExpressionGenerator, Request
from auteur.expression.generator.speech_cues import cues_of
from auteur.expression.space import CompactExpressionSpace
from auteur.lab.data.expression_apexes import apexes, textbook_vectors
from auteur.lab.data.expression_tracks import ExpressionClip
from auteur.lab.data.expression_windows import Peaks, neutral_mean
from auteur.lab.train.expression_losses import random_request
from auteur.lab.train.model_recipe import save_half
from auteur.motion.au_basis import AUBasis
from auteur.weights import load_model, load_shipped, metadata_of

PATTERN_LENGTH = 75
"""Frames at 25 fps over which the generator's own pattern of an emotion is averaged."""
LARGEST_LIVELINESS = 2.0
"""Largest factor on generated movement."""


def start_from_means(
    generator: ExpressionGenerator, clips: list[ExpressionClip], peaks: dict[str, Peaks] | None
) -> None:
    """Sets the generator's mean of each emotion from its sources at strength 1."""
    calm = neutral_mean(clips)
    generator.out.bias.data.copy_(torch.from_numpy(calm).float() / generator.scale)
    for index, label in enumerate(LABELS[:-1]):
        own = [(c.vectors.mean(axis=0) - calm) / max(c.intensity, 0.3) for c in clips if c.emotion == label]
        rows = [np.mean(own, axis=0)] if own else []
        if peaks is not None:
            found = peaks[label]
            rows += [found.textbook]
            rows += [(found.photos / found.strengths[:, None]).mean(axis=0)] if len(found.photos) else []
        if rows:
            mean = torch.from_numpy(np.mean(rows, axis=0)).float() / generator.scale
            generator.offset.weight.data[index] = mean


@torch.no_grad()
def liveliness_of(generator: ExpressionGenerator, clips: list[ExpressionClip]) -> np.ndarray:
    """Returns the ratio of people's to generated standard deviation over time, [E].

    Every clip is compared with a trajectory of its own label, strength and loudness.
    """
    real: list[np.ndarray] = []
    made: list[np.ndarray] = []
    for clip in clips:
        is_neutral = clip.emotion == "neutral"
        label = LABELS.index(clip.emotion or "unlabelled") if not is_neutral else 0
        loud = clip.loudness
        batch = {
            "vectors": torch.from_numpy(clip.vectors)[None],
            "label": torch.tensor([label]),
            "intensity": torch.tensor([0.0 if is_neutral else clip.intensity]),
            "speech": torch.from_numpy(cues_of(np.zeros(len(clip.vectors)) if loud is None else loud))[None],
            "heard": torch.tensor([loud is not None]),
        }
        course = generator(random_request(generator, batch))[0].numpy()
        real.append(clip.vectors - clip.vectors.mean(axis=0))
        made.append(course - course.mean(axis=0))
    sizes = [np.sqrt(np.square(np.concatenate(group)).mean(axis=0)) for group in (real, made)]
    return np.clip(sizes[0] / np.maximum(sizes[1], 1e-6), 1.0, LARGEST_LIVELINESS)


@torch.no_grad()
def aim(
    generator: ExpressionGenerator,
    clips: list[ExpressionClip],
    peaks: dict[str, Peaks] | None,
    sizes: np.ndarray | float,
) -> None:
    """Sets the apex of every emotion, which strength 1 then gives.

    A label that no source shows stays as it was trained, and so does the part of an emotion in a separate jaw
    (size 0) where people are the source: it holds their speech.
    """
    rows, config = len(LABELS), generator.config
    silence = torch.zeros(rows, PATTERN_LENGTH, config.frame_noise)
    request = Request(torch.arange(rows), torch.ones(rows), torch.zeros(rows, config.noise), silence)
    generator.apex.copy_((generator(request) - generator(request.neutral())).mean(dim=1))
    sizes = np.ones(config.expression) * sizes
    textbook = None if peaks is None else {label: found.textbook for label, found in peaks.items()}
    counted = torch.from_numpy((sizes > 0) | (textbook is not None))
    wanted = apexes(clips, neutral_mean(clips), sizes, textbook=textbook)
    for label, apex in wanted.items():
        row = generator.apex[LABELS.index(label)]
        row.copy_(torch.where(counted, torch.from_numpy(apex).float(), row))


def with_prototypes(weights: Path, out: Path) -> None:
    """Writes trained compact weights whose apexes are today's prototypes; the rest stays."""
    generator = load_model(weights, ExpressionGenerator)
    textbook = textbook_vectors(CompactExpressionSpace.shipped(), load_shipped(AUBasis(), "au_basis"))
    for label, apex in textbook.items():
        generator.apex[LABELS.index(label)].copy_(torch.from_numpy(apex))
    save_half(generator, out, metadata=metadata_of(generator.kind, generator.config))


if __name__ == "__main__":
    with_prototypes(*map(Path, sys.argv[1:]))
