"""The message: it comes back from noise and gaps, and nothing else passes for one."""

from itertools import islice, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auteur.errors import UsageError
from auteur.watermark import code
from auteur.watermark.code import CODE_BITS, decode, encode

RUN_IDS = st.integers(0, 2**32 - 1).map("{:08x}".format)


@settings(max_examples=20, deadline=None)
@given(run_id=RUN_IDS, seed=st.integers(0, 2**32 - 1), lost=st.integers(0, 120))
def test_it_comes_back_with_a_tenth_wrong_or_up_to_120_bits_missing(run_id: str, seed: int, lost: int):
    random = np.random.default_rng(seed)
    places = random.permutation(CODE_BITS)
    received = encode(run_id).astype(np.float32)
    if lost:
        received[places[:lost]] = 0
    else:
        received[places[: CODE_BITS // 10]] *= -1
    assert decode(received) == run_id


def test_at_3_db_nearly_every_message_is_right():
    random = np.random.default_rng(0)
    deviation = np.sqrt(CODE_BITS / 64 / 2 / 10**0.3)
    sent = [f"{random.integers(2**32):08x}" for _ in range(30)]
    got = [decode(encode(one) + random.normal(0, deviation, CODE_BITS).astype(np.float32)) for one in sent]
    assert sum(map(str.__eq__, sent, map(str, got))) >= 29


def test_at_0_db_the_list_finds_what_the_likeliest_message_misses():
    random, deviation = np.random.default_rng(2), np.sqrt(CODE_BITS / 64 / 2)
    words = [f"{random.integers(2**32):08x}" for _ in range(30)]
    soft = [encode(one) + random.normal(0, deviation, CODE_BITS).astype(np.float32) for one in words]
    in_list = sum(map(str.__eq__, words, map(str, map(decode, soft))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(code, "LIST_SIZE", 1)
        alone = sum(map(str.__eq__, words, map(str, map(decode, soft))))
    assert in_list >= 26 and in_list >= alone + 4


def test_the_list_is_in_the_order_of_likelihood():
    soft = np.random.default_rng(3).normal(size=(72, 4)).astype(np.float32)
    messages = list(islice(code._likeliest(soft), 50))
    scores = [float(np.sum(code_bits(one) * soft.reshape(-1))) for one in messages]
    assert len(set(messages)) == 50
    assert all(first >= second - 1e-3 for first, second in pairwise(scores))
    others = np.random.default_rng(4).integers(0, 2**63, 50)
    assert max(float(np.sum(code_bits(int(one)) * soft.reshape(-1))) for one in others) < scores[-1]


def code_bits(message: int) -> np.ndarray:
    """Returns the code bits of any message of 64 bits as signs, by the shift register."""
    register, signs = [0] * 8, list[int]()
    for place in range(63, -9, -1):
        register = [message >> place & 1 if place >= 0 else 0, *register]
        for taps in (0o463, 0o535, 0o733, 0o745):
            signs.append(sum(bit * (taps >> 8 - i & 1) for i, bit in enumerate(register)) % 2 * 2 - 1)
        register.pop()
    return np.array(signs)


def test_noise_is_no_message():
    random = np.random.default_rng(1)
    assert [decode(noise) for noise in random.normal(size=(40, CODE_BITS)).astype(np.float32)] == [None] * 40


def test_nothing_received_is_no_message():
    assert decode(np.zeros(CODE_BITS, np.float32)) is None


@pytest.mark.parametrize("run_id", ["", "1234567", "123456789", "1234567g", "ABCDEF01", "12345678\n"])
def test_what_is_no_run_id_is_refused(run_id: str):
    with pytest.raises(UsageError, match="eight digits"):
        encode(run_id)
