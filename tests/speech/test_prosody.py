import numpy as np
import pytest

from auteur.signals import Waveform
from auteur.speech.prosody import energy_db, pitch

from .voices import RATE_HZ, babble, silence, vowel, waveform


@pytest.mark.parametrize("f0_hz", [75.0, 118.0, 220.0, 410.0])
def test_pitch_of_a_vowel_is_found(f0_hz):
    found = pitch(vowel(0.8, f0_hz=f0_hz))
    inner = found.f0_hz[8:-8]
    assert np.median(inner) == pytest.approx(f0_hz, rel=0.02)
    assert np.mean(np.abs(inner / f0_hz - 1) < 0.05) > 0.95


def test_pitch_follows_a_glide():
    time = np.arange(2 * RATE_HZ) / RATE_HZ
    wanted_hz = 120 + 60 * time
    phase = 2 * np.pi * np.cumsum(wanted_hz) / RATE_HZ
    sound = waveform(0.1 * sum(np.sin(n * phase) / n for n in range(1, 12)))
    found = pitch(sound).f0_hz
    assert np.abs(found / wanted_hz[::160] - 1)[10:-10].max() < 0.03


def test_noise_and_silence_have_no_pitch():
    assert np.mean(pitch(babble(1.0)).f0_hz > 0) < 0.1
    quiet = pitch(silence(0.5))
    assert (quiet.f0_hz == 0).all() and (quiet.voicing == 0).all()


@pytest.mark.slow
def test_pitch_in_blocks_has_no_seam():
    long = pitch(vowel(41.0, f0_hz=150.0)).f0_hz
    assert long.size == 4100
    assert np.abs(long[1990:2010] / 150 - 1).max() < 0.02


@pytest.mark.parametrize("samples", [1, 100, 800])
def test_the_shortest_sounds_are_measured(samples):
    sound = Waveform(samples=np.full(samples, 0.1, np.float32), rate_hz=RATE_HZ)
    assert pitch(sound).f0_hz.shape == energy_db(sound).shape == (-(-samples // 160),)


def test_energy_is_in_decibels_of_full_scale():
    sine = waveform(np.sin(2 * np.pi * 500 * np.arange(RATE_HZ) / RATE_HZ))
    assert energy_db(sine)[50] == pytest.approx(-3.01, abs=0.1)
    assert energy_db(silence(0.2)).max() == pytest.approx(-120)
