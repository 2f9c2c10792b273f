"""From a corpus on disk to trained models: what was prepared trains; people who test are never read."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from prepare_tools import SMALL, SerialEngine

from auteur.errors import InputError
from auteur.expression.audio_lm.codec import VOICE_EMOTIONS
from auteur.lab.data.archive import json_line, read_tar, write_tar
from auteur.lab.data.shards import Corpora, ShardReader, samples_of
from auteur.lab.data.splits import part_of
from auteur.lab.prepare.features import add_features
from auteur.lab.train import recipes
from auteur.lab.train.model_recipe import Schedule
from auteur.lab.train.smoke import expression, performances, tracks
from auteur.provenance.mark import hash_file

pytest.importorskip("accelerate", reason="needs pip install 'auteur-face[train]'")
pytestmark = pytest.mark.slow

SCHEDULE = Schedule(
    steps=12, learning_rate=4e-3, average_decay=0.8, evaluate_every_steps=6, log_every_steps=1
)
FEATURES = 172
"""Numbers of the shipped lip encoder with log-mel bands."""


def renamed(prepared: Path, out: Path, person: str) -> Path:
    """Copies shards as if another person of another corpus trained; the people who test stay, unreadable."""
    shutil.copytree(prepared, out, ignore=shutil.ignore_patterns("features"))
    index = json.loads((out / "index.json").read_text())
    index["options"]["kind"] = person.partition(":")[0]
    for shard in index["shards"]:
        path = out / shard["file"]
        if shard["file"].startswith("held_out"):
            path.write_bytes(b"nobody reads this")
            shard |= {"bytes": path.stat().st_size, "sha256": hash_file(path), "samples": []}
            continue
        members = []
        for sample in samples_of(read_tar(prepared / shard["file"])):
            changed = {**sample.members, "json": json_line({**sample.record, "person": person})}
            members += [(f"{sample.key}.{name}", data) for name, data in sorted(changed.items())]
        with path.open("wb") as file:
            write_tar(file, members)
        shard |= {"bytes": path.stat().st_size, "sha256": hash_file(path)}
        shard["samples"] = [{**row, "person": person} for row in shard["samples"]]
    (out / "index.json").write_text(json.dumps(index))
    return out


def a_person(kind: str, part: str) -> str:
    return next(name for n in range(99) if part_of(name := f"{kind}:Speaker{n}") == part)


@pytest.fixture(scope="module")
def corpora(prepared, tmp_path_factory) -> Corpora:
    """Two corpora of one person each who trains, and one of a person who chooses checkpoints."""
    torch.set_num_threads(1)
    place = tmp_path_factory.mktemp("corpora")
    people = [
        ("mead", "mead:W011"),
        ("hdtf", a_person("hdtf", "train")),
        ("more", a_person("ravdess", "validation")),
    ]
    folders = tuple(renamed(prepared.out, place / name, person) for name, person in people)
    assert part_of("mead:W011") == "train"
    for folder in folders:
        add_features(folder, ["motion", "speech", "views"], SMALL, SerialEngine())
    return Corpora(shards=folders, mix="mead=1,hdtf=1,ravdess=1")


def motion(corpora: Corpora, place: Path) -> Any:
    recipe = tracks.motion(place / "made").recipe
    return replace(
        recipe, data=corpora, config=replace(recipe.config, speech_features=FEATURES), schedule=SCHEDULE
    )


def face_flow(corpora: Corpora, place: Path) -> Any:
    return replace(tracks.face_flow(place / "made").recipe, data=corpora)


def lip_encoder(corpora: Corpora, place: Path) -> Any:
    recipe = tracks.lip_encoder(place / "made").recipe
    return replace(recipe, data=replace(corpora, mix=""), folds=0, schedule=replace(SCHEDULE, steps=6))


def expression_generator(corpora: Corpora, place: Path) -> Any:
    return replace(expression.generator(place / "made").recipe, data=corpora)


def regressor(corpora: Corpora, place: Path) -> Any:
    recipe = performances.regressor(place / "made").recipe
    return replace(recipe, data=replace(corpora, mix=""), performances=None, schedule=SCHEDULE)


def audio_lm(corpora: Corpora, place: Path) -> Any:
    recipe = performances.audio_lm(place / "made").recipe
    return replace(recipe, data=replace(corpora, mix=""), performances=None)


def audio_lm_lora(corpora: Corpora, place: Path) -> Any:
    pytest.importorskip("transformers", reason="an extra")
    pytest.importorskip("peft", reason="an extra")
    from auteur.lab.train.smoke import language

    return replace(language.audio_lm_lora(place / "made").recipe, data=replace(corpora, mix=""))


def denoiser(corpora: Corpora, place: Path) -> Any:
    from auteur.lab.train.denoiser_recipe import DenoiserRecipe

    return DenoiserRecipe(
        out=place / "run", data=corpora, steps=(8, 1), batch_size=(2, 1), learning_rate=1e-3, warm_up_steps=1,
        average_decay=0.8, log_every_steps=1, save_every_steps=8,
    )  # fmt: skip


RECIPES: dict[str, tuple[Callable[[Corpora, Path], Any], str]] = {
    "motion": (motion, "loss"),
    "face-flow": (face_flow, "loss"),
    "lip-encoder": (lip_encoder, "loss"),
    "expression-generator": (expression_generator, "reconstruction"),
    "regressor": (regressor, "loss"),
    "audio-lm": (audio_lm, "loss"),
    "audio-lm-lora": (audio_lm_lora, "loss"),
    "denoiser": (denoiser, "loss"),
}


@pytest.mark.parametrize("name", RECIPES)
def test_what_was_prepared_trains(name: str, corpora: Corpora, tmp_path: Path):
    """The shards of people who test cannot be read: a recipe that opened one would fail."""
    make, term = RECIPES[name]
    recipe = make(corpora, tmp_path)
    recipes._run(recipes.RECIPES[name], recipe)
    places = (recipe.out.with_suffix(".jsonl"), recipe.out / "adapter.jsonl", recipe.out / "denoiser.jsonl")
    log = next(path for path in places if path.is_file())
    losses = [line[term] for line in map(json.loads, log.read_text().splitlines()) if term in line]
    quarter = max(1, len(losses) // 4)
    assert np.mean(losses[-quarter:]) < np.mean(losses[:quarter]), losses
    assert recipe.out.is_file() or list(recipe.out.glob("*.safetensors"))


def test_a_basis_is_fitted(corpora: Corpora, tmp_path: Path):
    from auteur.motion.au_basis import AUBasis
    from auteur.weights import load_file

    recipe = replace(
        tracks.au_basis(tmp_path / "made").recipe, data=corpora, out=tmp_path / "basis.safetensors"
    )
    recipes._run(recipes.RECIPES["au-basis"], recipe)
    assert bool(load_file(AUBasis(), recipe.out).basis.isfinite().all())


def test_missing_people_are_named(corpora: Corpora, tmp_path: Path):
    alone = Corpora(shards=(corpora.shards[2],))  # nobody who trains
    with pytest.raises(
        InputError, match="no sample of a person who trains; prepare recordings of more people"
    ):
        recipes._run(recipes.RECIPES["lip-encoder"], lip_encoder(alone, tmp_path))
    with pytest.raises(InputError, match="no clip of a person who trains"):
        recipes._run(recipes.RECIPES["denoiser"], denoiser(alone, tmp_path))


def test_labels_of_the_corpus_reach_the_recipes(corpora: Corpora):
    for reader in corpora.readers(["motion"]):
        emotions = {sample.record["emotion"] for sample in reader}
        assert emotions <= {*VOICE_EMOTIONS, None}
        assert len(reader) == len(list(ShardReader(reader.folder, part="train")))
