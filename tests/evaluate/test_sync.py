"""Lips and sound: shifted sound lowers the agreement, and the lag is the shift."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from auteur.errors import UsageError, WeightsError
from auteur.evaluate import audio_lips, syncnet
from auteur.evaluate.mfcc import filter_bank, mfcc
from auteur.media import read_speech
from auteur.signals import Waveform
from auteur.speech.features import CompactSpeechFeatures

pytestmark = pytest.mark.slow

SPEECH = Path(__file__).parents[2] / "examples" / "speech.flac"


@pytest.fixture(scope="module")
def expected():
    torch.set_num_threads(1)
    sound = read_speech(SPEECH)
    analysis = CompactSpeechFeatures.shipped().analyse(sound.slice(0, 6), Fraction(25))
    return audio_lips.expected_lips(analysis)


def lips(expected: np.ndarray, *, late: int = 0, noise: float = 0.5) -> np.ndarray:
    """Lips that do what is expected, some frames late, each in its own unit and with noise of its own."""
    random = np.random.default_rng(0)
    spread = expected.std(axis=0)
    moved = np.roll(expected, late, axis=0) + random.normal(0, 1, expected.shape) * noise * spread
    return moved * [4.0, 2.0, 3.0] + [5.0, 50.0, 30.0]


@pytest.mark.parametrize("late", [-6, 0, 4])
def test_the_lag_is_found(expected, late):
    found = audio_lips.agreement_of(lips(expected, late=late), expected)
    assert found.lag_frames == late
    assert found.correlation > 0.7 and found.confidence > 0.5


def test_shifted_sound_agrees_less(expected):
    right, wrong = (audio_lips.agreement_of(lips(expected, late=late), expected) for late in (0, 8))
    assert wrong.at_zero < right.at_zero - 0.3


def test_lips_of_something_else_do_not_agree(expected):
    right = audio_lips.agreement_of(lips(expected), expected)
    random = np.random.default_rng(1)
    other = audio_lips.agreement_of(random.normal(0, 1, expected.shape), expected)
    assert other.confidence < 0.6 * right.confidence and other.correlation < 0.6 * right.correlation


def test_units_sizes_and_drift_do_not_matter(expected):
    plain = lips(expected)
    drift = np.linspace(0, 30, len(plain))[:, None]
    assert audio_lips.agreement_of(plain * 3 + drift, expected).correlation == pytest.approx(
        audio_lips.agreement_of(plain, expected).correlation, abs=0.03
    )


def test_still_lips_and_short_clips_are_not_measured(expected):
    assert np.isnan(audio_lips.agreement_of(np.ones_like(expected), expected).correlation)
    assert np.isnan(audio_lips.agreement_of(lips(expected)[:40], expected).correlation)


def test_cepstra_are_those_of_python_speech_features():
    """Of a tone and a rising one."""
    time = np.arange(1600) / 16000
    sound = np.round(8000 * np.sin(2 * np.pi * 440 * time) + 2000 * np.sin(2 * np.pi * 27900 * time**2))
    wanted = [
        20.3023,
        -3.1356,
        -9.4908,
        35.9208,
        -49.8968,
        -58.1512,
        3.7,
        -20.2885,
        -10.7958,
        10.2799,
        20.1184,
        28.9944,
        1.8618,
    ]  # its `mfcc(sound, 16000)[4]`, version 0.6
    assert mfcc(sound)[4] == pytest.approx(wanted, abs=1e-3)


def test_the_cepstra_package_agrees_where_it_is_installed():
    package = pytest.importorskip("python_speech_features", reason="the independent reference")
    sound = np.random.default_rng(0).normal(0, 3000, 16077).round()
    assert mfcc(sound) == pytest.approx(package.mfcc(sound, 16000))


def test_every_filter_is_a_triangle_up_to_one():
    bank = filter_bank()
    assert bank.shape == (26, 257) and bank.max() == 1 and bank.min() == 0
    peaks = bank.argmax(axis=1)
    assert (np.diff(peaks) > 0).all()
    np.testing.assert_allclose(bank[:, peaks[0] : peaks[-1] + 1].sum(axis=0), 1)  # neighbours share each bin


def test_syncnet_figures_are_the_scripts():
    random = torch.Generator().manual_seed(0)
    sound = torch.randn(60, 8, generator=random)
    picture = torch.roll(sound, 4, dims=0) + 0.1 * torch.randn(60, 8, generator=random)
    found = syncnet.figures(picture, sound)
    padded = torch.nn.functional.pad(sound, (0, 0, 15, 15))
    rows = [
        torch.nn.functional.pairwise_distance(picture[[i]].repeat(31, 1), padded[i : i + 31])
        for i in range(60)
    ]
    mean = torch.stack(rows, 1).mean(1)
    assert found.distance == pytest.approx(float(mean.min()), abs=1e-5)
    assert found.confidence == pytest.approx(float(mean.median() - mean.min()), abs=1e-5)
    assert found.lag_frames == 15 - int(mean.argmin()) == 4


def test_syncnet_runs_on_weights_given_by_path(tmp_path):
    torch.manual_seed(0)
    save_file(syncnet.SyncNet().state_dict(), tmp_path / "syncnet.safetensors")
    model = syncnet.load_syncnet(tmp_path / "syncnet.safetensors")
    faces = np.random.default_rng(0).integers(0, 255, (22, 32, 32, 3)).astype(np.uint8)
    sound = Waveform(samples=np.random.default_rng(1).normal(0, 0.1, 22 * 640), rate_hz=16_000)
    found = syncnet.lip_sync(model, faces, sound)
    assert found.distance >= 0 and found.confidence >= 0
    with pytest.raises(UsageError, match="at least 20"):
        syncnet.lip_sync(model, faces[:10], sound)
    with pytest.raises(WeightsError, match="cannot read"):
        syncnet.load_syncnet(tmp_path / "absent.safetensors")
