r"""Recipe: paper B's expression generator against a frame and a sequence discriminator.

    python -m auteur.train.expression_generator --data.tracks TRACKS --data.clips clips/manifest.csv \
        --data.labels LABELS --data.photos images/manifest.csv --data.face-model ict_facekit.npz \
        --out expression_generator.safetensors

At full size, on DECA's vectors of MEAD and HDTF (one file per clip, `auteur.formats.flame`; HDTF rows have no
emotion):

    python -m auteur.train.expression_generator --data.flame DECA --data.clips manifest.csv --size full \
        --steps 60000 --batch-size 128 --out expression_generator_full.safetensors
"""

import json
import sys
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import tyro
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from auteur.data.expression_apexes import apexes, jaw_apart, textbook_vectors
from auteur.data.expression_tracks import (
    ExpressionClip,
    encoded,
    for_generator,
    read_flame_clips,
    read_motions,
    read_photographs,
)
from auteur.data.expression_windows import (
    ExpressionWindows,
    Peaks,
    graded,
    mirror_matrix,
    neutral_mean,
    photo_vectors,
    scale_of,
)
from auteur.data.ict_faces import load_ict
from auteur.errors import UsageError
from auteur.expression.generator.discriminators import (
    FrameDiscriminator,
    SequenceDiscriminator,
    discriminator_loss,
    generator_loss,
)
from auteur.expression.generator.network import (
    LABELS,
    NOISE_MEMORY,
    ExpressionGenerator,
    GeneratorConfig,
    Request,
    smooth_noise,
)
from auteur.expression.generator.speech_cues import cues_of
from auteur.expression.generator.storage import config_to_metadata, load_generator
from auteur.expression.space import CompactExpressionSpace
from auteur.train.adversarial import Game, Player, play
from auteur.train.batches import by_key
from auteur.train.devices import Precision, Tracker, is_main_process
from auteur.train.expression_space import named_shapes

Batch = dict[str, Tensor]

GUESSES = 2
"""Noises per real window; the nearest is compared with it (variety loss; Gupta et al., "Social GAN", 2018),
so that the generator need not give everybody's mean."""
_PATTERN_FRAMES = (1, 6)
"""Distances in frames over which movement must be as large as people's."""
PATTERN_LENGTH = 75
LARGEST_LIVELINESS = 2.0


@dataclass(frozen=True)
class Data:
    """Where clips are: either motion tracks with photographs, or FLAME vectors."""

    clips: Path
    """CSV with the columns file, identity, emotion."""
    tracks: Path | None = None
    """What `python -m auteur.data.motion_tracks` wrote."""
    labels: Path | None = None
    """Teacher labels with `photos_*.npz`."""
    photos: Path | None = None
    """CSV with the columns file, label."""
    flame: Path | None = None
    """A folder of FLAME parameters, one file per clip."""
    face_model: Path | None = None
    """ICT-FaceKit's npz."""
    space: Path | None = None
    """The compact expression space; the shipped one unless given."""


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
    """What is trained on what, for how long."""

    data: Data
    out: Path
    start: Path | None = None
    """Weights of the generator to go on from."""
    size: Literal["compact", "full"] = "compact"
    steps: int = 2000
    batch_size: int = 24
    learning_rate: float = 1.5e-3
    average_decay: float = 0.998
    """Of the moving average of the weights, which is what is kept."""
    seed: int = 0
    log_every_steps: int = 50
    save_every_steps: int = 500
    """Between checkpoints."""
    precision: Precision = "no"
    """Of accelerate: no, bf16 or fp16."""
    tracker: Tracker = ""
    """trackio or tensorboard, beside the JSON lines that are always written."""
    weights: Weights = field(default_factory=Weights)

    @property
    def game(self) -> Game:
        """How long and how fast both learn."""
        same = {f.name: getattr(self, f.name) for f in fields(Game)}
        return Game(**same)


def read_training(
    data: Data,
) -> tuple[list[ExpressionClip], dict[str, Peaks] | None, np.ndarray | None, np.ndarray | float]:
    """Returns training people's clips, peaks, mirror matrix and the size of each number in mm.

    FLAME vectors have no peaks and no mirror matrix, and their numbers count alike.

    Raises:
        UsageError: Neither or only part of a source is given.
    """
    if data.flame is not None:
        return [c for c in read_flame_clips(data.flame, data.clips) if c.part == "train"], None, None, 1.0
    if data.tracks is None or data.labels is None or data.photos is None or data.face_model is None:
        needed = "--data.tracks, --data.labels, --data.photos and --data.face-model"
        raise UsageError(f"give --data.flame, or all of {needed}")
    stored = data.space
    space = CompactExpressionSpace.shipped() if stored is None else CompactExpressionSpace.from_file(stored)
    motions = [motion for motion in read_motions(data.tracks, data.clips) if motion.part == "train"]
    photos = read_photographs(data.labels, data.photos)
    photos = photos.chosen(for_generator(photos))
    clips = [encoded(motion, space) for motion in motions]
    textbook = textbook_vectors(space, named_shapes(load_ict(data.face_model)))
    clips, peaks = graded(clips, photo_vectors(photos, space), textbook)
    return clips, peaks, mirror_matrix(space), jaw_apart(space.weights_mm())


class Judges(nn.Module):
    """The two discriminators and the emotion classifier that training needs."""

    def __init__(self, expression: int) -> None:
        super().__init__()
        self.frame = FrameDiscriminator(expression)
        self.sequence = SequenceDiscriminator(expression)
        self.emotion = nn.Linear(expression, len(LABELS) - 1)

    def loss(self, real: Tensor, made: Tensor, batch: Batch) -> Tensor:
        """Returns what the judges minimise; vectors [B, T, E] are in units of the generator's scale."""
        condition = (batch["label"], batch["intensity"])
        known = _is_emotional(batch)
        loss = discriminator_loss(self.frame(real, *condition), self.frame(made, *condition))
        loss = loss + discriminator_loss(self.sequence(real, *condition), self.sequence(made, *condition))
        return loss + self.emotion_loss(real[known], batch["label"][known])

    def emotion_loss(self, vectors: Tensor, label: Tensor) -> Tensor:
        """Returns the cross entropy of the emotion in the mean of trajectories [N, T, E]; 0 for none."""
        if not len(label):
            return vectors.sum() * 0
        return functional.cross_entropy(self.emotion(vectors.mean(dim=1)), label)


def _is_emotional(batch: Batch) -> Tensor:
    return (batch["intensity"] > 0.5) & (batch["label"] < len(LABELS) - 1)


def random_request(generator: ExpressionGenerator, batch: Batch) -> Request:
    """Returns the batch's conditions with fresh noise."""
    config, (size, frames) = generator.config, batch["vectors"].shape[:2]
    device = batch["vectors"].device
    return Request(
        label=batch["label"],
        intensity=batch["intensity"],
        noise=torch.randn(size, config.noise, device=device),
        frame_noise=smooth_noise(torch.randn(size, frames + NOISE_MEMORY, config.frame_noise, device=device)),
        speech=batch["speech"],
        heard=batch["heard"],
    )


def nearest_of(guesses: list[Tensor], real: Tensor, inside: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the guess nearest to each real window and its distances [B, T, E], both in real units."""
    errors = torch.stack([(guess - real).abs() * inside[..., None] for guess in guesses])
    best = errors.mean(dim=(2, 3)).argmin(dim=0)
    rows = torch.arange(len(real), device=real.device)
    return torch.stack(guesses)[best, rows], errors[best, rows]


def movement_loss(made: Tensor, real: Tensor) -> Tensor:
    """Returns by how many times movement is smaller or larger than people's (mean |log ratio|).

    Per number: how far it strays within a window, and how far it moves over two spans of time. Absolute
    errors alone would be smallest for a face that hardly moves.
    """
    ratios = [_log_size(made - made.mean(1, keepdim=True)) - _log_size(real - real.mean(1, keepdim=True))]
    for span in _PATTERN_FRAMES:
        ratios.append(
            _log_size(made[:, span:] - made[:, :-span]) - _log_size(real[:, span:] - real[:, :-span])
        )
    return torch.stack(ratios).abs().mean()


def _log_size(values: Tensor) -> Tensor:
    """Log of the root mean square of every number, [E]."""
    return 0.5 * (values.square().mean((0, 1)) + 1e-6).log()


def generator_losses(generator: ExpressionGenerator, judges: Judges, batch: Batch) -> dict[str, Tensor]:
    """Returns each term of what the generator minimises, not yet weighted."""
    scale = generator.scale
    real, inside = batch["vectors"] / scale, batch["inside"]
    guesses = [generator(random_request(generator, batch)) / scale for _ in range(GUESSES)]
    best, error = nearest_of(guesses, real, inside)
    velocity = (torch.diff(best, dim=1) - torch.diff(real, dim=1)).abs() * inside[:, 1:, None]
    made, condition, known = guesses[0], (batch["label"], batch["intensity"]), _is_emotional(batch)
    return {
        "reconstruction": error.mean(),
        "velocity": velocity.mean(),
        "emotion": judges.emotion_loss(made[known], batch["label"][known]),
        "movement": movement_loss(made, real),
        "frame": generator_loss(judges.frame(made, *condition)),
        "sequence": generator_loss(judges.sequence(made, *condition)),
    }


def train(recipe: ExpressionGeneratorRecipe) -> dict[str, float]:
    """Trains on training people and writes the moving average of the generator; returns the last losses."""
    torch.manual_seed(recipe.seed)
    training, peaks, mirror, sizes = read_training(recipe.data)
    config = GeneratorConfig() if recipe.size == "compact" else GeneratorConfig.full()
    windows = ExpressionWindows(
        training, peaks=peaks, mirror=mirror, batch_size=recipe.batch_size, seed=recipe.seed
    )
    generator = ExpressionGenerator(config) if recipe.start is None else load_generator(recipe.start).train()
    if recipe.start is None:
        generator.scale.copy_(torch.from_numpy(scale_of(training)))
        start_from_means(generator, training, peaks)
    judges = Judges(config.expression)

    def judged(batch: Batch) -> dict[str, Tensor]:
        with torch.no_grad():
            made = generator(random_request(generator, batch)) / generator.scale
        return {"judges": judges.loss(batch["vectors"] / generator.scale, made, batch)}

    def terms(batch: Batch) -> dict[str, Tensor]:
        return generator_losses(generator, judges, batch)

    shown = play(
        Player("maker", generator, terms, recipe.learning_rate, asdict(recipe.weights)),
        Player("critic", judges, judged, recipe.learning_rate),
        by_key(windows),
        game=recipe.game,
        out=recipe.out,
        recipe=recipe,
    )
    if is_main_process():
        torch.manual_seed(recipe.seed)
        generator.liveliness.copy_(torch.from_numpy(liveliness_of(generator, training)))
        aim(generator, training, peaks, sizes)
        save(generator, recipe.out)
    return shown


def start_from_means(
    generator: ExpressionGenerator, clips: list[ExpressionClip], peaks: dict[str, Peaks] | None
) -> None:
    """Puts the generator where each emotion is on average, as far as its sources say at strength 1."""
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
    """Returns how many times as far as generated trajectories people stray from their mean, [E].

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
    """Fills in what every emotion adds at its height, so that strength 1 is how it looks there.

    What an emotion does to a jaw that is apart (size 0) stays as it was learned, and so does all of a label
    that no source shows.
    """
    rows, config = len(LABELS), generator.config
    silence = torch.zeros(rows, PATTERN_LENGTH, config.frame_noise)
    request = Request(torch.arange(rows), torch.ones(rows), torch.zeros(rows, config.noise), silence)
    generator.apex.copy_((generator(request) - generator(request.neutral())).mean(dim=1))
    sizes = np.ones(config.expression) * sizes
    textbook, photos = None, None
    if peaks is not None:
        textbook = {label: found.textbook for label, found in peaks.items()}
        photos = {label: found.photos / found.strengths[:, None] for label, found in peaks.items()}
    counted = torch.from_numpy(sizes > 0)
    wanted = apexes(clips, neutral_mean(clips), sizes, textbook=textbook, photos=photos)
    for label, apex in wanted.items():
        row = generator.apex[LABELS.index(label)]
        row.copy_(torch.where(counted, torch.from_numpy(apex).float(), row))


def save(generator: ExpressionGenerator, path: Path) -> None:
    """Writes a generator with its sizes as safetensors in half precision."""
    state = {name: value.half().contiguous().cpu() for name, value in generator.state_dict().items()}
    save_file(state, path, metadata=config_to_metadata(generator.config))


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.stdout.write(json.dumps(train(tyro.cli(ExpressionGeneratorRecipe))) + "\n")
