"""The user's certificate and key with which outputs are signed."""

import datetime
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auteur.errors import InputError, UsageError
from auteur.files import read_bytes
from auteur.provenance.manifest import MOST_PEM_BYTES, sdk

SIGNED_KINDS = {
    ".mp4": "video/mp4",
    ".mov": "video/quicktime",
    ".gif": "image/gif",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".wav": "audio/wav",
    ".flac": "audio/flac",
}
"""Endings of outputs that hold a manifest, with their media types. WebM and folders hold none."""

CERTIFICATE_PAGE = "docs/provenance.md makes one that fits"
_VARIABLES = ("AUTEUR_SIGN_CERTIFICATE", "AUTEUR_SIGN_KEY")
_CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}


@dataclass(frozen=True)
class Signing:
    """Certificate and key with which outputs are signed. The key is read when it is used and kept nowhere."""

    certificate: Path
    """PEM: the signer's certificate first, then those that issued it."""
    key: Path
    """PEM: the private key, not encrypted."""

    @classmethod
    def from_environment(cls) -> "Signing | None":
        """Returns what AUTEUR_SIGN_CERTIFICATE and AUTEUR_SIGN_KEY name; None where neither is set.

        Raises:
            UsageError: Only one of them is set.
        """
        found = [os.environ.get(name) for name in _VARIABLES]
        if not any(found):
            return None
        if not all(found):
            raise UsageError(f"of {' and '.join(_VARIABLES)} only one is set; set both, or neither")
        certificate, key = (Path(str(name)).absolute() for name in found)
        return cls(certificate, key)

    def check(self, path: Path) -> None:
        """Raises early what `sign` would raise for an output of that name.

        Raises:
            UsageError: c2pa is not installed, or such a file holds no manifest.
            InputError: Certificate or key cannot be used.
        """
        if path.suffix.lower() not in SIGNED_KINDS:
            what = f"{path.suffix} files" if path.suffix else "folders of frames"
            raise UsageError(f"{what} cannot be signed; choose one of {', '.join(SIGNED_KINDS)}")
        sdk()
        self.credentials()

    def credentials(self) -> tuple[str, bytes, bytes]:
        """Returns the name of the algorithm, the certificates and the key as the SDK takes them."""
        from cryptography import exceptions, x509
        from cryptography.hazmat.primitives import serialization

        chain, secret = (read_bytes(path, max_bytes=MOST_PEM_BYTES) for path in (self.certificate, self.key))
        certificate_name, key_name = repr(str(self.certificate)), repr(str(self.key))
        try:
            certificate = x509.load_pem_x509_certificates(chain)[0]
        except ValueError as error:
            raise InputError(f"{certificate_name} holds no certificate in PEM; {CERTIFICATE_PAGE}") from error
        try:
            private = serialization.load_pem_private_key(secret, password=None)
        except TypeError as error:
            raise InputError(
                f"the key {key_name} is encrypted; give one without password: openssl pkey -in KEY -out PLAIN"
            ) from error
        except (ValueError, exceptions.UnsupportedAlgorithm):  # whose text might hold parts of the key
            raise InputError(f"{key_name} holds no private key in PEM; {CERTIFICATE_PAGE}") from None
        if private.public_key() != certificate.public_key():
            raise InputError(f"the key {key_name} is not that of the certificate {certificate_name}")
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if not begin <= datetime.datetime.now(datetime.UTC) <= end:
            raise InputError(
                f"the certificate {certificate_name} is valid from {begin:%Y-%m-%d} to {end:%Y-%m-%d} only; "
                "get a new one"
            )
        plain = private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return _algorithm_of(private, key_name), chain, plain


def _algorithm_of(private: Any, name: str) -> str:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(private, ec.EllipticCurvePrivateKey) and private.curve.name in _CURVES:
        return _CURVES[private.curve.name]
    if isinstance(private, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(private, rsa.RSAPrivateKey) and private.key_size >= 2048:
        return "ps256"
    raise InputError(
        f"the key {name} is of a kind that manifests do not take; use the curve P-256, P-384 or P-521, "
        "Ed25519, or RSA of 2048 bits or more"
    )
