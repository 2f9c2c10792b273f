"""From prepared shards to latents, and from these to an adapter: a published base's training data."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from auteur.errors import FormatError, InputError, UsageError
from auteur.lab.data.denoiser_clips import ClipFolder
from auteur.lab.data.splits import is_held_out
from auteur.lab.prepare.latent_clips import STATE, LatentClipsRecipe, write_latent_clips
from auteur.lab.data.shards import ShardReader

pytest.importorskip("diffusers", reason="an extra")
pytest.importorskip("transformers", reason="an extra")
pytest.importorskip("accelerate", reason="an extra")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> Path:
    from auteur.lab.train.smoke.published import write_base

    torch.set_num_threads(1)
    return write_base(tmp_path_factory.mktemp("published") / "hallo")


def recipe_of(prepared, base: Path, out: Path) -> LatentClipsRecipe:
    return LatentClipsRecipe(prepared=prepared.out, published=base, out=out, span_frames=20, device="cpu")


@pytest.fixture(scope="module")
def written(prepared, base: Path, tmp_path_factory) -> Path:
    """Clips of the look-alike corpus."""
    out = tmp_path_factory.mktemp("latents") / "clips"
    done = write_latent_clips(recipe_of(prepared, base, out))
    assert done.written == len(list(out.glob("*.safetensors"))) > 0
    assert done.kept == 0
    return out


def test_a_clip_holds_what_the_base_reads_and_nobody_who_is_held_out(prepared, written: Path) -> None:
    samples = {sample.key: sample for sample in ShardReader(prepared.out, part="train")}
    for path in written.glob("*.safetensors"):
        key, _, first = path.stem.rpartition("_")
        frames = min(20, samples[key].record["frames"] - int(first))
        tensors = load_file(path)
        assert {name: tuple(value.shape) for name, value in tensors.items()} == {
            "clean": (frames, 4, 8, 8),
            "reference": (4, 8, 8),
            "audio": (frames, 5, 32),
            "au": (frames, 3, 64, 64),
            "regions": (frames, 3, 8, 8),
        }
        assert all(bool(value.float().isfinite().all()) for value in tensors.values())
        assert tensors["au"].max() > 0
        assert int(tensors["regions"][:, 1:].amax((0, 2, 3)).min()) > 50
        assert tensors["clean"].std() > 0
        with safe_open(path, framework="pt") as file:
            person = file.metadata()["person"]
        assert person == samples[key].record["person"]
        assert not is_held_out(person)


def test_latents_are_those_of_the_square_that_generation_cuts(prepared, base: Path, written: Path) -> None:
    from auteur.painting.published_inputs import square_of
    from auteur.synthesis.pretrained.latents import LatentSpace

    path = sorted(written.glob("*.safetensors"))[0]
    key, _, first = path.stem.rpartition("_")
    sample = next(one for one in ShardReader(prepared.out, part="train") if one.key == key)
    frame = torch.from_numpy(sample.frames()[int(first) + 3]).permute(2, 0, 1)
    square = square_of(frame, sample.array("landmarks").mean(0), 64, "bilinear")
    wanted = LatentSpace(base / "vae").encode(square.scaled[None, None])[0, 0]
    torch.testing.assert_close(load_file(path)["clean"][3], wanted, atol=1e-5, rtol=1e-5)


def test_a_stopped_run_goes_on_and_other_settings_are_refused(prepared, base: Path, written: Path) -> None:
    paths = sorted(written.glob("*.safetensors"))
    before = {path: path.read_bytes() for path in paths}
    paths[0].unlink()
    done = write_latent_clips(recipe_of(prepared, base, written))
    assert (done.written, done.kept) == (1, len(paths) - 1)
    assert {path: path.read_bytes() for path in paths} == before
    with pytest.raises(InputError, match="begun with another span_frames"):
        write_latent_clips(replace(recipe_of(prepared, base, written), span_frames=24))
    (state := written / STATE).write_text("[]")
    with pytest.raises(InputError, match="is damaged"):
        write_latent_clips(recipe_of(prepared, base, written))
    state.unlink()


def test_an_adapter_trains_on_them(base: Path, written: Path, tmp_path: Path) -> None:
    from auteur.lab.train.denoiser_recipe import DenoiserRecipe
    from auteur.lab.train.published_adapter import train_adapter
    from auteur.synthesis.conditioners.au import AUConfig

    assert len(ClipFolder(written)) > 0
    recipe = DenoiserRecipe(
        out=tmp_path, preset="auhead", published=base, clips=written, steps=(1,), batch_size=(1,),
        learning_rate=1e-3, warm_up_steps=1, log_every_steps=1,
    )  # fmt: skip
    assert train_adapter(recipe, AUConfig(width=16, grid=2, head=16)).is_file()


def test_what_cannot_be_used_is_named(prepared, base: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="span_frames is 3"):
        LatentClipsRecipe(prepared=prepared.out, published=base, out=tmp_path, span_frames=3)
    with pytest.raises(FormatError, match="let auteur prepare finish"):
        write_latent_clips(replace(recipe_of(prepared, base, tmp_path / "x"), prepared=tmp_path))
    other = tmp_path / "aniportrait"
    other.mkdir()
    (other / "published.json").write_text(json.dumps({"model": "aniportrait"}))
    with pytest.raises(UsageError, match="choose a folder of hallo or memo"):
        write_latent_clips(recipe_of(prepared, other, tmp_path / "x"))
    assert not (tmp_path / "x").exists()
