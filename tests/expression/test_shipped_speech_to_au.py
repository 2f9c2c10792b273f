"""The shipped models on sounds made in code: rules, control and speed, not accuracy."""

import time

import numpy as np
import pytest

from auteur.expression.speech_to_au import SpeechToAU
from auteur.weights import shipped

from .tiny_models import noise, silence, voice, waveform

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not {"audio_lm", "regressor"} <= shipped().keys(), reason="the weights are not in this checkout"
    ),
]


@pytest.fixture(scope="module", params=["audio_lm", "regressor"])
def model(request) -> SpeechToAU:
    return SpeechToAU.shipped(request.param)


@pytest.mark.parametrize("sound", [silence(1), noise(1)])
def test_no_speech_is_no_grimace(model, sound):
    direction = model(sound)
    assert direction.emotion == "neutral"
    assert not direction.track.values.any()


def test_chords_do_not_smile_or_scowl(model):
    at = np.arange(16_000) / 16_000
    chord = sum(np.sin(2 * np.pi * hertz * at) for hertz in (220, 277, 330)) / 6
    assert model(waveform(chord)).track.values.max() <= 0.5


def test_a_given_emotion_shows():
    """Of the control only: to the language model this buzz is a hum, which it has learned to sit out."""
    model, speech = SpeechToAU.shipped("regressor"), voice(3)
    happy, angry = (model(speech, emotion=word).track for word in ("happy", "angry"))
    smile = [track.channel("lip_corner_pull_left").mean() for track in (happy, angry)]
    scowl = [track.channel("brow_lower_left").mean() for track in (happy, angry)]
    assert smile[0] > smile[1] + 0.05
    assert scowl[1] > scowl[0] + 0.05


def test_faster_than_real_time(model):
    started = time.process_time()
    model(voice(20))
    assert time.process_time() - started < 20
