"""`auteur evaluate`: exit codes, one line of cause, and a report that stands alone."""

import csv
import json
import re
from fractions import Fraction
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from auteur.cli import VERBS, main
from auteur.media import VideoWriter
from auteur.provenance import Mark
from auteur.signals import Waveform

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(VERBS, "evaluate", "auteur.cli.evaluate")


def film(path: Path, frames, *, sound: bool = False) -> Path:
    path.parent.mkdir(exist_ok=True)
    noise = np.random.default_rng(0).normal(0, 0.05, len(frames) * 640).astype(np.float32)
    audio = Waveform(samples=noise, rate_hz=16_000) if sound else None
    height, width = frames[0].shape[:2]
    with VideoWriter(
        path, size_px=(width, height), rate=Fraction(25), mark=Mark(watermark=False), audio=audio
    ) as video:
        for frame in frames:
            video.write(frame)
    return path


@pytest.fixture
def folders(astronaut, tmp_path, monkeypatch) -> Path:
    """Real videos of a face that drifts, and what two systems made of them."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for name, start in (("ada_happy_1", 140), ("bob_2", 150)):
        real = [np.ascontiguousarray(astronaut[40:168, start - i : start - i + 128]) for i in range(6)]
        film(Path("real") / f"{name}.mp4", real, sound=True)
        for system, noise in (("first", 4), ("second", 25)):
            made = [np.clip(f + random.normal(0, noise, f.shape), 0, 255).astype(np.uint8) for f in real]
            film(Path(system) / f"{name}.mp4", made)
    return tmp_path


class Links(HTMLParser):
    """Collects whatever a page would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.sources += [value for name, value in attrs if name in ("src", "href") and value]


def test_two_systems_are_compared_and_the_report_stands_alone(folders, capsys):
    arguments = ["evaluate", "first", "second", "--reference", "real", "-o", "report", "--json"]
    assert main(arguments) == 0
    result = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert result["clips"] == 2 and result["failed"] == 0
    assert list(result["systems"]) == ["real video", "still portrait", "warp only", "first", "second"]
    assert result["systems"]["first"]["psnr"] > result["systems"]["second"]["psnr"]

    report = json.loads(Path("report/report.json").read_text(encoding="utf-8"))
    assert report["protocol"]["fps"] == "25" and report["protocol"]["size_px"] == 256
    assert report["emotion_classifier"] and report["versions"]["landmarker"]
    found = report["systems"]["first"]["psnr"]
    assert found["clips"] == found["people"] == 2 and found["low"] <= found["mean"] <= found["high"]
    (comparison,) = report["comparisons"]
    assert comparison["metrics"]["psnr"]["p_value"] == 0.5  # two clips: 2 of 4 sign patterns
    assert comparison["metrics"]["psnr"]["first_larger"] == 1

    rows = list(csv.DictReader(Path("report/clips.csv").read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 2 * 5 and float(rows[0]["ssim"]) == pytest.approx(1)

    page = Path("report/report.html").read_text(encoding="utf-8")
    links = Links()
    links.feed(page)
    assert links.sources and all(source.startswith("data:") for source in links.sources)
    assert not re.search(r"https?://|@import|url\(", page)
    assert "still portrait" in page and "<svg" in page and "data:video/mp4" in page


def test_one_system_against_the_real_videos(folders, capsys):
    assert main(["evaluate", "first", "real", "-o", "report", "--no-baselines"]) == 0
    assert capsys.readouterr().out == "report/report.html: 2 clips\n"
    report = json.loads(Path("report/report.json").read_text(encoding="utf-8"))
    assert list(report["systems"]) == ["real video", "first"] and not report["comparisons"]


def test_unreadable_videos_are_named_and_the_rest_is_done(folders, capsys):
    Path("first/bob_2.mp4").write_bytes(b"no video at all")
    assert main(["evaluate", "first", "real", "-o", "report", "--no-baselines"]) == 4
    assert "bob_2" in capsys.readouterr().err
    report = json.loads(Path("report/report.json").read_text(encoding="utf-8"))
    assert report["clips"] == 1 and "bob_2" in report["failures"][0]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ([], 2, "nothing to evaluate"),
        (["first"], 2, "GENERATED REFERENCE"),
        (["first", "absent"], 3, "absent"),
        (["first", "empty"], 3, "holds no video"),
        (["first", "real", "--protocol", "mine"], 2, "self-reenactment"),
        (["first", "first", "--reference", "real"], 2, "twice"),
        (["real", "--protocol", "au-sweep", "--reference", "real"], 2, "--reference"),
        (["real", "--protocol", "long-audio"], 3, "portrait"),
        (["first", "real", "--syncnet-weights", "absent.safetensors"], 3, "absent.safetensors"),
        (["first", "real", "--identity-weights", "absent.pt"], 3, "absent.pt"),
        (["first", "real", "--emotion-classifier", "absent.pt"], 3, "absent.pt"),
        (["first", "real", "--systems", "a=b"], 2, "--systems: no effect with --protocol pairs"),
        (["real", "--protocol", "auhead-table2", "--systems", "lines"], 2, "NAME=FOLDER"),
        (
            ["real", "--protocol", "auhead-table2", "--systems", "mine=warp"],
            2,
            "are for base, sequence, lines",
        ),
        (["real", "--protocol", "auhead-table2"], 3, "test people M003, M030, W009, W015"),
        (["real", "--protocol", "auhead-table1", "--clips", "-1"], 2, "--clips is -1"),
        (["first", "--protocol", "user-study"], 2, "give two or more folders"),
        (["first", "--protocol", "user-study-tally"], 2, "--key"),
        (["first", "real", "-o", "nowhere/report"], 3, "nowhere"),
        (["first", "real", "-o", "real/ada_happy_1.mp4"], 3, "is a file"),
    ],
)
def test_bad_input_ends_with_one_line(folders, capsys, arguments, code, message):
    Path("empty").mkdir()
    assert main(["evaluate", *arguments]) == code
    error = capsys.readouterr().err.strip()
    assert message in error and len(error.splitlines()) == 1


def test_a_report_is_not_replaced_without_overwrite(folders, capsys):
    Path("report").mkdir()
    Path("report/report.html").write_text("precious")
    assert main(["evaluate", "first", "real", "-o", "report"]) == 3
    assert "--overwrite" in capsys.readouterr().err
    assert Path("report/report.html").read_text() == "precious"
