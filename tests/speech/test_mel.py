import numpy as np
import pytest
import torch
from scipy import signal

from auteur.speech.mel import (
    MelConfig,
    frame_count,
    level_of_pieces,
    levelled,
    loudness,
    measure_level,
    mel_filters,
    mel_pieces,
    mel_power,
    reference_power,
)

from .voices import babble, waveform

CONFIG = MelConfig()


def independent_mel_power(samples: np.ndarray) -> np.ndarray:
    """The definition again, from scipy's STFT and a filter bank written as a double loop."""
    transform = signal.ShortTimeFFT(
        signal.windows.hann(400, sym=False),
        hop=160,
        fs=16_000,
        mfft=512,
        scale_to="magnitude",
        phase_shift=None,
    )
    frames = -(-samples.size // 160)
    power = np.abs(transform.stft(samples.astype(np.float64), p0=0, p1=frames)) ** 2  # [bins, frames]
    hertz = np.arange(257) * 16_000 / 512
    low, high = (2595 * np.log10(1 + f / 700) for f in (40.0, 7600.0))
    edges = [700 * (10 ** (m / 2595) - 1) for m in np.linspace(low, high, 82)]
    bank = np.zeros((80, 257))
    for band in range(80):
        left, centre, right = edges[band : band + 3]
        for number, f in enumerate(hertz):
            if left < f <= centre:
                bank[band, number] = (f - left) / (centre - left)
            elif centre < f < right:
                bank[band, number] = (right - f) / (right - centre)
    return (bank @ power).T


def test_mel_power_equals_an_independent_transcription():
    samples = babble(1.237).samples
    ours = mel_power(torch.from_numpy(samples.copy()).double(), CONFIG).numpy()
    theirs = independent_mel_power(samples)
    assert ours.shape == theirs.shape == (frame_count(samples.size, CONFIG), 80)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-12)


def test_every_filter_has_weight_and_peaks_rise():
    filters = mel_filters(CONFIG)
    assert (filters.sum(0) > 0).all()
    assert (filters.argmax(0).diff() >= 0).all()


@pytest.mark.parametrize("samples", [1, 159, 160, 161, 400, 16_000])
def test_there_is_one_frame_per_started_ten_milliseconds(samples):
    assert mel_power(torch.randn(samples), CONFIG).shape == (-(-samples // 160), 80)


@pytest.mark.parametrize("gain", [0.02, 0.1, 4.0])
def test_levelling_forgets_gain(gain):
    sound = torch.from_numpy(babble(2).samples.copy())
    plain, changed = mel_power(sound, CONFIG), mel_power(sound * gain, CONFIG)
    ours = levelled(changed, measure_level(changed))
    torch.testing.assert_close(ours, levelled(plain, measure_level(plain)), atol=2e-3, rtol=0)


def test_levelling_forgets_the_colour_of_a_microphone():
    power = mel_power(torch.from_numpy(babble(8).samples.copy()), CONFIG)
    coloured = power * torch.exp(torch.linspace(-1.5, 1.5, 80))
    change = (levelled(coloured, measure_level(coloured)) - levelled(power, measure_level(power))).mean(0)
    assert (change - change.mean()).abs().max() < 0.3 * 1.5


def test_level_in_pieces_equals_level_of_all():
    power = mel_power(torch.from_numpy(babble(2).samples.copy()), CONFIG)
    whole = measure_level(power)
    pieces = level_of_pieces(power.split(37), reference_power(power.mean(-1)))
    torch.testing.assert_close(pieces.band_mean, whole.band_mean, atol=1e-5, rtol=1e-5)


def test_silence_has_no_loudness_and_speech_has():
    sound = torch.from_numpy(babble(1).samples.copy())
    power = mel_power(torch.cat([sound, torch.zeros(16_000)]), CONFIG)
    loud = loudness(power, measure_level(power))
    assert loud[110:].max() == 0
    assert 0.6 < loud[:90].max() < 1.3
    nothing = mel_power(torch.zeros(16_000), CONFIG)
    assert loudness(nothing, measure_level(nothing)).max() == 0


@pytest.mark.parametrize("samples", [1, 159, 160, 161, 5_000, 16_123])
@pytest.mark.parametrize(("step", "past", "future"), [(1, 0, 0), (7, 3, 2), (10, 200, 200), (1000, 5, 5)])
def test_mel_in_pieces_is_mel_at_once(samples, step, past, future):
    sound = waveform(np.random.default_rng(0).normal(0, 0.1, samples))
    whole = mel_power(torch.from_numpy(np.array(sound.samples)), MelConfig())
    pieces = list(mel_pieces(sound, step, MelConfig(), past=past, future=future))
    assert len(pieces) == -(-len(whole) // step)
    for number, (first, power) in enumerate(pieces):
        assert first == max(number * step - past, 0)
        torch.testing.assert_close(power, whole[first : (number + 1) * step + future], atol=0, rtol=1e-5)


@pytest.mark.parametrize("level_db", [-80, -60, -52])
def test_faint_hiss_is_silence_and_quiet_speech_is_not(level_db):
    level = 10 ** (level_db / 20)
    hiss = np.random.default_rng(0).normal(0, level, 32_000)
    power = mel_power(torch.from_numpy(hiss).float(), MelConfig())
    assert loudness(power, measure_level(power)).max() == 0
    if level_db > -70:  # fainter still, it is measured against the threshold of silence
        nothing = levelled(0 * power, measure_level(0 * power))
        assert torch.equal(levelled(power, measure_level(power)), nothing)
    spoken = babble(2.0).samples
    quiet = torch.from_numpy(spoken / spoken.std() * level)
    if level_db > -65:  # where speech still differs from silence
        power = mel_power(quiet, MelConfig())
        assert loudness(power, measure_level(power)).max() > 0.9
