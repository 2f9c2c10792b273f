import json
from fractions import Fraction

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from auteur.errors import UsageError, WeightsError
from auteur.signals import Waveform
from auteur.speech.features import (
    CompactSpeechFeatures,
    at_frame_rate,
    frames_at,
)
from auteur.speech.network import CompactSpeechConfig, CompactSpeechEncoder
from auteur.speech.phones import ARTICULATIONS, PHONES
from auteur.weights import WeightsFile, metadata_of

from .voices import RATE_HZ, babble, silence, vowel, waveform

pytestmark = pytest.mark.slow

TINY = CompactSpeechConfig(width=16, embedding=8)
NTSC = Fraction(30_000, 1_001)


@pytest.fixture(scope="module")
def tiny() -> CompactSpeechEncoder:
    torch.manual_seed(0)
    encoder = CompactSpeechEncoder(TINY)
    for module in encoder.modules():  # statistics as after training, so that every path carries signal
        if isinstance(module, torch.nn.BatchNorm1d):
            torch.nn.init.normal_(module.get_buffer("running_mean"), 0, 0.3)
            torch.nn.init.uniform_(module.get_buffer("running_var"), 0.5, 1.5)
    return encoder.eval()


@pytest.fixture(scope="module")
def shipped() -> CompactSpeechFeatures:
    return CompactSpeechFeatures.shipped()


@pytest.mark.parametrize("rate", [Fraction(25), NTSC, Fraction(24), Fraction(60), Fraction(15)])
@pytest.mark.parametrize("seconds", [0.05, 0.333, 2.0])
def test_frames_are_duration_times_rate(tiny, rate, seconds):
    speech = babble(seconds)
    features = CompactSpeechFeatures(tiny).encode(speech, rate)
    assert features.shape == (round(speech.duration_sec * rate), 8 + len(ARTICULATIONS) + 2)
    assert torch.isfinite(features).all()


def test_frame_count_does_not_drift_in_an_hour():
    assert frames_at(silence(1), NTSC) == 30
    hour = Waveform(samples=np.zeros(3_600 * 100, np.float32), rate_hz=100)
    assert frames_at(hour, NTSC) == round(3_600 * NTSC) == 107_892


def test_resampling_goes_by_time():
    ramp = torch.arange(2_000, dtype=torch.float32)[:, None] / 50  # row n holds its own time
    at = at_frame_rate(ramp, Fraction(50), NTSC, 1_100)
    wanted = torch.arange(1_100, dtype=torch.float64)[:, None] * 1_001 / 30_000
    torch.testing.assert_close(at.double(), wanted, atol=1e-5, rtol=0)
    held = at_frame_rate(ramp[:3], Fraction(50), Fraction(25), 4)
    torch.testing.assert_close(held[:, 0], torch.tensor([0.0, 0.04, 0.04, 0.04]))


@pytest.mark.parametrize("chunk_sec", [1, 2, 7])
def test_chunks_give_the_same_as_the_whole(tiny, chunk_sec):
    speech = babble(9.37)
    whole = CompactSpeechFeatures(tiny, chunk_sec=600).analyse(speech, NTSC)
    pieces = CompactSpeechFeatures(tiny, chunk_sec=chunk_sec).analyse(speech, NTSC)
    torch.testing.assert_close(pieces.features, whole.features, atol=2e-5, rtol=1e-5)
    torch.testing.assert_close(pieces.phones, whole.phones, atol=2e-5, rtol=1e-5)


def test_the_network_waits_no_longer_than_its_stated_delay(tiny):
    config = tiny.config
    assert config.look_ahead_sec == pytest.approx(0.1525)
    assert config.look_ahead_sec <= 0.2
    frames = torch.randn(1, 200, config.mel.bands)
    changed = frames.clone()
    changed[:, 120:] += 3.0  # frame 120 is the first to differ
    gap = (tiny(frames).embedding - tiny(changed).embedding).abs().amax(-1)[0]
    first_touched = int((gap > 1e-6).nonzero()[0])
    assert first_touched == (120 - 2 + 1) // 2 - config.future_frames
    past = frames.clone()
    past[:, :40] += 3.0
    gap = (tiny(frames).embedding - tiny(past).embedding).abs().amax(-1)[0]
    last_touched = int((gap > 1e-6).nonzero()[-1])
    assert last_touched <= (39 + 2) // 2 + config.past_frames
    lips = (tiny(frames).lips - tiny(changed).lips).abs().amax(-1)[0]
    assert int((lips > 1e-6).nonzero()[0]) >= first_touched - config.lips_frames


def test_features_forget_how_loud_the_recording_is(tiny):
    speech = babble(2.0)
    quiet = waveform(speech.samples * 0.05)
    encoder = CompactSpeechFeatures(tiny)
    torch.testing.assert_close(
        encoder.encode(quiet, Fraction(25)), encoder.encode(speech, Fraction(25)), atol=0.02, rtol=0
    )


def test_other_sample_rates_are_resampled(tiny):
    speech = vowel(1.0)
    encoder = CompactSpeechFeatures(tiny)
    hifi = encoder.encode(speech.resample(48_000), Fraction(25))
    assert hifi.shape == (25, encoder.dim)
    assert (hifi - encoder.encode(speech, Fraction(25))).abs().mean() < 0.1


def test_analysis_parts_belong_together(tiny):
    analysis = CompactSpeechFeatures(tiny).analyse(babble(1.0), Fraction(25))
    assert analysis.phones.shape == (25, len(PHONES))
    torch.testing.assert_close(analysis.phones.sum(-1), torch.ones(25))
    assert torch.equal(analysis.features[:, 8:-2], analysis.articulation)
    assert torch.equal(analysis.features[:, -1], analysis.loudness)
    assert analysis.articulation.min() >= 0 and analysis.articulation.max() <= 1


@pytest.mark.parametrize("samples", [1, 10, 200, 800])
def test_the_shortest_sounds_are_described(tiny, samples):
    speech = waveform(np.full(samples, 0.1))
    features = CompactSpeechFeatures(tiny).encode(speech, Fraction(25))
    assert features.shape[0] == round(Fraction(samples, RATE_HZ) * 25)
    assert torch.isfinite(features).all()


def test_clipped_and_constant_sound_stay_finite(tiny):
    clipped = waveform(np.sign(babble(1.0).samples) * 1.0)
    constant = waveform(np.full(RATE_HZ, 0.5))
    for speech in (clipped, constant):
        assert torch.isfinite(CompactSpeechFeatures(tiny).encode(speech, Fraction(25))).all()


def test_nan_never_becomes_a_waveform():
    with pytest.raises(UsageError, match="NaN"):
        waveform(np.array([0.0, np.nan, 0.1]))


@pytest.mark.parametrize("rate", [Fraction(0), Fraction(1, 2), Fraction(201), Fraction(-25)])
def test_senseless_frame_rates_are_refused(tiny, rate):
    with pytest.raises(UsageError, match="between 1 and 200"):
        CompactSpeechFeatures(tiny).encode(babble(0.2), rate)


def test_senseless_chunks_are_refused(tiny):
    with pytest.raises(UsageError, match="chunk_sec is 0"):
        CompactSpeechFeatures(tiny, chunk_sec=0)


def test_saved_config_travels_with_the_weights(tiny, tmp_path):
    path = tmp_path / "encoder.safetensors"
    save_file(tiny.state_dict(), path, metadata=metadata_of(CompactSpeechEncoder.kind, TINY))
    assert WeightsFile(path).config("speech_encoder", CompactSpeechConfig) == TINY
    assert json.loads(metadata_of(CompactSpeechEncoder.kind, TINY)["speech_encoder"])["mel"]["bands"] == 80
    again = CompactSpeechFeatures.from_file(path)
    speech = babble(0.5)
    assert torch.equal(
        again.encode(speech, Fraction(25)), CompactSpeechFeatures(tiny).encode(speech, Fraction(25))
    )


def test_files_without_config_are_refused(tiny, tmp_path):
    path = tmp_path / "encoder.safetensors"
    with pytest.raises(WeightsError, match="cannot read the weights"):
        CompactSpeechFeatures.from_file(path)
    save_file(tiny.state_dict(), path)
    with pytest.raises(WeightsError, match="no speech encoder config"):
        CompactSpeechFeatures.from_file(path)
    path.write_bytes(b"no tensors")
    with pytest.raises(WeightsError, match="is not a safetensors file"):
        CompactSpeechFeatures.from_file(path)


def test_shipped_weights_separate_vowels_from_the_pauses_between_them(shipped):
    formants = ((700.0, 1200.0, 2600.0), (300.0, 2300.0, 3000.0), (350.0, 800.0, 2400.0))
    pieces = [silence(0.4).samples]
    for each in formants:
        pieces += [vowel(0.4, formants=each).samples, silence(0.4).samples]
    analysis = shipped.analyse(waveform(np.concatenate(pieces)), Fraction(25))
    silent = analysis.articulation[:, ARTICULATIONS.index("silence")]
    in_vowels = torch.cat([silent[13 + 20 * k : 17 + 20 * k] for k in range(3)])
    in_pauses = torch.cat([silent[20 * k + 3 : 20 * k + 7] for k in range(4)])
    assert in_vowels.mean() < 0.5 < in_pauses.mean()


def test_shipped_weights_separate_a_vowel_from_silence(shipped):
    sound = np.concatenate([silence(0.6).samples, vowel(0.8).samples, silence(0.6).samples])
    analysis = shipped.analyse(waveform(sound), Fraction(25))
    silent = analysis.articulation[:, ARTICULATIONS.index("silence")]
    voiced = analysis.articulation[:, ARTICULATIONS.index("voiced")]
    assert silent[:10].min() > 0.5 and silent[-8:].min() > 0.5
    assert silent[20:30].max() < 0.5
    assert voiced[16:20].min() > 0.5 > voiced[:10].max()
    assert analysis.loudness[:10].max() == 0 and analysis.loudness[20:30].min() > 0.7


@pytest.mark.xfail(strict=True, reason="a held vowel becomes its own average and fades; see the card")
def test_shipped_weights_detect_a_held_vowel_to_its_end(shipped):
    sound = np.concatenate([silence(0.6).samples, vowel(0.8).samples, silence(0.6).samples])
    analysis = shipped.analyse(waveform(sound), Fraction(25))
    assert analysis.articulation[16:34, ARTICULATIONS.index("voiced")].min() > 0.5


def test_shipped_weights_open_the_lips_for_a_vowel(shipped):
    sound = np.concatenate([silence(0.6).samples, vowel(0.3).samples, silence(0.6).samples])
    lips = shipped.analyse(waveform(sound), Fraction(25)).features[:, -2]
    assert lips[14:20].max() > lips[:8].max() + 0.5


def test_shipped_weights_call_silence_silence(shipped):
    analysis = shipped.analyse(silence(1.0), Fraction(25))
    assert analysis.articulation[:, ARTICULATIONS.index("silence")].min() > 0.5
    assert analysis.loudness.max() == 0


def test_shipped_weights_are_the_default_encoder(shipped):
    parameters = sum(p.numel() for p in CompactSpeechEncoder().parameters())
    assert parameters <= 1_300_000
    assert shipped.dim == 64 + len(ARTICULATIONS) + 2
    assert shipped.look_ahead_sec <= 0.2


def test_the_network_input_is_at_most_a_chunk_and_its_surroundings(tiny):
    encoder = CompactSpeechFeatures(tiny, chunk_sec=2)
    seen: list[int] = []
    hook = tiny.stem.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape[-1]))
    encoder.encode(waveform(np.tile(babble(1.0).samples, 40)), Fraction(25))
    hook.remove()
    surroundings = 2 * (TINY.past_frames + TINY.future_frames + 2 * TINY.lips_frames) + 8
    assert len(seen) == 20 and max(seen) == 200 + surroundings
