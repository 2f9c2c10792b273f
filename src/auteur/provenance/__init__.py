"""Marks on everything Auteur writes: who made it, from what, and whether it still is what was written."""

from auteur.provenance.mark import Mark, hash_file
from auteur.provenance.sidecar import Sidecar, read_sidecar, sidecar_path, write_sidecar
from auteur.provenance.verify import Verdict, VerifyReport, verify

__all__ = [
    "Mark",
    "Sidecar",
    "Verdict",
    "VerifyReport",
    "hash_file",
    "read_sidecar",
    "sidecar_path",
    "verify",
    "write_sidecar",
]
