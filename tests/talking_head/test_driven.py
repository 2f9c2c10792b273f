"""Head pose and gaze of a recorded performance, relative to the driver's calm pose."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from auteur.errors import FormatError
from auteur.formats import RecordedPerformance
from auteur.motion.idle_motion import POSE_CONVENTION
from auteur.signals import AUTrack, PoseTrack
from auteur.talking_head.driven import LARGEST_TRAVEL_MM, driven_gaze, driven_head, relative_to_neutral
from auteur.talking_head.motion_stage import performance_of
from auteur.talking_head.request import PerformanceRequest
from auteur.talking_head.settings import Settings

FRAMES = 50
NOD_RAD = 0.2 * np.sin(2 * np.pi * np.arange(FRAMES) / 25)


def openface(path: Path, *, pose: bool = True, gaze: bool = False, units: bool = True) -> Path:
    """Writes an OpenFace table: a head that looks up by 0.3 rad, shakes by 0.2, and stands 600 mm away."""
    columns: dict[str, np.ndarray] = {
        "frame": np.arange(1, FRAMES + 1),
        "timestamp": np.arange(FRAMES) / 25,
        "confidence": np.ones(FRAMES),
        "success": np.ones(FRAMES),
    }
    if gaze:
        columns |= {
            "gaze_angle_x": 0.1 + 0.2 * np.sign(NOD_RAD) + NOD_RAD,
            "gaze_angle_y": np.full(FRAMES, 0.2),
        }
    if pose:
        columns |= {
            "pose_Tx": 40 + 2 * NOD_RAD, "pose_Ty": np.full(FRAMES, -20.0), "pose_Tz": 600 + 50 * NOD_RAD,
            "pose_Rx": np.full(FRAMES, -0.3), "pose_Ry": NOD_RAD, "pose_Rz": np.zeros(FRAMES),
        }  # fmt: skip
    if units:
        columns["AU12_r"] = np.full(FRAMES, 2.5)
    rows = [",".join(columns)]
    rows += [",".join(f"{column[i]:.6g}" for column in columns.values()) for i in range(FRAMES)]
    path.write_text("\n".join(rows), encoding="utf-8")
    return path


def live_link(path: Path) -> Path:
    """Writes a take whose head shakes and whose eyes turn."""
    from auteur.facs.conventions import CONVENTIONS
    from auteur.formats.live_link import ANGLE_COLUMNS

    shapes = [name[0].upper() + name[1:] for name in CONVENTIONS["arkit52"].channels]
    rows = [",".join(["Timecode", "BlendshapeCount", *shapes, *ANGLE_COLUMNS])]
    for i in range(FRAMES):
        eyes = 0.05 + NOD_RAD[i] / 2
        angles = {"HeadYaw": 0.1 + NOD_RAD[i], "LeftEyeYaw": eyes, "RightEyeYaw": eyes}
        cells = [f"{angles.get(name, 0.0):.6g}" for name in ANGLE_COLUMNS]
        rows.append(",".join([f"10:00:{i // 25:02d}:{i % 25:02d}", "61", *["0.0"] * len(shapes), *cells]))
    path.write_text("\n".join(rows), encoding="utf-8")
    return path


def pose(values: np.ndarray, convention: str = POSE_CONVENTION) -> PoseTrack:
    return PoseTrack(values=values.astype(np.float32), rate=Fraction(25), convention=convention)


def test_openface_drives_the_head_relative_to_the_calm_frame(tmp_path):
    table = openface(tmp_path / "table.csv")
    head = driven_head(PerformanceRequest(track=table), FRAMES)
    assert head is not None and head.convention == POSE_CONVENTION and head.frames == FRAMES
    assert np.abs(head.values[:, 0]).max() < 1e-5, "the pose held throughout is the calm one"
    shaken = head.values[:, 1]
    assert abs(np.corrcoef(shaken, NOD_RAD)[0, 1]) > 0.999 and np.ptp(shaken) == pytest.approx(0.4, abs=0.01)
    assert np.abs(head.values[:, 3]).max() < 1 and not head.values[:, 5].any()


def test_live_link_drives_the_head_and_its_missing_travel_is_none(tmp_path, recwarn):
    head = driven_head(PerformanceRequest(track=live_link(tmp_path / "take.csv")), FRAMES)
    assert head is not None
    np.testing.assert_allclose(head.values[:, 1], NOD_RAD, atol=1e-5)
    assert not head.values[:, 3:].any() and np.isfinite(head.values).all()
    assert not recwarn.list


def test_a_pose_track_of_ours_is_taken_as_it_is(tmp_path):
    values = np.zeros((10, 6))
    values[:, 1] = 0.1
    pose(values).save(tmp_path / "rendered_head.json")
    head = driven_head(PerformanceRequest(head_track=tmp_path / "rendered_head.json"), 20)
    assert head is not None and head.frames == 20
    np.testing.assert_allclose(head.values[:, 1], 0.1, rtol=1e-6)  # a short one holds its end


def test_none_and_missing_leave_the_head_idle(tmp_path):
    table = openface(tmp_path / "table.csv")
    assert driven_head(PerformanceRequest(track=table, head_track="none"), FRAMES) is None
    assert driven_head(PerformanceRequest(), FRAMES) is None
    assert driven_head(PerformanceRequest(track=openface(tmp_path / "b.csv", pose=False)), FRAMES) is None


@pytest.mark.parametrize(("source", "what"), [("head_track", "head pose"), ("gaze_track", "gaze")])
def test_a_file_named_for_what_it_lacks_is_refused(tmp_path, source, what):
    table = openface(tmp_path / "units.csv", pose=False)
    request = PerformanceRequest(**{source: table})
    with pytest.raises(FormatError, match=rf"units\.csv: the file holds no {what}; name another"):
        performance_of(request, None, FRAMES, Settings())


def test_travel_is_bounded_and_holes_are_filled():
    values = np.zeros((100, 6))
    values[60:, 3] = 500.0
    values[20:25] = np.nan
    head = relative_to_neutral(pose(values, "openface_mm"))
    assert np.isfinite(head.values).all()
    assert np.abs(head.values[:, 3]).max() <= LARGEST_TRAVEL_MM
    assert not head.values[:60].any()


def test_turns_are_taken_the_short_way_round():
    values = np.zeros((21, 6))
    values[:, 2] = np.pi - 0.05
    values[10, 2] = -np.pi + 0.05
    assert relative_to_neutral(pose(values, "openface_mm")).values[10, 2] == pytest.approx(0.1, abs=1e-5)


def test_gaze_against_the_camera_is_without_the_head(tmp_path):
    table = openface(tmp_path / "table.csv", gaze=True)
    request = PerformanceRequest(track=table)
    gaze = driven_gaze(request, FRAMES)
    assert gaze is not None and gaze.shape == (FRAMES, 2)
    recorded = request.recorded
    assert recorded is not None and recorded.gaze is not None and recorded.head is not None
    expected = recorded.gaze.values[:, 0] - recorded.head.values[:, 1]
    np.testing.assert_allclose(gaze[:, 0], expected - np.median(expected), atol=1e-5)
    assert np.abs(gaze[:, 1]).max() < 1e-5
    assert driven_gaze(PerformanceRequest(track=table, gaze_track="none"), FRAMES) is None


def test_eyes_in_blend_shapes_are_not_given_twice_but_another_file_is_read(tmp_path):
    take = live_link(tmp_path / "take.csv")
    assert driven_gaze(PerformanceRequest(track=take), FRAMES) is None
    gaze = driven_gaze(PerformanceRequest(gaze_track=take), FRAMES)
    assert gaze is not None and not gaze[:, 1].any()
    np.testing.assert_allclose(gaze[:, 0], NOD_RAD / 2, atol=1e-5)


def test_another_gaze_leaves_that_of_the_units_out():
    values = np.full((FRAMES, 2), 0.8, dtype=np.float32)
    track = AUTrack(values=values, rate=Fraction(25), channels=("AU61L", "AU61R"), convention="facs")
    kept = performance_of(PerformanceRequest(track=track), None, FRAMES, Settings()).acted
    left = performance_of(PerformanceRequest(track=track, gaze_track="none"), None, FRAMES, Settings()).acted
    assert kept is not None and np.allclose(kept.channel("AU61L"), 0.8)
    assert left is not None and np.isnan(left.channel("AU61L")).all()


def test_a_start_moves_head_and_units_together():
    values = np.zeros((25, 6))
    values[:, 1] = np.linspace(0, 0.2, 25)
    track = AUTrack(values=np.zeros((25, 1)), rate=Fraction(25), channels=("AU12L",), convention="facs")
    recorded = RecordedPerformance(action_units=track, head=pose(values)).starting(1.0)
    assert recorded.head is not None and recorded.head.start_sec == recorded.action_units.start_sec == 1
