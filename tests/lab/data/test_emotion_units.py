"""Statistics of emotional faces from shards, and performances that are built of speech alone."""

from pathlib import Path

import numpy as np
import pytest
import torch

from auteur.errors import InputError, UsageError
from auteur.expression.acoustic_features import CHANNELS
from auteur.expression.audio_lm.codec import UNITS
from auteur.facs import EMOTIONS, prototype
from auteur.lab.data.emotion_units import EmotionUnits, measure, save_units
from auteur.lab.data.made_shards import MadeSample, write_shards
from auteur.lab.data.performances import PerformancesRecipe, built
from auteur.lab.data.shards import Corpora
from auteur.lab.train.smoke.talking import talk
from auteur.lab.train.smoke.tracks import write_tracks

SMILE = next(number for number, name in enumerate(UNITS) if "corner" in name and name.endswith("left"))
FRAMES = 40


def sample(
    key: str, emotion: str | None, level: float, *, frames: int = FRAMES, held_out: bool = False
) -> MadeSample:
    values = np.zeros((frames, len(UNITS)), np.float32)
    values[:, SMILE] = level
    return MadeSample(
        key=key, person=f"folder:{key}", frames=frames, emotion=emotion, held_out=held_out,
        arrays={"au.feafa24": values},
    )  # fmt: skip


def videos(folder: Path, *more: MadeSample) -> Path:
    own = [sample(f"v-{emotion}", emotion, 0.4) for emotion in EMOTIONS]
    return write_shards(folder / "videos", [*own, *more], settings={})


def test_a_mean_is_that_of_people_photographs_and_the_textbook(tmp_path):
    tested = sample("tested", "happy", 1.0, held_out=True)
    short = sample("short", "happy", 1.0, frames=5)
    folder = videos(tmp_path, tested, short)
    photos = [sample(f"p{n}", "happy", 0.8, frames=1) for n in range(15)]  # as much as one person
    pictures = write_shards(tmp_path / "photos", photos, kind="photos", settings={})
    found = measure(Corpora(shards=(folder, pictures)))
    textbook = list(prototype("happy", convention="feafa24", table="emfacs").values())[SMILE]
    row = EMOTIONS.index("happy")
    assert found.mean[row, SMILE] == pytest.approx((0.4 + 0.8 + textbook) / 3, abs=1e-3)
    assert found.people[row] == pytest.approx(2) and found.people[EMOTIONS.index("sad")] == pytest.approx(1)
    alone = measure(Corpora(shards=(folder,)))
    assert alone.mean[row, SMILE] == pytest.approx((0.4 + textbook) / 2, abs=1e-3)


def test_emotions_that_no_sample_shows_are_named(tmp_path):
    with pytest.raises(InputError, match="no labelled sample of 25 frames and more of a person who trains"):
        measure(Corpora(shards=(write_shards(tmp_path / "a", [sample("one", None, 0.1)], settings={}),)))
    few = write_shards(tmp_path / "b", [sample("one", "happy", 0.1)], settings={})
    with pytest.raises(InputError, match="no label shows 'neutral'"):
        measure(Corpora(shards=(few,)))
    one = sample("p", "happy", 0.1, frames=1)
    photos = write_shards(tmp_path / "p", [one], kind="photos", settings={})
    with pytest.raises(UsageError, match="no shards of videos were given"):
        measure(Corpora(shards=(photos,)))


@pytest.mark.slow
def test_speech_alone_gets_the_mouth_that_the_flow_draws(tmp_path):
    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    rows = random.normal(0, 0.1, (100, CHANNELS)).astype(np.float16)
    voice = MadeSample(
        key="said", person="speech:ravdess_01", frames=50, emotion="sad", intensity=0.6, held_out=False,
        features={"voice": {"rows": rows}}, sound=talk(random, 2.0).waveform,
    )  # fmt: skip
    folder = write_shards(tmp_path / "voices", [voice], kind="speech", settings={})
    units = EmotionUnits(
        mean=np.zeros((len(EMOTIONS), 24)), people=np.ones(8), deviation=np.zeros(24), memory=np.zeros(24),
        between=np.zeros(24),
    )  # fmt: skip
    save_units(tmp_path / "units.npz", units)
    recipe = PerformancesRecipe(
        speech=(folder,), units=tmp_path / "units.npz", data=write_tracks(tmp_path / "tracks"),
        out=tmp_path / "p.npz",
    )  # fmt: skip
    said, *others = built(recipe)
    assert (said.name, said.emotion, said.strength, said.is_measured) == ("said", "sad", 0.6, False)
    assert said.units.shape == (50, 24) and 0 <= said.units.min() <= said.units.max() <= 1
    assert said.units[:, UNITS.index("jaw_open")].std() > 0 and said.loudness.shape == (50,)
    assert len(others) == 60 and not any(one.is_speech for one in others)
