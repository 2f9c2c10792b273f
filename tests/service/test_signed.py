"""A service with a certificate: every video is signed, and neither key nor consent leaks."""

import pytest

from auteur.provenance import Verdict, verify
from service.conftest import client_of, code_of, ended, upload

pytest.importorskip("c2pa", reason="c2pa is not installed: pip install 'auteur-face[c2pa]'")
pytest.importorskip("cryptography", reason="comes with the extra c2pa")

from provenance.certificates import Issuer

pytestmark = pytest.mark.slow

STATED = "Jane Doe, signed release of 2 May"


def test_videos_are_signed_and_nothing_leaks(tmp_path, portrait, talk, capfd):
    (tmp_path / "keys").mkdir()
    issuer = Issuer.make(tmp_path / "keys")
    signing = issuer.signer("signer")
    with client_of(tmp_path / "service", signing=signing) as client:
        pair = {"portrait": upload(client, portrait)["id"], "speech": upload(client, talk)["id"]}
        assert code_of(client.post("/v1/videos", json={**pair, "format": "webm"})) == (422, "bad_value")
        for key in ("sign", "signing"):
            assert code_of(client.post("/v1/videos", json={**pair, key: "a.pem"})) == (422, "bad_value")

        job = ended(client, client.post("/v1/videos", json={**pair, "consent": STATED}).json()["id"])
        assert job["status"] == "done", job
        path = tmp_path / "service" / "jobs" / job["id"] / "video.mp4"
        report = verify(path, trusted=issuer.certificates)
        assert (report.verdict, report.layers["manifest"]) == (Verdict.SIGNED, "trusted")
        assert report.manifest.record is not None and report.manifest.record["consent"] == STATED
        assert set(report.manifest.inputs or {}) == {"portrait", "speech"}

        signing.certificate.write_bytes(issuer.certificates.read_bytes())
        answer = client.post("/v1/videos", json=pair)
        assert answer.status_code == 422 and str(tmp_path) not in answer.text
        assert "is not that of the certificate" in answer.text
    captured = capfd.readouterr()
    assert STATED not in captured.out + captured.err
    record = (path.parent / "record.json").read_text()
    assert str(signing.key) not in record
