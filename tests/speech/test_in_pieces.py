"""Analysis of sound in pieces equals that of the whole, and never reads all of it at once."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from auteur.expression.generator.speech_cues import loudness_of
from auteur.signals import Waveform
from auteur.speech.features import at_frame_rate, frames_at
from auteur.speech.log_mel import BANDS, LogMelFeatures
from auteur.speech.mel import (
    MelConfig,
    frame_power_of,
    level_of,
    levelled,
    loudness,
    measure_level,
    mel_power,
)
from auteur.speech.pretrained import TransformersSpeechFeatures

from .voices import RATE_HZ, babble, silence

pytestmark = pytest.mark.slow

CONFIG = MelConfig()
SOUNDS = {"short": babble(0.05), "odd": babble(3.217), "silent": silence(1.0), "longer": babble(33.1)}


class Streamed:
    """A sound on its way: it has no samples, only pieces, and keeps the size of the largest that was read."""

    def __init__(self, sound: Waveform) -> None:
        self._sound, self.largest_sec = sound, 0.0

    def __getattr__(self, name: str):
        assert name != "samples", "the whole sound was read"
        return getattr(self._sound, name)

    def resample(self, rate_hz: int) -> "Streamed":
        assert rate_hz == self._sound.rate_hz
        return self

    def pieces(self, step: int, *, before: int = 0, after: int = 0):
        for begin, samples in self._sound.pieces(step, before=before, after=after):
            self.largest_sec = max(self.largest_sec, len(samples) / RATE_HZ)
            yield begin, samples


def whole_power(sound: Waveform) -> torch.Tensor:
    return mel_power(torch.from_numpy(np.array(sound.samples)), CONFIG)


@pytest.mark.parametrize("name", SOUNDS)
def test_level(name):
    sound = SOUNDS[name]
    wanted, found = measure_level(whole_power(sound)), level_of(Streamed(sound), CONFIG, step=70)
    torch.testing.assert_close(found.reference, wanted.reference, atol=0, rtol=1e-5)
    torch.testing.assert_close(found.band_mean, wanted.band_mean, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        frame_power_of(sound, CONFIG, step=70), whole_power(sound).mean(-1), atol=0, rtol=1e-5
    )


@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30_000, 1001)])
@pytest.mark.parametrize("name", SOUNDS)
def test_loudness_for_the_expression_generator(name, rate):
    sound, power = SOUNDS[name], whole_power(SOUNDS[name])
    loud = loudness(power, measure_level(power))[:, None]
    wanted = at_frame_rate(loud, Fraction(100), rate, max(1, frames_at(sound, rate)))[:, 0].numpy()
    streamed = Streamed(sound)
    np.testing.assert_allclose(loudness_of(streamed, rate), wanted, atol=1e-6)
    assert streamed.largest_sec < 31


@pytest.mark.parametrize("step", [70, 3000])
@pytest.mark.parametrize("name", SOUNDS)
def test_log_mel_features(name, step):
    """The reference goes through frames one by one."""
    sound, rate = SOUNDS[name], Fraction(25)
    power = whole_power(sound)
    level = measure_level(power)
    bands, loud = levelled(power, level).unflatten(-1, (BANDS, 2)).mean(-1), loudness(power, level)
    last = len(power) - 1
    wanted = [
        torch.cat(
            [
                *(
                    bands[[min(max(4 * k + half + i, 0), last) for i in (-1, 0, 1)]].mean(0)
                    for half in (-1, 1)
                ),
                loud[[min(max(4 * k + i, 0), last) for i in (-1, 0, 1)]].mean(0, keepdim=True),
            ]
        )
        for k in range(round(sound.duration_sec * rate))
    ]
    found = LogMelFeatures(step=step).encode(Streamed(sound), rate)
    torch.testing.assert_close(found, torch.stack(wanted), atol=1e-5, rtol=1e-5)


@pytest.fixture(scope="module", params=["group", "layer"])
def hubert(request, tmp_path_factory):
    transformers = pytest.importorskip("transformers", reason="needs pip install 'auteur-face[full]'")
    torch.manual_seed(0)
    config = transformers.HubertConfig(
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        conv_dim=(8,) * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
        feat_extract_norm=request.param,
    )
    path = tmp_path_factory.mktemp("hubert")
    transformers.HubertModel(config).save_pretrained(path)
    return transformers.HubertModel.from_pretrained(path).eval(), path


@torch.no_grad()
def states_of_all(model: torch.nn.Module, sound: Waveform, rate: Fraction, window: int, margin: int):
    """Windows in rows of 20 ms, cut from one array of the whole normalised sound."""
    samples = sound.samples.astype(np.float64)
    samples = (samples - samples.mean()) / np.sqrt(samples.var() + 1e-7)
    padded = torch.from_numpy(np.pad(samples, (200, 200 + 320)).astype(np.float32))
    count, parts = (len(padded) - 400) // 320 + 1, []
    for first in range(0, count, window):
        start, stop = max(first - margin, 0), min(first + window + margin, count)
        states = model(padded[None, start * 320 : (stop - 1) * 320 + 400]).last_hidden_state[0]
        parts.append(states[first - start : first - start + window])
    return at_frame_rate(torch.cat(parts), Fraction(50), rate, frames_at(sound, rate))


@pytest.mark.parametrize(("window_sec", "margin_sec"), [(1, 0), (1, 1), (2, 1), (30, 2)])
@pytest.mark.parametrize("name", SOUNDS)
def test_transformers_features(hubert, name, window_sec, margin_sec):
    model, path = hubert
    sound = Streamed(SOUNDS[name])
    features = TransformersSpeechFeatures(path, window_sec=window_sec, margin_sec=margin_sec)
    for rate in (Fraction(25), Fraction(200)):
        wanted = states_of_all(model, SOUNDS[name], rate, window_sec * 50, margin_sec * 50)
        torch.testing.assert_close(features.encode(sound, rate), wanted, atol=1e-4, rtol=1e-4)
    assert sound.largest_sec < 35
