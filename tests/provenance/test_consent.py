"""Consent: one policy for every way to make a video, recorded where it belongs and nowhere else."""

import json

import numpy as np
import pytest

from auteur.batch.jobs import Job, read_jobs
from auteur.errors import UsageError
from auteur.media import write_image
from auteur.provenance import Mark, check_consent, consent_notes, read_sidecar, sidecar_path, verify
from auteur.provenance.manifest import read_manifest
from auteur.talking_head.settings import Settings

STATED = "Jane Doe, signed release of 2 May"


@pytest.mark.parametrize("text", ["", "  \n", "x" * 501])
def test_statements_are_bounded_and_not_quoted(text):
    with pytest.raises(UsageError, match=r"has \d+ characters; it needs 1 to 500") as caught:
        check_consent(text)
    assert "xxx" not in str(caught.value)
    with pytest.raises(UsageError):
        Settings(consent=text)


def test_only_a_missing_statement_is_noted():
    assert check_consent(None) is None and check_consent(f" {STATED} ") == STATED
    assert consent_notes(STATED) == () and "--consent" in consent_notes(None)[0]
    assert Settings(consent=f" {STATED}").consent == STATED


def test_the_sidecar_keeps_it_and_the_container_does_not(tmp_path):
    path = tmp_path / "a.png"
    write_image(path, np.zeros((16, 16, 3), np.uint8), mark=Mark(consent=STATED))
    sidecar = read_sidecar(path)
    assert sidecar is not None and sidecar.mark.consent == STATED
    assert STATED.encode() not in path.read_bytes()
    assert any(line.endswith(f"consent: {STATED}") for line in verify(path).lines())
    record = json.loads(sidecar_path(path).read_text())
    sidecar_path(path).write_text(json.dumps(record | {"consent": ""}))
    assert "not an intact sidecar" in str(verify(path).sidecar_problem)


def test_lines_of_a_batch_state_their_own(tmp_path):
    for name in ("me.png", "talk.wav"):
        (tmp_path / name).touch()
    files = {"portrait": "me.png", "speech": "talk.wav"}
    lines = [files, {**files, "consent": "another"}, {**files, "consent": " "}, {**files, "signing": "a"}]
    (tmp_path / "jobs.jsonl").write_text("\n".join(map(json.dumps, lines)))
    jobs = list(read_jobs(tmp_path / "jobs.jsonl", defaults={"consent": STATED}, paints=False))
    assert [job.settings.consent for job in jobs if isinstance(job, Job)] == [STATED, "another"]
    assert "statement of consent" in jobs[2].reason and "unknown key 'signing'" in jobs[3].reason


def test_without_c2pa_the_other_layers_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr("auteur.provenance.manifest.find_spec", lambda name: None)
    path = tmp_path / "a.png"
    write_image(path, np.zeros((16, 16, 3), np.uint8), mark=Mark())
    report = verify(path)
    assert report.verdict == "intact" and report.layers["manifest"] == "not checked"
    assert any("pip install 'auteur-face[c2pa]'" in line for line in report.lines())
    with pytest.raises(UsageError, match="c2pa"):
        read_manifest(path, trusted=path)
