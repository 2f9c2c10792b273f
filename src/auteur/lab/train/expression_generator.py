r"""Recipe: paper B's expression generator against a frame and a sequence discriminator.

    auteur train expression-generator --shards SHARDS PHOTOS --out RUN

At full size, on FLAME's numbers as DECA measured them in MEAD and HDTF, one window of each alike:

    auteur train expression-generator --shards MEAD_SHARDS HDTF_SHARDS --mix mead=1,hdtf=1 \
        --vectors flame50 --size full --steps 60000 --batch-size 128 --out RUN
"""

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
import tyro
from safetensors.torch import save_file
from torch import Tensor, nn

from auteur.expression.generator.network import ExpressionGenerator, GeneratorConfig
from auteur.expression.space import CompactExpressionSpace
from auteur.lab.data.expression_apexes import jaw_apart, textbook_vectors
from auteur.lab.data.expression_tracks import (
    ExpressionClip,
    encoded,
    for_generator,
    read_flame_clips,
    read_motions,
    read_photographs,
)
from auteur.lab.data.expression_windows import (
    ExpressionWindows,
    Peaks,
    graded,
    mirror_matrix,
    photo_vectors,
    scale_of,
)
from auteur.lab.data.shards import Corpora
from auteur.lab.train.batches import by_key
from auteur.lab.train.devices import Precision, Tracker, is_main_process
from auteur.lab.train.expression_losses import Batch, Judges, generator_losses, random_request
from auteur.lab.train.expression_statistics import aim, liveliness_of, start_from_means
from auteur.lab.train.phases import Learner, Phase, cosine
from auteur.lab.train.trainer import Trainer, TrainerSettings
from auteur.motion.au_basis import AUBasis
from auteur.weights import load_model, load_shipped, metadata_of

_BETAS = (0.5, 0.99)


@dataclass(frozen=True)
class Weights:
    """Of the generator's losses."""

    reconstruction: float = 10.0
    velocity: float = 1.0
    emotion: float = 1.0
    movement: float = 6.0
    frame: float = 1.0
    sequence: float = 1.0


@dataclass(frozen=True)
class ExpressionGeneratorRecipe:
    """Settings of the recipe."""

    data: Annotated[Corpora, tyro.conf.arg(name="")]
    out: Path
    vectors: Literal["compact50", "flame50"] = "compact50"
    """Space of the expression vectors: compact, with photographs, or FLAME's of other tools."""
    space: Path | None = None
    """The compact expression space; the shipped one unless given."""
    start: Path | None = None
    """Weights of the generator to start from."""
    size: Literal["compact", "full"] = "compact"
    steps: int = 2000
    batch_size: int = 24
    learning_rate: float = 1.5e-3
    average_decay: float = 0.998
    """Decay of the moving average of the weights, which is the result."""
    seed: int = 0
    log_every_steps: int = 50
    save_every_steps: int = 500
    """Between checkpoints."""
    precision: Precision = "no"
    """Of accelerate: no, bf16 or fp16."""
    tracker: Tracker = ""
    """trackio or tensorboard, beside the JSON lines that are always written."""
    weights: Weights = field(default_factory=Weights)


def read_training(
    recipe: ExpressionGeneratorRecipe,
) -> tuple[list[ExpressionClip], dict[str, Peaks] | None, np.ndarray | None, np.ndarray | float]:
    """Returns training people's clips, peaks, mirror matrix and the size of each number in mm.

    FLAME vectors have no peaks and no mirror matrix, and their numbers count alike.

    Raises:
        UsageError: Compact vectors are wanted without photographs.
        InputError: The shards lack a feature.
    """
    if recipe.vectors == "flame50":
        return [clip for clip in read_flame_clips(recipe.data) if clip.part == "train"], None, None, 1.0
    stored = recipe.space
    space = CompactExpressionSpace.shipped() if stored is None else CompactExpressionSpace.from_file(stored)
    motions = [motion for motion in read_motions(recipe.data) if motion.part == "train"]
    photos = read_photographs(recipe.data)
    photos = photos.chosen(for_generator(photos))
    clips = [encoded(motion, space) for motion in motions]
    textbook = textbook_vectors(space, load_shipped(AUBasis(), "au_basis"))
    clips, peaks = graded(clips, photo_vectors(photos, space), textbook)
    return clips, peaks, mirror_matrix(space), jaw_apart(space.weights_mm())


def build(
    recipe: ExpressionGeneratorRecipe, training: list[ExpressionClip], peaks: dict[str, Peaks] | None
) -> tuple[ExpressionGenerator, Judges]:
    """Returns the generator, its means those of the training people, and its discriminators."""
    config = GeneratorConfig() if recipe.size == "compact" else GeneratorConfig.full()
    generator = (
        ExpressionGenerator(config)
        if recipe.start is None
        else load_model(recipe.start, ExpressionGenerator).train()
    )
    if recipe.start is None:
        generator.scale.copy_(torch.from_numpy(scale_of(training)))
        start_from_means(generator, training, peaks)
    return generator, Judges(config.expression)


def learners(
    recipe: ExpressionGeneratorRecipe, generator: ExpressionGenerator, judges: Judges
) -> tuple[Learner, Learner]:
    """Returns the discriminators and the generator, in the order in which they make their steps."""

    def judged(_: nn.Module, batch: Batch, step: int) -> Tensor:
        with torch.no_grad():
            made = generator(random_request(generator, batch)) / generator.scale
        return judges.loss(batch["vectors"] / generator.scale, made, batch)

    def terms(_: nn.Module, batch: Batch, step: int) -> dict[str, Tensor]:
        return generator_losses(generator, judges, batch)

    def rate(step: int, progress: float) -> float:
        return cosine(progress)

    same = {"learning_rate": recipe.learning_rate, "rate_factor": rate, "betas": _BETAS}
    discriminator = Learner(name="discriminator", model=judges, loss=judged, **same)
    return discriminator, Learner(
        model=generator,
        loss=terms,
        term_weights=asdict(recipe.weights),
        average_decay=recipe.average_decay,
        average_warms_up=False,
        **same,
    )


def train(recipe: ExpressionGeneratorRecipe) -> None:
    """Trains on training people and writes the moving average of the generator."""
    torch.manual_seed(recipe.seed)
    training, peaks, mirror, sizes = read_training(recipe)
    windows = ExpressionWindows(
        training,
        peaks=peaks,
        mirror=mirror,
        batch_size=recipe.batch_size,
        seed=recipe.seed,
        shares=recipe.data.shares(clip.corpus for clip in training),
    )
    generator, judges = build(recipe, training, peaks)
    phase = Phase(learners=learners(recipe, generator, judges), batches=by_key(windows), steps=recipe.steps)
    Trainer(recipe.out, recipe, TrainerSettings.of(recipe)).fit([lambda: phase])
    if is_main_process():
        torch.manual_seed(recipe.seed)
        generator.liveliness.copy_(torch.from_numpy(liveliness_of(generator, training)))
        aim(generator, training, peaks, sizes)
        save(generator, recipe.out)


def save(generator: ExpressionGenerator, path: Path) -> None:
    """Writes a generator with its sizes as safetensors in half precision."""
    state = {name: value.half().contiguous().cpu() for name, value in generator.state_dict().items()}
    save_file(state, path, metadata=metadata_of(generator.kind, generator.config))
