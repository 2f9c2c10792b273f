"""The training data of the speech encoder: labels, files, augmentation, synthesisers where installed."""

import ctypes.util
import random
import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from auteur.errors import InputError, UsageError
from auteur.lab.data.speech.augment import AugmentConfig, Disguise, SpeechCrops
from auteur.lab.data.speech.build import BuildConfig, build, recorded
from auteur.lab.data.speech.corpus import (
    UNKNOWN,
    PhoneCorpus,
    PhoneSpan,
    Utterance,
    frame_labels,
    load_corpus,
    save_corpus,
)
from auteur.lab.data.speech.espeak import Espeak, Voice
from auteur.lab.data.speech.texts import LANGUAGES, sentence
from auteur.lab.train.speech_encoder import SpeechEncoderRecipe, train
from auteur.media import read_speech
from auteur.speech.phones import PHONES, phone_index

from .voices import babble, vowel

pytestmark = pytest.mark.slow

needs_espeak = pytest.mark.skipif(
    ctypes.util.find_library("espeak-ng") is None, reason="eSpeak NG is not installed"
)


def utterance(*, is_held_out: bool = False, seconds: float = 4.0) -> Utterance:
    half = seconds / 2
    sound = np.concatenate([vowel(half).samples, babble(half).samples])
    spans = [
        PhoneSpan(start_sec=0, stop_sec=half, phones=("a",)),
        PhoneSpan(start_sec=half, stop_sec=seconds, phones=("s",)),
    ]
    samples = (sound * 32_767).astype(np.int16)
    return Utterance(
        samples=samples, labels=frame_labels(spans, samples.size), speaker="toy", is_held_out=is_held_out
    )


def test_labels_follow_spans_and_diphthongs_are_shared():
    spans = [
        PhoneSpan(start_sec=0.0, stop_sec=0.04, phones=("sil",)),
        PhoneSpan(start_sec=0.04, stop_sec=0.1, phones=("a", "ɪ")),
    ]
    labels = frame_labels(spans, 16_000 // 8)
    a, i = phone_index("a"), phone_index("ɪ")
    assert labels.tolist() == [0, 0, 0, 0, a, a, a, i, i, i, UNKNOWN, UNKNOWN, UNKNOWN]


def test_a_corpus_comes_back_as_it_was_saved(tmp_path):
    rows = [utterance(), utterance(is_held_out=True, seconds=1.0)]
    save_corpus(tmp_path / "toy.npz", "toy", rows)
    corpus = load_corpus(tmp_path / "toy.npz")
    assert corpus.name == "toy"
    (held_out,) = corpus.part(is_held_out=True)
    np.testing.assert_array_equal(held_out.samples, rows[1].samples)
    np.testing.assert_array_equal(held_out.labels, rows[1].labels)
    assert held_out.speaker == "toy"


def test_damaged_corpora_are_refused(tmp_path):
    path = tmp_path / "toy.npz"
    with pytest.raises(InputError, match="build it again"):
        load_corpus(path)
    path.write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(InputError):
        load_corpus(path)


def test_crops_come_in_two_versions_and_never_from_held_out_people():
    corpus = PhoneCorpus(name="toy", utterances=(utterance(), utterance(is_held_out=True)))
    batch = next(iter(SpeechCrops([(corpus, 1.0)], pairs=3)))
    assert batch["frames"].shape == (6, 300, 80) and torch.isfinite(batch["frames"]).all()
    assert batch["phones"].shape == (6, 150)
    first, second = batch["phones"].chunk(2)
    assert torch.equal(first, second)
    one, two = batch["frames"].chunk(2)
    assert (one - two).abs().mean() > 0.1
    again = next(iter(SpeechCrops([(corpus, 1.0)], pairs=3)))
    assert torch.equal(again["frames"], batch["frames"])


def test_a_disguise_keeps_the_time_and_changes_the_sound():
    sound = np.sin(np.arange(16_000) * 0.1).astype(np.float32) * (np.arange(16_000) > 8_000)
    disguise = Disguise(np.random.default_rng(0), AugmentConfig(noise_db=(20.0, 30.0)))
    disguised = [disguise.sound(sound) for _ in range(8)]
    assert all(one.shape == sound.shape and np.abs(one).max() <= 1 for one in disguised)
    assert all(np.square(one[9_000:]).mean() > 4 * np.square(one[:7_000]).mean() for one in disguised)
    power = torch.rand(3, 5, 80)
    assert disguise.throats(power).shape == power.shape
    assert not torch.allclose(disguise.throats(power), disguise.throats(power))


def test_words_without_a_transcript_are_recognised():
    pytest.importorskip("pocketsphinx")
    from auteur.lab.data.speech.recognise import Recogniser

    speech = read_speech(Path(__file__).parents[2] / "examples" / "speech.flac")
    samples = np.asarray(np.clip(speech.samples, -1, 1) * 32_767, np.int16)
    spans = Recogniser().recognise(samples)
    assert all(a.stop_sec <= b.start_sec + 1e-6 for a, b in pairwise(spans))
    labels = frame_labels(spans, samples.size)
    assert np.mean(labels != UNKNOWN) > 0.8
    assert len(set(labels.tolist())) > 12


@pytest.mark.parametrize("language", LANGUAGES)
def test_sentences_have_words_and_no_full_stop(language):
    chance = random.Random(0)  # noqa: S311
    sentences = [sentence(language, chance) for _ in range(20)]
    assert all(4 <= len(text.split()) <= 9 and "." not in text for text in sentences)


@needs_espeak
def test_espeak_gives_the_times_of_closed_lips():
    speech = Espeak().speak("papa", Voice(language="de", words_per_minute=120))
    spans = [span for span in speech.spans if span.phones and span.phones != ("sil",)]
    assert [span.phones for span in spans] == [("p",), ("ɑ",), ("p",), ("ɑ",)]
    closure = spans[2]
    sound = speech.samples[int(closure.start_sec * speech.rate_hz) :][: speech.rate_hz // 50]
    assert np.abs(sound).max() < 50
    assert closure.stop_sec - closure.start_sec > 0.05


@needs_espeak
def test_unknown_voices_are_refused():
    with pytest.raises(UsageError, match="no-such-tongue"):
        Espeak().speak("hello", Voice(language="no-such-tongue"))


@needs_espeak
@pytest.mark.skipif(shutil.which("flite") is None, reason="Flite is not installed")
def test_a_small_corpus_is_built_and_learnt_from(tmp_path):
    pytest.importorskip("accelerate", reason="needs pip install 'auteur-face[train]'")
    build(BuildConfig(out=tmp_path, espeak_utterances=14, flite_utterances=4))
    espeak, flite = load_corpus(tmp_path / "espeak.npz"), load_corpus(tmp_path / "flite.npz")
    assert espeak.part(is_held_out=True) and not flite.part(is_held_out=True)
    for corpus in (espeak, flite):
        labels = np.concatenate([one.labels for one in corpus.utterances])
        assert np.mean(labels < len(PHONES)) > 0.9
        assert np.mean(labels == 0) < 0.6
        lengths = [(one.labels.size, -(-one.samples.size // 160)) for one in corpus.utterances]
        assert all(a == b for a, b in lengths)
    recipe = SpeechEncoderRecipe(data=tmp_path, out=tmp_path / "run.safetensors", pairs=2)
    quick = recipe.schedule.__class__(minutes=0.02, learning_rate=1e-3)
    scores = train(SpeechEncoderRecipe(data=tmp_path, out=recipe.out, pairs=2, schedule=quick))
    assert set(scores.phone_accuracy) == {"espeak"} and 0 <= scores.score <= 1
    assert recipe.out.is_file() and recipe.out.with_suffix(".jsonl").is_file()


@needs_espeak
def test_missing_recordings_are_an_error(tmp_path):
    with pytest.raises(InputError, match="manifest"):
        next(recorded(Espeak(), tmp_path, "emodb"))


def test_training_without_data_is_refused(tmp_path):
    with pytest.raises(InputError, match="no corpus"):
        train(SpeechEncoderRecipe(data=tmp_path, out=tmp_path / "run.safetensors"))
