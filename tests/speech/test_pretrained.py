from fractions import Fraction

import numpy as np
import pytest
import torch

from auteur.errors import UsageError, WeightsError
from auteur.speech.pretrained import TransformersSpeechFeatures

from .voices import RATE_HZ, babble, waveform

pytestmark = pytest.mark.slow

transformers = pytest.importorskip("transformers", reason="needs pip install 'auteur-face[full]'")

TINY = {
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "conv_dim": (8,) * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 2,
}


@pytest.fixture(scope="module", params=["Wav2Vec2", "Hubert"])
def folder(request, tmp_path_factory):
    torch.manual_seed(0)
    config = getattr(transformers, f"{request.param}Config")(**TINY)
    path = tmp_path_factory.mktemp("model") / request.param
    getattr(transformers, f"{request.param}Model")(config).save_pretrained(path)
    return path


def states_of(folder, samples) -> torch.Tensor:
    """What transformers itself makes of a sound, a row every 20 ms around n * 20 ms."""
    normalised = transformers.Wav2Vec2FeatureExtractor(do_normalize=True)(samples, sampling_rate=RATE_HZ)
    padded = np.pad(normalised.input_values[0], (200, 200 + 320))
    with torch.no_grad():
        model = transformers.AutoModel.from_pretrained(folder).eval()
        return model(torch.from_numpy(padded).float()[None]).last_hidden_state[0]


@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30_000, 1_001)])
def test_features_are_the_networks_states_at_the_times_of_the_frames(folder, rate):
    features = TransformersSpeechFeatures(folder)
    speech = babble(1.3)
    encoded = features.encode(speech, rate)
    assert encoded.shape == (round(1.3 * rate), features.dim) == (round(1.3 * rate), 16)
    assert encoded.dtype == torch.float32
    states = states_of(folder, speech.samples).numpy()
    times = np.arange(len(encoded)) / float(rate) * 50
    wanted = [np.interp(times, np.arange(len(states)), column) for column in states.T]
    np.testing.assert_allclose(encoded.numpy(), np.stack(wanted, axis=1), atol=1e-4)


def test_short_silent_and_long_speech(folder):
    features = TransformersSpeechFeatures(folder, window_sec=1, margin_sec=1)
    short, silent = babble(0.06), waveform(np.zeros(RATE_HZ))
    for speech in (short, silent):
        assert len(features.encode(speech, Fraction(25))) == round(speech.duration_sec * 25)
        rows = TransformersSpeechFeatures(folder).encode(speech, Fraction(25))
        states = states_of(folder, speech.samples)
        assert len(rows) == round(speech.duration_sec * 25)
        torch.testing.assert_close(rows[0], states[0], atol=1e-3, rtol=0)
    assert features.encode(babble(5.2), Fraction(25)).shape == (130, 16)


def test_overlap_hides_the_seams(folder):
    speech = babble(4.0)
    whole = TransformersSpeechFeatures(folder).encode(speech, Fraction(25))
    cut = TransformersSpeechFeatures(folder, window_sec=2, margin_sec=1).encode(speech, Fraction(25))
    apart = TransformersSpeechFeatures(folder, window_sec=2, margin_sec=0).encode(speech, Fraction(25))
    seam = slice(46, 54)
    assert (cut - whole)[seam].abs().mean() < (apart - whole)[seam].abs().mean()


def test_folders_without_a_speech_model_are_refused(tmp_path):
    with pytest.raises(WeightsError, match="holds no speech model"):
        TransformersSpeechFeatures(tmp_path / "nothing")
    text = transformers.BertConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, vocab_size=40
    )
    transformers.BertModel(text).save_pretrained(tmp_path / "text")
    with pytest.raises(WeightsError, match=r"wav2vec 2\.0 or HuBERT"):
        TransformersSpeechFeatures(tmp_path / "text")


def test_senseless_windows_are_refused(folder):
    with pytest.raises(UsageError, match="window_sec is 0"):
        TransformersSpeechFeatures(folder, window_sec=0)
