from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auteur.expression.audio_lm.chunks import CHUNK_FRAMES, OVERLAP_FRAMES, Stitcher, chunks_of


@given(st.integers(1, 4000))
def test_chunks_cover_everything_and_overlap(frames):
    chunks = chunks_of(frames)
    assert chunks[0].first == 0
    assert chunks[-1].stop == frames
    assert all(chunk.frames <= CHUNK_FRAMES for chunk in chunks)
    for one, other in pairwise(chunks):
        assert one.stop - other.first >= OVERLAP_FRAMES
        assert one.first < other.first


def stitched(frames: int, value) -> np.ndarray:
    chunks = chunks_of(frames)
    stitcher = Stitcher(chunks, 2)
    parts = [
        list(stitcher.stitch(i, (np.array(value(i, t), np.float32) for t in range(chunk.first, chunk.stop))))
        for i, chunk in enumerate(chunks)
    ]
    return np.array([frame for part in parts for frame in part])


@given(st.integers(1, 300))
def test_chunks_that_agree_are_joined_as_they_are(frames):
    made = stitched(frames, lambda _, t: (t, -t))
    np.testing.assert_allclose(made[:, 0], np.arange(frames), atol=1e-4)


@pytest.mark.parametrize("frames", [41, 80, 137, 3000])
def test_chunks_that_disagree_fade(frames):
    made = stitched(frames, lambda i, _: (i % 2, 0))
    assert len(made) == frames
    assert np.abs(np.diff(made[:, 0])).max() <= 1 / (OVERLAP_FRAMES + 1) + 1e-6
