"""The training data of the speech encoder: labels, files, augmentation, synthesisers where installed."""

import ctypes.util
import random
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from auteur.errors import InputError, UsageError
from auteur.lab.data.made_shards import write_shards
from auteur.lab.data.shards import Corpora
from auteur.lab.data.speech.augment import AugmentConfig, Disguise, SpeechCrops
from auteur.lab.data.speech.build import BuildConfig, build, write_utterances
from auteur.lab.data.speech.corpus import (
    UNKNOWN,
    PhoneCorpus,
    PhoneSpan,
    Utterance,
    frame_labels,
    read_phones,
    shares_of,
)
from auteur.lab.data.speech.espeak import Espeak, Voice
from auteur.lab.data.speech.texts import LANGUAGES, sentence
from auteur.lab.data.splits import part_of
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


def written(folder: Path, *speakers: str, held_out: bool = False) -> Corpora:
    rows = [replace(utterance(is_held_out=held_out), speaker=speaker) for speaker in speakers]
    return Corpora(shards=(write_utterances(folder, rows, settings={}),))


def speaker(part: str) -> str:
    return next(n for n in map("toy{}".format, range(99)) if part_of(f"speech:{n}", held_out=False) == part)


def test_phones_come_back_from_shards_by_their_part(tmp_path):
    train, chooses = speaker("train"), speaker("validation")
    corpora = written(tmp_path / "toy", train, chooses)
    (corpus,) = read_phones(corpora)
    assert corpus.name == "toy" and [one.speaker for one in corpus.part(is_held_out=False)] == [
        f"speech:{train}"
    ]
    (chooser,) = corpus.part(is_held_out=True)
    np.testing.assert_array_equal(chooser.samples, utterance().samples)
    np.testing.assert_array_equal(chooser.labels, utterance().labels)
    assert [share for _, share in shares_of(corpora, [corpus])] == [1.0]


def test_speakers_who_test_are_in_no_training(tmp_path):
    corpora = written(tmp_path / "toy", speaker("train"), held_out=True)
    with pytest.raises(InputError, match="no sample with phones of a person who trains"):
        read_phones(corpora)
    (tested,) = read_phones(corpora, part="held_out")
    assert len(tested.part(is_held_out=True)) == 1


def test_shares_are_those_of_the_mix(tmp_path):
    both = tuple(path for name in ("a", "b") for path in written(tmp_path / name, speaker("train")).shards)
    corpora = Corpora(shards=both, mix="a=3,b=1")
    assert [share for _, share in shares_of(corpora, read_phones(corpora))] == [0.75, 0.25]
    with pytest.raises(UsageError, match="it must name a, b"):
        read_phones(replace(corpora, mix="a=3"))


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
    corpora = Corpora(shards=(tmp_path / "espeak", tmp_path / "flite"))
    phones = read_phones(corpora)
    assert read_phones(Corpora(shards=corpora.shards[:1]), part="held_out")
    for corpus in phones:
        labels = np.concatenate([one.labels for one in corpus.utterances])
        assert np.mean(labels < len(PHONES)) > 0.9
        assert np.mean(labels == 0) < 0.6
        lengths = [(one.labels.size, -(-one.samples.size // 160)) for one in corpus.utterances]
        assert all(a == b for a, b in lengths)
    recipe = SpeechEncoderRecipe(data=corpora, out=tmp_path / "run.safetensors", pairs=2)
    quick = recipe.schedule.__class__(minutes=0.02, learning_rate=1e-3)
    scores = train(replace(recipe, schedule=quick))
    assert 0 <= scores.score <= 1
    assert recipe.out.is_file() and recipe.out.with_suffix(".jsonl").is_file()


def test_training_without_phones_names_the_command(tmp_path):
    with pytest.raises(UsageError, match="no shards of speech without pictures or videos were given"):
        train(SpeechEncoderRecipe(data=Corpora(), out=tmp_path / "run.safetensors"))
    shards = write_shards(tmp_path / "bare", [], kind="speech", settings={})
    with pytest.raises(InputError, match=r"lacks the feature 'phones' .* add it: auteur prepare -o"):
        train(SpeechEncoderRecipe(data=Corpora(shards=(shards,)), out=tmp_path / "run.safetensors"))
    photos = write_shards(tmp_path / "photos", [], kind="photos", settings={})
    with pytest.raises(UsageError, match="holds photographs, and speech without pictures or videos are read"):
        read_phones(Corpora(shards=(shards, photos)))
