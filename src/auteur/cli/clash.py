"""Detection of another distribution, `auteur`, that installs into the same folder as this one."""

from importlib import metadata

import auteur

FOREIGN = "auteur"
OURS = "auteur-face"


def clash() -> str | None:
    """One line if the distribution `auteur` is, or was, installed over this package; None if all is well."""
    try:
        metadata.version(FOREIGN)
    except metadata.PackageNotFoundError:
        # Removing it removes the auteur/__init__.py that both have.
        if getattr(auteur, "_HOMES", None):
            return None
    return (
        f"the package {FOREIGN!r}, another project, has been installed into the folder of {OURS!r}; "
        f"run: pip uninstall {FOREIGN} {OURS}, then: pip install {OURS}"
    )
