"""Features of finished shards: their form, where they stop and resume, and what they refuse."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from prepare_tools import SMALL, LazyEngine, SerialEngine

from auteur.cli import main
from auteur.engines import make_engine
from auteur.errors import InputError, UsageError
from auteur.face.pose import without_pose
from auteur.lab.data.denoiser_augment import augmented
from auteur.lab.data.denoiser_clips import ClipFolder
from auteur.lab.data.face_views import ViewSettings, clips_of, mirrored, piece_of
from auteur.lab.data.features import FEATURES
from auteur.lab.data.motion_tracks import read_tracks
from auteur.lab.data.random_windows import mixed_chances
from auteur.lab.data.shards import Corpora, ShardReader
from auteur.lab.prepare.features import add_features
from auteur.lab.prepare.work_folder import WorkFolder

pytestmark = pytest.mark.slow
HERE = Path(__file__).parent


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def shards(prepared, tmp_path_factory) -> Path:
    """The finished preparation with the features that need no published network."""
    out = Path(shutil.copytree(prepared.out, tmp_path_factory.mktemp("features") / "mead"))
    names = ["motion", "speech", "views", "drawings", "au_drawings"]
    for one in add_features(out, names, SMALL, SerialEngine()):
        assert one.made == len(ShardReader(out))
        assert not one.left_out
    return out


@pytest.fixture
def copied(shards, tmp_path) -> Path:
    return Path(shutil.copytree(shards, tmp_path / "mead"))


def stored(folder: Path) -> dict[str, bytes]:
    """Every file of the features."""
    place = folder / "features"
    return {str(p.relative_to(place)): p.read_bytes() for p in sorted(place.rglob("*")) if p.is_file()}


def check_form(sample, name: str) -> None:
    """Every array has a type and a number of axes that the table states; per frame, a row for each."""
    frames = sample.record["frames"]
    for member, form in FEATURES[name].members.items():
        if not sample.has(f"{name}.{member}"):
            continue
        values = sample.array(f"{name}.{member}")
        dtype, axes = form.split(" ", 1)
        assert str(values.dtype) == dtype, member
        assert values.ndim == axes.partition("]")[0].count(",") + 1, member
        assert axes[1] != "T" or len(values) == frames, member
        assert np.isfinite(values.astype(float)).all(), member


def test_features_have_the_form_of_their_table(shards):
    names = ["motion", "speech", "drawings", "au_drawings"]
    for sample in ShardReader(shards, features=names):
        for name in names:
            check_form(sample, name)
        assert sample.array("drawings.landmarks").max() > 0
        assert sample.array("speech.copies").shape == (1, *sample.array("speech.values").shape)
        face = sample.array("motion.displacement").astype(float) + sample.array("motion.neutral")
        wanted = without_pose(sample.array("landmarks").astype(float))
        assert np.abs(face - wanted)[:, :468].max() < 0.1


def test_tracks_are_of_the_part_and_shifted_to_the_picture(shards):
    tracks = list(read_tracks(Corpora(shards=(shards,)), sound=True))
    assert {track.part for track in tracks} <= {"train", "validation"}
    assert {track.person for track in tracks} == {"mead:M005"}
    assert all(track.samples.shape == (640 * len(track.pose),) for track in tracks)
    held_out = list(read_tracks(Corpora(shards=(shards,)), part="held_out"))
    assert {(track.person, track.part) for track in held_out} == {("mead:M003", "test")}


def test_two_workers_give_the_same_files(shards, prepared, tmp_path):
    out = Path(shutil.copytree(prepared.out, tmp_path / "mead"))
    add_features(out, ["motion", "speech"], SMALL, make_engine("local", 2))
    mine = {name: data for name, data in stored(shards).items() if name.startswith(("motion/", "speech/"))}
    assert stored(out) == mine


@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed (extra scale)")
def test_ray_gives_the_same_files(shards, prepared, tmp_path):
    out = Path(shutil.copytree(prepared.out, tmp_path / "mead"))
    done = subprocess.run(
        command(out, "--engine", "ray"), env=os.environ | {"RAY_USAGE_STATS_ENABLED": "0"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert stored(out) == {n: data for n, data in stored(shards).items() if n.startswith("motion/")}


def command(out: Path, *more: str) -> list[str]:
    words = ["prepare", "-o", str(out), "--features", "motion", "--workers", "1", *more]
    return [sys.executable, "-m", "auteur.cli", *words]


def test_killed_it_resumes_with_the_same_files(shards, prepared, tmp_path):
    out = Path(shutil.copytree(prepared.out, tmp_path / "mead"))
    work = out / "features" / "motion" / ".work"
    with subprocess.Popen(command(out), stderr=subprocess.DEVNULL) as running:
        while running.poll() is None and not list((work / "items").glob("[!.]*.tar")):
            time.sleep(0.01)
        running.send_signal(signal.SIGKILL)
    time.sleep(1)  # workers see that their parent is gone
    made = len(list((work / "items").glob("[!.]*.tar")))
    done = add_features(out, ["motion"], SMALL, SerialEngine())[0]
    assert done.kept >= made > 0
    assert stored(out) == {n: data for n, data in stored(shards).items() if n.startswith("motion/")}


def test_a_finished_feature_is_checked_and_a_damaged_shard_of_it_made_anew(shards, copied):
    assert add_features(copied, ["motion"], SMALL, LazyEngine())[0].made == 0
    path = copied / "features" / "motion" / "train-000000.tar"
    path.write_bytes(path.read_bytes()[:-700] + bytes(700))
    content = bytearray(path.read_bytes())
    content[600] ^= 255
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"features/motion/train-000000\.tar.*wrong hash"):
        list(ShardReader(copied, features=["motion"]))
    assert add_features(copied, ["motion"], SMALL, SerialEngine())[0].made > 0
    assert stored(copied) == stored(shards)


def test_what_is_missing_is_named_with_the_command_that_adds_it(prepared, shards, tmp_path, capsys):
    with pytest.raises(
        InputError, match=r"lacks the feature 'motion'.*auteur prepare -o .* --features motion"
    ):
        ShardReader(prepared.out, features=["motion"])
    assert main(["train", "motion", "--shards", str(prepared.out), "--out", str(tmp_path / "run")]) == 3
    assert f"auteur prepare -o {prepared.out} --features motion" in capsys.readouterr().err
    with pytest.raises(UsageError, match="'latents' needs vae: auteur prepare --vae FOLDER -o"):
        add_features(shards, ["latents"], SMALL, LazyEngine())
    with pytest.raises(UsageError, match=r"needs measured, dataset: auteur prepare DATASET --measured"):
        add_features(shards, ["flame"], SMALL, LazyEngine())
    with pytest.raises(UsageError, match="no feature 'laten'; choose from motion"):
        ShardReader(shards, features=["laten"])


def test_other_settings_and_other_shards_are_refused(copied):
    before = stored(copied)
    with pytest.raises(UsageError, match=r"copies was 1 and is 2.*--overwrite"):
        add_features(copied, ["speech"], replace(SMALL, copies=2), LazyEngine())
    assert stored(copied) == before
    index = copied / "index.json"
    other = json.loads(index.read_text())
    other["shards"][0]["sha256"] = "0" * 64
    index.write_text(json.dumps(other))
    with pytest.raises(InputError, match=r"'motion' in .* was made of other shards"):
        ShardReader(copied, features=["motion"])


def test_two_runs_at_once_are_refused(copied):
    with WorkFolder(copied).locked(), pytest.raises(InputError, match="another run is at work"):
        add_features(copied, ["motion"], SMALL, LazyEngine())


def test_a_full_disk_is_named_and_what_was_done_is_kept(shards, prepared, tmp_path):
    out = Path(shutil.copytree(prepared.out, tmp_path / "mead"))
    largest = max(path.stat().st_size for path in (shards / "features" / "motion").glob("*.tar"))
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest // 2, hard))
    try:
        with pytest.raises(InputError, match="cannot write"):
            add_features(out, ["motion"], SMALL, SerialEngine())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, hard))
    with pytest.raises(InputError, match="lacks the feature"):
        ShardReader(out, features=["motion"])
    assert add_features(out, ["motion"], SMALL, SerialEngine())[0].kept > 0
    assert stored(out) == {n: data for n, data in stored(shards).items() if n.startswith("motion/")}


def test_corpora_in_different_spaces_are_refused(shards, copied, tmp_path):
    other = Path(shutil.copytree(copied, tmp_path / "other"))
    path = other / "features" / "speech" / "index.json"
    index = json.loads(path.read_text())
    index["settings"]["speech_encoder"] = "another"
    path.write_text(json.dumps(index))
    with pytest.raises(UsageError, match=r"different spaces \(speech_encoder differ\)"):
        list(read_tracks(Corpora(shards=(shards, other))))
    assert list(read_tracks(Corpora(shards=(shards, other)), speech=None))


def test_a_held_out_person_in_the_training_part_is_refused(copied):
    held_out, train = copied / "held_out-000000.tar", copied / "train-000000.tar"
    index = json.loads((copied / "index.json").read_text())
    of = {shard["file"]: shard for shard in index["shards"]}
    shutil.copy(held_out, train)
    for name in ("sha256", "bytes"):
        of[train.name][name] = of[held_out.name][name]
    (copied / "index.json").write_text(json.dumps(index))
    with pytest.raises(Exception, match=r"of 'mead:M003', who is held out"):
        list(ShardReader(copied, part="train"))


@pytest.mark.parametrize("mix", ["mead", "mead=1,hdtf=1", "mead=0", "mead=x"])
def test_a_mix_names_the_corpora_that_there_are(shards, mix):
    with pytest.raises(UsageError, match=r"mix is .*mead=1"):
        Corpora(shards=(shards,), mix=mix).readers([])


def test_a_mix_sets_how_often_each_corpus_is_drawn():
    corpora = ["mead"] * 6 + ["hdtf"] * 2 + ["made"]
    chances = mixed_chances(np.array([1.0] * 6 + [2, 4] + [3]), corpora, {"mead": 0.5, "hdtf": 0.5})
    names = np.array(corpora)
    assert chances[names == "mead"].sum() == pytest.approx(0.4)
    assert chances[names == "hdtf"].tolist() == pytest.approx([0.4 / 3, 0.8 / 3])
    assert chances.sum() == pytest.approx(1)


# What a published network makes of a sample


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    pytest.importorskip("diffusers", reason="an extra")
    transformers = pytest.importorskip("transformers", reason="an extra")
    from auteur.lab.train.smoke.published import write_base

    base = write_base(tmp_path_factory.mktemp("published") / "hallo")
    clip = transformers.CLIPVisionConfig(
        hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, image_size=32,
        patch_size=16, projection_dim=6,
    )  # fmt: skip
    transformers.CLIPVisionModelWithProjection(clip).save_pretrained(base / "image_encoder")
    return base


@pytest.fixture(scope="module")
def full(shards, published, tmp_path_factory) -> Path:
    """The shards with the features of published networks, tiny ones."""
    out = Path(shutil.copytree(shards, tmp_path_factory.mktemp("full") / "mead"))
    inputs = replace(
        SMALL, vae=published / "vae", clip=published, published=published,
        wav2vec=published / "speech_encoder", hubert=published / "speech_encoder",
    )  # fmt: skip
    add_features(out, ["latents", "identity", "wav2vec", "hubert", "published"], inputs, SerialEngine())
    return out


def test_features_of_published_networks_have_the_form_of_their_table(full, published):
    from auteur.painting.published_inputs import square_of
    from auteur.synthesis.pretrained.latents import LatentSpace

    names = ["latents", "identity", "wav2vec", "hubert", "published"]
    sample = next(iter(ShardReader(full, features=names)))
    for name in names:
        check_form(sample, name)
    assert sample.array("published.regions")[:, 1:].max((0, 2, 3)).min() > 50
    frame = torch.from_numpy(sample.frames()[3]).permute(2, 0, 1)
    square = square_of(frame, sample.array("landmarks").mean(0), 64, "bilinear")
    wanted = LatentSpace(published / "vae").encode(square.scaled[None, None])[0, 0]
    np.testing.assert_allclose(sample.array("latents.clean")[3], wanted, atol=2e-3)


def test_a_window_of_several_features_is_what_they_hold(full):
    names = ("reference", "identity", "landmarks", "audio", "past")
    features = ("latents", "identity", "drawings", "wav2vec")
    clips = ClipFolder(Corpora(shards=(full,)), names=names, features=features)
    batch = clips.batch(3, 4, torch.Generator().manual_seed(0))
    assert batch.clean.shape == (3, 4, 4, 8, 8)
    assert set(batch.conditions.tensors) == {*names, "landmarks_reference"}
    assert batch.conditions.audio.shape == (3, 4, 5, 16)
    assert batch.conditions.landmarks.max() <= 1
    windows = batch.conditions.audio
    torch.testing.assert_close(windows[:, 1:, 1], windows[:, :-1, 2])  # neighbours overlap
    with pytest.raises(InputError, match="no clip has 500 frames; the longest has"):
        clips.batch(1, 500, torch.Generator())


def test_an_adapter_trains_on_the_feature_of_its_base(full, published, tmp_path):
    pytest.importorskip("accelerate", reason="an extra")
    from auteur.lab.train.denoiser_recipe import DenoiserRecipe
    from auteur.lab.train.published_adapter import train_adapter
    from auteur.synthesis.conditioners.au import AUConfig

    recipe = DenoiserRecipe(
        out=tmp_path, preset="auhead", published=published, data=Corpora(shards=(full,)), steps=(1,),
        batch_size=(1,), learning_rate=1e-3, warm_up_steps=1, log_every_steps=1,
    )  # fmt: skip
    assert train_adapter(recipe, AUConfig(width=16, grid=2, head=16)).is_file()


def test_aniportrait_takes_no_adapter(shards, tmp_path):
    (tmp_path / "published.json").write_text(json.dumps({"model": "aniportrait"}))
    with pytest.raises(UsageError, match="choose a folder of hallo or memo"):
        add_features(shards, ["published"], replace(SMALL, published=tmp_path), LazyEngine())


# The compact denoiser's views


def test_a_mirror_twice_is_the_face(shards):
    given = piece_of(next(iter(ShardReader(shards))))
    again = mirrored(turned := mirrored(given))
    assert not np.allclose(turned.landmarks, given.landmarks, atol=1)
    assert np.array_equal(again.pictures, given.pictures)
    assert np.allclose(again.landmarks, given.landmarks, atol=1e-3) and np.allclose(again.units, given.units)
    side = given.pictures.shape[2] - 1
    assert np.allclose(side - given.landmarks[:, 61, 0], turned.landmarks[:, 291, 0], atol=1e-3)


def test_views_are_clips_whose_warp_lies_on_the_face(shards):
    given = piece_of(next(iter(ShardReader(shards))))
    settings = ViewSettings(size_px=32, views=("mouth", "eyes"), least_painted=0.0)
    made = dict(clips_of(given, settings, np.random.default_rng(0)))
    clip = made[f"{given.name}_0000_mouth"]
    difference = (clip["clean"].int() - clip["warped"][:, :3].int()).abs().float()
    assert difference.mean() < 10  # the same face at the same place
    assert clip["region"].min() > 0 and made[f"{given.name}_0000_eyes"]["region"].max() == 255
    assert not dict(clips_of(given, replace(settings, least_painted=0.9), np.random.default_rng(0)))
    batch = ClipFolder(Corpora(shards=(shards,))).batch(4, 3, torch.Generator().manual_seed(0))
    assert batch.clean.shape == (4, 3, 3, 32, 32) and -1 <= batch.clean.min() < 0 < batch.clean.max() <= 1
    assert batch.conditions.warped[:, :, 3].min() >= 0 and batch.conditions.warped[:, :, :3].min() < -0.2
    batch.conditions.warped[:, :, :3] = batch.clean
    lit = augmented(batch, torch.Generator().manual_seed(1))
    assert torch.equal(lit.conditions.landmarks, batch.conditions.landmarks)
    assert torch.allclose(lit.conditions.warped[:, :, :3], lit.clean, atol=1e-6)  # light changes both alike
