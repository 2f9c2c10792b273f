"""Marks on everything that Auteur writes: tool, models, inputs, and whether the file is unchanged."""

from auteur.provenance.mark import Mark, hash_file
from auteur.provenance.sidecar import Announcement, Sidecar, read_sidecar, sidecar_path
from auteur.provenance.verify import Verdict, VerifyReport, verify

__all__ = [
    "Announcement",
    "Mark",
    "Sidecar",
    "Verdict",
    "VerifyReport",
    "hash_file",
    "read_sidecar",
    "sidecar_path",
    "verify",
]
