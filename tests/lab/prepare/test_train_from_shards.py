"""From a corpus on disk to a video of trained models, by the commands: prepare, train, generate.

A look-alike corpus is prepared, every recipe that reads shards trains on it, and a folder of what the recipes
wrote renders a video. The shards of people who test cannot be read: a recipe that opened one would fail.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from prepare_tools import OPTIONS, SerialEngine

from auteur import provenance
from auteur.cli import main
from auteur.errors import InputError
from auteur.expression.audio_lm.codec import VOICE_EMOTIONS
from auteur.lab.data.archive import json_line, read_tar, write_tar
from auteur.lab.data.motion_tracks import read_tracks
from auteur.lab.data.shards import Corpora, ShardReader, samples_of
from auteur.lab.data.splits import part_of
from auteur.lab.train.recipes import RECIPES
from auteur.lab.train.smoke import expression, performances, speech
from auteur.lab.train.smoke.talking import talk
from auteur.media import read_speech, write_audio, write_image
from auteur.motion.idle_motion import IdleMotion
from auteur.provenance import Mark
from auteur.provenance.mark import hash_file
from auteur.weights import load_file, path_of

pytest.importorskip("accelerate", reason="needs pip install 'auteur-face[train]'")
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
LONG_SEC = 6.2
BLINKING = 1
"""A seed with three blinks in that time."""
HUBERT_WIDTH = 16
PRIVATE = {"detector", "landmarker"}
"""Recipes that read no shards (docs/training.md states the reason)."""

SCHEDULE = (
    "--schedule.learning-rate 4e-3 --schedule.average-decay 0.8 --schedule.evaluate-every-steps 6 "
    "--schedule.log-every-steps 1"
)
STEPS = "--average-decay 0.8 --log-every-steps 1 --save-every-steps 99"
MIX = "--mix mead=1,hdtf=1,ravdess=1"


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


@pytest.fixture(scope="module", autouse=True)
def in_this_process() -> Iterator[None]:
    """`auteur prepare` without worker processes, which take seconds to start."""
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("auteur.engines.make_engine", lambda *_, **__: SerialEngine())
        patch.setattr("auteur.lab.data.watermark_frames.PIECES", 1)
        yield


def add(folder: Path, features: str, *more: str) -> Path:
    sizes = ("--copies", "1", "--feature-px", "64", "--view-px", "32", "--device", "cpu")
    assert main(["prepare", "-o", str(folder), "--features", features, *sizes, *more]) == 0
    return folder


@pytest.fixture(scope="module")
def hubert(tmp_path_factory) -> Path:
    """A HuBERT as small as it comes, with random weights."""
    transformers = pytest.importorskip("transformers", reason="needs pip install 'auteur-face[full]'")
    torch.manual_seed(0)
    config = transformers.HubertConfig(
        hidden_size=HUBERT_WIDTH, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        conv_dim=(8,) * 7, num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=2,
    )  # fmt: skip
    place = tmp_path_factory.mktemp("published") / "hubert"
    transformers.HubertModel(config).save_pretrained(place)
    return place


@pytest.fixture(scope="module")
def corpora(prepared, hubert, tmp_path_factory) -> Corpora:
    """Two corpora of one person each who trains, and one of a person who chooses checkpoints."""
    place = tmp_path_factory.mktemp("corpora")
    people = [
        ("mead", "mead:W011"),
        ("hdtf", a_person("hdtf", "train")),
        ("more", a_person("ravdess", "validation")),
    ]
    assert part_of("mead:W011") == "train"
    features = ("motion,speech,views,hubert,watermark", "--hubert", str(hubert))
    folders = tuple(add(renamed(prepared.out, place / name, person), *features) for name, person in people)
    return Corpora(shards=folders)


@pytest.fixture(scope="module")
def talks(astronaut, tmp_path_factory) -> Corpora:
    """Longer shards with a head, lids and eyes that move: a training person, and one who chooses."""
    from auteur.talking_head.talking_head import Settings, TalkingHead

    place = tmp_path_factory.mktemp("talks")
    write_image(place / "me.png", np.ascontiguousarray(astronaut[:192, 128:320]), mark=Mark())
    sound = read_speech(ROOT / "examples" / "speech.flac").slice(0, LONG_SEC)
    write_audio(place / "talk.wav", sound, mark=Mark())
    (place / "corpus").mkdir()
    head = TalkingHead.from_pretrained("warp")
    video = head(place / "me.png", place / "talk.wav", settings=Settings(seed=BLINKING))
    video.save(place / "corpus" / "talk.mp4")
    table = place / "corpus" / "recordings.csv"
    table.write_text("video,person,held_out\ntalk.mp4,one,no\n")
    size = ("--size", "64", "--least-seconds", str(OPTIONS.least_seconds))
    words = ["prepare", str(place / "corpus"), "--kind", "folder", "-o", str(place / "shards"), *size]
    assert main(words) == 0
    people = {"trains": a_person("folder", "train"), "chooses": a_person("folder", "validation")}
    made = tuple(
        add(renamed(place / "shards", place / name, who), "motion,speech") for name, who in people.items()
    )
    return Corpora(shards=made)


@pytest.fixture(scope="module")
def voices(tmp_path_factory) -> Path:
    """Recordings without pictures: two speakers of every fold in two moods, and one who tests."""
    place, random = tmp_path_factory.mktemp("voices"), np.random.default_rng(0)
    rows = ["audio,person,emotion,intensity"]
    for speaker in (*performances.speakers(), "ravdess_17"):
        for emotion, pitch_hz in (("calm", 110), ("angry", 260)):
            name = f"{speaker}_{emotion}.wav"
            said = talk(random, 1.2, pitch_hz=pitch_hz + 2 * len(rows))
            write_audio(place / name, said.waveform, mark=Mark())
            rows.append(f"{name},{speaker},{emotion},0.6")
    (place / "recordings.csv").write_text("\n".join(rows) + "\n")
    out = place.with_name("voice_shards")
    words = ["prepare", str(place), "--kind", "speech", "-o", str(out), "--features", "voice"]
    assert main([*words, "--least-seconds", "0.5"]) == 0
    return out


def options(words: str, **given: object) -> list[str]:
    return words.format(**given).split()


def of(corpora: Corpora) -> list[str]:
    return ["--shards", *map(str, corpora.shards)]


@dataclass(eq=False)
class Laboratory:
    """Trains recipes by their commands, each once, and keeps what they wrote."""

    place: Path
    corpora: Corpora
    talks: Corpora
    hubert: Path
    voices: Path
    done: dict[str, Path] = field(default_factory=dict)

    def train(self, name: str) -> Path:
        """Returns the folder of the run of a recipe."""
        if name not in self.done:
            out = self.place / name
            words = COMMANDS[name](self)
            assert main(["train", name, *words, "--out", str(out)]) == 0
            self.done[name] = out
        return self.done[name]

    def made(self, name: str, make: Callable[[Path], object]) -> Path:
        """Returns a folder that holds private data of a recipe, made once."""
        folder = self.place / "data" / name
        if not folder.exists():
            folder.mkdir(parents=True)
            make(folder)
        return folder

    def with_photographs(self) -> list[str]:
        folder = self.made("photographs", expression.write_photographs)
        return [*of(self.corpora), str(folder / "photographs")]

    def units(self) -> list[str]:
        return ["--units", str(self.made("voice", performances.audio_lm) / "units.npz")]


@pytest.fixture(scope="module")
def laboratory(corpora, talks, hubert, voices, tmp_path_factory) -> Laboratory:
    return Laboratory(tmp_path_factory.mktemp("laboratory"), corpora, talks, hubert, voices)


FLOW = "--config.flow.code 8 --config.flow.hidden 16 --config.flow.dilations 1 2 --config.flow.dropout 0"


def motion(lab: Laboratory) -> list[str]:
    sizes = (
        "--speech hubert --config.speech-space hubert --config.speech-features {width} "
        "--config.coefficients 8 --config.code 8 --config.hidden 16 --config.latent 4 "
        "--config.encoder-layers 2 --config.decoder-layers 2 --config.flow-hidden 8 --config.flow-layers 1 "
        "--config.flow-couplings 1 --config.dropout 0 --batch-size 8 --schedule.steps 12"
    )
    return of(lab.corpora) + options(f"{MIX} {sizes} {SCHEDULE}", width=HUBERT_WIDTH)


def face_flow(lab: Laboratory) -> list[str]:
    words = f"{MIX} --batch-size 8 --config.flow.channels 8 {FLOW} --schedule.steps 24 {SCHEDULE}"
    return of(lab.corpora) + options(words)


def head_flow(lab: Laboratory) -> list[str]:
    words = f"--batch-size 8 --window-frames 32 {FLOW} --schedule.steps 60 {SCHEDULE}"
    return of(lab.talks) + options(words)


def lip_encoder(lab: Laboratory) -> list[str]:
    return of(lab.corpora) + options(f"{MIX} --crops 3 --schedule.steps 6 {SCHEDULE}")


def speech_lips(lab: Laboratory) -> list[str]:
    words = f"{MIX} --pairs 1 --crops 3 --schedule.steps 6 {SCHEDULE} --phones.shards {{phones}}"
    words += " --start {start}"
    phones = lab.made("phones", speech.write_phones) / "talkers"
    return of(lab.corpora) + options(words, phones=phones, start=path_of("speech_encoder"))


def expression_space(lab: Laboratory) -> list[str]:
    model = lab.made("face_model", expression.write_face_model) / "face_model.npz"
    return [*lab.with_photographs(), "--face-model", str(model)]


def expression_generator(lab: Laboratory) -> list[str]:
    words = options(f"{MIX} --steps 12 --batch-size 6 {STEPS}")
    return [*lab.with_photographs(), *words]


def regressor(lab: Laboratory) -> list[str]:
    words = f"--batch-size 8 --config.width 32 --config.dilations 1 2 --schedule.steps 12 {SCHEDULE}"
    return of(lab.corpora) + lab.units() + options(words)


def audio_lm(lab: Laboratory) -> list[str]:
    words = (
        "--ear {ear} --batch-size 4 --config.width 32 --config.layers 1 --config.heads 2 --config.sound 16 "
        f"--config.ear.width 8 --config.ear.hidden 16 --schedule.steps 12 {SCHEDULE}"
    )
    return of(lab.corpora) + lab.units() + options(words, ear=lab.made("voice", performances.audio_lm))


def audio_lm_lora(lab: Laboratory) -> list[str]:
    pytest.importorskip("peft", reason="needs pip install 'auteur-face[full]'")
    from auteur.lab.train.smoke import language

    words = (
        "--base {base} --epochs 4 --batch-size 2 --learning-rate 2e-2 --log-every-steps 1 --lora.rank 4 "
        "--save-every-steps 99 --no-bfloat16 --no-checkpoint-gradients"
    )
    base = lab.made("qwen", lambda place: language.write_base(place / "base")) / "base"
    return of(lab.corpora) + options(words, base=base)


def denoiser(lab: Laboratory) -> list[str]:
    words = f"{MIX} --steps 8 1 --batch-size 2 1 --learning-rate 1e-3 --warm-up-steps 1 {STEPS}"
    return of(lab.corpora) + options(words)


def au_adapter(lab: Laboratory) -> list[str]:
    pytest.importorskip("diffusers", reason="needs pip install 'auteur-face[full]'")
    from auteur.lab.train.smoke.published import write_base

    base = lab.made("hallo", lambda place: write_base(place / "base")) / "base"
    folder = lab.corpora.shards[0]
    add(folder, "published", "--published", str(base))
    words = f"--published {{base}} --steps 4 --batch-size 1 --learning-rate 1e-2 --warm-up-steps 1 {STEPS}"
    return ["--shards", str(folder), *options(words, base=base)]


def distill(lab: Laboratory) -> list[str]:
    words = (
        "--teacher {teacher} --teacher-steps 4 --student-steps 2 --steps 8 --rows 2 --frames 1 "
        f"--learning-rate 1e-3 --warm-up-steps 1 {STEPS}"
    )
    return of(lab.corpora) + options(words, teacher=lab.train("denoiser") / "denoiser.safetensors")


def adversarial(lab: Laboratory) -> list[str]:
    words = (
        "--teacher {teacher} --steps 8 --rows 2 --start-after 6 --one-step 1 --discriminator-widths 8 16 "
        f"--learning-rate 2e-3 --warm-up-steps 1 --evaluate-every-steps 0 --precision no {STEPS}"
    )
    return of(lab.corpora) + options(words, teacher=lab.train("denoiser") / "denoiser.safetensors")


def speech_encoder(lab: Laboratory) -> list[str]:
    phones = lab.made("phones", speech.write_phones) / "talkers"
    return ["--shards", str(phones), *options(f"--pairs 2 --schedule.steps 12 {SCHEDULE}")]


def listener(lab: Laboratory) -> list[str]:
    words = f"--batch-size 8 --noises 5 --config.width 8 --config.hidden 16 --schedule.steps 12 {SCHEDULE}"
    return ["--shards", str(lab.voices), *options(words)]


def watermark(lab: Laboratory) -> list[str]:
    return of(lab.corpora) + options(f"--batch-size 4 --crop-units 64 --schedule.steps 16 {SCHEDULE}")


COMMANDS: dict[str, Callable[[Laboratory], list[str]]] = {
    "motion": motion,
    "face-flow": face_flow,
    "head-flow": head_flow,
    "lip-encoder": lip_encoder,
    "speech-lips": speech_lips,
    "speech-encoder": speech_encoder,
    "listener": listener,
    "watermark": watermark,
    "au-basis": lambda lab: of(lab.corpora),
    "skin-shading": lambda lab: of(lab.talks),
    "habits": lambda lab: [*of(lab.talks), "--blink-peak", "0.3", "--saccade-rad", "0.025"],
    "expression-space": expression_space,
    "expression-generator": expression_generator,
    "regressor": regressor,
    "audio-lm": audio_lm,
    "audio-lm-lora": audio_lm_lora,
    "denoiser": denoiser,
    "au-adapter": au_adapter,
    "denoiser-distill": distill,
    "denoiser-adversarial": adversarial,
}
FITS = ("au-basis", "skin-shading", "habits", "expression-space")
"""Recipes without steps."""


def test_every_recipe_that_reads_shards_is_here():
    assert {*COMMANDS} == {*RECIPES} - PRIVATE


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in FITS])
def test_what_was_prepared_trains(name: str, laboratory: Laboratory):
    out = laboratory.train(name)
    assert list(out.glob("*.safetensors"))
    log = min(out.glob("*.jsonl"))  # the listener has one per fold
    term = "reconstruction" if name == "expression-generator" else "loss"
    lines = map(json.loads, log.read_text().splitlines())
    losses = [line[term] for line in lines if term in line]
    quarter = max(1, len(losses) // 4)
    first, last = np.mean(losses[:quarter]), np.mean(losses[-quarter:])
    if name == "au-adapter":  # the noise level of a row decides its loss: the same rows before and after
        first, last = losses_of_adapter(laboratory)
    assert last < first, losses


def losses_of_adapter(lab: Laboratory) -> tuple[float, float]:
    from auteur.lab.train.denoiser_recipe import DenoiserRecipe
    from auteur.lab.train.smoke import published

    recipe = DenoiserRecipe(
        out=lab.place / "au-adapter",
        preset="auhead",
        published=lab.place / "data" / "hallo" / "base",
        data=Corpora(shards=lab.corpora.shards[:1]),
    )
    return published.losses(recipe)


@pytest.mark.parametrize("name", FITS)
def test_what_was_prepared_is_fitted(name: str, laboratory: Laboratory):
    from safetensors.numpy import load_file as arrays

    (file,) = laboratory.train(name).glob("*.safetensors")
    found = arrays(file)
    assert found and all(np.isfinite(values.astype(np.float64)).all() for values in found.values())


def test_habits_are_those_of_the_corpus(laboratory: Laboratory):
    found = load_file(IdleMotion(), laboratory.train("habits") / "habits.safetensors")
    mean, deviation, closing, _, opening = found.blink.tolist()
    assert mean + deviation**2 / 2 == pytest.approx(np.log(60 / 17), abs=0.01), "blinks a minute"
    assert 0 <= closing < 0.3 and 0 <= opening < 0.3, "seconds"


@pytest.fixture(scope="module")
def folder(laboratory: Laboratory, hubert: Path) -> Path:
    """A preset with every stage from the runs: what recipes wrote, copied to where it belongs."""
    place = laboratory.place / "all"
    shutil.copytree(hubert, place / "speech_encoder")
    adapter = laboratory.train("audio-lm-lora")
    shutil.copytree(adapter, place / "audio_lm", ignore=shutil.ignore_patterns("*.run", "*.jsonl"))
    for stage, names in {
        "motion": ("motion", "head-flow", "au-basis", "habits"),
        "expression_generator": ("expression-generator",),
        "denoiser": ("denoiser",),
    }.items():
        (place / stage).mkdir()
        for name in names:
            file = f"{name.replace('-', '_')}.safetensors"
            shutil.copy(laboratory.train(name) / file, place / stage / file)
    return place


@pytest.mark.parametrize(
    ("route", "stage"), [("auhead", "audio_lm"), ("emodiffhead", "expression_generator")]
)
def test_a_folder_of_all_stages_makes_a_video(route, stage, folder: Path, talks, astronaut, tmp_path):
    """Every model in the video's record is the one in the folder, by its hash."""
    write_image(tmp_path / "me.png", np.ascontiguousarray(astronaut[:192, 128:320]), mark=Mark())
    sound = read_speech(ROOT / "examples" / "speech.flac").slice(1, 1.32)
    write_audio(tmp_path / "talk.wav", sound, mark=Mark())
    video = tmp_path / "out.mp4"
    words = ["--preset", str(folder), "--route", route, "--emotion", "happy", "--seed", "1"]
    given = [str(tmp_path / name) for name in ("me.png", "talk.wav")]
    assert main(["generate", *given, "-o", str(video), *words]) == 0
    sidecar = provenance.verify(video).sidecar
    assert sidecar is not None
    models = sidecar.mark.models
    wanted = {
        "speech_encoder hubert": "speech_encoder/model",
        "motion_generator": "motion/motion",
        "head_flow": "motion/head_flow",
        "au_basis": "motion/au_basis",
        "habits": "motion/habits",
        "denoiser": "denoiser/denoiser",
    }
    hashes = {name: hash_file(folder / f"{file}.safetensors")[:12] for name, file in wanted.items()}
    hashes[stage] = hash_file(next((folder / stage).glob("*.safetensors")))[:12]
    assert {name: models.get(name) for name in hashes} == hashes
    assert "face_flow" not in models


def test_missing_people_are_named(corpora: Corpora, laboratory: Laboratory, tmp_path: Path, capsys):
    alone = replace(laboratory, place=tmp_path, corpora=Corpora(shards=(corpora.shards[2],)), done={})
    for name, message in {
        "lip-encoder": "no sample of a person who trains; prepare recordings of more people",
        "denoiser": "no clip of a person who trains",
    }.items():
        words = [word for word in COMMANDS[name](alone) if word != MIX.split()[1]]
        words.remove("--mix")
        assert main(["train", name, *words, "--out", str(tmp_path / name)]) == InputError.exit_code
        assert message in capsys.readouterr().err


def test_labels_of_the_corpus_reach_the_recipes(corpora: Corpora):
    for reader in corpora.readers(["motion"]):
        emotions = {sample.record["emotion"] for sample in reader}
        assert emotions <= {*VOICE_EMOTIONS, None}
        assert len(reader) == len(list(ShardReader(reader.folder, part="train")))


def test_the_talks_are_long_enough_and_blink(talks: Corpora):
    (first, _) = read_tracks(talks)
    assert len(first.pose) == round(25 * LONG_SEC)
    closed = first.blink > np.median(first.blink) + 0.3
    assert np.count_nonzero(closed[1:] & ~closed[:-1]) >= 2
