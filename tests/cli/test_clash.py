"""The foreign distribution `auteur` shares our folder: the command warns in one line and goes on."""

import shutil
import subprocess
import sys
from pathlib import Path

import auteur

PACKAGE = Path(auteur.__file__).parent


def version_of(place: Path) -> tuple[int, str, str]:
    """Runs `auteur --version` with the copy of the package in `place`, and nothing else on the path."""
    code = (
        f"import sys; sys.path.insert(0, {str(place)!r})\n"
        "from auteur.cli import main; sys.exit(main(['--version']))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", code], capture_output=True, text=True, cwd=place
    )
    return done.returncode, done.stdout, done.stderr


def prepare(place: Path) -> Path:
    """Copies what the command needs to print its version."""
    (place / "auteur").mkdir()
    for name in ("__init__.py", "errors.py", "files.py"):
        shutil.copy(PACKAGE / name, place / "auteur" / name)
    shutil.copytree(PACKAGE / "cli", place / "auteur" / "cli")
    return place


def test_alone_nothing_is_printed(tmp_path):
    assert version_of(prepare(tmp_path)) == (0, f"auteur {auteur.__version__}\n", "")


def test_the_other_distribution_is_noticed(tmp_path):
    place = prepare(tmp_path)
    about = place / "auteur-1.0.2.dist-info" / "METADATA"
    about.parent.mkdir()
    about.write_text("Metadata-Version: 2.1\nName: auteur\nVersion: 1.0.2\n")
    code, out, err = version_of(place)
    assert (code, out) == (0, f"auteur {auteur.__version__}\n")
    assert err.count("\n") == 1
    assert "pip uninstall auteur auteur-face" in err


def test_what_its_removal_leaves_behind_is_noticed(tmp_path):
    place = prepare(tmp_path)
    (place / "auteur" / "__init__.py").unlink()
    code, out, err = version_of(place)
    assert (code, out) == (0, "auteur damaged\n")
    assert "pip uninstall auteur auteur-face" in err
