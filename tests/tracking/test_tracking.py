"""`track_file`: footage with a real face becomes an OpenFace table, and nothing is written without one."""

from fractions import Fraction
from itertools import islice

import numpy as np
import pytest
from PIL import Image

from auteur.errors import FaceError, InputError, MediaError
from auteur.face.backend import FaceReading
from auteur.formats import OTHER_CONTROLS, openface_tracks, read_au_track, read_openface
from auteur.media import MediaInfo, VideoReader, probe
from auteur.plots.track_plot import draw_track, plot_track
from auteur.tracking.track_file import BLOCK_FRAMES, TrackOptions, rows_of, track_file

pytestmark = pytest.mark.slow

RATE = Fraction(30000, 1001)


def rows(path, *, dense=True):
    with path.open(encoding="utf-8", newline="") as lines:
        return list(read_openface(lines, dense=dense))


@pytest.fixture(scope="module")
def clip(film):
    return film(24)


@pytest.fixture(scope="module")
def table(clip, backend, tmp_path_factory):
    out = tmp_path_factory.mktemp("table") / "clip.csv"
    seen = []
    summary = track_file(clip, out, backend, TrackOptions(dense=True), on_frame=seen.append)
    assert (summary.frames, summary.frames_with_face, summary.rate) == (24, 24, RATE)
    assert seen == list(range(1, 25))
    return out


@pytest.fixture(scope="module")
def photo(astronaut, tmp_path_factory):
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    Image.fromarray(astronaut[26:218, 128:320]).save(path)
    return path


def test_every_frame_has_a_row_at_its_time(table):
    found = rows(table)
    assert [row.frame for row in found] == list(range(1, 25))
    assert np.allclose([row.timestamp_sec for row in found], [float(i / RATE) for i in range(24)], atol=1e-6)
    assert all(row.is_success and row.confidence > 0.9 for row in found)


def test_tracks_keep_the_exact_rate(table):
    tracks = openface_tracks(rows(table), image_size_px=(192, 192))
    assert tracks.action_units.rate == RATE
    assert tracks.action_units.frames == tracks.landmarks.frames == tracks.mesh.frames == 24
    assert tracks.action_units.convention == "openface18"
    assert not np.isnan(tracks.action_units.values).any()
    assert np.abs(tracks.pose.values[:, :3]).max() < 0.4  # she looks at the camera


def test_68_points_follow_the_face(table):
    points = openface_tracks(rows(table), image_size_px=(192, 192)).landmarks.values
    middles = (points.min(axis=1) + points.max(axis=1)) / 2  # the face is at 222, 130 of the photograph
    assert np.abs(middles[0] - [222 - 138, 130 - 26]).max() < 12
    assert np.allclose(np.diff(middles[:, 0]), 1, atol=0.6)
    assert abs((middles[-1] - middles[0])[0] - 23) < 1.5
    sizes = points.max(axis=1) - points.min(axis=1)
    assert (sizes > 60).all()
    assert (sizes < 120).all()


def test_dense_block_agrees_with_the_points(table):
    from auteur.signals import topology

    for row in rows(table):
        assert row.mesh_px.shape == (478, 3)
        assert np.allclose(row.mesh_px[list(topology.IBUG68), :2], row.landmarks_px, atol=0.011)
        assert row.blendshapes.min() >= 0
        assert row.blendshapes.max() <= 1
        assert row.blendshapes[0] == 0  # tongueOut, which is not seen


def test_ranges(table):
    for row in rows(table):
        assert 0 <= row.intensities.min() <= row.intensities.max() <= 5
        assert set(row.presences.tolist()) <= {0.0, 1.0}
        assert np.allclose(np.linalg.norm(row.gaze, axis=-1), 1, atol=1e-4)
        assert row.pose[2] > 0  # before the camera


def test_a_smile_is_measured(table):
    intensities = openface_tracks(rows(table)).action_units
    assert intensities.channel("AU12_r").mean() > 1


def test_without_a_neutral_time_the_calm_frames_are_the_neutral(table, clip, backend):
    """She smiles throughout; what else differs from the average face is her build and no performance."""
    units = openface_tracks(rows(table)).action_units
    others = [name for name in units.channels[:17] if name not in ("AU06_r", "AU10_r", "AU12_r")]
    assert np.median([units.channel(name) for name in others], axis=1).max() < 0.2
    with VideoReader(clip) as video:
        seen = [(frame.time_sec, backend.find(frame.image)[0]) for frame in islice(video, 2)]
    average = openface_tracks(rows_of(seen, probe(clip))).action_units
    assert max(average.channel(name)[0] for name in others) > 0.5


def test_units_that_openface_lacks_are_in_the_table(table):
    found = openface_tracks(rows(table))
    assert found.performance.convention == "facs"
    measured = {
        name for name in found.performance.channels if not np.isnan(found.performance.channel(name)).all()
    }
    assert set(OTHER_CONTROLS) < measured and "AU61L" not in measured
    assert np.allclose(
        found.performance.channel("AU12L"), found.action_units.channel("AU12_r") / 5, atol=1e-4
    )


def test_a_picture_gives_one_row(photo, backend, tmp_path):
    for smooth in (True, False):
        out = tmp_path / f"{smooth}.csv"
        summary = track_file(photo, out, backend, TrackOptions(smooth=smooth))
        assert (summary.frames, summary.frames_with_face, summary.rate) == (1, 1, 1)
        (row,) = rows(out)
        assert (row.frame, row.timestamp_sec, row.is_success) == (1, 0.0, True)
        assert row.mesh_px is None


def test_blocks_do_not_show(backend, astronaut):
    found = backend.find(np.ascontiguousarray(astronaut[26:218, 128:320]))[0]
    random = np.random.default_rng(0)
    readings = [
        FaceReading(
            (found.landmarks + random.normal(0, 0.5, (478, 3))).astype(np.float32), found.blendshapes, 0.9
        )
        for _ in range(BLOCK_FRAMES + 1)
    ]
    timed = [(Fraction(index, 25), reading) for index, reading in enumerate(readings)]
    timed[3] = (timed[3][0], None)
    info = MediaInfo(path=None, kind="video", width_px=192, height_px=192, frame_rate=Fraction(25))
    together = list(rows_of(timed, info))
    assert [row.frame for row in together] == list(range(1, BLOCK_FRAMES + 2))
    assert [row.frame for row in together if not row.is_success] == [4]
    for index in (0, BLOCK_FRAMES - 1, BLOCK_FRAMES):
        (alone,) = rows_of([timed[index]], info)
        for name in ("landmarks_px", "intensities", "pose", "gaze", "presences", "mesh_px"):
            assert np.allclose(getattr(together[index], name), getattr(alone, name), atol=1e-5)


def test_no_rows_from_no_frames():
    assert list(rows_of([], MediaInfo(path=None, kind="video"))) == []


def test_frames_without_a_face_are_marked(film, backend, tmp_path):
    empty = (0, 1, 5, 6, 7)
    out = tmp_path / "half.csv"
    summary = track_file(film(10, empty=empty), out, backend)
    assert (summary.frames, summary.frames_with_face) == (10, 5)
    found = rows(out)
    assert tuple(row.frame - 1 for row in found if not row.is_success) == empty
    assert all(
        np.isnan(row.landmarks_px).all() and row.confidence == 0 for row in found if not row.is_success
    )


def test_no_face_at_all_writes_nothing(film, backend, tmp_path):
    with pytest.raises(FaceError, match=r"no face found in 'film.mp4'"):
        track_file(film(3, empty=(0, 1, 2)), tmp_path / "none.csv", backend)
    assert list(tmp_path.iterdir()) == []


def test_an_existing_table_stays(photo, backend, tmp_path):
    out = tmp_path / "kept.csv"
    out.write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        track_file(photo, out, backend)
    assert out.read_text() == "mine"
    track_file(photo, out, backend, overwrite=True)
    assert len(rows(out)) == 1


def test_sound_alone_is_refused(backend, tmp_path):
    from auteur.media import write_audio
    from auteur.provenance import Mark
    from auteur.signals import Waveform

    sound = tmp_path / "speech.wav"
    write_audio(
        sound, Waveform(samples=np.zeros(1600, dtype=np.float32), rate_hz=16000), mark=Mark(watermark=False)
    )
    with pytest.raises(MediaError):
        track_file(sound, tmp_path / "out.csv", backend)
    assert not (tmp_path / "out.csv").exists()


def test_neutral_time_takes_the_expression_out(clip, backend, tmp_path):
    plain, own = tmp_path / "plain.csv", tmp_path / "own.csv"
    track_file(clip, plain, backend)
    track_file(clip, own, backend, TrackOptions(neutral_sec=0.2))
    before = openface_tracks(rows(plain)).action_units.values[:, :17]
    after = openface_tracks(rows(own)).action_units.values[:, :17]
    frame = int(Fraction(1, 5) * RATE)
    assert before[frame].max() > 1
    assert after[frame].max() < 0.4
    assert after[frame].mean() < 0.1


def test_neutral_time_without_a_face_is_refused(film, backend, tmp_path):
    with pytest.raises(FaceError, match=r"film.mp4 at 0 s"):
        track_file(film(4, empty=(0,)), tmp_path / "out.csv", backend, TrackOptions(neutral_sec=0.0))
    assert list(tmp_path.iterdir()) == []


def test_plot_has_a_row_per_unit(table, tmp_path):
    pytest.importorskip("matplotlib")
    picture = draw_track(read_au_track(table))
    assert picture.dtype == np.uint8
    assert picture.shape[2] == 3
    blue = (picture[..., 2].astype(int) - picture[..., 0]) > 25
    assert blue.sum() > 1000  # curves were drawn
    plot_track(table, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match="exists already"):
        plot_track(table, tmp_path / "plot.png")


def test_a_neutral_time_behind_the_end_is_refused(film, backend, tmp_path):
    with pytest.raises(InputError, match="behind its end"):
        track_file(film(5), tmp_path / "out.csv", backend, TrackOptions(neutral_sec=60.0))
    assert list(tmp_path.iterdir()) == []
