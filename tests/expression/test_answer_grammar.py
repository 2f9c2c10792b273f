import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from auteur.errors import UsageError
from auteur.expression.audio_lm import codec, vocabulary
from auteur.expression.audio_lm.decoding import AnswerLogitsProcessor, token_grammar
from auteur.expression.audio_lm.grammar import AnswerGrammar, TokenGrammar
from auteur.expression.audio_lm.prompts import Order, answer_text, layout, read_answer

from .test_au_codec import texts

GOOD = answer_text(
    Order.EMOTION_THEN_UNITS, emotion="calm", frames=[((8, 0.32), (11, 0.5)), (), ((0, 0.01), (23, 1.0))]
)


def grammar_of(order: Order = Order.EMOTION_THEN_UNITS, frames: int = 3) -> AnswerGrammar:
    return AnswerGrammar(layout(order, frames=frames))


@pytest.mark.slow
@pytest.mark.parametrize("order", list(Order))
@given(some=texts, emotion=st.sampled_from(codec.VOICE_EMOTIONS))
def test_every_right_answer_is_allowed(order, some, emotion):
    grammar = grammar_of(order, len(some))
    state = grammar.read(answer_text(order, emotion=emotion, frames=some))
    assert state is not None
    assert grammar.is_over(state)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("calm", "bliss"),
        ("(8,", "(24,"),
        ("(8,", "(08,"),
        ("(8,.32)(11,", "(11,.32)(8,"),
        ("(8,.32)(11,", "(11,.32)(11,"),
        (".50", ".00"),
        (".50", "0.50"),
        (".50", ".5"),
        ("1.00", "1.01"),
        ("[]\n", ""),
        ("[]\n", "[]\n[]\n"),
        ("Action", "action"),
        ("\n[]", "[]"),
        ("(8,.32)", "(8,.32"),
        ("]\n[]", ","),
    ],
)
def test_every_wrong_answer_is_not(old, new):
    assert old in GOOD
    grammar = grammar_of()
    state = grammar.read(GOOD.replace(old, new, 1))
    assert state is None or not grammar.is_over(state)


def test_nothing_may_follow_the_end():
    grammar = grammar_of()
    state = grammar.read(GOOD)
    assert grammar.step(state, "\n") is None


def random_answer(tokens: TokenGrammar, grammar: AnswerGrammar, random: np.random.Generator) -> str:
    """Walks at random, closing frames often enough to end."""
    state, text = grammar.start, ""
    while not grammar.is_over(state):
        token = int(random.choice(tokens.allowed(grammar, state)))
        state = tokens.step(grammar, state, token)
        text += tokens.pieces[token]
    assert tokens.allowed(grammar, state).tolist() == [tokens.end]
    return text


@pytest.mark.slow
@pytest.mark.parametrize("order", list(Order))
@given(seed=st.integers(0, 2**32 - 1), frames=st.integers(1, 9))
@settings(max_examples=30, deadline=None)
def test_whatever_is_chosen_parses(order, seed, frames):
    text = random_answer(vocabulary.grammar(), grammar_of(order, frames), np.random.default_rng(seed))
    answer = read_answer(text, frames=frames)
    assert answer.is_complete
    assert codec.frames_text(answer.frames) in text
    assert (answer.emotion is not None) == (order in (Order.EMOTION_THEN_UNITS, Order.UNITS_THEN_EMOTION))


@pytest.fixture(scope="module")
def tokenizer():
    return bpe_tokenizer()


def bpe_tokenizer():
    """A byte-level BPE as Qwen's, learned from a few answers, with digits on their own."""
    tokenizers = pytest.importorskip("tokenizers", reason="comes with the extra full")
    transformers = pytest.importorskip("transformers", reason="the extra full")
    random = np.random.default_rng(0)
    sample = [
        answer_text(
            Order.EMOTION_THEN_UNITS,
            emotion=str(random.choice(codec.VOICE_EMOTIONS)),
            frames=[tuple((i, int(random.integers(1, 101)) / 100) for i in range(0, 24, 3))] * 4 + [()],
        )
        for _ in range(30)
    ]
    plain = tokenizers.Tokenizer(tokenizers.models.BPE())
    plain.pre_tokenizer = tokenizers.pre_tokenizers.Sequence(
        [
            tokenizers.pre_tokenizers.Split(
                tokenizers.Regex(r"\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s+"), "isolated"
            ),
            tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    plain.decoder = tokenizers.decoders.ByteLevel()
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=420,
        show_progress=False,
        special_tokens=[
            "<|endoftext|>",
            "<|im_start|>",
            "<|im_end|>",
            "<|audio_bos|>",
            "<|AUDIO|>",
            "<|audio_eos|>",
        ],
        initial_alphabet=tokenizers.pre_tokenizers.ByteLevel.alphabet(),
    )
    plain.train_from_iterator(sample, trainer)
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=plain,
        **{"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"},
    )


@pytest.mark.parametrize("order", list(Order))
def test_whatever_is_chosen_from_a_bpe_vocabulary_parses(tokenizer, order):
    end = tokenizer.eos_token_id
    tokens = token_grammar(tokenizer, end=end, size=len(tokenizer))
    for seed in range(5):
        text = random_answer(tokens, grammar_of(order, 4), np.random.default_rng(seed))
        assert read_answer(text, frames=4).is_complete


def test_the_tokens_of_a_right_answer_are_allowed(tokenizer):
    tokens = token_grammar(tokenizer, end=tokenizer.eos_token_id, size=len(tokenizer))
    grammar = grammar_of()
    state = grammar.start
    for token in [*tokenizer.encode(GOOD, add_special_tokens=False), tokenizer.eos_token_id]:
        assert token in tokens.allowed(grammar, state)
        state = tokens.step(grammar, state, token)
    assert any(len(piece) > 3 for piece in tokens.pieces.values())


def test_the_processor_holds_each_row_to_its_own_grammar(tokenizer):
    tokens = token_grammar(tokenizer, end=tokenizer.eos_token_id, size=len(tokenizer))
    grammars = [grammar_of(Order.UNITS, 1), grammar_of(Order.EMOTION_THEN_UNITS, 2)]
    processor = AnswerLogitsProcessor(tokens, grammars, prompt_length=2)
    ids = torch.zeros(2, 2, dtype=torch.long)
    torch.manual_seed(0)
    for _ in range(900):
        scores = processor(ids, torch.randn(2, len(tokenizer)))
        best = scores.argmax(-1)
        assert torch.isfinite(scores[torch.arange(2), best]).all()
        ids = torch.cat([ids, best[:, None]], 1)
        if (best == tokenizer.eos_token_id).all():
            break
    written = [tokenizer.decode(row, skip_special_tokens=True) for row in ids[:, 2:]]
    for text, frames in zip(written, (1, 2), strict=True):
        assert read_answer(text, frames=frames).is_complete


def test_the_processor_refuses_what_was_not_allowed(tokenizer):
    tokens = token_grammar(tokenizer, end=tokenizer.eos_token_id, size=len(tokenizer))
    processor = AnswerLogitsProcessor(tokens, [grammar_of()], prompt_length=0)
    wrong = torch.tensor([tokenizer.encode("No.", add_special_tokens=False)])
    with pytest.raises(UsageError, match="not allowed"):
        processor(wrong, torch.zeros(1, len(tokenizer)))


def test_a_tokenizer_without_the_letters_is_refused():
    grammar = TokenGrammar({1: "a", 2: "b"}, end=0, size=3)
    with pytest.raises(UsageError, match="no token that can follow"):
        grammar.allowed(grammar_of(), grammar_of().start)


@pytest.mark.parametrize(
    "pieces",
    [
        vocabulary.PIECES,
        # One closes two frames, and nothing ends an answer but a token that closes the last two.
        (codec.UNITS_LEAD + "[", "]\n[", "]\n[]\n[", "]\n[]"),
    ],
)
@pytest.mark.parametrize("typed", ["", "(0,.50)"])
def test_what_was_worked_out_with_more_frames_to_come_still_holds(pieces, typed):
    vocabulary_of = {number: piece for number, piece in enumerate(pieces, start=1)}
    kept = TokenGrammar(vocabulary_of, end=0, size=len(pieces) + 1)
    for frames in range(12, 0, -1):
        grammar = grammar_of(Order.UNITS, frames)
        state = grammar.read(codec.UNITS_LEAD + "[" + typed)
        alone = TokenGrammar(vocabulary_of, end=0, size=len(pieces) + 1)
        follow = [
            token
            for token, piece in vocabulary_of.items()
            if (after := grammar.read(piece, state)) is not None
            and (grammar.is_over(after) or any(grammar.read(p, after) is not None for p in pieces))
        ]
        for tokens in (kept, alone):
            if follow:
                assert tokens.allowed(grammar, state).tolist() == follow
            else:
                with pytest.raises(UsageError, match="no token that can follow"):
                    tokens.allowed(grammar, state)


def test_frames_far_from_the_end_are_worked_out_once():
    tokens, text = vocabulary.grammar(), codec.UNITS_LEAD + "["
    early, late = (grammar_of(Order.UNITS, frames) for frames in (40, 9))
    assert tokens.allowed(early, early.read(text)) is tokens.allowed(late, late.read(text))


@pytest.mark.slow
@given(some=texts, emotion=st.sampled_from(codec.VOICE_EMOTIONS))
def test_our_own_vocabulary_writes_every_answer(some, emotion):
    for order in Order:
        text = answer_text(order, emotion=emotion, frames=some)
        assert vocabulary.text_of(vocabulary.tokens_of(text)) == text


def test_our_own_vocabulary_writes_nothing_else():
    with pytest.raises(UsageError, match="no text of the codec"):
        vocabulary.tokens_of("Action Units:\n[(8,.5)]")


def test_sidelights_follow_the_text():
    text = answer_text(Order.UNITS, emotion="calm", frames=[((8, 0.3),), ((9, 0.4),)])
    lights = vocabulary.sidelights(vocabulary.tokens_of(text))
    assert lights.frame.tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert lights.previous[2, 8] == 0
    assert lights.previous[3, 8] == pytest.approx(0.3)
