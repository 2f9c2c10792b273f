"""`auteur express`: its outputs, and what it refuses before it computes anything."""

import json
from pathlib import Path

import numpy as np
import pytest

from auteur.cli.express import ExpressArguments, express
from auteur.errors import InputError, UsageError
from auteur.formats import read_au_track
from auteur.signals import ExpressionTrack, load_track
from auteur.weights import shipped

pytestmark = pytest.mark.slow

needs_weights = pytest.mark.skipif(
    not {"expression_space", "expression_generator"} <= shipped().keys(),
    reason="no expression weights ship yet",
)


@needs_weights
def test_a_table_of_units_that_generate_plays(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "happy.csv"
    assert express(ExpressArguments(out, emotion="happy", intensity=0.8, seconds=2, json=True)) == 0
    track = read_au_track(out)
    assert (track.convention, track.frames, track.rate) == ("facs", 50, 25)
    assert track.channel("AU12L").mean() > 0.2
    report = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert report["emotions"] == ["happy"]
    assert report["frames"] == 50
    with pytest.raises(InputError, match="exists"):
        express(ExpressArguments(out, emotion="happy", seconds=2))


@needs_weights
def test_a_curve_is_as_long_as_its_last_key_and_warns_over_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "curve.json"
    express(ExpressArguments(out, emotion_curve="0s neutral, 2s sad:1.1", json=True))
    track = load_track(out)
    assert isinstance(track, ExpressionTrack)
    assert (track.convention, track.frames) == ("compact50", 51)
    printed = capsys.readouterr()
    assert "extrapolate" in printed.err
    assert json.loads(printed.out)["strongest"] == pytest.approx(1.1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "--emotion or --emotion-curve"),
        ({"emotion": "happy", "emotion_curve": "0s sad"}, "--emotion or --emotion-curve"),
        ({"emotion": "happy"}, "the length is unknown"),
        ({"emotion": "hapy", "seconds": 1}, "did you mean 'happy'"),
        ({"emotion": "happy", "intensity": 1.3, "seconds": 1}, r"between 0 and 1\.2"),
        ({"emotion": "happy", "intensity": -0.1, "seconds": 1}, r"between 0 and 1\.2"),
        ({"emotion": "happy", "seconds": 0}, "over 0"),
        ({"emotion": "happy", "seconds": 1e9}, "at most 3600"),
        ({"emotion_curve": "0s happy 1s sad"}, "character 10"),
        ({"emotion": "happy", "seconds": 1, "subject_neutral": Path("x.csv")}, "--subject"),
        ({"emotion": "happy", "seconds": 1, "out": Path("a.txt")}, ".csv or .json"),
    ],
)
def test_bad_requests_are_refused(tmp_path: Path, arguments: dict, words: str):
    given = {"out": tmp_path / "a.csv"} | arguments
    with pytest.raises(UsageError, match=words):
        express(ExpressArguments(**given))
    assert not list(tmp_path.iterdir())


@needs_weights
def test_a_subject_without_a_mesh_is_refused(tmp_path: Path):
    table = tmp_path / "units.json"
    express(ExpressArguments(table, emotion="sad", seconds=1))
    with pytest.raises(UsageError, match="give landmarks"):
        express(ExpressArguments(tmp_path / "b.csv", emotion="sad", seconds=1, subject=table))
    assert np.isfinite(load_track(table).values).all()
