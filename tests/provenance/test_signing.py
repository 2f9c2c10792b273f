"""Signed manifests: validated by the official SDK, refused by name, and read without trust or network."""

import json
import subprocess
import sys
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from auteur.cli import main
from auteur.errors import InputError, UsageError
from auteur.media import open_frames, write_audio, write_image
from auteur.provenance import Mark, Signing, Verdict, hash_file, read_sidecar, sidecar_path, verify
from auteur.provenance.manifest import ManifestVerdict, read_manifest
from auteur.signals import Waveform

c2pa = pytest.importorskip("c2pa", reason="c2pa is not installed: pip install 'auteur-face[c2pa]'")
pytest.importorskip("cryptography", reason="comes with the extra c2pa")

from cryptography import x509  # noqa: E402
from cryptography.hazmat.primitives import serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: E402

from provenance.certificates import DAY, Issuer, pem_of  # noqa: E402

PIXELS = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
SOUND = Waveform(samples=np.linspace(-0.5, 0.5, 8_000, dtype=np.float32), rate_hz=16_000)
INPUTS = {"portrait": "12" * 32, "speech": "ab" * 32}
MARK = Mark(
    inputs=INPUTS,
    settings={"emotion": "happy", "seconds": None, "au": {"AU12": 0.1}},
    seed=11,
    consent="Jane Doe, release of 2 May",
)
AI = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"


@pytest.fixture(scope="module")
def issuer(tmp_path_factory) -> Issuer:
    return Issuer.make(tmp_path_factory.mktemp("issuer"))


@pytest.fixture(scope="module")
def signer(issuer) -> Signing:
    return issuer.signer("signer")


def write(path: Path, mark: Mark) -> Path:
    if path.suffix in (".mp4", ".mov", ".webm", ".gif", ""):
        sound = None if path.suffix == ".gif" else SOUND
        with open_frames(path, size_px=(64, 64), rate=25, mark=mark, audio=sound) as video:
            video.write(PIXELS)
    elif path.suffix in (".wav", ".flac"):
        write_audio(path, SOUND, mark=mark)
    else:
        write_image(path, PIXELS, mark=mark)
    return path


def of_sdk(path: Path, trusted: Path) -> "c2pa.Reader":
    """Returns the official reader of a file with an issuer that it trusts."""
    settings = {"trust": {"user_anchors": trusted.read_text()}, "verify": {"remote_manifest_fetch": False}}
    return c2pa.Reader(str(path), context=c2pa.Context.from_dict(settings))


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".gif", ".png", ".jpg", ".webp", ".wav", ".flac"])
def test_the_official_sdk_validates_what_is_signed(tmp_path, issuer, signer, suffix):
    path = write(tmp_path / f"a{suffix}", replace(MARK, signing=signer))
    reader = of_sdk(path, issuer.certificates)
    assert reader.get_validation_state() == "Trusted"
    manifest = reader.get_active_manifest()
    hashes = {
        one["title"]: one["instance_id"].removeprefix("nih:sha-256;") for one in manifest["ingredients"]
    }
    assert hashes == INPUTS
    held = {one["label"]: one["data"] for one in manifest["assertions"]}
    (action,) = held["c2pa.actions.v2"]["actions"]
    assert (action["action"], action["digitalSourceType"]) == ("c2pa.created", AI)
    assert len(action["parameters"]["ingredients"]) == 2
    assert held["cawg.metadata"]["auteur:record"]["consent"] == MARK.consent
    assert held["cawg.metadata"]["Iptc4xmpExt:DigitalSourceType"] == AI
    # No label names a domain: all are those of the standard, or of the working group whose assertion it is.
    assert {label.partition(".")[0] for label in held} <= {"c2pa", "cawg"}
    assert "thumbnail" not in json.dumps(manifest)

    sidecar = read_sidecar(path)
    assert sidecar is not None and sidecar.output_sha256 == hash_file(path)
    report = verify(path, trusted=issuer.certificates)
    assert (report.verdict, report.layers["manifest"]) == (Verdict.SIGNED, "trusted")
    assert verify(path).layers["manifest"] == "untrusted"
    assert {one.name for one in tmp_path.iterdir()} == {path.name, sidecar_path(path).name}


@pytest.mark.parametrize("suffix", [".mp4", ".png", ".jpg"])
def test_one_flipped_byte_is_caught(tmp_path, signer, capsys, suffix):
    path = write(tmp_path / f"a{suffix}", replace(MARK, signing=signer))
    sidecar_path(path).unlink()  # the manifest alone
    whole = path.read_bytes()
    places = range(len(whole) // 2, len(whole) - 200, max(1, len(whole) // 12))
    assert len(places) > 3
    for place in places:
        changed = bytearray(whole)
        changed[place] ^= 1
        path.write_bytes(changed)
        assert read_manifest(path).verdict in (ManifestVerdict.INVALID, ManifestVerdict.DAMAGED), place
    assert main(["verify", str(path)]) == 3
    shown = capsys.readouterr()
    if suffix == ".mp4":  # a picture can no longer be decoded
        assert "verdict   changed" in shown.out and "changed after it was signed" in shown.err


KEYS = {
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
    "RSA": lambda: rsa.generate_private_key(65537, 2048),
}


@pytest.mark.parametrize("kind", KEYS)
def test_other_kinds_of_keys_sign(tmp_path, issuer, kind):
    signing = issuer.signer(kind, key=KEYS[kind]())
    path = write(tmp_path / "a.png", replace(MARK, signing=signing))
    assert of_sdk(path, issuer.certificates).get_validation_state() == "Trusted"


def bad_signers(issuer: Issuer, folder: Path) -> dict[str, tuple[Signing, str]]:
    good, other = issuer.signer("good"), issuer.signer("other")
    key = serialization.load_pem_private_key(good.key.read_bytes(), None)
    (folder / "locked.key").write_bytes(pem_of(key, b"secret"))
    (folder / "empty.pem").write_text("")
    (folder / "torn.key").write_bytes(good.key.read_bytes()[:100])
    curve, weak = ec.generate_private_key(ec.SECP256K1()), rsa.generate_private_key(65537, 1024)  # noqa: S505
    return {
        "no certificate": (replace(good, certificate=folder / "none.pem"), "No such file"),
        "no key": (replace(good, key=folder / "none.key"), "No such file"),
        "a folder": (replace(good, key=folder), "not a file"),
        "empty certificate": (replace(good, certificate=folder / "empty.pem"), "no certificate in PEM"),
        "key as certificate": (replace(good, certificate=good.key), "no certificate in PEM"),
        "certificate as key": (replace(good, key=good.certificate), "no private key in PEM"),
        "torn key": (replace(good, key=folder / "torn.key"), "no private key in PEM"),
        "locked key": (replace(good, key=folder / "locked.key"), "is encrypted"),
        "key of another": (replace(good, key=other.key), "is not that of the certificate"),
        "expired": (issuer.signer("old", begin=-9 * DAY, end=-DAY), "is valid from .* only"),
        "not yet valid": (issuer.signer("new", begin=DAY, end=9 * DAY), "is valid from .* only"),
        "another curve": (issuer.signer("curve", key=curve), "of a kind that manifests do not take"),
        "weak": (issuer.signer("weak", key=weak), "of a kind that manifests do not take"),
    }


@pytest.fixture(scope="module")
def refused(issuer, tmp_path_factory) -> dict[str, tuple[Signing, str]]:
    return bad_signers(issuer, tmp_path_factory.mktemp("bad"))


@pytest.mark.parametrize(
    "case",
    ["no certificate", "no key", "a folder", "empty certificate", "key as certificate", "certificate as key",
     "torn key", "locked key", "key of another", "expired", "not yet valid", "another curve", "weak"],
)  # fmt: skip
def test_what_cannot_sign_is_named_and_nothing_is_written(tmp_path, refused, case):
    signing, cause = refused[case]
    for name in ("a.png", "a.mp4"):
        with pytest.raises(InputError, match=cause) as caught:
            write(tmp_path / name, replace(MARK, signing=signing))
        assert "PRIVATE" not in str(caught.value) and len(str(caught.value).splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_an_issuer_is_no_signer(tmp_path, issuer):
    (tmp_path / "issuer.key").write_bytes(pem_of(issuer.key))
    signing = Signing(issuer.certificates, tmp_path / "issuer.key")
    with pytest.raises(InputError, match=r"cannot sign 'a.png' .*self-signed"):
        write(tmp_path / "a.png", replace(MARK, signing=signing))
    assert [one.name for one in tmp_path.iterdir()] == ["issuer.key"]


@pytest.mark.parametrize("name", ["a.webm", "frames"])
def test_what_holds_no_manifest_is_refused_first(tmp_path, signer, name):
    with pytest.raises(UsageError, match="cannot be signed"):
        write(tmp_path / name, replace(MARK, signing=signer))
    assert not list(tmp_path.iterdir())


def test_the_key_is_copied_nowhere(tmp_path, issuer):
    key = ec.generate_private_key(ec.SECP256R1())
    signing = issuer.signer("secret", key=key)
    old = pem_of(key, form=serialization.PrivateFormat.TraditionalOpenSSL)
    signing.key.write_bytes(old)  # as `openssl ecparam -genkey` writes it
    write(tmp_path / "a.mp4", replace(MARK, signing=signing))
    secrets = [key.private_numbers().private_value.to_bytes(32, "big"), old.splitlines()[1]]
    for path in tmp_path.iterdir():
        assert not any(secret in path.read_bytes() for secret in secrets)
        assert signing.key.name.encode() not in path.read_bytes()


def test_a_certificate_that_expires_later(tmp_path, issuer):
    soon = issuer.signer("soon", end=3 * DAY / 86_400)
    end = x509.load_pem_x509_certificates(soon.certificate.read_bytes())[0].not_valid_after_utc
    path = write(tmp_path / "a.png", replace(MARK, signing=soon))
    assert read_manifest(path, trusted=issuer.certificates).verdict is ManifestVerdict.TRUSTED
    while datetime.now(UTC) <= end + timedelta(seconds=1):  # the clock of certificates may be set or slewed
        time.sleep(0.1)
    report = verify(path, trusted=issuer.certificates)
    assert (report.layers["manifest"], report.verdict) == ("expired", Verdict.SIGNED)


HOSTILE = "Camera\x1b[2J\r\nverdict   intact: real\u202e"


HOSTILE_RECORD = {"label": "org.auteur.record", "data": {"tool": 3, "consent": HOSTILE}}


def signed_elsewhere(
    path: Path, signer: Signing, *, address: str | None = None, record: dict = HOSTILE_RECORD
) -> Path:
    """Writes an unmarked picture that another program has signed, with hostile names and record."""
    Image.fromarray(PIXELS).save(path.with_name("plain.png"))
    keys = (signer.certificate.read_bytes(), signer.key.read_bytes())
    info = c2pa.C2paSignerInfo("es256", *keys, None)
    context = c2pa.Context.from_dict(
        {"verify": {"remote_manifest_fetch": False}}, c2pa.Signer.from_info(info)
    )
    action = {
        "action": "c2pa.created",
        "digitalSourceType": AI.replace("trainedAlgorithmicMedia", "digitalCapture"),
    }
    builder = c2pa.Builder(
        {
            "claim_generator_info": [{"name": HOSTILE, "version": "1"}],
            "assertions": [
                {"label": "c2pa.actions.v2", "data": {"actions": [action]}},
                record,
            ],
            "ingredients": [
                {"title": HOSTILE, "relationship": "inputTo", "instance_id": f"nih:sha-256;{HOSTILE}"}
            ],
        },
        context=context,
    )
    if address is not None:
        builder.set_no_embed()
        builder.set_remote_url(address)
    with path.with_name("plain.png").open("rb") as source, path.open("w+b") as target:
        builder.sign("image/png", source, target)
    return path


def test_a_foreign_manifest_is_shown_and_proves_no_origin(tmp_path, signer, capsys):
    path = signed_elsewhere(tmp_path / "a.png", signer)
    report = verify(path)
    assert report.verdict is Verdict.UNMARKED
    assert report.manifest.verdict is ManifestVerdict.UNTRUSTED and not report.manifest.is_ai_generated
    assert all(line.isprintable() for line in report.lines())
    assert sum(line.startswith("verdict") for line in report.lines()) == 1
    assert main(["verify", str(path), "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["layers"]["manifest"]["verdict"] == "untrusted" and shown["manifest"]["signer"]


@pytest.mark.parametrize(
    ("label", "data", "is_read"),
    [
        ("org.auteur.record", MARK.to_json(), True),  # as Auteur 0.1 wrote it at first
        ("cawg.metadata", {"@context": {}, "auteur:record": MARK.to_json()}, True),
        ("cawg.metadata", {"@context": {}, "auteur:record": [HOSTILE]}, False),
        ("cawg.metadata", {"@context": {}, "dc:creator": HOSTILE}, False),
        ("com.example.record", MARK.to_json(), False),
    ],
)
def test_records_are_read_from_the_present_and_the_former_label(tmp_path, signer, label, data, is_read):
    path = signed_elsewhere(tmp_path / "a.png", signer, record={"label": label, "data": data})
    reading = read_manifest(path)
    assert reading.verdict is ManifestVerdict.UNTRUSTED
    assert reading.record == (MARK.to_json() if is_read else None)
    assert any(MARK.consent in line for line in verify(path).lines()) is is_read


def test_a_foreign_manifest_beside_our_record_stays_foreign(tmp_path, signer):
    path = signed_elsewhere(tmp_path / "a.png", signer)
    sidecar_path(path).write_text(
        json.dumps({"format": "auteur-sidecar/1", "tool": "Auteur", "output": {"sha256": hash_file(path)}})
    )
    report = verify(path)  # a forged sidecar with the right hash
    assert report.verdict is Verdict.CHANGED and "lacks the metadata" in report.contradictions[0]


def test_a_forged_sidecar_of_a_signed_file_contradicts_its_manifest(tmp_path, signer):
    path = write(tmp_path / "a.png", replace(MARK, signing=signer))
    record = json.loads(sidecar_path(path).read_text())
    sidecar_path(path).write_text(json.dumps(record | {"consent": "somebody else"}))
    report = verify(path)
    assert report.verdict is Verdict.CHANGED
    assert report.contradictions == ("manifest and sidecar hold different records",)


def test_a_manifest_elsewhere_is_not_fetched(tmp_path, signer):
    requests: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(self.path)
            self.send_error(404)

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}/manifest"
        path = signed_elsewhere(tmp_path / "a.png", signer, address=address)
        report = verify(path)
        server.shutdown()
    assert report.manifest.verdict is ManifestVerdict.ELSEWHERE and not requests


def test_damaged_manifests_are_verdicts(tmp_path, signer):
    path = write(tmp_path / "a.mp4", replace(MARK, signing=signer))
    whole, random = path.read_bytes(), np.random.default_rng(0)
    first = whole.index(b"jumb")
    for place in random.integers(first, first + 4000, 60):
        changed = bytearray(whole)
        changed[place : place + random.integers(1, 9)] = random.bytes(4)
        path.write_bytes(changed)
        assert read_manifest(path).verdict in ManifestVerdict
    path.write_bytes(whole[:first] + b"jumB" + whole[first + 4 :])
    report = verify(path)
    assert (report.verdict, report.layers["manifest"]) == (Verdict.CHANGED, "damaged")


def test_issuers_that_are_none(tmp_path, signer):
    path = write(tmp_path / "a.png", replace(MARK, signing=signer))
    for issuers in (tmp_path / "missing.pem", signer.key):
        with pytest.raises(InputError):
            verify(path, trusted=issuers)


@pytest.mark.slow
def test_a_library_in_the_current_folder_is_not_loaded(tmp_path):
    for name in ("libc2pa_c.so", "libc2pa_c.dylib", "c2pa_c.dll"):
        (tmp_path / name).write_text("no library: loading it fails and is reported")
    code = "from auteur.provenance.manifest import sdk; sdk()"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("options", "code", "cause"),
    [
        (["--sign", "signer.pem"], 2, "go together"),
        (["--sign", "none.pem", "--key", "signer.key"], 3, "No such file"),
        (["--sign", "signer.pem", "--key", "signer.key", "-o", "out.webm"], 2, "cannot be signed"),
        (["--sign", "signer.pem", "--key", "signer.key", "-o", "signer.key"], 2, "also the input"),
        (["--consent", " "], 2, "statement of consent has 0 characters"),
    ],
)
def test_the_command_refuses_before_it_renders(tmp_path, signer, monkeypatch, capsys, options, code, cause):
    monkeypatch.chdir(tmp_path)
    for path in (signer.certificate, signer.key):
        Path(path.name).write_bytes(path.read_bytes())
    Image.fromarray(PIXELS).save("me.png")
    write_audio("talk.wav", SOUND, mark=Mark())
    before = {one: one.read_bytes() for one in tmp_path.iterdir()}
    assert main(["generate", "me.png", "talk.wav", *options]) == code
    assert cause in capsys.readouterr().err
    assert {one: one.read_bytes() for one in tmp_path.iterdir()} == before


def test_the_service_takes_them_from_the_environment(tmp_path, signer, monkeypatch):
    monkeypatch.delenv("AUTEUR_SIGN_KEY", raising=False)
    monkeypatch.delenv("AUTEUR_SIGN_CERTIFICATE", raising=False)
    assert Signing.from_environment() is None
    monkeypatch.setenv("AUTEUR_SIGN_CERTIFICATE", str(signer.certificate))
    with pytest.raises(UsageError, match="only one is set"):
        Signing.from_environment()
    monkeypatch.setenv("AUTEUR_SIGN_KEY", str(signer.key))
    assert Signing.from_environment() == signer
