import numpy as np
import pytest
import torch

from auteur.errors import InputError
from auteur.expression.acoustic_features import BANDS, CHANNELS
from auteur.expression.audio_lm.codec import UNITS, VOICE_EMOTIONS
from auteur.facs import EMOTIONS
from auteur.lab.data.emotion_units import (
    LIDS,
    SPOKEN,
    EmotionUnits,
    emotion_envelope,
    load_units,
    save_units,
    targets,
    without_blinks,
)
from auteur.lab.data.emotional_speech import (
    FOLDS,
    EmotionalClip,
    EmotionBatches,
    fold_of,
    noises,
    read_clips,
    rows_between,
    speaker_of,
)
from auteur.lab.data.made_shards import MadeSample, write_shards
from auteur.lab.data.performances import LabelledRecording, load_performances, save_performances
from auteur.lab.data.shards import Corpora
from auteur.lab.data.splits import is_held_out_speaker


def clip(speaker: str, emotion: str = "happy", rows: int = 120, seed: int = 0) -> EmotionalClip:
    values = np.random.default_rng(seed).normal(0, 0.5, (rows, CHANNELS)).astype(np.float32)
    return EmotionalClip(
        name=f"{speaker}_{seed}", speaker=speaker, emotion=emotion, intensity=0.6, rows=values
    )


def statistics() -> EmotionUnits:
    random = np.random.default_rng(0)
    mean = random.uniform(0, 0.6, (len(EMOTIONS), len(UNITS)))
    mean[EMOTIONS.index("neutral")] = 0.02
    return EmotionUnits(
        mean=mean,
        people=np.ones(len(EMOTIONS)),
        deviation=np.full(len(UNITS), 0.05),
        memory=np.full(len(UNITS), 0.9),
        between=np.full(len(UNITS), 0.05),
    )


def test_a_pair_of_actors_shares_a_fold_and_every_fold_has_both_corpora():
    assert all(fold_of(f"ravdess_{n:02d}") == fold_of(f"ravdess_{n + 1:02d}") for n in range(1, 17, 2))
    emodb = ("03", "08", "11", "12", "13", "14")
    assert {fold_of(f"emodb_{n}") for n in emodb} == {fold_of(f"ravdess_{n:02d}") for n in range(1, 17)}


def test_clips_come_from_shards_of_people_who_train(tmp_path):
    rows = clip("x").rows.astype(np.float16)
    speakers = {"ravdess_01": ("happy", 0.6), "emodb_03": ("bored", None), "ravdess_17": ("sad", 1.0)}
    samples = [
        MadeSample(
            key=speaker, person=f"speech:{speaker}", frames=60, emotion=emotion, intensity=intensity,
            held_out=is_held_out_speaker(speaker), features={"voice": {"rows": rows}},
        )
        for speaker, (emotion, intensity) in speakers.items()
    ]  # fmt: skip
    corpora = Corpora(shards=(write_shards(tmp_path, samples, kind="speech", settings={}),))
    one, other = read_clips(corpora, noise_count=0)
    assert (one.name, one.speaker, one.emotion, one.intensity) == ("ravdess_01", "ravdess_01", "happy", 0.6)
    assert (other.corpus, other.emotion, other.is_held_out) == ("emodb", "bored", False)
    np.testing.assert_array_equal(one.rows, rows)
    assert [each.name for each in read_clips(corpora, part="held_out", noise_count=0)] == ["ravdess_17"]
    assert len(read_clips(corpora, noise_count=2)) == 4


def test_speakers_are_named_by_corpus_and_number():
    assert speaker_of("speech:ravdess_01") == speaker_of("ravdess:01") == "ravdess_01"
    assert speaker_of("mead:M003") == "mead_M003" and speaker_of("speech:ann") == "speech_ann"
    assert 0 <= fold_of("mead_M003") < FOLDS


def test_noises_are_neutral_and_no_speech():
    made = noises(5)
    assert {one.emotion for one in made} == {"neutral"}
    assert all(one.rows.shape[1] == CHANNELS and np.isfinite(one.rows).all() for one in made)
    assert not any(one.is_held_out for one in made)


@pytest.mark.slow
def test_batches_are_finite_and_repeat_with_their_seed():
    clips = [clip(f"ravdess_{n:02d}", VOICE_EMOTIONS[n % 3], seed=n) for n in range(12)]
    one, other = (next(iter(EmotionBatches(clips, batch_size=6, seed=3))) for _ in range(2))
    assert one["rows"].shape == (6, 150, CHANNELS)
    assert torch.isfinite(one["rows"]).all()
    torch.testing.assert_close(one["targets"].sum(1), torch.ones(6))
    for key in one:
        torch.testing.assert_close(one[key], other[key])


def test_pitch_is_not_drawn_between_voice_and_silence():
    rows = np.zeros((2, CHANNELS), np.float32)
    rows[1, BANDS] = 1.0
    rows[1, 0] = 1.0
    between = rows_between(rows, np.array([0.5, 1.0]))
    assert between[0, BANDS] == 0
    assert between[0, 0] == pytest.approx(0.5)
    assert between[1, BANDS] == 1


def test_blinks_go_and_closed_eyes_stay():
    closing = np.zeros((100, 2))
    closing[10:16] = 1.0
    closing[40:80] = 0.7
    kept = without_blinks(closing)
    assert kept[10:16].max() == 0
    assert kept[45:75].min() == pytest.approx(0.7)


def test_targets_add_emotion_to_speech():
    units = statistics()
    spoken = np.zeros((75, len(UNITS)))
    spoken[:, UNITS.index("jaw_open")] = 0.3
    loud = np.ones(75)
    random = np.random.default_rng(0)
    neutral = targets(units, "neutral", spoken, loud, strength=1, random=random)
    angry = targets(units, "angry", spoken, loud, strength=1, random=random)
    mild = targets(units, "angry", spoken, loud, strength=0.5, random=random)
    upper = [i for i in range(len(UNITS)) if i not in SPOKEN and i not in LIDS]
    assert neutral[:, upper].max() < 0.3
    assert angry[:, upper].mean() > mild[:, upper].mean() > neutral[:, upper].mean()
    assert angry[:, UNITS.index("jaw_open")].min() >= 0.3 - 1e-9
    assert 0 <= angry.min() <= angry.max() <= 1
    np.testing.assert_allclose(angry[:, 4], angry[:, 5])  # both brows
    with pytest.raises(InputError, match="none of"):
        targets(units, "wistful", spoken, loud, strength=1, random=random)


def test_the_emotion_rises_before_the_voice_and_fades_after():
    loud = np.zeros(150)
    loud[50:100] = 1
    shown = emotion_envelope(loud)
    assert shown[0] < 0.5
    assert shown[48] > 0.6
    assert shown[75] == pytest.approx(1)
    assert shown[-1] < 0.5


def test_statistics_and_performances_come_back(tmp_path):
    units = statistics()
    save_units(tmp_path / "units.npz", units)
    np.testing.assert_allclose(load_units(tmp_path / "units.npz").mean, units.mean)
    one = LabelledRecording(
        name="a",
        speaker="ravdess_01",
        emotion="sad",
        strength=0.6,
        is_measured=False,
        is_held_out=False,
        rows=clip("x").rows,
        units=np.zeros((60, len(UNITS)), np.float32),
        loudness=np.ones(60, np.float32),
    )
    save_performances(tmp_path / "p.npz", [one, one])
    back = load_performances(tmp_path / "p.npz")
    assert [p.name for p in back] == ["a", "a"]
    drawn = back[0].target(units, np.random.default_rng(0))
    np.testing.assert_allclose(drawn, back[1].target(units, np.random.default_rng(0)))
    assert drawn.any()
    for reader, name in ((load_units, "units.npz"), (load_performances, "p.npz")):
        with pytest.raises(InputError):
            reader(tmp_path / f"no_{name}")
