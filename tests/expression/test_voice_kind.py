"""One speaker or several."""

from pathlib import Path

import numpy as np
import pytest
from scipy.signal import lfilter

from auteur.expression.acoustic_features import BANDS, acoustic_features
from auteur.expression.au_generators import RegressorAUGenerator
from auteur.expression.speech_to_au import SpeechToAU
from auteur.expression.voice_kind import SEVERAL_FROM, has_several_speakers, speaker_distance, voices_of
from auteur.lab.data.voice_directions import directions
from auteur.media import read_speech
from auteur.signals import Waveform

from .tiny_models import RATE_HZ, silence, tiny_regressor, voice, waveform

SPEECH = Path(__file__).parents[3] / "shared" / "data" / "speech"


def turns(*voices: Waveform) -> Waveform:
    parts = [np.concatenate([np.asarray(one.samples), np.asarray(silence(0.5).samples)]) for one in voices]
    return waveform(np.concatenate(parts))


def woman(seconds: float) -> Waveform:
    """A voice an octave higher from a shorter, brighter vocal tract."""
    source = np.asarray(voice(seconds, hertz=260).samples)
    for hertz in (900, 2800):
        turn = 2 * np.pi * hertz / RATE_HZ
        source = np.asarray(lfilter([1.0], [1, -2 * 0.97 * np.cos(turn), 0.97**2], source))
    return waveform(0.3 * source / np.abs(source).max())


def test_a_dialogue_is_separated_from_a_monologue():
    alone = turns(*[voice(2, hertz=hertz) for hertz in (130, 140, 150, 135)])
    both = turns(voice(2, hertz=130), woman(2), voice(2, hertz=140), woman(2))
    assert not has_several_speakers(acoustic_features(alone).rows)
    assert has_several_speakers(acoustic_features(both).rows)
    assert not has_several_speakers(acoustic_features(turns(voice(2), woman(2))).rows), "too short to decide"
    assert speaker_distance(acoustic_features(silence(9)).rows) == 0


def test_a_dialogue_is_shown_as_one_and_noted():
    model = SpeechToAU(RegressorAUGenerator(tiny_regressor()))
    both = turns(voice(2, hertz=130), woman(2), voice(2, hertz=140), woman(2))
    predicted = model(both)
    assert predicted.track.values.any()
    assert len(predicted.notes) == 1 and predicted.notes[0].startswith(
        "the recording sounds like several speakers"
    )
    assert not model(both, emotion="happy").notes
    assert not model(turns(*[voice(2)] * 4)).notes


def test_voices_are_of_stretches_between_pauses():
    rows = acoustic_features(turns(voice(2), voice(0.2), voice(7))).rows
    voices, sizes = voices_of(rows)
    assert voices.shape == (3, 39)  # 0.2 s is too little; 7 s are two
    assert sizes.sum() <= (rows[:, BANDS] != 0).sum()


def test_directions_are_those_in_which_speakers_differ():
    random = np.random.default_rng(0)
    speakers = np.repeat([f"one_{number:02d}" for number in range(6)], 40)
    voices = random.standard_normal((240, 39)) * np.linspace(1, 5, 39)
    voices[:, 7] += np.repeat(20.0 * np.arange(6), 40)
    found = directions(voices, speakers)
    assert int(np.abs(found[:, 0] * np.linspace(1, 5, 39)).argmax()) == 7
    assert np.std((voices @ found)[:40], axis=0) == pytest.approx(np.ones(8), abs=0.3)


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.skipif(not SPEECH.is_dir(), reason="needs the recordings of RAVDESS and EMO-DB")
def test_two_unseen_actors_are_apart_and_one_is_not():
    def rows_of(actor: int) -> np.ndarray:
        files = sorted((SPEECH / "ravdess").rglob(f"*-{actor:02d}.*"))[:6]
        return acoustic_features(turns(*[read_speech(file) for file in files])).rows

    found = {actor: rows_of(actor) for actor in (17, 18)}
    assert all(speaker_distance(rows) < SEVERAL_FROM for rows in found.values())
    assert speaker_distance(np.concatenate(list(found.values()))) >= SEVERAL_FROM
