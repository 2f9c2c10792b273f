"""Every ablation of the papers is a setting of `auteur train`, and the model that is built differs."""

from dataclasses import replace
from typing import Annotated, Any

import numpy as np
import pytest
import torch
import tyro

from auteur.errors import UsageError
from auteur.lab.train.recipes import config_class
from auteur.lab.train.smoke.spots import shrunk
from auteur.synthesis.denoiser.builder import build_denoiser
from auteur.synthesis.denoiser.presets import preset


def parsed(name: str, *arguments: str) -> Any:
    """The settings as `auteur train NAME` reads them."""
    pytest.importorskip("accelerate", reason="an extra")
    kind: Any = Annotated[config_class(name), tyro.conf.arg(name="")]
    return tyro.cli(kind, args=[*arguments, "--out", "run"])


def shapes(model: torch.nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in model.state_dict().items()}


@pytest.mark.parametrize(
    ("recipe", "of_preset", "arguments"),
    [
        ("au-adapter", "auhead", ("--au.form", "sequence")),
        ("au-adapter", "auhead", ("--au.margin", "0")),
        ("au-adapter", "auhead", ("--au.every-layer", "False")),
        ("denoiser", "landmark", ("--without", "identity")),
        ("denoiser", "compact", ("--without", "audio", "expression")),
    ],
)
def test_the_denoiser_is_built_otherwise(recipe, of_preset, arguments):
    made = parsed(recipe, "--preset", of_preset, *arguments)
    usual, changed = preset(of_preset).config, made.ablation.applied(preset(of_preset).config)
    assert changed != usual
    built = [shapes(build_denoiser(shrunk(one), seed=0)) for one in (usual, changed)]
    assert built[0] != built[1]


def test_the_mesh_has_the_network_of_the_lines_and_another_input():
    changed = parsed("au-adapter", "--au.form", "mesh").ablation.applied(preset("auhead").config)
    assert changed.au.form == "mesh" and preset("auhead").config.au.form == "lines"


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("--au.dropout", "0.3"), {"au": 0.3}),
        (("--dropout.audio", "0", "--dropout.reference", "0.2"), {"audio": 0.0, "reference": 0.2}),
    ],
)
def test_dropout_and_process_are_settings(arguments, found):
    changed = parsed("au-adapter", *arguments, "--process", "flow", "--dropout.together", "0.1").ablation
    config = changed.applied(preset("auhead").config)
    assert {name: config.dropout_rates[name] for name in found} == found
    assert (config.process, config.drop_all) == ("flow", 0.1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--au.margin", "9"), "au.margin is 9; it must be between 0 and 8"),
        (("--au.dropout", "1.5"), "au.dropout is 1.5; it must be between 0 and 1"),
    ],
)
def test_settings_outside_their_range_are_named(arguments, message, capsys):
    with pytest.raises(SystemExit):
        parsed("au-adapter", *arguments)
    assert message in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_a_part_that_the_preset_lacks_is_named():
    made = parsed("denoiser", "--preset", "landmark", "--au.margin", "1")
    with pytest.raises(
        UsageError, match="no conditioner 'au' to change; it has reference, identity, landmarks"
    ):
        made.ablation.applied(preset("landmark").config)


@pytest.mark.parametrize("condition", ["label", "audio_emotion"])
def test_the_condition_of_the_motion_generator_changes_network_and_input(condition):
    from auteur.lab.data.motion_windows import MotionClip
    from auteur.lab.train.motion import conditioned
    from auteur.motion.generator import MotionGenerator

    usual, made = (
        parsed("motion", "--shards", "t", *more).config for more in ((), ("--config.condition", condition))
    )
    small = {"hidden": 8, "code": 8, "speech_features": 5}
    built = [shapes(MotionGenerator(replace(one, **small))) for one in (usual, made)]
    assert built[0]["au_code.0.weight"] == (64, 18) and built[1]["au_code.0.weight"] == (64, 8)
    assert ("emotion_of_speech.0.weight" in built[1]) == (condition == "audio_emotion")
    clip = MotionClip(
        name="a", person="a", part="train", displacement_mm=np.zeros((3, 478, 3)), aus=np.ones((3, 18)),
        controls=np.zeros((3, 51)), speech=None, loudness=None, emotion="happy",
    )  # fmt: skip
    found = conditioned([clip, replace(clip, emotion=None)], condition)
    assert [one.aus.sum() for one in found] == [3, 0] and found[0].aus.shape == (3, 8)
    with pytest.raises(UsageError, match="no training clip has one"):
        conditioned([replace(clip, emotion=None)], condition)


@pytest.mark.slow
@pytest.mark.parametrize("condition", ["label", "audio_emotion"])
def test_other_conditions_train_and_are_scored(condition, tmp_path):
    from auteur.lab.train.motion import train
    from auteur.lab.train.smoke.tracks import motion

    recipe = motion(tmp_path).recipe
    schedule = replace(recipe.schedule, steps=4, evaluate_every_steps=2)
    scores = train(replace(recipe, config=replace(recipe.config, condition=condition), schedule=schedule))
    assert np.isfinite(scores.both) and recipe.out.is_file()


def test_the_audio_language_models_learn_one_order():
    from auteur.expression.audio_lm.prompts import Order

    settings = ("--performances", "p", "--units", "u", "--ear", "e", "--order", "UNITS_THEN_EMOTION")
    assert parsed("audio-lm", *settings).order is Order.UNITS_THEN_EMOTION
    assert parsed("audio-lm", *settings[:-2]).order is None
    lora = parsed("audio-lm-lora", "--base", "b", "--shards", "s", "--order", "UNITS")
    assert lora.order is Order.UNITS
