"""A performance as other programs' files and back: what both kinds have comes through, the rest is named."""

import json
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from auteur.errors import FormatError, UsageError
from auteur.facs import CONVENTIONS, au_track
from auteur.formats import FILE_KINDS, RecordedPerformance, TrackReading, read_recorded, write_recorded
from auteur.signals import GazeTrack, PoseTrack

ONCE = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
NAMES = {"openface": "a.csv", "fex": "a.csv", "livelink": "a.csv", "arkit": "a.json", "auteur": "a.csv"}


def performance(convention="arkit52", frames=6, *, rate=30, maximum=1.0, values=None, pose=True, start_sec=0):
    """Returns a performance that moves every channel, with a head that turns and eyes that wander."""
    width = len(CONVENTIONS[convention].channels)
    if values is None:
        values = maximum * np.random.default_rng(0).uniform(0.05, 1, (frames, width))
    timing = {"rate": Fraction(rate), "start_sec": Fraction(start_sec)}
    angles = np.linspace(-0.3, 0.3, len(values))[:, None] * [0.5, 1.0, -0.4]
    head = np.concatenate([angles, np.full((len(values), 3), np.nan)], axis=1)
    look = np.linspace(-0.2, 0.2, len(values))[:, None] * [1.0, 0.5]
    return RecordedPerformance(
        action_units=au_track(values, convention=convention, **timing),
        head=PoseTrack(values=head, convention="live_link", **timing) if pose else None,
        gaze=GazeTrack(values=look, convention="head", **timing) if pose else None,
    )


def through(tmp_path, recorded, *kinds):
    """Writes a performance as one kind after another, reading each again; returns the last reading."""
    for step, kind in enumerate(kinds):
        path = tmp_path / f"{step}{NAMES[kind]}"
        write_recorded(recorded, path, kind, overwrite=True)
        recorded = read_recorded(path, TrackReading(rate=recorded.action_units.rate))
    return recorded


def units_of(width):
    elements = st.floats(0, 1, width=32)
    return arrays.arrays(np.float32, st.tuples(st.integers(2, 5), st.just(width)), elements=elements)


@pytest.mark.slow
@ONCE
@given(values=units_of(52))
def test_live_link_to_arkit_json_and_back_is_the_same(tmp_path, values):
    before = performance(values=values)
    after = through(tmp_path, before, "livelink", "arkit", "livelink")
    assert np.allclose(after.action_units.values, before.action_units.values, atol=2e-6)
    assert after.head is not None and before.head is not None
    assert np.allclose(after.head.values[:, :3], before.head.values[:, :3], atol=2e-6)
    assert after.gaze is not None and before.gaze is not None
    assert np.allclose(after.gaze.values, before.gaze.values, atol=2e-6)


@pytest.mark.slow
@ONCE
@given(values=units_of(17))
def test_openface_through_our_table_is_the_same(tmp_path, values):
    before = performance("openface17", values=5 * values)
    after = through(tmp_path, before, "openface", "auteur", "openface")
    assert after.action_units.convention == "openface17"
    assert np.allclose(after.action_units.values, before.action_units.values, atol=1e-4)


@ONCE
@given(values=units_of(20))
def test_fex_through_our_table_is_the_same(tmp_path, values):
    before = performance("pyfeat20", values=values)
    after = through(tmp_path, before, "fex", "auteur", "fex")
    assert after.action_units.channels == before.action_units.channels
    assert np.allclose(after.action_units.values, before.action_units.values, atol=1e-6)


def test_pose_and_gaze_pass_between_live_link_and_openface(tmp_path):
    before = performance()
    table = through(tmp_path, before, "livelink", "openface")
    assert table.gaze is not None and table.gaze.convention == "camera"
    after = through(tmp_path, table, "livelink")
    assert after.head is not None and before.head is not None
    assert np.allclose(after.head.values[:, :3], before.head.values[:, :3], atol=1e-4)
    assert after.gaze is not None and before.gaze is not None
    assert np.allclose(after.gaze.values, before.gaze.values, atol=2e-4)


def test_gaze_of_openface_moves_the_eye_shapes_of_arkit(tmp_path):
    values = np.zeros((3, 17))
    still = PoseTrack(values=np.zeros((3, 6)), convention="openface_mm", rate=Fraction(25))
    left_and_up = GazeTrack(values=np.full((3, 2), [0.25, 0.1]), convention="camera", rate=Fraction(25))
    seen = RecordedPerformance(
        action_units=au_track(values, convention="openface17", rate=25), head=still, gaze=left_and_up
    )
    shapes = through(tmp_path, seen, "arkit").action_units
    assert shapes.channel("eyeLookOutLeft") == pytest.approx(0.5)
    assert shapes.channel("eyeLookInRight") == pytest.approx(0.5)
    assert shapes.channel("eyeLookUpLeft") == pytest.approx(0.2)
    assert not shapes.channel("eyeLookOutRight").any()


@pytest.mark.parametrize("target", FILE_KINDS)
@pytest.mark.parametrize("convention", ["openface17", "openface18", "pyfeat20", "arkit52", "feafa24", "facs"])
def test_every_kind_is_written_from_every_convention(tmp_path, convention, target):
    maximum = CONVENTIONS[convention].maximum
    before = performance(convention, maximum=maximum)
    path = tmp_path / NAMES[target]
    write_recorded(before, path, target)
    after = read_recorded(path, TrackReading(rate=Fraction(30)))
    assert (after.action_units.frames, after.action_units.rate) == (6, 30)
    wanted = FILE_KINDS[target].convention or convention
    assert after.action_units.convention.rstrip("78") == wanted.rstrip("78")


def test_what_is_lost_is_named(tmp_path):
    notes = write_recorded(performance(), tmp_path / "a.csv", "fex")
    noted = "\n".join(notes)
    assert "no head pose and no gaze" in noted
    assert "py-feat has nothing for tongueOut" in noted
    assert "does not measure AU11: left empty" in noted
    assert "does not state the rate" in noted


def test_a_still_channel_is_no_loss(tmp_path):
    values = np.zeros((3, 52))
    noted = "\n".join(write_recorded(performance(values=values, pose=False), tmp_path / "a.csv", "openface"))
    assert "has nothing for" not in noted


def test_our_own_file_keeps_every_channel_and_notes_that_it_holds_no_pose(tmp_path):
    before = performance("facs")
    notes = write_recorded(before, tmp_path / "a.json", "auteur")
    assert read_recorded(tmp_path / "a.json").action_units == before.action_units
    assert notes == ("our track holds no head pose and no gaze: not carried over",)


def test_unknown_is_empty_where_a_kind_allows_it_and_bridged_where_not(tmp_path):
    values = np.full((5, 52), 0.5, np.float32)
    values[2] = np.nan
    values[:, 0] = np.nan
    before = performance(values=values)
    openface = through(tmp_path, before, "openface").action_units
    assert np.isnan(openface.values[2]).all() and not np.isnan(openface.values[1, :17]).any()
    notes = write_recorded(before, tmp_path / "b.csv", "livelink")
    shapes = read_recorded(tmp_path / "b.csv").action_units
    assert shapes.values[2, 1:] == pytest.approx(0.5) and not shapes.values[:, 0].any()
    assert any(note.startswith("56 values that are not measured: bridged") for note in notes)


def test_another_rate_keeps_the_time(tmp_path):
    before = performance(frames=60)
    write_recorded(before, tmp_path / "a.csv", "livelink", rate=Fraction(60))
    after = read_recorded(tmp_path / "a.csv").action_units
    assert (after.frames, after.rate) == (120, 60)
    assert np.allclose(after.values[::2], before.action_units.values, atol=1e-6)


@pytest.mark.parametrize(("kind", "convention"), [("csv", None), ("openface", "facs"), ("auteur", "nothing")])
def test_kinds_and_conventions_that_are_not_there(tmp_path, kind, convention):
    with pytest.raises(UsageError):
        write_recorded(performance(), tmp_path / "a.csv", kind, convention=convention)
    assert not list(tmp_path.iterdir())


def arkit_document(**changes):
    document = {
        "exportFps": 30.0,
        "facsNames": ["jawOpen", "mouthSmileLeft"],
        "weightMat": [[0.1, 0.2], [0.3, 0.4]],
    }
    return document | changes


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"facsNames": []}, "has none"),
        ({"facsNames": ["jawOpen", "JawOpen"]}, "repeats one"),
        ({"facsNames": "jawOpen"}, "list of names"),
        ({"weightMat": [[0.1], [0.2]]}, "shape"),
        ({"weightMat": []}, "shape"),
        ({"weightMat": [[0.1, "a"]]}, "only numbers"),
        ({"weightMat": [[0.1, True]]}, "only numbers"),
        ({"weightMat": [[0.1, 0.2], [0.3]]}, "equal length"),
        ({"exportFps": 0}, "exportFps"),
        ({"exportFps": None}, "exportFps"),
        ({"headPitchYawRoll": [[0, 0, 0]]}, "shape"),
        ({"gazeYawPitch": {}}, "list"),
    ],
)
def test_bad_arkit_json_is_refused(tmp_path, changes, cause):
    path = tmp_path / "a.json"
    path.write_text(json.dumps(arkit_document(**changes)))
    with pytest.raises(FormatError, match=cause):
        read_recorded(path)


def test_arkit_json_of_other_programs_is_read(tmp_path):
    path = tmp_path / "a.json"
    names = ["JawOpen", "mouthSmileLeft", "tongueTipUp"]
    weights = [[0.1, 0.2, 0.0], [0.3, 0.4, 0.0]]
    path.write_text(json.dumps(arkit_document(facsNames=names, weightMat=weights, exportFps=59.94)))
    recorded = read_recorded(path)
    assert recorded.action_units.channels == ("jawOpen", "mouthSmileLeft")
    assert recorded.action_units.rate == Fraction(60000, 1001)
    assert recorded.notes == ("blend shapes that ARKit has not: tongueTipUp",)
