import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auteur.errors import UsageError
from auteur.signals import Waveform


def tone(rate_hz, seconds=1.0, hertz=300):
    times = np.arange(round(seconds * rate_hz)) / rate_hz
    return Waveform(samples=0.5 * np.sin(2 * np.pi * hertz * times), rate_hz=rate_hz)


@given(st.integers(1, 5000), st.sampled_from([8000, 16000, 44100, 48000]))
def test_resampling_keeps_the_duration(samples, rate_hz):
    wave = Waveform(samples=np.ones(samples), rate_hz=44100).resample(rate_hz)
    assert abs(wave.duration_sec - Fraction(samples, 44100)) <= Fraction(1, rate_hz)


def test_resampling_keeps_the_tone_in_place():
    resampled, wanted = tone(48000).resample(16000), tone(16000)
    np.testing.assert_allclose(resampled.samples[500:-500], wanted.samples[500:-500], atol=1e-3)


def test_slice_keeps_times():
    part = tone(16000).slice(0.25, 0.5)
    assert (part.start_sec, part.duration_sec, part.samples.size) == (Fraction(1, 4), Fraction(1, 4), 4000)
    np.testing.assert_array_equal(part.samples, tone(16000).samples[4000:8000])


@pytest.mark.parametrize(
    ("samples", "rate_hz", "message"),
    [
        ([], 16000, "non-empty"),
        ([[0.0, 0.0]], 16000, "mono"),
        ([np.nan], 16000, "finite"),
        ([np.inf], 16000, "finite"),
        ([0.0], 0, "rate_hz is 0"),
        ([0.0], 10**6, "rate_hz"),
    ],
)
def test_impossible_sound_is_refused(samples, rate_hz, message):
    with pytest.raises(UsageError, match=message):
        Waveform(samples=samples, rate_hz=rate_hz)


def test_slicing_outside_the_sound_is_refused():
    with pytest.raises(UsageError, match="covers 0 s to 1 s"):
        tone(16000).slice(1, 2)
    with pytest.raises(UsageError, match="rate_hz"):
        tone(16000).resample(0)


def test_signals_import_nothing_heavy():
    heavy = "{'torch', 'av', 'soxr', 'soundfile', 'PIL', 'mediapipe', 'scipy'}"
    code = (
        f"import sys, auteur.signals, auteur.facs, auteur.formats; print(sorted({heavy} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
