"""Whole clips: the real video wins, worse videos score worse, and what could not be measured is noted."""

import dataclasses
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import auteur
from auteur.errors import FaceError, InputError, MediaError
from auteur.evaluate import protocols
from auteur.evaluate.evaluation import evaluate_clips
from auteur.evaluate.face_features import (
    FaceFeatureNet,
    aligned_crop,
    appearance_similarity,
    perceptual_distance,
)
from auteur.evaluate.pairing import Clip
from auteur.evaluate.scoring import REAL, STILL, WARP, ClipScorer
from auteur.evaluate.streams import Networks
from auteur.evaluate.sweeps import FRAMES_PER_LEVEL, unit_responses, unit_staircase
from auteur.evaluate.views import Observation, observe
from auteur.face.action_units import neutral_of
from auteur.face.pose import MIRROR, without_pose
from auteur.face.tracker import find_face
from auteur.facs import mirror
from auteur.media import read_image

pytestmark = pytest.mark.slow

RATE = Fraction(25)


@pytest.fixture(scope="module")
def net() -> FaceFeatureNet:
    return FaceFeatureNet()


@pytest.fixture(scope="module")
def scorer(backend, net) -> ClipScorer:
    protocol = dataclasses.replace(protocols.load("pairs"), size_px=128)
    return ClipScorer(protocol, backend, Networks(net))


def blurred_mouth(frame: np.ndarray, backend) -> np.ndarray:
    """The frame with its mouth averaged over 9 pixels."""
    lips = find_face(backend, frame).landmarks[[61, 291, 0, 17], :2]
    (left, top), (right, bottom) = lips.min(0).astype(int) - 4, lips.max(0).astype(int) + 4
    result, part = frame.copy(), frame[top:bottom, left:right].astype(float)
    for axis in (0, 1):
        part = np.mean([np.roll(part, k, axis=axis) for k in range(-4, 5)], axis=0)
    result[top:bottom, left:right] = part.astype(np.uint8)
    return result


@pytest.fixture(scope="module")
def scored(scorer, talk, backend, write_film, tmp_path_factory):
    """One real clip beside a good copy, one with a blurred mouth, one late, and one that loses the face."""
    folder = tmp_path_factory.mktemp("scored")
    random = np.random.default_rng(0)
    grainy = [np.clip(f + random.normal(0, 3, f.shape), 0, 255).astype(np.uint8) for f in talk]
    wall = np.full_like(talk[0], 120)
    systems = {
        "good": grainy,
        "blurred": [blurred_mouth(frame, backend) for frame in grainy],
        "late": [*grainy[:4], *grainy[:-4]],
        "lost": [*grainy[:10], *[wall] * 10],
    }
    videos = {name: write_film(folder / f"{name}.mp4", frames) for name, frames in systems.items()}
    real = write_film(folder / "real.mp4", talk)
    clip = Clip(name="talk", person="a", reference=real, videos=videos)
    return evaluate_clips([clip], scorer)


def value(scored, system: str, metric: str) -> float:
    return scored.summary[system][metric].mean


@pytest.mark.parametrize("metric", ["psnr", "ssim", "mouth_ssim", "identity", "lip_gap_correlation"])
def test_the_real_video_wins_where_more_is_better(scored, metric):
    others = [value(scored, name, metric) for name in scored.systems if name != REAL]
    assert value(scored, REAL, metric) > max(others)


@pytest.mark.parametrize("metric", ["m_lmd", "f_lmd", "perceptual", "au_error", "feature_distance"])
def test_the_real_video_wins_where_less_is_better(scored, metric):
    others = [value(scored, name, metric) for name in scored.systems if name != REAL]
    assert value(scored, REAL, metric) < min(others)


@pytest.mark.parametrize("metric", ["m_lmd", "au_error"])
def test_a_still_portrait_loses_where_motion_counts(scored, metric):
    assert value(scored, STILL, metric) > 1.5 * value(scored, "good", metric)
    assert value(scored, STILL, metric) > 1.5 * value(scored, WARP, metric)
    assert value(scored, STILL, "lip_gap_correlation") == 0
    assert value(scored, STILL, "au_correlation") == pytest.approx(0, abs=0.05)


def test_a_blurred_mouth_is_worse_in_the_mouths_figures(scored):
    assert value(scored, "blurred", "mouth_ssim") < value(scored, "good", "mouth_ssim") - 0.05
    assert value(scored, "blurred", "mouth_sharpness") < 0.9 * value(scored, "good", "mouth_sharpness")
    assert value(scored, "blurred", "perceptual") > value(scored, "good", "perceptual")


def test_a_late_mouth_is_worse(scored):
    assert value(scored, "late", "lip_gap_correlation") < value(scored, "good", "lip_gap_correlation") - 0.2
    assert value(scored, "late", "m_lmd") > value(scored, "good", "m_lmd")


def test_lost_faces_are_reported(scored):
    assert value(scored, "lost", "face_rate") == pytest.approx(0.5)
    assert any("no face in 10 of 20 frames of lost" in note for note in scored.notes)
    assert value(scored, "good", "face_rate") == 1


def test_missing_sound_is_noted_and_sync_left_out(scored):
    assert any("no sound" in note for note in scored.notes)
    assert "lip_agreement" not in scored.summary["good"]


def test_rates_and_lengths_are_bridged_by_time_and_noted(scorer, talk, write_film, tmp_path):
    real = write_film(tmp_path / "real.mp4", talk)
    double = [frame for frame in talk for _ in range(2)]
    made = write_film(tmp_path / "made.mp4", double[:30], fps=Fraction(50))
    clip = Clip(name="talk", person="a", reference=real, videos={"made": made})
    done = scorer.score(clip)
    assert done.seconds == pytest.approx(15 / 25)
    assert any("50 frames/s" in note and "by time at 25" in note for note in done.notes)
    assert any("lasts 0.60 s" in note and "0.80 s" in note for note in done.notes)
    assert done.scores["made"].values["m_lmd"] < 0.5 * done.scores[STILL].values["m_lmd"]


def test_clips_that_cannot_be_read_are_named_and_the_rest_is_scored(scorer, talk, write_film, tmp_path):
    real = write_film(tmp_path / "real.mp4", talk[:8])
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(real.read_bytes()[:700])
    wall = write_film(tmp_path / "wall.mp4", [np.full_like(talk[0], 90)] * 5)
    clips = [
        Clip(name=name, person=name, reference=reference, videos={"made": made})
        for name, reference, made in (("good", real, real), ("bad", real, broken), ("faceless", wall, real))
    ]
    done = evaluate_clips(clips, scorer)
    assert [s.clip.name for s in done.clips] == ["good"]
    assert [line.split(":")[0] for line in done.failures] == ["bad", "faceless"]
    with pytest.raises(InputError, match="no clip could be scored; bad"):
        evaluate_clips(clips[1:2], scorer)
    with pytest.raises(FaceError, match="no face"):
        scorer.score(clips[2])
    with pytest.raises(MediaError):
        scorer.score(clips[1])


def test_a_mirrored_video_swaps_left_and_right(puppet, backend):
    frames = [puppet.show({})] * 6 + [puppet.show({"AU1L": 1.0, "AU2L": 1.0, "AU12R": 0.8})] * 4
    straight, reflected = (
        observe(shown, RATE, backend)
        for shown in (frames, [np.ascontiguousarray(frame[:, ::-1]) for frame in frames])
    )
    there, back = (seen.action_units(seen.neutral()) for seen in (straight, reflected))
    assert there.values[-1].max() > 0.2
    assert np.abs(mirror(back).values[-1] - there.values[-1]).max() < 0.15


def test_units_of_one_side_are_the_other_sides_in_the_mirror(puppet, backend):
    reading = find_face(backend, puppet.portrait)
    left = without_pose(reading.landmarks)
    left = np.stack([left, left])
    left[1, [55, 107, 285, 336], 1] -= [0, 0, 6, 6]  # the subject's left inner brow rises by 6 mm
    right = left[:, MIRROR] * np.array([-1.0, 1.0, 1.0])
    shapes = np.zeros((2, 52))
    tracks = [Observation(face, shapes, RATE) for face in (left, right)]
    there, back = (seen.action_units(neutral_of(seen.landmarks[:1], shapes[:1])) for seen in tracks)
    assert there.channel("AU1L")[1] > there.channel("AU1R")[1] + 0.2
    assert mirror(back).values[1] == pytest.approx(there.values[1], abs=0.05)


def test_another_look_is_less_similar(puppet, backend, net):
    def look(picture: np.ndarray):
        landmarks = find_face(backend, picture).landmarks
        return net.describe(aligned_crop(picture, landmarks)[None])

    rest, smile = look(puppet.portrait), look(puppet.show({"AU12": 0.8}))
    tinted = look(np.clip(puppet.portrait * [0.6, 0.8, 1.3], 0, 255).astype(np.uint8))
    same = appearance_similarity(rest.appearance, smile.appearance)[0]
    assert same > appearance_similarity(rest.appearance, tinted.appearance)[0]
    assert appearance_similarity(rest.appearance, rest.appearance)[0] == pytest.approx(1)
    assert perceptual_distance(rest, rest)[0] == 0 < perceptual_distance(rest, smile)[0] < 4


@pytest.mark.shared
def test_another_person_is_less_similar_than_the_same_one_smiling(puppet, backend, net, shared_portraits):
    def look(picture: np.ndarray):
        return net.describe(aligned_crop(picture, find_face(backend, picture).landmarks)[None]).appearance

    rest, smile = look(puppet.portrait), look(puppet.show({"AU12": 0.8}))
    same = appearance_similarity(rest, smile)[0]
    for path in shared_portraits:
        assert appearance_similarity(rest, look(read_image(path)))[0] < same - 0.05


def test_the_sweep_reads_back_the_staircase():
    track = unit_staircase()
    requested = np.zeros((1 + 17 * 4, 17))
    for unit in range(17):
        for level in range(4):
            requested[1 + 4 * unit + level, unit] = (level + 1) / 4
    responses = unit_responses(0.7 * requested)
    assert len(responses) == 17 and track.frames == FRAMES_PER_LEVEL * len(requested)
    assert all(r.rank_correlation == pytest.approx(1) and r.is_monotonic for r in responses.values())
    assert all(r.own_change == pytest.approx(0.7) and r.cross_talk == 0 for r in responses.values())


def test_no_table_but_one_writes_cells_unguarded():
    """Names of files become cells; a spreadsheet must not run them. One function writes tables of text."""
    import csv
    import io

    from auteur.formats.table import table_text, unguard

    package = Path(auteur.__file__).parent
    users = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if "csv.writer(" in path.read_text(encoding="utf-8")
        and path.relative_to(package).parts[:2] not in (("lab", "data"), ("lab", "train"))
    }
    assert users == {"formats/table.py"}
    names = [
        "=cmd|'/c calc'!A0.mp4",
        "+1+1",
        "-2+3",
        "@SUM(A1)",
        "\tx",
        "'=1",
        "plain, with comma",
        'a "b"',
        "-0.5",
    ]
    rows = list(csv.reader(io.StringIO(table_text(["=clip"], [[name] for name in names]))))
    assert [unguard(cell) for (cell,) in rows] == ["=clip", *names]
    assert all(cell[0] not in "=+@\t" and (cell[0] != "-" or float(cell)) for (cell,) in rows)
