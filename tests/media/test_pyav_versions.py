"""What PyAV 18 and 19 give differently comes out of `media` the same."""

from fractions import Fraction

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st
from media_samples import encode, write_clip

from auteur.media import VideoReader, probe, read_mark_text
from auteur.media.budget import DEFAULT_BUDGET
from auteur.media.container import fraction_of, open_container, stream_sec, video_stream
from auteur.media.source import open_source


def ratios(numerator, denominator):
    """What PyAV may give for a ratio; 18.0 has no type of its own."""
    own = [av.AVRational(numerator, denominator)] if hasattr(av, "AVRational") else []
    return [*own, *([Fraction(numerator, denominator)] if denominator else [])]


@given(st.fractions(min_value=-1000, max_value=1000, max_denominator=100_000).filter(bool))
def test_a_ratio_stays_exact(ratio):
    for given_by_pyav in ratios(ratio.numerator, ratio.denominator):
        assert fraction_of(given_by_pyav) == ratio
        assert type(fraction_of(given_by_pyav)) is Fraction


@pytest.mark.parametrize("terms", [(0, 1), (1, 0), (-1, 0), (0, 0)])
def test_a_ratio_that_is_not_stated_is_none(terms):
    assert all(fraction_of(ratio) is None for ratio in [*ratios(*terms), None])


def test_times_and_rates_are_fractions(tmp_path, mark):
    path = write_clip(tmp_path / "clip.mp4", mark, rate=Fraction(30000, 1001))
    info = probe(path)
    assert (type(info.frame_rate), info.frame_rate) == (Fraction, Fraction(30000, 1001))
    assert type(info.duration_sec) is Fraction
    with VideoReader(path) as video:
        assert {type(frame.time_sec) for frame in video} == {Fraction}


def test_a_tick_beyond_32_bits_is_not_rounded(tmp_path):
    path = encode(tmp_path / "clip.mp4")
    with open_source(path, DEFAULT_BUDGET) as source, open_container(source, DEFAULT_BUDGET) as container:
        stream = video_stream(container, source.name)
        assert stream is not None
        tick_sec = fraction_of(stream.time_base)
        assert tick_sec is not None
        assert stream_sec(stream, 2**40 + 1) == (2**40 + 1) * tick_sec


def test_text_that_is_not_utf_8_stops_no_reader(tmp_path, mark):
    path = write_clip(tmp_path / "clip.mp4", mark)
    content = path.read_bytes()
    assert b'"Auteur"' in content
    path.write_bytes(content.replace(b'"Auteur"', b'"\xffuteur"'))
    assert probe(path).frames == 10
    assert '"\ufffduteur"' in (read_mark_text(path) or "")
