import io
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from auteur.errors import FormatError, InputError, UsageError
from auteur.facs import CONVENTIONS, au_track
from auteur.formats import (
    FexTable,
    LiveLinkTake,
    OpenFaceRow,
    OpenFaceWriter,
    fex_text,
    live_link_text,
    read_au_table,
    read_au_track,
    read_fex,
    read_live_link,
)
from auteur.formats.table import guard, unguard
from auteur.signals import AUTrack, PoseTrack
from auteur.signals.tracks import au_table_text

FLOAT32 = st.floats(width=32, allow_infinity=False)
MILLIONTHS = st.integers(0, 10**6).map(lambda number: number / 10**6) | st.just(float("nan"))
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12).map(str.strip)
UNITS = CONVENTIONS["pyfeat20"].channels


def lines_of(text):
    return io.StringIO(text, newline="")


def random_take(frames=5, rate=60, start=Fraction(37_424)):
    values = np.random.default_rng(frames).integers(0, 1000, (frames, 61)) / 1000
    shapes = au_track(values[:, :52], convention="arkit52", rate=rate)
    return LiveLinkTake(shapes=shapes, angles=values[:, 52:].astype(np.float32), first_timecode_sec=start)


@given(TEXT)
def test_guarding_is_undone_exactly(text):
    assert unguard(guard(text)) == text
    assert not guard("=cmd").startswith("=")
    assert guard("-1.5") == "-1.5"


@pytest.mark.slow
@given(
    hnp.arrays(np.float32, st.tuples(st.integers(1, 6), st.just(24)), elements=FLOAT32),
    st.fractions(1, 120, max_denominator=1001),
    st.fractions(0, 100, max_denominator=1001),
)
def test_our_table_keeps_every_number(values, rate, start):
    track = au_track(values, convention="feafa24", rate=rate, start_sec=start)
    assert read_au_table(lines_of(au_table_text(track))) == track


def test_our_table_may_hold_keyframes():
    text = "# auteur-au 1 convention=facs rate=25 start_sec=0\ntime_sec,AU12L\n0.2,0\n0.4,1\n"
    track = read_au_table(lines_of(text))
    assert (track.start_sec, track.frames) == (Fraction(1, 5), 6)
    np.testing.assert_allclose(track.channel("AU12L"), np.linspace(0, 1, 6), atol=1e-6)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("# auteur-au 1", "# auteur-au 2", "first line"),
        ("rate=25", "rate=25/0", "first line"),
        ("rate=25", "rate=0", "rates above 0"),
        ("rate=25", "rate=99999", "up to 1000"),
        ("=facs", "=fuchs", "unknown AU convention"),
        ("AU12L", "AU99", "no channel of facs"),
        ("AU12L", "", "non-empty"),
        ("time_sec", "seconds", "time_sec"),
        (",AU12L\n0.0,0\n0.04,1", "\n0.0\n0.04", "time_sec"),
        ("0.04,1", "0.0,1", "row 2"),
        ("0.04,1", "nan,1", "increase"),
        ("0.04,1", "0.04,1e300", "finite number"),
        ("0.04,1", "1e9,1", "too far apart"),
        ("0.0,0\n0.04,1\n", "", "no rows"),
    ],
)
def test_a_wrong_table_of_ours_is_a_format_error(old, new, message):
    text = "# auteur-au 1 convention=facs rate=25 start_sec=0\ntime_sec,AU12L\n0.0,0\n0.04,1\n"
    assert old in text
    with pytest.raises(FormatError, match=message):
        read_au_table(lines_of(text.replace(old, new)))


@pytest.mark.slow
@settings(deadline=None)
@given(st.data(), st.integers(1, 4))
def test_fex_survives_a_table(data, rows):
    table = FexTable(
        frames=tuple(data.draw(st.lists(st.integers(0, 10**6), min_size=rows, max_size=rows))),
        channels=UNITS,
        probabilities=data.draw(hnp.arrays(np.float64, (rows, 20), elements=MILLIONTHS)),
        extra={name: tuple(data.draw(TEXT) for _ in range(rows)) for name in ("input", "FaceScore", "")},
    )
    assert read_fex(lines_of(fex_text(table))) == table


def test_fex_takes_the_largest_face_and_fills_skipped_frames():
    text = "frame,FaceRectWidth,FaceRectHeight,AU01\n0,10,10,0.1\n0,20,20,0.0\n4,,,0.4\n"
    track = read_fex(lines_of(text)).au_track(rate=Fraction(30000, 1001))
    assert (track.rate, track.convention, track.channels) == (Fraction(30000, 1001), "pyfeat20", ("AU01",))
    np.testing.assert_allclose(track.values[:, 0], [0, 0.1, 0.2, 0.3, 0.4], atol=1e-6)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("frame,AU01\n", "no rows"),
        ("frame,x\n0,1\n", "such as AU01"),
        ("AU01,x\n0,1\n", "frame"),
        ("frame,AU01\n0,2.5\n", "probabilities"),
        ("frame,AU01\n0,-0.1\n", "probabilities"),
        ("frame,AU01,AU99\n0,0,0\n", "AU99"),
        ("frame,AU01\n-1,0\n", "whole number"),
    ],
)
def test_bad_fex_is_a_format_error(text, message):
    with pytest.raises(FormatError, match=message):
        read_fex(lines_of(text))


def test_fex_refuses_uneven_columns():
    table = FexTable(frames=(0,), channels=UNITS, probabilities=np.zeros((1, 20)), extra={"a": ()})
    with pytest.raises(UsageError, match="needs 1 rows"):
        fex_text(table)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 40), st.sampled_from([24, 30, 60]), st.integers(0, 80_000))
def test_live_link_survives_a_table(frames, rate, start):
    take = random_take(frames, rate, Fraction(start))
    again = read_live_link(lines_of(live_link_text(take)), rate=Fraction(rate))
    assert again.first_timecode_sec == start
    assert again.shapes == take.shapes
    np.testing.assert_array_equal(again.angles, take.angles)


def test_live_link_at_a_fractional_rate():
    take = random_take(120, Fraction(60000, 1001))
    text = live_link_text(take)
    assert "10:23:45:59.000" in text
    again = read_live_link(lines_of(text), rate=Fraction(60000, 1001))
    assert again.shapes == take.shapes
    assert read_live_link(lines_of(text)).shapes.rate == 60


def test_live_link_names_match_in_any_case_and_order():
    text = live_link_text(random_take())
    header, rest = text.split("\n", 1)
    assert (
        read_live_link(lines_of(header.upper() + "\n" + rest)).shapes == read_live_link(lines_of(text)).shapes
    )
    turned = "\n".join(",".join(reversed(line.split(","))) for line in text.strip().split("\n"))
    assert read_live_link(lines_of(turned)).shapes == read_live_link(lines_of(text)).shapes


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("EyeBlinkLeft", "EyeBlink", "missing"),
        ("HeadYaw", "HeadTurn", "unknown"),
        ("10:23:44:01", "10:23:44", "timecode"),
        ("10:23:44:01", "24:23:44:01", "timecode"),
        ("10:23:44:01", "10:23:44;01", "timecode"),
        ("10:23:44:01", "10:23:44:00", "row 2"),
        ("10:23:44:01", "10:23:44:999", "frame number 999"),
    ],
)
def test_bad_live_link_is_a_format_error(old, new, message):
    text = live_link_text(random_take())
    assert old in text
    with pytest.raises(FormatError, match=message):
        read_live_link(lines_of(text.replace(old, new)))


def test_live_link_refuses_half_a_face_and_midnight():
    take = random_take()
    narrow = take.shapes.replace(values=take.shapes.values[:, :2], channels=take.shapes.channels[:2])
    with pytest.raises(UsageError, match="all 52"):
        live_link_text(LiveLinkTake(shapes=narrow, angles=take.angles, first_timecode_sec=Fraction(0)))
    with pytest.raises(UsageError, match="midnight"):
        live_link_text(random_take(start=Fraction(86_399_999, 1000)))


def openface_text():
    stream = io.StringIO()
    OpenFaceWriter(stream).write(OpenFaceRow(frame=1, timestamp_sec=0, intensities=np.ones(17)))
    return stream.getvalue()


def test_any_known_file_is_recognised(tmp_path):
    track = au_track(np.zeros((2, 24)), convention="feafa24", rate=25)
    for suffix in ("json", "csv"):
        track.save(tmp_path / f"ours.{suffix}")
        assert read_au_track(tmp_path / f"ours.{suffix}") == track
    texts = {
        "openface17": openface_text(),
        "arkit52": live_link_text(random_take()),
        "pyfeat20": "frame,AU01\n0,0.5\n1,0.5\n",
    }
    for convention, text in texts.items():
        path = tmp_path / f"{convention}.csv"
        path.write_bytes(b"\xef\xbb\xbf" + text.encode())
        assert read_au_track(path).convention == convention
    assert read_au_track(tmp_path / "pyfeat20.csv", rate=Fraction(30)).rate == 30


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"a,b\n1,2\n",
        b"#EXTM3U\n",
        b"\xff\xfe",
        b"{",
        b"\0" * 100,
        b"frame,timestamp,success\n1,0,1\n",
        b"\x1f\x8b",
    ],
)
def test_other_files_are_format_errors(tmp_path, content):
    path = tmp_path / "file.csv"
    path.write_bytes(content)
    with pytest.raises(FormatError):
        read_au_track(path)


def test_tracks_of_the_wrong_kind_are_format_errors(tmp_path):
    path = tmp_path / "track.json"
    PoseTrack(values=np.zeros((1, 6)), rate=25, convention="pixel").save(path)
    with pytest.raises(FormatError, match="'kind' is 'pose'"):
        read_au_track(path)
    AUTrack(values=[[0.0]], rate=25, channels=("AU99",), convention="facs").save(path, overwrite=True)
    with pytest.raises(FormatError, match="AU99"):
        read_au_track(path)
    with pytest.raises(InputError, match="No such file"):
        read_au_track(tmp_path / "missing.csv")
