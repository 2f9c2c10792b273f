"""Marks on everything that Auteur writes: tool, models, inputs, and whether the file is unchanged."""

from auteur.provenance.consent import MOST_CHARACTERS, check_consent, consent_notes
from auteur.provenance.credentials import Signing
from auteur.provenance.mark import Mark, hash_file
from auteur.provenance.sidecar import Announcement, Sidecar, read_sidecar, sidecar_path
from auteur.provenance.verify import Verdict, VerifyReport, verify

__all__ = [
    "MOST_CHARACTERS",
    "Announcement",
    "Mark",
    "Sidecar",
    "Signing",
    "Verdict",
    "VerifyReport",
    "check_consent",
    "consent_notes",
    "hash_file",
    "read_sidecar",
    "sidecar_path",
    "verify",
]
