"""Runs the tests on every Python and with every set of dependencies that pyproject.toml allows.

`make test-matrix` starts it: in each cell the installed command on files of everyday kinds, then the tests that
are not marked slow. The slow ones compute the same on every Python; `make test` runs them on one. Interpreters of pyenv and uv are found where these keep them, others on the
path; one that is not there is skipped, and the table at the end says so. On Linux the usual builds of torch
bring CUDA, several gigabytes each; with PyTorch's index for CPUs they do not:

    PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu make test-matrix
    .venv/bin/nox -s "tests-3.12(newest)" -- tests/media       # one cell, other tests
"""

import os
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import nox
from packaging.requirements import Requirement

ROOT = Path(__file__).parent
RESULTS = ROOT / "out" / "matrix"
PYTHONS = ("3.11", "3.12", "3.13")
SETS = {
    "lowest": "the oldest versions that pyproject.toml allows, with the extras full, plot and scale",
    "newest": "the newest versions that pip chooses, with the same extras",
    "bare": "the newest versions, without extras: what `pip install` gives",
}
EXTRAS = ("full", "plot", "scale")
PROJECT = nox.project.load_toml(ROOT / "pyproject.toml")["project"]
TOOLS = ("hatch-fancy-pypi-readme", "hatchling", "hypothesis", "packaging", "pytest", "scikit-image")

nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["tests", "table"]


def add_interpreters() -> None:
    """Puts the folders in which pyenv and uv keep the Pythons of the matrix in front of the path."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR", Path.home() / ".local/share/uv/python"))
    found = [
        folder
        for version in PYTHONS
        for place in (pyenv, uv)
        for folder in sorted(place.glob("*/bin"), reverse=True)
        if (folder / f"python{version}").exists()
    ]
    os.environ["PATH"] = os.pathsep.join([*map(str, found), os.environ["PATH"]])


def lowest() -> list[str]:
    """Returns the oldest allowed version of everything that the project names itself, as "name==version"."""
    named = [
        *PROJECT["dependencies"],
        *(one for extra in EXTRAS for one in PROJECT["optional-dependencies"][extra]),
    ]
    oldest = []
    for text in named:
        wanted = Requirement(text)
        bounds = [one.version for one in wanted.specifier if one.operator in (">=", "==")]
        if len(bounds) != 1:
            raise ValueError(f"{text!r} in pyproject.toml has no lower bound")
        oldest.append(f"{wanted.name}=={bounds[0]}")
    return oldest


add_interpreters()


@nox.session(python=PYTHONS)
@nox.parametrize("dependencies", [nox.param(name, id=name) for name in SETS])
def tests(session: nox.Session, dependencies: str) -> None:
    """The project as a wheel, its dependencies as named, and the tests."""
    report = RESULTS / f"{session.python}-{dependencies}.xml"
    report.unlink(missing_ok=True)
    folder = Path(session.virtualenv.location)
    try:
        if dependencies == "bare":
            session.install(".", *TOOLS)
        elif dependencies == "newest":
            session.install(f".[{','.join(EXTRAS)}]", *TOOLS, "opencv-python-headless")
        else:
            oldest = Path(session.create_tmp()) / "lowest.txt"
            oldest.write_text("\n".join(lowest()), encoding="utf-8")
            session.install("-c", str(oldest), f".[{','.join(EXTRAS)}]", *TOOLS, "opencv-python-headless")
        session.run("python", "-m", "pip", "list", "--format=freeze", silent=False)
        one_thread = {"OMP_NUM_THREADS": "1"}
        everyday = ROOT / "tests" / "wheel" / "everyday"
        session.run(str(everyday), str(folder / "bin" / "python"), env=one_thread, external=True)
        chosen = session.posargs or ["-m", "not slow"]
        options = ("-p", "no:cacheprovider", f"--junit-xml={report}")
        session.run("python", "-m", "pytest", *options, *chosen, env=one_thread)
    finally:  # up to 6 GB each
        shutil.rmtree(folder, ignore_errors=True)


@nox.session(python=False)
def table(session: nox.Session) -> None:
    """What came of every cell: passed, failed and skipped tests, or why there are none."""
    session.log("%-8s %s", "Python", "".join(f"{name:<44}" for name in SETS))
    for version in PYTHONS:
        session.log("%-8s %s", version, "".join(f"{outcome(version, name):<44}" for name in SETS))


def outcome(version: str, dependencies: str) -> str:
    """Returns the counts of one cell of the last run, or why there are none."""
    report = RESULTS / f"{version}-{dependencies}.xml"
    if not report.exists():
        found = shutil.which(f"python{version}")
        return "not run, or not installed" if found else f"skipped: no python{version} here"
    suites = list(ElementTree.parse(report).getroot().iter("testsuite"))
    total, skipped, *wrong = (
        sum(int(suite.get(key, 0)) for suite in suites) for key in ("tests", "skipped", "failures", "errors")
    )
    return f"{total - skipped - sum(wrong)} passed, {sum(wrong)} failed, {skipped} skipped"
