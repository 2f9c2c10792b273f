"""Real recipes that are killed by -9 and taken up again end with the same bits as ones that were not."""

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from auteur.errors import InputError, UsageError
from auteur.train import recipes
from auteur.train.run import Run
from auteur.train.smoke import expression, performances, speech, tracks
from auteur.train.state import checkpoints

pytestmark = pytest.mark.slow

STEPS, KILLED_AFTER = 6, 3
TRIALS = {
    "motion": tracks.motion,
    "audio-lm": performances.audio_lm,
    "speech-encoder": speech.speech_encoder,
    "expression-generator": expression.generator,
}


def short(recipe: Any, out: Path) -> Any:
    if hasattr(recipe, "schedule"):
        schedule = replace(recipe.schedule, steps=STEPS, evaluate_every_steps=KILLED_AFTER)
        return replace(recipe, out=out, schedule=schedule)
    return replace(recipe, out=out, steps=STEPS, save_every_steps=KILLED_AFTER)


def train(name: str, recipe: Any) -> None:
    recipes._run(recipes.RECIPES[name], recipe)


def train_and_be_killed(name: str, recipe: Any) -> None:
    """Trains in a process of its own that is killed while it tells of its fourth step."""
    child = os.fork()
    if not child:
        tell = Run.tell

        def last_words(self, step, **values):
            if step > KILLED_AFTER:
                os.kill(os.getpid(), signal.SIGKILL)
            tell(self, step, **values)

        Run.tell = last_words
        train(name, recipe)
        os._exit(0)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL


@pytest.mark.parametrize("name", TRIALS)
def test_killed_and_taken_up_again_is_the_same_bit_for_bit(name, tmp_path):
    torch.set_num_threads(1)
    trial = TRIALS[name](tmp_path / "data")
    whole, broken = (short(trial.recipe, tmp_path / f"{word}.safetensors") for word in ("whole", "broken"))
    train_and_be_killed(name, broken)
    assert [path.name for path in checkpoints(broken.out.with_suffix(".run"))] == ["checkpoint-00000003"]
    train(name, broken)
    train(name, whole)
    assert whole.out.read_bytes() == broken.out.read_bytes()
    one, other = (checkpoints(each.out.with_suffix(".run"))[-1] for each in (whole, broken))
    assert one.name == other.name == f"checkpoint-{STEPS:08d}"
    for path in one.glob("*.safetensors"):
        expected, found = load_file(path), load_file(other / path.name)
        assert expected.keys() == found.keys()
        assert all(torch.equal(expected[key], found[key]) for key in expected), path.name


def test_features_of_another_encoder_are_named(tmp_path):
    trial = tracks.motion(tmp_path / "data")
    other = replace(trial.recipe, config=replace(trial.recipe.config, speech_features=80))
    with pytest.raises(UsageError, match=r"have 6 numbers .* config\.speech_features is 80; set it"):
        train("motion", other)


def test_a_recipe_with_other_settings_is_refused(tmp_path):
    trial = tracks.motion(tmp_path / "data")
    recipe = short(trial.recipe, tmp_path / "motion.safetensors")
    train_and_be_killed("motion", recipe)
    changed = replace(recipe, batch_size=4, config=replace(recipe.config, hidden=8))
    with pytest.raises(InputError, match=r"batch_size was 8 and is 4; config\.hidden was 16 and is 8"):
        train("motion", changed)
