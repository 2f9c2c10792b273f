"""Real recipes that are killed by -9 and resumed end with the same bits as ones that were not."""

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from auteur.errors import InputError, UsageError
from auteur.lab.train import recipes
from auteur.lab.train.checkpoints import checkpoints
from auteur.lab.train.run_folder import RunFolder
from auteur.lab.train.smoke import diffusion, expression, performances, speech, tracks

pytest.importorskip("accelerate", reason="needs pip install 'auteur-face[train]'")

pytestmark = [pytest.mark.slow, pytest.mark.forks]

STEPS, KILLED_AFTER = 6, 3
TRIALS = {
    "motion": tracks.motion,
    "audio-lm": performances.audio_lm,
    "speech-encoder": speech.speech_encoder,
    "expression-generator": expression.generator,
    "denoiser-adversarial": diffusion.adversarial,
    "denoiser-distill": diffusion.distill,
}


def short(name: str, recipe: Any, out: Path) -> Any:
    """The recipe, with a few steps and a checkpoint after three of them."""
    if hasattr(recipe, "schedule"):
        schedule = replace(recipe.schedule, steps=STEPS, evaluate_every_steps=KILLED_AFTER)
        return replace(recipe, out=out.with_suffix(".safetensors"), schedule=schedule)
    if name == "denoiser-adversarial":  # the discriminator learns from step 2 on, the student from it after 3
        recipe = replace(recipe, start_after=2)
    if name == "denoiser-distill":  # killed in the second of two halvings
        return replace(recipe, out=out, steps=2, teacher_steps=8, rows=1, frames=2, save_every_steps=1)
    file = out if recipes.RECIPES[name].writes_folder else out.with_suffix(".safetensors")
    return replace(recipe, out=file, steps=STEPS, save_every_steps=KILLED_AFTER)


def run_folder(recipe: Any) -> Path:
    out = recipe.out
    return out.with_suffix(".run") if out.suffix else out / "denoiser.run"


def results(recipe: Any) -> list[Path]:
    return sorted([recipe.out] if recipe.out.suffix else recipe.out.glob("*.safetensors"))


def train(name: str, recipe: Any) -> None:
    recipes._run(recipes.RECIPES[name], recipe)


def train_and_be_killed(name: str, recipe: Any) -> None:
    """Trains in a process of its own that is killed while it logs its fourth step."""
    child = os.fork()
    if not child:
        log = RunFolder.log

        def last_words(self, step, **values):
            if step > KILLED_AFTER:
                os.kill(os.getpid(), signal.SIGKILL)
            log(self, step, **values)

        RunFolder.log = last_words
        train(name, recipe)
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL


@pytest.mark.parametrize("name", TRIALS)
def test_killed_and_resumed_is_the_same_bit_for_bit(name, tmp_path):
    torch.set_num_threads(1)
    trial = TRIALS[name](tmp_path / "data")
    whole, broken = (short(name, trial.recipe, tmp_path / word) for word in ("whole", "broken"))
    train_and_be_killed(name, broken)
    assert checkpoints(run_folder(broken))[-1].name == f"checkpoint-{KILLED_AFTER:08d}"
    train(name, broken)
    train(name, whole)
    one, other = (checkpoints(run_folder(each))[-1] for each in (whole, broken))
    assert one.name == other.name
    assert {path.name for path in one.iterdir()} == {path.name for path in other.iterdir()}
    for path, again in zip(
        [*results(whole), *sorted(one.glob("*.safetensors"))],
        [*results(broken), *sorted(other.glob("*.safetensors"))],
        strict=True,
    ):
        expected, found = load_file(path), load_file(again)
        assert expected.keys() == found.keys()
        assert all(torch.equal(expected[key], found[key]) for key in expected), path.name
    if name == "denoiser-adversarial":
        assert (one / "discriminator.safetensors").is_file()
        assert (one / "discriminator_optimizer.safetensors").is_file()


def test_features_of_another_encoder_are_named(tmp_path):
    trial = tracks.motion(tmp_path / "data")
    other = replace(trial.recipe, config=replace(trial.recipe.config, speech_features=80))
    with pytest.raises(UsageError, match=r"have 6 numbers .* config\.speech_features is 80; set it"):
        train("motion", other)


def test_a_recipe_with_other_settings_is_refused(tmp_path):
    trial = tracks.motion(tmp_path / "data")
    recipe = short("motion", trial.recipe, tmp_path / "motion")
    train_and_be_killed("motion", recipe)
    changed = replace(recipe, batch_size=4, config=replace(recipe.config, hidden=8))
    with pytest.raises(InputError, match=r"batch_size was 8 and is 4; config\.hidden was 16 and is 8"):
        train("motion", changed)
