"""Manifests (C2PA) inside files, read by the official SDK, which the extra `c2pa` installs.

No connection is opened: a manifest that lies elsewhere is not fetched, revocation is not looked up.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from auteur.errors import InputError, UsageError
from auteur.files import read_bytes

METADATA = "cawg.metadata"
"""Label of the assertion that holds the record of the sidecar: JSON-LD of any vocabulary (CAWG Metadata
Assertion 1.0). C2PA: a label of one's own begins with one's Internet domain; this project has none."""

RECORD = "auteur:record"
"""Property of that assertion whose value is the record."""

VOCABULARY = "urn:uuid:6f0d3a52-5c0b-4c39-9a5e-0b7d8a1f2e64#"
"""Namespace of that property and of the names within the record; a UUID needs no owner."""

_FORMER_LABEL = "org.auteur.record"
"""Label of an assertion that was the record itself, in files written before."""

HASH = "nih:sha-256;"
"""Of RFC 6920: names an ingredient by its hash, in hexadecimal digits."""

NO_NETWORK: dict[str, Any] = {"verify": {"remote_manifest_fetch": False, "ocsp_fetch": False}}
"""Settings of the SDK."""

MOST_PEM_BYTES = 1_000_000

_INSTALL = "pip install 'auteur-face[c2pa]'"
_AI_SOURCES = ("trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia")
_LIBRARIES = (".so", ".dylib", ".dll")


class ManifestVerdict(StrEnum):
    """State of the manifest of a file."""

    NOT_CHECKED = "not checked"
    """The SDK is not installed."""
    NONE = "none"
    TRUSTED = "trusted"
    """The signature fits the file, and the certificate leads to a trusted issuer."""
    UNTRUSTED = "untrusted"
    """The signature fits the file; who holds the certificate is not known."""
    EXPIRED = "expired"
    """The signature fits the file, but the certificate has expired, so its time is not known."""
    INVALID = "invalid"
    """The file or the manifest was changed after it was signed."""
    DAMAGED = "damaged"
    """There is a manifest that cannot be read."""
    ELSEWHERE = "elsewhere"
    """The file names an address of its manifest; it was not fetched."""


@dataclass(frozen=True, kw_only=True)
class ManifestReading:
    """What the manifest of a file states. All texts are the file's own."""

    verdict: ManifestVerdict
    problem: str | None = None
    """Reason, where the verdict needs one."""
    signer: str | None = None
    """Name and organisation in the certificate."""
    generator: str | None = None
    """Program that made the manifest."""
    is_ai_generated: bool = False
    """Whether an action states that a trained model made the picture or part of it."""
    inputs: dict[str, str] | None = None
    """Ingredients that are named by hash: role -> SHA-256, 64 hexadecimal digits."""
    record: dict[str, Any] | None = None
    """The mark as `Mark.to_json`, in files of Auteur."""

    @property
    def fits(self) -> bool:
        """Whether the signature fits the file."""
        return self.verdict in (ManifestVerdict.TRUSTED, ManifestVerdict.UNTRUSTED, ManifestVerdict.EXPIRED)

    def to_json(self) -> dict[str, Any]:
        """The reading as plain JSON values."""
        return {**vars(self), "verdict": str(self.verdict)}


def read_manifest(path: Path, *, trusted: Path | None = None) -> ManifestReading:
    """Checks the manifest inside a file.

    Args:
        path: The file.
        trusted: Certificates in PEM of the issuers that are trusted; None: none are.

    Raises:
        InputError: The certificates cannot be read.
        UsageError: Issuers are given, but c2pa is not installed.
    """
    if trusted is None and not _is_installed():
        return ManifestReading(verdict=ManifestVerdict.NOT_CHECKED, problem=f"install c2pa: {_INSTALL}")
    c2pa, settings = sdk(), dict(NO_NETWORK)
    if trusted is not None:
        settings["trust"] = {"user_anchors": _anchors(trusted)}
    if path.is_dir():
        return ManifestReading(verdict=ManifestVerdict.NONE, problem="folders hold none")
    try:
        with (
            c2pa.Context.from_dict(settings) as context,
            path.open("rb") as file,
            c2pa.Reader(None, file, context=context) as reader,
        ):
            return _reading(reader.get_active_manifest(), _failures(reader), reader.get_validation_state())
    except c2pa.C2paError as error:
        return _unread(c2pa, error)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:  # of JSON that states nonsense
        return ManifestReading(verdict=ManifestVerdict.DAMAGED, problem=f"{type(error).__name__}: {error}")


def _unread(c2pa: Any, error: Exception) -> ManifestReading:
    text = str(error)
    if isinstance(error, c2pa.C2paError.ManifestNotFound):
        return ManifestReading(verdict=ManifestVerdict.NONE)
    if text.startswith("Remote"):
        return ManifestReading(verdict=ManifestVerdict.ELSEWHERE, problem=text)
    if text.startswith("NotSupported"):
        return ManifestReading(verdict=ManifestVerdict.NONE, problem="files of this kind hold none")
    return ManifestReading(verdict=ManifestVerdict.DAMAGED, problem=text)


def _failures(reader: Any) -> list[str]:
    results = (reader.get_validation_results() or {}).get("activeManifest") or {}
    return [str(one.get("code")) for one in results.get("failure", [])]


def _reading(manifest: dict[str, Any], failures: list[str], state: str | None) -> ManifestReading:
    if set(failures) - {"signingCredential.untrusted", "signingCredential.expired"}:
        verdict = ManifestVerdict.INVALID
    elif "signingCredential.expired" in failures:
        verdict = ManifestVerdict.EXPIRED
    else:
        verdict = ManifestVerdict.TRUSTED if state == "Trusted" else ManifestVerdict.UNTRUSTED
    signature = manifest.get("signature_info") or {}
    names = [signature.get(name) for name in ("common_name", "issuer")]
    generators = manifest.get("claim_generator_info") or [{}]
    hashes = {
        str(one.get("title")): str(one["instance_id"]).removeprefix(HASH)
        for one in manifest.get("ingredients", [])
        if str(one.get("instance_id")).startswith(HASH)
    }
    assertions = [(one.get("label", ""), one.get("data")) for one in manifest.get("assertions", [])]
    actions = [
        action
        for label, data in assertions
        if label.startswith("c2pa.actions")
        for action in data.get("actions", [])
    ]
    sources = {str(one.get("digitalSourceType")).rpartition("/")[2] for one in actions}
    return ManifestReading(
        verdict=verdict,
        problem=", ".join(failures) if verdict is ManifestVerdict.INVALID else None,
        signer=", ".join(str(name) for name in names if name) or None,
        generator=" ".join(str(generators[0].get(name, "")) for name in ("name", "version")).strip() or None,
        is_ai_generated=bool(sources.intersection(_AI_SOURCES)),
        inputs=hashes,
        record=_record(assertions),
    )


def _record(assertions: Sequence[tuple[str, Any]]) -> dict[str, Any] | None:
    for label, data in assertions:
        # A second assertion with one label is numbered: "cawg.metadata__1".
        if label.partition("__")[0] == METADATA and isinstance(data, dict):
            data = data.get(RECORD)
        elif label != _FORMER_LABEL:
            continue
        if isinstance(data, dict):
            return data
    return None


def _anchors(path: Path) -> str:
    from cryptography import x509

    content = read_bytes(path, max_bytes=MOST_PEM_BYTES)
    try:
        x509.load_pem_x509_certificates(content)
        return content.decode()
    except ValueError as error:
        raise InputError(
            f"{str(path)!r} holds no certificates in PEM; give those of trusted issuers"
        ) from error


def _is_installed() -> bool:
    return find_spec("c2pa") is not None and find_spec("cryptography") is not None


def sdk() -> Any:
    """Returns the module c2pa.

    Raises:
        UsageError: It is not installed.
    """
    if not _is_installed():
        raise UsageError(f"signed manifests need c2pa; install it: {_INSTALL}")
    if "c2pa" not in sys.modules:
        # By itself it would load a library of that name from the current folder first.
        spec = find_spec("c2pa")
        folder = Path(str(spec and spec.origin)).parent / "libs"
        library = next((one for one in folder.glob("*c2pa_c.*") if one.suffix in _LIBRARIES), None)
        if library is None:
            raise UsageError(f"c2pa is installed without its library; repair it: {_INSTALL}")
        os.environ["C2PA_LIBRARY_NAME"] = str(library)
    import c2pa

    return c2pa
