"""The denoiser's recipe: it overfits a clip with every preset, resumes where it was killed, stops at NaN."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from auteur.errors import FormatError, InputError, UsageError, WeightsError
from auteur.lab.data.splits import is_held_out, part_of

pytest.importorskip("accelerate", reason="needs pip install 'auteur-face[train]'")

from auteur.lab.data.denoiser_clips import ClipBatch, ClipFolder, features_for, write_clips
from auteur.lab.data.made_shards import MadeSample, write_shards
from auteur.lab.data.shards import Corpora
from auteur.lab.train.checkpoints import DivergedError, checkpoints
from auteur.lab.train.clip_batches import ClipBatches
from auteur.lab.train.denoiser import image_validation, train, train_phases
from auteur.lab.train.denoiser_distill import DistillRecipe, distill
from auteur.lab.train.denoiser_loss import learner_loss, training_loss
from auteur.lab.train.denoiser_recipe import DenoiserRecipe
from auteur.lab.train.phases import Learner, Phase, WarmUpCosine
from auteur.lab.train.run_folder import RunFolder
from auteur.lab.train.smoke.spots import SIDE, MovingSpots, shrunk
from auteur.lab.train.trainer import Trainer, TrainerSettings
from auteur.lab.train.validation_images import ValidationImages
from auteur.synthesis.denoiser.builder import build_denoiser
from auteur.synthesis.denoiser.parts import part_names, parts, train_only
from auteur.synthesis.denoiser.presets import DENOISER_PRESETS, preset
from auteur.synthesis.denoiser.storage import load_denoiser, load_parts
from auteur.synthesis.guidance import Guidance, guided_prediction
from auteur.synthesis.losses import LOSSES, LossSettings
from auteur.synthesis.noise import step_generator
from auteur.synthesis.samplers import process_named, sample

pytestmark = pytest.mark.slow

TRAINING_PERSON = next(name for name in map(str, range(99)) if part_of(name) == "train")
HELD_OUT_PERSON = next(name for name in map(str, range(99)) if is_held_out(name))


def undisturbed(config):
    """The same without dropout, and with data that hardly varies: there is one clip only."""
    calm = {name: replace(getattr(config, name), dropout=0.0) for name in config.condition_names}
    anchor = None if config.anchor_deviation is None else 0.1
    return config.changed(drop_all=0.0, data_deviation=0.1, anchor_deviation=anchor, **calm)


def repeated(batch, rows):
    """One clip as several rows, each with noise of its own."""
    index = torch.zeros(rows, dtype=torch.long)
    return ClipBatch(batch.clean[index], batch.conditions.index(index))


def one_phase(denoiser, clips, folder, learning, *, rows, frames, steps, learning_rate=1e-5) -> list[dict]:
    """Trains parts of a denoiser and returns what was logged of every step."""
    train_only(denoiser.train(), learning)
    learner = Learner(
        model=denoiser,
        loss=learner_loss(denoiser, training_loss),
        learning_rate=learning_rate,
        rate_factor=WarmUpCosine(5),
        weight_decay=0.01,
        clip_norm=1.0,
    )
    batches = ClipBatches(batch_of=clips, rows=rows, frames=frames)
    trainer = Trainer(
        folder / "denoiser.safetensors", DenoiserRecipe(out=folder), TrainerSettings(log_every_steps=1)
    )
    trainer.fit([lambda: Phase(learners=(learner,), batches=batches, steps=steps)])
    return metrics(folder)


@pytest.mark.parametrize("name", sorted(DENOISER_PRESETS))
def test_one_batch_can_be_learned_by_heart(name, tmp_path):
    config = undisturbed(shrunk(DENOISER_PRESETS[name].config))
    denoiser = build_denoiser(config, seed=0)
    clip = MovingSpots(config).batch(1, 2, torch.Generator().manual_seed(1))
    lines = one_phase(
        denoiser, lambda rows, *_: repeated(clip, rows), tmp_path, part_names(denoiser),
        rows=2, frames=2, steps=30, learning_rate=8e-3,
    )  # fmt: skip
    losses = [line["loss"] for line in lines]
    first, last = sum(losses[:10]) / 10, sum(losses[-10:]) / 10
    assert last < first / 10

    noise = torch.randn(clip.clean.shape, generator=torch.Generator().manual_seed(3))
    predict = guided_prediction(denoiser.eval(), clip.conditions, Guidance())
    with torch.no_grad():
        made = sample(process_named(config.process), predict, noise, 8)
    error = (made - clip.clean).square().mean().sqrt()
    assert error < 0.3 * clip.clean.std()


def test_a_student_comes_nearer_to_what_its_guided_teacher_does_in_more_steps(tmp_path):
    """A first stretch of the way, for a random network and with guidance; `test_samplers` goes all of it."""
    config = undisturbed(shrunk(DENOISER_PRESETS["compact"].config))
    config = config.changed(
        data_deviation=1.0,
        anchor_deviation=None,
        answers="balanced",
        noise_shift=1.0,
        noise_common=0.0,
    )
    teacher = build_denoiser(config, seed=0)
    generator = torch.Generator().manual_seed(0)
    for parameter in teacher.parameters():  # weights that no conditioner is silent with
        parameter.data.add_(0.03 * torch.randn(parameter.shape, generator=generator))
    clip = MovingSpots(config).batch(1, 1, generator)
    guidance = Guidance(au=2.0)
    recipe = DistillRecipe(
        teacher=tmp_path, data=Corpora(), out=tmp_path, teacher_steps=2, student_steps=1, guidance=guidance,
        steps=40, rows=6, frames=1, learning_rate=3e-3, warm_up_steps=1, average_decay=0.5,
    )  # fmt: skip
    student = distill(teacher, recipe, lambda rows, *_: repeated(clip, rows))
    assert [path.name for path in tmp_path.glob("*.safetensors")] == ["denoiser-1.safetensors"]

    noise = torch.randn(4, *clip.clean.shape[1:], generator=generator)
    conditions = repeated(clip, 4).conditions
    process = process_named(config.process)
    with torch.no_grad():
        wanted = sample(process, guided_prediction(teacher, conditions, guidance), noise, 2)
        before = sample(process, guided_prediction(teacher, conditions, Guidance()), noise, 1)
        after = sample(process, guided_prediction(student, conditions, Guidance()), noise, 1)
    assert (after - wanted).square().mean() < 0.85 * (before - wanted).square().mean()


# --- whole runs ---


def tiny_recipe(folder, **given) -> DenoiserRecipe:
    settings = {
        "preset": "compact", "steps": (3, 3), "batch_size": (2, 1), "log_every_steps": 1,
        "save_every_steps": 2, "learning_rate": 1e-2, "warm_up_steps": 1, "average_decay": 0.5,
    }  # fmt: skip
    return DenoiserRecipe(out=folder, **{**settings, **given})


def train_tiny(recipe: DenoiserRecipe, validation=None):
    config = shrunk(preset(recipe.preset).config)
    denoiser = build_denoiser(config, seed=recipe.seed)
    return train_phases(denoiser, MovingSpots(config).batch, recipe, validation)


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return train_tiny(tiny_recipe(folder))


def metrics(folder) -> list[dict]:
    return [json.loads(line) for line in (folder / "denoiser.jsonl").read_text().splitlines()]


def test_a_run_ends_with_a_denoiser_and_logs_every_step(whole_run):
    denoiser = load_denoiser(whole_run)
    assert all(torch.isfinite(one).all() for one in denoiser.state_dict().values())
    lines = metrics(whole_run.parent)
    assert [(line["phase"], line["step"]) for line in lines] == [(n // 3, n + 1) for n in range(6)]
    assert {"loss", "gradient_norm", "learning_rate", "minutes"} <= lines[0].keys()
    assert not list(whole_run.parent.glob(".*"))


def test_both_phases_learn(whole_run):
    config = shrunk(DENOISER_PRESETS["compact"].config)
    before, after = build_denoiser(config, seed=0), load_denoiser(whole_run)
    moved = {
        name
        for name in part_names(before)
        for a, b in zip(parts(before, [name]).parameters(), parts(after, [name]).parameters(), strict=True)
        if not torch.equal(a.half().float(), b)
    }
    assert {"base", "temporal", "past"} <= moved


def test_a_broken_run_resumes_and_ends_with_the_same_numbers(whole_run, tmp_path, monkeypatch):
    log = RunFolder.log
    breaks = [2, 6]  # before the first checkpoint; after one, in the second phase

    def breaking(self, step, **values):
        if breaks and step == breaks[0]:
            breaks.pop(0)
            raise KeyboardInterrupt
        log(self, step, **values)

    monkeypatch.setattr(RunFolder, "log", breaking)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            train_tiny(tiny_recipe(tmp_path))
    result = train_tiny(tiny_recipe(tmp_path))
    ours, theirs = load_file(result), load_file(whole_run)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    for again, once in zip(metrics(tmp_path), metrics(whole_run.parent), strict=True):
        assert {**again, "minutes": 0} == {**once, "minutes": 0}
    assert len(checkpoints(tmp_path / "denoiser.run")) == 2


def test_validation_keeps_the_best_weights_and_a_sheet(tmp_path):
    recipe = tiny_recipe(tmp_path, steps=(4, 2))
    clips = MovingSpots(shrunk(preset("compact").config)).batch
    validation = image_validation(ValidationImages(clips, frames=2), 2, tmp_path)
    train_tiny(recipe, validation)
    lines = [line for line in metrics(tmp_path) if "validation" in line]
    assert [line["step"] for line in lines] == [2, 4, 6]
    assert all(line["score"] == -line["validation"]["painted_db"] for line in lines)
    best = load_denoiser(tmp_path / "best.safetensors")
    expected = min(line["score"] for line in lines)
    assert ValidationImages(clips, frames=2)(best.eval()).score == pytest.approx(expected, abs=0.1)
    sheets = sorted(path.name for path in (tmp_path / "denoiser.run").glob("*.png"))
    assert sheets == [f"validation-{step:08d}.png" for step in (2, 4, 6)]


def test_an_adapter_run_leaves_the_base_alone_and_saves_only_the_adapter(tmp_path):
    result = train_tiny(tiny_recipe(tmp_path, preset="auhead", steps=(2,), batch_size=(1,)))
    config = shrunk(DENOISER_PRESETS["auhead"].config)
    denoiser = build_denoiser(config, seed=0)
    before = {key: value.clone() for key, value in denoiser.state_dict().items()}
    assert load_parts(denoiser, result) == ("au",)
    changed = {key for key, value in denoiser.state_dict().items() if not torch.equal(value, before[key])}
    assert changed
    assert all(key.startswith("conditioners.au.") for key in changed)


def test_a_checkpoint_of_another_run_is_refused(whole_run, tmp_path):
    with pytest.raises(InputError, match="other settings"):
        train_tiny(tiny_recipe(whole_run.parent, seed=1))


def test_a_damaged_checkpoint_is_refused(tmp_path):
    train_tiny(tiny_recipe(tmp_path, preset="auhead", steps=(1,), batch_size=(1,)))
    (checkpoints(tmp_path / "denoiser.run")[-1] / "model.safetensors").write_bytes(b"short")
    with pytest.raises(WeightsError, match="damaged"):
        train_tiny(tiny_recipe(tmp_path, preset="auhead", steps=(1,), batch_size=(1,)))


def test_a_checkpoint_of_an_earlier_version_is_refused_with_what_to_do(tmp_path):
    (tmp_path / "checkpoint-0-00000010").mkdir()
    with pytest.raises(InputError, match=r"checkpoint-0-00000010.*another version.*choose another --out"):
        train_tiny(tiny_recipe(tmp_path))


def test_nan_stops_before_it_reaches_the_weights(tmp_path):
    config = undisturbed(shrunk(DENOISER_PRESETS["compact"].config))
    denoiser = build_denoiser(config, seed=0)
    batch = MovingSpots(config).batch(1, 1, torch.Generator().manual_seed(1))
    broken = ClipBatch(batch.clean * float("nan"), batch.conditions)
    before = {name: value.clone() for name, value in denoiser.named_parameters()}
    with pytest.raises(
        DivergedError, match=r"loss is nan at step 1.*not finite: clean in rows 0.*lower the learning"
    ):
        one_phase(denoiser, lambda *_: broken, tmp_path, ("base",), rows=1, frames=1, steps=1)
    assert all(torch.equal(value, before[name]) for name, value in denoiser.named_parameters())


def test_conditions_are_dropped_at_their_rates():
    config = shrunk(DENOISER_PRESETS["auhead"].config)
    seen = []

    def network(sample, timestep, conditions):
        seen.append({name: conditions.presence(name) for name in conditions.names})
        return sample

    batch = MovingSpots(config).batch(400, 1, torch.Generator().manual_seed(0))
    training_loss(network, config, batch, step_generator(0, "test"))
    kept = {name: float(flags.float().mean()) for name, flags in seen[0].items()}
    assert kept["au"] == pytest.approx(0.95 * 0.9, abs=0.05)
    assert kept["audio"] == pytest.approx(0.95 * 0.95, abs=0.05)


# --- clips on disk ---


@pytest.fixture
def folder(tmp_path):
    generator, clips = torch.Generator().manual_seed(0), []
    for index, person in enumerate((TRAINING_PERSON, TRAINING_PERSON, HELD_OUT_PERSON)):
        frames = 6 + index
        clean = index + torch.arange(frames)[:, None, None, None] / 100 * torch.ones(1, 3, SIDE, SIDE)
        tensors = {"clean": clean, "au": clean[:, 0, 0, :6], "reference": clean[0]}
        if index == 0:
            tensors["region"] = torch.rand(frames, 1, SIDE, SIDE, generator=generator)
            del tensors["au"]
        clips.append((str(index), person, tensors))
    return Corpora(shards=(write_clips(tmp_path / "shards", clips),))


def test_windows_of_clips_keep_frames_conditions_and_past_together(folder):
    clips = ClipFolder(folder, names=("reference", "au", "past"))
    assert len(clips) == 2
    batch = clips.batch(60, 3, torch.Generator().manual_seed(0))
    assert batch.clean.shape == (60, 3, 3, SIDE, SIDE)
    conditions = batch.conditions
    has_au, has_past = conditions.presence("au"), conditions.presence("past")
    assert isinstance(conditions.au, torch.Tensor)
    assert isinstance(conditions.past, torch.Tensor)
    assert has_au is not None
    assert has_past is not None
    assert batch.region is not None
    which = batch.clean[:, 0, 0, 0, 0].floor()
    assert set(which.tolist()) == {0.0, 1.0}
    assert torch.equal(has_au, which == 1)
    assert torch.equal(conditions.au[has_au], batch.clean[has_au][:, :, 0, 0, :6])
    step = batch.clean[has_past][:, 0] - conditions.past[has_past][:, -1]
    assert torch.allclose(step, torch.full_like(step, 0.01), atol=1e-5)
    starts = ((batch.clean[:, 0, 0, 0, 0] - which) * 100).round()
    assert torch.equal(has_past, starts >= 2)
    assert torch.equal(batch.region[which == 1], torch.ones_like(batch.region[which == 1]))
    again = clips.batch(60, 3, torch.Generator().manual_seed(0))
    assert torch.equal(again.clean, batch.clean)


def test_held_out_people_are_kept_apart(folder):
    held = ClipFolder(folder, part="test").batch(8, 2, torch.Generator().manual_seed(0))
    assert (held.clean >= 2).all()
    with pytest.raises(InputError, match="no clip of a person who chooses checkpoints"):
        ClipFolder(folder, part="validation")


def test_generated_videos_train_with_any_person_and_choose_and_test_nothing(folder, tmp_path):
    clean = 9 * torch.ones(8, 3, SIDE, SIDE)
    made = write_clips(tmp_path / "made", [("9", HELD_OUT_PERSON, {"clean": clean})])
    corpora = replace(folder, generated=(made,))
    drawn = ClipFolder(corpora).batch(60, 2, torch.Generator().manual_seed(0)).clean[:, 0, 0, 0, 0]
    assert set(drawn.floor().tolist()) == {0.0, 1.0, 9.0}
    tested = ClipFolder(corpora, part="test").batch(60, 2, torch.Generator().manual_seed(0))
    assert set(tested.clean[:, 0, 0, 0, 0].floor().tolist()) == {2.0}


def test_conditions_of_latents_come_from_the_features_of_the_preset(tmp_path):
    frames, clean = 9, np.arange(9, dtype=np.float16)
    features = {
        "latents": {
            "clean": np.tile(clean[:, None, None, None], (1, 4, 2, 2)),
            "reference": np.zeros((4, 2, 2)),
        },
        "flame": {"expression": np.tile(clean[:, None], (1, 50)).astype(np.float32)},
        "wav2vec": {"values": np.tile(clean[:, None], (1, 3))},
    }
    sample = MadeSample(key="a", person=TRAINING_PERSON, frames=frames, features=features)
    corpora = Corpora(shards=(write_shards(tmp_path / "shards", [sample], settings={}),))
    names = ("reference", "audio", "expression")
    assert features_for(4, names) == ("latents", "wav2vec", "flame")
    clips = ClipFolder(corpora, names=names, features=features_for(4, names))
    batch = clips.batch(30, 3, torch.Generator().manual_seed(0))
    shown = batch.clean[:, :, 0, 0, 0]
    assert torch.equal(batch.conditions.expression[..., 7], shown)
    wanted = (shown[..., None] + torch.arange(-2, 3)).clamp(0, frames - 1)  # the ends are held
    assert torch.equal(batch.conditions.audio[..., 0], wanted)
    with pytest.raises(InputError, match=r"lacks the feature 'identity'.*--clip FOLDER"):
        ClipFolder(corpora, names=("identity",), features=features_for(4, ("identity",)))


def test_bad_clips_are_refused(folder, tmp_path):
    with pytest.raises(InputError, match="no clip has 50 frames; the longest has 7"):
        ClipFolder(folder).batch(1, 50, torch.Generator())
    with pytest.raises(InputError, match="one length"):
        write_clips(tmp_path / "x", [("x", "a", {"clean": torch.zeros(3, 1, 2, 2), "au": torch.zeros(2, 6)})])
    with pytest.raises(InputError, match=r"not \['smell'\]"):
        write_clips(tmp_path / "x", [("x", "a", {"clean": torch.zeros(1), "smell": torch.zeros(1)})])
    (tmp_path / "shards" / "features" / "views" / "train-000000.tar").write_bytes(b"{}" * 300)
    with pytest.raises(FormatError, match="no whole archive"):
        ClipFolder(folder)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"learning_rate": 0}, "learning_rate is 0"),
        ({"average_decay": 1.0}, "average_decay is 1.0"),
        ({"steps": (0,)}, "steps"),
        ({"accumulate": 0}, "accumulate is 0"),
    ],
)
def test_recipes_outside_their_range_are_refused(tmp_path, wrong, message):
    with pytest.raises(UsageError, match=message):
        DenoiserRecipe(out=tmp_path, **wrong)


def test_a_recipe_names_what_is_missing(tmp_path):
    with pytest.raises(UsageError, match="--shards"):
        train(DenoiserRecipe(out=tmp_path))
    with pytest.raises(UsageError, match="no preset 'huge'"):
        train(DenoiserRecipe(out=tmp_path, preset="huge"))
    with pytest.raises(UsageError, match="adapts a trained base"):
        train(DenoiserRecipe(out=tmp_path, preset="auhead", data=Corpora(shards=(tmp_path,))))


def test_losses_are_those_of_the_base_models():
    assert LOSSES["ddim"] == LossSettings(snr_gamma=5.0, noise_offset=0.05)
    assert LOSSES["flow"].noise_offset == 0
