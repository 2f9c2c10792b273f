"""Every ablation of the papers is a setting of `auteur train`, and the model that is built differs."""

from dataclasses import replace
from typing import Annotated, Any

import numpy as np
import pytest
import torch
import tyro

from auteur.errors import InputError, UsageError
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
        (("--emotion-free-share", "0"), "emotion_free_share is 0"),
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
        parsed("motion", "--tracks", "t", *more).config for more in ((), ("--config.condition", condition))
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
    for number, path in enumerate(sorted(recipe.tracks.glob("*.npz"))):
        arrays = dict(np.load(path)) | {"emotion": np.array(("happy", "sad")[number % 2])}
        np.savez(path, allow_pickle=False, **arrays)
    schedule = replace(recipe.schedule, steps=4, evaluate_every_steps=2)
    scores = train(replace(recipe, config=replace(recipe.config, condition=condition), schedule=schedule))
    assert np.isfinite(scores.both) and recipe.out.is_file()


def test_the_audio_language_models_learn_one_order():
    from auteur.expression.audio_lm.prompts import Order

    settings = ("--performances", "p", "--units", "u", "--ear", "e", "--order", "UNITS_THEN_EMOTION")
    assert parsed("audio-lm", *settings).order is Order.UNITS_THEN_EMOTION
    assert parsed("audio-lm", *settings[:-2]).order is None
    lora = parsed("audio-lm-lora", "--base", "b", "--manifest", "m", "--order", "UNITS")
    assert lora.order is Order.UNITS


def test_unlabelled_footage_is_left_out_of_the_expression_generator():
    from auteur.lab.train.expression_generator import chosen_clips

    made = parsed("expression-generator", "--data.clips", "c", "--no-unlabelled")
    assert not made.unlabelled
    clips = [type("Clip", (), {"emotion": emotion})() for emotion in ("happy", None)]
    assert [one.emotion for one in chosen_clips(clips, unlabelled=False)] == ["happy"]
    with pytest.raises(InputError, match="none of 1 training clips has an emotion label"):
        chosen_clips(clips[1:], unlabelled=False)


def test_emotion_free_clips_are_a_share_of_every_batch(tmp_path):
    from auteur.lab.data.denoiser_clips import write_clip
    from auteur.lab.data.splits import is_held_out
    from auteur.lab.train.denoiser import clips_of

    person = next(name for name in map(str, range(99)) if not is_held_out(name))
    for folder, value in (("mead", 1.0), ("hdtf", -1.0)):
        (tmp_path / folder).mkdir()
        write_clip(
            tmp_path / folder / "a.safetensors",
            {"clean": torch.full((4, 3, 8, 8), value), "au": torch.zeros(4, 24)},
            person=person,
        )
    for share, wanted in ((0.5, 2), (0.25, 1)):
        made = parsed(
            "denoiser", "--emotion-free", str(tmp_path / "hdtf"), "--emotion-free-share", str(share)
        )
        drawn = clips_of(made, tmp_path / "mead", ("au",), 0).batch(4, 2, torch.Generator().manual_seed(0))
        assert int((drawn.clean[:, 0, 0, 0, 0] < 0).sum()) == wanted
