"""`auteur generate` with a certificate and a statement of consent, alone and in batches."""

import json
from pathlib import Path

import numpy as np
import pytest

from auteur.batch.results import RESULTS
from auteur.cli import main
from auteur.media import write_audio, write_image
from auteur.provenance import Mark, Verdict, verify
from auteur.signals import Waveform

pytest.importorskip("c2pa", reason="c2pa is not installed: pip install 'auteur-face[c2pa]'")
pytest.importorskip("cryptography", reason="comes with the extra c2pa")

from provenance.certificates import Issuer

pytestmark = pytest.mark.slow

STATED = "Jane Doe, signed release of 2 May"


@pytest.fixture
def issuer(tmp_path, monkeypatch, astronaut) -> Issuer:
    """Certificates in the current folder, beside a portrait and 0.4 s of sound."""
    monkeypatch.chdir(tmp_path)
    write_image("me.png", np.ascontiguousarray(astronaut[0:256, 96:352]), mark=Mark())
    noise = np.random.default_rng(0).normal(0, 0.05, 6400).astype(np.float32)
    write_audio("talk.wav", Waveform(samples=noise, rate_hz=16000), mark=Mark())
    made = Issuer.make(tmp_path)
    made.signer("signer")
    return made


SIGN = ["--preset", "warp", "--sign", "signer.pem", "--key", "signer.key"]


def test_video_and_sheet_are_signed_with_the_statement(issuer, capsys):
    options = ["-o", "out.mp4", "--sheet", "sheet.png", "--consent", STATED]
    assert main(["generate", "me.png", "talk.wav", *SIGN, *options]) == 0
    assert "consent" not in capsys.readouterr().err
    for name in ("out.mp4", "sheet.png"):
        assert main(["verify", name, "--trust", "issuer.pem", "--json"]) == 0
        report = json.loads(capsys.readouterr().out)
        assert report["verdict"] == "signed" and report["layers"]["manifest"]["verdict"] == "trusted"
        assert report["sidecar"]["consent"] == report["manifest"]["record"]["consent"] == STATED


def test_a_batch_is_signed_and_notes_what_states_no_consent(issuer, capsys):
    files = {"portrait": "me.png", "speech": "talk.wav"}
    jobs = [{**files, "output": "a.mp4", "consent": STATED}, {**files, "output": "b.mp4"}]
    Path("jobs.jsonl").write_text("\n".join(map(json.dumps, jobs)))
    command = ["generate", "--batch", "jobs.jsonl", "-o", "made", "--workers", "1", *SIGN]
    assert main(command) == 0
    assert "1 video: no consent is stated" in capsys.readouterr().err
    reports = [verify(Path("made") / name) for name in ("a.mp4", "b.mp4")]
    assert [one.verdict for one in reports] == [Verdict.SIGNED] * 2
    assert [one.sidecar and one.sidecar.mark.consent for one in reports] == [STATED, None]
    assert STATED not in (Path("made") / RESULTS).read_text()
    assert main(command) == 0
    assert "2 of 2 videos are there already" in capsys.readouterr().err

    Path("jobs.jsonl").write_text(json.dumps({**files, "output": "c.webm"}))
    assert main(command) == 3
    assert ".webm files cannot be signed" in capsys.readouterr().err
    Path("jobs.jsonl").write_text(json.dumps({**files, "key": "signer.key"}))
    assert main(command) == 3
    assert "it holds for the whole run: give --key" in capsys.readouterr().err
