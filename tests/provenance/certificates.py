"""Certificates for tests: an issuer, and signers that it names."""

import datetime
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from auteur.provenance import Signing

DAY = datetime.timedelta(days=1)


@dataclass(frozen=True)
class Issuer:
    """Signs certificates into a folder."""

    folder: Path
    key: ec.EllipticCurvePrivateKey
    name: x509.Name

    @classmethod
    def make(cls, folder: Path) -> "Issuer":
        key, name = ec.generate_private_key(ec.SECP256R1()), named("Test issuer")
        issuer = cls(folder, key, name)
        issuer.certificate("issuer", key, is_issuer=True)
        return issuer

    @property
    def certificates(self) -> Path:
        return self.folder / "issuer.pem"

    def signer(self, name: str, *, begin=-DAY, end=DAY, key=None) -> Signing:
        """Returns a signer whose certificate is valid between two times from now."""
        key = key or ec.generate_private_key(ec.SECP256R1())
        path = self.folder / f"{name}.key"
        path.write_bytes(pem_of(key))
        return Signing(self.certificate(name, key, begin=begin, end=end), path)

    def certificate(self, name: str, key, *, begin=-DAY, end=DAY, is_issuer: bool = False) -> Path:
        now = datetime.datetime.now(datetime.UTC)
        usage = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign",
             "encipher_only", "decipher_only"),
            False,
        )  # fmt: skip
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.name if is_issuer else named(name))
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + begin)
            .not_valid_after(now + end)
            .add_extension(x509.BasicConstraints(ca=is_issuer, path_length=None), critical=True)
            .add_extension(
                x509.KeyUsage(digital_signature=not is_issuer, key_cert_sign=is_issuer, **usage),
                critical=True,
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False
            )
        )
        if not is_issuer:
            uses = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
            builder = builder.add_extension(uses, critical=False)
        path = self.folder / f"{name}.pem"
        signed = builder.sign(self.key, hashes.SHA256())
        path.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        return path


def named(name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Test studio"),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )


def pem_of(key, password: bytes | None = None, *, form=serialization.PrivateFormat.PKCS8) -> bytes:
    """Returns a private key as text, encrypted if there is a password."""
    locked = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, locked)
