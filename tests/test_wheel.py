"""Contents of the wheel, its metadata and its page."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
KINDS = {
    "code": {".py", ".typed"},
    "weights": {".safetensors", ".md", ".json"},
    "tables": {".csv", ".toml"},
    "pages of reports and of the studio": {".html", ".css", ".js", ".svg", ".txt"},
}
MOST_BYTES = 45_000_000


@pytest.fixture(scope="module")
def builder():
    wheel = pytest.importorskip(
        "hatchling.builders.wheel", reason="hatchling builds the wheel; in the extra dev"
    )
    pytest.importorskip("hatch_fancy_pypi_readme", reason="makes the package's page; in the extra dev")
    return wheel.WheelBuilder(str(ROOT))


@pytest.fixture(scope="module")
def files(builder) -> dict[str, Path]:
    return {one.distribution_path: Path(one.path) for one in builder.recurse_included_files()}


def test_the_wheel_holds_the_package_and_nothing_else(files):
    assert files
    assert {name.split("/")[0] for name in files} == {"auteur"}
    assert {Path(name).suffix for name in files} == set().union(*KINDS.values())
    ours = {path.relative_to(ROOT / "src").as_posix() for path in (ROOT / "src").rglob("*") if path.is_file()}
    assert {name for name in ours if "__pycache__" not in name} == files.keys()


def test_no_tests_pages_or_benchmarks_are_in_the_wheel(files):
    assert not [name for name in files if re.search(r"(^|/)(tests?|docs|benchmarks|examples)(/|_)", name)]
    pages = {name for name in files if name.endswith(".md")}
    assert {Path(page).parent.as_posix() for page in pages} == {"auteur/weights"}


def test_types_and_weights_are_in_the_wheel(files):
    assert "auteur/py.typed" in files
    assert "auteur/weights/index.json" in files
    weights = {Path(name).stem for name in files if name.endswith(".safetensors")}
    assert weights == {Path(name).stem for name in files if name.endswith(".md")}
    assert sum(path.stat().st_size for path in files.values()) <= MOST_BYTES


def test_the_metadata_name_the_terms_of_code_and_weights(builder):
    core = builder.metadata.core
    assert core.license_expression == "Apache-2.0 AND LicenseRef-Auteur-Weights-NonCommercial"
    terms = "LICENSES/LicenseRef-Auteur-Weights-NonCommercial.txt"
    assert set(core.license_files) == {"LICENSE", "NOTICE", terms}


def test_the_notice_names_every_file_of_the_mesh():
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    for name in ("canonical_face.csv", "face_vertices.csv", "face_triangles.csv"):
        assert list((ROOT / "src").rglob(name))
        assert name in notice


def test_links_of_the_package_page_lead_somewhere(builder):
    page = builder.metadata.core.readme
    assert "# Auteur" in page
    targets = re.findall(r"\]\(([^)]*)\)", page)
    assert all(target.startswith("https://") for target in targets), targets
    assert "`docs/portraits.md`" in page


def test_every_dependency_has_a_lower_bound_that_names_one_version():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [text for extra in project["optional-dependencies"].values() for text in extra]
    ours = re.compile(r"auteur-face\[[a-z0-9,]+\]")
    bound = re.compile(r"[A-Za-z0-9_-]+(\[[a-z,]+\])?(>=|==)[0-9.]+")
    for text in (*project["dependencies"], *extras):
        assert ours.fullmatch(text) or bound.fullmatch(text), text
