"""Music and noise are no speech; speech is, over noise too."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from auteur.media import read_speech
from auteur.signals import Waveform
from auteur.speech.features import CompactSpeechFeatures
from auteur.speech.voice import holds_speech

RATE_HZ = 16_000
TIMES = np.arange(5 * RATE_HZ) / RATE_HZ
RANDOM = np.random.default_rng(0)


@pytest.fixture(scope="module")
def is_speech():
    encoder = CompactSpeechFeatures.shipped()

    def judge(samples: np.ndarray) -> bool:
        level = np.abs(samples).max()
        sound = Waveform(samples=(0.5 * samples / (level or 1)).astype(np.float32), rate_hz=RATE_HZ)
        return holds_speech(encoder.analyse(sound, Fraction(25)))

    return judge


@pytest.fixture(scope="module")
def talk() -> np.ndarray:
    return read_speech(Path(__file__).parents[2] / "examples" / "speech.flac").samples[: 5 * RATE_HZ]


def chords() -> np.ndarray:
    """Three notes a second through eight harmonics each, dying away."""
    wave = np.zeros(TIMES.size)
    for number in range(15):
        at = number * RATE_HZ // 3
        time = TIMES[: TIMES.size - at]
        for step in (0, 4, 7):
            hertz = 220 * 2 ** ((step + (number * 5) % 12) / 12)
            tones = sum(np.sin(2 * np.pi * k * hertz * time) / k for k in range(1, 9))
            wave[at:] += tones * np.exp(-2 * time) * np.minimum(time / 0.01, 1)
    return wave


SOUNDS = {
    "white noise": RANDOM.normal(size=TIMES.size),
    "rumble": np.cumsum(RANDOM.normal(size=TIMES.size)) - np.linspace(0, 1, TIMES.size),
    "tone": np.sin(2 * np.pi * 440 * TIMES),
    "hum": sum(np.sin(2 * np.pi * 50 * k * TIMES) / k for k in range(1, 12)),
    "siren": np.sin(2 * np.pi * 700 * TIMES + 200 * np.sin(2 * np.pi * 0.4 * TIMES)),
    "gated buzz": sum(np.sin(2 * np.pi * 120 * k * TIMES) / k for k in range(1, 30)) * (TIMES % 0.5 > 0.25),
    "waves of noise": RANDOM.normal(size=TIMES.size) * (1 + np.sin(2 * np.pi * 4 * TIMES)),
    "chords": chords(),
}


@pytest.mark.parametrize("name", SOUNDS)
def test_noise_and_music_are_no_speech(is_speech, name):
    assert not is_speech(SOUNDS[name])


def test_speech_is_speech(is_speech, talk):
    assert is_speech(talk)
    assert is_speech(talk[:RATE_HZ])


@pytest.mark.parametrize("name", ["white noise", "hum", "chords"])
def test_speech_over_something_is_speech(is_speech, talk, name):
    bed = SOUNDS[name][: talk.size]
    assert is_speech(talk + bed * talk.std() / bed.std() * 10 ** (-6 / 20))


@pytest.mark.slow
def test_speech_after_a_minute_of_noise_is_found(is_speech, talk):
    noise = 0.3 * talk.std() * RANDOM.normal(size=60 * RATE_HZ)
    assert is_speech(np.concatenate([noise, talk]))


def test_what_is_too_short_or_silent_is_not_judged(is_speech):
    assert is_speech(SOUNDS["tone"][:RATE_HZ])
    assert is_speech(np.zeros(RATE_HZ))


@pytest.mark.slow
@pytest.mark.shared
def test_no_recording_of_people_is_taken_for_noise(is_speech):
    folder = Path(__file__).parents[3] / "shared" / "data" / "speech"
    files = sorted(folder.rglob("*.ogg"))[::40] + sorted(folder.rglob("*.flac"))[::40]
    if not files:
        pytest.skip("needs ../shared/data/speech beside the checkout")
    assert [file.name for file in files if not is_speech(read_speech(file).samples)] == []
