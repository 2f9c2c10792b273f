"""The recipe au-adapter on converted folders of tiny networks."""

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from skimage import data
from tiny_published import write_checkpoint

from auteur import provenance
from auteur.cli import main
from auteur.errors import InputError, UsageError, WeightsError
from auteur.facs import CONTROLS, au_track
from auteur.lab.data.denoiser_clips import ClipFolder, write_clips
from auteur.lab.data.shards import Corpora
from auteur.lab.data.splits import part_of
from auteur.lab.train.ablations import AUChanges
from auteur.lab.train.clip_batches import DrawnClips
from auteur.lab.train.denoiser import train
from auteur.lab.train.denoiser_recipe import DenoiserRecipe
from auteur.lab.train.published_adapter import AdaptedBase, adapter_loss, train_adapter
from auteur.lab.train.run_folder import RunFolder
from auteur.media import write_audio, write_image
from auteur.painting.published_inputs import adapter_input
from auteur.painting.published_renderer import load
from auteur.signals import Waveform
from auteur.synthesis.conditioners.au import AUConfig
from auteur.synthesis.published.adapter import ADAPTER_FILE, load_adapter
from auteur.synthesis.published.checkpoints import LAYOUTS
from auteur.synthesis.published.convert import convert_checkpoint
from auteur.synthesis.published.folder import open_published
from auteur.synthesis.published.memory import Memory
from auteur.synthesis.published.region_masks import masks_of_regions, region_masks
from auteur.talking_head.talking_head import Settings, TalkingHead

pytest.importorskip("accelerate", reason="an extra")
pytestmark = pytest.mark.slow

KINDS = ("hallo", "memo")
SIZES = AUConfig(width=16, grid=2, head=16)
SIDE_PX, FRAMES, STEPS = 64, 20, 12
PEOPLE = [name for name in map(str, range(99)) if part_of(name) == "train"][:2]


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("published")
    for kind in (*KINDS, "aniportrait"):
        write_checkpoint(kind, root / "downloaded" / kind)
        place = convert_checkpoint(root / "downloaded" / kind, root / kind)
        description = json.loads((place / "published.json").read_text())
        (place / "published.json").write_text(json.dumps(description | {"size_px": SIDE_PX}))
    return {kind: root / kind for kind in (*KINDS, "aniportrait")}


def clip(number: int) -> dict[str, torch.Tensor]:
    """Latents that are bright where a drawing is, with all that the bases read."""
    generator = torch.Generator().manual_seed(number)
    side = SIDE_PX // 8
    shown = torch.rand(FRAMES, 1, 1, 1, generator=generator)
    spot = torch.zeros(1, 1, side, side)
    spot[..., 2:6, 2:6] = 1
    portrait = 0.3 * torch.randn(4, side, side, generator=generator)
    regions = torch.zeros(FRAMES, 3, SIDE_PX, SIDE_PX)
    regions[:, 0] = 1
    regions[:, :, 16:48, 16:48] = torch.tensor([0.0, 1.0, 0.0])[:, None, None]
    return {
        "clean": portrait + 2 * shown * spot,
        "reference": portrait,
        "audio": torch.randn(FRAMES, 5, 32, generator=generator),
        "regions": regions,
        "au": (shown * torch.ones(FRAMES, 3, SIDE_PX, SIDE_PX)).mul(255).byte(),
        "expression": torch.eye(9)[torch.full((FRAMES,), 3)],
    }


def shards_in(folder: Path, **changes: torch.Tensor | None) -> Path:
    clips = [
        (f"clip{number}", person, {n: v for n, v in (clip(number) | changes).items() if v is not None})
        for number, person in enumerate(PEOPLE)
    ]
    return write_clips(folder, clips, feature="published")


def opened(clips: Path, past: int) -> ClipFolder:
    return ClipFolder(Corpora(shards=(clips,)), features=("published",), past=past)


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Path:
    return shards_in(tmp_path_factory.mktemp("clips") / "clips")


def recipe_of(out: Path, published: Path, clips: Path, **given) -> DenoiserRecipe:
    data = Corpora(shards=(clips,))
    settings = {
        "preset": "auhead", "steps": (4,), "batch_size": (2,), "learning_rate": 5e-3, "warm_up_steps": 1,
        "average_decay": 0.5, "log_every_steps": 1, "save_every_steps": 2,
    }  # fmt: skip
    return DenoiserRecipe(out=out, published=published, **{"data": data, **settings, **given})


def lines_of(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "au_adapter.jsonl").read_text().splitlines()]


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_adapter_predicts_what_the_base_predicts_and_gradients_reach_only_it(
    kind, folders, clips
) -> None:
    base = AdaptedBase(open_published(folders[kind], device=torch.device("cpu")))
    batch = opened(clips, 2 if kind == "hallo" else 16).batch(2, 4, torch.Generator().manual_seed(0))
    sample = torch.randn(1, 4, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    plain = base.predict(sample, 500.0, batch.conditions, 0)
    adapter = base.adapt(recipe_of(Path(), folders[kind], clips), SIZES)
    assert torch.equal(base.predict(sample, 500.0, batch.conditions, 0), plain)
    loss = adapter_loss(base, recipe_of(Path(), folders[kind], clips))
    loss(adapter, DrawnClips(batch, torch.Generator().manual_seed(0)), 0).backward()
    moving = {name for name, one in base.networks.named_parameters() if one.grad is not None}
    assert moving
    assert all(name.startswith("adapter.") for name in moving)
    for module in adapter.adapters.values():
        torch.nn.init.normal_(module.attention.to_out[0].weight)
    changed = base.predict(sample, 500.0, batch.conditions, 0)
    assert not torch.equal(changed, plain)
    without = base.predict(sample, 500.0, batch.conditions.without("au"), 0)
    assert not torch.equal(changed, without)


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_without_its_conditions_is_the_unconditional_one_of_guidance(kind, folders, clips) -> None:
    networks = open_published(folders[kind], device=torch.device("cpu"), dtype=torch.float64).networks
    base = AdaptedBase(replace(open_published(folders[kind], device=torch.device("cpu")), networks=networks))
    adapter = base.adapt(recipe_of(Path(), folders[kind], clips), SIZES).double()
    for module in adapter.adapters.values():
        torch.nn.init.normal_(module.attention.to_out[0].weight)
    networks.tiling = "by_row"
    batch = opened(clips, 2 if kind == "hallo" else 16).batch(1, 4, torch.Generator().manual_seed(0))
    sample = torch.randn(1, 4, 4, 8, 8, dtype=torch.float64)
    kept: list[dict] = []
    alone = type(networks).predict_row

    def keep(self, sample, time, **given):
        kept.append(given)
        return alone(self, sample, time, **given)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(networks), "predict_row", keep)
        rows = [
            base.predict(sample, 400.0, conditions, 0)
            for conditions in (batch.conditions.without("audio"), batch.conditions)
        ]
    given, reference = kept[1]["given"], kept[1]["reference"]
    with torch.no_grad():
        encoded = networks.encoded(given, (False, True))
        features = networks.portrait(reference, encoded[0])
        twice = sample.expand(2, -1, -1, -1, -1)
        both = networks.prediction(twice, 400.0, encoded, features, given, Memory())
    torch.testing.assert_close(torch.cat(rows), both, atol=1e-9, rtol=1e-9)


@pytest.fixture(scope="module", params=KINDS)
def run(request, folders, clips, tmp_path_factory) -> tuple[str, Path]:
    """A whole run: kind, and its folder."""
    torch.set_num_threads(1)
    before = files_of(folders[request.param])
    out = tmp_path_factory.mktemp(request.param)
    result = train_adapter(
        recipe_of(out, folders[request.param], clips, steps=(STEPS,), learning_rate=1e-2), SIZES
    )
    assert result == out / ADAPTER_FILE
    assert files_of(folders[request.param]) == before
    return request.param, out


def test_the_loss_of_the_same_clips_and_noise_falls(run, folders, clips) -> None:
    kind, out = run
    assert [line["step"] for line in lines_of(out)] == list(range(1, STEPS + 1))
    base = AdaptedBase(open_published(folders[kind], device=torch.device("cpu")))
    source = opened(clips, 2)

    def mean_loss(**given) -> float:
        recipe = recipe_of(out, folders[kind], clips, **given)
        adapter, loss = base.adapt(recipe, SIZES), adapter_loss(base, recipe)
        generator = torch.Generator().manual_seed(5)
        drawn = DrawnClips(source.batch(4, 4, generator), generator)
        with torch.no_grad():
            return float(loss(adapter, drawn, 0))

    assert mean_loss(start=(out / ADAPTER_FILE,)) < 0.95 * mean_loss()


@pytest.fixture(scope="module")
def performed(tmp_path_factory):
    """A function from Action Units to a performed video of 3 frames."""
    place, mark = tmp_path_factory.mktemp("inputs"), provenance.Mark(watermark=False)
    write_image(place / "me.png", np.ascontiguousarray(data.astronaut()[0:257, 96:353]), mark=mark)
    noise = np.random.default_rng(0).normal(0, 0.05, 3 * 640).astype(np.float32)
    write_audio(place / "talk.wav", Waveform(samples=noise, rate_hz=16000), mark=mark)
    head = TalkingHead.from_pretrained("warp")

    def performed(**au: float):
        made = head(place / "me.png", place / "talk.wav", settings=Settings(seed=1), au=au)
        return head._speech.phones, replace(made._render_input, options={"steps": 1})

    return performed


def test_the_renderer_of_the_folder_loads_the_adapter_and_paints_other_pixels(
    run, folders, performed
) -> None:
    kind, out = run
    speech, smiling = performed(AU12=1.0)

    def painted(given) -> np.ndarray:
        return np.stack(list(load(folders[kind], speech, "cpu").frames(given)))

    plain = painted(smiling)
    place = folders[kind] / ADAPTER_FILE
    place.write_bytes((out / ADAPTER_FILE).read_bytes())
    try:
        adapted = painted(smiling)
        assert not np.array_equal(adapted, plain)
        assert not np.array_equal(adapted, painted(performed(AU4=1.0)[1]))
    finally:
        place.unlink()


def test_a_broken_run_resumes_and_ends_with_the_same_numbers(folders, clips, tmp_path, monkeypatch) -> None:
    whole = train_adapter(recipe_of(tmp_path / "whole", folders["hallo"], clips), SIZES)
    log, breaks = RunFolder.log, [3]

    def breaking(self, step, **values):
        if breaks and step == breaks[0]:
            breaks.pop(0)
            raise KeyboardInterrupt
        log(self, step, **values)

    monkeypatch.setattr(RunFolder, "log", breaking)
    with pytest.raises(KeyboardInterrupt):
        train_adapter(recipe_of(tmp_path / "broken", folders["hallo"], clips), SIZES)
    broken = train_adapter(recipe_of(tmp_path / "broken", folders["hallo"], clips), SIZES)
    ours, theirs = load_file(broken), load_file(whole)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    for line in lines_of(tmp_path / "broken"):
        assert line["loss"] == lines_of(tmp_path / "whole")[line["step"] - 1]["loss"]


def test_a_run_goes_on_from_an_adapter(run, folders, clips, tmp_path) -> None:
    kind, out = run
    recipe = recipe_of(tmp_path, folders[kind], clips, start=(out / ADAPTER_FILE,), steps=(1,))
    result = load_file(train_adapter(replace(recipe, learning_rate=1e-12)))
    assert all(torch.allclose(result[name], one) for name, one in load_file(out / ADAPTER_FILE).items())


def test_bfloat16_trains(folders, clips, tmp_path) -> None:
    for kind in KINDS:
        recipe = recipe_of(tmp_path / kind, folders[kind], clips, precision="bf16", steps=(2,))
        trained = load_file(train_adapter(recipe, SIZES))
        assert {one.dtype for one in trained.values()} == {torch.float32}
        assert any("to_out" in name and bool(one.any()) for name, one in trained.items())


def test_the_command_trains(folders, clips, tmp_path, capsys) -> None:
    options = f"--published {folders['memo']} --shards {clips} --out {tmp_path} --steps 1 --batch-size 1"
    assert main(["train", "au-adapter", *options.split(), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["recipe"] == "au-adapter"
    assert (tmp_path / ADAPTER_FILE).is_file()
    options = options.replace(str(folders["memo"]), str(folders["aniportrait"]))
    assert main(["train", "au-adapter", *options.split()]) == 2
    assert "without an adapter" in capsys.readouterr().err


def test_a_folder_of_another_kind_is_refused(folders, clips, tmp_path) -> None:
    with pytest.raises(UsageError, match=r"holds aniportrait.*choose a folder of hallo or memo"):
        train(recipe_of(tmp_path, folders["aniportrait"], clips))
    for wrong in (clips, tmp_path / "absent"):
        with pytest.raises(WeightsError, match="was not written by auteur convert"):
            train(recipe_of(tmp_path, wrong, clips))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"preset": "landmark"}, "auteur train au-adapter"),
        ({"unet": Path("x")}, "unet: no effect"),
        ({"recompute": True}, "recompute: no effect"),
        ({"evaluate_every_steps": 5}, "evaluate_every_steps: no effect"),
        ({"augment": True}, "augment: no effect"),
        ({"start": (Path("a"), Path("b"))}, "start names 2 files"),
        ({"data": Corpora()}, "--shards"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(given, message, folders, clips, tmp_path) -> None:
    with pytest.raises(UsageError, match=message):
        train(replace(recipe_of(tmp_path, folders["hallo"], clips), **given))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reference": None}, "holds no reference"),
        ({"audio": None, "regions": None}, "holds no audio"),
        ({"au": None}, "holds no au"),
        ({"regions": None}, "holds no regions"),
        ({"audio": torch.zeros(FRAMES, 5, 31)}, r"audio of a clip has shape \[14, 5, 31\].*\[14, 5, 32\]"),
        ({"au": torch.zeros(FRAMES, 24)}, r"au of a clip.*needs \[14, 3, 64, 64\]"),
        ({"clean": torch.zeros(FRAMES, 4, 16, 16)}, r"clean of a clip.*needs \[14, 4, 8, 8\]"),
        ({"regions": torch.ones(FRAMES, 3, 8, 8)}, "regions hold no face"),
    ],
)
def test_clips_that_do_not_fit_are_refused(changes, message, folders, tmp_path) -> None:
    wrong = shards_in(tmp_path / "clips", **changes)
    with pytest.raises(InputError, match=message):
        train_adapter(recipe_of(tmp_path / "run", folders["hallo"], wrong), SIZES)


def test_masks_of_drawn_regions_are_those_of_the_landmarks() -> None:
    rng = np.random.default_rng(0)
    points = 256 + 90 * rng.uniform(-1, 1, (478, 2))
    wanted = region_masks(points, 512, 512)
    found = masks_of_regions(wanted.masks[0].unflatten(1, (64, 64)), 512, 512)
    assert torch.equal(found.masks[0], wanted.masks[0])
    for ours, theirs in zip(found.masks, wanted.masks, strict=True):
        assert (ours - theirs).abs().max() < 0.1
    edges = [torch.nonzero(one.face_box[0, 0])[[0, -1]] for one in (found, wanted)]
    assert (edges[0] - edges[1]).abs().max() <= 8


def test_the_one_dimensional_form_trains_on_numbers_and_is_given_numbers(folders, tmp_path) -> None:
    """AUHead's ablation (table 2): a sequence of intensities in place of a drawing."""
    numbers = torch.rand(FRAMES, 24, generator=torch.Generator().manual_seed(3))
    clips = shards_in(tmp_path / "clips", au=numbers)
    recipe = recipe_of(tmp_path / "run", folders["memo"], clips, au=AUChanges(form="sequence"), steps=(1,))
    written = train_adapter(recipe, SIZES)
    unet = open_published(folders["memo"], device=torch.device("cpu")).networks.get_submodule(
        LAYOUTS["memo"].unet
    )
    adapter = load_adapter(unet, written)
    assert adapter.config.form == "sequence" and adapter.encoder[0].in_features == 24
    with pytest.raises(InputError, match=r"needs \[14, 3, 64, 64\]"):
        train_adapter(recipe_of(tmp_path / "drawn", folders["memo"], clips, steps=(1,)), SIZES)
    values = np.zeros((5, len(CONTROLS)))
    values[:, CONTROLS.index("AU26")] = 0.5
    given = SimpleNamespace(action_units=au_track(values, convention="facs", rate=Fraction(25)))
    units = adapter_input(given, None, adapter.config, 0, 3)
    assert units.shape == (3 + 2 * adapter.config.margin, 24) and 0 < float(units.max()) <= 1
