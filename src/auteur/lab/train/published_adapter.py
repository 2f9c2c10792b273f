"""Recipe `au-adapter` on published weights: the Action Unit adapter of a converted folder (AUHead, stage 2).

    auteur prepare -o SHARDS --features published --published HALLO
    auteur train au-adapter --published HALLO --shards SHARDS --out RUN

All networks of the folder are frozen. A row of a batch is predicted as inference predicts it: with all its
conditions, with the adapter's null in place of its Action Units, or as the unconditional row of guidance.
"""

from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from auteur.errors import InputError, UsageError
from auteur.lab.data.denoiser_clips import ClipFolder
from auteur.lab.train.clip_batches import ClipBatches, DrawnClips
from auteur.lab.train.denoiser_recipe import DenoiserRecipe
from auteur.lab.train.phases import Learner, Loss, Phase
from auteur.lab.train.trainer import Trainer, TrainerSettings
from auteur.synthesis.conditioners.au import AUConfig
from auteur.synthesis.conditions import Conditions
from auteur.synthesis.denoiser.config import DiffusionConfig
from auteur.synthesis.denoiser.preconditioner import Preconditioner
from auteur.synthesis.denoiser.presets import preset
from auteur.synthesis.losses import LOSSES
from auteur.synthesis.published import hallo, memo
from auteur.synthesis.published.adapter import ADAPTER_FILE, Adapter, load_adapter, new_adapter, save_adapter
from auteur.synthesis.published.checkpoints import LAYOUTS, Kind
from auteur.synthesis.published.folder import PublishedModel, open_published, read_description
from auteur.synthesis.published.hallo import Hallo, HalloConditions
from auteur.synthesis.published.memo import EMOTION_CLASSES, Memo, MemoConditions
from auteur.synthesis.published.region_masks import masks_of_regions
from auteur.synthesis.published.wav2vec import WINDOW_FRAMES

PRESET = "auhead"
UNKNOWN_EMOTION = EMOTION_CLASSES.index("unknown")
"""Person of clips that name none."""

_PROCESSES = {"hallo": DiffusionConfig(process="ddim"), "memo": DiffusionConfig(process="flow")}
"""Training process of each: Hallo's training has Stable Diffusion's betas, its sampling alone linear ones."""
_PAST_FRAMES = {"hallo": hallo.PAST_FRAMES, "memo": memo.PAST_FRAMES}
_WITHOUT_EFFECT = (
    *("unet", "motion_adapter", "augment", "recompute", "evaluate_every_steps"),
    *("without", "process"),
)


def train_adapter(recipe: DenoiserRecipe, sizes: AUConfig | None = None) -> Path:
    """Trains the adapter of a published base, resuming from the last checkpoint if there is one.

    Args:
        recipe: Its `published` names the folder, its first `start` an adapter to start from.
        sizes: Of a new adapter; None: AUHead's.

    Returns:
        `au_adapter.safetensors` with the averaged adapter, which `auteur generate` loads from the folder.

    Raises:
        UsageError: The recipe or the folder does not suit an adapter, or memory does not suffice.
        InputError: Clips or checkpoints cannot be used.
        WeightsError: The folder or the adapter is damaged, or they do not fit.
        DivergedError: The loss became NaN or infinite.
    """
    folder = _checked(recipe)
    recipe.out.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(recipe.out / ADAPTER_FILE, recipe, TrainerSettings.of(recipe))
    dtype = torch.bfloat16 if recipe.precision == "bf16" else torch.float32
    base = AdaptedBase(open_published(folder, device=trainer.devices.device, dtype=dtype))
    adapter = base.adapt(recipe, sizes)
    names = ("reference", "audio", "au", "past", *(("expression",) if base.kind == "memo" else ()))
    source = ClipFolder(
        recipe.data, names=names, features=recipe.features or ("published",), past=_PAST_FRAMES[base.kind]
    )
    learner = Learner(
        model=adapter,
        loss=adapter_loss(base, recipe),
        learning_rate=recipe.learning_rate,
        rate_factor=recipe.rate_factor,
        weight_decay=recipe.weight_decay,
        clip_norm=recipe.clip_gradient,
        average_decay=recipe.average_decay,
    )
    phase = Phase(
        learners=(learner,),
        batches=ClipBatches(
            batch_of=source.batch,
            rows=recipe.batch_size[0],
            frames=preset(PRESET).frames[0],
            accumulate=recipe.accumulate,
        ),
        steps=recipe.steps[0],
        minutes=recipe.minutes[0] if recipe.minutes else float("inf"),
        accumulate=recipe.accumulate,
    )
    trainer.fit([lambda: phase])
    result = recipe.out / ADAPTER_FILE
    if trainer.devices.index == 0:
        save_adapter(adapter, result, overwrite=True)
    return result


def adapter_loss(base: "AdaptedBase", recipe: DenoiserRecipe) -> Loss:
    """Returns the loss of the adapter of a base: the error of v as the base was trained on it."""
    diffusion = _PROCESSES[base.kind]
    preconditioner = Preconditioner(diffusion)
    settings = replace(
        LOSSES[diffusion.process], time_mean=recipe.time_mean, time_deviation=recipe.time_deviation
    )

    def of_batch(_: nn.Module, drawn: DrawnClips, __: int) -> Tensor:
        batch, generator = drawn.clips, drawn.generator
        base.check(batch.clean, batch.conditions)
        # Guidance leaves out both together.
        rates = {"au": base.adapter.config.dropout, "audio": 0.0}
        conditions = batch.conditions.drop(rates, generator, together=diffusion.drop_all)
        noisy = preconditioner.draw(batch.clean, generator, settings)
        rows = [
            base.predict(noisy.sample[row : row + 1], float(time), conditions, row)
            for row, time in enumerate(noisy.model_time)
        ]
        return preconditioner.loss(torch.cat(rows).float(), noisy, settings, region=batch.region)

    return of_batch


class AdaptedBase:
    """A published base with the adapter that learns on it.

    Args:
        model: Of a folder of Hallo or MEMO; its networks are frozen.
    """

    def __init__(self, model: PublishedModel) -> None:
        self.model = model
        self.kind: Kind = model.kind
        networks = model.networks
        assert isinstance(networks, Hallo | Memo)  # noqa: S101 - the folder was checked
        self.networks = networks
        self._audio = networks.audioproj if isinstance(networks, Hallo) else networks.audio_proj
        self._image = networks.imageproj if isinstance(networks, Hallo) else networks.image_proj

    @property
    def adapter(self) -> Adapter:
        """The adapter."""
        assert self.networks.adapter is not None  # noqa: S101 - `adapt` comes first
        return self.networks.adapter

    def adapt(self, recipe: DenoiserRecipe, sizes: AUConfig | None) -> Adapter:
        """Puts an adapter into the base and returns it: a new one, or the one that the recipe starts from."""
        unet = self.networks.get_submodule(LAYOUTS[self.kind].unet)
        if recipe.start:
            made = load_adapter(unet, recipe.start[0])  # pyright: ignore[reportArgumentType]
        else:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(recipe.seed)
                changed = recipe.au.applied(sizes or AUConfig())
                made = new_adapter(unet, changed)  # pyright: ignore[reportArgumentType]
        self.networks.adapter = made.train().requires_grad_(True)
        return made

    def check(self, clean: Tensor, conditions: Conditions) -> None:
        """Refuses clips [B, F, …] that do not fit the base.

        Raises:
            InputError: A tensor is missing or has another shape; the message names the one that is needed.
        """
        frames, size_px, adapter = clean.shape[1], self.model.size_px, self.adapter.config
        side = size_px // self.model.latents.downscale
        wanted: dict[str, tuple[int | None, ...]] = {
            "clean": (frames, 4, side, side),
            "reference": (4, side, side),
            "audio": (frames, WINDOW_FRAMES, self._audio.proj1.in_features // WINDOW_FRAMES),
            "au": (frames, 3, size_px, size_px)
            if adapter.form != "sequence"
            else (frames, adapter.action_units),
        }
        if self.kind == "hallo":
            wanted["regions"] = (frames, 3, None, None)
        if "expression" in conditions.names:
            wanted["expression"] = (frames, len(EMOTION_CLASSES))
        for name, shape in wanted.items():
            value = clean if name == "clean" else conditions.tensors.get(name)
            present = conditions.presence(name) if name in conditions.names else None
            has_all = value is not None and (present is None or bool(present.all()))
            if not has_all and name != "expression":
                raise InputError(f"a clip holds no {name}; an adapter of {self.kind} needs it in every clip")
            found = () if value is None else tuple(value.shape[1:])
            if len(found) != len(shape) or any(b not in (None, a) for a, b in zip(found, shape, strict=True)):
                sizes = ", ".join("any" if one is None else str(one) for one in shape)
                raise InputError(
                    f"{name} of a clip has shape {list(found)} in a window of {frames} frames; {self.kind} "
                    f"at {size_px} px needs [{sizes}]; write the clips anew, or change size_px in "
                    "published.json"
                )

    def predict(self, sample: Tensor, time: float, conditions: Conditions, row: int) -> Tensor:
        """Returns v of the noisy latents [1, F, 4, h, w] of one row.

        Args:
            sample: Of this row.
            time: Model time of the base.
            conditions: Of all rows; a row without audio is the unconditional one of guidance.
            row: Number of the row.
        """
        like = next(self._image.parameters())
        given = {
            "embedding": like.new_zeros(1, self._image.embedding),
            "audio": conditions.audio[row].to(like),
            "adapter": conditions.au[row].to(sample) if _has(conditions, "au", row) else None,
        }
        common = {
            "reference": self._reference(conditions, row).to(like),
            "conditional": _has(conditions, "audio", row),
        }
        if isinstance(self.networks, Hallo):
            masks = masks_of_regions(conditions.regions[row, 0], self.model.size_px, self.model.size_px)
            inputs = HalloConditions(**given, face_box=masks.face_box.to(like), masks=masks.masks)
            return self.networks.predict_row(sample.to(like), time, given=inputs, **common)
        emotion = UNKNOWN_EMOTION
        if _has(conditions, "expression", row):
            emotion = int(conditions.expression[row].sum(0).argmax())
        inputs = MemoConditions(**given, emotion=emotion)
        return self.networks.predict_row(sample.to(like), time, given=inputs, **common)

    def _reference(self, conditions: Conditions, row: int) -> Tensor:
        """Latents of portrait and past [1 + P, 4, h, w]; at a clip's start the past is the portrait."""
        portrait = conditions.reference[row][None]
        if _has(conditions, "past", row):
            return torch.cat([portrait, conditions.past[row]])
        return portrait.repeat(1 + _PAST_FRAMES[self.kind], 1, 1, 1)


def _has(conditions: Conditions, name: str, row: int) -> bool:
    presence = conditions.presence(name)
    return presence is not None and bool(presence[row])


def _checked(recipe: DenoiserRecipe) -> Path:
    """The published folder of a recipe.

    Raises:
        UsageError: Settings do not go together, or the folder's model takes no adapter.
        WeightsError: The folder was not written by `auteur convert`.
    """
    folder = recipe.published
    assert folder is not None  # noqa: S101 - the caller looked
    if recipe.preset != PRESET:
        raise UsageError(f"published: no effect with the preset {recipe.preset}; run auteur train au-adapter")
    for name in _WITHOUT_EFFECT:
        if getattr(recipe, name):
            raise UsageError(f"{name}: no effect with published weights; leave it out")
    if len(recipe.start) > 1:
        raise UsageError(f"start names {len(recipe.start)} files; name one {ADAPTER_FILE} to start from")
    if not recipe.data.shards:
        raise UsageError("no shards were given; name their folders with --shards")
    kind = read_description(folder)["model"]
    if kind not in _PROCESSES:
        raise UsageError(
            f"{str(folder)!r} holds {kind}, whose drawings obey Action Units without an adapter; choose a "
            f"folder of {' or '.join(_PROCESSES)}"
        )
    return folder
