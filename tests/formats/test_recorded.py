"""Tables of other programs as people have them: what they hold is read, or named with what to do."""

import io
from fractions import Fraction

import numpy as np
import pytest

from auteur.errors import FormatError, UsageError
from auteur.facs import CONVENTIONS
from auteur.formats import OpenFaceRow, OpenFaceWriter, TrackReading, read_au_track, read_recorded
from auteur.formats.live_link import ANGLE_COLUMNS, SHAPE_COLUMNS
from auteur.signals import AUTrack

UNITS = CONVENTIONS["openface17"].channels


def openface(rows=10, *, faces=(0,), smile=4.0, pose=None):
    stream = io.StringIO()
    writer = OpenFaceWriter(stream)
    values = np.zeros(17)
    values[UNITS.index("AU12_r")] = smile
    for frame in range(rows):
        for face in faces:
            writer.write(
                OpenFaceRow(
                    frame=frame + 1,
                    timestamp_sec=frame / 25,
                    face_id=face,
                    intensities=values / (1 + face),
                    presences=np.zeros(18),
                    pose=np.full(6, np.nan) if pose is None else np.array(pose),
                    gaze_angle_rad=np.full(2, np.nan) if pose is None else np.array([0.2, 0.1]),
                )
            )
    return stream.getvalue()


def saved(tmp_path, text, name="track.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def with_cell(text, row, column, value):
    lines = [line.split(",") for line in text.splitlines()]
    lines[row][lines[0].index(column)] = value
    return "\n".join(map(",".join, lines)) + "\n"


NOT_A_NUMBER = (
    *("", "nan", "NaN", "-nan", "+nan", "-nan(ind)", "nan(snan)", "-NAN(IND)", "-1.#IND", "1.#QNAN"),
    *("-1.#IND00", "NA", "N/A", "#N/A", "<NA>", "null", "NULL", "none", "None", "-", "?"),
)


@pytest.mark.parametrize("text", NOT_A_NUMBER)
def test_every_spelling_of_not_a_number_is_not_measured(tmp_path, text):
    track = read_au_track(saved(tmp_path, with_cell(openface(), 4, "AU12_r", text)))
    assert np.isnan(track.channel("AU12_r")[3]) and np.isfinite(track.channel("AU12_r")[4])


@pytest.mark.parametrize("text", ["inf", "-inf", "abc", "0_4", "1e999", "0x10"])
def test_what_is_no_number_is_refused_where_it_counts_and_only_there(tmp_path, text):
    with pytest.raises(FormatError, match="row 4, column 'AU12_r'"):
        read_au_track(saved(tmp_path, with_cell(openface(), 4, "AU12_r", text)))
    for column in ("gaze_angle_x", "pose_Rx", "x_3", "confidence", "gaze_0_x"):
        assert read_au_track(saved(tmp_path, with_cell(openface(), 4, column, text))).frames == 10
    lost = with_cell(with_cell(openface(), 4, "success", "0"), 4, "AU12_r", text)
    assert np.isnan(read_au_track(saved(tmp_path, lost)).channel("AU12_r")[3])


@pytest.mark.parametrize("separator", [";", "\t"])
@pytest.mark.parametrize("head", ["", "sep={}\n"])
def test_separators_and_decimal_commas(tmp_path, separator, head):
    text = openface(smile=1.25).replace(",", separator).replace(".", ",")
    expected = read_au_track(saved(tmp_path, openface(smile=1.25)))
    assert read_au_track(saved(tmp_path, head.format(separator) + text)) == expected


def test_our_own_table_after_a_spreadsheet(tmp_path):
    text = "# auteur-au 1 convention=facs rate=25 start_sec=0;\ntime_sec;AU12L\n0,00;0,5\n0,04;1,0\n"
    assert read_au_track(saved(tmp_path, text)).channel("AU12L").tolist() == [0.5, 1.0]


def columns_of(text, names):
    lines = [line.split(",") for line in text.splitlines()]
    places = [lines[0].index(name) for name in names]
    return "\n".join(",".join(line[place] for place in places) for line in lines) + "\n"


@pytest.mark.parametrize(
    "names",
    [
        ("frame", "timestamp", "confidence", "success", "pose_Rx", "pose_Ry", "pose_Rz", "AU06_r", "AU12_r"),
        ("frame", "timestamp", "success", "gaze_angle_x", *UNITS),
        ("frame", "timestamp", "success", "AU12_r"),
        ("frame", "timestamp", "AU12_r", "AU06_r"),
        ("success", "AU12_r", "timestamp", "frame"),
    ],
)
def test_parts_of_an_openface_table_are_read(tmp_path, names):
    recorded = read_recorded(saved(tmp_path, columns_of(openface(), names)))
    assert recorded.action_units.channel("AU12_r")[3] == 4
    assert np.isnan(recorded.action_units.channel("AU01_r")).all() == ("AU01_r" not in names)
    assert any("no column success" in note for note in recorded.notes) == ("success" not in names)


def test_a_table_without_times_names_the_option_for_the_rate(tmp_path):
    names = ("frame", "success", "AU12_r")
    path = saved(tmp_path, columns_of(openface(), names))
    with pytest.raises(FormatError, match=r"track.csv: column 'timestamp' is missing.*--track-rate"):
        read_au_track(path)
    assert read_au_track(path, rate=Fraction(50)).rate == 50
    flat = openface()
    for row in range(1, 11):
        flat = with_cell(flat, row, "timestamp", "0.000000")
    with pytest.raises(FormatError, match=r"track.csv: all timestamps are 0.*--track-rate"):
        read_au_track(saved(tmp_path, flat))
    track = read_au_track(saved(tmp_path, flat), rate=Fraction(30000, 1001))
    assert (track.rate, track.frames) == (Fraction(30000, 1001), 10)


def test_errors_of_a_table_name_its_file(tmp_path):
    path = saved(tmp_path, with_cell(openface(), 4, "timestamp", "0.0"))
    with pytest.raises(FormatError, match=r"track\.csv: times must increase"):
        read_au_track(path)


def test_a_rate_that_is_not_used_is_noted(tmp_path):
    recorded = read_recorded(saved(tmp_path, openface()), TrackReading(rate=Fraction(30)))
    assert recorded.action_units.rate == 25 and "25 frames/s" in recorded.notes[0]
    AUTrack(values=[[0.5]], rate=25, channels=("AU12L",), convention="facs").save(tmp_path / "a.json")
    notes = read_recorded(tmp_path / "a.json", TrackReading(rate=Fraction(30), face=1)).notes
    assert len(notes) == 2


def test_faces_of_a_table_are_named_and_chosen(tmp_path):
    path = saved(tmp_path, openface(faces=(0, 3)))
    assert "faces 0, 3: face 0, tracked longest" in read_recorded(path).notes[0]
    other = read_recorded(path, TrackReading(face=3))
    assert other.action_units.channel("AU12_r")[0] == 1 and other.notes == ()
    with pytest.raises(UsageError, match=r"track.csv has no face 1; it has 0, 3"):
        read_recorded(path, TrackReading(face=1))


def test_faces_of_a_fex_table_are_chosen_by_size(tmp_path):
    rows = ["frame,FaceRectWidth,FaceRectHeight,AU12", "0,10,10,0.2", "0,20,20,0.8", "1,20,20,0.8"]
    path = saved(tmp_path, "\n".join(rows) + "\n")
    recorded = read_recorded(path)
    assert recorded.action_units.values[:, 0] == pytest.approx([0.8, 0.8])
    assert any("25 frames/s are assumed" in note for note in recorded.notes)
    assert any("up to 2 faces" in note for note in recorded.notes)
    second = read_recorded(path, TrackReading(rate=Fraction(30), face=1))
    assert second.action_units.rate == 30 and second.notes == ()
    np.testing.assert_allclose(second.action_units.values[:, 0], [0.2, np.nan])
    with pytest.raises(UsageError, match="no face 2; it has 0 to 1"):
        read_recorded(path, TrackReading(face=2))


def test_the_start_moves_every_track(tmp_path):
    path = saved(tmp_path, openface(pose=[1, 2, 3, 0.1, 0.2, 0.3]))
    recorded = read_recorded(path, TrackReading(start_sec=1.5))
    starts = [track.start_sec for track in (recorded.action_units, recorded.head, recorded.gaze)]
    assert starts == [Fraction(3, 2)] * 3


@pytest.mark.parametrize(
    "values", [{"rate": Fraction(0)}, {"rate": Fraction(2000)}, {"face": -1}, {"start_sec": float("nan")}]
)
def test_impossible_readings_are_usage_errors(values):
    with pytest.raises(UsageError):
        TrackReading(**values)


def test_head_and_gaze_of_openface_have_the_subject_s_signs(tmp_path):
    recorded = read_recorded(saved(tmp_path, openface(pose=[1, 2, 3, 0.1, 0.2, 0.3])))
    np.testing.assert_allclose(recorded.head.values[0], [-0.1, -0.2, 0.3, 1, 2, 3], atol=1e-6)
    np.testing.assert_allclose(recorded.gaze.values[0], [0.2, -0.1], atol=1e-6)
    plain = read_recorded(saved(tmp_path, openface()))
    assert plain.head is None and plain.gaze is None


def live_link(codes, names=(*SHAPE_COLUMNS, *ANGLE_COLUMNS), value="0.25"):
    lines = [",".join(("Timecode", "BlendshapeCount", *names))]
    lines += [",".join((code, "61", *([value] * len(names)))) for code in codes]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("fps", [24, 25, 30, 50, 60])
def test_sub_frames_that_only_count_do_not_set_the_time(tmp_path, fps):
    codes = [f"10:{i // fps // 60:02}:{i // fps % 60:02}:{i % fps:02}.{i % 1000:03}" for i in range(1200)]
    track = read_au_track(saved(tmp_path, live_link(codes)))
    assert (track.rate, track.frames) == (fps, 1200)


def test_a_step_below_a_quarter_frame_is_a_neighbour(tmp_path):
    codes = ["10:00:00:00.500", "10:00:00:01.999", "10:00:00:02.000", "10:00:00:03.300"]
    assert read_au_track(saved(tmp_path, live_link(codes))).frames == 4


def test_a_take_goes_on_past_midnight(tmp_path):
    codes = [f"23:59:59:{f:02}" for f in range(24)] + [f"00:00:00:{f:02}" for f in range(24)]
    assert read_au_track(saved(tmp_path, live_link(codes))).frames == 48


def test_missing_shapes_and_angles_are_not_measured_and_others_are_noted(tmp_path):
    names = [name for name in SHAPE_COLUMNS if name != "TongueOut"]
    recorded = read_recorded(saved(tmp_path, live_link(["10:00:00:00", "10:00:00:01"], names)))
    assert np.isnan(recorded.action_units.channel("tongueOut")).all()
    assert recorded.head is None and recorded.gaze is None
    more = (*SHAPE_COLUMNS, *ANGLE_COLUMNS, "HeadX")
    recorded = read_recorded(saved(tmp_path, live_link(["10:00:00:00", "10:00:00:01"], more)))
    assert recorded.notes == ("columns that nothing reads: HeadX",)
    assert recorded.head.channel("yaw")[0] == 0.25 and recorded.gaze.convention == "head"


def test_an_unknown_table_names_what_is_known(tmp_path):
    with pytest.raises(FormatError, match=r"OpenFace .*py-feat .*Live Link"):
        read_recorded(saved(tmp_path, "a,b\n1,2\n"))
