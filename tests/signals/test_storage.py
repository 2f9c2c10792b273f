import json
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from auteur.errors import FormatError, InputError
from auteur.signals import AUTrack, ExpressionTrack, LandmarkTrack, PoseTrack, load_track, storage

FLOAT32 = st.floats(width=32, allow_infinity=False)
RATES = st.fractions(Fraction(1, 10), 120, max_denominator=10_000)
STARTS = st.fractions(-100, 100, max_denominator=10_000)


def text_of(track):
    return storage.track_text(track.kind, track.values, track._attributes())


def document_of(track):
    return json.loads(text_of(track))


def small_track():
    return AUTrack(values=[[0.1, 0.5]], rate=25, channels=("a", "b"), convention="feafa24")


@pytest.mark.slow
@given(
    hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=2, max_side=6), elements=FLOAT32),
    RATES,
    STARTS,
)
def test_every_number_survives(values, rate, start):
    names = tuple(f"kanal ä{index}" for index in range(values.shape[1]))
    track = AUTrack(values=values, rate=rate, start_sec=start, channels=names, convention="x")
    assert AUTrack.from_text(text_of(track)) == track


def test_each_kind_survives_a_file(tmp_path):
    values = np.random.default_rng(0).normal(size=(3, 6))
    tracks = [
        small_track(),
        ExpressionTrack(values=values, rate=Fraction(30000, 1001), convention="flame50"),
        PoseTrack(values=values, rate=25, start_sec=0.2, convention="pixel"),
        LandmarkTrack(
            values=values.reshape(3, 3, 2), rate=25, convention="three", image_size_px=(4, 5), channels="abc"
        ),
    ]
    for track in tracks:
        path = tmp_path / f"{track.kind}.json"
        track.save(path)
        assert load_track(path) == track == type(track).load(path)
    assert '"rate": "30000/1001"' in (tmp_path / "expression.json").read_text()


def test_saving_never_replaces_a_file_by_default(tmp_path):
    path = tmp_path / "track.json"
    small_track().save(path)
    with pytest.raises(InputError, match="exists already"):
        small_track().save(path)
    small_track().save(path, overwrite=True)


def test_not_measured_is_null():
    track = small_track().replace(values=[[np.nan, 1]])
    assert document_of(track)["values"] == [[None, 1]]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("format", "other"),
        ("version", 2),
        ("version", "1"),
        ("version", True),
        ("kind", "pose"),
        ("rate", 25),
        ("rate", "25.0"),
        ("rate", "25/0"),
        ("rate", "0"),
        ("rate", "-1"),
        ("rate", "9" * 40),
        ("start_sec", None),
        ("channels", "ab"),
        ("channels", ["a", "a"]),
        ("channels", ["a"]),
        ("channels", ["a", 1]),
        ("convention", 5),
        ("convention", ""),
        ("values", []),
        ("values", [[]]),
        ("values", {}),
        ("values", [[1, 2], [3]]),
        ("values", [["1", 2]]),
        ("values", [[True, 2]]),
        ("values", [[1e300, 2]]),
        ("values", [[10**400, 2]]),
        ("values", [1, 2]),
        ("surprise", 1),
    ],
)
def test_a_wrong_entry_is_a_format_error(key, value):
    document = document_of(small_track()) | {key: value}
    with pytest.raises(FormatError, match=r"^text: "):
        AUTrack.from_text(json.dumps(document))


@pytest.mark.parametrize(
    "key", ["format", "version", "kind", "rate", "start_sec", "channels", "convention", "values"]
)
def test_a_missing_entry_is_a_format_error(key):
    document = document_of(small_track())
    del document[key]
    with pytest.raises(FormatError, match=key):
        AUTrack.from_text(json.dumps(document))


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{", "[" * 100_000, '{"a": NaN}', '{"a": 1, "a": 2}', "\x00", "1" * 9999]
)
def test_text_that_is_no_track_is_a_format_error(text):
    with pytest.raises(FormatError):
        AUTrack.from_text(text)


@pytest.mark.slow
@given(st.data())
def test_damaged_text_gives_format_errors_only(data):
    text = text_of(small_track())
    start = data.draw(st.integers(0, len(text) - 1))
    damaged = text[:start] + data.draw(st.text(max_size=4)) + text[start + data.draw(st.integers(0, 4)) :]
    try:
        AUTrack.from_text(damaged)
    except FormatError:
        return


@pytest.mark.parametrize("image_size_px", [None, [4], [4, 0], [4.0, 5], [True, 5], "45"])
def test_a_wrong_picture_size_is_a_format_error(image_size_px):
    track = LandmarkTrack(values=np.zeros((1, 68, 2)), rate=25, convention="ibug68", image_size_px=(4, 5))
    with pytest.raises(FormatError):
        LandmarkTrack.from_text(json.dumps(document_of(track) | {"image_size_px": image_size_px}))


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        load_track(tmp_path / "missing.json")
    with pytest.raises(InputError, match="cannot read"):
        load_track(tmp_path)
    path = tmp_path / "latin.json"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(FormatError, match="UTF-8"):
        load_track(path)
    path.write_text('{"kind": "unheard of"}')
    with pytest.raises(FormatError, match="unheard of"):
        load_track(path)
    with pytest.raises(FormatError, match="larger than"):
        storage.read_text(path, max_bytes=5)
