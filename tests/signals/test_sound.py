"""Sound in pieces: every sample where it belongs, however it is cut."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auteur.errors import UsageError
from auteur.signals import Waveform
from auteur.signals.sound import overlapping


@pytest.mark.slow
@given(
    count=st.integers(1, 60),
    block=st.integers(1, 70),
    step=st.integers(1, 70),
    before=st.integers(0, 80),
    after=st.integers(0, 80),
)
def test_pieces_hold_what_lies_around_them(count, block, step, before, after):
    samples = np.arange(count, dtype=np.float32)
    blocks = (samples[start : start + block] for start in range(0, count, block))
    cut = list(overlapping(blocks, count, step, before=before, after=after))
    assert len(cut) == -(-count // step)
    for number, (begin, piece) in enumerate(cut):
        assert begin == max(number * step - before, 0)
        np.testing.assert_array_equal(piece, samples[begin : (number + 1) * step + after])
        assert not piece.flags.writeable
    sound = Waveform(samples=samples, rate_hz=16_000)
    for ours, theirs in zip(cut, sound.pieces(step, before=before, after=after), strict=True):
        assert ours[0] == theirs[0]
        np.testing.assert_array_equal(ours[1], theirs[1])


@pytest.mark.parametrize("sizes", [(0, 0, 0), (1, -1, 0), (1, 0, -1)])
def test_senseless_pieces_are_refused(sizes):
    step, before, after = sizes
    with pytest.raises(UsageError, match=r"must be 1 or more, the\s+others 0 or more"):
        next(Waveform(samples=np.ones(5), rate_hz=8_000).pieces(step, before=before, after=after))


def test_a_waveform_is_its_own_memory():
    sound = Waveform(samples=np.ones(5), rate_hz=8_000)
    assert Waveform.of(sound) is sound and sound.sample_count == 5
