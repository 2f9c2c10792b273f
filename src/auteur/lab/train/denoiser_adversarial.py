"""Recipe: a sharp one-step student of a trained denoiser, by adversarial distillation.

    auteur train denoiser-adversarial --teacher RUN/denoiser.safetensors --shards SHARDS --out STUDENT

A denoiser that paints in one step paints the mean of all mouths that fit, which is blurred. As in adversarial
diffusion distillation (Sauer et al. 2023, arXiv 2311.17042), the student starts as its teacher and is trained
against a discriminator, beside an error to the truth, which here is known: its conditions belong to a real
picture. Some rows are trained at all other times, so that the same file still paints in more steps. The
discriminator is a learner of its own: it makes its step before the student makes one.

The discriminator judges patches (Isola et al. 2017, arXiv 1611.07004) of the real picture with the painted
area laid in, beside the warp and the drawing; a patch counts by how much of it is painted. Its gradient is
scaled to a share of that of the error, at the last layer (Esser et al. 2021, arXiv 2012.09841, equation 7).
Beside it stand the auteur perceptual distance and a penalty on what repeats from patch to patch
(`train.patch_discriminator`). Where the teeth of a stranger begin and end cannot be known, and an error of
every pixel answers with a haze; `detail` lowers what such an error counts within squares of a few pixels.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import torch
import tyro
from torch import Tensor, nn
from torch.nn import functional

from auteur.errors import UsageError
from auteur.evaluate.face_features import FaceFeatureNet
from auteur.lab.data.denoiser_augment import augmented
from auteur.lab.data.denoiser_clips import BatchOf, ClipBatch, MixedClips
from auteur.lab.data.face_views import REGION_FLOOR
from auteur.lab.data.shards import Corpora
from auteur.lab.train.clip_batches import ClipBatches, DrawnClips
from auteur.lab.train.contrast_gains import contrast_gains
from auteur.lab.train.denoiser import image_validation, open_clips, start_run, write_result
from auteur.lab.train.denoiser_loss import in_single_precision
from auteur.lab.train.devices import Precision, Tracker
from auteur.lab.train.patch_discriminator import (
    PatchDiscriminator,
    feature_matching_loss,
    jittered,
    mean_of_painted,
    perceptual_loss,
    seam_loss,
    split_error,
)
from auteur.lab.train.phases import Learner, Phase, Validation, WarmUpCosine
from auteur.lab.train.validation_images import ValidationImages
from auteur.synthesis.denoiser.builder import build_denoiser
from auteur.synthesis.denoiser.network import VideoDenoiser
from auteur.synthesis.denoiser.parts import part_names, parts_in, train_only
from auteur.synthesis.denoiser.seam_refiner import SeamRefinerConfig
from auteur.synthesis.denoiser.storage import load_parts, read_header
from auteur.synthesis.losses import LossSettings, draw_noise, draw_times

_WARM_UP_STEPS = 150
"""Steps in which the discriminator learns alone."""
_LARGEST_WEIGHT = 2.0
"""Of the verdict in the loss: where its gradient is small, it is also uncertain."""


@dataclass(frozen=True)
class AdversarialRecipe:
    """Settings of the recipe."""

    teacher: Path
    """A denoiser that the recipe `denoiser` wrote; it must take the warped portrait."""
    data: Annotated[Corpora, tyro.conf.arg(name="")]
    out: Path
    """Folder of the run: denoiser.safetensors, best.safetensors, checkpoints, log, sheets of pictures."""
    steps: int = 2000
    minutes: float = 0.0
    """Ends after so long if the steps are not done; 0: never."""
    rows: int = 16
    frames: int = 1
    """Per clip; 1 freezes the temporal layers, which then learn in a second, shorter run."""
    one_step: float = 0.75
    """Share of the rows that paint in one step."""
    share: float = 0.4
    """Size of the discriminator's gradient relative to that of the error."""
    detail: float = 1.0
    """Weight of the error within squares of 4 px, relative to that of their means."""
    matching: float = 1.0
    """Weight of the difference of the discriminator's features of real and painted pictures, beside its
    verdict."""
    likeness: float = 2.0
    """Weight of the auteur perceptual distance of painted and real squares beside the error; 0: left out."""
    seams: float = 10.0
    """Weight of what repeats from patch to patch in the error, for denoisers with patches."""
    photos: Path | None = None
    """Prepared photographs with the feature "views": more clips, of one frame."""
    photo_share: float = 0.35
    """Share of the rows from photographs, if there are any."""
    views: tuple[str, ...] = ()
    """Views that the student paints, of `auteur.synthesis.canonical_crops`; (): those of its teacher."""
    paints: Literal["openings", "lips"] | None = None
    """Area that it paints, as in the config of the denoiser; None: that of its teacher."""
    learns: tuple[str, ...] = ()
    """Parts that learn, such as finish; (): all, of single frames those that look at one."""
    finish_width: int = 0
    """Channels of new last layers in place of the teacher's; 0: the teacher's."""
    finish_levels: int = 1
    """Sizes of the picture in new last layers."""
    without: tuple[str, ...] = ()
    """Conditioners of the teacher that the student does not get."""
    windows: int = 3
    """Candidate windows per drawn clip; the one with the largest region is taken."""
    start_after: int = 300
    """Steps before the student learns from the discriminator, which learns alone in the last 100 of them."""
    discriminator_widths: tuple[int, ...] = (32, 64, 96)
    """Channels of the discriminator; the first two layers halve the picture."""
    learning_rate: float = 5e-4
    warm_up_steps: int = 100
    discriminator_learning_rate: float = 5e-4
    average_decay: float = 0.995
    evaluate_every_steps: int = 100
    """Between validations on validation people, with a sheet of pictures; 0: never."""
    save_every_steps: int = 1000
    """Between checkpoints."""
    log_every_steps: int = 25
    """Between lines of the log."""
    seed: int = 0
    """All random numbers follow from it."""
    precision: Precision = "bf16"
    """Of accelerate: no, bf16 or fp16."""
    tracker: Tracker = ""
    """trackio or tensorboard, beside the JSON lines that are always written."""

    def __post_init__(self) -> None:
        if not 0 <= self.photo_share < 1:
            raise UsageError(f"photo_share is {self.photo_share}; it must be in [0, 1)")
        if not (0 < self.one_step <= 1 and 0 <= self.share <= 10):
            raise UsageError(
                f"one_step is {self.one_step} and share {self.share}; they must be in (0, 1] and [0, 10]"
            )
        if not 0 <= self.detail <= 1:
            raise UsageError(f"detail is {self.detail}; it must be in [0, 1]")
        _ = self.new_finish  # refuses sizes that cannot be

    @property
    def new_finish(self) -> SeamRefinerConfig | None:
        """The config of new last layers, if there are to be any."""
        if self.finish_width == 0:
            return None
        return SeamRefinerConfig(width=self.finish_width, levels=self.finish_levels)


@dataclass(eq=False)
class Painted:
    """Pictures that the student painted in one step, beside the real ones; N rows of frames."""

    error: Tensor
    """Of all rows, []."""
    pictures: Tensor | None = None
    """Real pictures with the painted area laid in, [N, 3, H, W]; None if no row paints in one step."""
    real: Tensor | None = None
    conditions: Tensor | None = None
    """The warp and the drawing, [N, 7, H, W]."""
    mask: Tensor | None = None
    """How much of each pixel is painted, [N, 1, H, W]."""
    seams: Tensor | None = None
    """Of the pictures before they are shifted, []."""
    real_features: list[Tensor] = field(default_factory=list[Tensor])
    """Of the real pictures, by the discriminator before its step."""


class AdversarialLosses:
    """The losses of the student and of its discriminator, which share the student's pictures.

    Args:
        recipe: Settings.
        denoiser: The student.
    """

    def __init__(self, recipe: AdversarialRecipe, denoiser: VideoDenoiser) -> None:
        self._recipe, self._denoiser = recipe, denoiser
        self._last = _last_weight(denoiser)
        torch.manual_seed(recipe.seed)
        self.discriminator = PatchDiscriminator(3 + 4 + 3, recipe.discriminator_widths)
        self._face = FaceFeatureNet() if recipe.likeness else None
        self._painted: tuple[DrawnClips, Painted] | None = None

    def of_discriminator(self, discriminator: nn.Module, drawn: DrawnClips, step: int) -> Tensor:
        """Returns the hinge loss of the discriminator on real and painted pictures, []."""
        painted = self._paint(drawn)
        if painted.pictures is None:
            return sum((p.sum() * 0 for p in discriminator.parameters()), torch.zeros(()))
        of_real, features = discriminator(painted.real, painted.conditions)
        of_painted, _ = discriminator(painted.pictures.detach(), painted.conditions)
        painted.real_features = [level.detach() for level in features]
        hinge = functional.relu(1 - of_real) + functional.relu(1 + of_painted)
        return mean_of_painted(hinge, painted.mask)

    def of_student(self, denoiser: nn.Module, drawn: DrawnClips, step: int) -> dict[str, Tensor]:
        """Returns the terms of the loss of the student, each []."""
        painted = self._paint(drawn)
        self._painted = None
        terms = {"error": painted.error}
        if painted.pictures is None or painted.real is None:
            return terms
        if painted.seams is not None:
            terms["seams"] = painted.seams
        if self._face is not None:
            face = self._face.to(painted.pictures.device)
            terms["likeness"] = perceptual_loss(face, painted.pictures, painted.real)
        if step >= self._recipe.start_after:
            terms["adversarial"] = self._adversarial(painted)
        return terms

    def _adversarial(self, painted: Painted) -> Tensor:
        """Returns the verdict of the discriminator, its gradient scaled to a share of that of the error."""
        logits, features = self.discriminator(painted.pictures, painted.conditions)
        verdict = -mean_of_painted(logits, painted.mask)
        if self._recipe.matching:
            verdict = verdict + self._recipe.matching * feature_matching_loss(features, painted.real_features)
        of_error, of_verdict = (
            torch.autograd.grad(loss, self._last, retain_graph=True)[0].norm()
            for loss in (painted.error, verdict)
        )
        weight = (self._recipe.share * of_error / (of_verdict + 1e-6)).clamp(max=_LARGEST_WEIGHT).detach()
        return weight * verdict

    def _paint(self, drawn: DrawnClips) -> Painted:
        """Returns the student's pictures of a batch; both learners of a step get the same ones."""
        if self._painted is None or self._painted[0] is not drawn:
            self._painted = (drawn, self._painted_anew(drawn))
        return self._painted[1]

    def _painted_anew(self, drawn: DrawnClips) -> Painted:
        batch, generator, config = drawn.clips, drawn.generator, self._denoiser.config
        if batch.conditions.warped is None or batch.conditions.landmarks is None or batch.region is None:
            raise UsageError("clips for this recipe hold warped, landmarks and region")
        process, rows = config.noising, len(batch.clean)
        is_one = torch.rand(rows, generator=generator) < self._recipe.one_step
        times = draw_times(process, rows, LossSettings(), generator)
        time = torch.where(is_one, torch.ones_like(times), times)
        noise = draw_noise(batch.clean, config.noise_common, generator)
        timestep = process.model_time(time).to(batch.clean.device, torch.float32)
        conditions = batch.conditions.drop(config.optional_dropout_rates, generator)
        noisy = process.noised(batch.clean, noise, time)
        prediction = in_single_precision(self._denoiser)(noisy, timestep, conditions)
        made = process.clean(noisy, prediction, time).float()
        scale = (config.anchor_deviation or 1.0) ** 2
        difference = (made - batch.clean) * batch.region.sqrt()
        painted = Painted(split_error(difference.flatten(0, 1), self._recipe.detail) / scale)
        if not is_one.any():
            return painted
        region = batch.region[is_one].flatten(0, 1)
        mask = ((region - REGION_FLOOR) / (1 - REGION_FLOOR)).clamp(0, 1)
        real = batch.clean[is_one].flatten(0, 1)
        laid = torch.lerp(real, made[is_one].flatten(0, 1), mask)
        if config.patch > 1:
            painted.seams = seam_loss(laid, real, mask, config.patch) / scale
        size = (real.shape[-2], real.shape[-1])
        drawing = functional.adaptive_avg_pool2d(batch.conditions.landmarks[is_one].flatten(0, 1), size)
        given = torch.cat([batch.conditions.warped[is_one].flatten(0, 1), 2 * drawing - 1], dim=1)
        painted.pictures, painted.real, painted.conditions, painted.mask = jittered(
            (laid, real, given, mask), generator
        )
        return painted


def _last_weight(denoiser: VideoDenoiser) -> nn.Parameter:
    """The weight at which gradients are compared: the last layer of the UNet, if it learns, else of all."""
    of_unet: nn.Parameter = denoiser.unet.conv_out.weight  # pyright: ignore[reportAttributeAccessIssue]
    if of_unet.requires_grad or denoiser.finish is None:
        return of_unet
    return denoiser.finish.layers[-1].weight  # pyright: ignore[reportReturnType]


def build_phase(denoiser: VideoDenoiser, recipe: AdversarialRecipe, batch_of: BatchOf) -> Phase:
    """Returns the phase in which the student and its discriminator learn in turns."""
    across = {"temporal", "past"} if recipe.frames == 1 else set()
    learning = recipe.learns or [name for name in part_names(denoiser) if name not in across]
    train_only(denoiser.train(), learning)
    losses = AdversarialLosses(recipe, denoiser)
    discriminator = Learner(
        name="discriminator",
        model=losses.discriminator,
        loss=losses.of_discriminator,
        learning_rate=recipe.discriminator_learning_rate,
        betas=(0.5, 0.99),
        weight_decay=1e-3,
        clip_norm=math.inf,
        first_step=max(0, recipe.start_after - _WARM_UP_STEPS),
    )
    student = Learner(
        model=denoiser,
        loss=losses.of_student,
        learning_rate=recipe.learning_rate,
        rate_factor=WarmUpCosine(recipe.warm_up_steps, last_rate=0.05),
        weight_decay=0.01,
        clip_norm=1.0,
        term_weights={"seams": recipe.seams, "likeness": recipe.likeness},
        average_decay=recipe.average_decay,
    )
    batches = ClipBatches(
        batch_of=batch_of,
        rows=recipe.rows,
        frames=recipe.frames,
        without=tuple(across & set(denoiser.condition_names)),
    )
    return Phase(
        learners=(discriminator, student),
        batches=batches,
        steps=recipe.steps,
        minutes=recipe.minutes or math.inf,
    )


def distil(
    denoiser: VideoDenoiser,
    recipe: AdversarialRecipe,
    batch_of: BatchOf,
    validation: Validation | None = None,
    *,
    unchanged: BatchOf | None = None,
) -> Path:
    """Trains the student in place and returns its file.

    Args:
        denoiser: The student.
        recipe: Settings.
        batch_of: Clips to train on.
        validation: Judges on the way.
        unchanged: The same clips in their own light, in which the gains of contrast are measured; None:
            the student keeps those of its teacher.

    Raises:
        UsageError: The denoiser is not conditioned on the warped portrait and its drawing in pixels.
        DivergedError: A loss became NaN or infinite.
    """
    config = denoiser.config
    if config.warped is None or config.landmarks is None or config.channels != 3:
        raise UsageError("the teacher must paint pixels, from the warped portrait and drawn landmarks")
    painting = config.painting
    denoiser.config = config.changed(
        paints_in=1, views=recipe.views or painting.views, paints=recipe.paints or painting.paints
    )
    trainer = start_run(recipe.out, recipe)
    trainer.fit([partial(build_phase, denoiser, recipe, batch_of)], validation)
    if unchanged is not None and trainer.devices.index == 0:
        denoiser.config = denoiser.config.changed(contrast=contrast_gains(denoiser.eval(), unchanged))
    return write_result(trainer, denoiser, recipe.out)


def student_of(
    teacher: Path, without: Sequence[str] = (), finish: SeamRefinerConfig | None = None
) -> VideoDenoiser:
    """Returns the denoiser of a file; one with patches and no last layers gets some, at first without effect.

    Args:
        teacher: The file.
        without: Conditioners to leave out.
        finish: New last layers in place of the teacher's, at first without effect.

    Raises:
        UsageError: There is no such conditioner, or it cannot be left out.
        WeightsError: The file is missing, damaged or holds parts only.
    """
    config, _ = read_header(teacher)
    if unknown := set(without) - set(config.condition_names):
        names = ", ".join(config.condition_names)
        raise UsageError(f"without names {', '.join(sorted(unknown))}; {str(teacher)!r} has {names}")
    changed = config.changed(**dict.fromkeys(without))
    if finish is None and config.finish is None and config.patch > 1:
        finish = SeamRefinerConfig()
    if finish is not None and finish != config.finish:
        changed, without = changed.changed(finish=finish), (*without, "finish")
    denoiser = build_denoiser(changed, seed=0)
    load_parts(denoiser, teacher, only=[name for name in parts_in(config) if name not in without])
    return denoiser


def train(recipe: AdversarialRecipe) -> None:
    """Distils the denoiser of a file on clips of a folder."""
    denoiser = student_of(recipe.teacher, recipe.without, recipe.new_finish)
    clips, validation = open_clips(recipe.data, denoiser, looks=recipe.windows), None
    if recipe.photos is not None:
        photos = open_clips(Corpora(shards=(recipe.photos,)), denoiser, medium="picture")
        clips = MixedClips(clips, photos, recipe.photo_share)
    if recipe.evaluate_every_steps:
        judging = open_clips(recipe.data, denoiser, part="validation", looks=recipe.windows)
        images = ValidationImages(judging.batch, frames=2, steps=1)
        validation = image_validation(images, recipe.evaluate_every_steps, recipe.out)

    def batch(rows: int, frames: int, generator: torch.Generator) -> ClipBatch:
        return augmented(clips.batch(rows, frames, generator), generator)

    distil(denoiser, recipe, batch, validation, unchanged=clips.batch)
