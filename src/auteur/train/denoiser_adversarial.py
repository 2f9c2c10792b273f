"""Recipe: a one-step student of a trained denoiser that paints sharply, by adversarial distillation.

    python -m auteur.train.denoiser_adversarial --teacher RUN/denoiser.safetensors --clips CLIPS --out STUDENT

A denoiser asked for everything in one step paints the mean of all mouths that fit, which is blurred. As in
adversarial diffusion distillation (Sauer et al. 2023, arXiv 2311.17042), the student starts as its teacher
and must convince a discriminator, while it stays near the truth, which here is known: its conditions belong
to a real picture. Some rows go on learning at all other times, so that the same file still paints in more
steps. A run that was broken off goes on with a new discriminator.

The discriminator judges patches (Isola et al. 2017, arXiv 1611.07004) of the real picture with the painted
area laid in, beside the warp and the drawing. Its gradient is scaled to a share of that of the error, at the
last layer (Esser et al. 2021, arXiv 2012.09841, equation 7). Beside it stand the auteur perceptual distance
and a penalty on what repeats from patch to patch (`train.denoiser_judge`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch
import tyro
from torch import Tensor, nn
from torch.nn import functional

from auteur.data.denoiser_augment import augmented
from auteur.data.denoiser_clips import BatchOf, ClipBatch, ClipFolder, MixedClips
from auteur.data.face_views import REGION_FLOOR
from auteur.errors import UsageError
from auteur.evaluate.face_features import FaceFeatureNet
from auteur.synthesis.denoiser.builder import build_denoiser
from auteur.synthesis.denoiser.config import DenoiserConfig
from auteur.synthesis.denoiser.network import VideoDenoiser
from auteur.synthesis.denoiser.parts import part_names
from auteur.synthesis.denoiser.seam_refiner import SeamRefinerConfig
from auteur.synthesis.denoiser.storage import load_denoiser, load_parts, read_header
from auteur.synthesis.losses import LossSettings, draw_noise, draw_times
from auteur.train.denoiser import follow
from auteur.train.denoiser_judge import PatchJudge, apart, jittered, seams, unlike
from auteur.train.denoiser_recipe import DenoiserRecipe, Phase
from auteur.train.denoiser_watch import Watch

_TO_JUDGE = 100


@dataclass(frozen=True)
class AdversarialRecipe:
    """What you will most likely change."""

    teacher: Path
    """A denoiser that `auteur.train.denoiser` made; it must take the warped portrait."""
    clips: Path
    out: Path
    """Folder for denoiser.safetensors, best.safetensors, metrics.jsonl and sheets of pictures."""
    steps: int = 2000
    minutes: float = 0.0
    """Ends after so long if the steps are not done; 0: never."""
    rows: int = 16
    frames: int = 1
    """Per clip: 1 leaves out what looks at other frames, which then learns in a second, shorter run."""
    one_step: float = 0.75
    """Share of the rows that paint in one step."""
    share: float = 0.4
    """Size of the discriminator's gradient beside that of the error."""
    matching: float = 1.0
    """Weight of the difference of what the discriminator sees in real and painted pictures, beside what it
    says of them."""
    likeness: float = 2.0
    """Weight of the auteur perceptual distance of painted and real squares beside the error; 0: left out."""
    seams: float = 10.0
    """Weight of what repeats from patch to patch in the error, for denoisers with patches."""
    photos: Path | None = None
    """More clips, of one frame (`auteur.data.photo_views`)."""
    photo_share: float = 0.35
    """Of the rows, if there are photos."""
    views: tuple[str, ...] = ()
    """What the student paints, of `auteur.synthesis.views`; (): what its teacher does."""
    paints: Literal["openings", "lips"] | None = None
    """Where, as in the config of the denoiser; None: where its teacher does."""
    looks: int = 3
    """Windows of a clip that are looked at for the one with the most to paint."""
    start_after: int = 300
    """Steps before the discriminator has a say; in the last 100 of them it learns to judge."""
    judge_widths: tuple[int, ...] = (32, 64, 128, 128)
    """Channels of the discriminator; each layer halves the picture."""
    learning_rate: float = 5e-4
    warm_up_steps: int = 100
    judge_learning_rate: float = 4e-4
    average_decay: float = 0.995
    watch_every: int = 100
    log_every: int = 25
    seed: int = 0
    precision: str = "bf16"
    """Of accelerate: no, bf16 or fp16."""

    def __post_init__(self) -> None:
        if not 0 <= self.photo_share < 1:
            raise UsageError(f"photo_share is {self.photo_share}; it must be in [0, 1)")
        if not (0 < self.one_step <= 1 and 0 <= self.share <= 10):
            raise UsageError(
                f"one_step is {self.one_step} and share {self.share}; they must be in (0, 1] and [0, 10]"
            )


class AdversarialLoss:
    """The loss of the student for `PhaseTraining`; its discriminator learns on the way.

    Args:
        recipe: How.
        last_layer: Whose gradients are compared.
    """

    def __init__(self, recipe: AdversarialRecipe, last_layer: nn.Parameter) -> None:
        self._recipe, self._last = recipe, last_layer
        torch.manual_seed(recipe.seed)
        self.judge = PatchJudge(3 + 4 + 3, recipe.judge_widths).to(last_layer.device)
        self._optimizer = torch.optim.AdamW(
            self.judge.parameters(), lr=recipe.judge_learning_rate, betas=(0.0, 0.99), weight_decay=1e-3
        )
        self._face = FaceFeatureNet().to(last_layer.device) if recipe.likeness else None
        self._steps = 0

    def __call__(
        self,
        network: Callable[..., Tensor],
        config: DenoiserConfig,
        batch: ClipBatch,
        generator: torch.Generator,
    ) -> Tensor:
        """Returns the loss of a batch of pixels, []."""
        if batch.conditions.warped is None or batch.conditions.landmarks is None or batch.region is None:
            raise UsageError("clips for this recipe hold warped, landmarks and region")
        process, rows = config.noising, len(batch.clean)
        is_one = torch.rand(rows, generator=generator) < self._recipe.one_step
        drawn = draw_times(process, rows, LossSettings(), generator)
        time = torch.where(is_one, torch.ones_like(drawn), drawn)
        noise = draw_noise(batch.clean, config.noise_common, generator)
        told = process.model_time(time).to(batch.clean.device, torch.float32)
        conditions = batch.conditions.drop(config.optional_dropout_rates, generator)
        noisy = process.noised(batch.clean, noise, time)
        made = process.clean(noisy, network(noisy, told, conditions), time).float()
        scale = (config.anchor_deviation or 1.0) ** 2
        error = ((made - batch.clean).square() * batch.region).mean() / scale
        self._steps += 1
        if not is_one.any():
            return error
        loss, region = error, batch.region[is_one].flatten(0, 1)
        mask = ((region - REGION_FLOOR) / (1 - REGION_FLOOR)).clamp(0, 1)
        real = batch.clean[is_one].flatten(0, 1)
        laid = torch.lerp(real, made[is_one].flatten(0, 1), mask)
        if config.patch > 1:
            loss = loss + self._recipe.seams * seams(laid, real, mask, config.patch) / scale
        size = (real.shape[-2], real.shape[-1])
        drawn = functional.adaptive_avg_pool2d(batch.conditions.landmarks[is_one].flatten(0, 1), size)
        shown = torch.cat([batch.conditions.warped[is_one].flatten(0, 1), 2 * drawn - 1], dim=1)
        laid, real, shown = jittered((laid, real, shown), generator)
        if self._face is not None:
            loss = loss + self._recipe.likeness * unlike(self._face, laid, real)
        if self._steps > self._recipe.start_after - _TO_JUDGE:
            loss = loss + self._adversarial(laid, real, shown, error)
        return loss

    def _adversarial(self, laid: Tensor, real: Tensor, shown: Tensor, error: Tensor) -> Tensor:
        """What the discriminator says of painted pictures [N, 3, H, W], scaled beside the error."""
        wanted_features = self._teach(real, laid.detach(), shown)
        if self._steps <= self._recipe.start_after:
            return torch.zeros((), device=laid.device)
        logits, features = self.judge(laid, shown)
        unconvinced = -logits.mean()
        if self._recipe.matching:
            unconvinced = unconvinced + self._recipe.matching * apart(features, wanted_features)
        wanted, found = (
            torch.autograd.grad(loss, self._last, retain_graph=True)[0].norm()
            for loss in (error, unconvinced)
        )
        weight = (self._recipe.share * wanted / (found + 1e-6)).clamp(max=100.0).detach()
        return weight * unconvinced

    def _teach(self, real: Tensor, laid: Tensor, shown: Tensor) -> list[Tensor]:
        """One step of the discriminator, with the hinge loss; returns what it saw in the real pictures."""
        self._optimizer.zero_grad()
        of_real, features = self.judge(real, shown)
        of_laid, _ = self.judge(laid, shown)
        loss = functional.relu(1 - of_real).mean() + functional.relu(1 + of_laid).mean()
        loss.backward()
        self._optimizer.step()
        return [level.detach() for level in features]


def distil(
    denoiser: VideoDenoiser, recipe: AdversarialRecipe, batch_of: BatchOf, watch: Watch | None
) -> Path:
    """Trains the student in place and returns its file.

    Raises:
        UsageError: The denoiser is not given the warped portrait and its drawing in pixels.
        FloatingPointError: The loss became NaN.
    """
    config = denoiser.config
    if config.warped is None or config.landmarks is None or config.channels != 3:
        raise UsageError("the teacher must paint pixels, from the warped portrait and drawn landmarks")
    painting = config.painting
    denoiser.config = config.changed(
        paints_in=1, views=recipe.views or painting.views, paints=recipe.paints or painting.paints
    )
    settings = DenoiserRecipe(
        out=recipe.out,
        steps=(recipe.steps,),
        minutes=(recipe.minutes,) if recipe.minutes else (),
        batch_size=(recipe.rows,),
        learning_rate=recipe.learning_rate,
        warm_up_steps=recipe.warm_up_steps,
        last_rate=0.05,
        average_decay=recipe.average_decay,
        precision=recipe.precision,
        watch_every=recipe.watch_every,
        log_every=recipe.log_every,
        seed=recipe.seed,
    )
    loss = AdversarialLoss(recipe, denoiser.unet.conv_out.weight)
    across = {"temporal", "past"} if recipe.frames == 1 else set()
    phase = Phase(
        learning=tuple(name for name in part_names(denoiser) if name not in across),
        frames=recipe.frames,
        rows=recipe.rows,
        untaught=tuple(across & set(denoiser.condition_names)),
    )
    return follow(denoiser, settings, phase, batch_of=batch_of, loss_of=loss, watch=watch)


def student_of(teacher: Path) -> VideoDenoiser:
    """Returns the denoiser of a file; one with patches and no last layers gets some, at first without effect.

    Raises:
        WeightsError: The file is missing, damaged or holds parts only.
    """
    config, _ = read_header(teacher)
    if config.finish is not None or config.patch == 1:
        return load_denoiser(teacher)
    denoiser = build_denoiser(config.changed(finish=SeamRefinerConfig()), seed=0)
    load_parts(denoiser, teacher)
    return denoiser


def main(recipe: AdversarialRecipe) -> None:
    """Distils a denoiser of a file on clips of a folder."""
    denoiser = student_of(recipe.teacher)
    past = 0 if denoiser.config.past is None else denoiser.config.past.frames
    open_clips = partial(
        ClipFolder, recipe.clips, names=denoiser.condition_names, past=past, looks=recipe.looks
    )
    clips, watch = open_clips(), None
    if recipe.photos is not None:
        photos = ClipFolder(recipe.photos, names=denoiser.condition_names, past=past)
        clips = MixedClips(clips, photos, recipe.photo_share)
    recipe.out.mkdir(parents=True, exist_ok=True)
    if recipe.watch_every:
        watch = Watch(open_clips(held_out=True).batch, frames=2, folder=recipe.out, steps=1)

    def batch(rows: int, frames: int, generator: torch.Generator) -> ClipBatch:
        return augmented(clips.batch(rows, frames, generator), generator)

    distil(denoiser, recipe, batch, watch)


if __name__ == "__main__":
    main(tyro.cli(AdversarialRecipe))
