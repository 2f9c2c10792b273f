from dataclasses import asdict

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from auteur.errors import UsageError, WeightsError
from auteur.expression.acoustic_features import CHANNELS
from auteur.expression.audio_lm import codec, stepping, vocabulary
from auteur.expression.audio_lm.codec import VOICE_EMOTIONS
from auteur.expression.audio_lm.compact import AudioLM
from auteur.expression.audio_lm.constrained_decoder import (
    ConstrainedDecoder,
    PartialAnswer,
    Passage,
    whole_answer,
)
from auteur.expression.audio_lm.prompts import Order, read_answer
from auteur.expression.audio_lm.stepping import Stepper
from auteur.weights import load_model, metadata_of

from .tiny_models import TINY, tiny_audio_lm

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model() -> AudioLM:
    return tiny_audio_lm()


@pytest.fixture(scope="module")
def rows() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).normal(0, 1, (120, CHANNELS)).astype(np.float32))


@pytest.mark.parametrize("order", list(Order))
def test_answers_parse_whatever_the_weights(model, rows, order):
    emotion = "contempt" if order is Order.UNITS_GIVEN_EMOTION else None
    frames, answer = whole_answer(ConstrainedDecoder(model), rows, frames=12, order=order, emotion=emotion)
    read = read_answer(answer.text, frames=12)
    assert read.is_complete
    assert read.frames == frames
    assert read.emotion == answer.emotion


def test_writing_step_by_step_gives_the_logits_of_the_whole_text(model, rows):
    from auteur.lab.data.audio_lm_batches import padded

    decoder = ConstrainedDecoder(model)
    _, answer = whole_answer(decoder, rows, frames=6, order=Order.UNITS)
    batch = padded([answer.tokens], [-1]) | {
        "prompt": torch.tensor([[vocabulary.order_token(Order.UNITS), vocabulary.PAD]]),
        "rows": rows[None],
        "heard": decoder.emotion_log_probabilities(rows)[None],
        "frames": torch.tensor(6),
        "offset": torch.tensor(0),
    }
    with torch.no_grad():
        whole = model(batch)[0]
        prefix = model.prefix(batch["prompt"], batch["rows"], batch["heard"], 6)
        logits, cache = model.run(prefix.states, prefix.heard)
        step, reader, stepwise = Stepper(model, prefix, cache), vocabulary.Reader(), [logits[0, -1].numpy()]
        for token in answer.tokens:
            reader.read(token)
            stepwise.append(step([token], [reader])[0])
    np.testing.assert_allclose(np.stack(stepwise), whole.numpy(), atol=1e-4, rtol=1e-4)


def test_a_stepper_makes_room_for_long_texts(model, rows, monkeypatch):
    decoder = ConstrainedDecoder(model)
    plenty = whole_answer(decoder, rows, frames=12, order=Order.UNITS)
    monkeypatch.setattr(stepping, "_ROOM", 1)  # so that it is doubled on the way
    assert len(plenty[1].tokens) > 2 * (12 + 3)
    narrow = whole_answer(decoder, rows, frames=12, order=Order.UNITS)
    assert narrow[1].tokens == plenty[1].tokens


def test_passages_are_answered_together_as_they_are_alone(model, rows):
    decoder = ConstrainedDecoder(model)
    pieces = [rows, rows.flip(0), rows[:100]]  # the last ends early
    words = [("calm",), ("angry",), VOICE_EMOTIONS]
    passages = [
        Passage(one, decoder.emotion_log_probabilities(one), word)
        for one, word in zip(pieces, words, strict=True)
    ]
    found: dict[int, list] = {number: [] for number in range(len(pieces))}
    for number, frame in decoder.decode_batch(passages, frames=12):
        found[number].append(frame)
    lengths = set()
    for number, passage in enumerate(passages):
        answer = PartialAnswer()
        alone = decoder.frames(
            passage.rows, passage.heard, frames=12, emotions=passage.emotions, answer=answer
        )
        assert found[number] == list(alone)
        assert passage.answer.tokens == answer.tokens
        lengths.add(len(answer.tokens))
    assert len(lengths) > 1  # so some went on without the others


def test_frames_come_while_the_rest_is_written(model, rows):
    decoder, answer = ConstrainedDecoder(model), PartialAnswer()
    stream = decoder.frames(
        rows, decoder.emotion_log_probabilities(rows), frames=12, order=Order.UNITS, answer=answer
    )
    next(stream)
    first = len(answer.tokens)
    list(stream)
    assert first < len(answer.tokens) / 2


def test_emotions_can_be_restricted(model, rows):
    decoder, answer = ConstrainedDecoder(model), PartialAnswer()
    heard = decoder.emotion_log_probabilities(rows)
    next(decoder.frames(rows, heard, frames=12, emotions=("sad", "angry"), answer=answer))
    assert answer.probabilities is not None
    allowed = [VOICE_EMOTIONS.index(word) for word in ("sad", "angry")]
    assert answer.probabilities.sum() == pytest.approx(1)
    assert answer.probabilities[allowed].sum() == pytest.approx(1)


def test_bad_requests(model, rows):
    decoder = ConstrainedDecoder(model)
    heard = decoder.emotion_log_probabilities(rows)
    with pytest.raises(UsageError, match="writes 1 to 64"):
        next(decoder.frames(rows, heard, frames=65))
    with pytest.raises(UsageError, match="needs given emotion"):
        next(decoder.frames(rows, heard, frames=5, order=Order.UNITS_GIVEN_EMOTION))
    with pytest.raises(UsageError, match="active_from is 1"):
        ConstrainedDecoder(model, active_from=1)


def test_weights_and_sizes_come_back(model, rows, tmp_path):
    path = tmp_path / "lm.safetensors"
    save_file(model.state_dict(), path, metadata=metadata_of(model.kind, TINY))
    loaded = load_model(path, AudioLM)
    assert asdict(loaded.config) == asdict(TINY)
    torch.testing.assert_close(
        loaded.ear.emotion_log_probabilities(rows), model.ear.emotion_log_probabilities(rows)
    )
    save_file(model.state_dict(), path)
    with pytest.raises(WeightsError, match="no audio lm config"):
        load_model(path, AudioLM)


def test_the_default_size_fits_in_the_package():
    with torch.device("meta"):
        size = sum(v.numel() for v in AudioLM().state_dict().values()) * 2
    assert size <= 8_000_000


def test_the_ear_does_not_mind_silence_around_speech(model, rows):
    quiet = torch.zeros(100, CHANNELS)
    quiet[:, :80] = -1.8
    around = torch.cat([quiet, rows, quiet])
    torch.testing.assert_close(
        model.ear.emotion_log_probabilities(around),
        model.ear.emotion_log_probabilities(torch.cat([quiet[:5], rows, quiet[:5]])),
        atol=1e-5,
        rtol=1e-5,
    )


def test_it_learns_to_write_its_examples(rows):
    """A few steps on one answer make that answer likelier: gradients reach everything but the ear."""
    from auteur.expression.audio_lm.prompts import answer_text
    from auteur.lab.data.audio_lm_batches import padded
    from auteur.lab.train.audio_lm import answer_loss, blurred_numbers

    model = tiny_audio_lm().train()
    model.ear.requires_grad_(False)
    text = answer_text(Order.EMOTION_THEN_UNITS, emotion="happy", frames=[((11, 0.5), (12, 0.5))] * 6)
    batch = padded([vocabulary.tokens_of(text)], [-1]) | {
        "prompt": torch.tensor([[vocabulary.order_token(Order.EMOTION_THEN_UNITS), vocabulary.PAD]]),
        "rows": rows[None],
        "heard": torch.log_softmax(torch.zeros(1, len(VOICE_EMOTIONS)), -1),
        "frames": torch.tensor(6),
        "offset": torch.tensor(3),
    }
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(60):
        loss = answer_loss(model, batch, blurred_numbers(), 1.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.35 * losses[0]
    frames, answer = whole_answer(ConstrainedDecoder(model), rows, frames=6, order=Order.EMOTION_THEN_UNITS)
    assert answer.emotion == "happy"
    assert frames[2] and {i for i, _ in frames[2]} <= {11, 12}
    assert codec.read(answer.text).frames == frames
