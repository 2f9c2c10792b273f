import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auteur.errors import FormatError, UsageError
from auteur.formats import (
    DENSE_COLUMNS,
    OPENFACE_COLUMNS,
    PRESENCE_COLUMNS,
    OpenFaceRow,
    OpenFaceWriter,
    open_table,
    openface_tracks,
    pose_from_openface,
    pose_to_openface,
    read_openface,
)

FIXTURE = Path(__file__).parents[3] / "shared" / "data" / "face" / "pyfeat_OpenFace_Test.csv"
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12).map(str.strip)


def decimals(shape, digits, low=-1000, high=1000, seed=0):
    """Random numbers that are whole in the last digit the writer keeps, a few of them NaN."""
    random = np.random.default_rng(seed)
    values = random.integers(low * 10**digits, high * 10**digits, shape) / 10**digits
    return np.where(random.uniform(size=shape) < 0.02, np.nan, values)


@st.composite
def rows(draw, dense=False):
    seed = draw(st.integers(0, 10_000))
    block = {
        "mesh_px": decimals((478, 3), 2, seed=seed),
        "blendshapes": decimals(52, 4, 0, 1, seed=seed),
        "other_units": decimals(7, 4, 0, 1, seed=seed),
    }
    return OpenFaceRow(
        frame=draw(st.integers(1, 10**9)),
        face_id=draw(st.integers(0, 9)),
        timestamp_sec=draw(st.integers(0, 10**9)) / 10**6,
        confidence=draw(st.integers(0, 100)) / 100,
        is_success=draw(st.booleans()),
        gaze=decimals((2, 3), 6, -1, 1, seed=seed),
        gaze_angle_rad=decimals(2, 4, -3, 3, seed=seed),
        pose=decimals(6, 4, seed=seed),
        landmarks_px=decimals((68, 2), 2, seed=seed),
        intensities=decimals(17, 4, 0, 5, seed=seed),
        presences=decimals(18, 0, 0, 2, seed=seed),
        extra={"note": draw(TEXT), "=1+1": draw(TEXT)},
        **(block if dense else {}),
    )


def table_of(some_rows, **options):
    stream = io.StringIO()
    writer = OpenFaceWriter(stream, **options)
    for row in some_rows:
        writer.write(row)
    return stream.getvalue()


def lines_of(text):
    return io.StringIO(text, newline="")


def face(frame, seconds, smile=1.0, **changes):
    return OpenFaceRow(frame=frame, timestamp_sec=seconds, intensities=np.full(17, smile), **changes)


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(st.lists(rows(), max_size=3))
def test_rows_survive_a_table(some_rows):
    text = table_of(some_rows, extra_columns=("note", "=1+1"))
    assert list(read_openface(lines_of(text))) == some_rows


@pytest.mark.slow
@settings(max_examples=10, deadline=None)
@given(rows(dense=True))
def test_dense_rows_survive_a_table(row):
    text = table_of([row], dense=True, others=True, extra_columns=("note", "=1+1"))
    assert list(read_openface(lines_of(text))) == [row]


@given(TEXT)
def test_user_text_never_becomes_a_formula(text):
    row = OpenFaceRow(frame=1, timestamp_sec=0, extra={"note": text})
    cell = table_of([row], extra_columns=("note",)).split("\n", 1)[1].rsplit("nan,", 1)[1].strip('"\n')
    assert (
        cell[:1] not in ("=", "@", "+", "-") or cell.replace(".", "").lstrip("+-").replace("e", "").isdigit()
    )


def test_columns_are_openface_s_own():
    header = table_of([]).strip().split(",")
    assert tuple(header) == OPENFACE_COLUMNS
    assert header[:6] == ["frame", "face_id", "timestamp", "confidence", "success", "gaze_0_x"]
    assert sum(name.endswith("_r") for name in header) == 17
    assert sum(name.endswith("_c") for name in header) == 18
    assert PRESENCE_COLUMNS.index("AU28_c") == PRESENCE_COLUMNS.index("AU26_c") + 1
    assert len(DENSE_COLUMNS) == 478 * 3 + 52
    assert DENSE_COLUMNS[478] == "mp_y_0"


def test_points_run_over_x_first():
    points = np.arange(136).reshape(68, 2)
    text = table_of([OpenFaceRow(frame=1, timestamp_sec=0, landmarks_px=points)])
    header, cells = (line.split(",") for line in text.strip().split("\n"))
    assert (cells[header.index("x_1")], cells[header.index("y_1")]) == ("2.00", "3.00")


def test_old_tables_with_spaces_and_without_face_id_are_read():
    text = "frame, timestamp, success, AU_other\r\n1, 0.000, 1, abc\r\n\r\n2, 0.040, 0, \r\n"
    first, second = read_openface(lines_of(text))
    assert (first.face_id, first.is_success, second.is_success) == (0, True, False)
    assert np.isnan(first.intensities).all()
    assert first.extra == {"AU_other": "abc"}


def test_unsuccessful_rows_are_not_measured_and_gaps_are_linear():
    some_rows = [face(1, 0.0, 1), face(2, 0.04, 9, is_success=False), face(3, 0.08, 3), face(5, 0.16, 5)]
    track = openface_tracks(some_rows).action_units
    assert (track.rate, track.frames, track.convention) == (25, 5, "openface17")
    np.testing.assert_allclose(track.channel("AU12_r"), [1, np.nan, 3, 4, 5])


def test_faces_are_kept_apart():
    some_rows = [face(1, 0.0, 1, face_id=0), face(1, 0.0, 2, face_id=3), face(2, 0.04, 2, face_id=3)]
    assert openface_tracks(some_rows).action_units.frames == 2
    assert openface_tracks(some_rows, face_id=0).action_units.frames == 1
    with pytest.raises(UsageError, match="it has 0, 3"):
        openface_tracks(some_rows, face_id=1)


@pytest.mark.parametrize("rate", [(25, 1), (30000, 1001), (24000, 1001), (60, 1)])
def test_timestamps_rounded_to_milliseconds_show_the_rate(rate):
    numerator, denominator = rate
    some_rows = [face(k + 1, round(k * denominator / numerator, 3)) for k in range(200)]
    track = openface_tracks(some_rows).action_units
    assert (track.rate.numerator, track.rate.denominator, track.frames) == (*rate, 200)


def test_presence_of_lip_suck_makes_eighteen_channels():
    presences = np.zeros(18)
    presences[PRESENCE_COLUMNS.index("AU28_c")] = 1
    track = openface_tracks([face(1, 0.0, presences=presences)]).action_units
    assert track.convention == "openface18"
    assert track.channel("AU28_c") == 1


def test_the_dense_block_becomes_tracks_and_can_be_skipped():
    mesh, shapes = np.arange(478 * 3).reshape(478, 3), np.linspace(0, 1, 52)
    row = face(1, 0.0, mesh_px=mesh, blendshapes=shapes)
    tracks = openface_tracks([row, face(2, 0.04)], image_size_px=(640, 480))
    np.testing.assert_array_equal(tracks.mesh.values[0], mesh)
    np.testing.assert_allclose(tracks.blendshapes.channel("noseSneerRight"), [1, np.nan])
    text = table_of([row], dense=True)
    (thin,) = read_openface(lines_of(text), dense=False)
    assert thin.mesh_px is None
    assert thin.extra == {}
    assert openface_tracks([thin]).mesh is None


def test_units_that_openface_lacks_make_a_performance_of_all():
    others = np.linspace(0, 0.6, 7)
    some = [face(1, 0.0, other_units=others), face(2, 0.04)]
    found = openface_tracks(read_openface(lines_of(table_of(some, others=True))))
    assert found.action_units.convention == "openface17"
    np.testing.assert_allclose(found.performance.channel("AU18"), [0.2, np.nan], atol=1e-6)
    np.testing.assert_allclose(found.performance.channel("AU12L"), found.action_units.channel("AU12_r") / 5)
    assert np.isnan(found.performance.channel("AU61L")).all()  # not in the table, so not 0
    plain = openface_tracks(read_openface(lines_of(table_of(some))))
    assert plain.performance is plain.action_units


def test_pose_signs_turn_there_and_back():
    pose = np.array([0.1, 0.2, 0.3, 1, 2, 3])
    np.testing.assert_allclose(pose_to_openface(pose), [1, 2, 3, -0.1, -0.2, 0.3])
    np.testing.assert_allclose(pose_from_openface(pose_to_openface(pose)), pose)


def test_a_row_refuses_wrong_shapes():
    with pytest.raises(UsageError, match="intensities"):
        OpenFaceRow(frame=1, timestamp_sec=0, intensities=np.zeros(18))
    with pytest.raises(UsageError, match="pose"):
        OpenFaceRow(frame=1, timestamp_sec=0, pose=np.full(6, np.inf))
    for columns in (("frame",), ("a", "a"), ("",), ("mp_x_0",)):
        with pytest.raises(UsageError, match="extra columns"):
            OpenFaceWriter(io.StringIO(), extra_columns=columns)


GOOD = "frame,timestamp,success\n1,0.0,1\n2,0.04,1\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("\n1,2,3\n", "empty"),
        ("a,b\n1,2\n", "'frame' is missing"),
        ("frame,frame\n", "repeated"),
        (GOOD + "3,0.08\n", "2 cells for 3 columns"),
        (GOOD + "3,0.08,1,9\n", "4 cells"),
        (GOOD.replace("0.04", "inf"), "not a finite number"),
        (GOOD.replace("0.04", "1e999"), "not a finite number"),
        (GOOD.replace("0.04", "0_4"), "not a finite number"),
        (GOOD.replace("0.04", "abc"), "not a finite number"),
        (GOOD.replace("0.04", ""), "timestamp"),
        (GOOD.replace("0.04", "-1"), "timestamp"),
        (GOOD.replace("2,0.04", "2.5,0.04"), "whole number"),
        (GOOD.replace("2,0.04", "nan,0.04"), "whole number"),
        ("frame,timestamp,success,x_0\n1,0,1,0\n", "'x_1' is missing beside 'x_0'"),
        ("frame,timestamp,success,x_1\n1,0,1,0\n", "'x_0' is missing beside 'x_1'"),
        ("\0" + GOOD, "'frame' is missing"),
        ('frame,"timestamp\n', "not a table of separated values"),
        (",".join(map(str, range(5000))) + "\n", "at most 4096"),
    ],
)
def test_bad_tables_are_format_errors(text, message):
    with pytest.raises(FormatError, match=message):
        list(read_openface(lines_of(text)))


@pytest.mark.parametrize("times", [[0.0, 0.0], [0.04, 0.0], [0.0, 0.0001], [0.0, 0.04, 1e6]])
def test_impossible_times_are_format_errors(times):
    with pytest.raises(FormatError):
        openface_tracks([face(1, seconds) for seconds in times])


def test_no_rows_is_a_format_error():
    with pytest.raises(FormatError, match="no rows"):
        openface_tracks([])


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(st.data())
def test_damaged_tables_give_format_errors_only(data):
    text = table_of([face(1, 0.0), face(2, 0.04)])
    start = data.draw(st.integers(0, len(text) - 1))
    damaged = text[:start] + data.draw(st.text(max_size=4)) + text[start + data.draw(st.integers(0, 9)) :]
    try:
        openface_tracks(read_openface(lines_of(damaged)))
    except FormatError:
        return


@pytest.mark.shared
def test_a_real_table_of_openface():
    if not FIXTURE.exists():
        pytest.skip("needs ../shared/data/face/pyfeat_OpenFace_Test.csv beside the checkout")
    with open_table(FIXTURE) as stream:
        some_rows = list(read_openface(stream, source=FIXTURE.name))
    assert len(some_rows) == 100
    tracks = openface_tracks(some_rows, image_size_px=(640, 480))
    assert tracks.action_units.convention == "openface18"
    points = tracks.landmarks.values
    turn = points[:, 30, 0] - (points[:, 0, 0] + points[:, 16, 0]) / 2
    assert np.corrcoef(turn, tracks.pose.channel("yaw"))[0, 1] > 0.9
    again = list(read_openface(lines_of(table_of(some_rows, extra_columns=tuple(some_rows[0].extra)))))
    np.testing.assert_allclose(again[7].landmarks_px, some_rows[7].landmarks_px, atol=0.006)
    assert again[7].extra == some_rows[7].extra
