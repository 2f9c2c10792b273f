from fractions import Fraction

import numpy as np
import pytest
from safetensors.torch import save_file

from auteur.errors import UsageError, WeightsError
from auteur.expression.acoustic_features import BANDS, acoustic_features
from auteur.expression.adjust import Adjustment
from auteur.expression.au_generators import CompactAUGenerator, RegressorAUGenerator
from auteur.expression.audio_lm.codec import VOICE_EMOTIONS
from auteur.expression.audio_lm.constrained_decoder import ConstrainedDecoder
from auteur.expression.regressor import Regressor
from auteur.expression.speech_to_au import SpeechToAU
from auteur.weights import load_model, metadata_of

from .tiny_models import TINY, noise, silence, tiny_audio_lm, tiny_regressor, voice, waveform

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["audio_lm", "regressor"])
def model(request) -> SpeechToAU:
    if request.param == "regressor":
        return SpeechToAU(RegressorAUGenerator(tiny_regressor()))
    return SpeechToAU(CompactAUGenerator(ConstrainedDecoder(tiny_audio_lm())))


@pytest.mark.parametrize("seconds", [0.1, 0.31, 1.0, 2.96, 8.0, 8.2, 19.7])
def test_the_track_is_as_long_as_the_speech(model, seconds):
    speech = voice(seconds)
    direction = model(speech)
    assert direction.track.frames == max(1, round(speech.duration_sec * 25))
    assert direction.track.rate == 25
    assert direction.track.convention == "feafa24"
    assert direction.track.values.min() >= 0
    assert direction.track.values.max() <= 1
    assert direction.emotion in VOICE_EMOTIONS
    assert 0 < direction.probability <= 1


def test_pieces_add_up_to_the_track_and_have_times(model):
    speech = voice(9.5)
    pieces = list(model.stream(speech))
    whole = np.concatenate([piece.values for piece in pieces])
    np.testing.assert_array_equal(whole, model(speech).track.values)
    at = Fraction(0)
    for piece in pieces:
        assert piece.start_sec == at
        at += piece.duration_sec


def test_speech_that_begins_later_keeps_its_times(model):
    late = voice(3).slice(1, 3)
    direction = model(late)
    assert direction.track.start_sec == 1
    assert direction.track.frames == 50


def test_the_emotion_is_predicted_before_the_first_piece():
    made = []

    class Counting(CompactAUGenerator):
        def generate(self, utterance, emotion):
            generated = super().generate(utterance, emotion)

            def counted():
                for frame in generated.frames:
                    made.append(frame)
                    yield frame

            return type(generated)(
                probabilities=generated.probabilities, rate=generated.rate, frames=counted()
            )

    stream = SpeechToAU(Counting(ConstrainedDecoder(tiny_audio_lm()))).stream(voice(6))
    assert stream.emotion in VOICE_EMOTIONS
    assert not made
    next(iter(stream))
    assert len(made) < 5
    assert stream.finish().track.frames == 150
    assert len(made) == 30


def test_a_requested_emotion_overrides_the_recognised_one(model):
    given = model(voice(2), emotion="Surprise".lower() + "d")
    assert (given.emotion, given.probability) == ("surprised", 1.0)
    assert model(voice(2), emotion="joy").emotion == "happy"
    with pytest.raises(UsageError, match="unknown emotion 'wistful'"):
        model(voice(2), emotion="wistful")


@pytest.mark.parametrize("sound", [silence(1), noise(1), noise(1, gain=1e-5), silence(0.1), noise(12)])
def test_no_voice_gives_a_neutral_face_that_rests(model, sound):
    direction = model(sound)
    assert direction.emotion == "neutral"
    assert direction.probability == 1
    assert not direction.track.values.any()
    assert len(direction.notes) == 1
    assert model(sound, emotion="angry").emotion == "neutral"


def test_a_word_too_short_for_an_emotion_is_neutral(model):
    direction = model(voice(0.3))
    assert direction.emotion == "neutral"
    assert "too short" in direction.notes[0]
    assert model(voice(0.3), emotion="happy").emotion == "happy"


def test_a_held_tune_is_neutral_unless_an_emotion_is_given(model):
    steps = np.repeat([220.0, 247.0, 277.0, 220.0], 8_000)
    phase = 2 * np.pi * np.cumsum(steps) / 16_000
    tune = waveform(0.1 * sum(np.sin(k * phase) / k for k in range(1, 8)))
    sung = model(tune)
    assert sung.emotion == "neutral"
    assert sung.notes == ("the recording sounds like song or music: neutral; name an emotion for it",)
    assert model(tune, emotion="happy").emotion == "happy"
    assert not model(voice(2)).notes


def test_less_than_a_tenth_of_a_second_is_refused(model):
    with pytest.raises(UsageError, match=r"at least 0\.1 s"):
        model(voice(0.09))


def test_quiet_recordings_give_the_same(model):
    loud, quiet = model(voice(2)), model(voice(2, gain=0.01))
    np.testing.assert_allclose(loud.track.values, quiet.track.values, atol=0.02)
    assert loud.emotion == quiet.emotion


def test_intensity_goes_from_neutral_to_the_emotion(model):
    speech = voice(2)
    none, half, full = (model(speech, emotion="angry", intensity=i).track.values for i in (0.0, 0.5, 1.0))
    np.testing.assert_allclose(none, model(speech, emotion="neutral").track.values)
    np.testing.assert_allclose(half, (none + full) / 2, atol=1e-6)
    with pytest.raises(UsageError, match=r"intensity is 1\.5"):
        model(speech, intensity=1.5)


def test_adjustments_are_applied(model):
    track = model(voice(2), adjustment=Adjustment(offset={"AU12": 0.3}, mute=("AU26",))).track
    assert track.channel("lip_corner_pull_left").min() >= 0.3 - 1e-6
    assert not track.channel("jaw_open").any()


def test_chunks_leave_no_jump_where_they_meet(model):
    """Steps inside the overlap are no larger than elsewhere."""
    values = model(voice(20)).track.values
    steps = np.abs(np.diff(values, axis=0)).max(axis=1)
    assert steps.max() <= 0.21  # a fifth of the largest change in 0.2 s


def test_models_of_a_path(tmp_path):
    lm, plain = tiny_audio_lm(), tiny_regressor()
    save_file(lm.state_dict(), tmp_path / "lm.safetensors", metadata=metadata_of(lm.kind, TINY))
    save_file(plain.state_dict(), tmp_path / "r.safetensors", metadata=metadata_of(plain.kind, plain.config))
    assert load_model(tmp_path / "r.safetensors", Regressor).config == plain.config
    for name in ("lm", "r"):
        assert SpeechToAU.from_path(tmp_path / f"{name}.safetensors")(voice(1)).track.frames == 25
    with pytest.raises(WeightsError, match="none"):
        SpeechToAU.from_path(tmp_path / "none.safetensors")
    with pytest.raises(UsageError, match="adapters are for transformers models"):
        SpeechToAU.from_path(tmp_path / "lm.safetensors", adapter=tmp_path)
    with pytest.raises(UsageError, match="no model 'huge'"):
        SpeechToAU.shipped("huge")


def test_acoustic_features_are_the_same_in_pieces_and_mark_silence():
    speech = voice(61.3)
    whole = acoustic_features(speech)
    assert len(whole.rows) == -(-int(61.3 * 100) // 2)
    shorter = acoustic_features(waveform(speech.samples[: 16_000 * 3]))
    np.testing.assert_allclose(whole.rows[:140, :BANDS], shorter.rows[:140, :BANDS], atol=0.05)
    assert acoustic_features(silence(1)).is_silent
    assert not whole.is_silent
    assert whole.voiced_share > 0.3
    assert acoustic_features(noise(2)).voiced_share < 0.04


def test_hearing_does_not_depend_on_loudness():
    np.testing.assert_allclose(
        acoustic_features(voice(1)).rows, acoustic_features(voice(1, gain=0.02)).rows, atol=0.02
    )
