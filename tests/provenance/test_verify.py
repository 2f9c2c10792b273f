"""Marks: on every kind of file, in every layer, and what is reported when a layer is missing or wrong."""

import ast
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import auteur
from auteur.cli import main
from auteur.errors import MediaError, UsageError
from auteur.media import open_frames, write_audio, write_image
from auteur.provenance import Mark, Verdict, VerifyReport, hash_file, read_sidecar, sidecar_path, verify
from auteur.provenance.manifest import ManifestReading, ManifestVerdict
from auteur.provenance.mark import parse_container_text
from auteur.signals import Waveform
from auteur.watermark import WatermarkReading

PIXELS = np.random.default_rng(0).integers(0, 255, (32, 32, 3), dtype=np.uint8)
SOUND = Waveform(samples=np.linspace(-0.5, 0.5, 8_000, dtype=np.float32), rate_hz=16_000)
MARK = Mark(
    models={f"model {index} “é”": "1.0" for index in range(12)},
    inputs={"portrait": "12" * 32, "speech": "ab" * 32},
    settings={"emotion": "happy", "au": {"AU12": 0.5}},
    seed=11,
)


OTHER = Mark(seed=5)


def write(path: Path) -> Path:
    if path.suffix in (".mp4", ".mov", ".webm", ".gif"):
        with open_frames(path, size_px=(32, 32), rate=25, mark=MARK, audio=SOUND) as video:
            video.write(PIXELS)
    elif path.suffix in (".wav", ".flac"):
        write_audio(path, SOUND, mark=MARK)
    else:
        write_image(path, PIXELS, mark=MARK)
    return path


KINDS = [".png", ".jpg", ".webp", ".wav", ".flac", ".mp4", ".mov", ".webm", ".gif"]


@pytest.mark.parametrize("suffix", KINDS)
def test_every_written_file_carries_both_marks(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"a{suffix}")
    report = verify(path)
    assert report.verdict is Verdict.INTACT
    assert report.metadata == Mark(models=MARK.models, watermark=False)
    assert report.sidecar is not None
    assert report.sidecar.mark == replace(MARK, watermark=False)  # 32 px carry none
    assert report.sidecar.output_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert b"AI-generated" in path.read_bytes()


@pytest.mark.parametrize("suffix", KINDS)
def test_changed_bytes_are_reported(tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"a{suffix}")
    path.write_bytes(path.read_bytes() + b"\0")
    report = verify(path)
    assert report.content_matches is False
    assert report.verdict is Verdict.CHANGED


def test_lost_sidecar(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4")
    sidecar_path(path).unlink()
    report = verify(path)
    assert (report.verdict, report.sidecar, report.content_matches) == (Verdict.METADATA_ONLY, None, None)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"format": "auteur-sidecar/1"}', "[" * 100_000, "\udc00"]
)
def test_damaged_sidecar(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "a.png")
    sidecar_path(path).write_bytes(text.encode("utf-8", "surrogatepass"))
    report = verify(path)
    assert report.verdict is Verdict.METADATA_ONLY
    assert report.sidecar_problem is not None
    assert "not an intact sidecar" in report.sidecar_problem
    assert any("not an intact sidecar" in line for line in report.lines())


@pytest.mark.parametrize("field", ["tool", "version", "models", "inputs", "settings", "seed"])
def test_sidecar_fields_of_the_wrong_kind(tmp_path: Path, field: str) -> None:
    path = write(tmp_path / "a.png")
    record = json.loads(sidecar_path(path).read_text())
    sidecar_path(path).write_text(json.dumps(record | {field: [1.5]}))
    problem = verify(path).sidecar_problem
    assert problem is not None and repr(field) in problem


def test_lost_metadata_is_a_change(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png")
    Image.open(path).copy().save(path)
    report = verify(path)
    assert report.metadata is None
    assert report.verdict is Verdict.CHANGED


def test_unmarked_pictures_are_not_called_real(tmp_path: Path) -> None:
    Image.fromarray(PIXELS).save(tmp_path / "a.png")
    report = verify(tmp_path / "a.png")
    assert report.verdict is Verdict.UNMARKED
    assert "does not show" in report.lines()[-1]


def test_what_is_no_media_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("AI-generated {}")
    for path in (tmp_path / "a.txt", tmp_path / "missing.png"):
        with pytest.raises(MediaError):
            verify(path)
    with pytest.raises(MediaError, match="missing"):
        hash_file(tmp_path / "missing.png")


def test_command_prints_every_layer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "a.wav")
    assert main(["verify", str(path)]) == 0
    text = capsys.readouterr().out
    for word in (
        "metadata",
        "sidecar",
        "content",
        "verdict   intact",
        "seed 11",
        "portrait",
        auteur.__version__,
    ):
        assert word in text
    assert main(["verify", str(path), "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert json.loads(lines[0])["verdict"] == "intact"


def test_sidecar_holds_what_is_needed_to_make_the_file_again(tmp_path: Path) -> None:
    record = json.loads(sidecar_path(write(tmp_path / "a.png")).read_text())
    assert record["ai_generated"] is True
    assert record["digital_source_type"].endswith("trainedAlgorithmicMedia")
    assert (record["seed"], record["settings"], record["inputs"]) == (
        11,
        dict(MARK.settings),
        dict(MARK.inputs),
    )
    assert record["output"]["bytes"] == (tmp_path / "a.png").stat().st_size


def test_no_sidecar_is_none(tmp_path: Path) -> None:
    assert read_sidecar(tmp_path / "a.png") is None


def test_marks_must_fit_into_json() -> None:
    for settings in ({"x": object()}, {"x": float("nan")}, {"x": {1, 2}}):
        with pytest.raises(UsageError, match="JSON"):
            Mark(settings=settings)


def test_the_watermark_outlives_the_other_marks_and_is_compared_with_them(tmp_path, capsys) -> None:
    shades = np.tile(np.linspace(60, 200, 160, dtype=np.uint8)[:, None, None], (1, 192, 3))
    write_image(tmp_path / "a.png", shades, mark=MARK)
    marked = Image.open(tmp_path / "a.png").convert("RGB")
    marked.save(tmp_path / "shared.jpg", quality=90)
    report = verify(tmp_path / "shared.jpg")
    assert (report.verdict, report.layers["watermark"]) == (Verdict.WATERMARK_ONLY, "found")
    assert report.watermark.run_id == MARK.run_id and report.to_json()["watermark"]["found"]

    # Its pixels under the record of another run, which claims a watermark of its own.
    write_image(tmp_path / "b.png", np.asarray(marked), mark=Mark(seed=1, watermark=False))
    record = json.loads(sidecar_path(tmp_path / "b.png").read_text())
    sidecar_path(tmp_path / "b.png").write_text(json.dumps(record | {"watermark": True}))
    assert main(["verify", str(tmp_path / "b.png")]) == 3
    assert (
        f"the watermark names the run {MARK.run_id}, the sidecar {record['run_id']}"
        in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("metadata", "signed", "found", "sentence"),
    [
        (MARK, None, MARK, None),
        (MARK, None, OTHER, f"the watermark names the run {OTHER.run_id}, the metadata {MARK.run_id}"),
        (None, MARK, OTHER, f"the watermark names the run {OTHER.run_id}, the manifest {MARK.run_id}"),
        (MARK, MARK, MARK, None),
        (MARK, MARK, None, None),
        (OTHER, MARK, None, "manifest and metadata name different origins"),
        (replace(MARK, watermark=False), None, OTHER, None),
        (None, None, OTHER, None),
    ],
)
def test_layers_are_compared_without_a_sidecar_too(metadata, signed, found, sentence) -> None:
    manifest = (
        ManifestReading(verdict=ManifestVerdict.NONE)
        if signed is None
        else ManifestReading(
            verdict=ManifestVerdict.UNTRUSTED, is_ai_generated=True, record=signed.to_json(), signer="x"
        )
    )
    run_id = None if found is None else found.run_id
    report = VerifyReport(
        path=Path("a.png"),
        metadata=None if metadata is None else parse_container_text(metadata.container_text()),
        sidecar=None,
        sidecar_problem=None,
        content_matches=None,
        manifest=manifest,
        watermark=WatermarkReading(found=found is not None, run_id=run_id, frames_read=1),
    )
    assert report.contradictions == (() if sentence is None else (sentence,))
    assert (report.verdict is Verdict.CHANGED) is (sentence is not None)


@given(models=st.dictionaries(st.text(), st.text(), max_size=4), version=st.text())
def test_container_text_round_trip(models: dict[str, str], version: str) -> None:
    mark = Mark(version=version, models=models)
    assert mark.container_text().isascii()
    assert "\n" not in mark.container_text()
    assert parse_container_text(mark.container_text()) == mark


@given(st.text())
def test_other_texts_are_no_marks(text: str) -> None:
    assert parse_container_text(text) is None
    assert parse_container_text(f"AI-generated {text}") is None


@pytest.mark.slow
def test_only_media_imports_decoders_and_encoders() -> None:
    root = Path(auteur.__file__).parent
    doors = {"av", "PIL", "soundfile", "imageio", "torchvision", "torchaudio"}
    for path in root.rglob("*.py"):
        # Data preparation reads training sets; it writes no media that leaves the machine.
        if any(map(path.is_relative_to, (root / "media", root / "lab" / "data", root / "lab" / "prepare"))):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            assert not doors & {name.split(".")[0] for name in names}, path
