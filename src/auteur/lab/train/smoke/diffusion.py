"""The denoiser's recipes on clips made of nothing (`auteur.lab.train.smoke.spots`)."""

from importlib.util import find_spec
from pathlib import Path

import torch

from auteur.lab.data.denoiser_clips import write_clips
from auteur.lab.data.shards import Corpora
from auteur.lab.data.splits import part_of
from auteur.lab.train.denoiser import train_phases
from auteur.lab.train.denoiser_adversarial import AdversarialRecipe
from auteur.lab.train.denoiser_distill import DistillRecipe
from auteur.lab.train.denoiser_recipe import DenoiserRecipe
from auteur.lab.train.smoke.published import published_adapter
from auteur.lab.train.smoke.spots import MovingSpots, shrunk
from auteur.lab.train.smoke.trial import Trial, people
from auteur.synthesis.denoiser.builder import build_denoiser
from auteur.synthesis.denoiser.presets import preset
from auteur.synthesis.denoiser.storage import save_denoiser
from auteur.synthesis.noise import step_generator


def denoiser(folder: Path) -> Trial:
    """The presets with phases of a base, all phases of each; the losses are the sums."""
    return _together([_trial(folder / name, name, 12) for name in ("compact", "emodiffhead", "landmark")])


def au_adapter(folder: Path) -> Trial:
    """Action Units on an untrained base, and on a published one; the losses are the sums.

    The published one needs diffusers and transformers, and is left out where they are not installed.
    """
    own = _trial(folder, "auhead", 12)
    if not all(map(find_spec, ("diffusers", "transformers"))):
        return own
    return _together([own, published_adapter(folder)])


def _together(trials: list[Trial]) -> Trial:
    """Several trials as one, with the recipe of the first."""

    def train() -> None:
        for one in trials:
            assert one.train is not None  # noqa: S101 - for the type checker
            one.train()

    def losses() -> tuple[float, float]:
        firsts, lasts = zip(*(one.losses() for one in trials), strict=True)
        return sum(firsts), sum(lasts)

    return Trial(trials[0].recipe, train=train, fitted=losses)


def _trial(folder: Path, name: str, steps: int) -> Trial:
    recipe = DenoiserRecipe(
        out=folder / "run",
        preset=name,
        steps=(steps, 2),
        batch_size=(4, 2),
        learning_rate=3e-3,
        warm_up_steps=2,
        average_decay=0.9,
        save_every_steps=steps,
        log_every_steps=1,
    )
    config = shrunk(preset(name).config)

    def train() -> None:
        train_phases(build_denoiser(config, seed=recipe.seed), MovingSpots(config).batch, recipe)

    return Trial(recipe, train=train, log=recipe.out / "denoiser.jsonl")


def distill(folder: Path) -> Trial:
    """A student of two steps from a teacher of four."""
    teacher, clips = _teacher_and_clips(folder)
    recipe = DistillRecipe(
        teacher=teacher,
        data=clips,
        out=folder / "student",
        teacher_steps=4,
        student_steps=2,
        steps=24,
        rows=2,
        frames=4,
        learning_rate=3e-3,
        warm_up_steps=2,
        average_decay=0.9,
        log_every_steps=1,
    )
    return Trial(recipe, log=recipe.out / "denoiser.jsonl")


def adversarial(folder: Path) -> Trial:
    """A student of one step, against a discriminator in the end."""
    teacher, clips = _teacher_and_clips(folder)
    recipe = AdversarialRecipe(
        teacher=teacher,
        data=clips,
        out=folder / "student",
        steps=24,
        rows=6,
        start_after=22,
        one_step=1.0,
        discriminator_widths=(8, 16),
        learning_rate=5e-3,
        warm_up_steps=2,
        average_decay=0.9,
        evaluate_every_steps=0,
        log_every_steps=1,
        precision="no",
    )
    return Trial(recipe, log=recipe.out / "denoiser.jsonl")


def _teacher_and_clips(folder: Path) -> tuple[Path, Corpora]:
    folder.mkdir(parents=True, exist_ok=True)
    config = shrunk(preset("compact").config)
    save_denoiser(build_denoiser(config, seed=1), folder / "teacher.safetensors")
    made, clips = MovingSpots(config), list[tuple[str, str, dict[str, torch.Tensor]]]()
    for number, person in enumerate(people(lambda name: part_of(name) == "train", 3)):
        batch = made.batch(1, 12, step_generator(0, str(number)))
        given = {
            name: value
            for name in batch.conditions.names
            if isinstance(value := getattr(batch.conditions, name), torch.Tensor)
        }
        tensors = {name: value[0] for name, value in given.items() if name != "past"}
        tensors |= {"clean": batch.clean[0], "region": torch.ones_like(batch.clean[0, :, :1])}
        clips.append((person, person, tensors))
    shards = write_clips(folder / "shards", clips)
    return folder / "teacher.safetensors", Corpora(shards=(shards,))
